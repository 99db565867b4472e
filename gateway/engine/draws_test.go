package engine

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/souk-shop/souk/schema"
)

// Wherever a document says which sale is meant, the draw is found: in literals, variables, defaults and fragments.
func TestDraws(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	e, err := New(ctx, Config{SupergraphSDL: schema.Supergraph})
	if err != nil {
		t.Fatal(err)
	}
	sale := func(values ...string) (out []Draw) {
		for _, v := range values {
			out = append(out, Draw{"sale", v})
		}
		return out
	}
	const key, back = `idempotencyKey: "12345678"`, `{ result { __typename } }`
	for _, c := range []struct {
		query, variables string
		want             []Draw
	}{
		{`{ flashSales { id } }`, "", nil},
		{`mutation { flashSaleBook(input: { saleId: "a", ` + key + ` }) ` + back + ` }`, "", sale("a")},
		{`mutation ($i: FlashSaleBookInput!) { flashSaleBook(input: $i) ` + back + ` }`, `{"i":{"saleId":"a","idempotencyKey":"12345678"}}`, sale("a")},
		{`mutation ($s: ID!) { flashSaleBook(input: { saleId: $s, ` + key + ` }) ` + back + ` }`, `{"s":"a"}`, sale("a")},
		{`mutation ($s: ID! = "b") { flashSaleBook(input: { saleId: $s, ` + key + ` }) ` + back + ` }`, "", sale("b")},
		{`mutation ($i: FlashSaleBookInput! = { saleId: "b", ` + key + ` }) { flashSaleBook(input: $i) ` + back + ` }`, "", sale("b")},
		{`mutation { ...f } fragment f on Mutation { flashSaleBook(input: { saleId: "a", ` + key + ` }) ` + back + ` }`, "", sale("a")},
		{`mutation { ... @include(if: true) { flashSaleBook(input: { saleId: "a", ` + key + ` }) ` + back + ` } }`, "", sale("a")},
		{`mutation ($no: Boolean!) { flashSaleBook(input: { saleId: "a", ` + key + ` }) @include(if: $no) ` + back + ` cartCreate(input: {}) { cart { id } } }`, `{"no":false}`, nil},
		{`mutation { a: flashSaleBook(input: { saleId: "a", ` + key + ` }) ` + back + ` b: flashSaleBook(input: { saleId: "b", ` + key + ` }) ` + back + ` c: flashSaleBook(input: { saleId: "a", ` + key + ` }) ` + back + ` }`, "", sale("a", "b", "a")},
		{`mutation ($s: ID!) { flashSaleBook(input: { saleId: $s, ` + key + ` }) ` + back + ` }`, `{"s":7}`, sale("7")},
	} {
		op, err := e.Prepare(ctx, Request{Query: c.query, Variables: json.RawMessage(c.variables)})
		if err != nil {
			t.Errorf("%s: %v", c.query, err)
			continue
		}
		if got := op.Draws(); !slices.Equal(got, c.want) {
			t.Errorf("%s %s\ndraws %v, want %v", c.query, c.variables, got, c.want)
		}
	}
	long := strings.Repeat("x", 1_000)
	op, err := e.Prepare(ctx, Request{Query: `mutation ($s: ID!) { flashSaleBook(input: { saleId: $s, ` + key + ` }) ` + back + ` }`, Variables: json.RawMessage(`{"s":"` + long + `"}`)})
	if err != nil {
		t.Fatal(err)
	}
	if d := op.Draws(); len(d) != 1 || len(d[0].Value) > longestName {
		t.Errorf("a long name: %v", d)
	}
	_, err = e.Prepare(ctx, Request{Query: `mutation ($s: ID!) { flashSaleBook(input: { saleId: $s, ` + key + ` }) ` + back + ` }`, Variables: json.RawMessage(`{"s":null}`)})
	if es := (Errors)(nil); !errors.As(err, &es) {
		t.Errorf("null: %v", err)
	}
}
