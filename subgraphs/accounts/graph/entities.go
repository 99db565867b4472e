package graph

import (
	"context"

	"github.com/souk-shop/souk/dataloaders"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/subgraphs/accounts"
	"github.com/souk-shop/souk/subgraphs/accounts/internal/gen"
)

func (r *entity) FindManyAccountByIDs(ctx context.Context, keys []*gen.AccountByIDsInput) ([]*accounts.Account, error) {
	ids := dataloaders.Keys(keys, func(k *gen.AccountByIDsInput) string { return k.ID })
	found, err := r.accounts.AccountsByID(ctx, only(id.Account, ids))
	return dataloaders.InOrder(ids, found, accounts.Account.Key), err
}

func (r *entity) FindManySellerByIDs(ctx context.Context, keys []*gen.SellerByIDsInput) ([]*accounts.Seller, error) {
	ids := dataloaders.Keys(keys, func(k *gen.SellerByIDsInput) string { return k.ID })
	found, err := r.accounts.SellersByID(ctx, only(id.Seller, ids))
	return dataloaders.InOrder(ids, found, accounts.Seller.Key), err
}

// only leaves out what is no id of this kind: nothing has it, and PostgreSQL refuses some of it.
func only(p id.Prefix, ids []string) []string {
	var good []string
	for _, s := range ids {
		if id.Is(p, s) {
			good = append(good, s)
		}
	}
	return good
}
