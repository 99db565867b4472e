// Package orders knows what was bought and where it stands: the checkout, the states of an order, and its end.
package orders

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/money"
	"github.com/souk-shop/souk/internal/page"
	"github.com/souk-shop/souk/internal/viewer"
)

// A Status is where an order stands. DELIVERED and CANCELLED are final.
type Status string

// The states of an order.
const (
	Created          Status = "CREATED"           // stock is held, the payment is not secured yet
	Placed           Status = "PLACED"            // stock and payment are secured
	PartiallyShipped Status = "PARTIALLY_SHIPPED" // some of it is on its way
	Shipped          Status = "SHIPPED"           // all of it is on its way
	Delivered        Status = "DELIVERED"         // all of it arrived
	Cancelled        Status = "CANCELLED"         // stock is back, no money is kept
)

// A CancelReason is why an order was cancelled.
type CancelReason string

// The reasons for which an order is cancelled.
const (
	PaymentFailed  CancelReason = "PAYMENT_FAILED"
	PaymentTimeout CancelReason = "PAYMENT_TIMEOUT"
	OutOfStock     CancelReason = "OUT_OF_STOCK"
	ByCustomer     CancelReason = "CUSTOMER"
	BySeller       CancelReason = "SELLER"
	ForFraud       CancelReason = "FRAUD"
)

// An Order is a purchase, from the hold of its stock to its end.
type Order struct {
	ID           string
	Serial       int64 // counts orders; Number shows it
	Version      int   // rises with every change
	AccountID    string
	CartID       string // "" when a booking was bought
	CartVersion  int
	Status       Status
	CancelReason *CancelReason
	Lines        []Line
	Total        money.Money
	Address      Address
	CreatedAt    time.Time
	UpdatedAt    time.Time
	PlacedAt     *time.Time
	Deadline     time.Time // when a CREATED order gives up waiting for its payment

	Saga Saga

	news []Event    // steps since the order was read
	wake *time.Time // when the saga shall look at the order again
}

// A Saga is what is known of the order's stock and money, which live elsewhere.
type Saga struct {
	Hold
	PaymentMethodID string
	PaymentID       string
	PaymentVersion  int
	PaymentStatus   string // as payments tells it, "" before it was asked
	RedirectURL     string
	DeclineCode     string
	Committing      bool         // the stock is being committed: too late to time out
	Cancelling      CancelReason // why the order is to be cancelled, "" when it is not: logistics is yet to agree
	Parcelled       bool         // logistics said that a parcel was made up: nothing is cancelled any more
	StockSettled    bool         // sold to this order, or given back
	PaymentSettled  bool         // captured, or nothing is kept
}

// Key returns the order's id.
func (o Order) Key() string { return o.ID }

// IsEntity lets other subgraphs refer to orders.
func (Order) IsEntity() {}

// Number is for people to read out: S-2026-00001234.
func (o Order) Number() string { return fmt.Sprintf("S-%d-%08d", o.CreatedAt.Year(), o.Serial) }

// ExpiresAt is when the order gives up waiting, nil when it does not wait any more.
func (o Order) ExpiresAt() *time.Time {
	if o.Status != Created {
		return nil
	}
	return &o.Deadline
}

// Final tells whether nothing will happen to the order any more. Of one that is cancelled the money may still be on its way back: payments sees to
// that by itself, but the buyer wants to hear of it.
func (o Order) Final() bool {
	if o.Status == Cancelled && (!o.Saga.StockSettled || o.Saga.moneyMoves()) {
		return false
	}
	return (o.Status == Delivered || o.Status == Cancelled) && o.Saga.PaymentSettled
}

// moneyMoves tells whether the provider has not let go or given back yet what there is to let go or to give back.
func (s Saga) moneyMoves() bool {
	switch s.PaymentStatus {
	case "PENDING", "ACTION_REQUIRED", "AUTHORIZED", "CAPTURED", "PARTIALLY_REFUNDED":
		return true
	}
	return false
}

// For returns what somebody may see of the order: who bought it, and staff, all of it; a seller their own lines and what these cost;
// anybody else nothing.
func (o Order) For(who viewer.Viewer) *Order {
	if o.wholeFor(who) {
		return &o
	}
	of := o.Lines
	o.Lines, o.Total.Amount = nil, 0
	for _, l := range of {
		if who.Sells(l.SellerID) {
			o.Lines, o.Total.Amount = append(o.Lines, l), o.Total.Amount+l.Cost().Amount
		}
	}
	if o.Lines == nil {
		return nil
	}
	return &o
}

func (o Order) wholeFor(who viewer.Viewer) bool { return who.Is(o.AccountID) || who.Staff() }

// Visible returns what somebody may see of orders; those of which they may see nothing are left out.
func Visible(who viewer.Viewer, found []Order) []Order {
	var seen []Order
	for _, o := range found {
		if is := o.For(who); is != nil {
			seen = append(seen, *is)
		}
	}
	return seen
}

// StepsFor returns those of the order's steps that somebody may see: what was paid for the whole is not a seller's business.
func (o Order) StepsFor(who viewer.Viewer, steps []Event) []Event {
	if o.wholeFor(who) {
		return steps
	}
	return slices.DeleteFunc(slices.Clone(steps), func(e Event) bool { return strings.HasPrefix(e.Kind, "PAYMENT_") })
}

// A Line is one kind of goods in an order, at the price of the moment.
type Line struct {
	ID        string
	OrderID   string
	VariantID string
	ProductID string
	SellerID  string
	Title     string
	Quantity  int
	UnitPrice money.Money
}

// Key returns the line's id.
func (l Line) Key() string { return l.ID }

// IsEntity lets other subgraphs refer to lines of orders.
func (Line) IsEntity() {}

// Cost is the price of all.
func (l Line) Cost() money.Money {
	return money.Money{Amount: l.UnitPrice.Amount * int64(l.Quantity), Currency: l.UnitPrice.Currency}
}

// An Address is where an order goes, as it was when the order was created.
type Address struct {
	Name, Line1, Line2, City, Region, Pincode, Country, Phone string
}

// An Event is one step in the life of an order.
type Event struct {
	At      time.Time
	Kind    string // stable, for programs
	Message string // for people
}

// A List is a question for a page of an account's orders, newest first.
type List struct {
	AccountID string
	Status    *Status
	First     int
	After     *string
	Count     bool // tell how many there are on all pages, too
}

// A Cursor is where an order stands in a list.
type Cursor struct {
	CreatedAt time.Time `json:"c"`
	ID        string    `json:"i"`
}

// CursorOf returns where the order stands.
func CursorOf(o Order) string { return page.Encode(Cursor{o.CreatedAt, o.ID}) }

// A Page is one page of a list.
type Page struct {
	Orders []Order
	Info   page.Info
	Total  int // on all pages, when the list is to count
}

// A Reader answers questions. Rows come in any order; unknown ids are left out.
type Reader interface {
	OrdersByID(ctx context.Context, ids []string) ([]Order, error)
	OrdersOfLines(ctx context.Context, lineIDs []string) ([]Order, error)
	TimelinesOf(ctx context.Context, orderIDs []string) (map[string][]Event, error)
}

// A Store also lists and changes things.
type Store interface {
	Reader
	// List returns up to first+1 orders, so that the caller sees whether more follow, and how many there are at the same moment on all
	// pages, when the list is to count.
	List(ctx context.Context, l List, after *Cursor) (rows []Order, total int, err error)

	// Claim makes the caller's key name this checkout, or returns the one it names already.
	Claim(ctx context.Context, c Attempt) (Attempt, error)
	// Reject notes the refusal of a checkout, unless it was decided meanwhile; it returns what was decided.
	Reject(ctx context.Context, c Attempt, problems []events.CartProblem) (Attempt, error)
	// Create saves the order of a checkout with its first steps and the job that watches it, in one transaction.
	// ErrDecided when the checkout was decided meanwhile, ErrAlreadyOrdered when the cart was ordered as it stands.
	Create(ctx context.Context, c Attempt, o Order) (Order, error)
	// Change locks the order, runs the rule, and saves what it changed with its steps, its events and its next job in
	// one transaction. A rule that changes nothing writes nothing.
	Change(ctx context.Context, id string, rule func(*Order) error) (Order, error)
	// ChangeOnce is Change under a key, kept with what the rule changed; ErrConflict when the key came with other input before.
	ChangeOnce(ctx context.Context, id string, key CancelKey, rule func(*Order) error) (Order, error)
}

// ErrNotFound says that there is no such order, or that it is not for the caller to see.
var ErrNotFound = fault.New(fault.NotFound, "NOT_FOUND", "there is no such order")

// Orders is what customers and staff can read of orders.
type Orders struct {
	Reader
	store Store
}

// New returns the shop's orders, kept in a store.
func New(s Store) *Orders { return &Orders{s, s} }

// Order finds what somebody may see of an order; nil when there is none, or nothing of it is for them to see.
func (os *Orders) Order(ctx context.Context, who viewer.Viewer, orderID string) (*Order, error) {
	if err := id.Check(id.Order, orderID, "id"); err != nil {
		return nil, err
	}
	found, err := os.OrdersByID(ctx, []string{orderID})
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return found[0].For(who), nil
}

// List returns a page of an account's orders; nil when they are not for the viewer to see.
func (os *Orders) List(ctx context.Context, who viewer.Viewer, l List) (*Page, error) {
	if !who.Is(l.AccountID) && !who.Staff() {
		return nil, nil
	}
	var after *Cursor
	if l.After != nil {
		after = new(Cursor)
		if err := page.Decode(l.After, after); err != nil {
			return nil, err
		}
	}
	rows, total, err := os.store.List(ctx, l, after)
	if err != nil {
		return nil, err
	}
	found, info := page.Cut(rows, l.First, l.After, CursorOf)
	return &Page{found, info, total}, nil
}
