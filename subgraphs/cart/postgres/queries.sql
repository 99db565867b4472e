-- name: CartByID :many
-- CartByID returns the cart once for each of its lines, and once when it has none: one statement sees one moment. Asked for one id,
-- PostgreSQL plans once, and not each time as it does for an array.
SELECT sqlc.embed(c), l.id AS line_id, l.variant_id, l.quantity, l.added_amount, l.added_currency
FROM carts c LEFT JOIN cart_lines l ON l.cart_id = c.id WHERE c.id = @id ORDER BY l.position;

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

-- name: InsertGuestCart :exec
-- InsertGuestCart saves a guest's new cart, which nobody else can know of, with its lines.
WITH taken AS (
    INSERT INTO carts (id, version, updated_at, expires_at) VALUES (@id, @version, @updated_at, @expires_at) RETURNING id
)
INSERT INTO cart_lines (cart_id, id, position, variant_id, quantity, added_amount, added_currency)
SELECT t.id, unnest(@line_ids::text[]), unnest(@positions::int[]), unnest(@variant_ids::text[]), unnest(@quantities::int[]),
    unnest(@added_amounts::bigint[]), unnest(@added_currencies::text[]) FROM taken t;

-- name: UpdateCart :exec
UPDATE carts SET version = @version, account_id = @account_id, merged_into = @merged_into, updated_at = @updated_at, expires_at = @expires_at
WHERE id = @id;

-- name: DeleteLines :exec
DELETE FROM cart_lines WHERE cart_id = @cart_id;

-- name: InsertLines :exec
INSERT INTO cart_lines (cart_id, id, position, variant_id, quantity, added_amount, added_currency)
SELECT @cart_id, unnest(@line_ids::text[]), unnest(@positions::int[]), unnest(@variant_ids::text[]), unnest(@quantities::int[]),
    unnest(@added_amounts::bigint[]), unnest(@added_currencies::text[]);

-- name: NoteOrdered :many
-- NoteOrdered returns those of the orders that were not noted before.
INSERT INTO ordered (order_id) SELECT unnest(@order_ids::text[]) ON CONFLICT DO NOTHING RETURNING order_id;

-- name: DeleteExpired :execrows
DELETE FROM carts WHERE id IN (
    SELECT c.id FROM carts c
    WHERE c.expires_at < @now AND NOT EXISTS (SELECT FROM carts m WHERE m.merged_into = c.id)
    LIMIT 1000 FOR UPDATE SKIP LOCKED);
