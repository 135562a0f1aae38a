-- Requests with idempotency keys.

-- +goose Up
CREATE TABLE receipts (
	organization {text} NOT NULL,
	key          {bytes} NOT NULL,
	request      {bytes} NOT NULL,
	created_at   BIGINT NOT NULL,
	status       INTEGER NOT NULL,
	answer       {bytes},
	PRIMARY KEY (organization, key)
);

CREATE INDEX receipts_age ON receipts (created_at);

-- +goose Down
DROP TABLE receipts;
