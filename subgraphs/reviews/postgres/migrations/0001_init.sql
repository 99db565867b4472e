-- +goose Up
CREATE TABLE reviews (
    id         text PRIMARY KEY,
    product_id text NOT NULL,
    author_id  text NOT NULL,
    rating     smallint NOT NULL CHECK (rating BETWEEN 1 AND 5),
    title      text NOT NULL CHECK (char_length(title) <= 120),
    body       text NOT NULL CHECK (char_length(body) <= 5000),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    UNIQUE (author_id, product_id)
);
CREATE INDEX reviews_newest ON reviews (product_id, created_at DESC, id DESC);
CREATE INDEX reviews_rating ON reviews (product_id, rating DESC, created_at DESC, id DESC);
CREATE INDEX reviews_of_author ON reviews (author_id, created_at DESC, id DESC);

-- How many gave 1, 2, 3, 4 and 5 stars: kept with every review, never counted anew.
CREATE TABLE ratings (
    product_id text PRIMARY KEY,
    version    bigint NOT NULL,
    stars      integer[] NOT NULL CHECK (cardinality(stars) = 5 AND 0 <= ALL (stars))
);

-- Who received what: the right to review.
CREATE TABLE purchases (
    account_id   text NOT NULL,
    product_id   text NOT NULL,
    delivered_at timestamptz NOT NULL,
    PRIMARY KEY (account_id, product_id)
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
