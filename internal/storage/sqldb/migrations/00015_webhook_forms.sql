-- Webhooks of several forms, each for any number of repositories. An empty
-- repository stands for all of the organization.

-- +goose Up
DROP INDEX webhooks_repository;
ALTER TABLE webhooks RENAME COLUMN repository TO repositories;
ALTER TABLE webhooks ADD COLUMN form {text} NOT NULL DEFAULT '';
ALTER TABLE webhooks ADD COLUMN name {text} NOT NULL DEFAULT '';
ALTER TABLE webhooks ADD COLUMN options {text} NOT NULL DEFAULT '';
CREATE INDEX webhooks_form ON webhooks (organization, form, id);

CREATE TABLE webhook_repositories (
	organization {text} NOT NULL,
	repository   {text} NOT NULL,
	webhook      {text} NOT NULL,
	PRIMARY KEY (organization, repository, webhook)
) {compact};
INSERT INTO webhook_repositories (organization, repository, webhook) SELECT organization, repositories, id FROM webhooks;
UPDATE webhooks SET repositories = '+' || repositories WHERE repositories <> '';

-- +goose Down
DROP TABLE webhook_repositories;
DROP INDEX webhooks_form;
ALTER TABLE webhooks DROP COLUMN options;
ALTER TABLE webhooks DROP COLUMN name;
ALTER TABLE webhooks DROP COLUMN form;
ALTER TABLE webhooks RENAME COLUMN repositories TO repository;
UPDATE webhooks SET repository = substr(repository, 2) WHERE repository <> '';
CREATE INDEX webhooks_repository ON webhooks (organization, repository, id);
