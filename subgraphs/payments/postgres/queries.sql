-- name: PaymentsByID :many
SELECT * FROM payments WHERE id = ANY (@ids::text[]);

-- name: PaymentsOf :many
SELECT * FROM payments
WHERE order_id = ANY (@order_ids::text[])
ORDER BY created_at, id;

-- name: PaymentOfKey :one
SELECT * FROM payments WHERE idempotency_key = @key;

-- name: LockPayment :one
SELECT * FROM payments WHERE id = @id FOR UPDATE;

-- name: LockPaymentsOf :many
SELECT * FROM payments WHERE order_id = @order_id ORDER BY id FOR UPDATE;

-- name: FindReported :one
-- FindReported finds the payment that a report is about: by our id, or by the provider's. Each way has an index as it is written here; taken
-- together, the ways by reference would read all payments of the provider.
SELECT id FROM payments
WHERE id = @payment_key OR id = @reference::text AND provider = @provider OR provider = @provider AND reference = @reference
ORDER BY id = @payment_key DESC LIMIT 1;

-- name: LockOrder :one
-- LockOrder makes the order known and locks it.
INSERT INTO orders AS o (id) VALUES (@id) ON CONFLICT (id) DO UPDATE SET id = o.id RETURNING *;

-- name: AbandonOrder :exec
UPDATE orders SET abandoned_at = @at, timed_out = @timed_out WHERE id = @id AND abandoned_at IS NULL;

-- name: InsertPayment :exec
INSERT INTO payments (id, idempotency_key, input, order_id, account_id, method_id, token, provider, status, currency, amount, abandoned, expires_at, created_at, updated_at)
VALUES (@id, @idempotency_key, @input, @order_id, @account_id, @method_id, @token, @provider, @status, @currency, @amount, @abandoned, @expires_at, @created_at, @updated_at);

-- name: UpdatePayment :exec
UPDATE payments
SET version = @version, reference = @reference, status = @status, authorized = @authorized, captured = @captured, refunded = @refunded,
    released = @released, abandoned = @abandoned, decline_code = @decline_code, redirect_url = @redirect_url, updated_at = @updated_at
WHERE id = @id;

-- name: OpenOperations :many
SELECT * FROM operations WHERE payment_id = @payment_id AND state = 'OPEN' ORDER BY id;

-- name: OperationByID :one
SELECT * FROM operations WHERE id = @id;

-- name: InsertOperation :exec
INSERT INTO operations (id, payment_id, kind, amount, currency, state, undo, attempts, due_at, code)
VALUES (@id, @payment_id, @kind, @amount, @currency, @state, @undo, @attempts, @due_at, @code);

-- name: UpdateOperation :exec
UPDATE operations SET state = @state, undo = @undo, attempts = @attempts, due_at = @due_at, code = @code WHERE id = @id;

-- name: TakeOperations :many
WITH due AS (
    SELECT d.id FROM operations d WHERE d.state = 'OPEN' AND d.due_at <= @now ORDER BY d.due_at LIMIT @most FOR UPDATE SKIP LOCKED
)
UPDATE operations o SET due_at = @again FROM due WHERE o.id = due.id
RETURNING o.*;

-- name: InsertTransaction :exec
INSERT INTO transactions (id, payment_id, kind, amount, currency, success, reference, operation, at)
VALUES (@id, @payment_id, @kind, @amount, @currency, @success, @reference, @operation, @at);

-- name: InsertPosting :exec
INSERT INTO postings (transaction_id, payment_id, account, amount, currency) VALUES (@transaction_id, @payment_id, @account, @amount, @currency);

-- name: TransactionsOf :many
SELECT sqlc.embed(t), EXISTS (SELECT FROM reports r WHERE r.payment_id = t.payment_id AND r.transaction_id = t.id) AS told
FROM transactions t
WHERE t.payment_id = ANY (@payment_ids::text[])
ORDER BY t.payment_id, t.seq;

-- name: LockReport :one
-- LockReport keeps a report that is new, and locks it.
INSERT INTO reports AS r (provider, event_id, reference, payment_key, kind, success, amount, currency, operation, code, received_at, due_at)
VALUES (@provider, @event_id, @reference, @payment_key, @kind, @success, @amount, @currency, @operation, @code, @received_at, @received_at)
ON CONFLICT (provider, event_id) DO UPDATE SET event_id = r.event_id
RETURNING *;

-- name: CountReport :exec
UPDATE reports SET due_at = @due_at, attempts = attempts + 1, payment_id = @payment_id, transaction_id = @transaction_id, refusal = @refusal
WHERE provider = @provider AND event_id = @event_id;

-- name: TakeReports :many
WITH due AS (
    SELECT d.provider, d.event_id FROM reports d WHERE d.due_at <= @now AND d.attempts < 100 ORDER BY d.due_at LIMIT @most FOR UPDATE SKIP LOCKED
)
UPDATE reports r SET due_at = @again FROM due WHERE r.provider = due.provider AND r.event_id = due.event_id
RETURNING r.*;

-- name: ClaimAnswer :execrows
INSERT INTO answers (caller, key, input) VALUES (@caller, @key, @input) ON CONFLICT DO NOTHING;

-- name: SaveAnswer :exec
UPDATE answers SET operation_id = @operation_id WHERE caller = @caller AND key = @key;

-- name: AnswerOf :one
SELECT * FROM answers WHERE caller = @caller AND key = @key;

-- name: MethodsByID :many
SELECT * FROM methods WHERE id = ANY (@ids::text[]);

-- name: MethodsOf :many
SELECT * FROM methods WHERE account_id = ANY (@account_ids::text[]) ORDER BY account_id, is_default DESC, created_at DESC, id DESC;

-- name: LockMethods :exec
-- LockMethods lets one at a time change the methods of an account.
SELECT pg_advisory_xact_lock(hashtextextended('methods ' || @account_id::text, 0));

-- name: ClearDefault :exec
UPDATE methods SET is_default = false WHERE account_id = @account_id AND is_default AND id <> @keep;

-- name: InsertMethod :exec
INSERT INTO methods (id, account_id, provider, token, kind, label, is_default, created_at)
VALUES (@id, @account_id, @provider, @token, @kind, @label, @is_default, @created_at);

-- name: SetDefault :exec
UPDATE methods SET is_default = true WHERE id = @id;

-- name: Audit :many
-- Audit says where payments and ledger disagree.
WITH sums AS (
    SELECT payment_id,
        sum(amount) FILTER (WHERE account = 'RECEIVABLE') AS receivable, sum(amount) FILTER (WHERE account = 'CLEARING') AS clearing,
        sum(amount) AS total
    FROM postings GROUP BY payment_id
), moves AS (
    SELECT payment_id,
        sum(amount) FILTER (WHERE kind = 'AUTHORIZE') AS authorized, sum(amount) FILTER (WHERE kind = 'CAPTURE') AS captured,
        sum(amount) FILTER (WHERE kind = 'REFUND') AS refunded, bool_or(kind = 'VOID') AS released
    FROM transactions WHERE success GROUP BY payment_id
)
SELECT format('payment %s: the ledger says %s promised and %s taken, the payment %s and %s', p.id, coalesce(s.receivable, 0), coalesce(s.clearing, 0),
    CASE WHEN p.captured = 0 AND NOT p.released THEN p.authorized ELSE 0 END, p.captured - p.refunded)::text AS finding
FROM payments p LEFT JOIN sums s ON s.payment_id = p.id
WHERE coalesce(s.clearing, 0) <> p.captured - p.refunded
   OR coalesce(s.receivable, 0) <> CASE WHEN p.captured = 0 AND NOT p.released THEN p.authorized ELSE 0 END
UNION ALL
SELECT format('payment %s: its moves are not what it says', p.id)
FROM payments p LEFT JOIN moves m ON m.payment_id = p.id
WHERE (coalesce(m.authorized, 0), coalesce(m.captured, 0), coalesce(m.refunded, 0), coalesce(m.released, false))
   <> (p.authorized, p.captured, p.refunded, p.released)
UNION ALL
SELECT format('transaction %s: its postings sum to %s', g.transaction_id, sum(g.amount)) FROM postings g GROUP BY g.transaction_id HAVING sum(g.amount) <> 0
UNION ALL
SELECT format('payment %s: the provider was asked for nothing, though %s are kept for an order that was abandoned', p.id, p.authorized - p.refunded)
FROM payments p
WHERE p.abandoned AND (p.captured > p.refunded OR p.captured = 0 AND p.authorized > 0 AND NOT p.released)
  AND NOT EXISTS (SELECT FROM operations o WHERE o.payment_id = p.id AND o.state = 'OPEN');

-- name: ForgetAnswers :execrows
DELETE FROM answers WHERE ctid = ANY (ARRAY(SELECT a.ctid FROM answers a WHERE a.created_at < @before LIMIT @most FOR UPDATE SKIP LOCKED));

-- name: PagesOfOperations :one
SELECT (pg_relation_size('operations') / current_setting('block_size')::bigint)::bigint;

-- name: ForgetOperations :execrows
-- ForgetOperations looks at a stretch of pages. An operation was last due when it ended, more or less.
DELETE FROM operations o
WHERE o.ctid >= format('(%s,0)', @from_page::bigint)::tid AND o.ctid < format('(%s,0)', @to_page::bigint)::tid
  AND o.state <> 'OPEN' AND o.due_at < @before AND NOT EXISTS (SELECT FROM answers a WHERE a.operation_id = o.id);

-- name: PagesOfReports :one
SELECT (pg_relation_size('reports') / current_setting('block_size')::bigint)::bigint;

-- name: ForgetReports :execrows
-- ForgetReports looks at a stretch of pages. A report that stands for a transaction stays, as the transaction does, so that none counts
-- twice. One that came too early goes when it is not tried any more.
DELETE FROM reports
WHERE ctid >= format('(%s,0)', @from_page::bigint)::tid AND ctid < format('(%s,0)', @to_page::bigint)::tid
  AND transaction_id IS NULL AND received_at < @before AND (due_at IS NULL OR attempts >= 100);
