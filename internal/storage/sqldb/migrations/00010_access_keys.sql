-- Access keys, which sign requests, and projects, which are folders of
-- repositories with an id.

-- +goose Up
CREATE TABLE access_keys (
	organization {text} NOT NULL,
	id           {text} NOT NULL,
	name         {text} NOT NULL,
	scopes       {text} NOT NULL,
	repositories {text} NOT NULL,
	sealed       {bytes} NOT NULL,
	created_at   BIGINT NOT NULL,
	revoked_at   BIGINT,
	PRIMARY KEY (organization, id),
	UNIQUE (id)
) {compact};

CREATE TABLE projects (
	organization {text} NOT NULL,
	id           {text} NOT NULL,
	name         {text} NOT NULL,
	created_at   BIGINT NOT NULL,
	PRIMARY KEY (organization, id),
	UNIQUE (organization, name)
) {compact};

-- +goose Down
DROP TABLE projects;
DROP TABLE access_keys;
