package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
	"unicode"

	"golang.org/x/sync/errgroup"

	"github.com/souk-shop/souk/frontends"
	"github.com/souk-shop/souk/internal/id"
)

const benchPassword = "open-sesame-souk" // of the demo's accounts, and of the buyers registered here

// A caller's n-th call; it fails when the answer is wrong.
type oneCall func(ctx context.Context, caller, n int) error

// A shopping is callers at work in a shop. Each kind of work is prepared before the clock runs.
type shopping struct {
	*onOffer
	client *loadClient
	buyers []benchBuyer // one a caller
	size   int          // of a product page, in bytes
}

// productPages reads full product pages. Each caller is signed in, or the gateway would ask once for several of them.
func (s *shopping) productPages(ctx context.Context) (oneCall, error) {
	query := frontends.Operation("web/ProductPage")
	page := func(ctx context.Context, caller, n int, proof string) ([]byte, error) {
		return s.client.ask(ctx, s.buyers[caller].token, query, map[string]any{"slug": s.slugs[n%len(s.slugs)], "pincode": s.pincode, "country": s.country}, proof)
	}
	s.size = 0
	for n := range s.slugs {
		answer, err := page(ctx, 0, n, `"earliest":"`)
		if err != nil {
			return nil, fmt.Errorf("%s, delivered to %s: %w", s.slugs[n], s.pincode, err)
		}
		s.size += len(answer) / len(s.slugs)
	}
	return func(ctx context.Context, caller, _ int) error {
		_, err := page(ctx, caller, rand.IntN(len(s.slugs)), `"reviews":{`)
		return err
	}, nil
}

const resultsPage = `query Results($query: String, $filter: ProductFilter, $sort: ProductSort) {
	products(query: $query, filter: $filter, sort: $sort, first: 24) {
		totalCount
		nodes { id slug title brand thumbnail priceRange { min { amount currencyCode } max { amount currencyCode } } }
		facets { key label buckets { value label count selected } }
		pageInfo { hasNextPage endCursor }
	}
}`

// resultsPages reads pages of 24 cards with facets: every second one of a search, the others of everything below some price.
func (s *shopping) resultsPages(context.Context) (oneCall, error) {
	return func(ctx context.Context, caller, n int) error {
		variables := map[string]any{"filter": map[string]any{"price": map[string]any{"max": fmt.Sprint(1_000_000 + caller*mostCalls + n)}}}
		if n%2 == 1 {
			variables["query"] = s.words[(caller+n)%len(s.words)]
		} else {
			variables["sort"] = []string{"NEWEST", "PRICE_ASC", "TOP_RATED"}[n/2%3]
		}
		_, err := s.client.ask(ctx, "", resultsPage, variables, `"buckets":[{`)
		return err
	}, nil
}

const newCart = `mutation ($input: CartCreateInput) {
	cartCreate(input: $input) { cart { id cost { total { amount currencyCode } } } userErrors { code message field } }
}`

// cart takes a guest's cart with one unit of each of some variants.
func (s *shopping) cart(ctx context.Context, variants ...string) (cart struct {
	ID   string
	Cost struct{ Total json.RawMessage }
}, err error) {
	var lines []map[string]any
	for _, v := range variants {
		lines = append(lines, map[string]any{"variantId": v, "quantity": 1})
	}
	answer, err := s.client.ask(ctx, "", newCart, map[string]any{"input": map[string]any{"lines": lines}}, `"cart":{`)
	if err != nil {
		return cart, err
	}
	var got struct {
		Data struct {
			CartCreate struct {
				Cart *struct {
					ID   string
					Cost struct{ Total json.RawMessage }
				}
			}
		}
	}
	if err := json.Unmarshal(answer, &got); err != nil {
		return cart, err
	}
	return *got.Data.CartCreate.Cart, nil
}

// addsToCart puts one unit after another in carts of up to five lines, one cart a caller.
func (s *shopping) addsToCart(ctx context.Context) (oneCall, error) {
	carts := make([]string, benchCallers)
	for c := range carts {
		cart, err := s.cart(ctx)
		if err != nil {
			return nil, err
		}
		carts[c] = cart.ID
	}
	query := frontends.Operation("web/CartLinesAdd")
	return func(ctx context.Context, caller, n int) error {
		variant := s.variants[(caller*5+n%5)%len(s.variants)]
		_, err := s.client.ask(ctx, "", query, map[string]any{"input": map[string]any{
			"cartId": carts[caller], "lines": []any{map[string]any{"variantId": variant, "quantity": 1}},
		}}, `"userErrors":[]`)
		return err
	}, nil
}

// A benchBuyer has all that a checkout needs but a cart.
type benchBuyer struct{ token, address, method string }

// registerBuyers makes one for each caller.
func (s *shopping) registerBuyers(ctx context.Context) error {
	s.buyers = make([]benchBuyer, benchCallers)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for i := range s.buyers {
		g.Go(func() (err error) {
			s.buyers[i], err = s.register(ctx)
			return err
		})
	}
	return g.Wait()
}

func (s *shopping) register(ctx context.Context) (b benchBuyer, err error) {
	var answer struct {
		AccountRegister struct{ Session struct{ AccessToken string } }
		AddressSave     struct {
			Account struct{ Addresses []struct{ ID string } }
		}
		PaymentMethodAdd struct{ PaymentMethod struct{ ID string } }
	}
	for _, step := range []struct {
		operation string
		input     map[string]any
	}{
		{"web/Register", map[string]any{"email": strings.ToLower(newKey()) + "@bench.souk.test", "password": benchPassword, "displayName": "Ann"}},
		{"web/AddressSave", map[string]any{"name": "Ann", "line1": "1 Market Street", "city": "Town", "pincode": s.pincode, "country": s.country}},
		{"web/PaymentMethodAdd", map[string]any{"token": "tok_4242"}},
	} {
		said, err := s.client.ask(ctx, answer.AccountRegister.Session.AccessToken, frontends.Operation(step.operation), map[string]any{"input": step.input}, `"userErrors":[]`)
		if err != nil {
			return b, fmt.Errorf("%s: %w", step.operation, err)
		}
		if err := json.Unmarshal(said, &struct{ Data any }{&answer}); err != nil {
			return b, fmt.Errorf("%s: %w", step.operation, err)
		}
	}
	return benchBuyer{answer.AccountRegister.Session.AccessToken, answer.AddressSave.Account.Addresses[0].ID, answer.PaymentMethodAdd.PaymentMethod.ID}, nil
}

// checkouts buys: a fresh cart with one unit, then the till, until the order is PLACED.
func (s *shopping) checkouts(context.Context) (oneCall, error) {
	return func(ctx context.Context, caller, n int) error {
		return s.buy(ctx, s.buyers[caller], s.variants[(caller*11+n)%len(s.variants)])
	}, nil
}

func (s *shopping) buy(ctx context.Context, b benchBuyer, variant string) error {
	cart, err := s.cart(ctx, variant)
	if err != nil {
		return fmt.Errorf("cart: %w", err)
	}
	answer, err := s.client.ask(ctx, b.token, frontends.Operation("web/Checkout"), map[string]any{"input": map[string]any{
		"cartId": cart.ID, "addressId": b.address, "paymentMethodId": b.method, "expectedTotal": cart.Cost.Total, "idempotencyKey": newKey(),
	}}, `"order":{"id":"`)
	if err != nil {
		return err
	}
	if bytes.Contains(answer, []byte(`"status":"PLACED"`)) {
		return nil
	}
	_, order, _ := bytes.Cut(answer, []byte(`"order":{"id":"`))
	order, _, _ = bytes.Cut(order, []byte(`"`))
	return s.awaitPlaced(ctx, b, string(order))
}

// awaitPlaced is for an order that the till let wait for its payment.
func (s *shopping) awaitPlaced(ctx context.Context, b benchBuyer, order string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		answer, err := s.client.ask(ctx, b.token, `query ($id: ID!) { order(id: $id) { status } }`, map[string]any{"id": order}, `"status":"`)
		if err != nil {
			return fmt.Errorf("order %s is not placed: %w", order, err)
		}
		if bytes.Contains(answer, []byte("PLACED")) {
			return nil
		}
		if !bytes.Contains(answer, []byte("CREATED")) {
			return fmt.Errorf("order %s: %s", order, answer)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("order %s is not placed after 10 s", order)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func firstWord(s string) string {
	word, _, _ := strings.Cut(strings.TrimLeftFunc(s, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }), " ")
	return strings.ToLower(word)
}

func newKey() string { return id.New(id.Event) }
