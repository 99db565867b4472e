-- +goose Up
CREATE TABLE accounts (
    id            text PRIMARY KEY,
    email         text COLLATE "C" NOT NULL CHECK (length(email) BETWEEN 3 AND 254),
    password_hash text NOT NULL CHECK (password_hash LIKE '$argon2id$%'),
    display_name  text NOT NULL CHECK (length(display_name) BETWEEN 1 AND 80),
    staff         boolean NOT NULL DEFAULT false,
    created_at    timestamptz NOT NULL
);
CREATE UNIQUE INDEX accounts_email ON accounts (lower(email));

CREATE TABLE sellers (
    id         text PRIMARY KEY,
    account_id text NOT NULL REFERENCES accounts,
    slug       text NOT NULL,
    name       text NOT NULL CHECK (length(name) BETWEEN 2 AND 80),
    name_key   text NOT NULL, -- what is the same for names that people would take for one
    tier       text NOT NULL CHECK (tier IN ('INDIVIDUAL', 'PROFESSIONAL')),
    tax_id     text NOT NULL,
    since      timestamptz NOT NULL,
    CONSTRAINT sellers_account UNIQUE (account_id),
    CONSTRAINT sellers_name UNIQUE (name_key),
    CONSTRAINT sellers_slug UNIQUE (slug)
);

CREATE TABLE addresses (
    id         text PRIMARY KEY,
    account_id text NOT NULL REFERENCES accounts,
    position   smallint NOT NULL CHECK (position BETWEEN 1 AND 20), -- in the book, oldest first
    name       text NOT NULL,
    line1      text NOT NULL,
    line2      text NOT NULL,
    city       text NOT NULL,
    region     text NOT NULL,
    pincode    text NOT NULL,
    country    text NOT NULL CHECK (country ~ '^[A-Z]{2}$'),
    phone      text NOT NULL,
    is_default boolean NOT NULL,
    UNIQUE (account_id, position)
);
CREATE UNIQUE INDEX addresses_default ON addresses (account_id) WHERE is_default;

CREATE TABLE sessions (
    id         text PRIMARY KEY,
    account_id text NOT NULL REFERENCES accounts,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    ended_at   timestamptz
);
CREATE INDEX sessions_expiry ON sessions (expires_at);

-- Used tokens stay as long as their session, so that one that comes back is known for what it is.
CREATE TABLE refresh_tokens (
    hash       bytea PRIMARY KEY CHECK (length(hash) = 32),
    session_id text NOT NULL REFERENCES sessions ON DELETE CASCADE,
    created_at timestamptz NOT NULL,
    used_at    timestamptz
);
CREATE UNIQUE INDEX refresh_tokens_newest ON refresh_tokens (session_id) WHERE used_at IS NULL;
CREATE INDEX refresh_tokens_session ON refresh_tokens (session_id);

CREATE TABLE signing_keys (
    id          text PRIMARY KEY,
    generation  integer NOT NULL UNIQUE,
    private_key bytea NOT NULL CHECK (length(private_key) = 64),
    created_at  timestamptz NOT NULL
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
