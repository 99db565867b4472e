-- +goose Up
-- An order that was placed may be cancelled, until a parcel of it is made up; logistics decides that race.
ALTER TABLE orders ADD COLUMN cancelling text NOT NULL DEFAULT '';
ALTER TABLE orders ADD COLUMN parcelled boolean NOT NULL DEFAULT false; -- as logistics said when it was asked
ALTER TABLE orders ADD CONSTRAINT orders_cancelling CHECK (cancelling IN ('', 'CUSTOMER', 'SELLER', 'OUT_OF_STOCK', 'FRAUD') AND (cancelling = '' OR status <> 'CANCELLED')) NOT VALID;
ALTER TABLE orders DROP CONSTRAINT orders_cancel_reason_check;
ALTER TABLE orders ADD CONSTRAINT orders_cancel_reason CHECK (cancel_reason IN ('PAYMENT_FAILED', 'PAYMENT_TIMEOUT', 'OUT_OF_STOCK', 'CUSTOMER', 'SELLER', 'FRAUD')) NOT VALID;
ALTER TABLE orders DROP CONSTRAINT orders_check1;
-- When it was placed stays known of a cancelled order: its units were sold then, and come back another way than units that were held.
ALTER TABLE orders ADD CONSTRAINT orders_placed CHECK (CASE status WHEN 'CREATED' THEN placed_at IS NULL WHEN 'CANCELLED' THEN true ELSE placed_at IS NOT NULL END) NOT VALID;

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION orders_move_forward() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    states CONSTANT text[] := ARRAY['CREATED', 'PLACED', 'PARTIALLY_SHIPPED', 'SHIPPED', 'DELIVERED'];
BEGIN
    IF OLD.placed_at IS NOT NULL AND NEW.placed_at IS DISTINCT FROM OLD.placed_at THEN
        RAISE EXCEPTION 'order %: it was placed at %', OLD.id, OLD.placed_at USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.status = OLD.status OR (OLD.status = 'CREATED' AND NEW.status IN ('PLACED', 'CANCELLED'))
        -- Only what was asked to be cancelled is, and only by the answer to that.
        OR (OLD.status = 'PLACED' AND NEW.status = 'CANCELLED' AND OLD.cancelling <> '' AND NEW.cancel_reason = OLD.cancelling)
        OR (OLD.status IN ('PLACED', 'PARTIALLY_SHIPPED', 'SHIPPED')
            AND array_position(states, NEW.status) > array_position(states, OLD.status)) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'order %: % does not become %', OLD.id, OLD.status, NEW.status USING ERRCODE = 'check_violation';
END $$;
-- +goose StatementEnd

-- Which wish to cancel came under which key.
CREATE TABLE cancellations (
    account_id text NOT NULL,
    key        text NOT NULL,
    input_hash bytea NOT NULL,
    order_id   text NOT NULL REFERENCES orders,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, key)
);
