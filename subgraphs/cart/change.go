package cart

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/viewer"
)

// The refusals of a change.
var (
	ErrNoCart    = fault.New(fault.NotFound, "NOT_FOUND", "there is no such cart").At("input", "cartId")
	ErrNoLine    = fault.New(fault.NotFound, "NOT_FOUND", "there is no such line in this cart")
	ErrQuantity  = fault.New(fault.Invalid, "INVALID_QUANTITY", "a quantity is 1 to 999")
	ErrTooMany   = fault.New(fault.Invalid, "LIMIT_EXCEEDED", "a cart has at most 100 lines")
	ErrNoVariant = fault.New(fault.NotFound, "NOT_FOUND", "there is no such variant")
	ErrNotOnSale = fault.New(fault.Conflict, "NOT_FOR_SALE", "this cannot be bought")
	ErrCurrency  = fault.New(fault.Conflict, "CURRENCY_MISMATCH", "goods in different currencies do not go in one cart")
	ErrStale     = fault.New(fault.Conflict, "STALE_VERSION", "the cart has moved on since; read it again").At("input", "ifVersion")
	ErrTwice     = fault.New(fault.Invalid, "INVALID", "each line once")
	ErrNoLines   = fault.New(fault.Invalid, "INVALID", "name at least one line").At("input", "lines")
)

// A Wish is goods to put in a cart.
type Wish struct {
	VariantID string
	Quantity  int
}

// A Setting is a new quantity of a line; zero takes it out.
type Setting struct {
	LineID   string
	Quantity int
}

// Create takes a cart: a new one for a guest, the one open cart of an account, with the wishes put in.
func (cs *Carts) Create(ctx context.Context, who viewer.Viewer, wishes []Wish) (Cart, error) {
	put, err := cs.putting(ctx, wishes)
	if err != nil {
		return Cart{}, err
	}
	c := Cart{ID: id.New(id.Cart), Version: 1, AccountID: who.AccountID}
	return cs.store.Create(ctx, c, put)
}

// Add puts goods in a cart. The same variant twice is one line.
func (cs *Carts) Add(ctx context.Context, who viewer.Viewer, cartID string, wishes []Wish, ifVersion *int) (Cart, error) {
	if len(wishes) == 0 {
		return Cart{}, ErrNoLines
	}
	put, err := cs.putting(ctx, wishes)
	if err != nil {
		return Cart{}, err
	}
	return cs.change(ctx, who, cartID, ifVersion, put)
}

// putting checks the wishes against the catalogue and returns the rule that puts them in.
func (cs *Carts) putting(ctx context.Context, wishes []Wish) (func(*Cart) error, error) {
	if len(wishes) > MaxLines {
		return nil, ErrTooMany.At("input", "lines")
	}
	ids := make([]string, len(wishes))
	for i, w := range wishes {
		if err := id.Check(id.Variant, w.VariantID, at(i, "variantId")...); err != nil {
			return nil, err
		}
		if w.Quantity < 1 || w.Quantity > MaxQuantity {
			return nil, ErrQuantity.At(at(i, "quantity")...)
		}
		ids[i] = w.VariantID
	}
	variants, err := cs.goods.Variants(ctx, ids)
	if err != nil {
		return nil, err
	}
	for i, w := range wishes {
		v, known := variants[w.VariantID]
		if !known {
			return nil, ErrNoVariant.At(at(i, "variantId")...)
		}
		if !v.ForSale {
			return nil, ErrNotOnSale.At(at(i, "variantId")...)
		}
	}
	return func(c *Cart) error {
		cs.touch(c)
		for i, w := range wishes {
			if err := c.put(w, variants[w.VariantID]); err != nil {
				blame := "quantity"
				if err.Code == ErrCurrency.Code {
					blame = "variantId"
				}
				return err.At(at(i, blame)...)
			}
		}
		if len(c.Lines) > MaxLines {
			return ErrTooMany.At("input", "lines")
		}
		return nil
	}, nil
}

// put adds units of a variant, at its price of now.
func (c *Cart) put(w Wish, v events.VariantInfo) *fault.Error {
	for i := range c.Lines {
		l := &c.Lines[i]
		if l.Added.Currency != v.Price.Currency {
			return ErrCurrency
		}
		if l.VariantID == w.VariantID {
			if l.Quantity+w.Quantity > MaxQuantity {
				return ErrQuantity.Says("a line has at most %d, and %d are in it already", MaxQuantity, l.Quantity)
			}
			l.Quantity += w.Quantity
			l.Added = v.Price
			return nil
		}
	}
	c.Lines = append(c.Lines, Line{ID: id.New(id.CartLine), CartID: c.ID, VariantID: w.VariantID, Quantity: w.Quantity, Added: v.Price})
	return nil
}

// Update sets quantities; zero takes the line out. It also takes the prices of now as agreed.
func (cs *Carts) Update(ctx context.Context, who viewer.Viewer, cartID string, settings []Setting, ifVersion *int) (Cart, error) {
	if len(settings) == 0 {
		return Cart{}, ErrNoLines
	}
	if len(settings) > MaxLines {
		return Cart{}, ErrTooMany.At("input", "lines")
	}
	for i, s := range settings {
		if err := id.Check(id.CartLine, s.LineID, at(i, "lineId")...); err != nil {
			return Cart{}, err
		}
		if s.Quantity < 0 || s.Quantity > MaxQuantity {
			return Cart{}, ErrQuantity.Says("a quantity is 1 to %d, or 0 to take the line out", MaxQuantity).At(at(i, "quantity")...)
		}
		if slices.ContainsFunc(settings[:i], func(o Setting) bool { return o.LineID == s.LineID }) {
			return Cart{}, ErrTwice.At(at(i, "lineId")...)
		}
	}
	prices, err := cs.pricesOf(ctx, who, cartID)
	if err != nil {
		return Cart{}, err
	}
	return cs.change(ctx, who, cartID, ifVersion, func(c *Cart) error {
		cs.touch(c)
		for i, s := range settings {
			n := slices.IndexFunc(c.Lines, func(l Line) bool { return l.ID == s.LineID })
			if n < 0 {
				return ErrNoLine.At(at(i, "lineId")...)
			}
			c.Lines[n].Quantity = s.Quantity
			if v, known := prices[c.Lines[n].VariantID]; known {
				c.Lines[n].Added = v.Price
			}
		}
		c.Lines = slices.DeleteFunc(c.Lines, func(l Line) bool { return l.Quantity == 0 })
		return nil
	})
}

// pricesOf asks what the goods of a cart cost now, before the cart is locked.
func (cs *Carts) pricesOf(ctx context.Context, who viewer.Viewer, cartID string) (map[string]events.VariantInfo, error) {
	c, err := cs.Cart(ctx, who, cartID)
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, ErrNoCart
	}
	return cs.goods.Variants(ctx, c.variants())
}

func (c Cart) variants() []string {
	ids := make([]string, len(c.Lines))
	for i, l := range c.Lines {
		ids[i] = l.VariantID
	}
	return ids
}

// Remove takes lines out; lines that are gone already are no error.
func (cs *Carts) Remove(ctx context.Context, who viewer.Viewer, cartID string, lineIDs []string, ifVersion *int) (Cart, error) {
	for i, l := range lineIDs {
		if err := id.Check(id.CartLine, l, "input", "lineIds", strconv.Itoa(i)); err != nil {
			return Cart{}, err
		}
	}
	return cs.change(ctx, who, cartID, ifVersion, func(c *Cart) error {
		before := len(c.Lines)
		c.Lines = slices.DeleteFunc(c.Lines, func(l Line) bool { return slices.Contains(lineIDs, l.ID) })
		if len(c.Lines) != before {
			cs.touch(c)
		}
		return nil
	})
}

// Cart finds a cart for somebody; nil when there is none, or it is not for them to use.
func (cs *Carts) Cart(ctx context.Context, who viewer.Viewer, cartID string) (*Cart, error) {
	if err := id.Check(id.Cart, cartID, "id"); err != nil {
		return nil, err
	}
	found, err := cs.CartsByID(ctx, []string{cartID})
	if err != nil || len(found) == 0 || !found[0].Open(who) || cs.clock.Now().After(found[0].ExpiresAt) {
		return nil, err
	}
	return &found[0], nil
}

// change runs a rule on a cart that the viewer may use and that is at the version expected.
func (cs *Carts) change(ctx context.Context, who viewer.Viewer, cartID string, ifVersion *int, rule func(*Cart) error) (Cart, error) {
	if err := id.Check(id.Cart, cartID, "input", "cartId"); err != nil {
		return Cart{}, err
	}
	return cs.store.Change(ctx, cartID, func(c *Cart) error {
		if !c.Open(who) || cs.clock.Now().After(c.ExpiresAt) {
			return ErrNoCart
		}
		if ifVersion != nil && *ifVersion != c.Version {
			return ErrStale
		}
		return rule(c)
	})
}

func (cs *Carts) touch(c *Cart) {
	now := cs.clock.Now()
	c.UpdatedAt = now
	c.ExpiresAt = now.Add(lifeOf(*c))
}

func lifeOf(c Cart) time.Duration {
	if c.AccountID == "" {
		return guestLife
	}
	return accountLife
}

// at names a field of the n-th line of the input.
func at(n int, field string) []string { return []string{"input", "lines", strconv.Itoa(n), field} }
