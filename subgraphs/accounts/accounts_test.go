package accounts_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/accounts"
	"github.com/souk-shop/souk/subgraphs/accounts/argon2id"
)

var cheap = argon2id.Cost{Memory: 8, Passes: 1, Lanes: 1}

// memory is a store of one account that keeps whatever passed the rules.
type memory struct {
	accounts.Store
	known  accounts.Credentials
	opened []accounts.Grant
}

func (m *memory) Register(_ context.Context, c accounts.Credentials, first *accounts.Grant) error {
	m.known = c
	m.opened = append(m.opened, *first)
	return nil
}

func (m *memory) Credentials(_ context.Context, email string) (*accounts.Credentials, error) {
	if !strings.EqualFold(email, m.known.Email) {
		return nil, nil
	}
	return &m.known, nil
}

func (m *memory) ReplaceHash(_ context.Context, _, old, hash string) error {
	if m.known.PasswordHash == old {
		m.known.PasswordHash = hash
	}
	return nil
}

func (m *memory) OpenSession(_ context.Context, g accounts.Grant) error {
	m.opened = append(m.opened, g)
	return nil
}

// signs writes down what it signed last.
type signs struct{ last accounts.Claims }

func (s *signs) Sign(c accounts.Claims) (string, error) {
	s.last = c
	return "signed", nil
}

func code(err error) (string, []string) {
	if err == nil {
		return "", nil
	}
	var f *fault.Error
	if !errors.As(err, &f) {
		return "unnamed: " + err.Error(), nil
	}
	return f.Code, f.Field
}

func TestRegisterRules(t *testing.T) {
	t.Parallel()
	const good = "correct horse"
	a := accounts.New(new(memory), argon2id.New(cheap), new(signs), clock.Hold(time.Unix(0, 0)))
	for _, c := range []struct {
		email, password, name string
		field                 string // to blame
	}{
		{"ann@souk.test", good, "Ann", ""},
		{" ann@souk.test ", good, " Ann ", ""},
		{"ann+shop.2@mail.souk.test", good, "Ann", ""},
		{"ann@souk.test", strings.Repeat("ß", 10), "Ann", ""},
		{"ann@souk.test", strings.Repeat("ß", 128), strings.Repeat("ß", 80), ""},
		{"", good, "Ann", "email"},
		{"ann", good, "Ann", "email"},
		{"@souk.test", good, "Ann", "email"},
		{"ann@souk", good, "Ann", "email"},
		{"ann@souk.test.", good, "Ann", "email"},
		{"ann@-souk.test", good, "Ann", "email"},
		{"ann@[127.0.0.1]", good, "Ann", "email"},
		{"ann..b@souk.test", good, "Ann", "email"},
		{`"a b"@souk.test`, good, "Ann", "email"},
		{"Ann <ann@souk.test>", good, "Ann", "email"},
		{"ann@souk.test, bob@souk.test", good, "Ann", "email"},
		{"ann@souk.test\r\nBcc: all@souk.test", good, "Ann", "email"},
		{"a\x00nn@souk.test", good, "Ann", "email"},
		{"аnn@souk.test", good, "Ann", "email"}, // a Cyrillic а
		{strings.Repeat("a", 65) + "@souk.test", good, "Ann", "email"},
		{"ann@" + strings.Repeat("a.", 130) + "test", good, "Ann", "email"},
		{"ann@souk.test", strings.Repeat("ß", 9), "Ann", "password"},
		{"ann@souk.test", strings.Repeat("ß", 129), "Ann", "password"},
		{"ann@souk.test", good, "  ", "displayName"},
		{"ann@souk.test", good, strings.Repeat("ß", 81), "displayName"},
		{"ann@souk.test", good, "A\x00nn", "displayName"},
		{"ann@souk.test", good, "A\nnn", "displayName"},
		{"ann@souk.test", good, "A\u202Enn", "displayName"},
		{"ann@souk.test", good, "A\xffnn", "displayName"},
	} {
		_, err := a.Register(t.Context(), c.email, c.password, c.name)
		got, field := code(err)
		if want := c.field; (want == "") != (got == "") || want != "" && (got != "INVALID" || !slices.Equal(field, []string{"input", want})) {
			t.Errorf("%.40q, %d bytes, %.40q: %s at %v, want %q", c.email, len(c.password), c.name, got, field, want)
		}
	}
}

func TestUnknownAddressCostsWhatAWrongPasswordDoes(t *testing.T) {
	t.Parallel()
	hasher, store := argon2id.New(cheap), new(memory)
	a := accounts.New(store, hasher, new(signs), clock.Hold(time.Unix(0, 0)))
	if _, err := a.Register(t.Context(), "ann@souk.test", "correct horse", "Ann"); err != nil {
		t.Fatal(err)
	}
	said := map[string]bool{}
	for name, c := range map[string][2]string{
		"wrong password":  {"ann@souk.test", "wrong battery"},
		"unknown address": {"bob@souk.test", "correct horse"},
		"no address":      {"bob\x00", "correct horse"},
	} {
		before := hasher.Derivations()
		_, err := a.SignIn(t.Context(), c[0], c[1])
		if !errors.Is(err, accounts.ErrBadCredentials) {
			t.Fatalf("%s: %v", name, err)
		}
		said[err.Error()] = true
		if n := hasher.Derivations() - before; n != 1 {
			t.Errorf("%s: %d derivations, not 1", name, n)
		}
	}
	if len(said) != 1 {
		t.Errorf("the answers tell the cases apart: %v", said)
	}
	for _, password := range []string{"short", strings.Repeat("x", 1<<20)} {
		if _, err := a.SignIn(t.Context(), "ann@souk.test", password); !errors.Is(err, accounts.ErrBadCredentials) {
			t.Errorf("%d bytes: %v", len(password), err)
		}
	}
	if len(store.opened) != 1 {
		t.Errorf("%d sessions, only the first was granted", len(store.opened))
	}
	if _, err := a.SignIn(t.Context(), "ANN@souk.test", "correct horse"); err != nil {
		t.Error(err)
	}
}

func TestWeakHashesAreReplacedAtSignIn(t *testing.T) {
	t.Parallel()
	store, at := new(memory), clock.Hold(time.Unix(0, 0))
	if _, err := accounts.New(store, argon2id.New(cheap), new(signs), at).Register(t.Context(), "ann@souk.test", "correct horse", "Ann"); err != nil {
		t.Fatal(err)
	}
	weak := store.known.PasswordHash
	a := accounts.New(store, argon2id.New(argon2id.Cost{Memory: 16, Passes: 1, Lanes: 1}), new(signs), at)
	if _, err := a.SignIn(t.Context(), "ann@souk.test", "wrong battery"); err == nil || store.known.PasswordHash != weak {
		t.Fatalf("a wrong password changed the hash, or signed in: %v", err)
	}
	for range 2 {
		if _, err := a.SignIn(t.Context(), "ann@souk.test", "correct horse"); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(store.known.PasswordHash, "m=16,") {
			t.Errorf("not replaced: %s", store.known.PasswordHash)
		}
	}
}

func TestTokensSayWhatTheAccountMayDo(t *testing.T) {
	t.Parallel()
	seller := id.New(id.Seller)
	for _, c := range []struct {
		account accounts.Account
		roles   []accounts.Role
		scopes  []string
	}{
		{accounts.Account{}, []accounts.Role{"CUSTOMER"}, []string{}},
		{accounts.Account{SellerID: seller}, []accounts.Role{"CUSTOMER", "SELLER"}, []string{"seller"}},
		{accounts.Account{Staff: true}, []accounts.Role{"CUSTOMER", "STAFF"}, []string{"staff", "payments", "logistics"}},
		{accounts.Account{SellerID: seller, Staff: true}, []accounts.Role{"CUSTOMER", "SELLER", "STAFF"}, []string{"seller", "staff", "payments", "logistics"}},
	} {
		at, signer, hasher := time.Date(2026, 11, 21, 10, 0, 0, 123456000, time.UTC), new(signs), argon2id.New(cheap)
		hash, err := hasher.Hash(t.Context(), "correct horse")
		if err != nil {
			t.Fatal(err)
		}
		c.account.ID, c.account.Email = id.New(id.Account), "ann@souk.test"
		a := accounts.New(&memory{known: accounts.Credentials{Account: c.account, PasswordHash: hash}}, hasher, signer, clock.Hold(at))
		s, err := a.SignIn(t.Context(), "ann@souk.test", "correct horse")
		if err != nil {
			t.Fatal(err)
		}
		said := signer.last
		if said.AccountID != c.account.ID || said.SellerID != c.account.SellerID || !slices.Equal(said.Scopes, c.scopes) || !strings.HasPrefix(said.SessionID, "ses_") {
			t.Errorf("%+v: %+v", c.account, said)
		}
		if life := said.ExpiresAt.Sub(at); life <= 9*time.Minute || life > 10*time.Minute || !said.ExpiresAt.Equal(s.ExpiresAt) {
			t.Errorf("lives %v, told %v", life, s.ExpiresAt)
		}
		if got := c.account.Roles(); !slices.Equal(got, c.roles) {
			t.Errorf("roles %v, want %v", got, c.roles)
		}
	}
}

func TestAccountsAreOpenToThemselvesAndStaff(t *testing.T) {
	t.Parallel()
	ann := accounts.Account{ID: id.New(id.Account)}
	for name, c := range map[string]struct {
		who  viewer.Viewer
		want bool
	}{
		"herself": {viewer.Viewer{AccountID: ann.ID}, true},
		"staff":   {viewer.Viewer{AccountID: id.New(id.Account), Scopes: []string{viewer.ScopeStaff}}, true},
		"another": {viewer.Viewer{AccountID: id.New(id.Account), Scopes: []string{viewer.ScopeSeller}}, false},
		"a guest": {viewer.Viewer{}, false},
	} {
		if ann.OpenTo(c.who) != c.want {
			t.Errorf("%s: %v", name, !c.want)
		}
	}
	if (accounts.Account{}).OpenTo(viewer.Viewer{}) {
		t.Error("a guest is nobody's account")
	}
}

func TestGuestsChangeNothing(t *testing.T) {
	t.Parallel()
	a := accounts.New(new(memory), nil, nil, clock.Hold(time.Unix(0, 0)))
	var guest viewer.Viewer
	_, me := a.Me(t.Context(), guest)
	_, address := a.SaveAddress(t.Context(), guest, nil, accounts.Address{})
	_, seller := a.Onboard(t.Context(), guest, "Ann's", accounts.Individual, "")
	for name, err := range map[string]error{"me": me, "address": address, "seller": seller, "sign out": a.SignOut(t.Context(), guest)} {
		if fault.KindOf(err) != fault.Unauthenticated {
			t.Errorf("%s: %v", name, err)
		}
	}
}
