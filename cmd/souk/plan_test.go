package main

import (
	"net/http"
	"testing"

	"github.com/souk-shop/souk/frontends"
	"github.com/souk-shop/souk/gateway/engine"
	"github.com/souk-shop/souk/schema"
)

// How often the gateway asks subgraphs for the pages that matter, and how many times one after the other.
func TestPlans(t *testing.T) {
	t.Parallel()
	e, err := engine.New(t.Context(), engine.Config{SupergraphSDL: schema.Supergraph, Transport: http.DefaultTransport})
	if err != nil {
		t.Fatal(err)
	}
	const byID = `{"id": "x"}`
	for name, c := range map[string]struct {
		variables     string
		fetches, hops int // at the most
	}{
		"web/ProductPage": {`{"slug": "lamp"}`, 10, 3},
		"web/Search":      {`{"query": "lamp"}`, 1, 1},
		"web/Browse":      {`{}`, 1, 1},
		"web/CartShow":    {byID, 4, 2},
		"web/OrderPage":   {byID, 5, 2},
		"web/Checkout":    {`{"input": {"cartId": "c", "addressId": "a", "paymentMethodId": "p", "expectedTotal": {"amount": "1.00", "currencyCode": "USD"}, "idempotencyKey": "k"}}`, 2, 2},
	} {
		op, err := e.Prepare(t.Context(), engine.Request{Query: frontends.Operation(name), Variables: []byte(c.variables)})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if op.Fetches() > c.fetches || op.Hops() > c.hops {
			t.Errorf("%s: %d fetches in %d hops, want at most %d in %d\n%s", name, op.Fetches(), op.Hops(), c.fetches, c.hops, op.Plan())
		}
		t.Logf("%s: %d fetches in %d hops", name, op.Fetches(), op.Hops())
	}
}
