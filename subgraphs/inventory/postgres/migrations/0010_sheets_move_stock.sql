-- +goose Up

-- A sheet moves the stock and the levels it holds of: what it says and what they are cannot differ, and so nothing has to be asked at commit.
-- Whoever moves stock and levels by hand, for movements, is checked at commit as before, and so is a sheet of a build before this one, whose
-- stock is at its end already.

-- +goose StatementBegin
-- What a sheet says by itself. Said before it is stored, while its arrays are at hand.
CREATE FUNCTION sheet_is_whole() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    n bigint := NEW.last_seq - NEW.first_seq + 1;
BEGIN
    IF (NEW.first_seq > 0 AND n > 0
        AND n = ALL (ARRAY[cardinality(NEW.tails), cardinality(NEW.places), cardinality(NEW.quantities), cardinality(NEW.order_ids),
                           cardinality(NEW.account_ids), cardinality(NEW.keys), cardinality(NEW.expires_at)])
        AND cardinality(NEW.warehouse_ids) = ALL (ARRAY[cardinality(NEW.on_hand_after), cardinality(NEW.held_after)])) IS NOT TRUE
       OR array_position(NEW.tails, NULL) IS NOT NULL OR array_position(NEW.order_ids, NULL) IS NOT NULL
       OR array_position(NEW.account_ids, NULL) IS NOT NULL OR array_position(NEW.keys, NULL) IS NOT NULL
    THEN
        RAISE integrity_constraint_violation USING CONSTRAINT = 'sheets_even', MESSAGE = format('sheet %s of %s is not whole', NEW.id, NEW.variant_id);
    END IF;
    IF (1 <= ALL (NEW.places) AND cardinality(NEW.warehouse_ids) >= ALL (NEW.places) AND 1 <= ALL (NEW.quantities) AND 10000 >= ALL (NEW.quantities)
        AND NEW.at < ALL (NEW.expires_at) AND NEW.at + interval '24 hours' >= ALL (NEW.expires_at)) IS NOT TRUE
    THEN
        RAISE integrity_constraint_violation USING CONSTRAINT = 'sheets_bounds', MESSAGE = format('sheet %s of %s holds too little, too much, too long or nowhere', NEW.id, NEW.variant_id);
    END IF;
    RETURN NEW;
END $$;

-- A sheet goes on from the head of its ledger, and leaves the levels as it says. This is not done before it is stored, for then it may
-- yet not be.
CREATE OR REPLACE FUNCTION sheet_moves_stock() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    n integer;
    total integer := 0;
    here integer;
BEGIN
    FOREACH n IN ARRAY NEW.quantities LOOP
        total := total + n;
    END LOOP;
    UPDATE stock SET seq = NEW.last_seq, held = held + total WHERE variant_id = NEW.variant_id AND seq = NEW.first_seq - 1;
    IF FOUND THEN
        here := total;
        FOR nth IN 1 .. cardinality(NEW.warehouse_ids) LOOP
            IF cardinality(NEW.warehouse_ids) > 1 THEN
                SELECT sum(q.n) INTO here FROM unnest(NEW.quantities, NEW.places) AS q (n, place) WHERE q.place = nth;
            END IF;
            UPDATE levels SET seq = NEW.last_seq, held = held + here
            WHERE variant_id = NEW.variant_id AND warehouse_id = NEW.warehouse_ids[nth] AND seq < NEW.last_seq
              AND on_hand = NEW.on_hand_after[nth] AND held + here = NEW.held_after[nth];
            IF NOT FOUND THEN
                RAISE integrity_constraint_violation USING MESSAGE = format('sheet %s does not say how it leaves %s in %s', NEW.id, NEW.variant_id, NEW.warehouse_ids[nth]);
            END IF;
        END LOOP;
        RETURN NULL;
    END IF;
    -- Or else somebody has moved them to where it ends, which is looked at when that is committed, and nothing else is where it is.
    IF NOT EXISTS (SELECT FROM stock s WHERE s.variant_id = NEW.variant_id AND s.seq >= NEW.last_seq)
       OR cardinality(NEW.warehouse_ids) <> (SELECT count(*) FROM levels l WHERE l.variant_id = NEW.variant_id AND l.warehouse_id = ANY (NEW.warehouse_ids) AND l.seq >= NEW.last_seq)
       OR EXISTS (SELECT FROM sheets o WHERE o.variant_id = NEW.variant_id AND o.last_seq >= NEW.first_seq AND o.first_seq <= NEW.last_seq AND o.last_seq <> NEW.last_seq)
       OR EXISTS (SELECT FROM movements g WHERE g.variant_id = NEW.variant_id AND g.seq BETWEEN NEW.first_seq AND NEW.last_seq)
    THEN
        RAISE integrity_constraint_violation USING MESSAGE = format('the sheet of %s from %s to %s moved nothing, or what was moved before', NEW.variant_id, NEW.first_seq, NEW.last_seq);
    END IF;
    RETURN NULL;
END $$;

-- What follows is for those that are moved by hand.

-- A level is as the newest movement in its place left it, or the sheet that has it; and the stock is the sum of it and the others, though it may not
-- have moved.
CREATE OR REPLACE FUNCTION level_agrees() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    l levels;
    sheet sheets; -- the one that has it, or else the next
    place integer;
BEGIN
    SELECT * INTO l FROM levels WHERE variant_id = NEW.variant_id AND warehouse_id = NEW.warehouse_id;
    SELECT * INTO sheet FROM sheets WHERE variant_id = l.variant_id AND last_seq >= l.seq ORDER BY last_seq LIMIT 1;
    place := array_position(sheet.warehouse_ids, l.warehouse_id);
    IF (CASE WHEN sheet.first_seq <= l.seq THEN (sheet.last_seq, sheet.on_hand_after[place], sheet.held_after[place]) IS DISTINCT FROM (l.seq, l.on_hand, l.held)
            ELSE NOT EXISTS (SELECT FROM movements g WHERE g.variant_id = l.variant_id AND g.seq = l.seq
                               AND g.warehouse_id = l.warehouse_id AND g.on_hand_after = l.on_hand AND g.held_after = l.held) END)
       OR EXISTS (SELECT FROM movements g WHERE g.variant_id = l.variant_id AND g.seq > l.seq AND g.warehouse_id = l.warehouse_id)
       OR EXISTS (SELECT FROM sheets x WHERE x.variant_id = l.variant_id AND x.last_seq > l.seq AND l.warehouse_id = ANY (x.warehouse_ids))
       OR NOT EXISTS (
           SELECT FROM stock s
           WHERE s.variant_id = l.variant_id AND (s.on_hand, s.held) = (SELECT sum(x.on_hand), sum(x.held) FROM levels x WHERE x.variant_id = l.variant_id))
    THEN
        RAISE integrity_constraint_violation USING MESSAGE = format('the ledger does not say so of %s in %s', NEW.variant_id, NEW.warehouse_id);
    END IF;
    RETURN NULL;
END $$;

-- Stock is the sum of its levels, and its seq rises with whatever happens to it; the movements and sheets that brought it there follow
-- each other without a gap, and those that end holds are what these say. Every movement is seen here once, for none is ahead of its
-- stock, and no two are at one seq.
CREATE OR REPLACE FUNCTION stock_agrees() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    since bigint := CASE TG_OP WHEN 'UPDATE' THEN OLD.seq ELSE 0 END;
    wrong bigint;
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.seq <= since THEN
        RAISE integrity_constraint_violation USING MESSAGE = format('the stock of %s does not change without a movement', NEW.variant_id);
    END IF;
    IF NOT EXISTS (
        SELECT FROM stock s
        WHERE s.variant_id = NEW.variant_id
          AND (s.on_hand, s.held) = (SELECT coalesce(sum(l.on_hand), 0), coalesce(sum(l.held), 0) FROM levels l WHERE l.variant_id = s.variant_id))
    THEN
        RAISE integrity_constraint_violation USING MESSAGE = format('the stock of %s is not the sum of its levels', NEW.variant_id);
    END IF;
    IF EXISTS (
        WITH entries AS (
            SELECT g.seq AS first_seq, g.seq AS last_seq, NULL::text[] AS warehouse_ids FROM movements g
            WHERE g.variant_id = NEW.variant_id AND g.seq > since AND g.seq <= NEW.seq
            UNION ALL
            SELECT o.first_seq, o.last_seq, o.warehouse_ids FROM sheets o WHERE o.variant_id = NEW.variant_id AND o.last_seq > since AND o.last_seq <= NEW.seq
            UNION ALL
            SELECT NEW.seq + 1, NEW.seq + 1, NULL
        )
        SELECT FROM (SELECT first_seq, lag(last_seq, 1, since) OVER (ORDER BY first_seq, last_seq) AS before FROM entries) e WHERE e.first_seq <> e.before + 1
        UNION ALL -- every place of a sheet has moved
        SELECT FROM entries e, unnest(e.warehouse_ids) AS warehouse
        WHERE NOT EXISTS (SELECT FROM levels l WHERE l.variant_id = NEW.variant_id AND l.warehouse_id = warehouse AND l.seq >= e.last_seq))
    THEN
        RAISE integrity_constraint_violation USING MESSAGE = format('the ledger of %s has a gap between %s and %s, or a movement twice', NEW.variant_id, since, NEW.seq);
    END IF;
    SELECT g.seq INTO wrong FROM movements g
    WHERE g.variant_id = NEW.variant_id AND g.seq > since AND g.seq <= NEW.seq AND coalesce(g.reservation_id, '') <> '' AND NOT EXISTS ( -- by the primary key, not by the index of reservations
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
-- +goose StatementEnd

CREATE TRIGGER is_whole BEFORE INSERT ON sheets FOR EACH ROW EXECUTE FUNCTION sheet_is_whole();
DROP TRIGGER agrees ON levels;
DROP TRIGGER agrees ON stock;
CREATE CONSTRAINT TRIGGER agrees AFTER INSERT OR UPDATE ON levels DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION level_agrees(); -- not for what a sheet moves; no other trigger may write these tables
CREATE CONSTRAINT TRIGGER agrees AFTER INSERT OR UPDATE ON stock DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION stock_agrees();
