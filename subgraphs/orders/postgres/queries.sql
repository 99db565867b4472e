-- name: OrdersByID :many
SELECT * FROM orders WHERE id = ANY (@ids::text[]);

-- name: LinesOf :many
SELECT * FROM order_lines WHERE order_id = ANY (@order_ids::text[]) ORDER BY order_id, position;

-- name: OrderIDsOfLines :many
SELECT DISTINCT order_id FROM order_lines WHERE id = ANY (@ids::text[]);

-- name: TimelinesOf :many
SELECT * FROM order_events WHERE order_id = ANY (@order_ids::text[]) ORDER BY order_id, seq;

-- name: ClaimCheckout :one
-- ClaimCheckout returns the checkout that the key names, which may be an older one: the update is there to return it.
INSERT INTO checkouts AS c (account_id, key, input_hash, order_id)
VALUES (@account_id, @key, @input_hash, @order_id)
ON CONFLICT (account_id, key) DO UPDATE SET key = c.key
RETURNING *;

-- name: DecideCheckout :execrows
UPDATE checkouts SET decision = @decision, problems = @problems
WHERE account_id = @account_id AND key = @key AND decision = '';

-- name: InsertOrder :one
INSERT INTO orders (id, version, account_id, cart_id, cart_version, status, amount, currency, address, created_at, updated_at, deadline,
    reservation_id, booking_id, payment_method_id, payment_id, payment_version, payment_status, redirect_url, decline_code, committing, stock_settled, payment_settled)
VALUES (@id, 1, @account_id, @cart_id, @cart_version, @status, @amount, @currency, @address, @created_at, @updated_at, @deadline,
    @reservation_id, @booking_id, @payment_method_id, '', 0, '', '', '', false, false, false)
RETURNING *;

-- name: InsertLines :copyfrom
INSERT INTO order_lines (id, order_id, position, variant_id, product_id, seller_id, title, quantity, unit_amount)
VALUES (@id, @order_id, @position, @variant_id, @product_id, @seller_id, @title, @quantity, @unit_amount);

-- name: LockOrder :one
SELECT * FROM orders WHERE id = @id FOR UPDATE;

-- name: UpdateOrder :exec
UPDATE orders SET version = version + 1, status = @status, cancel_reason = @cancel_reason, updated_at = @updated_at, placed_at = @placed_at,
    payment_id = @payment_id, payment_version = @payment_version, payment_status = @payment_status, redirect_url = @redirect_url,
    decline_code = @decline_code, committing = @committing, cancelling = @cancelling, parcelled = @parcelled, stock_settled = @stock_settled, payment_settled = @payment_settled
WHERE id = @id;

-- name: ClaimCancellation :one
-- ClaimCancellation returns what the key was first used with: the update is there to return it.
INSERT INTO cancellations AS c (account_id, key, input_hash, order_id)
VALUES (@account_id, @key, @input_hash, @order_id)
ON CONFLICT (account_id, key) DO UPDATE SET key = c.key
RETURNING *;

-- name: InsertEvents :copyfrom
INSERT INTO order_events (order_id, seq, at, kind, message) VALUES (@order_id, @seq, @at, @kind, @message);

-- name: SaveParcel :exec
-- SaveParcel keeps the newest news of a parcel.
INSERT INTO order_parcels AS p (shipment_id, order_id, version, status, lines)
VALUES (@shipment_id, @order_id, @version, @status, @lines)
ON CONFLICT (shipment_id) DO UPDATE SET version = excluded.version, status = excluded.status, lines = excluded.lines
WHERE p.version < excluded.version;

-- name: ParcelsOf :many
SELECT * FROM order_parcels WHERE order_id = @order_id ORDER BY shipment_id;

-- name: OrdersAfter :many
SELECT * FROM orders WHERE id > @after ORDER BY id LIMIT @max::int;

-- name: ForgetCancellations :execrows
DELETE FROM cancellations WHERE ctid = ANY (ARRAY(SELECT c.ctid FROM cancellations c WHERE c.created_at < @before LIMIT @most FOR UPDATE SKIP LOCKED));

-- name: PagesOfCheckouts :one
SELECT (pg_relation_size('checkouts') / current_setting('block_size')::bigint)::bigint;

-- name: ForgetCheckouts :execrows
-- ForgetCheckouts looks at a stretch of pages. What became an order stays, as the order does: its key never buys again.
DELETE FROM checkouts
WHERE ctid >= format('(%s,0)', @from_page::bigint)::tid AND ctid < format('(%s,0)', @to_page::bigint)::tid AND created_at < @before AND decision <> 'ORDERED';
