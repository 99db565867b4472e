package graph

import (
	"context"

	"github.com/souk-shop/souk/internal/optional"
	"github.com/souk-shop/souk/internal/page"
	"github.com/souk-shop/souk/internal/subgraph"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/orders"
	"github.com/souk-shop/souk/subgraphs/orders/internal/gen"
)

func (q *query) Order(ctx context.Context, id string) (*orders.Order, error) {
	return q.orders.Order(ctx, viewer.From(ctx), id)
}

func (a *account) Orders(ctx context.Context, of *gen.Account, first *int, after *string, status *orders.Status) (*gen.OrderConnection, error) {
	size, err := page.Size(first, 20)
	if err != nil {
		return nil, err
	}
	p, err := a.orders.List(ctx, viewer.From(ctx), orders.List{AccountID: of.ID, Status: status, First: size, After: after, Count: subgraph.Selects(ctx, "totalCount")})
	if err != nil || p == nil {
		return nil, err
	}
	return &gen.OrderConnection{Nodes: p.Orders, PageInfo: &p.Info, TotalCount: p.Total}, nil
}

func (*order) Account(_ context.Context, o *orders.Order) (*gen.Account, error) {
	return &gen.Account{ID: o.AccountID}, nil
}

func (*order) Cost(_ context.Context, o *orders.Order) (*gen.CartCost, error) {
	return &gen.CartCost{Subtotal: &o.Total, Total: &o.Total}, nil
}

func (*order) ShippingAddress(_ context.Context, o *orders.Order) (*orders.Address, error) {
	return &o.Address, nil
}

func (*order) Timeline(ctx context.Context, o *orders.Order) ([]orders.Event, error) {
	steps, err := load(ctx).Timeline.Load(ctx, o.ID)
	return o.StepsFor(viewer.From(ctx), steps), err
}

func (orderLine) Variant(_ context.Context, l *orders.Line) (*gen.ProductVariant, error) {
	return &gen.ProductVariant{ID: l.VariantID}, nil
}

func (orderLine) Seller(_ context.Context, l *orders.Line) (*gen.Seller, error) {
	return &gen.Seller{ID: l.SellerID}, nil
}

func (orderAddress) Line2(_ context.Context, a *orders.Address) (*string, error) {
	return optional.Of(a.Line2), nil
}

func (orderAddress) Region(_ context.Context, a *orders.Address) (*string, error) {
	return optional.Of(a.Region), nil
}

func (orderAddress) Phone(_ context.Context, a *orders.Address) (*string, error) {
	return optional.Of(a.Phone), nil
}
