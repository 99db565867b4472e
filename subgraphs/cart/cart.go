// Package cart knows what somebody may buy: guests' carts and accounts'. A cart never holds stock.
package cart

import (
	"context"
	"slices"
	"time"

	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/money"
	"github.com/souk-shop/souk/internal/page"
	"github.com/souk-shop/souk/internal/viewer"
)

// Bounds of a cart.
const (
	MaxLines    = 100
	MaxQuantity = 999
)

// How long a cart is kept since it was last touched.
const (
	guestLife   = 30 * 24 * time.Hour
	accountLife = 180 * 24 * time.Hour
)

// A Cart is goods somebody may buy. Who knows the id of a guest's cart may use it.
type Cart struct {
	ID         string
	Version    int
	AccountID  string // "" = a guest's
	MergedInto string // the account's cart that a claim poured this one into, "" while it is open
	Lines      []Line // oldest first
	UpdatedAt  time.Time
	ExpiresAt  time.Time
}

// Key returns the cart's id.
func (c Cart) Key() string { return c.ID }

// IsEntity lets other subgraphs refer to carts.
func (Cart) IsEntity() {}

// TotalQuantity is how many units are in it.
func (c Cart) TotalQuantity() int {
	n := 0
	for _, l := range c.Lines {
		n += l.Quantity
	}
	return n
}

// Open tells whether somebody may use the cart.
func (c Cart) Open(who viewer.Viewer) bool {
	return c.MergedInto == "" && (c.AccountID == "" || who.Is(c.AccountID))
}

// A Line is one kind of goods in a cart.
type Line struct {
	ID        string
	CartID    string
	VariantID string
	Quantity  int
	Added     money.Money // price of one when the quantity was last chosen
}

// Key returns the line's id.
func (l Line) Key() string { return l.ID }

// IsEntity lets other subgraphs refer to lines.
func (Line) IsEntity() {}

// A Reader answers questions. Rows come in any order; unknown ids are left out.
type Reader interface {
	CartsByID(ctx context.Context, ids []string) ([]Cart, error)
	CartsOfLines(ctx context.Context, lineIDs []string) ([]Cart, error)
	// CartsOfAccounts finds the one open cart of each account.
	CartsOfAccounts(ctx context.Context, accountIDs []string) ([]Cart, error)
}

// A Store also changes things. What a rule leaves in the cart is saved; a rule that changes nothing writes nothing.
type Store interface {
	Reader
	// Create saves a new cart; of two first carts of one account at once, the second becomes a change of the first.
	Create(ctx context.Context, c Cart, rule func(*Cart) error) (Cart, error)
	// Change locks the cart, runs the rule and saves its lines and the next version in one transaction.
	Change(ctx context.Context, id string, rule func(*Cart) error) (Cart, error)
	// Claim locks a guest's cart and the account's own, if it has one, runs the rule on both and saves them in one transaction.
	Claim(ctx context.Context, guestID, accountID string, rule func(guest, own *Cart) error) (Cart, error)
}

// Carts is what the shop can do with carts.
type Carts struct {
	Reader
	store Store
	goods Goods
	clock clock.Clock
}

// New returns the shop's carts.
func New(s Store, g Goods, c clock.Clock) *Carts { return &Carts{s, s, g, c} }

// LinesPage is a page of a cart's lines.
type LinesPage struct {
	Lines []Line
	Info  page.Info
}

// Page returns the lines behind a cursor. Lines are few and loaded with their cart.
func (c Cart) Page(first int, after *string) (LinesPage, error) {
	lines := c.Lines
	if after != nil {
		var id string
		if err := page.Decode(after, &id); err != nil {
			return LinesPage{}, err
		}
		at := slices.IndexFunc(lines, func(l Line) bool { return l.ID == id })
		if at < 0 {
			return LinesPage{}, page.ErrCursor
		}
		lines = lines[at+1:]
	}
	lines = slices.Clone(lines[:min(len(lines), first+1)])
	cut, info := page.Cut(lines, first, after, func(l Line) string { return page.Encode(l.ID) })
	return LinesPage{cut, info}, nil
}
