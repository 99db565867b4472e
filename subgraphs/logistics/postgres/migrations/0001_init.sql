-- +goose Up
-- Reference data: which places there are, and who goes there.
CREATE TABLE places (
    country   text NOT NULL,
    pincode   text NOT NULL,
    city      text NOT NULL,
    latitude  double precision NOT NULL CHECK (latitude BETWEEN -90 AND 90),
    longitude double precision NOT NULL CHECK (longitude BETWEEN -180 AND 180),
    cod       boolean NOT NULL,
    PRIMARY KEY (country, pincode)
);
-- For postal codes that begin like one we know.
CREATE INDEX places_by_area ON places (country, left(pincode, 3));

CREATE TABLE couriers (
    code       text PRIMARY KEY,
    countries  text[] NOT NULL,
    km_per_day double precision NOT NULL CHECK (km_per_day > 0),
    currency   text NOT NULL,
    base       bigint NOT NULL CHECK (base >= 0),
    per_kg     bigint NOT NULL CHECK (per_kg >= 0),
    per_mm     bigint NOT NULL CHECK (per_mm >= 0)
);

-- Where parcels start, as inventory told last.
CREATE TABLE warehouses (
    id        text PRIMARY KEY,
    version   integer NOT NULL,
    country   text NOT NULL,
    latitude  double precision NOT NULL,
    longitude double precision NOT NULL
);

CREATE TABLE shipments (
    id              text PRIMARY KEY,
    order_id        text NOT NULL,
    account_id      text NOT NULL,
    seller_ids      text[] NOT NULL,
    warehouse_id    text NOT NULL,
    courier         text NOT NULL,
    tracking_number text NOT NULL,
    status          text NOT NULL CHECK (status IN ('PACKED', 'HANDED_OVER', 'IN_TRANSIT', 'OUT_FOR_DELIVERY', 'DELIVERED', 'RETURNED', 'LOST')),
    version         integer NOT NULL,
    eta             timestamptz,
    created_at      timestamptz NOT NULL,
    owner           text NOT NULL,
    key             text NOT NULL,
    input_hash      bytea NOT NULL,
    UNIQUE (owner, key)
);
CREATE INDEX shipments_under_way ON shipments (created_at, id) WHERE status NOT IN ('DELIVERED', 'RETURNED', 'LOST');
CREATE INDEX shipments_of_order ON shipments (order_id, created_at, id);

-- How many units of each line of an order are in parcels: never more than were ordered, whatever the code does.
CREATE TABLE shipped (
    order_line_id text PRIMARY KEY,
    ordered       integer NOT NULL CHECK (ordered > 0),
    shipped       integer NOT NULL,
    CONSTRAINT shipped_within_ordered CHECK (shipped BETWEEN 0 AND ordered)
);

CREATE TABLE shipment_lines (
    shipment_id   text NOT NULL REFERENCES shipments,
    position      integer NOT NULL,
    order_line_id text NOT NULL REFERENCES shipped,
    ordered       integer NOT NULL,
    quantity      integer NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (shipment_id, order_line_id)
);

CREATE TABLE shipment_events (
    shipment_id text NOT NULL REFERENCES shipments,
    event_id    text NOT NULL,
    at          timestamptz NOT NULL,
    status      text NOT NULL,
    location    text NOT NULL,
    note        text NOT NULL,
    PRIMARY KEY (shipment_id, event_id)
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
