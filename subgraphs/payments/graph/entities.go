package graph

import (
	"context"

	"github.com/souk-shop/souk/dataloaders"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/payments"
	"github.com/souk-shop/souk/subgraphs/payments/internal/gen"
)

// Payments are private: an id opens nothing for who may not see them.
func (r *entity) FindManyPaymentByIDs(ctx context.Context, keys []*gen.PaymentByIDsInput) ([]*payments.Payment, error) {
	ids := dataloaders.Keys(keys, func(k *gen.PaymentByIDsInput) string { return k.ID })
	found, err := r.payments.PaymentsByID(ctx, ids)
	return dataloaders.InOrder(ids, payments.Visible(viewer.From(ctx), found), payments.Payment.Key), err
}

func (r *entity) FindManyPaymentMethodByIDs(ctx context.Context, keys []*gen.PaymentMethodByIDsInput) ([]*payments.Method, error) {
	ids := dataloaders.Keys(keys, func(k *gen.PaymentMethodByIDsInput) string { return k.ID })
	found, err := r.payments.MethodsByID(ctx, ids)
	return dataloaders.InOrder(ids, payments.Own(viewer.From(ctx), found), payments.Method.Key), err
}

// Orders and accounts live elsewhere: whoever asks knows that they exist.
func (r *entity) FindManyOrderByIDs(_ context.Context, keys []*gen.OrderByIDsInput) ([]*gen.Order, error) {
	return dataloaders.Keys(keys, func(k *gen.OrderByIDsInput) *gen.Order { return &gen.Order{ID: k.ID} }), nil
}

func (r *entity) FindManyAccountByIDs(_ context.Context, keys []*gen.AccountByIDsInput) ([]*gen.Account, error) {
	return dataloaders.Keys(keys, func(k *gen.AccountByIDsInput) *gen.Account { return &gen.Account{ID: k.ID} }), nil
}
