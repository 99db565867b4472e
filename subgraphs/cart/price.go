package cart

import (
	"context"
	"fmt"
	"slices"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/money"
)

// Goods is what the carts ask of the catalogue and of inventory.
type Goods interface {
	// Variants tells what variants cost now, by id; unknown ones are left out.
	Variants(ctx context.Context, ids []string) (map[string]events.VariantInfo, error)
	// Available tells how many of each variant can be had now.
	Available(ctx context.Context, ids []string) (map[string]int, error)
}

// A Priced cart is one at the prices of now.
type Priced struct {
	Cart  Cart
	Goods map[string]events.VariantInfo // by variant; what is not sold any more may be missing
	Total money.Money
}

// Price asks what the goods of carts cost now: one question, however many carts.
func (cs *Carts) Price(ctx context.Context, carts []Cart) ([]Priced, error) {
	goods, err := cs.goods.Variants(ctx, variantsOf(carts))
	if err != nil {
		return nil, err
	}
	out := make([]Priced, len(carts))
	for i, c := range carts {
		p := Priced{Cart: c, Goods: goods}
		for _, l := range c.Lines {
			cost, err := p.Unit(l).Times(l.Quantity)
			if err == nil {
				p.Total, err = p.Total.Add(cost)
			}
			if err != nil {
				return nil, fmt.Errorf("price of cart %s: %w", c.ID, err)
			}
		}
		if p.Total.Currency == "" {
			p.Total.Currency = "USD" // of an empty cart
		}
		out[i] = p
	}
	return out, nil
}

// Unit is the price of one now, or when it was added should the catalogue not know it any more.
func (p Priced) Unit(l Line) money.Money {
	if v, known := p.Goods[l.VariantID]; known {
		return v.Price
	}
	return l.Added
}

// A Problem is a reason why a cart cannot be bought as it is, or should be looked at before.
type Problem = events.CartProblem

// Problems lists what stands against buying the carts, by cart id: one question for the stock of all.
func (cs *Carts) Problems(ctx context.Context, carts []Priced) (map[string][]Problem, error) {
	all := make([]Cart, len(carts))
	for i, p := range carts {
		all[i] = p.Cart
	}
	available, err := cs.goods.Available(ctx, variantsOf(all))
	if err != nil {
		return nil, err
	}
	out := make(map[string][]Problem, len(carts))
	for _, p := range carts {
		problems := p.NotForSale()
		for _, l := range p.Cart.Lines {
			problems = append(problems, p.problemsOf(l, available[l.VariantID])...)
		}
		out[p.Cart.ID] = problems
	}
	return out, nil
}

// NotForSale lists the lines that nobody sells any more.
func (p Priced) NotForSale() []Problem {
	problems := []Problem{}
	for _, l := range p.Cart.Lines {
		if v, known := p.Goods[l.VariantID]; !known || !v.ForSale {
			problems = append(problems, Problem{Code: "NOT_FOR_SALE", Message: "This is not sold any more.", LineID: l.ID})
		}
	}
	return problems
}

func (p Priced) problemsOf(l Line, available int) (problems []Problem) {
	v, known := p.Goods[l.VariantID]
	if !known || !v.ForSale {
		return nil
	}
	if v.Price != l.Added {
		problems = append(problems, Problem{Code: "PRICE_CHANGED", LineID: l.ID, Message: fmt.Sprintf("The price was %s and is %s now.", l.Added, v.Price)})
	}
	switch {
	case available <= 0:
		none := 0
		problems = append(problems, Problem{Code: "OUT_OF_STOCK", LineID: l.ID, Message: "This is sold out.", AvailableQuantity: &none})
	case available < l.Quantity:
		problems = append(problems, Problem{Code: "NOT_ENOUGH_STOCK", LineID: l.ID, Message: fmt.Sprintf("Only %d can be had.", available), AvailableQuantity: &available})
	}
	return problems
}

func variantsOf(carts []Cart) []string {
	var ids []string
	for _, c := range carts {
		ids = append(ids, c.variants()...)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// Snapshot reads a cart for its buyer, as it is and at the prices of now.
func (cs *Carts) Snapshot(ctx context.Context, cartID, accountID string) (events.CartSnapshot, error) {
	found, err := cs.CartsByID(ctx, []string{cartID})
	if err != nil {
		return events.CartSnapshot{}, err
	}
	if len(found) == 0 || found[0].MergedInto != "" || (found[0].AccountID != "" && found[0].AccountID != accountID) || cs.clock.Now().After(found[0].ExpiresAt) {
		return events.CartSnapshot{}, fault.New(fault.NotFound, "NOT_FOUND", "there is no such cart")
	}
	priced, err := cs.Price(ctx, found)
	if err != nil {
		return events.CartSnapshot{}, err
	}
	p := priced[0]
	out := events.CartSnapshot{CartID: p.Cart.ID, Version: p.Cart.Version, Total: p.Total, Problems: p.NotForSale()}
	for _, l := range p.Cart.Lines {
		v := p.Goods[l.VariantID]
		title := v.ProductTitle
		if v.Title != "" && v.Title != v.ProductTitle {
			title += " – " + v.Title
		}
		out.Lines = append(out.Lines, events.CartLine{
			LineID: l.ID, VariantID: l.VariantID, ProductID: v.ProductID, SellerID: v.SellerID, Title: title,
			Quantity: l.Quantity, UnitPrice: p.Unit(l), WeightGrams: v.WeightGrams,
		})
	}
	return out, nil
}
