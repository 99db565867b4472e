package graph

import (
	"context"

	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/accounts"
	"github.com/souk-shop/souk/subgraphs/accounts/internal/gen"
)

func (q *query) Me(ctx context.Context) (*accounts.Account, error) {
	return q.accounts.Me(ctx, viewer.From(ctx))
}

func (m *mutation) AccountRegister(ctx context.Context, in gen.AccountRegisterInput) (*gen.SessionPayload, error) {
	return signedIn(m.accounts.Register(ctx, in.Email, in.Password, in.DisplayName))
}

func (m *mutation) SessionCreate(ctx context.Context, in gen.SessionCreateInput) (*gen.SessionPayload, error) {
	return signedIn(m.accounts.SignIn(ctx, in.Email, in.Password))
}

func (m *mutation) SessionRefresh(ctx context.Context, in gen.SessionRefreshInput) (*gen.SessionPayload, error) {
	return signedIn(m.accounts.Refresh(ctx, in.RefreshToken))
}

func signedIn(s accounts.Session, err error) (*gen.SessionPayload, error) {
	errs, err := userErrors(err)
	if err != nil || len(errs) > 0 {
		return &gen.SessionPayload{UserErrors: errs}, err
	}
	return &gen.SessionPayload{Session: &s, UserErrors: errs}, nil
}

func (m *mutation) SessionRevoke(ctx context.Context) (*gen.AccountPayload, error) {
	return m.changed(ctx, m.accounts.SignOut(ctx, viewer.From(ctx)))
}

// changed answers a mutation of the viewer's account with the account as it is now.
func (r *resolver) changed(ctx context.Context, err error) (*gen.AccountPayload, error) {
	errs, err := userErrors(err)
	if err != nil || len(errs) > 0 {
		return &gen.AccountPayload{UserErrors: errs}, err
	}
	me, err := r.accounts.Me(ctx, viewer.From(ctx))
	return &gen.AccountPayload{Account: me, UserErrors: errs}, err
}

func (*account) Email(ctx context.Context, a *accounts.Account) (*string, error) {
	if !a.OpenTo(viewer.From(ctx)) {
		return nil, nil
	}
	return &a.Email, nil
}

func (*account) Roles(ctx context.Context, a *accounts.Account) ([]accounts.Role, error) {
	if !a.OpenTo(viewer.From(ctx)) {
		return nil, nil
	}
	return a.Roles(), nil
}

func (*account) Seller(ctx context.Context, a *accounts.Account) (*accounts.Seller, error) {
	if a.SellerID == "" {
		return nil, nil
	}
	return load(ctx).Seller.Load(ctx, a.SellerID)
}
