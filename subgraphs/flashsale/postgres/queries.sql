-- name: SalesByID :many
SELECT sqlc.embed(s), sqlc.embed(p), sqlc.embed(r) FROM sales s JOIN pools p ON p.sale_id = s.id JOIN rooms r ON r.sale_id = s.id
WHERE s.id = ANY (@ids::text[])
ORDER BY s.id, p.position;

-- name: ListSales :many
-- ListSales lists those that are not over by start, then the others, the newest first.
WITH found AS (
    SELECT s.id, CASE WHEN s.cancelled_at IS NOT NULL THEN 'CANCELLED'
                      WHEN s.ends_at <= @at THEN 'ENDED'
                      WHEN s.starts_at > @at THEN CASE WHEN s.admission <> 'OPEN_DOOR' AND s.room_opens_at <= @at THEN 'WAITING_ROOM' ELSE 'SCHEDULED' END
                      WHEN (SELECT sum(p.remaining) FROM pools p WHERE p.sale_id = s.id) = 0 THEN 'SOLD_OUT'
                      ELSE 'OPEN' END AS status, s.starts_at
    FROM sales s
)
SELECT id FROM found
WHERE sqlc.narg(status)::text IS NULL OR status = sqlc.narg(status)
ORDER BY status IN ('CANCELLED', 'ENDED'),
         CASE WHEN status NOT IN ('CANCELLED', 'ENDED') THEN starts_at END, starts_at DESC, id
LIMIT @first;

-- name: SalesOfVariants :many
SELECT DISTINCT ON (p.variant_id) p.variant_id, p.sale_id FROM pools p JOIN sales s ON s.id = p.sale_id
WHERE p.variant_id = ANY (@variant_ids::text[]) AND s.cancelled_at IS NULL AND s.ends_at > @at
ORDER BY p.variant_id, s.starts_at, s.id;

-- name: BookingsByID :many
SELECT * FROM bookings WHERE id = ANY (@ids::text[]);

-- name: BookingsOf :many
SELECT * FROM bookings WHERE account_id = @account_id AND sale_id = ANY (@sale_ids::text[]) AND status IN ('HELD', 'BOOKED')
ORDER BY sale_id, created_at, id;

-- name: DueSales :many
SELECT id FROM sales
WHERE told = 'SCHEDULED' AND admission <> 'OPEN_DOOR' AND room_opens_at <= @at OR told IN ('SCHEDULED', 'WAITING_ROOM') AND starts_at <= @at
   OR told IN ('SCHEDULED', 'WAITING_ROOM', 'OPEN') AND ends_at <= @at
LIMIT @most;

-- name: AddSale :exec
INSERT INTO sales (id, seller_id, title, starts_at, ends_at, limit_per_account, hold_seconds, told, seq,
    admission, room_opens_at, difficulty, admit_per_second, admission_seconds, seed)
VALUES (@id, @seller_id, @title, @starts_at, @ends_at, @limit_per_account, @hold_seconds, @told, @seq,
    @admission, @room_opens_at, @difficulty, @admit_per_second, @admission_seconds, @seed);

-- name: AddRoom :exec
INSERT INTO rooms (sale_id) VALUES (@sale_id);

-- name: AddPools :exec
INSERT INTO pools (sale_id, variant_id, position, amount, currency, limit_per_account)
SELECT @sale_id, unnest(@variant_ids::text[]), unnest(@positions::int[]), unnest(@amounts::bigint[]), unnest(@currencies::text[]), unnest(@limits::int[]);

-- name: EditSale :exec
UPDATE sales SET title = @title, starts_at = @starts_at, ends_at = @ends_at, limit_per_account = @limit_per_account, hold_seconds = @hold_seconds,
    cancelled_at = @cancelled_at, told = @told, admission = @admission, room_opens_at = @room_opens_at, difficulty = @difficulty,
    admit_per_second = @admit_per_second, admission_seconds = @admission_seconds
WHERE id = @id;

-- name: EditPools :exec
UPDATE pools p SET amount = d.amount, currency = d.currency, limit_per_account = d.limit_per_account
FROM (SELECT unnest(@variant_ids::text[]) AS variant_id, unnest(@amounts::bigint[]) AS amount, unnest(@currencies::text[]) AS currency,
             unnest(@limits::int[]) AS limit_per_account) AS d
WHERE p.sale_id = @sale_id AND p.variant_id = d.variant_id
  AND (p.amount, p.currency, p.limit_per_account) <> (d.amount, d.currency, d.limit_per_account);

-- name: MoveSeq :exec
UPDATE sales SET seq = @seq WHERE id = @id;

-- name: MovePools :exec
UPDATE pools p SET quantity = d.quantity, remaining = d.remaining, held = d.held, sold = d.sold, seq = d.seq
FROM (SELECT unnest(@variant_ids::text[]) AS variant_id, unnest(@quantities::int[]) AS quantity, unnest(@remaining::int[]) AS remaining,
             unnest(@held::int[]) AS held, unnest(@sold::int[]) AS sold, unnest(@seqs::bigint[]) AS seq) AS d
WHERE p.sale_id = @sale_id AND p.variant_id = d.variant_id;

-- name: AppendToLog :exec
INSERT INTO log (sale_id, seq, at, kind, variant_id, quantity, booking_id, change_id, total, remaining, held, sold)
SELECT @sale_id, seq, @at, kind, nullif(variant_id, ''), quantity, nullif(booking_id, ''), nullif(change_id, ''), total, remaining, held, sold
FROM (SELECT unnest(@seqs::bigint[]) AS seq, unnest(@kinds::text[]) AS kind, unnest(@variant_ids::text[]) AS variant_id,
             unnest(@quantities::int[]) AS quantity, unnest(@booking_ids::text[]) AS booking_id, unnest(@change_ids::text[]) AS change_id,
             unnest(@totals::int[]) AS total, unnest(@remaining::int[]) AS remaining, unnest(@held::int[]) AS held, unnest(@sold::int[]) AS sold) AS m;

-- name: AddBookings :exec
INSERT INTO bookings (id, sale_id, variant_id, account_id, key, status, amount, currency, order_id, created_at, updated_at, expires_at, sale_slot, variant_slot)
SELECT unnest(@ids::text[]), @sale_id, unnest(@variant_ids::text[]), unnest(@account_ids::text[]), unnest(@keys::text[]), 'HELD',
       unnest(@amounts::bigint[]), unnest(@currencies::text[]), '', @at, @at, unnest(@expires_at::timestamptz[]),
       unnest(@sale_slots::int[]), unnest(@variant_slots::int[]);

-- name: AddTransfer :exec
INSERT INTO transfers (id, sale_id, lines, created_at) VALUES (@id, @sale_id, @lines, @at);

-- name: BeginChange :exec
INSERT INTO changes (id, sale_id, account_id, seller_id, key, input_hash, plan, needs, decision, created_at)
VALUES (@id, @sale_id, @account_id, @seller_id, @key, @input_hash, @plan, @needs, 'PENDING', @at)
ON CONFLICT (account_id, key) DO NOTHING;

-- name: ChangeOfKey :one
SELECT * FROM changes WHERE account_id = @account_id AND key = @key;

-- name: DecideChange :exec
UPDATE changes SET decision = @decision, refusal = @refusal WHERE id = @id;

-- name: PendingChanges :many
SELECT * FROM changes WHERE decision = 'PENDING' AND created_at <= @before ORDER BY created_at LIMIT @most;

-- name: PendingTransfers :many
SELECT * FROM transfers WHERE done_at IS NULL AND (@sale_id::text = '' OR sale_id = @sale_id) ORDER BY created_at LIMIT @most;

-- name: TransferDone :exec
UPDATE transfers SET done_at = @at::timestamptz WHERE id = @id AND done_at IS NULL;

-- name: RoomsToServe :many
-- RoomsToServe lists open sales whose lots are to be drawn, or where people wait, or may let their turn go by.
SELECT s.id FROM sales s JOIN rooms r ON r.sale_id = s.id
WHERE s.told IN ('SCHEDULED', 'WAITING_ROOM', 'OPEN') AND s.admission <> 'OPEN_DOOR' AND s.cancelled_at IS NULL AND s.starts_at <= @at AND s.ends_at > @at
  AND (r.called < r.joined OR s.admission = 'LOTTERY' AND r.drawn_at IS NULL OR EXISTS (
      SELECT FROM tickets t WHERE t.sale_id = s.id AND t.status = 'ADMITTED' AND t.admitted_until <= @at))
LIMIT @most;

-- name: Waiting :many
SELECT r.sale_id, (r.joined - r.called)::bigint AS waiting FROM sales s JOIN rooms r ON r.sale_id = s.id
WHERE s.told IN ('SCHEDULED', 'WAITING_ROOM', 'OPEN') AND s.admission <> 'OPEN_DOOR' AND s.cancelled_at IS NULL;

-- name: NewestTickets :many
SELECT DISTINCT ON (sale_id) * FROM tickets WHERE account_id = @account_id AND sale_id = ANY (@sale_ids::text[]) ORDER BY sale_id, number DESC;

-- name: AddTickets :exec
INSERT INTO tickets (id, sale_id, account_id, number, lot, status, joined_at)
SELECT unnest(@ids::text[]), @sale_id, unnest(@account_ids::text[]), unnest(@numbers::bigint[]), nullif(unnest(@lots::bigint[]), -1), 'WAITING', @at;

-- name: SaveRoom :exec
UPDATE rooms SET joined = @joined, entrants = @entrants, called = @called, closed_at = @closed_at, drawn_at = @drawn_at, metered_at = @metered_at, pace = @pace, paced_at = @paced_at, rev = @rev
WHERE sale_id = @sale_id;

-- name: BookedAfter :many
SELECT * FROM bookings WHERE status = 'BOOKED' AND id > @after ORDER BY id LIMIT @most;

-- name: Units :many
-- Units lists where the units of every sale came from, are, and went.
SELECT sale_id, variant_id, 'IN_SALE'::text AS stage, ''::text AS key, quantity FROM pools
UNION ALL
SELECT c.sale_id, n."variantId", c.decision, c.id, n.quantity FROM changes c, jsonb_to_recordset(c.needs) AS n ("variantId" text, quantity integer)
UNION ALL
SELECT t.sale_id, n."variantId", CASE WHEN t.done_at IS NULL THEN 'LEAVING' ELSE 'LEFT' END, t.id, n.quantity
FROM transfers t, jsonb_to_recordset(t.lines) AS n ("variantId" text, quantity integer)
ORDER BY 1, 2, 3, 4;

-- name: Audit :many
-- Audit says what of the pools, bookings and transfers the log does not bear out.
WITH chain AS (
    SELECT l.*, lag(seq, 1, 0) OVER (PARTITION BY sale_id ORDER BY seq) AS seq_before,
           lag(total, 1, 0) OVER w AS total_before, lag(remaining, 1, 0) OVER w AS remaining_before,
           lag(held, 1, 0) OVER w AS held_before, lag(sold, 1, 0) OVER w AS sold_before,
           lead(seq) OVER w IS NULL AS newest
    FROM log l WINDOW w AS (PARTITION BY sale_id, variant_id ORDER BY seq)
), counts AS (
    SELECT sale_id, variant_id, count(*) FILTER (WHERE status = 'HELD') AS held, count(*) FILTER (WHERE status = 'BOOKED') AS sold
    FROM bookings GROUP BY sale_id, variant_id
)
SELECT format('log of %s: a gap before %s', sale_id, seq)::text AS damage FROM chain WHERE seq <> seq_before + 1
UNION ALL
SELECT format('log of %s: after %s there are %s of %s, %s left, %s held and %s sold, which %s of %s does not make of %s, %s, %s and %s',
              sale_id, seq, total, variant_id, remaining, held, sold, kind, quantity, total_before, remaining_before, held_before, sold_before)
FROM chain WHERE variant_id IS NOT NULL AND (total, remaining, held, sold) <> (
    total_before + CASE kind WHEN 'ALLOT' THEN quantity WHEN 'RETURN' THEN -quantity ELSE 0 END,
    remaining_before + CASE WHEN kind IN ('ALLOT', 'CANCEL', 'RELEASE', 'EXPIRE') THEN quantity WHEN kind IN ('RETURN', 'HOLD') THEN -quantity ELSE 0 END,
    held_before + CASE WHEN kind = 'HOLD' THEN quantity WHEN kind IN ('SELL', 'RELEASE', 'EXPIRE') THEN -quantity ELSE 0 END,
    sold_before + CASE kind WHEN 'SELL' THEN quantity WHEN 'CANCEL' THEN -quantity ELSE 0 END)
UNION ALL
SELECT format('pool of %s in %s: %s, %s left, %s held and %s sold at %s, but the log says %s, %s, %s and %s at %s', coalesce(p.variant_id, c.variant_id),
              coalesce(p.sale_id, c.sale_id), p.quantity, p.remaining, p.held, p.sold, p.seq, c.total, c.remaining, c.held, c.sold, c.seq)
FROM pools p FULL JOIN (SELECT * FROM chain WHERE newest AND variant_id IS NOT NULL) c ON c.sale_id = p.sale_id AND c.variant_id = p.variant_id
WHERE (p.quantity, p.remaining, p.held, p.sold, p.seq) IS DISTINCT FROM (c.total, c.remaining, c.held, c.sold, c.seq)
UNION ALL
SELECT format('pool of %s in %s: %s held and %s sold, but there are bookings of %s and %s', coalesce(p.variant_id, c.variant_id),
              coalesce(p.sale_id, c.sale_id), p.held, p.sold, coalesce(c.held, 0), coalesce(c.sold, 0))
FROM pools p FULL JOIN counts c ON c.sale_id = p.sale_id AND c.variant_id = p.variant_id
WHERE (p.held::bigint, p.sold::bigint) IS DISTINCT FROM (coalesce(c.held, 0), coalesce(c.sold, 0))
UNION ALL
SELECT format('sale %s is at %s, but its log is at %s', s.id, s.seq, coalesce(l.seq, 0))
FROM sales s LEFT JOIN (SELECT sale_id, max(seq) AS seq FROM log GROUP BY sale_id) l ON l.sale_id = s.id
WHERE s.seq <> coalesce(l.seq, 0)
UNION ALL
SELECT format('booking %s is %s, but the log says %s', b.id, b.status, coalesce(l.story, 'nothing'))
FROM bookings b LEFT JOIN (
    SELECT booking_id, string_agg(kind, ', ' ORDER BY seq) AS story FROM log WHERE booking_id IS NOT NULL GROUP BY booking_id
) l ON l.booking_id = b.id
WHERE coalesce(l.story, '') <> CASE b.status WHEN 'HELD' THEN 'HOLD' WHEN 'BOOKED' THEN 'HOLD, SELL' WHEN 'CANCELLED' THEN 'HOLD, SELL, CANCEL' WHEN 'RELEASED' THEN 'HOLD, RELEASE' ELSE 'HOLD, EXPIRE' END
UNION ALL
SELECT format('log of %s: movement %s is of booking %s, which there is not', l.sale_id, l.seq, l.booking_id)
FROM log l WHERE l.booking_id IS NOT NULL AND NOT EXISTS (SELECT FROM bookings b WHERE b.id = l.booking_id AND b.sale_id = l.sale_id AND b.variant_id = l.variant_id)
UNION ALL
SELECT format('account %s has %s units in sale %s and may have %s', b.account_id, count(*), b.sale_id, s.limit_per_account)
FROM bookings b JOIN sales s ON s.id = b.sale_id WHERE b.status IN ('HELD', 'BOOKED')
GROUP BY b.account_id, b.sale_id, s.limit_per_account HAVING count(*) > s.limit_per_account
UNION ALL
SELECT format('account %s has %s units of %s in sale %s and may have %s', b.account_id, count(*), b.variant_id, b.sale_id, p.limit_per_account)
FROM bookings b JOIN pools p ON p.sale_id = b.sale_id AND p.variant_id = b.variant_id WHERE b.status IN ('HELD', 'BOOKED')
GROUP BY b.account_id, b.sale_id, b.variant_id, p.limit_per_account HAVING count(*) > p.limit_per_account
UNION ALL
SELECT format('booking %s is %s for no order', id, status) FROM bookings WHERE status IN ('BOOKED', 'CANCELLED') AND order_id = ''
UNION ALL
SELECT format('%s of %s came into %s by change %s, which does not say so', l.quantity, l.variant_id, l.sale_id, l.change_id)
FROM log l WHERE l.kind = 'ALLOT' AND NOT EXISTS (
    SELECT FROM changes c, jsonb_to_recordset(c.needs) AS n ("variantId" text, quantity integer)
    WHERE c.id = l.change_id AND c.sale_id = l.sale_id AND c.decision = 'APPLIED' AND n."variantId" = l.variant_id AND n.quantity = l.quantity)
UNION ALL
SELECT format('%s of %s left %s by transfer %s, which does not say so', l.quantity, l.variant_id, l.sale_id, l.change_id)
FROM log l WHERE l.kind = 'RETURN' AND NOT EXISTS (
    SELECT FROM transfers t, jsonb_to_recordset(t.lines) AS n ("variantId" text, quantity integer)
    WHERE t.id = l.change_id AND t.sale_id = l.sale_id AND n."variantId" = l.variant_id AND n.quantity = l.quantity)
ORDER BY 1;

-- name: AuditRooms :many
-- AuditRooms says where tickets, the numbers of their rooms, the draws and the bookings disagree.
WITH drawn AS (
    SELECT id, sale_id, status, lot, row_number() OVER (PARTITION BY sale_id ORDER BY lot, id) AS place FROM tickets WHERE lot IS NOT NULL
), counts AS (
    SELECT sale_id, count(*) AS joined, count(lot) AS entrants, count(*) FILTER (WHERE status <> 'WAITING') AS called, max(number) AS newest,
           coalesce(max(number) FILTER (WHERE lot IS NOT NULL), 0) AS newest_entrant
    FROM tickets GROUP BY sale_id
)
SELECT format('room of %s: %s joined, %s of them in the draw, and %s were called, but there are tickets of %s, %s and %s', r.sale_id, r.joined, r.entrants,
              r.called, coalesce(c.joined, 0), coalesce(c.entrants, 0), coalesce(c.called, 0))::text AS damage
FROM rooms r LEFT JOIN counts c ON c.sale_id = r.sale_id
WHERE (r.joined, r.entrants, r.called) <> (coalesce(c.joined, 0), coalesce(c.entrants, 0), coalesce(c.called, 0))
UNION ALL
SELECT format('room of %s: tickets are numbered up to %s, and those of the draw up to %s, but there are %s and %s', sale_id, newest, newest_entrant, joined, entrants)
FROM counts WHERE newest <> joined OR newest_entrant <> entrants
UNION ALL
SELECT format('ticket %s of %s is %s at place %s, when %s were called', t.id, t.sale_id, t.status, t.place, r.called)
FROM (SELECT id, sale_id, status, place FROM drawn UNION ALL SELECT id, sale_id, status, number FROM tickets WHERE lot IS NULL) AS t
JOIN rooms r ON r.sale_id = t.sale_id WHERE (t.status <> 'WAITING') <> (t.place <= r.called)
UNION ALL
SELECT format('milestone %s of %s is %s, who has another place', m.place, m.sale_id, m.ticket_id)
FROM milestones m LEFT JOIN drawn d ON d.id = m.ticket_id AND d.sale_id = m.sale_id AND d.lot = m.lot WHERE d.place IS DISTINCT FROM m.place
UNION ALL
SELECT format('ticket %s is USED for booking %s, which is not of its account and sale', t.id, t.booking_id)
FROM tickets t LEFT JOIN bookings b ON b.id = t.booking_id AND b.sale_id = t.sale_id AND b.account_id = t.account_id
WHERE t.status = 'USED' AND b.id IS NULL
UNION ALL
SELECT format('booking %s was made with %s tickets', b.id, count(t.id))
FROM bookings b JOIN sales s ON s.id = b.sale_id AND s.admission <> 'OPEN_DOOR' LEFT JOIN tickets t ON t.booking_id = b.id AND t.status = 'USED'
GROUP BY b.id HAVING count(t.id) <> 1
ORDER BY 1;
