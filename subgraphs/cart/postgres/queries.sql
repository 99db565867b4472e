-- name: CartIDsOfLines :many
SELECT DISTINCT cart_id FROM cart_lines WHERE id = ANY (@ids::text[]);

-- name: LinesOf :many
SELECT * FROM cart_lines WHERE cart_id = ANY (@cart_ids::text[]) ORDER BY cart_id, position;

-- name: LockCarts :many
-- LockCarts locks in the order of ids, so that two claims never wait for each other.
SELECT * FROM carts WHERE id = ANY (@ids::text[]) OR (account_id IS NOT NULL AND account_id = sqlc.narg(account_id)) ORDER BY id FOR UPDATE;

-- name: InsertCart :execrows
INSERT INTO carts (id, version, account_id, updated_at, expires_at)
VALUES (@id, 0, @account_id, @updated_at, @expires_at)
ON CONFLICT DO NOTHING;

-- name: UpdateCart :exec
UPDATE carts SET version = @version, account_id = @account_id, merged_into = @merged_into, updated_at = @updated_at, expires_at = @expires_at
WHERE id = @id;

-- name: DeleteLines :exec
DELETE FROM cart_lines WHERE cart_id = @cart_id;

-- name: InsertLines :copyfrom
INSERT INTO cart_lines (id, cart_id, position, variant_id, quantity, added_amount, added_currency)
VALUES (@id, @cart_id, @position, @variant_id, @quantity, @added_amount, @added_currency);

-- name: NoteOrdered :execrows
INSERT INTO ordered (order_id) VALUES (@order_id) ON CONFLICT DO NOTHING;

-- name: DeleteExpired :execrows
DELETE FROM carts WHERE id IN (
    SELECT c.id FROM carts c
    WHERE c.expires_at < @now AND NOT EXISTS (SELECT FROM carts m WHERE m.merged_into = c.id)
    LIMIT 1000 FOR UPDATE SKIP LOCKED);

-- name: ForgetOrdered :execrows
DELETE FROM ordered WHERE ctid = ANY (ARRAY(SELECT o.ctid FROM ordered o WHERE o.at < @before LIMIT @most FOR UPDATE SKIP LOCKED));
