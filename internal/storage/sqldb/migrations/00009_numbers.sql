-- Numbers of things, for callers whose ids are integers. A counter outlives
-- what it counted, so that no number is given twice.

-- +goose Up
CREATE TABLE numbers (
	organization {text} NOT NULL,
	repository   {text} NOT NULL,
	kind         {text} NOT NULL,
	id           {text} NOT NULL,
	number       BIGINT NOT NULL,
	PRIMARY KEY (organization, repository, kind, id),
	UNIQUE (kind, number)
) {compact};

CREATE TABLE number_counters (
	kind {text} NOT NULL,
	last BIGINT NOT NULL,
	PRIMARY KEY (kind)
) {compact};

-- +goose Down
DROP TABLE number_counters;
DROP TABLE numbers;
