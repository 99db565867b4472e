// Package flashsale sells a few units to many people at once: nobody gets more than their share, no unit is sold twice, and none
// stays unsold while somebody wants it.
package flashsale

import (
	"context"
	"time"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/feed"
	"github.com/souk-shop/souk/internal/money"
)

// A Status is where a sale stands.
type Status string

// The statuses of a sale. Ended and Cancelled are final.
const (
	Scheduled   Status = "SCHEDULED"
	WaitingRoom Status = "WAITING_ROOM"
	Open        Status = "OPEN"
	SoldOut     Status = "SOLD_OUT"
	Ended       Status = "ENDED"
	Cancelled   Status = "CANCELLED"
)

// A Sale is units set aside to be sold at a price in a short time.
type Sale struct {
	ID              string
	SellerID        string
	Title           string
	StartsAt        time.Time
	EndsAt          time.Time // nothing is booked from then on
	LimitPerAccount int
	HoldTime        time.Duration
	Entry                   // how people get in
	Offers          []Offer // in the order in which they were saved
	CancelledAt     *time.Time
	Told            Status // the status that was last noted as time went by: any but SoldOut
	Seq             int64  // of the newest movement
	AsOf            time.Time
	Room            Room
	Seed            []byte // of the draw; a secret until it has been made
}

// An Offer is one variant in a sale, with the pool of its units.
type Offer struct {
	SaleID          string
	VariantID       string
	Price           money.Money
	LimitPerAccount int
	Quantity        int // Remaining + Held + Sold, always
	Remaining       int
	Held            int
	Sold            int
}

// Key returns the sale's id.
func (s Sale) Key() string { return s.ID }

// IsEntity lets other subgraphs refer to sales.
func (Sale) IsEntity() {}

// Over tells whether nothing is booked any more.
func (s Sale) Over(now time.Time) bool { return s.CancelledAt != nil || !now.Before(s.EndsAt) }

// Status says where the sale stands: its times and its counts decide, not who looked last.
func (s Sale) Status(now time.Time) Status {
	remaining, _, _ := s.Counts()
	switch {
	case s.CancelledAt != nil:
		return Cancelled
	case !now.Before(s.EndsAt):
		return Ended
	case now.Before(s.StartsAt):
		if s.HasRoom() && !now.Before(s.RoomOpensAt) {
			return WaitingRoom
		}
		return Scheduled
	case remaining == 0:
		return SoldOut
	}
	return Open
}

// Counts sums up the offers.
func (s Sale) Counts() (remaining, held, sold int) {
	for _, o := range s.Offers {
		remaining, held, sold = remaining+o.Remaining, held+o.Held, sold+o.Sold
	}
	return remaining, held, sold
}

// Offer returns the offer of a variant, nil when there is none.
func (s *Sale) Offer(variantID string) *Offer {
	for i := range s.Offers {
		if s.Offers[i].VariantID == variantID {
			return &s.Offers[i]
		}
	}
	return nil
}

// Changed returns the event that tells of the sale's counts.
func (s Sale) Changed() events.FlashSaleChanged {
	e := events.FlashSaleChanged{At: events.At{At: s.AsOf}, SaleID: s.ID, Status: string(s.Status(s.AsOf)), Seq: s.Seq, StartsAt: s.StartsAt}
	if s.HasRoom() {
		r := s.Room
		e.Room = &events.FlashSaleRoom{Joined: r.Joined, Called: r.Called, Drawn: r.DrawnAt != nil, PerSecond: s.perSecond(), Rev: r.Rev}
	}
	for _, o := range s.Offers {
		e.Offers = append(e.Offers, events.FlashSaleCount{VariantID: o.VariantID, Quantity: o.Quantity, Remaining: o.Remaining, Held: o.Held, Sold: o.Sold})
	}
	return e
}

// A BookingStatus is where a booking stands. Held ends as one of the others, and Booked may yet become Undone.
type BookingStatus string

// The statuses of a booking.
const (
	Held     BookingStatus = "HELD"
	Booked   BookingStatus = "BOOKED"
	Undone   BookingStatus = "CANCELLED" // booked, and back since its order was cancelled
	Released BookingStatus = "RELEASED"
	Expired  BookingStatus = "EXPIRED"
)

// A Booking is one unit, held for an account until it is paid.
type Booking struct {
	ID        string
	SaleID    string
	VariantID string
	AccountID string
	Key       string // under which it was asked for
	Status    BookingStatus
	UnitPrice money.Money
	OrderID   string // the order that pays for it, "" before there is one
	CreatedAt time.Time
	UpdatedAt time.Time
	ExpiresAt time.Time
	// Of the units that the account may have, in the sale and of the variant, this is which. No two that are held or booked share one.
	SaleSlot    int
	VariantSlot int
}

// IsEntity lets other subgraphs refer to bookings.
func (Booking) IsEntity() {}

// IsFlashSaleBookResult makes a booking what the graph answers to who booked.
func (Booking) IsFlashSaleBookResult() {}

// Counts tells whether the unit is the account's, for now or for good.
func (b Booking) Counts() bool { return b.Status == Held || b.Status == Booked }

// A Kind is what can happen in a sale.
type Kind string

// The kinds of movement. Allot and Return change how many units are in the sale; RoomOpened, Opened, Closed and CalledOff move none.
const (
	Allot      Kind = "ALLOT"
	Return     Kind = "RETURN"
	Hold       Kind = "HOLD"
	Sell       Kind = "SELL"
	Unsell     Kind = "CANCEL" // the order that a unit was sold to was cancelled
	Release    Kind = "RELEASE"
	Expire     Kind = "EXPIRE"
	RoomOpened Kind = "ROOM_OPENED"
	Opened     Kind = "OPENED"
	Closed     Kind = "CLOSED"
	CalledOff  Kind = "CALLED_OFF"
)

// A Move is one line of a sale's log.
type Move struct {
	Seq       int64
	Kind      Kind
	VariantID string // "" when no unit moved
	Quantity  int
	BookingID string // "" unless it moved for a booking
	ChangeID  string // "" unless units came in by a change of the sale, or went out by a return
	After     Offer  // the counts of the variant after it
}

// A Reader answers questions. Rows come in any order; unknown ids are left out.
type Reader interface {
	SalesByID(ctx context.Context, ids []string) ([]Sale, error)
	// Sales lists up to first sales: those not over at a time by start, then the others, the newest first.
	Sales(ctx context.Context, status *Status, at time.Time, first int) ([]Sale, error)
	// SalesOfVariants finds, of the sales not over at a time, the first to start of each variant.
	SalesOfVariants(ctx context.Context, variantIDs []string, at time.Time) (map[string]string, error)
	BookingsByID(ctx context.Context, ids []string) ([]Booking, error)
	// BookingsOf lists what an account holds or has bought in sales, oldest first.
	BookingsOf(ctx context.Context, accountID string, saleIDs []string) (map[string][]Booking, error)
	Queue
}

// Wanted says what a rule needs to see of a sale's bookings.
type Wanted struct {
	Bookings []string // by id
	Accounts []string // whose bookings that count
	Keys     []string // under which these accounts may have booked before
	Tickets  []string // with which they come
}

// A Store also changes things. Every method is one transaction; any of them may run at once, on any number of machines.
type Store interface {
	Reader
	// Serve locks a sale, runs the rule, and saves what it moved, with the event that tells of it. ErrNoSale when there is none.
	Serve(ctx context.Context, saleID string, w Wanted, at time.Time, rule func(*Stand) error) error
	// Book tries every one of these requests, each for itself, and answers in their order.
	Book(ctx context.Context, saleID string, requests []BookRequest, at time.Time) ([]BookResult, error)
	// DueBookings lists up to most bookings whose time is up.
	DueBookings(ctx context.Context, at time.Time, most int) ([]Booking, error)
	// DueSales lists up to most sales with something to do as time went by: to open, to close, or to give back what is left.
	DueSales(ctx context.Context, at time.Time, most int) ([]string, error)
	// NextMoment returns when the next booking or sale is due; false when none will be.
	NextMoment(ctx context.Context) (time.Time, bool, error)
	Changes
	Rooms
}

// ErrNoSale says that there is no such sale, or that it is not for the caller to change.
var ErrNoSale = fault.New(fault.NotFound, "NOT_FOUND", "there is no such flash sale")

// A Shop is what flash sales need of the others.
type Shop interface {
	// Goods finds what is known of variants; unknown ones are left out.
	Goods(ctx context.Context, variantIDs []string) ([]events.VariantInfo, error)
	// MoveToPool and MoveFromPool move units between the stock and a sale, once for each key.
	MoveToPool(ctx context.Context, r events.PoolRequest) (events.PoolReply, error)
	MoveFromPool(ctx context.Context, r events.PoolRequest) error
}

// FlashSales is what the shop can do with flash sales.
type FlashSales struct {
	Reader
	store Store
	shop  Shop
	clock clock.Clock
	feed  *feed.Feed[Live]
	desk  Desk

	newest newest
	door   door
	meter  Meter // nil measures nothing
}

// A Meter is told when somebody asks for a unit, and then what they are answered.
type Meter interface {
	Booking() (answered func(BookResult, error))
}

// Measure has every request to book measured from now on. Call it before the first.
func (fs *FlashSales) Measure(m Meter) { fs.meter = m }

// A Desk takes requests one by one, and has the store serve many of them at once.
type Desk interface {
	Book(ctx context.Context, saleID string, r BookRequest) (BookResult, error)
	Join(ctx context.Context, saleID, accountID string) (JoinResult, error)
	// LookUp finds a ticket, with what is known of its sale; ErrNoTicket when there is none.
	LookUp(ctx context.Context, ticketID string) (Standing, error)
}

// New returns the shop's flash sales, kept in a store, with a desk in front of it where people book.
func New(s Store, d Desk, shop Shop, c clock.Clock) *FlashSales {
	return &FlashSales{Reader: s, store: s, desk: d, shop: shop, clock: c, feed: feed.New[Live](pace)}
}

// Now is the time by which sales open and end.
func (fs *FlashSales) Now() time.Time { return fs.clock.Now() }

func invalid(format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, "INVALID", "").Says(format, args...)
}

// List returns up to first sales: those that run or come by start, then those that are over, the newest first.
func (fs *FlashSales) List(ctx context.Context, status *Status, first int) ([]Sale, error) {
	if first < 1 || first > mostListed {
		return nil, invalid("first must be from 1 to %d", mostListed).At("first")
	}
	return fs.Sales(ctx, status, fs.clock.Now(), first)
}

const mostListed = 100

// An Offering is the sale that offers a variant now, or the next one that will.
type Offering struct{ VariantID, SaleID string }

// Key returns the variant's id.
func (o Offering) Key() string { return o.VariantID }

// Offering finds which sales offer variants.
func (fs *FlashSales) Offering(ctx context.Context, variantIDs []string) ([]Offering, error) {
	found, err := fs.SalesOfVariants(ctx, variantIDs, fs.clock.Now())
	var of []Offering
	for v, s := range found {
		of = append(of, Offering{v, s})
	}
	return of, err
}
