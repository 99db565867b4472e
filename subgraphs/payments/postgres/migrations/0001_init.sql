-- +goose Up
CREATE TABLE methods (
    id         text PRIMARY KEY,
    account_id text NOT NULL,
    provider   text NOT NULL,
    token      text NOT NULL CHECK (token !~ '([0-9][^[:alnum:]]*){13}'), -- a card number never gets here
    kind       text NOT NULL CHECK (kind IN ('CARD', 'UPI', 'WALLET', 'NET_BANKING')),
    label      text NOT NULL CHECK (label !~ '([0-9][^[:alnum:]]*){13}'),
    is_default boolean NOT NULL,
    created_at timestamptz NOT NULL,
    UNIQUE (account_id, provider, token)
);
CREATE UNIQUE INDEX methods_one_default ON methods (account_id) WHERE is_default;

-- Orders that somebody tried to pay, or will not be paid. Whoever begins a payment or abandons an order locks its row.
CREATE TABLE orders (
    id           text PRIMARY KEY,
    abandoned_at timestamptz,
    timed_out    boolean NOT NULL DEFAULT false
);

CREATE TABLE payments (
    id              text PRIMARY KEY,
    idempotency_key text NOT NULL UNIQUE,
    input           bytea NOT NULL, -- a hash
    version         integer NOT NULL DEFAULT 1,
    order_id        text NOT NULL REFERENCES orders,
    account_id      text NOT NULL,
    method_id       text NOT NULL REFERENCES methods,
    token           text NOT NULL, -- of the method
    provider        text NOT NULL,
    reference       text,
    status          text NOT NULL,
    currency        text NOT NULL,
    amount          bigint NOT NULL CHECK (amount > 0),
    authorized      bigint NOT NULL DEFAULT 0,
    captured        bigint NOT NULL DEFAULT 0,
    refunded        bigint NOT NULL DEFAULT 0,
    released        boolean NOT NULL DEFAULT false,
    abandoned       boolean NOT NULL DEFAULT false,
    decline_code    text NOT NULL DEFAULT '',
    redirect_url    text NOT NULL DEFAULT '',
    expires_at      timestamptz NOT NULL,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    UNIQUE (provider, reference),
    CHECK (authorized IN (0, amount) AND 0 <= refunded AND refunded <= captured AND captured <= authorized),
    CHECK (CASE status
        WHEN 'PENDING' THEN authorized = 0 AND NOT released AND NOT abandoned
        WHEN 'ACTION_REQUIRED' THEN authorized = 0 AND NOT released AND NOT abandoned AND redirect_url <> ''
        WHEN 'AUTHORIZED' THEN authorized > 0 AND captured = 0 AND NOT released
        WHEN 'CAPTURED' THEN captured > 0 AND refunded = 0
        WHEN 'PARTIALLY_REFUNDED' THEN refunded > 0 AND refunded < captured
        WHEN 'REFUNDED' THEN captured > 0 AND refunded = captured
        WHEN 'FAILED' THEN refunded = 0 OR refunded < captured
        WHEN 'TIMED_OUT' THEN refunded = 0 OR refunded < captured
        WHEN 'VOIDED' THEN refunded = 0 OR refunded < captured
        ELSE false END)
);
-- Two payments of one order never hold money at once.
CREATE UNIQUE INDEX payments_one_alive ON payments (order_id)
    WHERE status IN ('PENDING', 'ACTION_REQUIRED', 'AUTHORIZED', 'CAPTURED', 'PARTIALLY_REFUNDED');
CREATE INDEX payments_of_order ON payments (order_id, created_at, id);

-- What the shop wants of the provider, written down before it is asked. The id is the key of the request.
CREATE TABLE operations (
    id         text PRIMARY KEY,
    payment_id text NOT NULL REFERENCES payments,
    kind       text NOT NULL CHECK (kind IN ('AUTHORIZE', 'CAPTURE', 'VOID', 'REFUND')),
    amount     bigint NOT NULL CHECK (amount > 0),
    currency   text NOT NULL,
    state      text NOT NULL CHECK (state IN ('OPEN', 'DONE', 'REFUSED', 'DROPPED')),
    undo       boolean NOT NULL,
    attempts   integer NOT NULL,
    due_at     timestamptz NOT NULL,
    code       text NOT NULL
);
CREATE INDEX operations_due ON operations (due_at) WHERE state = 'OPEN';
CREATE INDEX operations_open ON operations (payment_id) WHERE state = 'OPEN';
CREATE UNIQUE INDEX operations_one_at_a_time ON operations (payment_id, kind) WHERE state = 'OPEN' AND kind <> 'REFUND';

-- Every move of money, or try, append-only. Money is promised, taken and let go once; it is given back once for every key.
CREATE TABLE transactions (
    seq        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id         text NOT NULL UNIQUE,
    payment_id text NOT NULL REFERENCES payments,
    kind       text NOT NULL CHECK (kind IN ('AUTHORIZE', 'CAPTURE', 'VOID', 'REFUND')),
    amount     bigint NOT NULL CHECK (amount > 0),
    currency   text NOT NULL,
    success    boolean NOT NULL,
    reference  text,
    operation  text,
    at         timestamptz NOT NULL
);
CREATE INDEX transactions_of_payment ON transactions (payment_id, seq);
CREATE UNIQUE INDEX transactions_once ON transactions (payment_id, kind) WHERE success AND kind <> 'REFUND';
CREATE UNIQUE INDEX transactions_refund_once ON transactions (payment_id, operation) WHERE success AND kind = 'REFUND';

-- The ledger, by double entry and append-only: the postings of one transaction sum to zero.
CREATE TABLE postings (
    transaction_id text NOT NULL REFERENCES transactions (id),
    payment_id     text NOT NULL REFERENCES payments,
    account        text NOT NULL CHECK (account IN ('RECEIVABLE', 'CLEARING', 'CUSTOMERS')),
    amount         bigint NOT NULL CHECK (amount <> 0), -- debit > 0, credit < 0
    currency       text NOT NULL,
    PRIMARY KEY (transaction_id, account)
);
CREATE INDEX postings_of_payment ON postings (payment_id);

-- What providers told by themselves. Each counts once.
CREATE TABLE reports (
    provider       text NOT NULL,
    event_id       text NOT NULL,
    reference      text NOT NULL,
    payment_key    text,
    kind           text NOT NULL CHECK (kind IN ('AUTHORIZE', 'CAPTURE', 'VOID', 'REFUND')),
    success        boolean NOT NULL,
    amount         bigint,
    currency       text,
    operation      text,
    code           text,
    received_at    timestamptz NOT NULL,
    attempts       integer NOT NULL DEFAULT 0,
    due_at         timestamptz, -- null once it counts, or never will
    payment_id     text REFERENCES payments,
    transaction_id text REFERENCES transactions (id),
    refusal        jsonb,
    PRIMARY KEY (provider, event_id)
);
CREATE INDEX reports_due ON reports (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX reports_of_payment ON reports (payment_id);

-- What staff asked for under which key.
CREATE TABLE answers (
    caller       text NOT NULL,
    key          text NOT NULL,
    input        bytea NOT NULL, -- a hash
    operation_id text REFERENCES operations,
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (caller, key)
);

-- +goose StatementBegin
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE integrity_constraint_violation USING MESSAGE = format('%s of %s is refused', TG_OP, TG_TABLE_NAME);
END $$;

-- A payment goes forward only: an old webhook never opens again what has ended.
CREATE FUNCTION forward_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.id, NEW.idempotency_key, NEW.input, NEW.order_id, NEW.account_id, NEW.method_id, NEW.token, NEW.provider, NEW.currency, NEW.amount, NEW.created_at)
        <> (OLD.id, OLD.idempotency_key, OLD.input, OLD.order_id, OLD.account_id, OLD.method_id, OLD.token, OLD.provider, OLD.currency, OLD.amount, OLD.created_at)
        OR NEW.version <> OLD.version + 1
        OR NEW.authorized < OLD.authorized OR NEW.captured < OLD.captured OR NEW.refunded < OLD.refunded
        OR OLD.captured > 0 AND NEW.captured <> OLD.captured
        OR OLD.released AND NOT NEW.released OR OLD.abandoned AND NOT NEW.abandoned
        OR OLD.reference IS NOT NULL AND NEW.reference IS DISTINCT FROM OLD.reference
    THEN
        RAISE integrity_constraint_violation USING MESSAGE = format('payment %s cannot change like that', NEW.id);
    END IF;
    IF NEW.status <> OLD.status AND NOT (CASE OLD.status
        WHEN 'PENDING' THEN true
        WHEN 'ACTION_REQUIRED' THEN NEW.status <> 'PENDING'
        WHEN 'AUTHORIZED' THEN NEW.status IN ('CAPTURED', 'PARTIALLY_REFUNDED', 'REFUNDED', 'VOIDED')
        WHEN 'CAPTURED' THEN NEW.status IN ('PARTIALLY_REFUNDED', 'REFUNDED')
        WHEN 'PARTIALLY_REFUNDED' THEN NEW.status = 'REFUNDED'
        WHEN 'FAILED' THEN NEW.status IN ('VOIDED', 'REFUNDED')
        WHEN 'TIMED_OUT' THEN NEW.status IN ('VOIDED', 'REFUNDED')
        WHEN 'VOIDED' THEN NEW.status = 'REFUNDED'
        ELSE false END)
    THEN
        RAISE integrity_constraint_violation USING MESSAGE = format('payment %s is %s and cannot be %s any more', NEW.id, OLD.status, NEW.status);
    END IF;
    RETURN NEW;
END $$;

-- No payment is alive beside an order that was abandoned.
CREATE FUNCTION knows_its_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.abandoned IS DISTINCT FROM (SELECT abandoned_at IS NOT NULL FROM orders WHERE id = NEW.order_id FOR SHARE) THEN
        RAISE integrity_constraint_violation USING MESSAGE = format('payment %s does not know that its order was abandoned', NEW.id);
    END IF;
    RETURN NEW;
END $$;

-- Money is asked for only while the payment holds a promise and its order stands; given back is at most what was taken.
CREATE FUNCTION may_be_asked() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    p payments;
BEGIN
    SELECT * INTO p FROM payments WHERE id = NEW.payment_id FOR UPDATE;
    IF NEW.kind = 'CAPTURE' AND (p.abandoned OR p.status <> 'AUTHORIZED' OR NEW.amount > p.authorized)
        OR NEW.kind = 'AUTHORIZE' AND (p.abandoned OR p.status <> 'PENDING')
        OR NEW.kind = 'REFUND' AND NEW.amount + p.refunded
            + (SELECT coalesce(sum(amount), 0) FROM operations WHERE payment_id = p.id AND kind = 'REFUND' AND state = 'OPEN') > p.captured
    THEN
        RAISE integrity_constraint_violation USING MESSAGE = format('payment %s is %s: no %s of %s', p.id, p.status, NEW.kind, NEW.amount);
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION ends_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state = 'OPEN' AND (NEW.id, NEW.payment_id, NEW.kind, NEW.amount) = (OLD.id, OLD.payment_id, OLD.kind, OLD.amount) THEN
        RETURN NEW;
    END IF;
    RAISE integrity_constraint_violation USING MESSAGE = format('operation %s is %s', OLD.id, OLD.state);
END $$;

-- What follows is checked at commit: the ledger balances, and says what the payments say.
CREATE FUNCTION balances() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT sum(amount) <> 0 OR count(DISTINCT currency) <> 1 FROM postings WHERE transaction_id = NEW.transaction_id) THEN
        RAISE integrity_constraint_violation USING MESSAGE = format('the postings of %s do not balance', NEW.transaction_id);
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION ledger_agrees() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    p payments;
    receivable bigint;
    clearing bigint;
BEGIN
    SELECT * INTO p FROM payments WHERE id = NEW.id;
    SELECT coalesce(sum(amount) FILTER (WHERE account = 'RECEIVABLE'), 0), coalesce(sum(amount) FILTER (WHERE account = 'CLEARING'), 0)
        INTO receivable, clearing FROM postings WHERE payment_id = p.id;
    IF clearing <> p.captured - p.refunded OR receivable <> (CASE WHEN p.captured = 0 AND NOT p.released THEN p.authorized ELSE 0 END) THEN
        RAISE integrity_constraint_violation USING MESSAGE = format('the ledger does not say so of payment %s', p.id);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd

CREATE TRIGGER forward_only BEFORE UPDATE ON payments FOR EACH ROW EXECUTE FUNCTION forward_only();
CREATE TRIGGER stays BEFORE DELETE ON payments FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER knows_its_order BEFORE INSERT ON payments FOR EACH ROW EXECUTE FUNCTION knows_its_order();
CREATE TRIGGER may_be_asked BEFORE INSERT ON operations FOR EACH ROW EXECUTE FUNCTION may_be_asked();
CREATE TRIGGER ends_once BEFORE UPDATE ON operations FOR EACH ROW EXECUTE FUNCTION ends_once();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON transactions FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER append_only_too BEFORE TRUNCATE ON transactions EXECUTE FUNCTION refuse();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON postings FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER append_only_too BEFORE TRUNCATE ON postings EXECUTE FUNCTION refuse();
CREATE CONSTRAINT TRIGGER balances AFTER INSERT ON postings DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION balances();
CREATE CONSTRAINT TRIGGER ledger_agrees AFTER INSERT OR UPDATE ON payments DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_agrees();

-- What became true and was not told yet: written in the transaction that made it true, deleted once NATS has it.
CREATE TABLE outbox (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id   text NOT NULL UNIQUE,
    subject    text NOT NULL,
    payload    jsonb NOT NULL,
    headers    jsonb,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- Which events were handled: written in the transaction that handles them, so that a second delivery changes nothing.
CREATE TABLE inbox (
    consumer   text NOT NULL,
    event_id   text NOT NULL,
    handled_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, event_id)
);
