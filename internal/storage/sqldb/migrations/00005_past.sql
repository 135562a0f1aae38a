-- When what a repository's past kept alive was purged, and deleted repositories
-- by name.

-- +goose Up
ALTER TABLE repositories ADD COLUMN purged_at BIGINT;
CREATE INDEX repositories_deleted_names ON repositories (organization, name, deleted_at) WHERE deleted_at IS NOT NULL;

-- +goose Down
DROP INDEX repositories_deleted_names;
ALTER TABLE repositories DROP COLUMN purged_at;
