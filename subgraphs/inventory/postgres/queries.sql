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

-- name: NextExpiry :one
-- NextExpiry is when the sweeper has something to look at, though it may have ended already.
SELECT due_at::timestamptz FROM sheets WHERE due_at IS NOT NULL ORDER BY due_at LIMIT 1;

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

-- name: AddMovements :exec
INSERT INTO movements (variant_id, seq, at, kind, quantity, warehouse_id, on_hand_after, held_after, pool_id, reason, idempotency_key)
SELECT variant_id, seq, @at, kind, quantity, warehouse_id, on_hand_after, held_after,
       nullif(pool_id, ''), nullif(reason, ''), nullif(idempotency_key, '')
FROM (SELECT unnest(@variant_ids::text[]) AS variant_id, unnest(@seqs::bigint[]) AS seq, unnest(@kinds::text[]) AS kind,
             unnest(@quantities::int[]) AS quantity, unnest(@warehouse_ids::text[]) AS warehouse_id,
             unnest(@on_hand_after::int[]) AS on_hand_after, unnest(@held_after::int[]) AS held_after,
             unnest(@pool_ids::text[]) AS pool_id,
             unnest(@reasons::text[]) AS reason, unnest(@idempotency_keys::text[]) AS idempotency_key) AS m;

-- name: GiveToPool :exec
INSERT INTO allotments AS a (pool_id, variant_id, warehouse_id, given)
SELECT @pool_id, unnest(@variant_ids::text[]), unnest(@warehouse_ids::text[]), unnest(@given::int[])
ON CONFLICT (pool_id, variant_id, warehouse_id) DO UPDATE SET given = a.given + excluded.given;

-- name: ReturnFromPool :exec
UPDATE allotments a SET returned = a.returned + d.returned
FROM (SELECT unnest(@variant_ids::text[]) AS variant_id, unnest(@warehouse_ids::text[]) AS warehouse_id, unnest(@returned::int[]) AS returned) AS d
WHERE a.pool_id = @pool_id AND a.variant_id = d.variant_id AND a.warehouse_id = d.warehouse_id;

-- name: AddSheet :exec
INSERT INTO sheets (variant_id, first_seq, last_seq, id, at, due_at, warehouse_ids, on_hand_after, held_after,
                    tails, places, quantities, order_ids, account_ids, keys, expires_at)
VALUES (@variant_id, @first_seq, @last_seq, @id, @at, @due_at, @warehouse_ids, @on_hand_after, @held_after,
        @tails, @places, @quantities, @order_ids, @account_ids, @keys, @expires_at);

-- name: AddHoldAnswers :exec
-- AddHoldAnswers fails when one of the keys was answered meanwhile.
INSERT INTO hold_answers (key, input, reservation_id, short, created_at)
SELECT key, input, nullif(reservation_id, ''), nullif(short, '')::jsonb, @at
FROM (SELECT unnest(@keys::text[]) AS key, unnest(@inputs::bytea[]) AS input,
             unnest(@reservation_ids::text[]) AS reservation_id, unnest(@shorts::text[]) AS short) AS a
ORDER BY key COLLATE "C";

-- name: AddAnswer :exec
-- AddAnswer fails when the key was answered meanwhile.
INSERT INTO answers (caller, key, input, answer, created_at) VALUES (@caller, @key, @input, @answer, @created_at);

-- name: ForgetAnswers :execrows
DELETE FROM answers WHERE ctid = ANY (ARRAY(SELECT a.ctid FROM answers a WHERE a.created_at < @before LIMIT @most));

-- name: PagesOfHoldAnswers :one
SELECT (pg_relation_size('hold_answers') / current_setting('block_size')::bigint)::bigint;

-- name: ForgetHoldAnswers :execrows
-- ForgetHoldAnswers looks at a stretch of pages.
DELETE FROM hold_answers WHERE ctid >= format('(%s,0)', @from_page::bigint)::tid AND ctid < format('(%s,0)', @to_page::bigint)::tid AND created_at < @before;

-- name: PoolMoves :many
-- PoolMoves sums what went to flash sales and came back, under each key.
SELECT pool_id::text AS pool_id, variant_id, kind, coalesce(idempotency_key, '') AS key, sum(abs(quantity))::bigint AS quantity
FROM movements WHERE pool_id IS NOT NULL GROUP BY pool_id, variant_id, kind, idempotency_key;

-- name: Audit :many
-- Audit says what of the levels, sums and reservations the ledger does not bear out.
WITH entries AS (
    SELECT variant_id, seq, seq AS left_at, warehouse_id, kind, quantity, on_hand_after, held_after FROM movements
    UNION ALL
    SELECT variant_id, seq, last_seq, warehouse_id, 'HOLD', quantity, on_hand_after, held_after FROM sheet_lines
), chain AS (
    SELECT variant_id, seq, left_at, warehouse_id, on_hand_after, held_after,
           lag(seq, 1, 0) OVER (PARTITION BY variant_id ORDER BY seq) AS seq_before,
           lag(on_hand_after, 1, 0) OVER w + CASE WHEN kind IN ('ADJUST', 'SET', 'COMMIT', 'RESTOCK', 'ALLOT', 'RETURN') THEN quantity ELSE 0 END AS on_hand_due,
           lag(held_after, 1, 0) OVER w + CASE WHEN kind IN ('ADJUST', 'SET', 'RESTOCK', 'ALLOT', 'RETURN') THEN 0 ELSE quantity END AS held_due,
           lead(seq) OVER w IS NULL AS newest
    FROM entries WINDOW w AS (PARTITION BY variant_id, warehouse_id ORDER BY seq)
), lines AS (
    SELECT l.sheet_id, l.reservation_id, l.variant_id, l.warehouse_id, l.quantity, l.expires_at, l.due_at, coalesce(e.status, 'HELD') AS status
    FROM sheet_lines l LEFT JOIN endings e ON e.reservation_id = l.reservation_id
), waiting AS (
    SELECT variant_id, warehouse_id, sum(quantity) AS held FROM lines WHERE status = 'HELD' GROUP BY variant_id, warehouse_id
), ends AS (
    SELECT reservation_id, variant_id, warehouse_id, string_agg(format('%s %s', kind, CASE kind WHEN 'RESTOCK' THEN quantity ELSE -quantity END), ', ' ORDER BY seq) AS said
    FROM movements WHERE reservation_id IS NOT NULL GROUP BY reservation_id, variant_id, warehouse_id
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
              l.on_hand, l.held, l.seq, c.on_hand_after, c.held_after, c.left_at)
FROM levels l FULL JOIN (SELECT * FROM chain WHERE newest) c ON c.variant_id = l.variant_id AND c.warehouse_id = l.warehouse_id
WHERE (l.on_hand, l.held, l.seq) IS DISTINCT FROM (c.on_hand_after, c.held_after, c.left_at)
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
SELECT format('reservation %s is %s, but of %s of %s in %s the ledger says %s', l.reservation_id, l.status, l.quantity, l.variant_id, l.warehouse_id,
              coalesce(x.said, 'nothing'))
FROM lines l LEFT JOIN ends x ON x.reservation_id = l.reservation_id AND x.variant_id = l.variant_id AND x.warehouse_id = l.warehouse_id
WHERE x.said IS DISTINCT FROM CASE l.status
      WHEN 'HELD' THEN NULL
      WHEN 'COMMITTED' THEN format('COMMIT %s', l.quantity)
      WHEN 'RESTOCKED' THEN format('COMMIT %1$s, RESTOCK %1$s', l.quantity)
      WHEN 'RELEASED' THEN format('RELEASE %s', l.quantity)
      ELSE format('EXPIRE %s', l.quantity) END
UNION ALL
SELECT format('reservation %s is %s, but was never held', e.reservation_id, e.status)
FROM endings e WHERE NOT EXISTS (SELECT FROM sheets s WHERE s.id = left(e.reservation_id, -2) AND right(e.reservation_id, 2) = ANY (s.tails))
UNION ALL
SELECT format('sheet %s of %s: some of it is held, but the sweeper will not look at it in time', l.sheet_id, l.variant_id)
FROM lines l WHERE l.status = 'HELD' GROUP BY l.sheet_id, l.variant_id HAVING (max(l.due_at) <= min(l.expires_at)) IS NOT TRUE
UNION ALL
SELECT format('key %s: answered with reservation %s, which was never held', k.key, k.reservation_id)
FROM hold_answers k WHERE k.reservation_id IS NOT NULL
  AND NOT EXISTS (SELECT FROM sheets s WHERE s.id = left(k.reservation_id, -2) AND k.key = s.keys[array_position(s.tails, right(k.reservation_id, 2))])
UNION ALL
SELECT format('pool %s: %s of %s in %s given and %s returned, but the ledger says %s and %s', coalesce(a.pool_id, g.pool_id),
              a.given, coalesce(a.variant_id, g.variant_id), coalesce(a.warehouse_id, g.warehouse_id), a.returned, g.given, g.returned)
FROM allotments a FULL JOIN (
    SELECT pool_id, variant_id, warehouse_id, coalesce(-sum(quantity) FILTER (WHERE kind = 'ALLOT'), 0)::bigint AS given,
           coalesce(sum(quantity) FILTER (WHERE kind = 'RETURN'), 0)::bigint AS returned
    FROM movements WHERE pool_id IS NOT NULL GROUP BY pool_id, variant_id, warehouse_id
) g ON g.pool_id = a.pool_id AND g.variant_id = a.variant_id AND g.warehouse_id = a.warehouse_id
WHERE (a.given::bigint, a.returned::bigint) IS DISTINCT FROM (g.given, g.returned)
UNION ALL
SELECT format('ledger of %s: movement %s is of reservation %s, which has no such line', x.variant_id, g.seq, x.reservation_id)
FROM ends x JOIN movements g ON g.reservation_id = x.reservation_id AND g.variant_id = x.variant_id AND g.warehouse_id = x.warehouse_id
WHERE NOT EXISTS (
    SELECT FROM lines l WHERE l.reservation_id = x.reservation_id AND l.variant_id = x.variant_id AND l.warehouse_id = x.warehouse_id)
ORDER BY 1;
