package graph

import (
	"context"

	"github.com/souk-shop/souk/internal/optional"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/accounts"
	"github.com/souk-shop/souk/subgraphs/accounts/internal/gen"
)

func (m *mutation) AddressSave(ctx context.Context, in gen.AddressInput) (*gen.AccountPayload, error) {
	_, err := m.accounts.SaveAddress(ctx, viewer.From(ctx), in.ID, accounts.Address{
		Name: in.Name, Line1: in.Line1, Line2: optional.Text(in.Line2), City: in.City, Region: optional.Text(in.Region),
		Pincode: in.Pincode, Country: in.Country, Phone: optional.Text(in.Phone), Default: in.Default,
	})
	return m.changed(ctx, err)
}

func (*account) Addresses(ctx context.Context, a *accounts.Account) ([]accounts.Address, error) {
	if !a.OpenTo(viewer.From(ctx)) {
		return nil, nil
	}
	book, err := load(ctx).Addresses.Load(ctx, a.ID)
	if book == nil {
		book = []accounts.Address{} // null would say that the viewer may not see it
	}
	return book, err
}

func (*address) Line2(_ context.Context, a *accounts.Address) (*string, error) {
	return optional.Of(a.Line2), nil
}

func (*address) Region(_ context.Context, a *accounts.Address) (*string, error) {
	return optional.Of(a.Region), nil
}

func (*address) Phone(_ context.Context, a *accounts.Address) (*string, error) {
	return optional.Of(a.Phone), nil
}
