-- Which commits the changes of repositories have had, and up to which version
-- of a repository that is known.

-- +goose Up
CREATE TABLE changes (
	organization {text} NOT NULL,
	repository   {text} NOT NULL,
	change_id    {bytes} NOT NULL,
	commit_id    {bytes} NOT NULL,
	version      BIGINT NOT NULL,
	ordinal      BIGINT NOT NULL,
	at           BIGINT NOT NULL,
	PRIMARY KEY (organization, repository, change_id, commit_id)
) {compact};

CREATE TABLE changes_noted (
	organization {text} NOT NULL,
	repository   {text} NOT NULL,
	version      BIGINT NOT NULL,
	PRIMARY KEY (organization, repository)
) {compact};

-- +goose Down
DROP TABLE changes_noted;
DROP TABLE changes;
