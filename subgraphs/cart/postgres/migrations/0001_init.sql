-- +goose Up
CREATE TABLE carts (
    id          text PRIMARY KEY,
    version     integer NOT NULL,
    account_id  text,
    merged_into text REFERENCES carts,
    updated_at  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    CHECK (merged_into IS NULL OR account_id IS NULL)
);
-- An account has one cart.
CREATE UNIQUE INDEX carts_of_account ON carts (account_id);
CREATE INDEX carts_expiring ON carts (expires_at);
CREATE INDEX carts_merged ON carts (merged_into) WHERE merged_into IS NOT NULL;

CREATE TABLE cart_lines (
    id             text PRIMARY KEY,
    cart_id        text NOT NULL REFERENCES carts ON DELETE CASCADE,
    position       integer NOT NULL,
    variant_id     text NOT NULL,
    quantity       integer NOT NULL CHECK (quantity BETWEEN 1 AND 999),
    added_amount   bigint NOT NULL CHECK (added_amount >= 0),
    added_currency text NOT NULL,
    UNIQUE (cart_id, variant_id)
);

-- Orders whose goods were taken out of their cart.
CREATE TABLE ordered (
    order_id text PRIMARY KEY,
    at       timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE inbox (
    consumer   text NOT NULL,
    event_id   text NOT NULL,
    handled_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, event_id)
);
