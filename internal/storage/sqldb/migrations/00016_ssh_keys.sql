-- SSH keys of users, access keys and repositories. Those of a user lie in the
-- organization of their own; those of a repository have neither user nor access
-- key.

-- +goose Up
CREATE TABLE ssh_keys (
	organization {text} NOT NULL,
	repository   {text} NOT NULL,
	user_id      {text} NOT NULL,
	access_key   {text} NOT NULL,
	id           {text} NOT NULL,
	title        {text} NOT NULL,
	key          {text} NOT NULL,
	fingerprint  {text} NOT NULL,
	can_push     INTEGER NOT NULL,
	created_at   BIGINT NOT NULL,
	PRIMARY KEY (organization, repository, id),
	UNIQUE (organization, repository, user_id, access_key, title)
) {compact};

CREATE UNIQUE INDEX ssh_keys_fingerprint ON ssh_keys (fingerprint, organization, repository);
CREATE UNIQUE INDEX ssh_keys_used ON ssh_keys (fingerprint) WHERE repository = '';

-- +goose Down
DROP TABLE ssh_keys;
