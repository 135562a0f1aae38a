-- Upstreams: the repositories on other servers that repositories follow. What
-- names one lies in the repository's row, where every read sees it.

-- +goose Up
ALTER TABLE repositories ADD COLUMN upstream {text} NOT NULL DEFAULT '';
ALTER TABLE repositories ADD COLUMN syncing INTEGER NOT NULL DEFAULT 0;

CREATE TABLE syncs (
	organization {text} NOT NULL,
	repository   {text} NOT NULL,
	status       {text} NOT NULL,
	runs         BIGINT NOT NULL,
	requested_at BIGINT,
	started_at   BIGINT,
	ended_at     BIGINT,
	succeeded_at BIGINT,
	error        {text} NOT NULL,
	PRIMARY KEY (organization, repository)
) {compact};

-- The refs that an upstream had when they were last taken over.
CREATE TABLE upstream_refs (
	organization {text} NOT NULL,
	repository   {text} NOT NULL,
	name         {bytes} NOT NULL,
	PRIMARY KEY (organization, repository, name)
) {compact};

CREATE TABLE git_credentials (
	organization {text} NOT NULL,
	id           {text} NOT NULL,
	repository   {text} NOT NULL,
	sealed       {bytes} NOT NULL,
	created_at   BIGINT NOT NULL,
	updated_at   BIGINT NOT NULL,
	PRIMARY KEY (organization, id),
	UNIQUE (organization, repository)
) {compact};

-- +goose Down
DROP TABLE git_credentials;
DROP TABLE upstream_refs;
DROP TABLE syncs;
ALTER TABLE repositories DROP COLUMN syncing;
ALTER TABLE repositories DROP COLUMN upstream;
