-- +goose Up
-- Keys are remembered for a while, and so are operations that ended, once no key names them. These, and reports, of which every
-- payment has some, are gone through by their pages instead.
CREATE INDEX answers_by_age ON answers (created_at);
CREATE INDEX answers_of_operation ON answers (operation_id);
