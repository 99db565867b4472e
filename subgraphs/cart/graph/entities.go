package graph

import (
	"context"

	"github.com/souk-shop/souk/dataloaders"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/cart"
	"github.com/souk-shop/souk/subgraphs/cart/internal/gen"
)

func (r *entity) FindManyCartByIDs(ctx context.Context, keys []*gen.CartByIDsInput) ([]*cart.Cart, error) {
	ids := dataloaders.Keys(keys, func(k *gen.CartByIDsInput) string { return k.ID })
	found, err := r.carts.CartsByID(ctx, ids)
	return dataloaders.InOrder(ids, open(viewer.From(ctx), found), cart.Cart.Key), err
}

func (r *entity) FindManyCartLineByIDs(ctx context.Context, keys []*gen.CartLineByIDsInput) ([]*cart.Line, error) {
	ids := dataloaders.Keys(keys, func(k *gen.CartLineByIDsInput) string { return k.ID })
	found, err := r.carts.CartsOfLines(ctx, ids)
	var lines []cart.Line
	for _, c := range open(viewer.From(ctx), found) {
		lines = append(lines, c.Lines...)
	}
	return dataloaders.InOrder(ids, lines, cart.Line.Key), err
}

// Accounts live elsewhere: whoever asks knows that they exist.
func (r *entity) FindManyAccountByIDs(_ context.Context, keys []*gen.AccountByIDsInput) ([]*gen.Account, error) {
	return dataloaders.Keys(keys, func(k *gen.AccountByIDsInput) *gen.Account { return &gen.Account{ID: k.ID} }), nil
}

func open(who viewer.Viewer, found []cart.Cart) []cart.Cart {
	var usable []cart.Cart
	for _, c := range found {
		if c.Open(who) {
			usable = append(usable, c)
		}
	}
	return usable
}
