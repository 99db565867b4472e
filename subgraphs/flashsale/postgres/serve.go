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

// What a stand is read with, in one trip.
const (
	saleColumns = `id, seller_id, title, starts_at, ends_at, limit_per_account, hold_seconds, cancelled_at, told, seq,
		admission, room_opens_at, difficulty, admit_per_second, admission_seconds, seed`
	lookAtSale = `SELECT ` + saleColumns + ` FROM sales WHERE id = $1`
	lockSale   = lookAtSale + ` FOR NO KEY UPDATE`
	roomOf     = `SELECT ` + roomColumns + ` FROM rooms WHERE sale_id = $1`
	// With the pools comes when the next booking of each ends by itself.
	poolsOf = `
		SELECT sale_id, variant_id, amount, currency, limit_per_account, quantity, remaining, held, sold,
		    CASE WHEN held > 0 THEN (SELECT expires_at FROM bookings WHERE sale_id = p.sale_id AND variant_id = p.variant_id AND status = 'HELD' ORDER BY expires_at LIMIT 1) END
		FROM pools p WHERE sale_id = $1 ORDER BY position`
	columns = `id, sale_id, variant_id, account_id, key, status, amount, currency, order_id, created_at, updated_at, expires_at, sale_slot, variant_slot`
	byID    = `SELECT ` + columns + ` FROM bookings WHERE id = ANY ($1)`
	// For each request one probe finds what its account booked under this key, and one what it has in the sale; a booking may come
	// more than once. OFFSET 0 keeps them apart: with the statistics of a table that was empty a minute ago, the planner would
	// rather read all of the table, or look every key up for every account.
	ofRequests = `
		SELECT b.* FROM unnest($2::text[], $3::text[]) AS r (account, key) CROSS JOIN LATERAL (
		    SELECT ` + columns + ` FROM bookings WHERE account_id = r.account AND key = r.key
		    UNION ALL
		    SELECT ` + columns + ` FROM bookings WHERE sale_id = $1 AND account_id = r.account AND status IN ('HELD', 'BOOKED') OFFSET 0) AS b`
)

// Serve locks a sale, runs the rule, and saves what it moved.
func (s *Store) Serve(ctx context.Context, saleID string, w flashsale.Wanted, at time.Time, rule func(*flashsale.Stand) error) error {
	return s.again(ctx, func(p *pipeline.Pipeline) error { return serve(ctx, p, lockSale, saleID, w, at, rule) })
}

// Book tries every request, each for itself. Most of those who come to a sale come when there is nothing left: they are answered
// by one look at one moment, and no lock is taken. While there are units, what was seen is written down unless somebody else has
// changed the sale since; only then is the sale locked first.
func (s *Store) Book(ctx context.Context, saleID string, requests []flashsale.BookRequest, at time.Time) (results []flashsale.BookResult, err error) {
	w := wants(requests)
	moved := false
	tryAll := func(stand *flashsale.Stand) error {
		results = bookAll(stand, requests)
		moved = len(stand.Moved()) > 0
		return nil
	}
	if s.nothingLeft(saleID) {
		stand, err := s.look(ctx, saleID, w, at)
		if err != nil {
			return nil, err
		}
		if results = bookAll(stand, requests); len(stand.Moved()) == 0 {
			return results, nil
		}
	}
	err = pipeline.Optimistic(ctx, s.pool, func(p *pipeline.Pipeline) error { return serve(ctx, p, lookAtSale, saleID, w, at, tryAll) })
	switch {
	case pipeline.Overtaken(err), violates(err, "bookings_of_key"), violates(err, "turn_comes_once"):
		err = s.Serve(ctx, saleID, w, at, tryAll)
	case err == nil && moved:
		outbox.Wake(s.pool)
	}
	if err != nil {
		return nil, err
	}
	s.note(saleID, results[0].Sale.Status(at) != flashsale.Open)
	return results, nil
}

func wants(requests []flashsale.BookRequest) flashsale.Wanted {
	w := flashsale.Wanted{Accounts: make([]string, len(requests)), Keys: make([]string, len(requests))}
	for i, r := range requests {
		w.Accounts[i], w.Keys[i] = r.AccountID, r.Key
		if r.TicketID != "" {
			w.Tickets = append(w.Tickets, r.TicketID)
		}
	}
	return w
}

func bookAll(stand *flashsale.Stand, requests []flashsale.BookRequest) []flashsale.BookResult {
	results := make([]flashsale.BookResult, len(requests))
	for i, r := range requests {
		results[i] = stand.Book(r)
	}
	for i := range results {
		results[i].Sale = *stand.Sale
	}
	return results
}

// nothingLeft tells whether the sale had nothing to book when it was last looked at here. It decides nothing but how to look again.
func (s *Store) nothingLeft(saleID string) bool {
	_, nothing := s.empty.Get(saleID)
	return nothing
}

func (s *Store) note(saleID string, nothingLeft bool) {
	if nothingLeft {
		s.empty.Add(saleID, struct{}{})
	} else {
		s.empty.Remove(saleID)
	}
}

// look returns a stand on which nothing can be saved.
func (s *Store) look(ctx context.Context, saleID string, w flashsale.Wanted, at time.Time) (*flashsale.Stand, error) {
	var seen *sight
	err := pipeline.Look(ctx, s.pool, func(p *pipeline.Pipeline) { seen = see(p, lookAtSale, saleID, w) })
	if err != nil {
		return nil, err
	}
	if seen.sale == nil {
		return nil, flashsale.ErrNoSale
	}
	return seen.stand(at), nil
}

// serve runs a rule on a sale, locked or not as it is found, and saves what the rule moved.
func serve(ctx context.Context, p *pipeline.Pipeline, find, saleID string, w flashsale.Wanted, at time.Time, rule func(*flashsale.Stand) error) error {
	stand, err := open(ctx, p, find, saleID, w, at)
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
}

// open returns all there is of a sale and what is wanted of its bookings; nil when there is no such sale. It sends the pipeline.
func open(ctx context.Context, p *pipeline.Pipeline, find, saleID string, w flashsale.Wanted, at time.Time) (*flashsale.Stand, error) {
	seen := see(p, find, saleID, w)
	if err := p.Send(ctx); err != nil || seen.sale == nil {
		return nil, err
	}
	return seen.stand(at), nil
}

// A sight is what was read of a sale.
type sight struct {
	sale     *flashsale.Sale
	room     flashsale.Room
	offers   []flashsale.Offer
	tickets  []flashsale.Ticket
	bookings []flashsale.Booking
	next     map[string]time.Time
}

func (s *sight) stand(at time.Time) *flashsale.Stand {
	s.sale.Offers, s.sale.Room = s.offers, s.room
	stand := flashsale.NewStand(at, *s.sale, s.bookings, s.next)
	stand.Present(s.tickets)
	return stand
}

// see queues the questions. The sale is first, so that with its lock what is read after it is what the lock's last owner left.
func see(p *pipeline.Pipeline, find, saleID string, w flashsale.Wanted) *sight {
	s := &sight{next: map[string]time.Time{}}
	p.Collect(find, saleID)(func(row pgx.Rows) error {
		is, err := scanSale(row)
		s.sale = &is
		return err
	})
	p.Collect(roomOf, saleID)(func(row pgx.Rows) (err error) {
		s.room, err = scanRoom(row)
		return err
	})
	p.Collect(poolsOf, saleID)(func(row pgx.Rows) error {
		o, next, err := scanOffer(row)
		s.offers = append(s.offers, o)
		if next != nil {
			s.next[o.VariantID] = next.UTC()
		}
		return err
	})
	known := map[string]bool{}
	each := func(row pgx.Rows) error {
		var r db.Booking
		err := row.Scan(&r.ID, &r.SaleID, &r.VariantID, &r.AccountID, &r.Key, &r.Status, &r.Amount, &r.Currency, &r.OrderID,
			&r.CreatedAt, &r.UpdatedAt, &r.ExpiresAt, &r.SaleSlot, &r.VariantSlot)
		if !known[r.ID] {
			known[r.ID] = true
			s.bookings = append(s.bookings, booking(r))
		}
		return err
	}
	if w.Bookings != nil {
		p.Collect(byID, w.Bookings)(each)
	}
	if w.Accounts != nil {
		p.Collect(ofRequests, saleID, w.Accounts, w.Keys)(each)
	}
	if w.Tickets != nil {
		p.Collect(ticketsOfBookers, w.Tickets)(func(row pgx.Rows) error {
			t, err := scanTicket(row)
			s.tickets = append(s.tickets, t)
			return err
		})
	}
	return s
}

func scanSale(row pgx.Row) (flashsale.Sale, error) {
	var r db.Sale
	err := row.Scan(&r.ID, &r.SellerID, &r.Title, &r.StartsAt, &r.EndsAt, &r.LimitPerAccount, &r.HoldSeconds, &r.CancelledAt, &r.Told, &r.Seq,
		&r.Admission, &r.RoomOpensAt, &r.Difficulty, &r.AdmitPerSecond, &r.AdmissionSeconds, &r.Seed)
	return sale(r), err
}

// scanOffer also returns when the next booking of it ends by itself.
func scanOffer(row pgx.Row) (o flashsale.Offer, next *time.Time, err error) {
	var r db.Pool
	err = row.Scan(&r.SaleID, &r.VariantID, &r.Amount, &r.Currency, &r.LimitPerAccount, &r.Quantity, &r.Remaining, &r.Held, &r.Sold, &next)
	return offer(r), next, err
}

// save queues what the rule did: how bookings stand, what moved, what goes back into stock, and the event that tells of it. The sale
// goes first, so that who did not lock it waits there for who did, and fails there if it was changed.
func save(ctx context.Context, p *pipeline.Pipeline, stand *flashsale.Stand) error {
	q := db.New(p)
	s, moved := stand.Sale, stand.Moved()
	if len(moved) > 0 {
		if err := q.MoveSeq(ctx, db.MoveSeqParams{Seq: s.Seq, ID: s.ID}); err != nil {
			return err
		}
	}
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
		// Whatever the lock, a booking ends once: another end is refused by log_ends_once, and anything else after it by ends_once.
		if _, err := p.Exec(ctx, `UPDATE bookings SET status = $2, order_id = $3, expires_at = $4, updated_at = $5 WHERE id = $1`,
			b.ID, string(b.Status), b.OrderID, b.ExpiresAt, b.UpdatedAt); err != nil {
			return err
		}
	}
	for _, t := range stand.Returns() {
		if err := addTransfer(ctx, q, t, stand.At); err != nil {
			return err
		}
	}
	if len(moved) == 0 {
		return nil
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
