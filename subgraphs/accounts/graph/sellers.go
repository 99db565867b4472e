package graph

import (
	"context"

	"github.com/souk-shop/souk/internal/optional"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/accounts"
	"github.com/souk-shop/souk/subgraphs/accounts/internal/gen"
)

func (q *query) Seller(ctx context.Context, id, slug *string) (*accounts.Seller, error) {
	return q.accounts.SellerBy(ctx, id, slug)
}

func (m *mutation) SellerOnboard(ctx context.Context, in gen.SellerOnboardInput) (*gen.SellerPayload, error) {
	s, err := m.accounts.Onboard(ctx, viewer.From(ctx), in.Name, in.Tier, optional.Text(in.TaxID))
	errs, err := userErrors(err)
	if err != nil || len(errs) > 0 {
		return &gen.SellerPayload{UserErrors: errs}, err
	}
	return &gen.SellerPayload{Seller: &s, UserErrors: errs}, nil
}
