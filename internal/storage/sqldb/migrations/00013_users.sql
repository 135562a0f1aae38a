-- Users, what they may do, how organizations present themselves, and what
-- repositories say of themselves.

-- +goose Up
ALTER TABLE organizations ADD COLUMN spelling {text} NOT NULL DEFAULT '';
ALTER TABLE organizations ADD COLUMN full_name {text} NOT NULL DEFAULT '';
ALTER TABLE organizations ADD COLUMN description {text} NOT NULL DEFAULT '';
ALTER TABLE organizations ADD COLUMN website {text} NOT NULL DEFAULT '';
ALTER TABLE organizations ADD COLUMN location {text} NOT NULL DEFAULT '';

ALTER TABLE repositories ADD COLUMN public INTEGER NOT NULL DEFAULT 0;
ALTER TABLE repositories ADD COLUMN description {text} NOT NULL DEFAULT '';
ALTER TABLE repositories ADD COLUMN parent {text} NOT NULL DEFAULT '';
CREATE INDEX repositories_public ON repositories (organization, id) WHERE public = 1 AND deleted_at IS NULL;
CREATE INDEX repositories_forks ON repositories (organization, parent) WHERE parent <> '' AND deleted_at IS NULL;
CREATE INDEX repositories_folded ON repositories (organization, lower(name)) WHERE deleted_at IS NULL AND name <> lower(name);

CREATE TABLE users (
	id         {text} NOT NULL,
	email      {text} NOT NULL,
	password   {text} NOT NULL,
	admin      INTEGER NOT NULL,
	disabled   INTEGER NOT NULL,
	created_at BIGINT NOT NULL,
	PRIMARY KEY (id)
) {compact};

CREATE UNIQUE INDEX users_email ON users (lower(email)) WHERE email <> '';

CREATE TABLE user_tokens (
	digest     {bytes} NOT NULL,
	user_id    {text} NOT NULL,
	name       {text} NOT NULL,
	created_at BIGINT NOT NULL,
	PRIMARY KEY (digest)
) {compact};

CREATE UNIQUE INDEX user_tokens_name ON user_tokens (user_id, name);

CREATE TABLE collaborators (
	organization {text} NOT NULL,
	repository   {text} NOT NULL,
	user_id      {text} NOT NULL,
	role         INTEGER NOT NULL,
	PRIMARY KEY (organization, repository, user_id)
) {compact};

CREATE INDEX collaborators_user ON collaborators (user_id);

CREATE TABLE teams (
	organization {text} NOT NULL,
	id           {text} NOT NULL,
	name         {text} NOT NULL,
	description  {text} NOT NULL,
	role         INTEGER NOT NULL,
	created_at   BIGINT NOT NULL,
	PRIMARY KEY (organization, id)
) {compact};

CREATE UNIQUE INDEX teams_name ON teams (organization, lower(name));

CREATE TABLE team_members (
	organization {text} NOT NULL,
	team         {text} NOT NULL,
	user_id      {text} NOT NULL,
	PRIMARY KEY (organization, team, user_id)
) {compact};

CREATE INDEX team_members_user ON team_members (user_id, organization);

CREATE TABLE team_repositories (
	organization {text} NOT NULL,
	repository   {text} NOT NULL,
	team         {text} NOT NULL,
	PRIMARY KEY (organization, repository, team)
) {compact};

CREATE INDEX team_repositories_team ON team_repositories (organization, team);

-- +goose Down
DROP TABLE team_repositories;
DROP TABLE team_members;
DROP TABLE teams;
DROP TABLE collaborators;
DROP TABLE user_tokens;
DROP TABLE users;
DROP INDEX repositories_folded;
DROP INDEX repositories_forks;
DROP INDEX repositories_public;
ALTER TABLE repositories DROP COLUMN parent;
ALTER TABLE repositories DROP COLUMN description;
ALTER TABLE repositories DROP COLUMN public;
ALTER TABLE organizations DROP COLUMN location;
ALTER TABLE organizations DROP COLUMN website;
ALTER TABLE organizations DROP COLUMN description;
ALTER TABLE organizations DROP COLUMN full_name;
ALTER TABLE organizations DROP COLUMN spelling;
