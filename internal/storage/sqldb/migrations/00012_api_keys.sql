-- API keys. An organization's keys in the order of their ids are in the order
-- of their making.

-- +goose Up
CREATE TABLE api_keys (
	organization {text} NOT NULL,
	id           {text} NOT NULL,
	name         {text} NOT NULL,
	access       {text} NOT NULL,
	repositories {text} NOT NULL,
	labels       {text} NOT NULL,
	sealed       {bytes} NOT NULL,
	created_at   BIGINT NOT NULL,
	expires_at   BIGINT,
	revoked_at   BIGINT,
	used_at      BIGINT,
	PRIMARY KEY (organization, id)
) {compact};

-- +goose Down
DROP TABLE api_keys;
