package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/souk-shop/souk/schema"
)

func TestCost(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	e, err := New(ctx, Config{SupergraphSDL: schema.Supergraph, Development: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		query, variables string
		want             int
	}{
		{`{ __typename }`, "", 1},
		{`{ __schema { types { name fields { name } } } }`, "", 1},
		{`{ product(id: "prd_1") { title slug } }`, "", 1},
		{`{ a: product(id: "prd_1") { title } b: product(id: "prd_2") { title } }`, "", 2},
		{`{ product(id: "prd_1") { priceRange { min { amount } max { amount } } } }`, "", 4},

		// Lists are as long as arguments, their defaults, or the schema say; a connection passes its length on.
		{`{ products { nodes { title } } }`, "", 1 + 24},
		{`{ products(first: 100) { totalCount nodes { title } pageInfo { hasNextPage } } }`, "", 1 + 100 + 1},
		{`{ products(first: 10) { nodes { variants(first: 5) { nodes { price { amount } } } } } }`, "", 1 + 10*(1+1+5*2)},
		{`{ products(first: 10) { edges { node { title } } nodes { title } } }`, "", 1 + 10*2 + 10},
		{`{ warehouses { name } }`, "", 20},
		{`{ searchSuggest(prefix: "a", first: 3) { text } }`, "", 3},

		// Variables count with what they are worth.
		{`query ($n: Int) { products(first: $n) { nodes { title } } }`, `{"n":7}`, 8},
		{`query ($n: Int) { products(first: $n) { nodes { title } } }`, "", 25},
		{`query ($n: Int = 3) { products(first: $n) { nodes { title } } }`, "", 4},
		{`query ($n: Int = 3) { products(first: $n) { nodes { title } } }`, `{"n":5}`, 6},
		{`query ($n: Int) { products(first: $n) { nodes { title } } }`, `{"n":-5}`, 2},
		{`query ($n: Int) { products(first: $n) { nodes { title } } }`, `{"n":2147483647}`, 100_001},
		{`query ($n: Int) { products(first: $n) { nodes { variants(first: $n) { nodes { title } } } } }`, `{"n":2147483647}`, dearest},

		// Fragments hide nothing; what is left out costs nothing.
		{`{ products(first: 10) { ...a } } fragment a on ProductConnection { nodes { ...b } } fragment b on Product { priceRange { min { amount } } }`, "", 1 + 10*3},
		{`{ node(id: "prd_1") { ... on Product { priceRange { min { amount } } } } }`, "", 3},
		{`query ($no: Boolean!) { product(id: "prd_1") { title priceRange @include(if: $no) { min { amount } } } }`, `{"no":false}`, 1},

		// Mutations and subscriptions cost more, and more where the schema says so.
		{`mutation { cartCreate(input: {}) { cart { id } } }`, "", 11},
		{`mutation { sessionCreate(input: { email: "a@b.c", password: "x" }) { userErrors { code } } }`, "", 21},
		{`subscription { stockChanged(variantIds: ["var_1"]) { seq } }`, "", 10},
	} {
		op, err := e.Prepare(ctx, Request{Query: c.query, Variables: json.RawMessage(c.variables)})
		if err != nil {
			t.Errorf("%s: %v", c.query, err)
			continue
		}
		if got := op.Cost(); got != c.want {
			t.Errorf("%s %s costs %d, want %d", c.query, c.variables, got, c.want)
		}
	}
}

// A document whose lists lie within lists is priced in a moment, at no more than the dearest.
func TestCostOfABomb(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	e, err := New(ctx, Config{SupergraphSDL: schema.Supergraph})
	if err != nil {
		t.Fatal(err)
	}
	query := "name"
	for range 12 {
		query = fmt.Sprintf("name children { %s }", query)
	}
	op, err := e.Prepare(ctx, Request{Query: `{ categoryTree { ` + strings.TrimSpace(query) + ` } }`})
	if err != nil {
		t.Fatal(err)
	}
	if op.Cost() != dearest {
		t.Errorf("it costs %d", op.Cost())
	}
}
