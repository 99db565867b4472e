-- +goose Up
-- How people get into a sale. The seed of the draw is fixed when the sale is first saved, whether or not it will be drawn.
ALTER TABLE sales
    ADD COLUMN admission         text NOT NULL DEFAULT 'OPEN_DOOR' CHECK (admission IN ('OPEN_DOOR', 'FIFO', 'LOTTERY')),
    ADD COLUMN room_opens_at     timestamptz,
    ADD COLUMN difficulty        integer NOT NULL DEFAULT 50000 CHECK (difficulty > 0),
    ADD COLUMN admit_per_second  integer NOT NULL DEFAULT 100 CHECK (admit_per_second > 0),
    ADD COLUMN admission_seconds integer NOT NULL DEFAULT 120 CHECK (admission_seconds > 0),
    ADD COLUMN seed              bytea NOT NULL DEFAULT uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) CHECK (length(seed) = 32);
UPDATE sales SET room_opens_at = starts_at;
ALTER TABLE sales
    ALTER COLUMN room_opens_at SET NOT NULL,
    ADD CHECK (room_opens_at <= starts_at),
    DROP CONSTRAINT sales_told_check,
    ADD CONSTRAINT sales_told_check CHECK (told IN ('SCHEDULED', 'WAITING_ROOM', 'OPEN', 'ENDED', 'CANCELLED'));
DROP INDEX sales_to_open, sales_to_close;
CREATE INDEX sales_to_admit ON sales (room_opens_at) WHERE told = 'SCHEDULED' AND admission <> 'OPEN_DOOR';
CREATE INDEX sales_to_open ON sales (starts_at) WHERE told IN ('SCHEDULED', 'WAITING_ROOM');
CREATE INDEX sales_to_close ON sales (ends_at) WHERE told IN ('SCHEDULED', 'WAITING_ROOM', 'OPEN');
ALTER TABLE log DROP CONSTRAINT log_kind, ADD CONSTRAINT log_kind CHECK (CASE
    WHEN kind IN ('ALLOT', 'RETURN') THEN variant_id IS NOT NULL AND quantity > 0 AND booking_id IS NULL AND change_id IS NOT NULL
    WHEN kind IN ('HOLD', 'SELL', 'RELEASE', 'EXPIRE') THEN variant_id IS NOT NULL AND quantity = 1 AND booking_id IS NOT NULL AND change_id IS NULL
    WHEN kind IN ('ROOM_OPENED', 'OPENED', 'CLOSED', 'CALLED_OFF') THEN variant_id IS NULL AND quantity = 0 AND booking_id IS NULL AND change_id IS NULL
    ELSE false END);

-- The waiting room of a sale, in numbers. Whoever gives out tickets or calls them locks this row first, and never the sale's, so that
-- who joins does not keep those who book.
CREATE TABLE rooms (
    sale_id    text PRIMARY KEY REFERENCES sales,
    joined     bigint NOT NULL DEFAULT 0,
    entrants   bigint NOT NULL DEFAULT 0, -- of these, those who take part in the draw: the first ones
    called     bigint NOT NULL DEFAULT 0, -- places that had their turn
    closed_at  timestamptz, -- since when nobody joins the draw any more
    drawn_at   timestamptz,
    metered_at timestamptz, -- since when people may be let in
    pace       double precision NOT NULL DEFAULT 0, -- people let in each second, lately
    paced_at   timestamptz,
    rev        bigint NOT NULL DEFAULT 0, -- rises with every change
    CONSTRAINT rooms_add_up CHECK (0 <= entrants AND entrants <= joined AND 0 <= called AND called <= joined AND (drawn_at IS NULL OR closed_at <= drawn_at))
) WITH (fillfactor = 50);
INSERT INTO rooms (sale_id) SELECT id FROM sales;

CREATE TABLE tickets (
    id             text PRIMARY KEY,
    sale_id        text NOT NULL REFERENCES rooms,
    account_id     text NOT NULL,
    number         bigint NOT NULL CHECK (number > 0), -- in the order of joining, without gaps
    lot            bigint CHECK (lot >= 0), -- NULL for who takes no part in a draw
    status         text NOT NULL CHECK (status IN ('WAITING', 'ADMITTED', 'USED', 'EXPIRED')),
    joined_at      timestamptz NOT NULL,
    admitted_until timestamptz,
    booking_id     text REFERENCES bookings,
    CHECK ((status = 'WAITING') = (admitted_until IS NULL)),
    CHECK ((status = 'USED') = (booking_id IS NOT NULL))
) WITH (fillfactor = 80);
-- An account has at most one ticket that counts for anything.
CREATE UNIQUE INDEX tickets_of_account ON tickets (sale_id, account_id) WHERE status IN ('WAITING', 'ADMITTED');
CREATE INDEX tickets_by_account ON tickets (account_id, sale_id, number);
CREATE UNIQUE INDEX tickets_by_number ON tickets (sale_id, number);
CREATE INDEX tickets_by_lot ON tickets (sale_id, lot, id) WHERE lot IS NOT NULL;
CREATE INDEX tickets_admitted ON tickets (sale_id, admitted_until) WHERE status = 'ADMITTED';
-- A booking takes one ticket, and a ticket makes one booking.
CREATE UNIQUE INDEX tickets_of_booking ON tickets (booking_id) WHERE booking_id IS NOT NULL;

-- Every 100th place of a draw, so that any other is found by counting from there.
CREATE TABLE milestones (
    sale_id   text NOT NULL REFERENCES rooms,
    place     bigint NOT NULL CHECK (place > 0),
    lot       bigint NOT NULL,
    ticket_id text NOT NULL,
    PRIMARY KEY (sale_id, place)
);
CREATE INDEX milestones_by_lot ON milestones (sale_id, lot, ticket_id);

-- +goose StatementBegin
CREATE FUNCTION seed_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE integrity_constraint_violation USING MESSAGE = format('the seed of %s was promised', NEW.id);
END $$;

CREATE FUNCTION drawn_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.joined >= OLD.joined AND NEW.called >= OLD.called AND NEW.rev > OLD.rev
        AND (OLD.closed_at IS NULL OR (NEW.closed_at, NEW.entrants) = (OLD.closed_at, OLD.entrants))
        AND (OLD.drawn_at IS NULL OR NEW.drawn_at = OLD.drawn_at) THEN
        RETURN NEW;
    END IF;
    RAISE integrity_constraint_violation USING MESSAGE = format('the room of %s is drawn once and goes forward', NEW.sale_id);
END $$;

CREATE FUNCTION turn_comes_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.status, NEW.status) IN (('WAITING', 'ADMITTED'), ('ADMITTED', 'USED'), ('ADMITTED', 'EXPIRED'))
        AND (NEW.id, NEW.sale_id, NEW.account_id, NEW.number, NEW.joined_at) = (OLD.id, OLD.sale_id, OLD.account_id, OLD.number, OLD.joined_at)
        AND NEW.lot IS NOT DISTINCT FROM OLD.lot
        AND (OLD.admitted_until IS NULL OR NEW.admitted_until = OLD.admitted_until) THEN
        RETURN NEW;
    END IF;
    RAISE integrity_constraint_violation USING CONSTRAINT = TG_NAME, MESSAGE = format('ticket %s is %s and cannot become %s', OLD.id, OLD.status, NEW.status);
END $$;
-- +goose StatementEnd
CREATE TRIGGER seed_stays BEFORE UPDATE OF seed ON sales FOR EACH ROW WHEN (NEW.seed <> OLD.seed) EXECUTE FUNCTION seed_stays();
CREATE TRIGGER drawn_once BEFORE UPDATE ON rooms FOR EACH ROW EXECUTE FUNCTION drawn_once();
CREATE TRIGGER turn_comes_once BEFORE UPDATE ON tickets FOR EACH ROW EXECUTE FUNCTION turn_comes_once();
CREATE TRIGGER stays BEFORE DELETE ON rooms FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER stays BEFORE DELETE ON tickets FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER stays BEFORE UPDATE OR DELETE ON milestones FOR EACH ROW EXECUTE FUNCTION refuse();
