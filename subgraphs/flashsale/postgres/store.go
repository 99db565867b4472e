// Package postgres keeps flash sales in PostgreSQL. Its constraints hold whatever the code does: see the migrations.
package postgres

import (
	"context"
	"embed"
	"slices"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/internal/money"
	"github.com/souk-shop/souk/internal/pipeline"
	"github.com/souk-shop/souk/subgraphs/flashsale"
	"github.com/souk-shop/souk/subgraphs/flashsale/postgres/internal/db"
)

// Migrations make the schema.
//
//go:embed migrations/*.sql
var Migrations embed.FS

// A Store is the flash sales' tables.
type Store struct {
	pool  *pgxpool.Pool
	q     *db.Queries
	empty *lru.Cache[string, struct{}] // sales that had nothing to book when last looked at
}

var _ flashsale.Store = (*Store)(nil)

// NewStore returns the store behind a pool whose schema is migrated.
func NewStore(pool *pgxpool.Pool) *Store {
	empty, _ := lru.New[string, struct{}](1000) // fails for a size below 1 alone
	return &Store{pool, db.New(pool), empty}
}

// SalesByID finds sales with their offers.
func (s *Store) SalesByID(ctx context.Context, ids []string) ([]flashsale.Sale, error) {
	rows, err := s.q.SalesByID(ctx, ids)
	var found []flashsale.Sale
	for _, r := range rows {
		if n := len(found); n == 0 || found[n-1].ID != r.Sale.ID {
			is := sale(r.Sale)
			is.Room = room(r.Room)
			found = append(found, is)
		}
		of := &found[len(found)-1]
		of.Offers = append(of.Offers, offer(r.Pool))
	}
	return found, err
}

// Sales lists sales: those not over at a time by start, then the others, the newest first.
func (s *Store) Sales(ctx context.Context, status *flashsale.Status, at time.Time, first int) ([]flashsale.Sale, error) {
	ids, err := s.q.ListSales(ctx, db.ListSalesParams{Status: (*string)(status), At: at, First: int32(first)})
	if err != nil {
		return nil, err
	}
	found, err := s.SalesByID(ctx, ids)
	slices.SortFunc(found, func(a, b flashsale.Sale) int { return slices.Index(ids, a.ID) - slices.Index(ids, b.ID) })
	return found, err
}

// SalesOfVariants finds, of the sales not over at a time, the first to start of each variant.
func (s *Store) SalesOfVariants(ctx context.Context, variantIDs []string, at time.Time) (map[string]string, error) {
	rows, err := s.q.SalesOfVariants(ctx, db.SalesOfVariantsParams{VariantIds: variantIDs, At: at})
	found := make(map[string]string, len(rows))
	for _, r := range rows {
		found[r.VariantID] = r.SaleID
	}
	return found, err
}

// BookingsByID finds bookings.
func (s *Store) BookingsByID(ctx context.Context, ids []string) ([]flashsale.Booking, error) {
	rows, err := s.q.BookingsByID(ctx, ids)
	return each(rows, booking), err
}

// BookingsOf lists what an account holds or has bought in sales.
func (s *Store) BookingsOf(ctx context.Context, accountID string, saleIDs []string) (map[string][]flashsale.Booking, error) {
	rows, err := s.q.BookingsOf(ctx, db.BookingsOfParams{AccountID: accountID, SaleIds: saleIDs})
	of := map[string][]flashsale.Booking{}
	for _, r := range rows {
		of[r.SaleID] = append(of[r.SaleID], booking(r))
	}
	return of, err
}

// DueBookings lists bookings whose time is up.
func (s *Store) DueBookings(ctx context.Context, at time.Time, most int) ([]flashsale.Booking, error) {
	const due = `SELECT * FROM bookings WHERE status = 'HELD' AND expires_at <= $1 ORDER BY expires_at LIMIT $2`
	var rows []db.Booking
	err := s.byTime(ctx, func(p *pipeline.Pipeline) { pipeline.Rows(p, &rows, due, at, most) })
	return each(rows, booking), err
}

// byTime asks what has to be read off an index by time, as little of it as is wanted. Statistics from before a sale say that nothing is
// held; to read and sort all that is held, off the index by sale and variant, then looks as good to the planner.
func (s *Store) byTime(ctx context.Context, ask func(*pipeline.Pipeline)) error {
	return pipeline.Look(ctx, s.pool, func(p *pipeline.Pipeline) {
		p.Exec(ctx, `SET LOCAL enable_sort = off`)
		ask(p)
	})
}

// DueSales lists sales that are to open or to close.
func (s *Store) DueSales(ctx context.Context, at time.Time, most int) ([]string, error) {
	return s.q.DueSales(ctx, db.DueSalesParams{At: at, Most: int32(most)})
}

// NextMoment returns when the next booking or sale is due.
func (s *Store) NextMoment(ctx context.Context) (at time.Time, any bool, err error) {
	var next *time.Time
	err = s.byTime(ctx, func(p *pipeline.Pipeline) {
		p.Collect(nextMoment)(func(row pgx.Rows) error { return row.Scan(&next) })
	})
	if err != nil || next == nil {
		return at, false, err
	}
	return next.UTC(), true, nil
}

const nextMoment = `
	SELECT least(
	    (SELECT expires_at FROM bookings WHERE status = 'HELD' ORDER BY expires_at LIMIT 1),
	    (SELECT room_opens_at FROM sales WHERE told = 'SCHEDULED' AND admission <> 'OPEN_DOOR' ORDER BY room_opens_at LIMIT 1),
	    (SELECT starts_at FROM sales WHERE told IN ('SCHEDULED', 'WAITING_ROOM') ORDER BY starts_at LIMIT 1),
	    (SELECT ends_at FROM sales WHERE told IN ('SCHEDULED', 'WAITING_ROOM', 'OPEN') ORDER BY ends_at LIMIT 1))`

func sale(r db.Sale) flashsale.Sale {
	s := flashsale.Sale{
		ID: r.ID, SellerID: r.SellerID, Title: r.Title, StartsAt: r.StartsAt.UTC(), EndsAt: r.EndsAt.UTC(), LimitPerAccount: int(r.LimitPerAccount),
		HoldTime: time.Duration(r.HoldSeconds) * time.Second, Told: flashsale.Status(r.Told), Seq: r.Seq, CancelledAt: inUTC(r.CancelledAt), Seed: r.Seed,
		Entry: flashsale.Entry{
			Admission: flashsale.Policy(r.Admission), RoomOpensAt: r.RoomOpensAt.UTC(), Difficulty: int(r.Difficulty),
			AdmitPerSecond: int(r.AdmitPerSecond), AdmissionTime: time.Duration(r.AdmissionSeconds) * time.Second,
		},
	}
	return s
}

func offer(r db.Pool) flashsale.Offer {
	return flashsale.Offer{
		SaleID: r.SaleID, VariantID: r.VariantID, Price: money.Money{Amount: r.Amount, Currency: r.Currency}, LimitPerAccount: int(r.LimitPerAccount),
		Quantity: int(r.Quantity), Remaining: int(r.Remaining), Held: int(r.Held), Sold: int(r.Sold),
	}
}

func booking(r db.Booking) flashsale.Booking {
	return flashsale.Booking{
		ID: r.ID, SaleID: r.SaleID, VariantID: r.VariantID, AccountID: r.AccountID, Key: r.Key, Status: flashsale.BookingStatus(r.Status),
		UnitPrice: money.Money{Amount: r.Amount, Currency: r.Currency}, OrderID: r.OrderID,
		CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(), ExpiresAt: r.ExpiresAt.UTC(),
		SaleSlot: int(r.SaleSlot), VariantSlot: int(r.VariantSlot),
	}
}

func each[A, B any](rows []A, to func(A) B) []B {
	out := make([]B, len(rows))
	for i, r := range rows {
		out[i] = to(r)
	}
	return out
}
