package engine

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/souk-shop/souk/internal/viewer"
)

// FuzzExecute sends anything at all through the whole engine: it answers, or refuses with a code, and never breaks.
func FuzzExecute(f *testing.F) {
	f.Add(threeHops, `{"id":"1"}`)
	f.Add(`query ($s: Boolean!, $i: EchoInput) { version @skip(if: $s) echo(input: $i, value: {a: [1, $s, "x"]}, at: [[1]]) }`, `{"s":false,"i":{"s":"x","tags":"t"}}`)
	f.Add(`mutation { rename(id: "1", name: """b""") { name ...f } } fragment f on Product { rating variants { ... on Variant @include(if: true) { sku } } }`, ``)
	f.Add(`{ __schema { types { name fields { type { ofType { name } } } } } __type(name: "Query") { kind } a: __typename }`, `null`)
	f.Add(`query A { version } query B { products(first: -1) { id } }`, `{}`)
	e, m := newEngineWith(f, "shop", Config{Development: true, Log: slog.New(slog.DiscardHandler)}, newShop(f)...)
	for _, s := range m {
		s.mute = true
	}
	f.Fuzz(func(t *testing.T, text, variables string) {
		op, err := e.Prepare(context.Background(), Request{Query: text, Variables: json.RawMessage(variables)})
		if err != nil {
			var es Errors
			if !errors.As(err, &es) || len(es) == 0 {
				t.Fatalf("%q: %v", text, err)
			}
			for _, x := range es {
				if x.Code() == "" || x.Message == "" {
					t.Errorf("%q: %+v", text, x)
				}
				if x.Code() == CodeInternal {
					t.Errorf("%q %q: internal", text, variables)
				}
			}
			return
		}
		if op.Kind() == Subscription || op.Deferred() || strings.Contains(text, "first") {
			return
		}
		var out strings.Builder
		if _, err := e.Execute(as(viewer.Viewer{}), op, &out); err != nil || !json.Valid([]byte(out.String())) {
			t.Errorf("%q: %s, %v", text, out.String(), err)
		}
		if strings.Contains(out.String(), CodeSubgraph) {
			t.Errorf("%q %q: a subgraph could not read what it was sent: %s", text, variables, out.String())
		}
	})
}
