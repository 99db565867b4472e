-- +goose Up
-- Keys are remembered for a while. Checkouts, of which every order pays for one, are gone through by their pages instead.
CREATE INDEX cancellations_by_age ON cancellations (created_at);
