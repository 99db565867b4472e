-- +goose Up
-- A sale. Whoever moves units of it, or changes a booking in it, locks this row first: that is what makes seq rise by one.
CREATE TABLE sales (
    id                text PRIMARY KEY,
    seller_id         text NOT NULL,
    title             text NOT NULL,
    starts_at         timestamptz NOT NULL,
    ends_at           timestamptz NOT NULL,
    limit_per_account integer NOT NULL CHECK (limit_per_account BETWEEN 1 AND 100),
    hold_seconds      integer NOT NULL CHECK (hold_seconds > 0),
    cancelled_at      timestamptz,
    told              text NOT NULL CHECK (told IN ('SCHEDULED', 'OPEN', 'ENDED', 'CANCELLED')), -- what was last noted as time went by
    seq               bigint NOT NULL CHECK (seq >= 0), -- of the newest row of the log
    CHECK (starts_at < ends_at)
) WITH (fillfactor = 50);
CREATE INDEX sales_by_start ON sales (starts_at);
CREATE INDEX sales_to_open ON sales (starts_at) WHERE told = 'SCHEDULED';
CREATE INDEX sales_to_close ON sales (ends_at) WHERE told IN ('SCHEDULED', 'OPEN');

-- The units of one variant in a sale. Every one of them is remaining, held or sold.
CREATE TABLE pools (
    sale_id           text NOT NULL REFERENCES sales,
    variant_id        text NOT NULL,
    position          integer NOT NULL,
    amount            bigint NOT NULL CHECK (amount > 0),
    currency          text NOT NULL,
    limit_per_account integer NOT NULL CHECK (limit_per_account BETWEEN 1 AND 100),
    quantity          integer NOT NULL DEFAULT 0,
    remaining         integer NOT NULL DEFAULT 0,
    held              integer NOT NULL DEFAULT 0,
    sold              integer NOT NULL DEFAULT 0,
    seq               bigint NOT NULL DEFAULT 0, -- of the row of the log that left it so
    PRIMARY KEY (sale_id, variant_id),
    CONSTRAINT pools_add_up CHECK (remaining + held + sold = quantity AND remaining >= 0 AND held >= 0 AND sold >= 0)
) WITH (fillfactor = 50);
CREATE INDEX pools_of_variant ON pools (variant_id);

CREATE TABLE bookings (
    id           text PRIMARY KEY,
    sale_id      text NOT NULL,
    variant_id   text NOT NULL,
    account_id   text NOT NULL,
    key          text NOT NULL,
    status       text NOT NULL CHECK (status IN ('HELD', 'BOOKED', 'RELEASED', 'EXPIRED')),
    amount       bigint NOT NULL,
    currency     text NOT NULL,
    order_id     text NOT NULL,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    sale_slot    integer NOT NULL CHECK (sale_slot > 0),
    variant_slot integer NOT NULL CHECK (variant_slot > 0),
    FOREIGN KEY (sale_id, variant_id) REFERENCES pools,
    CHECK (created_at < expires_at AND expires_at <= created_at + interval '1 hour'),
    CHECK (status <> 'BOOKED' OR order_id <> '')
) WITH (fillfactor = 80);
-- A key names one booking for ever.
CREATE UNIQUE INDEX bookings_of_key ON bookings (account_id, key);
-- An account has at most one unit in each of its places, in the sale and of the variant: the places are as many as it may have.
CREATE UNIQUE INDEX bookings_of_account ON bookings (sale_id, account_id, sale_slot) WHERE status IN ('HELD', 'BOOKED');
CREATE UNIQUE INDEX bookings_of_account_and_variant ON bookings (sale_id, variant_id, account_id, variant_slot) WHERE status IN ('HELD', 'BOOKED');
CREATE INDEX bookings_due ON bookings (expires_at) WHERE status = 'HELD';
CREATE INDEX bookings_next_to_end ON bookings (sale_id, variant_id, expires_at) WHERE status = 'HELD';
-- An order pays for one booking.
CREATE UNIQUE INDEX bookings_of_order ON bookings (order_id) WHERE order_id <> '';

-- Everything that ever happened in a sale, append-only, with the counts of the variant after it.
CREATE TABLE log (
    sale_id    text NOT NULL,
    seq        bigint NOT NULL CHECK (seq > 0),
    at         timestamptz NOT NULL,
    kind       text NOT NULL,
    variant_id text,
    quantity   integer NOT NULL,
    booking_id text,
    change_id  text,
    total      integer NOT NULL, -- remaining + held + sold
    remaining  integer NOT NULL,
    held       integer NOT NULL,
    sold       integer NOT NULL,
    PRIMARY KEY (sale_id, seq),
    CONSTRAINT log_adds_up CHECK (remaining + held + sold = total AND remaining >= 0 AND held >= 0 AND sold >= 0),
    CONSTRAINT log_kind CHECK (CASE
        WHEN kind IN ('ALLOT', 'RETURN') THEN variant_id IS NOT NULL AND quantity > 0 AND booking_id IS NULL AND change_id IS NOT NULL
        WHEN kind IN ('HOLD', 'SELL', 'RELEASE', 'EXPIRE') THEN variant_id IS NOT NULL AND quantity = 1 AND booking_id IS NOT NULL AND change_id IS NULL
        WHEN kind IN ('OPENED', 'CLOSED', 'CALLED_OFF') THEN variant_id IS NULL AND quantity = 0 AND booking_id IS NULL AND change_id IS NULL
        ELSE false END)
);
-- A unit is held once and ends once: sold, given back or run out, never two of these.
CREATE UNIQUE INDEX log_ends_once ON log (booking_id, (kind = 'HOLD')) WHERE booking_id IS NOT NULL;
-- The units of a change come in once, and those of a transfer go out once.
CREATE UNIQUE INDEX log_of_change ON log (change_id, variant_id, kind) WHERE change_id IS NOT NULL;

-- Plans on their way to becoming true, one at a time for each sale.
CREATE TABLE changes (
    id         text PRIMARY KEY,
    sale_id    text NOT NULL,
    account_id text NOT NULL,
    seller_id  text NOT NULL,
    key        text NOT NULL,
    input_hash bytea NOT NULL,
    plan       jsonb NOT NULL,
    needs      jsonb NOT NULL,
    decision   text NOT NULL CHECK (decision IN ('PENDING', 'APPLIED', 'REFUSED')),
    refusal    jsonb,
    created_at timestamptz NOT NULL,
    CHECK ((decision = 'REFUSED') = (refusal IS NOT NULL))
);
CREATE UNIQUE INDEX changes_of_key ON changes (account_id, key);
CREATE UNIQUE INDEX changes_one_at_a_time ON changes (sale_id) WHERE decision = 'PENDING';
CREATE INDEX changes_pending ON changes (created_at) WHERE decision = 'PENDING';

-- Units that have left a sale and go back into stock.
CREATE TABLE transfers (
    id         text PRIMARY KEY,
    sale_id    text NOT NULL,
    lines      jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    done_at    timestamptz
);
CREATE INDEX transfers_pending ON transfers (created_at) WHERE done_at IS NULL;

-- +goose StatementBegin
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE integrity_constraint_violation USING MESSAGE = format('%s of %s is refused', TG_OP, TG_TABLE_NAME);
END $$;

CREATE FUNCTION ends_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.status = 'HELD' AND NEW.order_id = '' THEN RETURN NEW; END IF;
    ELSIF OLD.status = 'HELD'
        AND (NEW.id, NEW.sale_id, NEW.variant_id, NEW.account_id, NEW.key, NEW.amount, NEW.currency, NEW.created_at, NEW.sale_slot, NEW.variant_slot)
          = (OLD.id, OLD.sale_id, OLD.variant_id, OLD.account_id, OLD.key, OLD.amount, OLD.currency, OLD.created_at, OLD.sale_slot, OLD.variant_slot)
        AND (NEW.order_id = OLD.order_id OR OLD.order_id = '')
        AND (NEW.expires_at = OLD.expires_at OR NEW.expires_at > OLD.expires_at AND OLD.order_id = '' AND NEW.order_id <> '') THEN
        RETURN NEW; -- it lasts longer once: when an order begins to pay for it
    END IF;
    RAISE integrity_constraint_violation USING MESSAGE = format('booking %s begins HELD, ends once and changes in little else', NEW.id);
END $$;

CREATE FUNCTION decided_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.decision = 'PENDING' THEN RETURN NEW; END IF;
    RAISE integrity_constraint_violation USING MESSAGE = format('change %s is %s already', OLD.id, OLD.decision);
END $$;
-- +goose StatementEnd
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON log FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER append_only_too BEFORE TRUNCATE ON log EXECUTE FUNCTION refuse();
CREATE TRIGGER stays BEFORE DELETE ON sales FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER stays BEFORE DELETE ON pools FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER stays BEFORE DELETE ON bookings FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER stays BEFORE DELETE ON changes FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER stays BEFORE DELETE ON transfers FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER ends_once BEFORE INSERT OR UPDATE ON bookings FOR EACH ROW EXECUTE FUNCTION ends_once();
CREATE TRIGGER decided_once BEFORE UPDATE ON changes FOR EACH ROW EXECUTE FUNCTION decided_once();

-- What follows is checked at commit: the log, the pools and the bookings tell the same story.

-- +goose StatementBegin
CREATE FUNCTION pool_agrees() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM pools p JOIN log g ON g.sale_id = p.sale_id AND g.seq = p.seq
        WHERE p.sale_id = NEW.sale_id AND p.variant_id = NEW.variant_id AND g.variant_id = p.variant_id
          AND (g.total, g.remaining, g.held, g.sold) = (p.quantity, p.remaining, p.held, p.sold))
    THEN
        RAISE integrity_constraint_violation USING MESSAGE = format('the log does not say so of %s in %s', NEW.variant_id, NEW.sale_id);
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION booking_agrees() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM log g WHERE g.booking_id = NEW.id AND g.sale_id = NEW.sale_id AND g.variant_id = NEW.variant_id
          AND g.kind = CASE NEW.status WHEN 'HELD' THEN 'HOLD' WHEN 'BOOKED' THEN 'SELL' WHEN 'RELEASED' THEN 'RELEASE' ELSE 'EXPIRE' END)
    THEN
        RAISE integrity_constraint_violation USING MESSAGE = format('the log does not say that booking %s is %s', NEW.id, NEW.status);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE CONSTRAINT TRIGGER agrees AFTER INSERT OR UPDATE ON pools DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION pool_agrees();
CREATE CONSTRAINT TRIGGER agrees AFTER INSERT OR UPDATE OF status ON bookings DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION booking_agrees();

-- What became true and was not told yet: written in the transaction that made it true, deleted once NATS has it.
CREATE TABLE outbox (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id   text NOT NULL UNIQUE,
    subject    text NOT NULL,
    payload    jsonb NOT NULL,
    headers    jsonb,
    created_at timestamptz NOT NULL DEFAULT now()
);

