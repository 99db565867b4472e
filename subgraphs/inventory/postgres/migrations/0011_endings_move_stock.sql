-- +goose Up

-- An ending moves the stock and the levels that its hold holds of, and writes the movements that say so: what it says and what they are cannot
-- differ, and so nothing has to be asked at commit. Whoever ends a hold writes no more than its ending. A build before this one, which writes
-- the movements too, is refused, and ends nothing.

LOCK TABLE stock; -- as everybody's first; or else who is at work may hold what is wanted here, and want what is held

CREATE TYPE ended_line AS (reservation_id text, order_id text, quantity integer);

-- +goose StatementBegin
CREATE FUNCTION ending_moves_stock() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    m record; -- what ends in one way in one place
    head bigint;
    on_hand_before integer;
    held_before integer;
BEGIN
    FOR m IN
        SELECT s.variant_id, s.warehouse_ids[s.places[nth]] AS warehouse_id, e.status, e.at, sum(s.quantities[nth]) AS quantity,
               array_agg((e.reservation_id, s.order_ids[nth], s.quantities[nth])::ended_line) AS lines, count(*) AS n,
               bool_and(CASE e.status WHEN 'COMMITTED' THEN s.expires_at[nth] > e.at WHEN 'EXPIRED' THEN s.expires_at[nth] <= e.at WHEN 'RESTOCKED' THEN TG_OP = 'UPDATE' ELSE true END) AS timely,
               CASE e.status WHEN 'COMMITTED' THEN 'COMMIT' WHEN 'RESTOCKED' THEN 'RESTOCK' WHEN 'RELEASED' THEN 'RELEASE' ELSE 'EXPIRE' END AS kind,
               CASE e.status WHEN 'RESTOCKED' THEN 1 ELSE -1 END AS sign,
               CASE e.status WHEN 'RESTOCKED' THEN 1 WHEN 'COMMITTED' THEN -1 ELSE 0 END AS on_hand,
               CASE e.status WHEN 'RESTOCKED' THEN 0 ELSE -1 END AS held
        FROM ended e LEFT JOIN LATERAL (
            SELECT s.variant_id, s.warehouse_ids, s.places, s.quantities, s.order_ids, s.expires_at, unnest(array_positions(s.tails, right(e.reservation_id, 2))) AS nth
            FROM sheets s WHERE s.id = left(e.reservation_id, -2)
        ) AS s ON true
        GROUP BY 1, 2, 3, 4 ORDER BY 1, 2 -- as everybody locks stock
    LOOP
        IF m.variant_id IS NULL OR m.timely IS NOT TRUE THEN
            RAISE integrity_constraint_violation USING CONSTRAINT = 'endings_of_holds', MESSAGE = format('reservations %s are not %s: they never were held, or not at this time', m.lines, m.status);
        END IF;
        UPDATE stock SET seq = seq + m.n, on_hand = on_hand + m.on_hand * m.quantity, held = held + m.held * m.quantity
        WHERE variant_id = m.variant_id RETURNING seq - m.n INTO head;
        UPDATE levels SET seq = head + m.n, on_hand = on_hand + m.on_hand * m.quantity, held = held + m.held * m.quantity
        WHERE variant_id = m.variant_id AND warehouse_id = m.warehouse_id
        RETURNING on_hand - m.on_hand * m.quantity, held - m.held * m.quantity INTO on_hand_before, held_before;
        IF m.n = 1 THEN -- the same as for many, with half the work
            INSERT INTO movements (variant_id, seq, at, kind, quantity, warehouse_id, on_hand_after, held_after, reservation_id, order_id)
            VALUES (m.variant_id, head + 1, m.at, m.kind, m.sign * m.quantity, m.warehouse_id,
                    on_hand_before + m.on_hand * m.quantity, held_before + m.held * m.quantity, m.lines[1].reservation_id, m.lines[1].order_id);
        ELSE
            INSERT INTO movements (variant_id, seq, at, kind, quantity, warehouse_id, on_hand_after, held_after, reservation_id, order_id)
            SELECT m.variant_id, head + l.nth, m.at, m.kind, m.sign * l.quantity, m.warehouse_id,
                   on_hand_before + m.on_hand * sum(l.quantity) OVER so_far, held_before + m.held * sum(l.quantity) OVER so_far, l.reservation_id, l.order_id
            FROM unnest(m.lines) WITH ORDINALITY AS l (reservation_id, order_id, quantity, nth)
            WINDOW so_far AS (ORDER BY l.nth ROWS UNBOUNDED PRECEDING);
        END IF;
    END LOOP;
    RETURN NULL;
END $$;

-- What a CHECK says is read and planned by each statement, so it is short; what a function says, once by each transaction, as far as it gets.
CREATE FUNCTION is_movement(seq bigint, kind text, quantity integer, on_hand_after integer, held_after integer, reservation_id text, pool_id text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF kind IN ('COMMIT', 'RELEASE', 'EXPIRE') THEN
        RETURN seq > 0 AND 0 <= held_after AND held_after <= on_hand_after AND quantity < 0 AND reservation_id IS NOT NULL AND pool_id IS NULL;
    END IF;
    RETURN seq > 0 AND 0 <= held_after AND held_after <= on_hand_after AND CASE kind
        WHEN 'ADJUST' THEN quantity <> 0 AND reservation_id IS NULL AND pool_id IS NULL
        WHEN 'SET' THEN reservation_id IS NULL AND pool_id IS NULL
        WHEN 'RESTOCK' THEN quantity > 0 AND reservation_id IS NOT NULL AND pool_id IS NULL
        WHEN 'ALLOT' THEN quantity < 0 AND reservation_id IS NULL AND pool_id IS NOT NULL
        WHEN 'RETURN' THEN quantity > 0 AND reservation_id IS NULL AND pool_id IS NOT NULL
        ELSE false END;
END $$;
-- +goose StatementEnd
ALTER TABLE movements DROP CONSTRAINT ledger_seq_check, DROP CONSTRAINT ledger_check, DROP CONSTRAINT ledger_kind, DROP CONSTRAINT ledger_pool;
ALTER TABLE movements ADD CONSTRAINT ledger_check CHECK (is_movement(seq, kind, quantity, on_hand_after, held_after, reservation_id, pool_id)) NOT VALID; -- what is there passed all four
DROP TRIGGER all_end ON endings;
DROP TRIGGER all_back ON endings;
DROP FUNCTION all_lines_end, all_lines_come_back;
-- And what a domain says, once by each connection.
CREATE DOMAIN ending AS text CONSTRAINT endings_status_check CHECK (VALUE IN ('COMMITTED', 'RESTOCKED', 'RELEASED', 'EXPIRED'));
ALTER TABLE endings DROP CONSTRAINT endings_status_check, ALTER status TYPE ending;

CREATE TRIGGER moves_stock AFTER INSERT ON endings REFERENCING NEW TABLE AS ended FOR EACH STATEMENT EXECUTE FUNCTION ending_moves_stock();
CREATE TRIGGER moves_stock_back AFTER UPDATE ON endings REFERENCING NEW TABLE AS ended FOR EACH STATEMENT EXECUTE FUNCTION ending_moves_stock();

DROP TRIGGER moves_stock ON movements;
CREATE TRIGGER moves_stock AFTER INSERT ON movements REFERENCING NEW TABLE AS added FOR EACH STATEMENT
    WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION moves_stock(); -- not for what an ending moves; no other trigger may write this table
