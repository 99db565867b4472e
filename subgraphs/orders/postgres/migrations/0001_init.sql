-- +goose Up
CREATE TABLE orders (
    id                text PRIMARY KEY,
    serial            bigint NOT NULL GENERATED ALWAYS AS IDENTITY UNIQUE,
    version           integer NOT NULL,
    account_id        text NOT NULL,
    cart_id           text NOT NULL,
    cart_version      integer NOT NULL,
    status            text NOT NULL CHECK (status IN ('CREATED', 'PLACED', 'PARTIALLY_SHIPPED', 'SHIPPED', 'DELIVERED', 'CANCELLED')),
    cancel_reason     text CHECK (cancel_reason IN ('PAYMENT_FAILED', 'PAYMENT_TIMEOUT', 'OUT_OF_STOCK')),
    amount            bigint NOT NULL CHECK (amount >= 0),
    currency          text NOT NULL,
    address           jsonb NOT NULL,
    created_at        timestamptz NOT NULL,
    updated_at        timestamptz NOT NULL,
    placed_at         timestamptz,
    deadline          timestamptz NOT NULL,

    reservation_id    text NOT NULL,
    payment_method_id text NOT NULL,
    payment_id        text NOT NULL,
    payment_version   integer NOT NULL,
    payment_status    text NOT NULL,
    redirect_url      text NOT NULL,
    decline_code      text NOT NULL,
    committing        boolean NOT NULL,
    stock_settled     boolean NOT NULL,
    payment_settled   boolean NOT NULL,

    CHECK ((status = 'CANCELLED') = (cancel_reason IS NOT NULL)),
    CHECK ((status IN ('CREATED', 'CANCELLED')) = (placed_at IS NULL))
);
-- A cart, as it stands, is ordered once; a cancelled order frees it.
CREATE UNIQUE INDEX orders_of_cart ON orders (cart_id, cart_version) WHERE status <> 'CANCELLED';
CREATE INDEX orders_of_account ON orders (account_id, created_at DESC, id DESC);

-- Orders move forward only, whatever the code does.
-- +goose StatementBegin
CREATE FUNCTION orders_move_forward() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    states CONSTANT text[] := ARRAY['CREATED', 'PLACED', 'PARTIALLY_SHIPPED', 'SHIPPED', 'DELIVERED'];
BEGIN
    IF NEW.status = OLD.status OR (OLD.status = 'CREATED' AND NEW.status IN ('PLACED', 'CANCELLED'))
        OR (OLD.status IN ('PLACED', 'PARTIALLY_SHIPPED', 'SHIPPED')
            AND array_position(states, NEW.status) > array_position(states, OLD.status)) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'order %: % does not become %', OLD.id, OLD.status, NEW.status USING ERRCODE = 'check_violation';
END $$;
-- +goose StatementEnd
CREATE TRIGGER orders_move_forward BEFORE UPDATE OF status ON orders FOR EACH ROW EXECUTE FUNCTION orders_move_forward();

CREATE TABLE order_lines (
    id          text PRIMARY KEY,
    order_id    text NOT NULL REFERENCES orders,
    position    integer NOT NULL,
    variant_id  text NOT NULL,
    product_id  text NOT NULL,
    seller_id   text NOT NULL,
    title       text NOT NULL,
    quantity    integer NOT NULL CHECK (quantity > 0),
    unit_amount bigint NOT NULL CHECK (unit_amount >= 0),
    UNIQUE (order_id, position)
);

-- Every step of every order: appended, never changed.
CREATE TABLE order_events (
    order_id text NOT NULL REFERENCES orders,
    seq      integer NOT NULL,
    at       timestamptz NOT NULL,
    kind     text NOT NULL,
    message  text NOT NULL,
    PRIMARY KEY (order_id, seq)
);

-- Where the parcels of an order are, as logistics told last.
CREATE TABLE order_parcels (
    shipment_id text PRIMARY KEY,
    order_id    text NOT NULL REFERENCES orders,
    version     integer NOT NULL,
    status      text NOT NULL,
    lines       jsonb NOT NULL
);
CREATE INDEX order_parcels_of_order ON order_parcels (order_id);

-- Every checkout under its key. The first decision stands.
CREATE TABLE checkouts (
    account_id text NOT NULL,
    key        text NOT NULL,
    input_hash bytea NOT NULL,
    order_id   text NOT NULL UNIQUE,
    decision   text NOT NULL DEFAULT '' CHECK (decision IN ('', 'ORDERED', 'REJECTED')),
    problems   jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, key)
);

CREATE TABLE outbox (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id   text NOT NULL UNIQUE,
    subject    text NOT NULL,
    payload    jsonb NOT NULL,
    headers    jsonb,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE inbox (
    consumer   text NOT NULL,
    event_id   text NOT NULL,
    handled_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, event_id)
);
