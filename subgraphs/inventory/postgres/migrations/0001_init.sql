-- +goose Up
CREATE TABLE warehouses (
    id         text PRIMARY KEY,
    code       text NOT NULL UNIQUE CHECK (code ~ '^[A-Z0-9-]{2,16}$'),
    name       text NOT NULL,
    pincode    text NOT NULL,
    country    text NOT NULL,
    latitude   double precision NOT NULL CHECK (latitude BETWEEN -90 AND 90),
    longitude  double precision NOT NULL CHECK (longitude BETWEEN -180 AND 180),
    version    integer NOT NULL CHECK (version > 0),
    updated_at timestamptz NOT NULL
);

-- Whose goods a variant is, as the catalogue last said.
CREATE TABLE items (
    variant_id text PRIMARY KEY,
    product_id text NOT NULL,
    seller_id  text NOT NULL,
    sku        text NOT NULL,
    version    integer NOT NULL, -- of the product; 0 when we asked rather than heard
    listed     boolean NOT NULL  -- false once the product no longer has this variant
);
CREATE INDEX items_of_product ON items (product_id);
CREATE INDEX items_of_seller ON items (seller_id, variant_id);

-- A variant over all warehouses. Whoever moves units of it locks this row first: that is what makes seq rise by one.
CREATE TABLE stock (
    variant_id text PRIMARY KEY REFERENCES items,
    seq        bigint NOT NULL DEFAULT 0 CHECK (seq >= 0), -- of the newest row of the ledger
    on_hand    integer NOT NULL DEFAULT 0,
    held       integer NOT NULL DEFAULT 0,
    CHECK (0 <= held AND held <= on_hand AND on_hand <= 1000000000)
) WITH (fillfactor = 50);

-- A variant in one warehouse.
CREATE TABLE levels (
    variant_id   text NOT NULL REFERENCES stock,
    warehouse_id text NOT NULL REFERENCES warehouses,
    on_hand      integer NOT NULL DEFAULT 0,
    held         integer NOT NULL DEFAULT 0,
    seq          bigint NOT NULL DEFAULT 0, -- of the row of the ledger that left it so
    PRIMARY KEY (variant_id, warehouse_id),
    CHECK (0 <= held AND held <= on_hand)
) WITH (fillfactor = 50);
CREATE INDEX levels_in_warehouse ON levels (warehouse_id, variant_id);

CREATE TABLE reservations (
    id         text PRIMARY KEY,
    order_id   text NOT NULL,
    account_id text NOT NULL,
    status     text NOT NULL CHECK (status IN ('HELD', 'COMMITTED', 'RELEASED', 'EXPIRED')),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    CHECK (created_at < expires_at AND expires_at <= created_at + interval '24 hours')
);
CREATE INDEX reservations_due ON reservations (expires_at) WHERE status = 'HELD';

CREATE TABLE reservation_lines (
    reservation_id text NOT NULL REFERENCES reservations,
    variant_id     text NOT NULL,
    warehouse_id   text NOT NULL,
    quantity       integer NOT NULL CHECK (quantity BETWEEN 1 AND 10000),
    PRIMARY KEY (reservation_id, variant_id, warehouse_id),
    FOREIGN KEY (variant_id, warehouse_id) REFERENCES levels
);

-- Everything that ever happened to units, append-only.
CREATE TABLE ledger (
    variant_id      text NOT NULL,
    seq             bigint NOT NULL CHECK (seq > 0),
    at              timestamptz NOT NULL,
    kind            text NOT NULL,
    quantity        integer NOT NULL,
    warehouse_id    text NOT NULL,
    on_hand_after   integer NOT NULL,
    held_after      integer NOT NULL,
    reservation_id  text,
    order_id        text,
    reason          text,
    idempotency_key text,
    PRIMARY KEY (variant_id, seq),
    CHECK (0 <= held_after AND held_after <= on_hand_after),
    CHECK (CASE kind
        WHEN 'ADJUST' THEN reservation_id IS NULL AND quantity <> 0
        WHEN 'SET' THEN reservation_id IS NULL
        WHEN 'HOLD' THEN reservation_id IS NOT NULL AND quantity > 0
        WHEN 'RELEASE' THEN reservation_id IS NOT NULL AND quantity < 0
        WHEN 'EXPIRE' THEN reservation_id IS NOT NULL AND quantity < 0
        WHEN 'COMMIT' THEN reservation_id IS NOT NULL AND quantity < 0
        ELSE false END)
);
-- Units are held once and end once: sold, given back or run out, never two of these.
CREATE UNIQUE INDEX ledger_ends_once ON ledger (reservation_id, variant_id, warehouse_id, (kind = 'HOLD')) WHERE reservation_id IS NOT NULL;

-- What was answered to whom, so that asking again changes nothing.
CREATE TABLE answers (
    caller     text NOT NULL,
    key        text NOT NULL,
    input      bytea NOT NULL, -- a hash
    answer     jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (caller, key)
);
CREATE INDEX answers_by_age ON answers USING brin (created_at);

-- +goose StatementBegin
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE integrity_constraint_violation USING MESSAGE = format('%s of %s is refused', TG_OP, TG_TABLE_NAME);
END $$;
-- +goose StatementEnd
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON ledger FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER append_only_too BEFORE TRUNCATE ON ledger EXECUTE FUNCTION refuse();
CREATE TRIGGER stays BEFORE DELETE ON stock FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER stays BEFORE DELETE ON levels FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER stays BEFORE DELETE ON reservations FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER stays BEFORE UPDATE OR DELETE ON reservation_lines FOR EACH ROW EXECUTE FUNCTION refuse();

-- +goose StatementBegin
CREATE FUNCTION ends_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.status = 'HELD' THEN RETURN NEW; END IF;
    ELSIF OLD.status = 'HELD' AND (NEW.id, NEW.order_id, NEW.account_id, NEW.created_at, NEW.expires_at)
        = (OLD.id, OLD.order_id, OLD.account_id, OLD.created_at, OLD.expires_at) THEN
        RETURN NEW;
    END IF;
    RAISE integrity_constraint_violation USING MESSAGE = format('reservation %s begins HELD, ends once and changes in nothing else', NEW.id);
END $$;
-- +goose StatementEnd
CREATE TRIGGER ends_once BEFORE INSERT OR UPDATE ON reservations FOR EACH ROW EXECUTE FUNCTION ends_once();

-- What follows is checked at commit: the ledger, the levels, the sums and the reservations tell the same story.

-- +goose StatementBegin
CREATE FUNCTION level_agrees() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM levels l JOIN ledger g ON g.variant_id = l.variant_id AND g.seq = l.seq
        WHERE l.variant_id = NEW.variant_id AND l.warehouse_id = NEW.warehouse_id AND g.warehouse_id = l.warehouse_id
          AND g.on_hand_after = l.on_hand AND g.held_after = l.held)
    THEN
        RAISE integrity_constraint_violation USING MESSAGE = format('the ledger does not say so of %s in %s', NEW.variant_id, NEW.warehouse_id);
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION stock_agrees() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM stock s
        WHERE s.variant_id = NEW.variant_id
          AND s.seq = (SELECT coalesce(max(g.seq), 0) FROM ledger g WHERE g.variant_id = s.variant_id)
          AND (s.on_hand, s.held) = (SELECT coalesce(sum(l.on_hand), 0), coalesce(sum(l.held), 0) FROM levels l WHERE l.variant_id = s.variant_id))
    THEN
        RAISE integrity_constraint_violation USING MESSAGE = format('the stock of %s is not the sum of its levels', NEW.variant_id);
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION ledger_agrees() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.seq > 1 AND NOT EXISTS (SELECT FROM ledger g WHERE g.variant_id = NEW.variant_id AND g.seq = NEW.seq - 1) THEN
        RAISE integrity_constraint_violation USING MESSAGE = format('the ledger of %s has a gap before %s', NEW.variant_id, NEW.seq);
    END IF;
    IF NOT EXISTS (
        SELECT FROM levels l JOIN stock s ON s.variant_id = l.variant_id
        WHERE l.variant_id = NEW.variant_id AND l.warehouse_id = NEW.warehouse_id AND l.seq >= NEW.seq AND s.seq >= NEW.seq)
    THEN
        RAISE integrity_constraint_violation USING MESSAGE = format('movement %s of %s moved nothing', NEW.seq, NEW.variant_id);
    END IF;
    IF NEW.reservation_id IS NOT NULL AND NOT EXISTS (
        SELECT FROM reservations r JOIN reservation_lines n ON n.reservation_id = r.id
        WHERE r.id = NEW.reservation_id AND n.variant_id = NEW.variant_id AND n.warehouse_id = NEW.warehouse_id AND n.quantity = abs(NEW.quantity)
          AND (NEW.kind, r.status) IN (('HOLD', 'HELD'), ('HOLD', 'COMMITTED'), ('HOLD', 'RELEASED'), ('HOLD', 'EXPIRED'),
                                       ('COMMIT', 'COMMITTED'), ('RELEASE', 'RELEASED'), ('EXPIRE', 'EXPIRED')))
    THEN
        RAISE integrity_constraint_violation USING MESSAGE = format('reservation %s knows nothing of movement %s of %s', NEW.reservation_id, NEW.seq, NEW.variant_id);
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION line_is_held() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM ledger g
        WHERE g.reservation_id = NEW.reservation_id AND g.variant_id = NEW.variant_id AND g.warehouse_id = NEW.warehouse_id
          AND g.kind = 'HOLD' AND g.quantity = NEW.quantity)
    THEN
        RAISE integrity_constraint_violation USING MESSAGE = format('reservation %s holds nothing of %s', NEW.reservation_id, NEW.variant_id);
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION all_lines_end() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status <> 'HELD' AND EXISTS (
        SELECT FROM reservation_lines n
        WHERE n.reservation_id = NEW.id AND NOT EXISTS (
            SELECT FROM ledger g
            WHERE g.reservation_id = n.reservation_id AND g.variant_id = n.variant_id AND g.warehouse_id = n.warehouse_id AND g.kind <> 'HOLD'))
    THEN
        RAISE integrity_constraint_violation USING MESSAGE = format('reservation %s is %s, but units of it are still held', NEW.id, NEW.status);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd

CREATE CONSTRAINT TRIGGER agrees AFTER INSERT OR UPDATE ON levels DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION level_agrees();
CREATE CONSTRAINT TRIGGER agrees AFTER INSERT OR UPDATE ON stock DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION stock_agrees();
CREATE CONSTRAINT TRIGGER agrees AFTER INSERT ON ledger DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_agrees();
CREATE CONSTRAINT TRIGGER is_held AFTER INSERT ON reservation_lines DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION line_is_held();
CREATE CONSTRAINT TRIGGER all_end AFTER UPDATE ON reservations DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION all_lines_end();

-- What became true and was not told yet: written in the transaction that made it true, deleted once NATS has it.
CREATE TABLE outbox (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id   text NOT NULL UNIQUE,
    subject    text NOT NULL,
    payload    jsonb NOT NULL,
    headers    jsonb,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- Which events were handled: written in the transaction that handles them, so that a second delivery changes nothing.
CREATE TABLE inbox (
    consumer   text NOT NULL,
    event_id   text NOT NULL,
    handled_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, event_id)
);
