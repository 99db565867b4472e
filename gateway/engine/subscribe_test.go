package engine

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"go.uber.org/goleak"

	"github.com/souk-shop/souk/internal/viewer"
)

func newStock(t testing.TB) (*Engine, mesh, chan any) {
	services := newShop(t)
	events := make(chan any)
	services[1].events = map[string]<-chan any{"stockChanged": events, "ticks": events}
	e, m := newEngine(t, "shop", services...)
	return e, m, events
}

func stockOf(n int) object {
	return object{"available": n, "warehouse": object{"id": "w1"}, "variant": object{"id": "v1"}}
}

const stockQuery = `subscription ($v: ID!) { stock: stockChanged(variant: $v) { available warehouse { city } variant { sku } } }`

func TestEventsAreCompletedByOtherSubgraphs(t *testing.T) {
	e, m, events := newStock(t)
	op := prepare(t, e, stockQuery, `{"v":"v1"}`)
	go func() {
		events <- stockOf(3)
		events <- stockOf(2)
		close(events)
	}()
	var got []string
	err := e.Subscribe(as(viewer.Viewer{}), op, func(p []byte) error {
		got = append(got, string(p))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`{"data":{"stock":{"available":3,"warehouse":{"city":"Pune"},"variant":{"sku":"sku"}}}}`,
		`{"data":{"stock":{"available":2,"warehouse":{"city":"Pune"},"variant":{"sku":"sku"}}}}`,
	}
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("got %q", got)
	}
	if f := m.fetches(); len(f) != 5 { // the stream, and two fetches an event
		t.Errorf("fetches: %q", f)
	}
}

func TestTheStreamEndsWithItsSubscriber(t *testing.T) {
	e, m, events := newStock(t)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for range 3 { // again and again, the same question
		ctx, cancel := context.WithCancel(as(viewer.Viewer{}))
		go func() { events <- stockOf(1) }()
		err := e.Subscribe(ctx, prepare(t, e, stockQuery, `{"v":"v1"}`), func([]byte) error {
			cancel()
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		<-m["inventory"].closed
	}
}

func TestAListenerThatFailsEndsTheStream(t *testing.T) {
	e, m, events := newStock(t)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	go func() { events <- stockOf(1) }()
	gone := errors.New("client has gone")
	err := e.Subscribe(as(viewer.Viewer{}), prepare(t, e, stockQuery, `{"v":"v1"}`), func([]byte) error { return gone })
	if !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
	<-m["inventory"].closed
}

func TestAFailingSubgraphDoesNotEndTheSubscription(t *testing.T) {
	e, m, events := newStock(t)
	m["logistics"].before = func(context.Context, *http.Request) (*http.Response, error) { return nil, errors.New("10.0.0.7") }
	go func() {
		events <- stockOf(3)
		events <- coded{"no stock today", "CONFLICT"}
		close(events)
	}()
	var got []string
	err := e.Subscribe(as(viewer.Viewer{}), prepare(t, e, `subscription { stockChanged(variant: "v1") { available warehouse { city } } }`, ""), func(p []byte) error {
		got = append(got, string(p))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`{"errors":[{"message":"the subgraph \"logistics\" did not answer","path":["stockChanged","warehouse"],"extensions":{"code":"SUBGRAPH_UNAVAILABLE","subgraph":"logistics"}}],"data":{"stockChanged":{"available":3,"warehouse":null}}}`,
		`{"errors":[{"message":"no stock today","path":["stockChanged"],"extensions":{"code":"CONFLICT"}}],"data":null}`,
	}
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("got %q", got)
	}
}

// A subscription that the subgraph refuses, as it does while its store is away, ends as an error: a client that is told that it is
// complete does not ask again.
func TestARefusedSubscriptionIsAnError(t *testing.T) {
	e, m, _ := newStock(t)
	m["inventory"].before = func(context.Context, *http.Request) (*http.Response, error) {
		r := reply(200, "event: next\ndata: {\"errors\":[{\"message\":\"away\",\"path\":[\"ticks\"],\"extensions\":{\"code\":\"STORE_UNAVAILABLE\",\"stack\":\"secret\"}}],\"data\":null}\n\nevent: complete\n\n")
		r.Header.Set("Content-Type", "text/event-stream; charset=utf-8")
		return r, nil
	}
	n := 0
	err := e.Subscribe(as(viewer.Viewer{}), prepare(t, e, `subscription { ticks }`, ""), func([]byte) error { n++; return nil })
	var es Errors
	if n != 0 || !errors.As(err, &es) || es[0].Code() != "STORE_UNAVAILABLE" || es[0].Extensions["stack"] != nil {
		t.Errorf("%d events, then %v", n, err)
	}
}

func TestAStreamThatCannotBeOpenedIsAnError(t *testing.T) {
	for name, fail := range breakages {
		e, m, _ := newStock(t)
		m["inventory"].before = fail
		err := e.Subscribe(as(viewer.Viewer{}), prepare(t, e, `subscription { ticks }`, ""), func([]byte) error { return nil })
		var es Errors
		if !errors.As(err, &es) || len(es) != 1 {
			t.Errorf("%s: got %v", name, err)
			continue
		}
		if name != "panic" && (es[0].Code() != CodeSubgraph || es[0].Path[0] != "ticks") {
			t.Errorf("%s: got %+v", name, es[0])
		}
	}
}

func TestAStreamThatBreaksIsAnError(t *testing.T) {
	e, m, _ := newStock(t)
	m["inventory"].before = func(context.Context, *http.Request) (*http.Response, error) {
		r := reply(200, "event: next\ndata: {\"data\":{\"ticks\":1}}\n\n")
		r.Header.Set("Content-Type", "text/event-stream; charset=utf-8")
		return r, nil
	}
	n := 0
	err := e.Subscribe(as(viewer.Viewer{}), prepare(t, e, `subscription { ticks }`, ""), func([]byte) error { n++; return nil })
	var es Errors
	if n != 1 || !errors.As(err, &es) || es[0].Code() != CodeSubgraph {
		t.Errorf("%d events, then %v", n, err)
	}
}
