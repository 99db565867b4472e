-- +goose Up

-- The same promises as before, with less that PostgreSQL begins anew for each hold.

LOCK TABLE stock; -- as everybody's first

-- A CHECK is read and planned by each statement, that of a domain once by each connection. What only two columns together can say stays a CHECK.
CREATE DOMAIN units AS integer CHECK (VALUE BETWEEN 0 AND 1000000000);
CREATE DOMAIN ledger_seq AS bigint CHECK (VALUE >= 0);
ALTER TABLE stock DROP CONSTRAINT stock_check, DROP CONSTRAINT stock_seq_check,
    ALTER seq TYPE ledger_seq, ALTER on_hand TYPE units, ALTER held TYPE units, ADD CONSTRAINT stock_check CHECK (held <= on_hand);
ALTER TABLE levels DROP CONSTRAINT levels_check,
    ALTER on_hand TYPE units, ALTER held TYPE units, ADD CONSTRAINT levels_check CHECK (held <= on_hand);

-- Nobody asks PostgreSQL what is in an event: it has to be JSON, and to come out again.
ALTER TABLE outbox ALTER payload TYPE json;

-- A sheet is whole; it goes on from the head of its ledger, and leaves the stock and the levels as it says. All of this before it is stored, for then its
-- arrays are at hand. So it has to be stored once this is done: with an index that is deferrable, nobody may INSERT … ON CONFLICT DO NOTHING.
DROP INDEX sheets_of_holds;
ALTER TABLE sheets ADD CONSTRAINT sheets_of_holds UNIQUE (id, variant_id) DEFERRABLE;
DROP TRIGGER is_whole ON sheets;
DROP TRIGGER moves_stock ON sheets;
DROP FUNCTION sheet_is_whole;

-- +goose StatementBegin
-- Who only guesses where the ledger has its head leaves first_seq open: such a sheet is not stored if its last_seq is not what comes next, and nothing
-- has happened. The stock is locked before anything is written.
CREATE OR REPLACE FUNCTION sheet_moves_stock() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    guess boolean := NEW.first_seq IS NULL;
    n integer;
    total integer := 0;
    here integer;
BEGIN
    IF guess THEN
        NEW.first_seq := NEW.last_seq - cardinality(NEW.tails) + 1;
    END IF;
    FOREACH n IN ARRAY NEW.quantities LOOP
        total := total + n;
    END LOOP;
    UPDATE stock SET seq = NEW.last_seq, held = held + total WHERE variant_id = NEW.variant_id AND seq = NEW.first_seq - 1;
    IF NOT FOUND AND guess THEN
        RETURN NULL;
    END IF;
    IF (NEW.first_seq > 0 AND NEW.first_seq <= NEW.last_seq
        AND NEW.last_seq - NEW.first_seq + 1 = ALL (ARRAY[cardinality(NEW.tails), cardinality(NEW.places), cardinality(NEW.quantities), cardinality(NEW.order_ids),
                                                          cardinality(NEW.account_ids), cardinality(NEW.keys), cardinality(NEW.expires_at)])
        AND num_nulls(VARIADIC ARRAY[NEW.tails, NEW.order_ids, NEW.account_ids, NEW.keys]) = 0
        AND cardinality(NEW.warehouse_ids) = ALL (ARRAY[cardinality(NEW.on_hand_after), cardinality(NEW.held_after)])
        AND 1 <= ALL (NEW.places) AND cardinality(NEW.warehouse_ids) >= ALL (NEW.places) AND 1 <= ALL (NEW.quantities) AND 10000 >= ALL (NEW.quantities)
        AND NEW.at < ALL (NEW.expires_at) AND NEW.at + interval '24 hours' >= ALL (NEW.expires_at)) IS NOT TRUE
    THEN
        RAISE integrity_constraint_violation USING CONSTRAINT = 'sheets_whole',
            MESSAGE = format('sheet %s of %s is not whole, or holds too little, too much, too long or nowhere', NEW.id, NEW.variant_id);
    END IF;
    IF NOT FOUND THEN
        RAISE integrity_constraint_violation USING MESSAGE = format('the sheet of %s from %s to %s does not go on from the head of the ledger', NEW.variant_id, NEW.first_seq, NEW.last_seq);
    END IF;
    IF cardinality(NEW.warehouse_ids) = 1 THEN -- as most are
        UPDATE levels SET seq = NEW.last_seq, held = held + total
        WHERE variant_id = NEW.variant_id AND warehouse_id = ANY (NEW.warehouse_ids) AND seq < NEW.last_seq
          AND on_hand = ANY (NEW.on_hand_after) AND held + total = ANY (NEW.held_after);
        IF FOUND THEN
            RETURN NEW;
        END IF;
        RAISE integrity_constraint_violation USING MESSAGE = format('sheet %s does not say how it leaves %s', NEW.id, NEW.variant_id);
    END IF;
    FOR nth IN 1 .. cardinality(NEW.warehouse_ids) LOOP
        SELECT sum(q.n) INTO here FROM unnest(NEW.quantities, NEW.places) AS q (n, place) WHERE q.place = nth;
        UPDATE levels SET seq = NEW.last_seq, held = held + here
        WHERE variant_id = NEW.variant_id AND warehouse_id = NEW.warehouse_ids[nth] AND seq < NEW.last_seq
          AND on_hand = NEW.on_hand_after[nth] AND held + here = NEW.held_after[nth];
        IF NOT FOUND THEN
            RAISE integrity_constraint_violation USING MESSAGE = format('sheet %s does not say how it leaves %s in %s', NEW.id, NEW.variant_id, NEW.warehouse_ids[nth]);
        END IF;
    END LOOP;
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER moves_stock BEFORE INSERT ON sheets FOR EACH ROW EXECUTE FUNCTION sheet_moves_stock();
