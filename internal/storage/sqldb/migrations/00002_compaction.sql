-- Full repacks: what a pack holds, whether it has sidecars, and the version
-- from which on writes may rely on what is there.

-- +goose Up
ALTER TABLE repositories ADD COLUMN fence BIGINT NOT NULL DEFAULT 0;

-- The table is made anew so that what is long still comes last.
CREATE TABLE packs_next (
	organization {text} NOT NULL,
	id           {text} NOT NULL,
	objects      BIGINT NOT NULL,
	size         BIGINT NOT NULL,
	index_size   BIGINT NOT NULL,
	bucket_key   {text} NOT NULL,
	created_at   BIGINT NOT NULL,
	role         INTEGER NOT NULL,
	sidecars     INTEGER NOT NULL,
	index_data   {bytes},
	data         {bytes},
	PRIMARY KEY (organization, id)
);
INSERT INTO packs_next (organization, id, objects, size, index_size, bucket_key, created_at, role, sidecars, index_data, data)
	SELECT organization, id, objects, size, index_size, bucket_key, created_at, 0, 0, index_data, data FROM packs;
DROP TABLE packs;
ALTER TABLE packs_next RENAME TO packs;

-- +goose Down
ALTER TABLE packs DROP COLUMN sidecars;
ALTER TABLE packs DROP COLUMN role;
ALTER TABLE repositories DROP COLUMN fence;
