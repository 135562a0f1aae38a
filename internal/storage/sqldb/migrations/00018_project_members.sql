-- Members of projects, whom new repositories may take over.

-- +goose Up
CREATE TABLE project_members (
	organization {text} NOT NULL,
	project      {text} NOT NULL,
	user_id      {text} NOT NULL,
	role         INTEGER NOT NULL,
	PRIMARY KEY (organization, project, user_id)
) {compact};

CREATE INDEX project_members_user ON project_members (user_id);

-- +goose Down
DROP TABLE project_members;
