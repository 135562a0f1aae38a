-- Jobs: work that is to be done after the transaction that asked for it. A
-- claim is a time in due_at until which nobody else takes the job; what is
-- enqueued meanwhile waits in again_at.

-- +goose Up
CREATE TABLE jobs (
	organization {text} NOT NULL,
	repository   {text} NOT NULL,
	kind         {text} NOT NULL,
	name         {text} NOT NULL,
	created_at   BIGINT NOT NULL,
	due_at       BIGINT NOT NULL,
	again_at     BIGINT,
	attempts     BIGINT NOT NULL,
	claim        {text} NOT NULL,
	last_error   {text} NOT NULL,
	payload      {bytes} NOT NULL,
	PRIMARY KEY (organization, repository, kind, name)
) {compact};

CREATE INDEX jobs_due ON jobs (kind, due_at);

-- +goose Down
DROP TABLE jobs;
