-- What users note about repositories.

-- +goose Up
CREATE TABLE repository_labels (
	organization {text} NOT NULL,
	repository   {text} NOT NULL,
	labels       {text} NOT NULL,
	PRIMARY KEY (organization, repository)
) {compact};

-- +goose Down
DROP TABLE repository_labels;
