package graph_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync/atomic"
	"testing"

	"github.com/souk-shop/souk/subgraphs/cart"
	"github.com/souk-shop/souk/subgraphs/cart/graph"
)

// counting is a store that counts what it is asked.
type counting struct {
	cart.Store
	asked atomic.Int32
}

func (c *counting) CartsByID(ctx context.Context, ids []string) ([]cart.Cart, error) {
	c.asked.Add(1)
	return c.Store.CartsByID(ctx, ids)
}

func (c *counting) CartsOfLines(ctx context.Context, ids []string) ([]cart.Cart, error) {
	c.asked.Add(1)
	return c.Store.CartsOfLines(ctx, ids)
}

func (c *counting) CartsOfAccounts(ctx context.Context, ids []string) ([]cart.Cart, error) {
	c.asked.Add(1)
	return c.Store.CartsOfAccounts(ctx, ids)
}

// However many carts or lines a request names, the store, the catalogue and the stock are asked the same few times.
func TestManyCartsAreFewQuestions(t *testing.T) {
	s := setup(t)
	store := &counting{Store: s.store}
	s.h = graph.Handler(cart.New(store, s.goods, s.clock), slog.New(slog.NewTextHandler(t.Output(), nil)))
	ann := account()
	var carts, ofCarts []map[string]any
	for range 24 {
		c := s.create(guest, s.sell(100, "USD", 5), 2, s.sell(250, "USD", 1), 2).Cart
		carts = append(carts, map[string]any{"__typename": "Cart", "id": c.ID})
		for _, l := range c.Lines.Nodes {
			ofCarts = append(ofCarts, map[string]any{"__typename": "CartLine", "id": l.ID})
		}
	}
	s.create(ann, s.sell(100, "USD", 5), 1)
	for name, c := range map[string]struct {
		query                    string
		of                       []map[string]any
		asked, priced, available int32
	}{
		"everything of carts":   {`... on Cart { version totalQuantity account { id } cost { total { amount } } lines { nodes { quantity unitPrice { amount } cost { amount } variant { id } } } problems { code } }`, carts, 2, 1, 1},
		"only their problems":   {`... on Cart { problems { code } }`, carts, 2, 1, 1},
		"only what is in them":  {`... on Cart { lines { nodes { quantity } } }`, carts, 1, 0, 0},
		"lines with their cost": {`... on CartLine { quantity cost { amount } }`, ofCarts, 2, 1, 0},
		"an account's cart":     {`... on Account { cart { totalQuantity cost { total { amount } } } }`, []map[string]any{{"__typename": "Account", "id": ann.AccountID}}, 2, 1, 0},
	} {
		store.asked.Store(0)
		s.priced.Store(0)
		s.available.Store(0)
		var got struct {
			Entities []map[string]any `json:"_entities"`
		}
		if err := json.Unmarshal(s.ask(ann, `query ($of: [_Any!]!) { _entities(representations: $of) { `+c.query+` } }`, map[string]any{"of": c.of}), &got); err != nil {
			t.Fatal(err)
		}
		if len(got.Entities) != len(c.of) || got.Entities[0] == nil || got.Entities[len(c.of)-1] == nil {
			t.Errorf("%s: %d answers to %d: %v", name, len(got.Entities), len(c.of), got.Entities[0])
		}
		// On a busy machine a batch may leave before all are there: a few more questions are no fault, one for each of 24 would be.
		const more = 12
		if store.asked.Load() > c.asked+more || s.priced.Load() > c.priced+more || s.available.Load() > c.available+more || c.available == 0 && s.available.Load() > 0 {
			t.Errorf("%s: asked the store %d, the catalogue %d, the stock %d times; want %d, %d, %d", name,
				store.asked.Load(), s.priced.Load(), s.available.Load(), c.asked, c.priced, c.available)
		}
	}
}
