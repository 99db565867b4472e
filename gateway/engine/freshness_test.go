package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/souk-shop/souk/gateway/supergraph"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/schema"
)

func TestMaxAge(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	e, err := New(ctx, Config{SupergraphSDL: schema.Supergraph, Development: true})
	if err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]int{
		`{ flashSale(id: "s") { id title startsAt endsAt limitPerAccount seller { id } } }`:                                           30,
		`{ flashSale(id: "s") { title offers { quantity price { amount currencyCode } variant { title product { title slug } } } } }`: 30,
		`{ flashSale(id: "s") { seller { name slug } } }`:                                                                             30,
		`{ flashSales { title } }`:                                    10,
		`{ flashSale(id: "s") { title } product(id: "p") { title } }`: 30,
		`{ product(slug: "p") { title media { url } variants { nodes { price { amount } } } category { ancestors { name } } } }`: 60,
		`{ categoryTree { name children { name } } }`:                                                    300,
		`{ ...f } fragment f on Query { flashSale(id: "s") { ...g } } fragment g on FlashSale { title }`: 30,
		`{ flashSale(id: "s") { ... on FlashSale { live { remaining } title } } }`:                       0,
		`{ flashSale(id: "s") { title status } }`:                                                        0,
		`{ flashSale(id: "s") { title live { remaining } } }`:                                            0,
		`{ flashSale(id: "s") { title myBookings { id } } }`:                                             0,
		`{ flashSale(id: "s") { title myTicket { id } } }`:                                               0,
		`{ flashSale(id: "s") { title challenge { salt } } }`:                                            0,
		`{ flashSale(id: "s") { title seed } }`:                                                          0,
		`{ product(id: "p") { title inStock } }`:                                                         0,
		`{ product(id: "p") { title variants { nodes { stock { available } } } } }`:                      0,
		`{ product(id: "p") { title variants { nodes { flashSale { id } } } } }`:                         0,
		`{ me { id } }`:                                            0,
		`{ products { nodes { title } } }`:                         0,
		`{ node(id: "p") { id } }`:                                 0,
		`{ __typename }`:                                           0,
		`{ __schema { types { name } } }`:                          0,
		`mutation { cartCreate(input: {}) { cart { id } } }`:       0,
		`subscription { flashSaleChanged(id: "s") { remaining } }`: 0,
		`query ($x: Boolean = false) { flashSale(id: "s") { title live @include(if: $x) { held } } }`: 30,
	} {
		op, err := e.Prepare(ctx, Request{Query: query})
		if err != nil {
			t.Errorf("%s: %v", query, err)
			continue
		}
		if got := op.MaxAge(); got != time.Duration(want)*time.Second {
			t.Errorf("%s may be kept for %v, not %d s", query, got, want)
		}
	}
}

// What a rule guards, or is said to be the caller's own, is never kept, whatever else the schema says of it.
func TestWhatIsSomebodysOwnIsNeverKept(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for name, c := range map[string]struct {
		field, hint, query string
		want               time.Duration
	}{
		"everybody's":  {"sku: String! ", "@cacheControl(maxAge: 40)", `{ product(id: "p") { variants { nodes { sku } } } }`, 40 * time.Second},
		"the caller's": {"sku: String! ", "@cacheControl(maxAge: 40, scope: PRIVATE)", `{ product(id: "p") { variants { nodes { sku } } } }`, 0},
		"guarded":      {"stockLevels: [StockLevel!] ", "@cacheControl(maxAge: 40)", `{ product(id: "p") { variants { nodes { stockLevels { onHand } } } } }`, 0},
	} {
		sdl := strings.Replace(schema.Supergraph, c.field, c.field+c.hint+" ", 1)
		e, err := New(ctx, Config{SupergraphSDL: sdl})
		if err != nil || sdl == schema.Supergraph {
			t.Fatalf("%s: %v", name, err)
		}
		op, err := e.Prepare(ctx, Request{Query: c.query})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := op.MaxAge(); got != c.want {
			t.Errorf("what is %s may be kept for %v, want %v", name, got, c.want)
		}
	}
}

// Every field of souk that anybody may keep, so that a new one is seen to become one. UPDATE=1 writes the list anew.
func TestFieldsThatMayBeKept(t *testing.T) {
	graph, err := supergraph.Parse(schema.Supergraph)
	if err != nil {
		t.Fatal(err)
	}
	hints, prices := graph.Hints(), graph.Prices()
	reached := map[supergraph.Coordinate]int{} // the longest it may be
	var visit func(typeName string, parent int)
	visit = func(typeName string, parent int) {
		for at, h := range hints {
			age := h.MaxAge
			if h.Inherits {
				age = parent
			}
			if at.Type != typeName || h.Private || age <= reached[at] {
				continue
			}
			reached[at] = age
			visit(prices[at].Returns, age)
		}
	}
	visit("Query", 0)
	var lines []string
	for at, age := range reached {
		lines = append(lines, fmt.Sprintf("%s.%s %d\n", at.Type, at.Field, age))
	}
	slices.Sort(lines)
	const golden = "testdata/kept.golden"
	got := strings.Join(lines, "")
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(golden); err != nil || string(want) != got {
		t.Errorf("%v: what may be kept has changed; see that none of it is live or somebody's own, then run with UPDATE=1:\n%s", err, got)
	}
}

// A public answer is made once for all guests until it is too old, and one with an error is never kept.
func TestKeptAnswers(t *testing.T) {
	held := clock.Hold(time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC))
	var fetches atomic.Int64
	answer := `{"data":{"flashSale":{"title":"Phones"}}}`
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	e, err := New(ctx, Config{SupergraphSDL: schema.Supergraph, Clock: held, Transport: transport(func(*http.Request) (*http.Response, error) {
		fetches.Add(1)
		return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(answer))}, nil
	})})
	if err != nil {
		t.Fatal(err)
	}
	op, err := e.Prepare(ctx, Request{Query: `query ($id: ID!) { flashSale(id: $id) { title } }`, Variables: json.RawMessage(`{"id":"sale_1"}`)})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(ctx context.Context) (Result, string) {
		t.Helper()
		var body bytes.Buffer
		r, err := e.Execute(ctx, op, &body)
		if err != nil {
			t.Fatal(err)
		}
		return r, body.String()
	}
	for i, step := range []struct {
		after   time.Duration
		who     viewer.Viewer
		fetches int64
		maxAge  time.Duration
	}{
		{0, viewer.Viewer{}, 1, 30 * time.Second},
		{10 * time.Second, viewer.Viewer{}, 1, 20 * time.Second},
		{0, viewer.Viewer{AccountID: "acc_ann"}, 2, 0},
		{0, viewer.Viewer{Scopes: []string{"staff"}}, 3, 0},
		{0, viewer.Viewer{Currency: "INR"}, 4, 30 * time.Second},
		{20*time.Second - time.Microsecond, viewer.Viewer{}, 4, time.Microsecond},
		{time.Microsecond, viewer.Viewer{}, 5, 30 * time.Second},
	} {
		held.Advance(step.after)
		r, body := ask(viewer.With(ctx, step.who))
		if body != answer || r.MaxAge != step.maxAge || fetches.Load() != step.fetches {
			t.Errorf("%d: %s, for %v, %d fetches", i, body, r.MaxAge, fetches.Load())
		}
	}
	held.Advance(time.Hour)
	answer = `{"data":{"flashSale":null},"errors":[{"message":"no","path":["flashSale"],"extensions":{"code":"UNAVAILABLE"}}]}`
	before := fetches.Load()
	for range 2 {
		if r, body := ask(ctx); !r.HasErrors() || r.MaxAge != 0 {
			t.Errorf("%s for %v", body, r.MaxAge)
		}
	}
	if n := fetches.Load() - before; n != 2 {
		t.Errorf("%d fetches", n)
	}
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
