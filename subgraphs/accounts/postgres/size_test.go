package postgres_test

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/pgtest"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/accounts"
)

// What an account takes, and one with a book of addresses, and a seller, is what three hundred million of them were planned with.
func TestS20S21S22BytesOfAnAccount(t *testing.T) {
	s := setup(t)
	const many = 400
	people := make([]viewer.Viewer, many)
	each := func(what string, most int64, do func(i int) error) {
		t.Helper()
		before := pgtest.Bytes(t, s.pool)
		var g errgroup.Group
		g.SetLimit(4) // more would be too many passwords at once
		for i := range many {
			g.Go(func() error { return do(i) })
		}
		s.must(g.Wait())
		bytes := (pgtest.Bytes(t, s.pool) - before) / many
		if bytes > most || bytes < 100 {
			t.Errorf("%s takes %d bytes, at most %d are planned", what, bytes, most)
		}
		t.Logf("%s takes %d bytes", what, bytes)
	}
	each("an account, signed in twice", 10_000, func(i int) error {
		session, err := s.accounts.Register(t.Context(), fmt.Sprintf("somebody.with.a.long.name.%d@souk.test", i), password, "Somebody With A Long Name")
		if err != nil {
			return err
		}
		people[i] = viewer.Viewer{AccountID: session.Account.ID}
		if session, err = s.accounts.Refresh(t.Context(), session.RefreshToken); err == nil {
			_, err = s.accounts.SignIn(t.Context(), session.Account.Email, password)
		}
		return err
	})
	each("its three addresses", 25_000-10_000, func(i int) error {
		for n := range 3 {
			if _, err := s.accounts.SaveAddress(t.Context(), people[i], nil, accounts.Address{
				Name: "Somebody With A Long Name", Line1: fmt.Sprint(n, " ", strings.Repeat("Mint Street ", 4)), Line2: "Behind the old bazaar, second yard", City: "Bengaluru", Region: "Karnataka",
				Pincode: "560001", Country: "IN", Phone: "+91 80 1234 5678", Default: n == 0,
			}); err != nil {
				return err
			}
		}
		return nil
	})
	each("that it sells", 50_000-10_000, func(i int) error {
		_, err := s.accounts.Onboard(t.Context(), people[i], fmt.Sprint("Somebody's Lamps and Curiosities ", i), accounts.Professional, "29ABCDE1234F2Z5")
		return err
	})
}

// However many accounts there are, one is found, by its id or its mail, without a look at the others; and so are its addresses.
func TestS15AnAccountIsReadAlone(t *testing.T) {
	s := setup(t)
	session, ann := s.register("ann@souk.test")
	_, err := s.accounts.SaveAddress(t.Context(), ann, nil, accounts.Address{Name: "Ann", Line1: "1 Mint Street", City: "Bengaluru", Pincode: "560001", Country: "IN"})
	s.must(err)
	_, err = s.pool.Exec(t.Context(), `INSERT INTO accounts (id, email, password_hash, display_name, created_at)
		SELECT 'acc_' || upper(lpad(to_hex(n), 26, '0')), n || '@crowd.test', '$argon2id$', 'One of many', now() FROM generate_series(1, 20000) n`)
	s.must(err)
	_, err = s.pool.Exec(t.Context(), `INSERT INTO addresses SELECT 'addr' || substr(id, 4), id, 1, 'A', 'B', '', 'C', '', '560001', 'IN', '', true FROM accounts WHERE email LIKE '%@crowd.test'`)
	s.must(err)
	_, err = s.pool.Exec(t.Context(), `ANALYZE`)
	s.must(err)
	for name, ask := range map[string]func() error{
		"by id": func() error {
			found, err := s.store.AccountsByID(t.Context(), []string{ann.AccountID, id.New(id.Account)})
			if err == nil && len(found) != 1 {
				err = fmt.Errorf("%d found", len(found))
			}
			return err
		},
		"by mail": func() error {
			_, err := s.accounts.SignIn(t.Context(), session.Account.Email, password)
			return err
		},
		"addresses": func() error {
			found, err := s.store.AddressesOf(t.Context(), []string{ann.AccountID})
			if err == nil && len(found[ann.AccountID]) != 1 {
				err = fmt.Errorf("%d found", len(found[ann.AccountID]))
			}
			return err
		},
	} {
		s.must(ask()) // so that its plan is made
		before := pgtest.Reads(t, s.pool, "accounts", "addresses")
		s.must(ask())
		if n := pgtest.Reads(t, s.pool, "accounts", "addresses") - before; n > 30 {
			t.Errorf("%s: %d rows and entries were read of 20,001", name, n)
		}
	}
}
