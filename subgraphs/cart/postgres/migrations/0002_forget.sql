-- +goose Up
-- What was ordered is told within days, and forgotten after that.
CREATE INDEX ordered_by_age ON ordered (at);
