-- +goose Up
-- What was sold comes back when its order is cancelled, once: into the places it came from, by a movement of its own kind.
ALTER TABLE reservations DROP CONSTRAINT reservations_status_check;
ALTER TABLE reservations ADD CONSTRAINT reservations_status_check CHECK (status IN ('HELD', 'COMMITTED', 'RESTOCKED', 'RELEASED', 'EXPIRED')) NOT VALID;
ALTER TABLE ledger DROP CONSTRAINT ledger_kind;
ALTER TABLE ledger ADD CONSTRAINT ledger_kind CHECK (CASE kind
    WHEN 'ADJUST' THEN reservation_id IS NULL AND quantity <> 0
    WHEN 'SET' THEN reservation_id IS NULL
    WHEN 'HOLD' THEN reservation_id IS NOT NULL AND quantity > 0
    WHEN 'RELEASE' THEN reservation_id IS NOT NULL AND quantity < 0
    WHEN 'EXPIRE' THEN reservation_id IS NOT NULL AND quantity < 0
    WHEN 'COMMIT' THEN reservation_id IS NOT NULL AND quantity < 0
    WHEN 'RESTOCK' THEN reservation_id IS NOT NULL AND quantity > 0
    WHEN 'ALLOT' THEN reservation_id IS NULL AND quantity < 0
    WHEN 'RETURN' THEN reservation_id IS NULL AND quantity > 0
    ELSE false END) NOT VALID; -- what is there passed a stricter one
-- Units are held once, end once, and come back once.
DROP INDEX ledger_ends_once;
CREATE UNIQUE INDEX ledger_ends_once ON ledger (reservation_id, variant_id, warehouse_id, (CASE kind WHEN 'HOLD' THEN 0 WHEN 'RESTOCK' THEN 2 ELSE 1 END))
    WHERE reservation_id IS NOT NULL;

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION ends_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.status = 'HELD' THEN RETURN NEW; END IF;
    ELSIF (OLD.status = 'HELD' AND NEW.status <> 'RESTOCKED' OR OLD.status = 'COMMITTED' AND NEW.status = 'RESTOCKED')
        AND (NEW.id, NEW.order_id, NEW.account_id, NEW.created_at, NEW.expires_at)
          = (OLD.id, OLD.order_id, OLD.account_id, OLD.created_at, OLD.expires_at) THEN
        RETURN NEW;
    END IF;
    RAISE integrity_constraint_violation USING MESSAGE = format('reservation %s begins HELD, ends once and changes in nothing else', NEW.id);
END $$;

-- As before, but for units that come back; see 0003.
CREATE OR REPLACE FUNCTION stock_agrees() RETURNS trigger LANGUAGE plpgsql
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    since bigint := CASE TG_OP WHEN 'UPDATE' THEN OLD.seq ELSE 0 END;
    wrong bigint;
BEGIN
    IF NOT EXISTS (
        SELECT FROM stock s
        WHERE s.variant_id = NEW.variant_id
          AND s.seq = (SELECT coalesce(max(g.seq), 0) FROM ledger g WHERE g.variant_id = s.variant_id)
          AND (s.on_hand, s.held) = (SELECT coalesce(sum(l.on_hand), 0), coalesce(sum(l.held), 0) FROM levels l WHERE l.variant_id = s.variant_id))
    THEN
        RAISE integrity_constraint_violation USING MESSAGE = format('the stock of %s is not the sum of its levels', NEW.variant_id);
    END IF;
    IF (SELECT count(*) FROM ledger g WHERE g.variant_id = NEW.variant_id AND g.seq > since AND g.seq <= NEW.seq) <> NEW.seq - since THEN
        RAISE integrity_constraint_violation USING MESSAGE = format('the ledger of %s has a gap between %s and %s', NEW.variant_id, since, NEW.seq);
    END IF;
    SELECT g.seq INTO wrong FROM ledger g
    WHERE g.variant_id = NEW.variant_id AND g.seq > since AND g.seq <= NEW.seq AND g.reservation_id IS NOT NULL AND NOT EXISTS (
        SELECT FROM reservations r JOIN reservation_lines n ON n.reservation_id = r.id
        WHERE r.id = g.reservation_id AND n.variant_id = g.variant_id AND n.warehouse_id = g.warehouse_id AND n.quantity = abs(g.quantity)
          AND CASE g.kind WHEN 'HOLD' THEN true WHEN 'COMMIT' THEN r.status = 'COMMITTED' WHEN 'RELEASE' THEN r.status = 'RELEASED'
                          WHEN 'RESTOCK' THEN r.status = 'RESTOCKED' ELSE r.status = 'EXPIRED' END)
    LIMIT 1;
    IF FOUND THEN
        RAISE integrity_constraint_violation USING MESSAGE = format('no reservation knows of movement %s of %s', wrong, NEW.variant_id);
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION all_lines_end() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    IF NEW.status <> 'HELD' AND EXISTS (
        SELECT FROM reservation_lines n
        WHERE n.reservation_id = NEW.id AND NOT EXISTS (
            SELECT FROM ledger g
            WHERE g.reservation_id = NEW.id AND g.variant_id || '' = n.variant_id AND g.warehouse_id = n.warehouse_id
              AND CASE NEW.status WHEN 'RESTOCKED' THEN g.kind = 'RESTOCK' ELSE g.kind NOT IN ('HOLD', 'RESTOCK') END))
    THEN
        RAISE integrity_constraint_violation USING MESSAGE = format('reservation %s is %s, but not all of its units are', NEW.id, NEW.status);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
