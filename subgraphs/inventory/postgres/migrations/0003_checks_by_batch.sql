-- +goose Up

-- The same promises as before, kept once for each statement or each variant that moved, not once for each row: a
-- transaction that holds a variant for hundreds of customers pays for them once. Within a transaction the ledger is written
-- after the levels and sums it explains, and lines of reservations after the ledger. A process of a build that writes them in
-- another order is refused its holds, and holds nothing.

DROP TRIGGER agrees ON ledger;
DROP FUNCTION ledger_agrees;
DROP TRIGGER is_held ON reservation_lines;
DROP TRIGGER agrees ON stock;

-- These checks look up a few rows by their keys, whatever the statistics say: of a new table they say that it is empty.

-- +goose StatementBegin
-- A level is as the newest movement in its place left it.
CREATE OR REPLACE FUNCTION level_agrees() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    l levels;
BEGIN
    SELECT * INTO l FROM levels WHERE variant_id = NEW.variant_id AND warehouse_id = NEW.warehouse_id;
    IF NOT EXISTS (
           SELECT FROM ledger g WHERE g.variant_id = NEW.variant_id AND g.seq = l.seq
             AND g.warehouse_id = NEW.warehouse_id AND g.on_hand_after = l.on_hand AND g.held_after = l.held)
       OR EXISTS (SELECT FROM ledger g WHERE g.variant_id = NEW.variant_id AND g.seq > l.seq AND g.warehouse_id = NEW.warehouse_id)
    THEN
        RAISE integrity_constraint_violation USING MESSAGE = format('the ledger does not say so of %s in %s', NEW.variant_id, NEW.warehouse_id);
    END IF;
    RETURN NULL;
END $$;

-- Stock is the sum of its levels and at the head of its ledger; the movements that brought it there have no gap, and those
-- of reservations are what these say. Every movement is seen here once, for none is ahead of its stock: see moves_stock.
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
          AND CASE g.kind WHEN 'HOLD' THEN true WHEN 'COMMIT' THEN r.status = 'COMMITTED' WHEN 'RELEASE' THEN r.status = 'RELEASED' ELSE r.status = 'EXPIRED' END)
    LIMIT 1;
    IF FOUND THEN
        RAISE integrity_constraint_violation USING MESSAGE = format('no reservation knows of movement %s of %s', wrong, NEW.variant_id);
    END IF;
    RETURN NULL;
END $$;

-- No movement is ahead of the stock and the level that it moves.
CREATE FUNCTION moves_stock() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    variant text;
BEGIN
    SELECT a.variant_id INTO variant FROM (SELECT variant_id, warehouse_id, max(seq) AS seq FROM added GROUP BY 1, 2) a
    WHERE NOT EXISTS (
        SELECT FROM levels l JOIN stock s ON s.variant_id = l.variant_id
        WHERE l.variant_id = a.variant_id AND l.warehouse_id = a.warehouse_id AND l.seq >= a.seq AND s.seq >= a.seq)
    LIMIT 1;
    IF FOUND THEN
        RAISE integrity_constraint_violation USING MESSAGE = format('a movement of %s moved nothing', variant);
    END IF;
    RETURN NULL;
END $$;

-- Every line is held by a movement. That one has a reservation, or else stock_agrees refuses it, and a level, or else
-- moves_stock does; neither ever goes, so a line needs no foreign keys besides.
CREATE OR REPLACE FUNCTION line_is_held() RETURNS trigger LANGUAGE plpgsql
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    line reservation_lines;
BEGIN
    SELECT a.* INTO line FROM added a WHERE NOT EXISTS (
        SELECT FROM ledger g
        WHERE g.reservation_id = a.reservation_id AND g.variant_id || '' = a.variant_id -- not by the ledger's primary key
          AND g.warehouse_id = a.warehouse_id AND g.kind = 'HOLD' AND g.quantity = a.quantity)
    LIMIT 1;
    IF FOUND THEN
        RAISE integrity_constraint_violation USING MESSAGE = format('reservation %s holds nothing of %s', line.reservation_id, line.variant_id);
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION all_lines_end() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    IF NEW.status <> 'HELD' AND EXISTS (
        SELECT FROM reservation_lines n
        WHERE n.reservation_id = NEW.id AND NOT EXISTS (
            SELECT FROM ledger g
            WHERE g.reservation_id = NEW.id AND g.variant_id || '' = n.variant_id AND g.warehouse_id = n.warehouse_id AND g.kind <> 'HOLD'))
    THEN
        RAISE integrity_constraint_violation USING MESSAGE = format('reservation %s is %s, but units of it are still held', NEW.id, NEW.status);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd

CREATE CONSTRAINT TRIGGER agrees AFTER INSERT OR UPDATE ON stock DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION stock_agrees();
CREATE TRIGGER moves_stock AFTER INSERT ON ledger REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION moves_stock();
CREATE TRIGGER is_held AFTER INSERT ON reservation_lines REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION line_is_held();

ALTER TABLE reservation_lines DROP CONSTRAINT reservation_lines_reservation_id_fkey;
ALTER TABLE reservation_lines DROP CONSTRAINT reservation_lines_variant_id_warehouse_id_fkey;
CREATE TRIGGER keeps_its_key BEFORE UPDATE ON levels FOR EACH ROW
    WHEN ((OLD.variant_id, OLD.warehouse_id) <> (NEW.variant_id, NEW.warehouse_id)) EXECUTE FUNCTION refuse();
CREATE TRIGGER stays_too BEFORE TRUNCATE ON stock EXECUTE FUNCTION refuse();
CREATE TRIGGER stays_too BEFORE TRUNCATE ON levels EXECUTE FUNCTION refuse();
CREATE TRIGGER stays_too BEFORE TRUNCATE ON reservations EXECUTE FUNCTION refuse();
CREATE TRIGGER stays_too BEFORE TRUNCATE ON reservation_lines EXECUTE FUNCTION refuse();

-- The same rule as before, without a call for each of the many that keep it.
DROP TRIGGER ends_once ON reservations;
CREATE TRIGGER begins_held BEFORE INSERT ON reservations FOR EACH ROW WHEN (NEW.status <> 'HELD') EXECUTE FUNCTION ends_once();
CREATE TRIGGER ends_once BEFORE UPDATE ON reservations FOR EACH ROW EXECUTE FUNCTION ends_once();
