-- +goose Up
-- What was decided of an order: that parcels of it are made up, or that none ever is. The first decision stands, whoever makes it.
CREATE TABLE decisions (
    order_id   text PRIMARY KEY,
    decision   text NOT NULL CHECK (decision IN ('SHIP', 'STOP')),
    decided_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO decisions (order_id, decision) SELECT DISTINCT order_id, 'SHIP' FROM shipments;

-- +goose StatementBegin
CREATE FUNCTION decided_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND (NEW.order_id, NEW.decision) = (OLD.order_id, OLD.decision) THEN RETURN NEW; END IF;
    RAISE integrity_constraint_violation USING MESSAGE = format('order %s: %s was decided', OLD.order_id, OLD.decision);
END $$;

-- No parcel is without the decision, whatever the code does.
CREATE FUNCTION decided_to_ship() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM decisions WHERE order_id = NEW.order_id AND decision = 'SHIP') THEN
        RAISE integrity_constraint_violation USING MESSAGE = format('order %s is not to be shipped', NEW.order_id);
    END IF;
    RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER decided_once BEFORE UPDATE OR DELETE ON decisions FOR EACH ROW EXECUTE FUNCTION decided_once();
CREATE TRIGGER decided_to_ship AFTER INSERT ON shipments FOR EACH ROW EXECUTE FUNCTION decided_to_ship();
