package graph_test

import (
	"strings"
	"testing"

	"github.com/souk-shop/souk/internal/pgtest"
	"github.com/souk-shop/souk/subgraphs/cart"
	"github.com/souk-shop/souk/subgraphs/cart/postgres"
)

// A checkout buys the lines of the version it names, even when the cart changes after every single question: under another version the
// same lines could be bought once more.
func TestACartIsReadAsOfOneMoment(t *testing.T) {
	s := setup(t)
	lamp, ann := s.sell(1990, "USD", 9), account()
	c := s.create(ann, lamp, 1).Cart
	pool := pgtest.Watched(t, s.pool, func(sql string) {
		if !strings.Contains(sql, "FROM carts") {
			return
		}
		if _, err := s.store.Change(t.Context(), c.ID, func(c *cart.Cart) error { c.Lines[0].Quantity++; return nil }); err != nil {
			t.Error(err)
		}
	})
	store := postgres.NewStore(pool)
	for question, ask := range map[string]func() ([]cart.Cart, error){
		"by its id":      func() ([]cart.Cart, error) { return store.CartsByID(t.Context(), []string{c.ID}) },
		"of its account": func() ([]cart.Cart, error) { return store.CartsOfAccounts(t.Context(), []string{ann.AccountID}) },
	} {
		found, err := ask()
		if err != nil || len(found) != 1 || len(found[0].Lines) != 1 || found[0].Lines[0].Quantity != found[0].Version {
			t.Errorf("%s: %+v, %v", question, found, err)
		}
	}
}
