-- The newest idempotency keys of an organization.

-- +goose Up
CREATE INDEX receipts_order ON receipts (organization, created_at);

-- +goose Down
DROP INDEX receipts_order;
