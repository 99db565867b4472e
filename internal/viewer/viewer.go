// Package viewer says who is asking.
package viewer

import (
	"context"
	"slices"
)

// The scopes that guard fields, as the schema's @requiresScopes spells them.
const (
	ScopeSeller    = "seller"    // sells goods; SellerID says as whom
	ScopeStaff     = "staff"     // works for the shop
	ScopePayments  = "payments"  // may move money by hand
	ScopeLogistics = "logistics" // reports on parcels
)

// A Viewer is whoever a request is made for. The zero Viewer is a guest.
type Viewer struct {
	AccountID string   `json:"sub,omitempty"`    // "" = not signed in
	SellerID  string   `json:"seller,omitempty"` // "" = sells nothing
	SessionID string   `json:"sid,omitempty"`    // what sign-out ends
	Scopes    []string `json:"scopes,omitempty"`
	Country   string   `json:"country,omitempty"`  // ISO 3166 alpha-2, from @inContext
	Language  string   `json:"language,omitempty"` // BCP 47, from @inContext
	Currency  string   `json:"currency,omitempty"` // ISO 4217, from @inContext
}

// SignedIn tells whether there is an account behind the request.
func (v Viewer) SignedIn() bool { return v.AccountID != "" }

// Is tells whether the viewer is this account; nobody is the empty account.
func (v Viewer) Is(accountID string) bool { return accountID != "" && v.AccountID == accountID }

// Sells tells whether the viewer sells as this seller.
func (v Viewer) Sells(sellerID string) bool { return sellerID != "" && v.SellerID == sellerID }

// Has tells whether the viewer carries a scope.
func (v Viewer) Has(scope string) bool { return slices.Contains(v.Scopes, scope) }

// Staff tells whether the viewer works for the shop.
func (v Viewer) Staff() bool { return v.Has(ScopeStaff) }

type key struct{}

// With returns a context that carries the viewer.
func With(ctx context.Context, v Viewer) context.Context { return context.WithValue(ctx, key{}, v) }

// From returns the viewer of the request, or a guest.
func From(ctx context.Context) Viewer {
	v, _ := ctx.Value(key{}).(Viewer)
	return v
}
