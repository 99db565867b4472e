package main

import (
	"net/http"
	"testing"

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
		query, variables string
		fetches, hops    int // at the most
	}{
		"product page": {productPage, `{"slug": "lamp"}`, 10, 3},
		"results page": {`{ products(query: "lamp") { totalCount queryId facets { key label buckets { value label count selected } } pageInfo { endCursor hasNextPage }
			nodes { id slug title brand thumbnail priceRange { min { amount currencyCode } max { amount currencyCode } } } } }`, `{}`, 1, 1},
		"cart": {`query ($id: ID!) { cart(id: $id) { id version totalQuantity cost { subtotal { amount } total { amount currencyCode } } problems { code message lineId availableQuantity }
			lines { nodes { id quantity unitPrice { amount } cost { amount } variant { id sku title image { url } product { id title slug } stock { state available } } } } } }`, byID, 4, 2},
		"order": {`query ($id: ID!) { order(id: $id) { id number status placedAt cost { total { amount currencyCode } } shippingAddress { name city pincode } timeline { at kind message } account { displayName }
			paymentStatus payments { status captured { amount } } shipments { status trackingNumber events { at status } }
			lines { id title quantity unitPrice { amount } cost { amount } variant { id sku image { url } } } } }`, byID, 5, 2},
		"checkout": {checkout, `{"i": {"cartId": "c", "addressId": "a", "paymentMethodId": "p", "expectedTotal": {"amount": "1.00", "currencyCode": "USD"}, "idempotencyKey": "k"}}`, 2, 2},
	} {
		op, err := e.Prepare(t.Context(), engine.Request{Query: c.query, Variables: []byte(c.variables)})
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
