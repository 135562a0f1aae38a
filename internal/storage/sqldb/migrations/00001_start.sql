-- The words in braces are types and clauses that each dialect spells its own
-- way; see dialect.go. Times are microseconds since 1970, UTC.

-- +goose Up
CREATE TABLE organizations (
	id         {text} NOT NULL,
	name       {text} NOT NULL,
	created_at BIGINT NOT NULL,
	PRIMARY KEY (id),
	UNIQUE (name)
) {compact};

CREATE TABLE public_keys (
	organization {text} NOT NULL,
	id           {text} NOT NULL,
	algorithm    {text} NOT NULL,
	pem          {text} NOT NULL,
	created_at   BIGINT NOT NULL,
	revoked_at   BIGINT,
	PRIMARY KEY (organization, id)
) {compact};

CREATE TABLE repositories (
	organization   {text} NOT NULL,
	id             {text} NOT NULL,
	name           {text} NOT NULL,
	default_branch {bytes} NOT NULL,
	format         INTEGER NOT NULL,
	created_at     BIGINT NOT NULL,
	deleted_at     BIGINT,
	version        BIGINT NOT NULL,
	PRIMARY KEY (organization, id)
) {compact};

CREATE UNIQUE INDEX repositories_living ON repositories (organization, name) WHERE deleted_at IS NULL;
CREATE INDEX repositories_deleted ON repositories (deleted_at) WHERE deleted_at IS NOT NULL;

-- A ref's name may be any bytes, so it is no text.
CREATE TABLE refs (
	organization    {text} NOT NULL,
	repository      {text} NOT NULL,
	name            {bytes} NOT NULL,
	target          {bytes} NOT NULL,
	created_version BIGINT NOT NULL,
	created_at      BIGINT NOT NULL,
	PRIMARY KEY (organization, repository, name)
) {compact};

-- Not compact: the rows of inline packs are large. What is long comes last, so
-- that the rest can be read without it.
CREATE TABLE packs (
	organization {text} NOT NULL,
	id           {text} NOT NULL,
	objects      BIGINT NOT NULL,
	size         BIGINT NOT NULL,
	index_size   BIGINT NOT NULL,
	bucket_key   {text} NOT NULL,
	created_at   BIGINT NOT NULL,
	index_data   {bytes},
	data         {bytes},
	PRIMARY KEY (organization, id)
);

-- added is the repository's version at which the pack came in; 0 or less for
-- the packs that a fork began with.
CREATE TABLE manifests (
	organization {text} NOT NULL,
	repository   {text} NOT NULL,
	pack         {text} NOT NULL,
	added        BIGINT NOT NULL,
	PRIMARY KEY (organization, repository, pack)
) {compact};

CREATE INDEX manifests_pack ON manifests (organization, pack);

CREATE TABLE garbage (
	organization {text} NOT NULL,
	pack         {text} NOT NULL,
	since        BIGINT NOT NULL,
	PRIMARY KEY (organization, pack)
) {compact};

CREATE INDEX garbage_since ON garbage (since);

CREATE TABLE events (
	organization {text} NOT NULL,
	repository   {text} NOT NULL,
	version      BIGINT NOT NULL,
	ordinal      INTEGER NOT NULL,
	at           BIGINT NOT NULL,
	actor        {bytes} NOT NULL,
	kind         {text} NOT NULL,
	ref          {bytes} NOT NULL,
	old_target   {bytes},
	new_target   {bytes},
	PRIMARY KEY (organization, repository, version, ordinal)
) {compact};

-- +goose Down
DROP TABLE events;
DROP TABLE garbage;
DROP TABLE manifests;
DROP TABLE packs;
DROP TABLE refs;
DROP TABLE repositories;
DROP TABLE public_keys;
DROP TABLE organizations;
