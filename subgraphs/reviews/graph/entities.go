package graph

import (
	"context"

	"github.com/souk-shop/souk/dataloaders"
	"github.com/souk-shop/souk/subgraphs/reviews"
	"github.com/souk-shop/souk/subgraphs/reviews/internal/gen"
)

func (r *entity) FindManyReviewByIDs(ctx context.Context, keys []*gen.ReviewByIDsInput) ([]*reviews.Review, error) {
	ids := dataloaders.Keys(keys, func(k *gen.ReviewByIDsInput) string { return k.ID })
	found, err := r.reviews.ReviewsByID(ctx, ids)
	return dataloaders.InOrder(ids, found, reviews.Review.Key), err
}

// Products and accounts live elsewhere: whoever asks knows that they exist.
func (r *entity) FindManyProductByIDs(_ context.Context, keys []*gen.ProductByIDsInput) ([]*gen.Product, error) {
	return dataloaders.Keys(keys, func(k *gen.ProductByIDsInput) *gen.Product { return &gen.Product{ID: k.ID} }), nil
}

func (r *entity) FindManyAccountByIDs(_ context.Context, keys []*gen.AccountByIDsInput) ([]*gen.Account, error) {
	return dataloaders.Keys(keys, func(k *gen.AccountByIDsInput) *gen.Account { return &gen.Account{ID: k.ID} }), nil
}
