-- The log of syncs: every exchange of a repository with its upstream. A sync that
-- is under way becomes the first entry.

-- +goose Up
CREATE TABLE sync_runs (
	organization {text} NOT NULL,
	repository   {text} NOT NULL,
	sequence     BIGINT NOT NULL,
	id           {text} NOT NULL,
	direction    {text} NOT NULL,
	follow       INTEGER NOT NULL,
	branches     {text} NOT NULL,
	tags         {text} NOT NULL,
	status       {text} NOT NULL,
	attempts     BIGINT NOT NULL,
	refs         {bytes} NOT NULL,
	error        {text} NOT NULL,
	requested_at BIGINT NOT NULL,
	started_at   BIGINT,
	ended_at     BIGINT,
	PRIMARY KEY (organization, repository, sequence),
	UNIQUE (organization, repository, id)
) {compact};

INSERT INTO sync_runs (organization, repository, sequence, id, direction, follow, branches, tags, status, attempts, refs, error, requested_at, started_at)
	SELECT organization, repository, 1, repository, 'pull', 1, '*', '*', status, 0, '', error, COALESCE(requested_at, 0), started_at
	FROM syncs WHERE status IN ('queued', 'running', 'retrying');

ALTER TABLE git_credentials ADD COLUMN kind {text} NOT NULL DEFAULT 'username_password';

-- +goose Down
ALTER TABLE git_credentials DROP COLUMN kind;
DROP TABLE sync_runs;
