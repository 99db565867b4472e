-- +goose Up
-- A unit that was sold comes back when its order is cancelled, once. The booking stays, CANCELLED, and frees its places: the account
-- may book again.
ALTER TABLE bookings DROP CONSTRAINT bookings_status_check;
ALTER TABLE bookings ADD CONSTRAINT bookings_status_check CHECK (status IN ('HELD', 'BOOKED', 'CANCELLED', 'RELEASED', 'EXPIRED')) NOT VALID;
ALTER TABLE bookings ADD CONSTRAINT bookings_cancelled CHECK (status <> 'CANCELLED' OR order_id <> '') NOT VALID;
ALTER TABLE log DROP CONSTRAINT log_kind;
ALTER TABLE log ADD CONSTRAINT log_kind CHECK (CASE
    WHEN kind IN ('ALLOT', 'RETURN') THEN variant_id IS NOT NULL AND quantity > 0 AND booking_id IS NULL AND change_id IS NOT NULL
    WHEN kind IN ('HOLD', 'SELL', 'CANCEL', 'RELEASE', 'EXPIRE') THEN variant_id IS NOT NULL AND quantity = 1 AND booking_id IS NOT NULL AND change_id IS NULL
    WHEN kind IN ('ROOM_OPENED', 'OPENED', 'CLOSED', 'CALLED_OFF') THEN variant_id IS NULL AND quantity = 0 AND booking_id IS NULL AND change_id IS NULL
    ELSE false END) NOT VALID; -- what is there passed a stricter one
-- A unit is held once, ends once, and comes back once.
DROP INDEX IF EXISTS log_ends_once;
CREATE UNIQUE INDEX log_ends_once ON log (booking_id, (CASE kind WHEN 'HOLD' THEN 0 WHEN 'CANCEL' THEN 2 ELSE 1 END)) WHERE booking_id IS NOT NULL;

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION ends_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.status = 'HELD' AND NEW.order_id = '' THEN RETURN NEW; END IF;
    ELSIF (OLD.status = 'HELD' AND NEW.status <> 'CANCELLED' OR OLD.status = 'BOOKED' AND NEW.status = 'CANCELLED' AND NEW.order_id = OLD.order_id)
        AND (NEW.id, NEW.sale_id, NEW.variant_id, NEW.account_id, NEW.key, NEW.amount, NEW.currency, NEW.created_at, NEW.sale_slot, NEW.variant_slot)
          = (OLD.id, OLD.sale_id, OLD.variant_id, OLD.account_id, OLD.key, OLD.amount, OLD.currency, OLD.created_at, OLD.sale_slot, OLD.variant_slot)
        AND (NEW.order_id = OLD.order_id OR OLD.order_id = '')
        AND (NEW.expires_at = OLD.expires_at OR NEW.expires_at > OLD.expires_at AND OLD.order_id = '' AND NEW.order_id <> '') THEN
        RETURN NEW; -- it lasts longer once: when an order begins to pay for it
    END IF;
    RAISE integrity_constraint_violation USING MESSAGE = format('booking %s begins HELD, ends once and changes in little else', NEW.id);
END $$;

CREATE OR REPLACE FUNCTION booking_agrees() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM (SELECT * FROM log WHERE booking_id = NEW.id OFFSET 0) AS g WHERE g.sale_id = NEW.sale_id AND g.variant_id = NEW.variant_id -- one probe of log_ends_once
          AND g.kind = CASE NEW.status WHEN 'HELD' THEN 'HOLD' WHEN 'BOOKED' THEN 'SELL' WHEN 'CANCELLED' THEN 'CANCEL' WHEN 'RELEASED' THEN 'RELEASE' ELSE 'EXPIRE' END)
    THEN
        RAISE integrity_constraint_violation USING MESSAGE = format('the log does not say that booking %s is %s', NEW.id, NEW.status);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
