// Package accounts knows who shops, who sells and who works here: sign-in, sessions, addresses, sellers.
package accounts

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/viewer"
)

// An Account is somebody with a sign-in.
type Account struct {
	ID          string
	Email       string // as registered; compared without regard to case
	DisplayName string
	Staff       bool
	SellerID    string // "" = sells nothing
	CreatedAt   time.Time

	signedIn bool // by the very request that asks: who signs in sees itself, though the request came from a guest
}

// Key returns the account's id.
func (a Account) Key() string { return a.ID }

// IsEntity lets other subgraphs refer to accounts.
func (Account) IsEntity() {}

// A Role is what an account may do.
type Role string

// The roles of an account.
const (
	RoleCustomer Role = "CUSTOMER"
	RoleSeller   Role = "SELLER"
	RoleStaff    Role = "STAFF"
)

// Roles lists what the account may do. Everybody buys.
func (a Account) Roles() []Role {
	roles := []Role{RoleCustomer}
	if a.SellerID != "" {
		roles = append(roles, RoleSeller)
	}
	if a.Staff {
		roles = append(roles, RoleStaff)
	}
	return roles
}

// scopes lists what the account's access tokens open.
func (a Account) scopes() []string {
	scopes := []string{}
	if a.SellerID != "" {
		scopes = append(scopes, viewer.ScopeSeller)
	}
	if a.Staff {
		scopes = append(scopes, viewer.ScopeStaff, viewer.ScopePayments, viewer.ScopeLogistics)
	}
	return scopes
}

// OpenTo tells whether the viewer may see more of the account than its name: itself and staff may.
func (a Account) OpenTo(who viewer.Viewer) bool { return a.signedIn || who.Is(a.ID) || who.Staff() }

// A Reader answers questions. Rows come in any order; unknown ids are left out.
type Reader interface {
	AccountsByID(ctx context.Context, ids []string) ([]Account, error)
	SellersByID(ctx context.Context, ids []string) ([]Seller, error)
	// AddressesOf finds the address books of accounts, each oldest first.
	AddressesOf(ctx context.Context, accountIDs []string) (map[string][]Address, error)
}

// A Store also changes things. Its constraints decide between requests that come at the same time.
type Store interface {
	Reader
	sessionStore
	addressStore
	sellerStore

	// Credentials finds who registered with an address, whatever its case, or nil.
	Credentials(ctx context.Context, email string) (*Credentials, error)
	// Register opens the account, and its first session unless that is nil. It refuses an address in use with ErrEmailTaken.
	Register(ctx context.Context, c Credentials, first *Grant) error
	// ReplaceHash keeps a password's new hash, unless the old one has changed meanwhile.
	ReplaceHash(ctx context.Context, accountID, old, hash string) error
	MakeStaff(ctx context.Context, accountID string) error
}

// Credentials are an account and the hash of its password.
type Credentials struct {
	Account
	PasswordHash string
}

// Accounts is what the shop can do with accounts.
type Accounts struct {
	Reader
	store     Store
	passwords Passwords
	signer    Signer
	clock     clock.Clock
}

// New returns the shop's accounts, kept in a store.
func New(s Store, p Passwords, t Signer, c clock.Clock) *Accounts {
	return &Accounts{Reader: s, store: s, passwords: p, signer: t, clock: c}
}

// The refusals of an account.
var (
	ErrEmailTaken = fault.New(fault.Conflict, "EMAIL_TAKEN", "this address has an account already").At("input", "email")
	ErrNoAccount  = fault.New(fault.NotFound, "NOT_FOUND", "this account is gone")
	ErrSignIn     = fault.New(fault.Unauthenticated, "UNAUTHENTICATED", "sign in first")
)

// Register opens an account and signs it in.
func (a *Accounts) Register(ctx context.Context, email, password, displayName string) (Session, error) {
	c, err := a.candidate(ctx, email, password, displayName)
	if err != nil {
		return Session{}, err
	}
	refresh, grant := a.grant(c.Account.ID)
	if err := a.store.Register(ctx, c, &grant); err != nil {
		return Session{}, err
	}
	return a.session(c.Account, grant, refresh)
}

// candidate checks what somebody registers with.
func (a *Accounts) candidate(ctx context.Context, email, password, displayName string) (Credentials, error) {
	email, err := checkEmail(email, "input", "email")
	if err != nil {
		return Credentials{}, err
	}
	if err := checkPassword(password, "input", "password"); err != nil {
		return Credentials{}, err
	}
	displayName, err = line{"a display name", 1, 80}.check(displayName, "input", "displayName")
	if err != nil {
		return Credentials{}, err
	}
	hash, err := a.passwords.Hash(ctx, password)
	if err != nil {
		return Credentials{}, err
	}
	account := Account{ID: id.New(id.Account), Email: email, DisplayName: displayName, CreatedAt: a.clock.Now()}
	return Credentials{account, hash}, nil
}

// Me returns the viewer's account, or nil when it is gone.
func (a *Accounts) Me(ctx context.Context, who viewer.Viewer) (*Account, error) {
	if !who.SignedIn() {
		return nil, ErrSignIn
	}
	found, err := a.AccountsByID(ctx, []string{who.AccountID})
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

// EnsureAccount returns the account of an address with at least these roles, and opens it when there is none.
// An account that exists keeps its password and its name. A seller sells under the display name, as a professional.
func (a *Accounts) EnsureAccount(ctx context.Context, email, password, displayName string, roles ...Role) (Account, error) {
	known, err := a.store.Credentials(ctx, email)
	if err != nil {
		return Account{}, err
	}
	if known == nil {
		fresh, err := a.candidate(ctx, email, password, displayName)
		if err != nil {
			return Account{}, err
		}
		err = a.store.Register(ctx, fresh, nil)
		if err != nil && !errors.Is(err, ErrEmailTaken) {
			return Account{}, err
		}
		if known, err = a.store.Credentials(ctx, email); err != nil {
			return Account{}, err
		}
	}
	account := known.Account
	if slices.Contains(roles, RoleStaff) && !account.Staff {
		if err := a.store.MakeStaff(ctx, account.ID); err != nil {
			return Account{}, err
		}
		account.Staff = true
	}
	if slices.Contains(roles, RoleSeller) && account.SellerID == "" {
		seller, err := a.Onboard(ctx, viewer.Viewer{AccountID: account.ID}, displayName, Professional, "")
		if err != nil {
			return Account{}, err
		}
		account.SellerID = seller.ID
	}
	return account, nil
}
