-- +goose Up
-- What was sold comes back when its order is cancelled, once: into the places it came from, by a movement of its own kind.
ALTER TABLE endings DROP CONSTRAINT endings_status_check;
ALTER TABLE endings ADD CONSTRAINT endings_status_check CHECK (status IN ('COMMITTED', 'RESTOCKED', 'RELEASED', 'EXPIRED')) NOT VALID;
ALTER TABLE movements DROP CONSTRAINT ledger_kind;
ALTER TABLE movements ADD CONSTRAINT ledger_kind CHECK (CASE kind
    WHEN 'ADJUST' THEN reservation_id IS NULL AND quantity <> 0
    WHEN 'SET' THEN reservation_id IS NULL
    WHEN 'RELEASE' THEN reservation_id IS NOT NULL AND quantity < 0
    WHEN 'EXPIRE' THEN reservation_id IS NOT NULL AND quantity < 0
    WHEN 'COMMIT' THEN reservation_id IS NOT NULL AND quantity < 0
    WHEN 'RESTOCK' THEN reservation_id IS NOT NULL AND quantity > 0
    WHEN 'ALLOT' THEN reservation_id IS NULL AND quantity < 0
    WHEN 'RETURN' THEN reservation_id IS NULL AND quantity > 0
    ELSE false END) NOT VALID; -- what is there passed a stricter one
-- Units end once, and come back once.
DROP INDEX ledger_ends_once;
CREATE UNIQUE INDEX ledger_ends_once ON movements (reservation_id, variant_id, warehouse_id, (kind = 'RESTOCK')) WHERE reservation_id IS NOT NULL;

-- +goose StatementBegin
-- A hold ends once, and of how it ended nothing changes but that a sale is undone.
CREATE FUNCTION ends_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF OLD.status = 'COMMITTED' AND NEW.status = 'RESTOCKED' AND NEW.reservation_id = OLD.reservation_id THEN RETURN NEW; END IF;
    END IF;
    RAISE integrity_constraint_violation USING MESSAGE = format('a hold ends once, and only a sale is undone: %s of %s is refused', TG_OP, TG_TABLE_NAME);
END $$;

-- As before, but for units that come back; see 0004.
CREATE OR REPLACE FUNCTION stock_agrees() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    since bigint := CASE TG_OP WHEN 'UPDATE' THEN OLD.seq ELSE 0 END;
    moved bigint;
    ended bigint;
    wrong bigint;
BEGIN
    IF NOT EXISTS (
        SELECT FROM stock s
        WHERE s.variant_id = NEW.variant_id
          AND s.seq = greatest(0, (SELECT max(g.seq) FROM movements g WHERE g.variant_id = s.variant_id),
                               (SELECT h.last_seq FROM sheets h WHERE h.variant_id = s.variant_id ORDER BY h.first_seq DESC LIMIT 1))
          AND (s.on_hand, s.held) = (SELECT coalesce(sum(l.on_hand), 0), coalesce(sum(l.held), 0) FROM levels l WHERE l.variant_id = s.variant_id))
    THEN
        RAISE integrity_constraint_violation USING MESSAGE = format('the stock of %s is not the sum of its levels', NEW.variant_id);
    END IF;
    SELECT count(*), count(g.reservation_id) INTO moved, ended FROM movements g WHERE g.variant_id = NEW.variant_id AND g.seq > since AND g.seq <= NEW.seq;
    IF moved + (SELECT coalesce(sum(s.last_seq - s.first_seq + 1), 0) FROM sheets s WHERE s.variant_id = NEW.variant_id AND s.first_seq > since AND s.first_seq <= NEW.seq)
       <> NEW.seq - since
    THEN
        RAISE integrity_constraint_violation USING MESSAGE = format('the ledger of %s has a gap between %s and %s', NEW.variant_id, since, NEW.seq);
    END IF;
    IF ended = 0 THEN
        RETURN NULL;
    END IF;
    SELECT g.seq INTO wrong FROM movements g
    WHERE g.variant_id = NEW.variant_id AND g.seq > since AND g.seq <= NEW.seq AND g.reservation_id IS NOT NULL AND NOT EXISTS (
        SELECT FROM sheets s, unnest(array_positions(s.tails, right(g.reservation_id, 2))) AS nth, endings e
        WHERE s.id = left(g.reservation_id, -2) AND s.variant_id || '' = g.variant_id -- not by the primary key
          AND s.warehouse_ids[s.places[nth]] = g.warehouse_id AND s.quantities[nth] = abs(g.quantity)
          AND e.reservation_id = g.reservation_id
          AND e.status = CASE g.kind WHEN 'COMMIT' THEN 'COMMITTED' WHEN 'RESTOCK' THEN 'RESTOCKED' WHEN 'RELEASE' THEN 'RELEASED' ELSE 'EXPIRED' END)
    LIMIT 1;
    IF FOUND THEN
        RAISE integrity_constraint_violation USING MESSAGE = format('no hold knows of movement %s of %s', wrong, NEW.variant_id);
    END IF;
    RETURN NULL;
END $$;

-- Of what is undone, all comes back; and nothing begins as undone.
CREATE FUNCTION all_lines_come_back() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    IF TG_OP = 'INSERT' OR EXISTS (
        SELECT FROM sheets s, unnest(array_positions(s.tails, right(NEW.reservation_id, 2))) AS nth
        WHERE s.id = left(NEW.reservation_id, -2) AND NOT EXISTS (
            SELECT FROM movements g
            WHERE g.reservation_id = NEW.reservation_id AND g.variant_id || '' = s.variant_id AND g.warehouse_id = s.warehouse_ids[s.places[nth]]
              AND g.kind = 'RESTOCK'))
    THEN
        RAISE integrity_constraint_violation USING MESSAGE = format('reservation %s is not RESTOCKED: units of it are still sold, or never were', NEW.reservation_id);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
DROP TRIGGER append_only ON endings;
CREATE TRIGGER ends_once BEFORE UPDATE OR DELETE ON endings FOR EACH ROW EXECUTE FUNCTION ends_once();
CREATE CONSTRAINT TRIGGER all_back AFTER INSERT OR UPDATE ON endings DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.status = 'RESTOCKED') EXECUTE FUNCTION all_lines_come_back();
