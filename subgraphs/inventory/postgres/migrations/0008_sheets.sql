-- +goose Up

-- Holds that are made together, for one caller or for hundreds, are one row: a sheet. It is their part of the ledger, a movement
-- for each line with the next seq, and all there is to know of them: whose they are, under which key, until when. What ends a hold,
-- or undoes a sale, is a movement of its own, and a row of endings. The ledger is both, and has a row at every seq as before.

ALTER TABLE ledger RENAME TO movements; -- of every kind but HOLD

-- A sheet is for one variant. A hold of several is in several sheets of one id, and its own id is that and two letters more.
CREATE TABLE sheets (
    variant_id    text NOT NULL,
    first_seq     bigint NOT NULL,
    last_seq      bigint NOT NULL,
    id            text COLLATE "C" NOT NULL,
    at            timestamptz NOT NULL,
    due_at        timestamptz, -- when the sweeper has to look at it next; null once all of it has ended
    warehouse_ids text[] NOT NULL, -- where the units are, each once
    on_hand_after integer[] NOT NULL, -- there, after all of the sheet
    held_after    integer[] NOT NULL,
    -- What follows has an element for each movement, in the order of seq.
    tails         text[] NOT NULL, -- the last two letters of the reservation's id
    places        smallint[] NOT NULL, -- which of the warehouses, from 1
    quantities    integer[] NOT NULL,
    order_ids     text[] NOT NULL,
    account_ids   text[] NOT NULL,
    keys          text[] NOT NULL,
    expires_at    timestamptz[] NOT NULL,
    PRIMARY KEY (variant_id, first_seq),
    UNIQUE (variant_id, last_seq)
);
CREATE UNIQUE INDEX sheets_of_holds ON sheets (id, variant_id);
CREATE INDEX sheets_due ON sheets (due_at) WHERE due_at IS NOT NULL;
-- Ids and keys do not shrink, and looking at numbers should not read them.
ALTER TABLE sheets ALTER tails SET STORAGE EXTERNAL, ALTER order_ids SET STORAGE EXTERNAL, ALTER account_ids SET STORAGE EXTERNAL,
    ALTER keys SET STORAGE EXTERNAL, ALTER expires_at SET STORAGE EXTERNAL, ALTER quantities SET STORAGE EXTERNAL, ALTER places SET STORAGE EXTERNAL;

-- How holds ended, and when. A hold that is not here is held.
CREATE TABLE endings (
    reservation_id text COLLATE "C" PRIMARY KEY,
    status         text NOT NULL CHECK (status IN ('COMMITTED', 'RESTOCKED', 'RELEASED', 'EXPIRED')),
    at             timestamptz NOT NULL
);

-- What keys of holds were answered: a reservation, or else what was short.
CREATE TABLE hold_answers (
    key            text COLLATE "C" PRIMARY KEY,
    input          bytea NOT NULL, -- a hash
    reservation_id text,
    short          jsonb,
    created_at     timestamptz NOT NULL,
    CHECK ((reservation_id IS NULL) <> (short IS NULL))
);
CREATE INDEX hold_answers_by_age ON hold_answers USING brin (created_at);

-- What there was moves over, a sheet for each movement.
INSERT INTO sheets
SELECT g.variant_id, g.seq, g.seq, left(g.reservation_id, -2), g.at, CASE r.status WHEN 'HELD' THEN r.expires_at END,
       ARRAY[g.warehouse_id], ARRAY[g.on_hand_after], ARRAY[g.held_after],
       ARRAY[right(g.reservation_id, 2)], ARRAY[1::smallint], ARRAY[g.quantity], ARRAY[r.order_id], ARRAY[r.account_id],
       ARRAY[coalesce(g.idempotency_key, '')], ARRAY[r.expires_at]
FROM movements g JOIN reservations r ON r.id = g.reservation_id WHERE g.kind = 'HOLD';
INSERT INTO endings SELECT id, status, updated_at FROM reservations WHERE status <> 'HELD';
INSERT INTO hold_answers
SELECT key, input, answer->>'reservationId', CASE WHEN answer->>'reservationId' IS NULL THEN answer->'short' END, created_at FROM answers WHERE caller = 'hold';
DELETE FROM answers WHERE caller = 'hold';
ALTER TABLE movements DISABLE TRIGGER append_only;
DELETE FROM movements WHERE kind = 'HOLD';
ALTER TABLE movements ENABLE TRIGGER append_only;
DROP TABLE reservation_lines, reservations;
DROP FUNCTION ends_once, all_lines_end, line_is_held;

-- Units end once, and come back once.
DROP INDEX ledger_ends_once;
CREATE UNIQUE INDEX ledger_ends_once ON movements (reservation_id, variant_id, warehouse_id, (kind = 'RESTOCK')) WHERE reservation_id IS NOT NULL;
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
    ELSE false END) NOT VALID; -- what is there passed the one before

-- The movements of sheets, one by one.
CREATE VIEW sheet_lines AS
SELECT s.id AS sheet_id, s.id || h.tail AS reservation_id, s.variant_id, s.first_seq, s.last_seq, s.first_seq + h.nth - 1 AS seq, s.at, s.due_at,
       s.warehouse_ids[h.place] AS warehouse_id, h.quantity, s.on_hand_after[h.place] AS on_hand_after, (s.held_after[h.place] - h.later)::integer AS held_after,
       h.order_id, h.account_id, h.key, h.expires_at
FROM sheets s CROSS JOIN LATERAL (
    SELECT l.*, coalesce(sum(l.quantity) OVER (PARTITION BY l.place ORDER BY l.nth ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING), 0) AS later
    FROM unnest(s.tails, s.places, s.quantities, s.order_ids, s.account_ids, s.keys, s.expires_at)
         WITH ORDINALITY AS l (tail, place, quantity, order_id, account_id, key, expires_at, nth)
) AS h;

-- Everything that ever happened to units.
CREATE VIEW ledger AS
SELECT variant_id, seq, at, kind, quantity, warehouse_id, on_hand_after, held_after, reservation_id, order_id, reason, idempotency_key, pool_id FROM movements
UNION ALL
SELECT variant_id, seq, at, 'HOLD', quantity, warehouse_id, on_hand_after, held_after, reservation_id, order_id, NULL, key, NULL FROM sheet_lines;

-- +goose StatementBegin
-- Of a sheet, nothing changes but when the sweeper looks at it next.
CREATE FUNCTION sheet_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    OLD.due_at := NEW.due_at;
    IF NEW IS DISTINCT FROM OLD THEN
        RAISE integrity_constraint_violation USING MESSAGE = format('sheet %s of %s does not change', OLD.id, OLD.variant_id);
    END IF;
    RETURN NEW;
END $$;

-- A sheet is whole. Its levels have moved that far, and no other movement is where its own are. What a CHECK could say is said here all
-- the same, for a CHECK is read and planned anew by each statement.
CREATE FUNCTION sheet_moves_stock() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
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
    IF EXISTS (
        SELECT FROM stock s
        WHERE s.variant_id = NEW.variant_id AND s.seq = NEW.last_seq AND s.xmin = pg_current_xact_id()::xid
          AND cardinality(NEW.warehouse_ids) = (SELECT count(*) FROM levels l WHERE l.variant_id = NEW.variant_id AND l.warehouse_id = ANY (NEW.warehouse_ids) AND l.seq = NEW.last_seq))
    THEN
        RETURN NULL; -- it is at the head, and stock_agrees looks at all that has come there
    END IF;
    IF NOT EXISTS (
        SELECT FROM stock s
        WHERE s.variant_id = NEW.variant_id AND s.seq >= NEW.last_seq
          AND cardinality(NEW.warehouse_ids) = (SELECT count(*) FROM levels l WHERE l.variant_id = NEW.variant_id AND l.warehouse_id = ANY (NEW.warehouse_ids) AND l.seq >= NEW.last_seq)
          AND NEW.first_seq > coalesce((
              SELECT o.last_seq FROM sheets o WHERE o.variant_id = NEW.variant_id AND o.first_seq <= NEW.last_seq AND o.first_seq <> NEW.first_seq
              ORDER BY o.first_seq DESC LIMIT 1), 0)
          AND NOT EXISTS (SELECT FROM movements g WHERE g.variant_id = NEW.variant_id AND g.seq BETWEEN NEW.first_seq AND NEW.last_seq))
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
    WHERE a.seq <= (SELECT s.last_seq FROM sheets s WHERE s.variant_id = a.variant_id AND s.first_seq <= a.seq ORDER BY s.first_seq DESC LIMIT 1)
    LIMIT 1;
    IF FOUND THEN
        RAISE integrity_constraint_violation USING MESSAGE = format('a movement of %s is there twice', variant);
    END IF;
    RETURN NULL;
END $$;

-- What follows is checked at commit.

-- Both of these ask the one question first that a batch of holds answers, for to begin a question takes longer than to answer it.

-- A level is as the newest movement in its place left it, or the sheet that has it.
CREATE OR REPLACE FUNCTION level_agrees() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    IF EXISTS ( -- then it is at the head, where nothing else can be
        SELECT FROM sheets o JOIN stock s ON s.variant_id = o.variant_id
        WHERE o.variant_id = NEW.variant_id AND o.last_seq = NEW.seq AND s.seq = NEW.seq
          AND (NEW.warehouse_id, NEW.on_hand, NEW.held) = (o.warehouse_ids[1], o.on_hand_after[1], o.held_after[1]))
    THEN
        RETURN NULL;
    END IF;
    IF NOT EXISTS (
        SELECT FROM levels l
        LEFT JOIN LATERAL (
            SELECT o.last_seq, o.on_hand_after, o.held_after, array_position(o.warehouse_ids, l.warehouse_id) AS place
            FROM sheets o WHERE o.variant_id = l.variant_id AND o.first_seq <= l.seq ORDER BY o.first_seq DESC LIMIT 1) AS s ON s.last_seq >= l.seq
        WHERE l.variant_id = NEW.variant_id AND l.warehouse_id = NEW.warehouse_id
          AND CASE WHEN s.last_seq IS NOT NULL THEN s.last_seq = l.seq AND s.on_hand_after[s.place] = l.on_hand AND s.held_after[s.place] = l.held
              ELSE EXISTS (SELECT FROM movements g WHERE g.variant_id = l.variant_id AND g.seq = l.seq
                             AND g.warehouse_id = l.warehouse_id AND g.on_hand_after = l.on_hand AND g.held_after = l.held) END
          AND NOT EXISTS (SELECT FROM movements g WHERE g.variant_id = l.variant_id AND g.seq > l.seq AND g.warehouse_id = l.warehouse_id)
          AND NOT EXISTS (SELECT FROM sheets o WHERE o.variant_id = l.variant_id AND o.first_seq > l.seq AND l.warehouse_id = ANY (o.warehouse_ids)))
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
    IF EXISTS ( -- then there is one sheet and nothing else
        SELECT FROM sheets o
        WHERE o.variant_id = NEW.variant_id AND o.first_seq = since + 1 AND o.last_seq = NEW.seq
          AND (NEW.on_hand, NEW.held) = (SELECT sum(l.on_hand), sum(l.held) FROM levels l WHERE l.variant_id = NEW.variant_id)
          AND NOT EXISTS (SELECT FROM movements g WHERE g.variant_id = NEW.variant_id AND g.seq > since AND g.seq <= NEW.seq)
          AND NOT EXISTS (SELECT FROM sheets x WHERE x.variant_id = NEW.variant_id AND x.first_seq > since + 1 AND x.first_seq <= NEW.seq))
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
            SELECT g.seq AS first_seq, g.seq AS last_seq FROM movements g WHERE g.variant_id = NEW.variant_id AND g.seq > since AND g.seq <= NEW.seq
            UNION ALL
            SELECT o.first_seq, o.last_seq FROM sheets o WHERE o.variant_id = NEW.variant_id AND o.last_seq > since AND o.last_seq <= NEW.seq
            UNION ALL
            SELECT NEW.seq + 1, NEW.seq + 1
        )
        SELECT FROM (SELECT first_seq, lag(last_seq, 1, since) OVER (ORDER BY first_seq, last_seq) AS before FROM entries) e WHERE e.first_seq <> e.before + 1)
    THEN
        RAISE integrity_constraint_violation USING MESSAGE = format('the ledger of %s has a gap between %s and %s, or a movement twice', NEW.variant_id, since, NEW.seq);
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

-- A hold ends once, and of how it ended nothing changes but that a sale is undone.
CREATE FUNCTION ends_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF OLD.status = 'COMMITTED' AND NEW.status = 'RESTOCKED' AND NEW.reservation_id = OLD.reservation_id THEN RETURN NEW; END IF;
    END IF;
    RAISE integrity_constraint_violation USING MESSAGE = format('a hold ends once, and only a sale is undone: %s of %s is refused', TG_OP, TG_TABLE_NAME);
END $$;

-- What ended was held, and all of it has moved.
CREATE FUNCTION all_lines_end() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM sheets s WHERE s.id = left(NEW.reservation_id, -2) AND right(NEW.reservation_id, 2) = ANY (s.tails))
       OR EXISTS (
           SELECT FROM sheets s, unnest(array_positions(s.tails, right(NEW.reservation_id, 2))) AS nth
           WHERE s.id = left(NEW.reservation_id, -2) AND NOT EXISTS (
               SELECT FROM movements g
               WHERE g.reservation_id = NEW.reservation_id AND g.variant_id || '' = s.variant_id AND g.warehouse_id = s.warehouse_ids[s.places[nth]]))
    THEN
        RAISE integrity_constraint_violation USING MESSAGE = format('reservation %s is not %s: units of it are still held, or never were', NEW.reservation_id, NEW.status);
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

CREATE OR REPLACE FUNCTION allotment_agrees() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM (SELECT coalesce(-sum(g.quantity) FILTER (WHERE g.kind = 'ALLOT'), 0) AS given,
                            coalesce(sum(g.quantity) FILTER (WHERE g.kind = 'RETURN'), 0) AS returned
                     FROM movements g WHERE g.pool_id = NEW.pool_id AND g.variant_id = NEW.variant_id AND g.warehouse_id = NEW.warehouse_id) l
        LEFT JOIN allotments a ON a.pool_id = NEW.pool_id AND a.variant_id = NEW.variant_id AND a.warehouse_id = NEW.warehouse_id
        WHERE (l.given, l.returned) IS DISTINCT FROM (a.given::bigint, a.returned::bigint))
    THEN
        RAISE integrity_constraint_violation USING MESSAGE = format('the ledger does not say so of %s given to %s', NEW.variant_id, NEW.pool_id);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd

DROP TRIGGER keeps_its_key ON levels; -- the same promise, without a question for each level that moves
CREATE TRIGGER keeps_its_key BEFORE UPDATE OF variant_id, warehouse_id ON levels FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER stays BEFORE DELETE ON sheets FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER stays_too BEFORE TRUNCATE ON sheets EXECUTE FUNCTION refuse();
CREATE TRIGGER stays_same BEFORE UPDATE ON sheets FOR EACH ROW EXECUTE FUNCTION sheet_stays();
CREATE TRIGGER moves_stock AFTER INSERT ON sheets FOR EACH ROW EXECUTE FUNCTION sheet_moves_stock();
CREATE TRIGGER ends_once BEFORE UPDATE OR DELETE ON endings FOR EACH ROW EXECUTE FUNCTION ends_once();
CREATE TRIGGER append_only_too BEFORE TRUNCATE ON endings EXECUTE FUNCTION refuse();
CREATE CONSTRAINT TRIGGER all_end AFTER INSERT ON endings DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION all_lines_end();
CREATE CONSTRAINT TRIGGER all_back AFTER INSERT OR UPDATE ON endings DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.status = 'RESTOCKED') EXECUTE FUNCTION all_lines_come_back();
