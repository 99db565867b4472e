package engine

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/souk-shop/souk/gateway/upstream"
	"github.com/souk-shop/souk/internal/viewer"
)

// newRoad returns an engine whose requests go the gateway's own way to services.
func newRoad(t *testing.T, folder string, log *slog.Logger, services ...*service) (*Engine, mesh) {
	t.Helper()
	m := mesh{}
	for _, s := range services {
		m[s.name] = s
	}
	road, err := upstream.New(upstream.Config{Base: m, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	return newEngineWith(t, folder, Config{Transport: road, Log: log}, services...)
}

// A subgraph that is not asked since it is down is told to the client as one that was asked and did not answer: what the client can do is the same.
func TestASubgraphThatIsLeftAloneIsToldAsDown(t *testing.T) {
	var lines bytes.Buffer
	e, m := newRoad(t, "shop", slog.New(slog.NewTextHandler(&lines, nil)), newShop(t)...)
	asked := 0
	m["reviews"].before = func(context.Context, *http.Request) (*http.Response, error) {
		asked++
		return nil, errors.New("connection refused")
	}
	const pages = 30
	for range pages {
		got := answerOf(t, e, as(viewer.Viewer{}), `{ product(id: "1") { name rating } }`, "")
		if want := `{"errors":[{"message":"the subgraph \"reviews\" did not answer","path":["product"],"extensions":{"code":"SUBGRAPH_UNAVAILABLE","subgraph":"reviews"}}],"data":{"product":{"name":"product 1","rating":null}}}`; got != want {
			t.Fatalf("got %s", got)
		}
	}
	if asked == pages {
		t.Error("it was asked for every page")
	}
	if n := strings.Count(lines.String(), "\n"); n != asked+1 { // each failure, and that it is left alone; what follows from that is no news
		t.Errorf("%d lines after %d failures:\n%s", n, asked, lines.String())
	}
}

// What reads may be sent again, what writes never, whatever else its operation reads.
func TestReadsMayBeSentAgain(t *testing.T) {
	e, m := newRoad(t, "shop", nil, newShop(t)...)
	var mu sync.Mutex
	var again, once []string
	for name, s := range m {
		s.before = func(_ context.Context, r *http.Request) (*http.Response, error) {
			mu.Lock()
			defer mu.Unlock()
			if _, marked := r.Header["Idempotency-Key"]; marked && r.GetBody != nil {
				again = append(again, name)
			} else {
				once = append(once, name)
			}
			return nil, nil
		}
	}
	for _, c := range []struct {
		query       string
		again, once []string
	}{
		{threeHops, []string{"catalog", "inventory", "logistics", "reviews"}, nil},
		{`mutation { a: rename(id: "1", name: "x") { name rating } b: rename(id: "2", name: "y") { name } }`, []string{"reviews"}, []string{"catalog", "catalog"}},
	} {
		again, once = nil, nil
		if got := answerOf(t, e, as(viewer.Viewer{}), c.query, `{"id":"1"}`); strings.Contains(got, "errors") {
			t.Fatalf("got %s", got)
		}
		slices.Sort(again)
		if !slices.Equal(again, c.again) || !slices.Equal(once, c.once) {
			t.Errorf("%s: again %q, once %q", c.query, again, once)
		}
	}
}
