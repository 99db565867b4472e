-- +goose Up

-- What is moved by hand changes by what its ledger says, and not only ends up where it says: units that are forged in one place and missing in
-- another pass no more, nor does a hold that a movement of one's own sets free.

-- +goose StatementBegin
-- A level is as the newest movement in its place left it, or the sheet that has it; it has changed by what those say that are newer than it was; and
-- the stock is the sum of it and the others, though it may not have moved.
CREATE OR REPLACE FUNCTION level_agrees() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    l levels;
    sheet sheets; -- the one that has it, or else the next
    place integer;
    since bigint := CASE TG_OP WHEN 'UPDATE' THEN OLD.seq ELSE 0 END;
    on_hand_before integer := CASE TG_OP WHEN 'UPDATE' THEN OLD.on_hand ELSE 0 END;
    held_before integer := CASE TG_OP WHEN 'UPDATE' THEN OLD.held ELSE 0 END;
BEGIN
    SELECT * INTO l FROM levels WHERE variant_id = NEW.variant_id AND warehouse_id = NEW.warehouse_id;
    SELECT * INTO sheet FROM sheets WHERE variant_id = l.variant_id AND last_seq >= l.seq ORDER BY last_seq LIMIT 1;
    place := array_position(sheet.warehouse_ids, l.warehouse_id);
    IF (CASE WHEN sheet.first_seq <= l.seq THEN (sheet.last_seq, sheet.on_hand_after[place], sheet.held_after[place]) IS DISTINCT FROM (l.seq, l.on_hand, l.held)
            ELSE NOT EXISTS (SELECT FROM movements g WHERE g.variant_id = l.variant_id AND g.seq = l.seq
                               AND g.warehouse_id = l.warehouse_id AND g.on_hand_after = l.on_hand AND g.held_after = l.held) END)
       OR EXISTS (SELECT FROM movements g WHERE g.variant_id = l.variant_id AND g.seq > l.seq AND g.warehouse_id = l.warehouse_id)
       OR EXISTS (SELECT FROM sheets x WHERE x.variant_id = l.variant_id AND x.last_seq > l.seq AND l.warehouse_id = ANY (x.warehouse_ids))
       OR (l.on_hand - on_hand_before, l.held - held_before) <> (
           SELECT coalesce(sum(e.on_hand), 0), coalesce(sum(e.held), 0) FROM (
               SELECT CASE WHEN g.kind IN ('RELEASE', 'EXPIRE') THEN 0 ELSE g.quantity END AS on_hand,
                      CASE WHEN g.kind IN ('COMMIT', 'RELEASE', 'EXPIRE') THEN g.quantity ELSE 0 END AS held
               FROM movements g WHERE g.variant_id = l.variant_id AND g.seq > since AND g.seq <= l.seq AND g.warehouse_id = l.warehouse_id
               UNION ALL
               SELECT 0, q.n FROM sheets o, unnest(o.quantities, o.places) AS q (n, place)
               WHERE o.variant_id = l.variant_id AND o.last_seq > since AND o.last_seq <= l.seq AND o.warehouse_ids[q.place] = l.warehouse_id) AS e)
       OR NOT EXISTS (
           SELECT FROM stock s
           WHERE s.variant_id = l.variant_id AND (s.on_hand, s.held) = (SELECT sum(x.on_hand), sum(x.held) FROM levels x WHERE x.variant_id = l.variant_id))
    THEN
        RAISE integrity_constraint_violation USING MESSAGE = format('the ledger does not say so of %s in %s', NEW.variant_id, NEW.warehouse_id);
    END IF;
    RETURN NULL;
END $$;

-- Stock is the sum of its levels, and its seq rises with whatever happens to it; the movements and sheets that brought it there follow each other
-- without a gap. Every movement is seen here once, for none is ahead of its stock, and no two are at one seq.
CREATE OR REPLACE FUNCTION stock_agrees() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    since bigint := CASE TG_OP WHEN 'UPDATE' THEN OLD.seq ELSE 0 END;
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
    RETURN NULL;
END $$;

-- A movement by hand ends no hold: that is its ending's to write. It moved its stock and its level, and is at no seq of a sheet.
CREATE OR REPLACE FUNCTION moves_stock() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    variant text;
BEGIN
    SELECT a.variant_id INTO variant FROM added a WHERE a.reservation_id IS NOT NULL LIMIT 1;
    IF FOUND THEN
        RAISE integrity_constraint_violation USING MESSAGE = format('a movement of %s ends a hold, and is not its ending''s', variant);
    END IF;
    SELECT a.variant_id INTO variant FROM (SELECT variant_id, warehouse_id, max(seq) AS seq FROM added GROUP BY 1, 2) a
    WHERE NOT EXISTS (
        SELECT FROM levels l JOIN stock s ON s.variant_id = l.variant_id
        WHERE l.variant_id = a.variant_id AND l.warehouse_id = a.warehouse_id AND l.seq >= a.seq AND s.seq >= a.seq)
    LIMIT 1;
    IF FOUND THEN
        RAISE integrity_constraint_violation USING MESSAGE = format('a movement of %s moved nothing', variant);
    END IF;
    SELECT a.variant_id INTO variant FROM added a
    WHERE a.seq >= (SELECT s.first_seq FROM sheets s WHERE s.variant_id = a.variant_id AND s.last_seq >= a.seq ORDER BY s.last_seq LIMIT 1)
    LIMIT 1;
    IF FOUND THEN
        RAISE integrity_constraint_violation USING MESSAGE = format('a movement of %s is there twice', variant);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd

-- A connection of a build before this one keeps the plans of a function it has run, with the types that columns had: this has it make them anew.
ALTER FUNCTION ends_once() VOLATILE;
