package engine

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/souk-shop/souk/internal/viewer"
)

func partsOf(t testing.TB, e *Engine, ctx context.Context, query, variables string) []string {
	t.Helper()
	op := prepare(t, e, query, variables)
	if !op.Deferred() {
		t.Fatalf("%s has no parts", query)
	}
	var got []string
	err := e.Incremental(ctx, op, func(p []byte, more bool) error {
		if strings.HasSuffix(string(p), `"hasNext":true}`) != more {
			t.Errorf("more is %v for %s", more, p)
		}
		got = append(got, string(p))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestDeferredPartsFollow(t *testing.T) {
	e, m := newEngine(t, "shop", newShop(t)...)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for query, want := range map[string][]string{
		`{ product(id: "1") { name ... @defer(label: "stars") { rating } } }`: {
			`{"data":{"product":{"name":"product 1"}},"hasNext":true}`,
			`{"incremental":[{"data":{"rating":4.5},"path":["product"],"label":"stars"}],"hasNext":false}`,
		},
		`{ products(first: 2) { name ... @defer { rating } } }`: {
			`{"data":{"products":[{"name":"product 1"},{"name":"product 2"}]},"hasNext":true}`,
			`{"incremental":[{"data":{"rating":4.5},"path":["products",0]},{"data":{"rating":4.5},"path":["products",1]}],"hasNext":false}`,
		},
		`{ product(id: "none") { name ... @defer { rating } } }`: {`{"data":{"product":null},"hasNext":false}`},
		`{ version ... @defer { product(id: "1") { name } } }`: {
			`{"data":{"version":"1"},"hasNext":true}`,
			`{"incremental":[{"data":{"product":{"name":"product 1"}},"path":[]}],"hasNext":false}`,
		},
		`query ($later: Boolean = true) { product(id: "1") { name ... @defer(if: $later) { rating } } }`: {
			`{"data":{"product":{"name":"product 1"}},"hasNext":true}`,
			`{"incremental":[{"data":{"rating":4.5},"path":["product"]}],"hasNext":false}`,
		},
	} {
		got := partsOf(t, e, as(viewer.Viewer{}), query, "")
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s\n got %s\nwant %s", query, strings.Join(got, "\n     "), strings.Join(want, "\n     "))
		}
	}
	m["reviews"].before = func(context.Context, *http.Request) (*http.Response, error) { return nil, errors.New("10.0.0.7") }
	got := partsOf(t, e, as(viewer.Viewer{}), `{ product(id: "1") { name ... @defer { rating } } }`, "")
	want := `{"incremental":[{"data":{"rating":null},"path":["product"],"errors":[{"message":"the subgraph \"reviews\" did not answer","path":["product"],"extensions":{"code":"SUBGRAPH_UNAVAILABLE","subgraph":"reviews"}}]}],"hasNext":false}`
	if len(got) != 2 || got[1] != want {
		t.Errorf("got %s", got)
	}
	got = partsOf(t, e, as(viewer.Viewer{}), `{ product(id: "1") { name ... @defer(label: "r") { reviews { text } } } }`, "")
	want = `{"incremental":[{"data":null,"path":["product"],"label":"r","errors":[{"message":"the subgraph \"reviews\" did not answer","path":["product"],"extensions":{"code":"SUBGRAPH_UNAVAILABLE","subgraph":"reviews"}}]}],"hasNext":false}`
	if len(got) != 2 || got[1] != want {
		t.Errorf("got %s", got)
	}
}

func TestAReaderThatLeavesEndsTheParts(t *testing.T) {
	e, m := newEngine(t, "shop", newShop(t)...)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	m["reviews"].before = func(ctx context.Context, _ *http.Request) (*http.Response, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	ctx, cancel := context.WithCancel(as(viewer.Viewer{}))
	op := prepare(t, e, `{ product(id: "1") { name ... @defer { rating } } }`, "")
	n := 0
	err := e.Incremental(ctx, op, func([]byte, bool) error { n++; cancel(); return nil })
	if n != 1 || !errors.Is(err, context.Canceled) {
		t.Errorf("%d parts, then %v", n, err)
	}
	gone := errors.New("gone")
	if err := e.Incremental(as(viewer.Viewer{}), op, func([]byte, bool) error { return gone }); !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
}
