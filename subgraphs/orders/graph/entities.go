package graph

import (
	"context"

	"github.com/souk-shop/souk/dataloaders"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/orders"
	"github.com/souk-shop/souk/subgraphs/orders/internal/gen"
)

// Orders are private: an id opens nothing for who may not see the order.
func (r *entity) FindManyOrderByIDs(ctx context.Context, keys []*gen.OrderByIDsInput) ([]*orders.Order, error) {
	ids := dataloaders.Keys(keys, func(k *gen.OrderByIDsInput) string { return k.ID })
	found, err := r.orders.OrdersByID(ctx, ids)
	return dataloaders.InOrder(ids, orders.Visible(viewer.From(ctx), found), orders.Order.Key), err
}

func (r *entity) FindManyOrderLineByIDs(ctx context.Context, keys []*gen.OrderLineByIDsInput) ([]*orders.Line, error) {
	ids := dataloaders.Keys(keys, func(k *gen.OrderLineByIDsInput) string { return k.ID })
	found, err := r.orders.OrdersOfLines(ctx, ids)
	var lines []orders.Line
	for _, o := range orders.Visible(viewer.From(ctx), found) {
		lines = append(lines, o.Lines...)
	}
	return dataloaders.InOrder(ids, lines, orders.Line.Key), err
}

// Accounts live elsewhere: whoever asks knows that they exist.
func (r *entity) FindManyAccountByIDs(_ context.Context, keys []*gen.AccountByIDsInput) ([]*gen.Account, error) {
	return dataloaders.Keys(keys, func(k *gen.AccountByIDsInput) *gen.Account { return &gen.Account{ID: k.ID} }), nil
}
