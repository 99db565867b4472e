package graph

import (
	"context"

	"github.com/souk-shop/souk/internal/money"
	"github.com/souk-shop/souk/internal/page"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/cart"
	"github.com/souk-shop/souk/subgraphs/cart/internal/gen"
)

func (q *query) Cart(ctx context.Context, id string) (*cart.Cart, error) {
	return q.carts.Cart(ctx, viewer.From(ctx), id)
}

func (a *account) Cart(ctx context.Context, of *gen.Account) (*cart.Cart, error) {
	if !viewer.From(ctx).Is(of.ID) {
		return nil, nil
	}
	return load(ctx).OfAccount.Load(ctx, of.ID)
}

func (m *mutation) CartCreate(ctx context.Context, in *gen.CartCreateInput) (*gen.CartPayload, error) {
	var lines []gen.CartLineInput
	if in != nil {
		lines = in.Lines
	}
	return payload(m.carts.Create(ctx, viewer.From(ctx), wishes(lines)))
}

func (m *mutation) CartLinesAdd(ctx context.Context, in gen.CartLinesAddInput) (*gen.CartPayload, error) {
	return payload(m.carts.Add(ctx, viewer.From(ctx), in.CartID, wishes(in.Lines), in.IfVersion))
}

func (m *mutation) CartLinesUpdate(ctx context.Context, in gen.CartLinesUpdateInput) (*gen.CartPayload, error) {
	settings := make([]cart.Setting, len(in.Lines))
	for i, l := range in.Lines {
		settings[i] = cart.Setting{LineID: l.LineID, Quantity: l.Quantity}
	}
	return payload(m.carts.Update(ctx, viewer.From(ctx), in.CartID, settings, in.IfVersion))
}

func (m *mutation) CartLinesRemove(ctx context.Context, in gen.CartLinesRemoveInput) (*gen.CartPayload, error) {
	return payload(m.carts.Remove(ctx, viewer.From(ctx), in.CartID, in.LineIds, in.IfVersion))
}

func (m *mutation) CartClaim(ctx context.Context, in gen.CartClaimInput) (*gen.CartPayload, error) {
	return payload(m.carts.Claim(ctx, viewer.From(ctx), in.GuestCartID, in.Strategy))
}

func wishes(lines []gen.CartLineInput) []cart.Wish {
	out := make([]cart.Wish, len(lines))
	for i, l := range lines {
		out[i] = cart.Wish{VariantID: l.VariantID, Quantity: l.Quantity}
	}
	return out
}

func (*cartType) Account(_ context.Context, c *cart.Cart) (*gen.Account, error) {
	if c.AccountID == "" {
		return nil, nil
	}
	return &gen.Account{ID: c.AccountID}, nil
}

func (*cartType) Lines(_ context.Context, c *cart.Cart, first *int, after *string) (*gen.CartLineConnection, error) {
	size, err := page.Size(first, 50)
	if err != nil {
		return nil, err
	}
	p, err := c.Page(size, after)
	if err != nil {
		return nil, err
	}
	return &gen.CartLineConnection{Nodes: p.Lines, PageInfo: &p.Info}, nil
}

func (*cartType) Cost(ctx context.Context, c *cart.Cart) (*gen.CartCost, error) {
	p, err := load(ctx).Priced.Load(ctx, c.ID)
	if err != nil || p == nil {
		return nil, err
	}
	return &gen.CartCost{Subtotal: &p.Total, Total: &p.Total}, nil
}

func (*cartType) Problems(ctx context.Context, c *cart.Cart) ([]gen.CartProblem, error) {
	found, err := load(ctx).Problems.Load(ctx, c.ID)
	out := make([]gen.CartProblem, len(found))
	for i, p := range found {
		out[i] = gen.CartProblem{Code: gen.CartProblemCode(p.Code), Message: p.Message, LineID: &found[i].LineID, AvailableQuantity: p.AvailableQuantity}
	}
	return out, err
}

func (*line) Variant(_ context.Context, l *cart.Line) (*gen.ProductVariant, error) {
	return &gen.ProductVariant{ID: l.VariantID}, nil
}

func (r *line) UnitPrice(ctx context.Context, l *cart.Line) (*money.Money, error) {
	p, err := load(ctx).Priced.Load(ctx, l.CartID)
	if err != nil || p == nil {
		return nil, err
	}
	unit := p.Unit(*l)
	return &unit, nil
}

func (r *line) Cost(ctx context.Context, l *cart.Line) (*money.Money, error) {
	unit, err := r.UnitPrice(ctx, l)
	if err != nil || unit == nil {
		return nil, err
	}
	cost, err := unit.Times(l.Quantity)
	return &cost, err
}
