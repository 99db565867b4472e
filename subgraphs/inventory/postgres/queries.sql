-- name: StockOf :many
SELECT sqlc.embed(s), i.product_id FROM stock s JOIN items i USING (variant_id) WHERE s.variant_id = ANY (@variant_ids::text[]);

-- name: LevelsOf :many
SELECT * FROM levels WHERE variant_id = ANY (@variant_ids::text[]) ORDER BY variant_id, warehouse_id;

-- name: InStock :many
SELECT DISTINCT i.product_id FROM items i JOIN stock s USING (variant_id)
WHERE i.product_id = ANY (@product_ids::text[]) AND i.listed AND s.on_hand > s.held;

-- name: LevelsIn :many
-- LevelsIn lists the first levels of each warehouse behind a variant.
SELECT l.* FROM unnest(@warehouse_ids::text[]) AS w (id)
CROSS JOIN LATERAL (
    SELECT * FROM levels WHERE warehouse_id = w.id AND variant_id > @after
    ORDER BY variant_id LIMIT @first) AS l;

-- name: LevelsOfSellerIn :many
-- LevelsOfSellerIn lists the first levels of a seller's goods in each warehouse behind a variant.
SELECT l.* FROM unnest(@warehouse_ids::text[]) AS w (id)
CROSS JOIN LATERAL (
    SELECT levels.* FROM items JOIN levels USING (variant_id)
    WHERE items.seller_id = @seller_id AND items.variant_id > @after AND levels.warehouse_id = w.id
    ORDER BY items.variant_id LIMIT @first) AS l;

-- name: Movements :many
SELECT * FROM ledger WHERE variant_id = @variant_id AND seq > @after_seq ORDER BY seq LIMIT @first;

-- name: ItemsByID :many
SELECT * FROM items WHERE variant_id = ANY (@variant_ids::text[]);

-- name: AddItems :exec
-- AddItems remembers what the catalogue answered; what it told since is newer.
INSERT INTO items (variant_id, product_id, seller_id, sku, version, listed)
SELECT unnest(@variant_ids::text[]), unnest(@product_ids::text[]), unnest(@seller_ids::text[]), unnest(@skus::text[]), 0, true
ORDER BY 1
ON CONFLICT DO NOTHING;

-- name: SaveItems :exec
-- SaveItems remembers a product's variants, unless a newer version of the product was heard of already.
INSERT INTO items AS i (variant_id, product_id, seller_id, sku, version, listed)
SELECT unnest(@variant_ids::text[]), @product_id, @seller_id, unnest(@skus::text[]), @version, true
ORDER BY 1
ON CONFLICT (variant_id) DO UPDATE
SET product_id = excluded.product_id, seller_id = excluded.seller_id, sku = excluded.sku, version = excluded.version, listed = true
WHERE i.version < excluded.version;

-- name: UnlistItems :exec
-- UnlistItems notes which variants a version of a product no longer has.
UPDATE items SET listed = false, version = @version
WHERE product_id = @product_id AND version < @version AND variant_id <> ALL (@variant_ids::text[]);

-- name: Warehouses :many
SELECT * FROM warehouses ORDER BY code;

-- name: WarehousesByID :many
SELECT * FROM warehouses WHERE id = ANY (@ids::text[]);

-- name: SaveWarehouse :one
-- SaveWarehouse changes nothing, and returns nothing, when the warehouse is like that already.
INSERT INTO warehouses AS w (id, code, name, pincode, country, latitude, longitude, version, updated_at)
VALUES (@id, @code, @name, @pincode, @country, @latitude, @longitude, 1, @updated_at)
ON CONFLICT (code) DO UPDATE
SET name = excluded.name, pincode = excluded.pincode, country = excluded.country,
    latitude = excluded.latitude, longitude = excluded.longitude, version = w.version + 1, updated_at = excluded.updated_at
WHERE (w.name, w.pincode, w.country, w.latitude, w.longitude)
   <> (excluded.name, excluded.pincode, excluded.country, excluded.latitude, excluded.longitude)
RETURNING *;

-- name: WarehouseByCode :one
SELECT * FROM warehouses WHERE code = @code;

-- name: ReservationsByID :many
SELECT sqlc.embed(r), sqlc.embed(l) FROM reservations r JOIN reservation_lines l ON l.reservation_id = r.id
WHERE r.id = ANY (@ids::text[])
ORDER BY r.id, l.variant_id, l.warehouse_id;

-- name: Due :many
SELECT id FROM reservations WHERE status = 'HELD' AND expires_at <= @at ORDER BY expires_at LIMIT @most;

-- name: NextExpiry :one
SELECT expires_at FROM reservations WHERE status = 'HELD' ORDER BY expires_at LIMIT 1;

-- name: OpenStock :exec
INSERT INTO stock (variant_id) SELECT unnest(@variant_ids::text[]) ORDER BY 1 ON CONFLICT DO NOTHING;

-- name: OpenLevels :exec
INSERT INTO levels (variant_id, warehouse_id)
SELECT unnest(@variant_ids::text[]), unnest(@warehouse_ids::text[])
ON CONFLICT DO NOTHING;

-- name: MoveStock :exec
UPDATE stock s SET seq = d.seq, on_hand = s.on_hand + d.on_hand, held = s.held + d.held
FROM (SELECT unnest(@variant_ids::text[]) AS variant_id, unnest(@seqs::bigint[]) AS seq,
             unnest(@on_hand::int[]) AS on_hand, unnest(@held::int[]) AS held) AS d
WHERE s.variant_id = d.variant_id;

-- name: MoveLevels :exec
UPDATE levels l SET seq = d.seq, on_hand = l.on_hand + d.on_hand, held = l.held + d.held
FROM (SELECT unnest(@variant_ids::text[]) AS variant_id, unnest(@warehouse_ids::text[]) AS warehouse_id, unnest(@seqs::bigint[]) AS seq,
             unnest(@on_hand::int[]) AS on_hand, unnest(@held::int[]) AS held) AS d
WHERE l.variant_id = d.variant_id AND l.warehouse_id = d.warehouse_id;

-- name: AppendToLedger :exec
INSERT INTO ledger (variant_id, seq, at, kind, quantity, warehouse_id, on_hand_after, held_after, reservation_id, order_id, pool_id, reason, idempotency_key)
SELECT variant_id, seq, @at, kind, quantity, warehouse_id, on_hand_after, held_after,
       nullif(reservation_id, ''), nullif(order_id, ''), nullif(pool_id, ''), nullif(reason, ''), nullif(idempotency_key, '')
FROM (SELECT unnest(@variant_ids::text[]) AS variant_id, unnest(@seqs::bigint[]) AS seq, unnest(@kinds::text[]) AS kind,
             unnest(@quantities::int[]) AS quantity, unnest(@warehouse_ids::text[]) AS warehouse_id,
             unnest(@on_hand_after::int[]) AS on_hand_after, unnest(@held_after::int[]) AS held_after,
             unnest(@reservation_ids::text[]) AS reservation_id, unnest(@order_ids::text[]) AS order_id, unnest(@pool_ids::text[]) AS pool_id,
             unnest(@reasons::text[]) AS reason, unnest(@idempotency_keys::text[]) AS idempotency_key) AS m;

-- name: GiveToPool :exec
INSERT INTO allotments AS a (pool_id, variant_id, warehouse_id, given)
SELECT @pool_id, unnest(@variant_ids::text[]), unnest(@warehouse_ids::text[]), unnest(@given::int[])
ON CONFLICT (pool_id, variant_id, warehouse_id) DO UPDATE SET given = a.given + excluded.given;

-- name: ReturnFromPool :exec
UPDATE allotments a SET returned = a.returned + d.returned
FROM (SELECT unnest(@variant_ids::text[]) AS variant_id, unnest(@warehouse_ids::text[]) AS warehouse_id, unnest(@returned::int[]) AS returned) AS d
WHERE a.pool_id = @pool_id AND a.variant_id = d.variant_id AND a.warehouse_id = d.warehouse_id;

-- name: AddReservations :exec
INSERT INTO reservations (id, order_id, account_id, status, created_at, updated_at, expires_at)
SELECT unnest(@ids::text[]), unnest(@order_ids::text[]), unnest(@account_ids::text[]), 'HELD', @at, @at, unnest(@expires_at::timestamptz[]);

-- name: AddReservationLines :exec
INSERT INTO reservation_lines (reservation_id, variant_id, warehouse_id, quantity)
SELECT unnest(@reservation_ids::text[]), unnest(@variant_ids::text[]), unnest(@warehouse_ids::text[]), unnest(@quantities::int[]);

-- name: AddAnswers :exec
-- AddAnswers fails when one of the keys was answered meanwhile.
INSERT INTO answers (caller, key, input, answer, created_at)
SELECT unnest(@callers::text[]), unnest(@keys::text[]), unnest(@inputs::bytea[]), unnest(@answers::text[])::jsonb, @at
ORDER BY 1, 2;

-- name: ForgetAnswers :execrows
DELETE FROM answers WHERE ctid = ANY (ARRAY(SELECT a.ctid FROM answers a WHERE a.created_at < @before LIMIT @most));

-- name: PoolMoves :many
-- PoolMoves sums what went to flash sales and came back, under each key.
SELECT pool_id::text AS pool_id, variant_id, kind, coalesce(idempotency_key, '') AS key, sum(abs(quantity))::bigint AS quantity
FROM ledger WHERE pool_id IS NOT NULL GROUP BY pool_id, variant_id, kind, idempotency_key;

-- name: Audit :many
-- Audit says what of the levels, sums and reservations the ledger does not bear out.
WITH chain AS (
    SELECT variant_id, seq, warehouse_id, on_hand_after, held_after,
           lag(seq, 1, 0) OVER (PARTITION BY variant_id ORDER BY seq) AS seq_before,
           lag(on_hand_after, 1, 0) OVER w + CASE WHEN kind IN ('ADJUST', 'SET', 'COMMIT', 'RESTOCK', 'ALLOT', 'RETURN') THEN quantity ELSE 0 END AS on_hand_due,
           lag(held_after, 1, 0) OVER w + CASE WHEN kind IN ('ADJUST', 'SET', 'RESTOCK', 'ALLOT', 'RETURN') THEN 0 ELSE quantity END AS held_due,
           lead(seq) OVER w IS NULL AS newest
    FROM ledger WINDOW w AS (PARTITION BY variant_id, warehouse_id ORDER BY seq)
), waiting AS (
    SELECT l.variant_id, l.warehouse_id, sum(l.quantity) AS held
    FROM reservations r JOIN reservation_lines l ON l.reservation_id = r.id
    WHERE r.status = 'HELD' GROUP BY l.variant_id, l.warehouse_id
), sums AS (
    SELECT variant_id, max(seq) AS seq, sum(on_hand) AS on_hand, sum(held) AS held FROM levels GROUP BY variant_id
)
SELECT format('ledger of %s: a gap before %s', variant_id, seq)::text AS damage FROM chain WHERE seq <> seq_before + 1
UNION ALL
SELECT format('ledger of %s: movement %s leaves %s on hand and %s held, not %s and %s',
              variant_id, seq, on_hand_after, held_after, on_hand_due, held_due)
FROM chain WHERE (on_hand_after, held_after) <> (on_hand_due, held_due)
UNION ALL
SELECT format('level of %s in %s: %s on hand and %s held at %s, but the ledger says %s and %s at %s',
              coalesce(l.variant_id, c.variant_id), coalesce(l.warehouse_id, c.warehouse_id),
              l.on_hand, l.held, l.seq, c.on_hand_after, c.held_after, c.seq)
FROM levels l FULL JOIN (SELECT * FROM chain WHERE newest) c ON c.variant_id = l.variant_id AND c.warehouse_id = l.warehouse_id
WHERE (l.on_hand, l.held, l.seq) IS DISTINCT FROM (c.on_hand_after, c.held_after, c.seq)
UNION ALL
SELECT format('level of %s in %s: %s held, but reservations hold %s',
              coalesce(l.variant_id, w.variant_id), coalesce(l.warehouse_id, w.warehouse_id), coalesce(l.held, 0), coalesce(w.held, 0))
FROM levels l FULL JOIN waiting w ON w.variant_id = l.variant_id AND w.warehouse_id = l.warehouse_id
WHERE coalesce(l.held, 0) <> coalesce(w.held, 0)
UNION ALL
SELECT format('stock of %s: %s on hand and %s held at %s, but its levels say %s and %s at %s',
              coalesce(s.variant_id, x.variant_id), s.on_hand, s.held, s.seq, x.on_hand, x.held, x.seq)
FROM stock s FULL JOIN sums x ON x.variant_id = s.variant_id
WHERE (s.on_hand, s.held, s.seq) IS DISTINCT FROM (coalesce(x.on_hand, 0), coalesce(x.held, 0), coalesce(x.seq, 0))
UNION ALL
SELECT format('reservation %s is %s, but of %s of %s in %s the ledger says %s', r.id, r.status, l.quantity, l.variant_id, l.warehouse_id,
              (SELECT coalesce(string_agg(g.kind || ' ' || g.quantity, ', ' ORDER BY g.seq), 'nothing') FROM ledger g
               WHERE g.reservation_id = l.reservation_id AND g.variant_id = l.variant_id AND g.warehouse_id = l.warehouse_id))
FROM reservations r JOIN reservation_lines l ON l.reservation_id = r.id
WHERE (SELECT coalesce(string_agg(g.kind || ' ' || abs(g.quantity), ', ' ORDER BY g.seq), '') FROM ledger g
       WHERE g.reservation_id = l.reservation_id AND g.variant_id = l.variant_id AND g.warehouse_id = l.warehouse_id)
   <> CASE r.status
      WHEN 'HELD' THEN format('HOLD %s', l.quantity)
      WHEN 'COMMITTED' THEN format('HOLD %1$s, COMMIT %1$s', l.quantity)
      WHEN 'RESTOCKED' THEN format('HOLD %1$s, COMMIT %1$s, RESTOCK %1$s', l.quantity)
      WHEN 'RELEASED' THEN format('HOLD %1$s, RELEASE %1$s', l.quantity)
      ELSE format('HOLD %1$s, EXPIRE %1$s', l.quantity) END
UNION ALL
SELECT format('pool %s: %s of %s in %s given and %s returned, but the ledger says %s and %s', coalesce(a.pool_id, g.pool_id),
              a.given, coalesce(a.variant_id, g.variant_id), coalesce(a.warehouse_id, g.warehouse_id), a.returned, g.given, g.returned)
FROM allotments a FULL JOIN (
    SELECT pool_id, variant_id, warehouse_id, coalesce(-sum(quantity) FILTER (WHERE kind = 'ALLOT'), 0)::bigint AS given,
           coalesce(sum(quantity) FILTER (WHERE kind = 'RETURN'), 0)::bigint AS returned
    FROM ledger WHERE pool_id IS NOT NULL GROUP BY pool_id, variant_id, warehouse_id
) g ON g.pool_id = a.pool_id AND g.variant_id = a.variant_id AND g.warehouse_id = a.warehouse_id
WHERE (a.given::bigint, a.returned::bigint) IS DISTINCT FROM (g.given, g.returned)
UNION ALL
SELECT format('ledger of %s: movement %s is of reservation %s, which has no such line', g.variant_id, g.seq, g.reservation_id)
FROM ledger g
WHERE g.reservation_id IS NOT NULL AND NOT EXISTS (
    SELECT FROM reservation_lines l
    WHERE l.reservation_id = g.reservation_id AND l.variant_id = g.variant_id AND l.warehouse_id = g.warehouse_id)
ORDER BY 1;
