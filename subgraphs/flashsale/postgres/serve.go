package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/outbox"
	"github.com/souk-shop/souk/internal/pipeline"
	"github.com/souk-shop/souk/subgraphs/flashsale"
	"github.com/souk-shop/souk/subgraphs/flashsale/postgres/internal/db"
)

// What a stand is read with, in one trip. The sale is locked before anything else is looked at, so that what is read after it is
// what the lock's last owner left.
const (
	saleColumns = `id, seller_id, title, starts_at, ends_at, limit_per_account, hold_seconds, cancelled_at, told, seq,
		admission, room_opens_at, difficulty, admit_per_second, admission_seconds, seed`
	lockSale = `SELECT ` + saleColumns + ` FROM sales WHERE id = $1 FOR NO KEY UPDATE`
	roomOf   = `SELECT ` + roomColumns + ` FROM rooms WHERE sale_id = $1`
	poolsOf  = `
		SELECT sale_id, variant_id, amount, currency, limit_per_account, quantity, remaining, held, sold
		FROM pools WHERE sale_id = $1 ORDER BY position`
	nextToEnd = `
		SELECT p.variant_id, b.expires_at FROM pools p CROSS JOIN LATERAL (
		    SELECT expires_at FROM bookings WHERE sale_id = p.sale_id AND variant_id = p.variant_id AND status = 'HELD' ORDER BY expires_at LIMIT 1) AS b
		WHERE p.sale_id = $1`
	columns = `id, sale_id, variant_id, account_id, key, status, amount, currency, order_id, created_at, updated_at, expires_at, sale_slot, variant_slot`
	wanted  = `
		SELECT ` + columns + ` FROM bookings WHERE id = ANY ($2)
		UNION SELECT ` + columns + ` FROM bookings WHERE (account_id, key) IN (SELECT unnest($3::text[]), unnest($4::text[]))
		UNION SELECT ` + columns + ` FROM bookings WHERE sale_id = $1 AND account_id = ANY ($3) AND status IN ('HELD', 'BOOKED')`
)

// Serve locks a sale, runs the rule, and saves what it moved.
func (s *Store) Serve(ctx context.Context, saleID string, w flashsale.Wanted, at time.Time, rule func(*flashsale.Stand) error) error {
	return s.again(ctx, func(p *pipeline.Pipeline) error {
		stand, err := open(ctx, p, saleID, w, at)
		if err != nil {
			return err
		}
		if stand == nil {
			return flashsale.ErrNoSale
		}
		if err := rule(stand); err != nil {
			return err
		}
		return save(ctx, p, stand)
	})
}

// Book tries every request, each for itself, in one transaction of two trips.
func (s *Store) Book(ctx context.Context, saleID string, requests []flashsale.BookRequest, at time.Time) (results []flashsale.BookResult, err error) {
	w := flashsale.Wanted{Accounts: make([]string, len(requests)), Keys: make([]string, len(requests))}
	for i, r := range requests {
		w.Accounts[i], w.Keys[i] = r.AccountID, r.Key
		if r.TicketID != "" {
			w.Tickets = append(w.Tickets, r.TicketID)
		}
	}
	err = s.Serve(ctx, saleID, w, at, func(stand *flashsale.Stand) error {
		results = make([]flashsale.BookResult, len(requests))
		for i, r := range requests {
			results[i] = stand.Book(r)
		}
		for i := range results {
			results[i].Sale = *stand.Sale
		}
		return nil
	})
	return results, err
}

// open locks a sale and returns all there is of it and what is wanted of its bookings; nil when there is no such sale. It sends
// the pipeline.
func open(ctx context.Context, p *pipeline.Pipeline, saleID string, w flashsale.Wanted, at time.Time) (*flashsale.Stand, error) {
	var found *flashsale.Sale
	var in flashsale.Room
	var offers []flashsale.Offer
	var tickets []flashsale.Ticket
	var bookings []flashsale.Booking
	next := map[string]time.Time{}
	p.Collect(lockSale, saleID)(func(row pgx.Rows) error {
		is, err := scanSale(row)
		found = &is
		return err
	})
	p.Collect(roomOf, saleID)(func(row pgx.Rows) (err error) {
		in, err = scanRoom(row)
		return err
	})
	p.Collect(poolsOf, saleID)(func(row pgx.Rows) error {
		o, err := scanOffer(row)
		offers = append(offers, o)
		return err
	})
	if w.Keys != nil {
		p.Collect(nextToEnd, saleID)(func(row pgx.Rows) error {
			var variant string
			var at time.Time
			err := row.Scan(&variant, &at)
			next[variant] = at.UTC()
			return err
		})
	}
	if w.Bookings != nil || w.Accounts != nil {
		p.Collect(wanted, saleID, w.Bookings, w.Accounts, w.Keys)(func(row pgx.Rows) error {
			var r db.Booking
			err := row.Scan(&r.ID, &r.SaleID, &r.VariantID, &r.AccountID, &r.Key, &r.Status, &r.Amount, &r.Currency, &r.OrderID,
				&r.CreatedAt, &r.UpdatedAt, &r.ExpiresAt, &r.SaleSlot, &r.VariantSlot)
			bookings = append(bookings, booking(r))
			return err
		})
	}
	if w.Tickets != nil {
		p.Collect(ticketsOfBookers, w.Tickets)(func(row pgx.Rows) error {
			t, err := scanTicket(row)
			tickets = append(tickets, t)
			return err
		})
	}
	if err := p.Send(ctx); err != nil || found == nil {
		return nil, err
	}
	found.Offers, found.Room = offers, in
	stand := flashsale.NewStand(at, *found, bookings, next)
	stand.Present(tickets)
	return stand, nil
}

func scanSale(row pgx.Row) (flashsale.Sale, error) {
	var r db.Sale
	err := row.Scan(&r.ID, &r.SellerID, &r.Title, &r.StartsAt, &r.EndsAt, &r.LimitPerAccount, &r.HoldSeconds, &r.CancelledAt, &r.Told, &r.Seq,
		&r.Admission, &r.RoomOpensAt, &r.Difficulty, &r.AdmitPerSecond, &r.AdmissionSeconds, &r.Seed)
	return sale(r), err
}

func scanOffer(row pgx.Row) (flashsale.Offer, error) {
	var r db.Pool
	err := row.Scan(&r.SaleID, &r.VariantID, &r.Amount, &r.Currency, &r.LimitPerAccount, &r.Quantity, &r.Remaining, &r.Held, &r.Sold)
	return offer(r), err
}

var errEndedMeanwhile = errors.New("a booking changed under the lock on its sale")

// save queues what the rule did: how bookings stand, what moved, what goes back into stock, and the event that tells of it.
func save(ctx context.Context, p *pipeline.Pipeline, stand *flashsale.Stand) error {
	q := db.New(p)
	s := stand.Sale
	if stand.Edited() {
		if err := edit(ctx, q, s); err != nil {
			return err
		}
	}
	if made := stand.Made(); made != nil {
		if err := q.AddBookings(ctx, added(s.ID, stand.At, made)); err != nil {
			return err
		}
	}
	if used := stand.Used(); used != nil {
		ids, bookings := make([]string, len(used)), make([]string, len(used))
		for i, t := range used {
			ids[i], bookings[i] = t.ID, t.BookingID
		}
		if _, err := p.Exec(ctx, useTickets, ids, bookings); err != nil {
			return err
		}
	}
	for _, b := range stand.Changed() {
		// The status it had is in the condition too: whatever the lock, a booking ends once.
		p.Expect(1, errEndedMeanwhile, `UPDATE bookings SET status = $2, order_id = $3, expires_at = $4, updated_at = $5 WHERE id = $1 AND status = 'HELD'`,
			b.ID, string(b.Status), b.OrderID, b.ExpiresAt, b.UpdatedAt)
	}
	for _, t := range stand.Returns() {
		if err := addTransfer(ctx, q, t, stand.At); err != nil {
			return err
		}
	}
	moved := stand.Moved()
	if len(moved) == 0 {
		return nil
	}
	if err := q.MoveSeq(ctx, db.MoveSeqParams{Seq: s.Seq, ID: s.ID}); err != nil {
		return err
	}
	log, pools := logged(s.ID, stand.At, moved)
	if err := errors.Join(q.MovePools(ctx, pools), q.AppendToLog(ctx, log)); err != nil {
		return err
	}
	return outbox.Record(ctx, p, outbox.Event{Subject: events.SubjectFlashSaleChanged, Payload: s.Changed()})
}

func edit(ctx context.Context, q *db.Queries, s *flashsale.Sale) error {
	pools := db.EditPoolsParams{SaleID: s.ID}
	for _, o := range s.Offers {
		pools.VariantIds, pools.Amounts = append(pools.VariantIds, o.VariantID), append(pools.Amounts, o.Price.Amount)
		pools.Currencies, pools.Limits = append(pools.Currencies, o.Price.Currency), append(pools.Limits, int32(o.LimitPerAccount))
	}
	return errors.Join(q.EditSale(ctx, db.EditSaleParams{
		ID: s.ID, Title: s.Title, StartsAt: s.StartsAt, EndsAt: s.EndsAt, LimitPerAccount: int32(s.LimitPerAccount),
		HoldSeconds: int32(s.HoldTime / time.Second), CancelledAt: s.CancelledAt, Told: string(s.Told),
		Admission: string(s.Admission), RoomOpensAt: s.RoomOpensAt, Difficulty: int32(s.Difficulty), AdmitPerSecond: int32(s.AdmitPerSecond),
		AdmissionSeconds: int32(s.AdmissionTime / time.Second),
	}), q.EditPools(ctx, pools))
}

func added(saleID string, at time.Time, made []flashsale.Booking) db.AddBookingsParams {
	p := db.AddBookingsParams{SaleID: saleID, At: at}
	for _, b := range made {
		p.Ids, p.VariantIds, p.AccountIds = append(p.Ids, b.ID), append(p.VariantIds, b.VariantID), append(p.AccountIds, b.AccountID)
		p.Keys, p.Amounts, p.Currencies = append(p.Keys, b.Key), append(p.Amounts, b.UnitPrice.Amount), append(p.Currencies, b.UnitPrice.Currency)
		p.ExpiresAt = append(p.ExpiresAt, b.ExpiresAt)
		p.SaleSlots, p.VariantSlots = append(p.SaleSlots, int32(b.SaleSlot)), append(p.VariantSlots, int32(b.VariantSlot))
	}
	return p
}

// logged returns the rows of the log, and the pools as the last of them leave each.
func logged(saleID string, at time.Time, moved []flashsale.Move) (db.AppendToLogParams, db.MovePoolsParams) {
	l, newest := db.AppendToLogParams{SaleID: saleID, At: at}, map[string]flashsale.Move{}
	for _, m := range moved {
		l.Seqs, l.Kinds, l.VariantIds = append(l.Seqs, m.Seq), append(l.Kinds, string(m.Kind)), append(l.VariantIds, m.VariantID)
		l.Quantities, l.BookingIds = append(l.Quantities, int32(m.Quantity)), append(l.BookingIds, m.BookingID)
		l.ChangeIds, l.Totals = append(l.ChangeIds, m.ChangeID), append(l.Totals, int32(m.After.Quantity))
		l.Remaining, l.Held, l.Sold = append(l.Remaining, int32(m.After.Remaining)), append(l.Held, int32(m.After.Held)), append(l.Sold, int32(m.After.Sold))
		if m.VariantID != "" {
			newest[m.VariantID] = m
		}
	}
	p := db.MovePoolsParams{SaleID: saleID}
	for v, m := range newest {
		p.VariantIds, p.Quantities = append(p.VariantIds, v), append(p.Quantities, int32(m.After.Quantity))
		p.Remaining, p.Held = append(p.Remaining, int32(m.After.Remaining)), append(p.Held, int32(m.After.Held))
		p.Sold, p.Seqs = append(p.Sold, int32(m.After.Sold)), append(p.Seqs, m.Seq)
	}
	return l, p
}

func addTransfer(ctx context.Context, q *db.Queries, t flashsale.Transfer, at time.Time) error {
	lines, err := json.Marshal(t.Lines)
	if err != nil {
		return fmt.Errorf("lines of transfer %s: %w", t.ID, err)
	}
	return q.AddTransfer(ctx, db.AddTransferParams{ID: t.ID, SaleID: t.SaleID, Lines: lines, At: at})
}

// again runs fn in a transaction, and again when a key was used in another sale meanwhile, or the turn of a ticket went by: then fn
// finds it so. Committing wakes the relay.
func (s *Store) again(ctx context.Context, fn func(*pipeline.Pipeline) error) error {
	err := pipeline.Transact(ctx, s.pool, fn)
	for tries := 1; tries < mostTries && (violates(err, "bookings_of_key") || violates(err, "turn_comes_once")); tries++ {
		err = pipeline.Transact(ctx, s.pool, fn)
	}
	if err == nil {
		outbox.Wake(s.pool)
	}
	return err
}

const mostTries = 3

func violates(err error, constraint string) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && refused.ConstraintName == constraint
}
