package engine

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"github.com/souk-shop/souk/internal/viewer"
)

// A gate holds requests until it is opened, and tells of each that has come.
type gate struct {
	came chan string
	open chan struct{}
}

func newGate() *gate { return &gate{came: make(chan string, 100), open: make(chan struct{})} }

func (g *gate) hold(ctx context.Context, _ *http.Request) (*http.Response, error) {
	g.came <- viewer.From(ctx).AccountID
	select {
	case <-g.open:
		return nil, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// TestEqualQueriesOfOneCallerShareAnExecution runs in a bubble, where it is known when everybody waits.
func TestEqualQueriesOfOneCallerShareAnExecution(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, m := newEngine(t, "shop", newShop(t)...)
		g := newGate()
		m["catalog"].before = g.hold
		op := prepare(t, e, `query ($id: ID!) { product(id: $id) { name } }`, `{"id":"1"}`)
		other := prepare(t, e, `query ($id: ID!) { product(id: $id) { name } }`, `{"id":"2"}`)
		ada, bob := viewer.Viewer{AccountID: "ada"}, viewer.Viewer{AccountID: "bob"}
		adaFr, adaStaff := ada, ada
		adaFr.Language, adaStaff.Scopes = "fr", []string{"staff"}
		var wg sync.WaitGroup
		shared := 0
		var mu sync.Mutex
		ask := func(v viewer.Viewer, op *Operation) {
			wg.Go(func() {
				var out strings.Builder
				r, err := e.Execute(as(v), op, &out)
				if err != nil || !strings.Contains(out.String(), `"name":"product`) {
					t.Errorf("%s, %v", out.String(), err)
				}
				mu.Lock()
				defer mu.Unlock()
				if r.Deduplicated {
					shared++
				}
			})
		}
		for range 5 {
			ask(ada, op)
		}
		ask(ada, other)
		ask(bob, op)
		ask(adaFr, op)
		ask(adaStaff, op)
		ask(viewer.Viewer{}, op)
		synctest.Wait()
		if n := len(m.fetches()); n != 6 {
			t.Errorf("%d fetches, want one for each caller and question: %q", n, m.fetches())
		}
		close(g.open)
		wg.Wait()
		if shared != 5 {
			t.Errorf("%d answers were shared", shared)
		}
	})
}

func TestEqualFetchesOfOneCallerAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, m := newEngine(t, "shop", newShop(t)...)
		g := newGate()
		m["reviews"].before = g.hold
		var wg sync.WaitGroup
		for _, v := range []viewer.Viewer{{AccountID: "ada"}, {AccountID: "bob"}} {
			for _, q := range []string{`{ product(id: "1") { name rating } }`, `{ product(id: "1") { rating variants { sku } } }`} {
				op := prepare(t, e, q, "")
				wg.Go(func() {
					if _, err := e.Execute(as(v), op, new(strings.Builder)); err != nil {
						t.Error(err)
					}
				})
			}
		}
		synctest.Wait()
		if len(g.came) != 2 {
			t.Errorf("reviews was asked %d times, want once for each caller", len(g.came))
		}
		close(g.open)
		wg.Wait()
	})
}

func TestMutationsShareNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, m := newEngine(t, "shop", newShop(t)...)
		g := newGate()
		m["catalog"].before = g.hold
		op := prepare(t, e, `mutation { rename(id: "1", name: "x") { rating } }`, "")
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() { e.Execute(as(viewer.Viewer{AccountID: "ada"}), op, new(strings.Builder)) })
		}
		synctest.Wait()
		if len(g.came) != 3 {
			t.Errorf("%d mutations were sent", len(g.came))
		}
		close(g.open)
		wg.Wait()
	})
}

// What is read after a write is asked after it, though the same caller asks the same at that moment.
func TestWhatIsReadAfterAWriteIsAskedAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, m := newEngine(t, "shop", newShop(t)...)
		g := newGate()
		m["reviews"].before = g.hold
		var wg sync.WaitGroup
		for asked, query := range []string{`{ product(id: "1") { rating } }`, `mutation { rename(id: "1", name: "x") { rating } }`} {
			op := prepare(t, e, query, "")
			wg.Go(func() { e.Execute(as(viewer.Viewer{AccountID: "ada"}), op, new(strings.Builder)) })
			synctest.Wait()
			if len(g.came) != asked+1 {
				t.Errorf("after %s, reviews was asked %d times", query, len(g.came))
			}
		}
		close(g.open)
		wg.Wait()
	})
}

func TestACallerWhoLeavesDoesNotTakeTheAnswerAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, m := newEngine(t, "shop", newShop(t)...)
		g := newGate()
		m["catalog"].before = g.hold
		op := prepare(t, e, `{ product(id: "1") { name } }`, "")
		first, leave := context.WithCancel(as(viewer.Viewer{}))
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := e.Execute(first, op, new(strings.Builder)); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			var out strings.Builder
			if _, err := e.Execute(as(viewer.Viewer{}), op, &out); err != nil || out.String() != `{"data":{"product":{"name":"product 1"}}}` {
				t.Errorf("%s, %v", out.String(), err)
			}
		})
		synctest.Wait()
		leave()
		synctest.Wait()
		close(g.open)
		wg.Wait()
		if n := len(m.fetches()); n != 1 {
			t.Errorf("%d fetches", n)
		}
	})
}

func TestAnEngineLeavesNothingBehind(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	t.Run("engine", func(t *testing.T) {
		e, _ := newEngine(t, "shop", newShop(t)...)
		for range 10 {
			answerOf(t, e, as(viewer.Viewer{}), threeHops, `{"id":"1"}`)
		}
	})
}

func TestThePlanOfAnOperation(t *testing.T) {
	e, _ := newEngine(t, "shop", newShop(t)...)
	op := prepare(t, e, threeHops, `{"id":"1"}`)
	if op.Name() != "Page" || op.Fetches() != 4 || op.Hops() != 3 {
		t.Errorf("%s: %d fetches in %d hops", op.Name(), op.Fetches(), op.Hops())
	}
	var plan Step
	if err := json.Unmarshal(op.Plan(), &plan); err != nil {
		t.Fatal(err)
	}
	var shape func(s *Step) string
	shape = func(s *Step) string {
		if s.Kind == "fetch" {
			if s.Query == "" {
				t.Errorf("the fetch of %s shows no query", s.Subgraph)
			}
			return s.Subgraph + "@" + s.Path
		}
		var inner []string
		for _, c := range s.Steps {
			inner = append(inner, shape(c))
		}
		return s.Kind + "(" + strings.Join(inner, " ") + ")"
	}
	if got := shape(&plan); got != "sequence(catalog@ parallel(reviews@product inventory@product.variants) logistics@product.variants.@.stock.warehouse)" {
		t.Errorf("got %s", got)
	}
	for query, want := range map[string][2]int{
		`{ version }`:    {1, 1},
		`{ __typename }`: {0, 0},
		stockQuery:       {3, 2},
		`{ __schema { queryType { name } } version }`:                                                             {1, 1},
		`{ product(id: "1") { name ... @defer { rating } } }`:                                                     {2, 2},
		`{ product(id: "1") { name ... @defer { rating variants { stock { available } } } } }`:                    {4, 3},
		`{ product(id: "1") { name ... @defer { rating variants { stock { available warehouse { city } } } } } }`: {5, 4},
		`mutation { rename(id: "1", name: "x") { rating } }`:                                                      {2, 2},
		`{ a: product(id: "1") { rating } b: product(id: "2") { rating } }`:                                       {2, 2}, // one request for both ratings
	} {
		op := prepare(t, e, query, `{"v":"1"}`)
		if got := [2]int{op.Fetches(), op.Hops()}; got != want {
			t.Errorf("%s: %v fetches and hops, want %v\n%s", query, got, want, op.Plan())
		}
	}
}

func BenchmarkThreeHops(b *testing.B) {
	e, m := newEngine(b, "shop", newShop(b)...)
	canned(m)
	request := Request{Query: threeHops, Variables: json.RawMessage(`{"id":"1"}`)}
	ctx := as(viewer.Viewer{AccountID: "ada"})
	b.ReportAllocs()
	for b.Loop() {
		op, err := e.Prepare(ctx, request)
		if err != nil {
			b.Fatal(err)
		}
		var out strings.Builder
		if _, err := e.Execute(ctx, op, &out); err != nil || out.Len() < 150 {
			b.Fatal(out.String(), err)
		}
	}
}

func BenchmarkPlanning(b *testing.B) {
	e, _ := newEngine(b, "shop", newShop(b)...)
	for b.Loop() {
		e.documents.entries.Purge()
		e.planner.plans.entries.Purge()
		if _, err := e.Prepare(context.Background(), Request{Query: threeHops, Variables: json.RawMessage(`{"id":"1"}`)}); err != nil {
			b.Fatal(err)
		}
	}
}

// canned makes services answer without work, so that a benchmark measures the engine.
func canned(m mesh) {
	for name, body := range map[string]string{
		"catalog":   `{"data":{"product":{"name":"product 1","variants":[{"sku":"A1","__typename":"Variant","id":"v1a"},{"sku":"B1","__typename":"Variant","id":"v1b"}],"__typename":"Product","id":"1"}}}`,
		"reviews":   `{"data":{"_entities":[{"__typename":"Product","rating":4.5}]}}`,
		"inventory": `{"data":{"_entities":[{"__typename":"Variant","stock":{"available":3,"warehouse":{"__typename":"Warehouse","id":"w1"}}},{"__typename":"Variant","stock":{"available":3,"warehouse":{"__typename":"Warehouse","id":"w1"}}}]}}`,
		"logistics": `{"data":{"_entities":[{"__typename":"Warehouse","city":"Pune"}]}}`,
	} {
		m[name].before = func(context.Context, *http.Request) (*http.Response, error) { return reply(200, body), nil }
		m[name].mute = true
	}
}
