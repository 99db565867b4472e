package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/outbox"
	"github.com/souk-shop/souk/internal/pipeline"
	"github.com/souk-shop/souk/subgraphs/flashsale"
	"github.com/souk-shop/souk/subgraphs/flashsale/postgres/internal/db"
)

const (
	roomColumns   = `sale_id, joined, entrants, called, closed_at, drawn_at, metered_at, pace, paced_at, rev`
	ticketColumns = `id, sale_id, account_id, number, lot, status, joined_at, admitted_until, booking_id`

	// The tickets that bookings are asked for with.
	ticketsOfBookers = `SELECT ` + ticketColumns + ` FROM tickets WHERE id = ANY ($1)`
	// Should the turn of one of them have gone by in between, the trigger turn_comes_once refuses it all, and it is tried again.
	useTickets = `
		UPDATE tickets t SET status = 'USED', booking_id = d.booking_id
		FROM (SELECT unnest($1::text[]) AS id, unnest($2::text[]) AS booking_id) AS d WHERE t.id = d.id`

	lockRoom = `SELECT ` + roomColumns + ` FROM rooms WHERE sale_id = $1 FOR NO KEY UPDATE`
	// Whose turn has gone by before they came again. What a booking has locked is its own: waiting for it here could wait for ever.
	lapseOf = `
		UPDATE tickets SET status = 'EXPIRED' WHERE id IN (
		    SELECT id FROM tickets WHERE sale_id = $1 AND account_id = ANY ($2) AND status = 'ADMITTED' AND admitted_until <= $3 FOR NO KEY UPDATE SKIP LOCKED)`
	// One probe for each account: OFFSET 0 leaves the planner no index to choose but the one that begins with the account. A room fills
	// in seconds, and statistics come later.
	newestOf = `
		SELECT t.* FROM unnest($2::text[]) AS a (account) CROSS JOIN LATERAL (
		    SELECT * FROM (SELECT ` + ticketColumns + ` FROM tickets WHERE account_id = a.account OFFSET 0) AS theirs
		    WHERE sale_id = $1 ORDER BY number DESC LIMIT 1) AS t`
	unitsOf = `
		SELECT a.account, b.units FROM unnest($2::text[]) AS a (account) CROSS JOIN LATERAL (
		    SELECT count(*) AS units FROM bookings WHERE sale_id = $1 AND account_id = a.account AND status IN ('HELD', 'BOOKED')) AS b`
	saleOf = `
		SELECT ` + saleColumns + ` FROM sales WHERE id = $1`
)

// Join has accounts join the room of a sale, in one transaction of two trips.
func (s *Store) Join(ctx context.Context, saleID string, accounts []string, at time.Time) (results []flashsale.JoinResult, err error) {
	err = pipeline.Transact(ctx, s.pool, func(p *pipeline.Pipeline) error {
		lobby, err := enter(ctx, p, saleID, accounts, at)
		if err != nil {
			return err
		}
		if lobby == nil {
			return flashsale.ErrNoSale
		}
		results = make([]flashsale.JoinResult, len(accounts))
		for i, a := range accounts {
			results[i].Ticket, results[i].Err = lobby.Join(a)
		}
		live := lobby.Sale.Live(at)
		for i := range results {
			results[i].Live = live
		}
		return saveTickets(ctx, p, lobby)
	})
	if err == nil {
		outbox.Wake(s.pool)
		err = s.place(ctx, results)
	}
	return results, err
}

// place finds the places of those who came again, if their lot has been drawn.
func (s *Store) place(ctx context.Context, results []flashsale.JoinResult) error {
	var ids []string
	for _, r := range results {
		if r.Err == nil && r.Ticket.Place == 0 && r.Live.Room.Drawn {
			ids = append(ids, r.Ticket.ID)
		}
	}
	if ids == nil {
		return nil
	}
	found, err := s.TicketsByID(ctx, ids)
	for _, t := range found {
		for i := range results {
			if results[i].Ticket.ID == t.ID {
				results[i].Ticket = t
			}
		}
	}
	return err
}

// enter locks a room and returns its lobby for these accounts; nil when there is no such sale. It sends the pipeline.
func enter(ctx context.Context, p *pipeline.Pipeline, saleID string, accounts []string, at time.Time) (*flashsale.Lobby, error) {
	var is *flashsale.Sale
	var in flashsale.Room
	var offers []flashsale.Offer
	var newest []flashsale.Ticket
	has := map[string]int{}
	p.Collect(lockRoom, saleID)(func(row pgx.Rows) (err error) {
		in, err = scanRoom(row)
		return err
	})
	p.Collect(saleOf, saleID)(func(row pgx.Rows) error {
		found, err := scanSale(row)
		is = &found
		return err
	})
	p.Collect(poolsOf, saleID)(func(row pgx.Rows) error {
		o, _, err := scanOffer(row)
		offers = append(offers, o)
		return err
	})
	if _, err := p.Exec(ctx, lapseOf, saleID, accounts, at); err != nil {
		return nil, err
	}
	p.Collect(newestOf, saleID, accounts)(func(row pgx.Rows) error {
		t, err := scanTicket(row)
		newest = append(newest, t)
		return err
	})
	p.Collect(unitsOf, saleID, accounts)(func(row pgx.Rows) error {
		var account string
		var units int
		err := row.Scan(&account, &units)
		has[account] = units
		return err
	})
	if err := p.Send(ctx); err != nil || is == nil {
		return nil, err
	}
	is.Offers, is.Room = offers, in
	return flashsale.NewLobby(at, *is, newest, has), nil
}

// saveTickets queues the tickets that a lobby has given, and the event that tells of them.
func saveTickets(ctx context.Context, p *pipeline.Pipeline, l *flashsale.Lobby) error {
	given := l.Given()
	if len(given) == 0 {
		return nil
	}
	rows := db.AddTicketsParams{SaleID: l.Sale.ID, At: l.At}
	for _, t := range given {
		lot := int64(-1)
		if t.Lot != nil {
			lot = *t.Lot
		}
		rows.Ids, rows.AccountIds = append(rows.Ids, t.ID), append(rows.AccountIds, t.AccountID)
		rows.Numbers, rows.Lots = append(rows.Numbers, t.Number), append(rows.Lots, lot)
	}
	q := db.New(p)
	return errors.Join(q.AddTickets(ctx, rows), q.SaveRoom(ctx, roomRow(l.Sale.ID, l.Sale.Room)),
		outbox.Record(ctx, p, outbox.Event{Subject: events.SubjectFlashSaleChanged, Payload: l.Sale.Changed()}))
}

const (
	lockFreeRoom = `SELECT ` + roomColumns + ` FROM rooms WHERE sale_id = $1 FOR NO KEY UPDATE SKIP LOCKED`
	lapse        = `
		UPDATE tickets SET status = 'EXPIRED' WHERE id IN (
		    SELECT id FROM tickets WHERE sale_id = $1 AND status = 'ADMITTED' AND admitted_until <= $2 FOR NO KEY UPDATE SKIP LOCKED)`
	countAdmitted = `SELECT count(*) FROM tickets WHERE sale_id = $1 AND status = 'ADMITTED'`
	closeRoom     = `UPDATE rooms SET closed_at = $2, rev = rev + 1 WHERE sale_id = $1 AND closed_at IS NULL`
	lockDraw      = `SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0)) AND EXISTS (SELECT FROM rooms WHERE sale_id = $1 AND drawn_at IS NULL)`
	draw          = `
		INSERT INTO milestones (sale_id, place, lot, ticket_id)
		SELECT $1, place, lot, id FROM (
		    SELECT lot, id, row_number() OVER (ORDER BY lot, id) AS place FROM tickets WHERE sale_id = $1 AND lot IS NOT NULL) AS t
		WHERE place % 100 = 0`
	noteDraw = `UPDATE rooms SET drawn_at = $2, rev = rev + 1 WHERE sale_id = $1`
	// Those behind a place of the draw: from the milestone before it, at most 100 are passed over.
	drawnAfter = `
		WITH m AS (SELECT place, lot, ticket_id FROM milestones WHERE sale_id = $1 AND place <= $2 ORDER BY place DESC LIMIT 1)
		SELECT id FROM tickets
		WHERE sale_id = $1 AND lot IS NOT NULL AND (lot, id) > (coalesce((SELECT lot FROM m), -1), coalesce((SELECT ticket_id FROM m), ''))
		ORDER BY lot, id OFFSET $2::bigint - coalesce((SELECT place FROM m), 0) LIMIT $3`
	admitDrawn  = `UPDATE tickets SET status = 'ADMITTED', admitted_until = $4 WHERE id IN (` + drawnAfter + `)`
	admitOthers = `UPDATE tickets SET status = 'ADMITTED', admitted_until = $4 WHERE sale_id = $1 AND number > $2 AND number <= $2 + $3`
)

// planned has a statement planned anew each time. A plan that was kept from when the room was all but empty would read all of it.
const planned = pgx.QueryExecModeCacheDescribe

var errQueueHasGaps = errors.New("fewer tickets wait than were counted")

// Admit lets people in by a rule, unless another process is about it.
func (s *Store) Admit(ctx context.Context, saleID string, at time.Time, rule func(r *flashsale.Room, is flashsale.Sale, out int) int) error {
	drawing := false
	err := outbox.InTx(ctx, s.pool, func(ctx context.Context, tx pgx.Tx) error {
		r, err := scanRoom(tx.QueryRow(ctx, lockFreeRoom, saleID))
		if errors.Is(err, pgx.ErrNoRows) {
			return nil // another process has it
		}
		if err != nil {
			return err
		}
		lapsed, err := tx.Exec(ctx, lapse, planned, saleID, at)
		if err != nil {
			return err
		}
		// Who is out there is counted before what there is: whoever books in between makes both fewer.
		var out int
		if err := tx.QueryRow(ctx, countAdmitted, planned, saleID).Scan(&out); err != nil {
			return err
		}
		found, err := (&Store{q: s.q.WithTx(tx)}).SalesByID(ctx, []string{saleID})
		if err != nil || len(found) == 0 {
			return err
		}
		is := found[0]
		is.Room, is.AsOf = r, at
		before := r
		if drawing = is.Admission == flashsale.Lottery && r.DrawnAt == nil; drawing {
			_, err := tx.Exec(ctx, closeRoom, saleID, at)
			return err
		}
		n := rule(&r, is, out)
		if n > 0 {
			if err := call(ctx, tx, &r, saleID, n, until(at, is.AdmissionTime)); err != nil {
				return err
			}
		}
		if r == before && lapsed.RowsAffected() == 0 {
			return nil
		}
		r.Rev++
		is.Room = r
		if err := s.q.WithTx(tx).SaveRoom(ctx, roomRow(saleID, r)); err != nil {
			return err
		}
		return outbox.Record(ctx, tx, outbox.Event{Subject: events.SubjectFlashSaleChanged, Payload: is.Changed()})
	})
	if err != nil || !drawing {
		return err
	}
	if drawn, err := s.draw(ctx, saleID, at); err != nil || !drawn {
		return err
	}
	return s.Admit(ctx, saleID, at, rule)
}

// draw orders the lots of a room that is closed, unless another process is about it, and holds up nobody who joins meanwhile: the
// room is locked for the last statement alone.
func (s *Store) draw(ctx context.Context, saleID string, at time.Time) (drawn bool, err error) {
	err = outbox.InTx(ctx, s.pool, func(ctx context.Context, tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, lockDraw, saleID).Scan(&drawn); err != nil || !drawn {
			return err
		}
		for _, step := range []struct {
			sql  string
			args []any
		}{{draw, []any{saleID}}, {noteDraw, []any{saleID, at}}} {
			if _, err := tx.Exec(ctx, step.sql, append([]any{planned}, step.args...)...); err != nil {
				return fmt.Errorf("draw: %w", err)
			}
		}
		found, err := (&Store{q: s.q.WithTx(tx)}).SalesByID(ctx, []string{saleID})
		if err != nil || len(found) == 0 {
			return err
		}
		found[0].AsOf = at
		return outbox.Record(ctx, tx, outbox.Event{Subject: events.SubjectFlashSaleChanged, Payload: found[0].Changed()})
	})
	return drawn && err == nil, err
}

// until is when a turn goes by: on a full second, as tokens end on one.
func until(at time.Time, d time.Duration) time.Time {
	return at.Add(d + time.Second - time.Nanosecond).Truncate(time.Second)
}

// call lets the next n in: those of the draw first.
func call(ctx context.Context, tx pgx.Tx, r *flashsale.Room, saleID string, n int, until time.Time) error {
	for n > 0 {
		how, some := admitOthers, n
		if left := r.Entrants - r.Called; left > 0 {
			how, some = admitDrawn, int(min(left, int64(n)))
		}
		done, err := tx.Exec(ctx, how, planned, saleID, r.Called, some, until)
		if err != nil {
			return err
		}
		if done.RowsAffected() != int64(some) {
			return errQueueHasGaps
		}
		r.Called += int64(some)
		n -= some
	}
	return nil
}

// RoomsToServe lists sales in whose rooms there is something to do.
func (s *Store) RoomsToServe(ctx context.Context, at time.Time, most int) ([]string, error) {
	return s.q.RoomsToServe(ctx, db.RoomsToServeParams{At: at, Most: int32(most)})
}

// Tickets with their places. That of a ticket with a lot is counted from the milestone before it, past at most 100 others.
const ticketsByID = `
	SELECT t.id, t.sale_id, t.account_id, t.number, t.lot, t.status, t.joined_at, t.admitted_until, t.booking_id,
	    CASE WHEN t.lot IS NULL THEN t.number WHEN r.drawn_at IS NULL THEN 0 ELSE coalesce(m.place, 0) + (
	        SELECT count(*) FROM tickets o WHERE o.sale_id = t.sale_id AND o.lot IS NOT NULL
	        AND (o.lot, o.id) > (coalesce(m.lot, -1), coalesce(m.ticket_id, '')) AND (o.lot, o.id) <= (t.lot, t.id)) END
	FROM tickets t JOIN rooms r ON r.sale_id = t.sale_id LEFT JOIN LATERAL (
	    SELECT place, lot, ticket_id FROM milestones WHERE sale_id = t.sale_id AND (lot, ticket_id) <= (t.lot, t.id)
	    ORDER BY lot DESC, ticket_id DESC LIMIT 1) AS m ON r.drawn_at IS NOT NULL AND t.lot IS NOT NULL
	WHERE t.id = ANY ($1)`

// TicketsByID finds tickets, with their places.
func (s *Store) TicketsByID(ctx context.Context, ids []string) ([]flashsale.Ticket, error) {
	rows, err := s.pool.Query(ctx, ticketsByID, planned, ids)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (flashsale.Ticket, error) {
		var r db.Ticket
		var place int64
		err := row.Scan(append(ticketFields(&r), &place)...)
		t := ticket(r)
		t.Place = place
		return t, err
	})
}

// NewestTickets finds the newest ticket that an account has of each sale.
func (s *Store) NewestTickets(ctx context.Context, accountID string, saleIDs []string) ([]flashsale.Ticket, error) {
	rows, err := s.q.NewestTickets(ctx, db.NewestTicketsParams{AccountID: accountID, SaleIds: saleIDs})
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	if !slices.ContainsFunc(rows, func(r db.Ticket) bool { return r.Lot.Valid }) {
		return each(rows, ticket), nil
	}
	return s.TicketsByID(ctx, each(rows, func(r db.Ticket) string { return r.ID }))
}

// Drawn lists the tickets of a draw behind a place.
func (s *Store) Drawn(ctx context.Context, saleID string, after int64, first int) ([]string, error) {
	rows, err := s.pool.Query(ctx, drawnAfter, planned, saleID, after, first)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// Waiting counts whose turn is to come in every sale that is not over.
func (s *Store) Waiting(ctx context.Context) (map[string]int, error) {
	rows, err := s.q.Waiting(ctx)
	waiting := make(map[string]int, len(rows))
	for _, r := range rows {
		waiting[r.SaleID] = int(r.Waiting)
	}
	return waiting, err
}

func scanRoom(row pgx.Row) (flashsale.Room, error) {
	var r db.Room
	err := row.Scan(&r.SaleID, &r.Joined, &r.Entrants, &r.Called, &r.ClosedAt, &r.DrawnAt, &r.MeteredAt, &r.Pace, &r.PacedAt, &r.Rev)
	return room(r), err
}

func room(r db.Room) flashsale.Room {
	return flashsale.Room{
		Joined: r.Joined, Entrants: r.Entrants, Called: r.Called, ClosedAt: inUTC(r.ClosedAt), DrawnAt: inUTC(r.DrawnAt), Metered: inUTC(r.MeteredAt),
		Pace: r.Pace, PacedAt: inUTC(r.PacedAt), Rev: r.Rev,
	}
}

func roomRow(saleID string, r flashsale.Room) db.SaveRoomParams {
	return db.SaveRoomParams{
		SaleID: saleID, Joined: r.Joined, Entrants: r.Entrants, Called: r.Called, ClosedAt: r.ClosedAt, DrawnAt: r.DrawnAt, MeteredAt: r.Metered,
		Pace: r.Pace, PacedAt: r.PacedAt, Rev: r.Rev,
	}
}

func ticketFields(r *db.Ticket) []any {
	return []any{&r.ID, &r.SaleID, &r.AccountID, &r.Number, &r.Lot, &r.Status, &r.JoinedAt, &r.AdmittedUntil, &r.BookingID}
}

// scanTicket reads a ticket whose place nobody asked for, unless it is its number.
func scanTicket(row pgx.Row) (flashsale.Ticket, error) {
	var r db.Ticket
	err := row.Scan(ticketFields(&r)...)
	return ticket(r), err
}

func ticket(r db.Ticket) flashsale.Ticket {
	t := flashsale.Ticket{
		ID: r.ID, SaleID: r.SaleID, AccountID: r.AccountID, Number: r.Number, Noted: flashsale.TicketStatus(r.Status),
		JoinedAt: r.JoinedAt.UTC(), AdmittedUntil: inUTC(r.AdmittedUntil),
	}
	if r.BookingID != nil {
		t.BookingID = *r.BookingID
	}
	if r.Lot == (pgtype.Int8{}) {
		t.Place = t.Number
	} else {
		t.Lot = &r.Lot.Int64
	}
	return t
}

func inUTC(at *time.Time) *time.Time {
	if at == nil {
		return nil
	}
	utc := at.UTC()
	return &utc
}
