-- +goose Up

-- The sheets of a variant are found by their last seq, and by nothing else. There were two indexes that begin with the variant, and nothing
-- told PostgreSQL which of them answers a question about the newest sheet at once and which reads all there are: of a new table it knows
-- nothing. One is enough, for where sheets end says where they begin: stock_agrees sees all that end behind what was there before.
ALTER TABLE sheets DROP CONSTRAINT sheets_pkey;
ALTER TABLE sheets DROP CONSTRAINT sheets_variant_id_last_seq_key;
ALTER TABLE sheets ADD PRIMARY KEY (variant_id, last_seq);

-- Ids of reservations are compared in one collation everywhere: asked in the other, an index is of no use, and every end of a hold read all there
-- were before.
DROP VIEW ledger;
ALTER TABLE movements ALTER reservation_id TYPE text COLLATE "C";
CREATE VIEW ledger AS
SELECT variant_id, seq, at, kind, quantity, warehouse_id, on_hand_after, held_after, reservation_id, order_id, reason, idempotency_key, pool_id FROM movements
UNION ALL
SELECT variant_id, seq, at, 'HOLD', quantity, warehouse_id, on_hand_after, held_after, reservation_id, order_id, NULL, key, NULL FROM sheet_lines;

-- +goose StatementBegin
-- A sheet is whole. Its levels have moved that far, and no other movement is where its own are. What a CHECK could say is said here all
-- the same, for a CHECK is read and planned anew by each statement.
CREATE OR REPLACE FUNCTION sheet_moves_stock() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    n bigint := NEW.last_seq - NEW.first_seq + 1;
BEGIN
    IF (NEW.first_seq > 0 AND n > 0 AND cardinality(NEW.tails) = n AND cardinality(NEW.places) = n AND cardinality(NEW.quantities) = n
        AND cardinality(NEW.order_ids) = n AND cardinality(NEW.account_ids) = n AND cardinality(NEW.keys) = n AND cardinality(NEW.expires_at) = n
        AND cardinality(NEW.on_hand_after) = cardinality(NEW.warehouse_ids) AND cardinality(NEW.held_after) = cardinality(NEW.warehouse_ids)) IS NOT TRUE
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
    IF EXISTS (SELECT FROM stock s WHERE s.variant_id = NEW.variant_id AND s.seq = NEW.last_seq AND s.xmin = pg_current_xact_id()::xid) THEN
        RETURN NULL; -- it is at the head, and stock_agrees looks at all that has come there
    END IF;
    IF NOT EXISTS (SELECT FROM stock s WHERE s.variant_id = NEW.variant_id AND s.seq >= NEW.last_seq)
       OR cardinality(NEW.warehouse_ids) <> (SELECT count(*) FROM levels l WHERE l.variant_id = NEW.variant_id AND l.warehouse_id = ANY (NEW.warehouse_ids) AND l.seq >= NEW.last_seq)
       OR EXISTS (SELECT FROM sheets o WHERE o.variant_id = NEW.variant_id AND o.last_seq >= NEW.first_seq AND o.first_seq <= NEW.last_seq AND o.last_seq <> NEW.last_seq)
       OR EXISTS (SELECT FROM movements g WHERE g.variant_id = NEW.variant_id AND g.seq BETWEEN NEW.first_seq AND NEW.last_seq)
    THEN
        RAISE integrity_constraint_violation USING MESSAGE = format('the sheet of %s from %s to %s moved nothing, or what was moved before', NEW.variant_id, NEW.first_seq, NEW.last_seq);
    END IF;
    RETURN NULL;
END $$;

-- No movement is ahead of the stock and the level that it moves, nor where a sheet has one.
CREATE OR REPLACE FUNCTION moves_stock() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
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
    SELECT a.variant_id INTO variant FROM added a
    WHERE a.seq >= (SELECT s.first_seq FROM sheets s WHERE s.variant_id = a.variant_id AND s.last_seq >= a.seq ORDER BY s.last_seq LIMIT 1)
    LIMIT 1;
    IF FOUND THEN
        RAISE integrity_constraint_violation USING MESSAGE = format('a movement of %s is there twice', variant);
    END IF;
    RETURN NULL;
END $$;

-- A level is as the newest movement in its place left it, or the sheet that has it.
CREATE OR REPLACE FUNCTION level_agrees() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    l levels;
    sheet sheets; -- the one that has it, or else the next
    place integer;
BEGIN
    IF EXISTS ( -- then it is at the head, where nothing else can be; a batch of holds asks no more than this
        SELECT FROM sheets o JOIN stock s ON s.variant_id = o.variant_id
        WHERE o.variant_id = NEW.variant_id AND o.last_seq = NEW.seq AND s.seq = NEW.seq
          AND (NEW.warehouse_id, NEW.on_hand, NEW.held) = (o.warehouse_ids[1], o.on_hand_after[1], o.held_after[1]))
    THEN
        RETURN NULL;
    END IF;
    SELECT * INTO l FROM levels WHERE variant_id = NEW.variant_id AND warehouse_id = NEW.warehouse_id;
    SELECT * INTO sheet FROM sheets WHERE variant_id = l.variant_id AND last_seq >= l.seq ORDER BY last_seq LIMIT 1;
    place := array_position(sheet.warehouse_ids, l.warehouse_id);
    IF (CASE WHEN sheet.first_seq <= l.seq THEN (sheet.last_seq, sheet.on_hand_after[place], sheet.held_after[place]) IS DISTINCT FROM (l.seq, l.on_hand, l.held)
            ELSE NOT EXISTS (SELECT FROM movements g WHERE g.variant_id = l.variant_id AND g.seq = l.seq
                               AND g.warehouse_id = l.warehouse_id AND g.on_hand_after = l.on_hand AND g.held_after = l.held) END)
       OR EXISTS (SELECT FROM movements g WHERE g.variant_id = l.variant_id AND g.seq > l.seq AND g.warehouse_id = l.warehouse_id)
       OR EXISTS (SELECT FROM sheets x WHERE x.variant_id = l.variant_id AND x.last_seq > l.seq AND l.warehouse_id = ANY (x.warehouse_ids))
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
    IF EXISTS ( -- then there is one sheet and nothing else; a batch of holds asks no more than this
        SELECT FROM sheets o
        WHERE o.variant_id = NEW.variant_id AND o.last_seq = NEW.seq AND o.first_seq = since + 1
          AND (NEW.on_hand, NEW.held, cardinality(o.warehouse_ids))
            = (SELECT sum(l.on_hand), sum(l.held), count(*) FILTER (WHERE l.seq = NEW.seq AND l.warehouse_id = ANY (o.warehouse_ids)) FROM levels l WHERE l.variant_id = NEW.variant_id)
          AND NOT EXISTS (SELECT FROM movements g WHERE g.variant_id = NEW.variant_id AND g.seq > since AND g.seq <= NEW.seq)
          AND NOT EXISTS (SELECT FROM sheets x WHERE x.variant_id = NEW.variant_id AND x.last_seq > since AND x.last_seq < NEW.seq))
    THEN
        RETURN NULL;
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

-- What ended was held, and all of it has moved.
CREATE OR REPLACE FUNCTION all_lines_end() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM sheets s WHERE s.id = left(NEW.reservation_id, -2) AND right(NEW.reservation_id, 2) = ANY (s.tails))
       OR EXISTS (
           SELECT s.variant_id, s.warehouse_ids[s.places[nth]] FROM sheets s, unnest(array_positions(s.tails, right(NEW.reservation_id, 2))) AS nth
           WHERE s.id = left(NEW.reservation_id, -2)
           EXCEPT
           SELECT g.variant_id, g.warehouse_id FROM movements g WHERE g.reservation_id = NEW.reservation_id)
    THEN
        RAISE integrity_constraint_violation USING MESSAGE = format('reservation %s is not %s: units of it are still held, or never were', NEW.reservation_id, NEW.status);
    END IF;
    RETURN NULL;
END $$;

-- Of what is undone, all comes back; and nothing begins as undone.
CREATE OR REPLACE FUNCTION all_lines_come_back() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    IF TG_OP = 'INSERT' OR EXISTS (
        SELECT s.variant_id, s.warehouse_ids[s.places[nth]] FROM sheets s, unnest(array_positions(s.tails, right(NEW.reservation_id, 2))) AS nth
        WHERE s.id = left(NEW.reservation_id, -2)
        EXCEPT
        SELECT g.variant_id, g.warehouse_id FROM movements g WHERE g.reservation_id = NEW.reservation_id AND g.kind = 'RESTOCK')
    THEN
        RAISE integrity_constraint_violation USING MESSAGE = format('reservation %s is not RESTOCKED: units of it are still sold, or never were', NEW.reservation_id);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd

-- Every hold paid for this, to save a look at old keys once a minute. They are found by going round the table instead.
DROP INDEX hold_answers_by_age;
