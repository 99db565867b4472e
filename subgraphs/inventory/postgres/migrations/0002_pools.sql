-- +goose Up
ALTER TABLE ledger ADD COLUMN pool_id text; -- the flash sale that units went to or came from
ALTER TABLE ledger DROP CONSTRAINT ledger_check1;
ALTER TABLE ledger ADD CONSTRAINT ledger_kind CHECK (CASE kind
    WHEN 'ADJUST' THEN reservation_id IS NULL AND quantity <> 0
    WHEN 'SET' THEN reservation_id IS NULL
    WHEN 'HOLD' THEN reservation_id IS NOT NULL AND quantity > 0
    WHEN 'RELEASE' THEN reservation_id IS NOT NULL AND quantity < 0
    WHEN 'EXPIRE' THEN reservation_id IS NOT NULL AND quantity < 0
    WHEN 'COMMIT' THEN reservation_id IS NOT NULL AND quantity < 0
    WHEN 'ALLOT' THEN reservation_id IS NULL AND quantity < 0
    WHEN 'RETURN' THEN reservation_id IS NULL AND quantity > 0
    ELSE false END) NOT VALID; -- what is there passed a stricter one
ALTER TABLE ledger ADD CONSTRAINT ledger_pool CHECK ((kind IN ('ALLOT', 'RETURN')) = (pool_id IS NOT NULL)) NOT VALID;
CREATE INDEX ledger_of_pool ON ledger (pool_id, variant_id, warehouse_id) WHERE pool_id IS NOT NULL;

-- What the pools of flash sales were given of each level, and what came back of it.
CREATE TABLE allotments (
    pool_id      text NOT NULL,
    variant_id   text NOT NULL,
    warehouse_id text NOT NULL,
    given        integer NOT NULL DEFAULT 0,
    returned     integer NOT NULL DEFAULT 0,
    PRIMARY KEY (pool_id, variant_id, warehouse_id),
    FOREIGN KEY (variant_id, warehouse_id) REFERENCES levels,
    CHECK (0 <= returned AND returned <= given)
);
CREATE TRIGGER stays BEFORE DELETE ON allotments FOR EACH ROW EXECUTE FUNCTION refuse();

-- Checked at commit: the allotments are what the ledger moved.

-- +goose StatementBegin
CREATE FUNCTION allotment_agrees() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM (SELECT coalesce(-sum(g.quantity) FILTER (WHERE g.kind = 'ALLOT'), 0) AS given,
                            coalesce(sum(g.quantity) FILTER (WHERE g.kind = 'RETURN'), 0) AS returned
                     FROM ledger g WHERE g.pool_id = NEW.pool_id AND g.variant_id = NEW.variant_id AND g.warehouse_id = NEW.warehouse_id) l
        LEFT JOIN allotments a ON a.pool_id = NEW.pool_id AND a.variant_id = NEW.variant_id AND a.warehouse_id = NEW.warehouse_id
        WHERE (l.given, l.returned) IS DISTINCT FROM (a.given::bigint, a.returned::bigint))
    THEN
        RAISE integrity_constraint_violation USING MESSAGE = format('the ledger does not say so of %s given to %s', NEW.variant_id, NEW.pool_id);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE CONSTRAINT TRIGGER agrees AFTER INSERT OR UPDATE ON allotments DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION allotment_agrees();
CREATE CONSTRAINT TRIGGER pool_agrees AFTER INSERT ON ledger DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.pool_id IS NOT NULL) EXECUTE FUNCTION allotment_agrees();
