-- Webhooks and their outbox, which is also the log of what was sent.

-- +goose Up
CREATE TABLE webhooks (
	organization  {text} NOT NULL,
	id            {text} NOT NULL,
	repository    {text} NOT NULL,
	customer      {text} NOT NULL,
	url           {text} NOT NULL,
	events        {text} NOT NULL,
	secret        {bytes} NOT NULL,
	created_at    BIGINT NOT NULL,
	updated_at    BIGINT NOT NULL,
	paused        {text} NOT NULL,
	failing_since BIGINT,
	PRIMARY KEY (organization, id)
) {compact};

CREATE INDEX webhooks_repository ON webhooks (organization, repository, id);

-- What is long comes last.
CREATE TABLE deliveries (
	organization {text} NOT NULL,
	webhook      {text} NOT NULL,
	repository   {text} NOT NULL,
	sequence     BIGINT NOT NULL,
	id           {text} NOT NULL,
	event        {text} NOT NULL,
	created_at   BIGINT NOT NULL,
	state        INTEGER NOT NULL,
	attempts     INTEGER NOT NULL,
	ended_at     BIGINT,
	attempted_at BIGINT,
	duration     BIGINT NOT NULL,
	status       INTEGER NOT NULL,
	error        {text} NOT NULL,
	payload      {bytes} NOT NULL,
	answer       {bytes} NOT NULL,
	PRIMARY KEY (organization, webhook, repository, sequence)
);

CREATE UNIQUE INDEX deliveries_id ON deliveries (organization, webhook, id);
CREATE INDEX deliveries_waiting ON deliveries (organization, webhook, repository, sequence) WHERE state = 0;
CREATE INDEX deliveries_ended ON deliveries (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX deliveries_repository ON deliveries (organization, repository);

-- +goose Down
DROP TABLE deliveries;
DROP TABLE webhooks;
