package cart

import (
	"context"
	"slices"

	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/viewer"
)

// A Merge is what to do with the goods of two carts.
type Merge string

// The ways to merge.
const (
	Sum         Merge = "SUM"
	KeepGuest   Merge = "KEEP_GUEST"
	KeepAccount Merge = "KEEP_ACCOUNT"
)

// The refusals of a claim.
var (
	ErrNoGuest         = fault.New(fault.NotFound, "NOT_FOUND", "there is no such cart").At("input", "guestCartId")
	ErrUnauthenticated = fault.New(fault.Unauthenticated, "UNAUTHENTICATED", "sign in first")
)

// Claim makes a guest's cart the viewer's. Claiming what was claimed already changes nothing; what another claimed is not found.
func (cs *Carts) Claim(ctx context.Context, who viewer.Viewer, guestID string, how Merge) (Cart, error) {
	if !who.SignedIn() {
		return Cart{}, ErrUnauthenticated
	}
	if err := id.Check(id.Cart, guestID, "input", "guestCartId"); err != nil {
		return Cart{}, err
	}
	return cs.store.Claim(ctx, guestID, who.AccountID, func(guest, own *Cart) error {
		switch {
		case own != nil && (guest.ID == own.ID || guest.MergedInto == own.ID):
			return nil // claimed already
		case guest.AccountID != "" || guest.MergedInto != "" || cs.clock.Now().After(guest.ExpiresAt):
			return ErrNoGuest
		case own == nil:
			guest.AccountID = who.AccountID
			cs.touch(guest)
			return nil
		}
		guest.MergedInto = own.ID
		cs.touch(guest)
		cs.touch(own)
		return own.pour(*guest, how)
	})
}

// pour merges a guest's goods into the account's cart. Quantities stop at the most a line may have.
func (c *Cart) pour(guest Cart, how Merge) error {
	switch how {
	case KeepAccount:
		return nil
	case KeepGuest:
		c.Lines = nil
	}
	for _, l := range guest.Lines {
		if len(c.Lines) > 0 && c.Lines[0].Added.Currency != l.Added.Currency {
			return ErrCurrency.At("input", "strategy")
		}
		n := slices.IndexFunc(c.Lines, func(own Line) bool { return own.VariantID == l.VariantID })
		if n >= 0 {
			c.Lines[n].Quantity = min(c.Lines[n].Quantity+l.Quantity, MaxQuantity)
			continue
		}
		l.ID, l.CartID = id.New(id.CartLine), c.ID
		c.Lines = append(c.Lines, l)
	}
	if len(c.Lines) > MaxLines {
		return ErrTooMany.At("input", "strategy")
	}
	return nil
}

// A Purchase is an order of what was in a cart.
type Purchase struct {
	OrderID, CartID string
	Units           map[string]int // by variant
}

// Ordered takes what was ordered out of the cart; what was added since stays.
func (c *Cart) Ordered(units map[string]int) {
	for i := range c.Lines {
		l := &c.Lines[i]
		taken := min(units[l.VariantID], l.Quantity)
		l.Quantity -= taken
		units[l.VariantID] -= taken
	}
	c.Lines = slices.DeleteFunc(c.Lines, func(l Line) bool { return l.Quantity == 0 })
}
