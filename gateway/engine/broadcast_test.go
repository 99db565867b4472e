package engine

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/souk-shop/souk/gateway/supergraph"
	"github.com/souk-shop/souk/internal/viewer"
)

// newTicker is an engine with a subscription that tells everybody the same.
func newTicker(t testing.TB) (*Engine, mesh, chan any) {
	e, m, events := newStock(t)
	e.shared = map[supergraph.Coordinate]bool{{Type: "Subscription", Field: "ticks"}: true, {Type: "Subscription", Field: "stockChanged"}: true}
	return e, m, events
}

// A listening is somebody who subscribes elsewhere.
type listening struct {
	leave context.CancelFunc
	heard chan string
	ended chan error
}

func listen(t testing.TB, e *Engine, who viewer.Viewer, query string) listening {
	ctx, cancel := context.WithCancel(as(who))
	l := listening{cancel, make(chan string, 10), make(chan error, 1)}
	op := prepare(t, e, query, `{"v":"v1"}`)
	go func() {
		l.ended <- e.Subscribe(ctx, op, func(p []byte) error { l.heard <- string(p); return nil })
	}()
	return l
}

func (e *Engine) audience() (streams, listeners int) {
	e.broadcasts.mu.Lock()
	defer e.broadcasts.mu.Unlock()
	for _, b := range e.broadcasts.on {
		listeners += len(b.listeners)
	}
	return len(e.broadcasts.on), listeners
}

func (e *Engine) await(t testing.TB, listeners int) {
	t.Helper()
	for n := -1; n != listeners; _, n = e.audience() {
		if t.Context().Err() != nil {
			t.Fatal("they never came")
		}
		time.Sleep(time.Millisecond)
	}
}

const ticks = `subscription { ticks }`

func TestAllWhoAskTheSameShareOneStream(t *testing.T) {
	e, m, events := newTicker(t)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	guest, ann := viewer.Viewer{}, viewer.Viewer{AccountID: "acc_ann"}
	first, second := listen(t, e, guest, ticks), listen(t, e, ann, ticks)
	e.await(t, 2)
	events <- 1
	if a, b := <-first.heard, <-second.heard; a != `{"data":{"ticks":1}}` || a != b {
		t.Error(a, b)
	}
	late := listen(t, e, guest, ticks)
	if got := <-late.heard; got != `{"data":{"ticks":1}}` {
		t.Error("who came later heard first", got)
	}
	first.leave() // who began it may leave
	if err := <-first.ended; err != nil {
		t.Error(err)
	}
	events <- 2
	if a, b := <-second.heard, <-late.heard; a != `{"data":{"ticks":2}}` || a != b {
		t.Error(a, b)
	}
	if f := m.fetches(); len(f) != 1 {
		t.Errorf("%q", f)
	}
	second.leave()
	late.leave()
	<-m["inventory"].closed // with its last listener
	again := listen(t, e, guest, ticks)
	events <- 3
	if got := <-again.heard; got != `{"data":{"ticks":3}}` {
		t.Error("an old event was kept:", got)
	}
	close(events)
	if err := <-again.ended; err != nil {
		t.Error("the subgraph was done:", err)
	}
	if streams, _ := e.audience(); streams != 0 {
		t.Errorf("%d streams are left", streams)
	}
}

func TestOthersWordsAreAnotherStream(t *testing.T) {
	e, _, events := newTicker(t)
	places := []viewer.Viewer{{}, {Country: "IN"}, {Country: "US"}, {Language: "hi"}, {Currency: "INR"}}
	var all []listening
	for _, where := range places {
		all = append(all, listen(t, e, where, ticks))
	}
	e.await(t, len(places))
	if streams, _ := e.audience(); streams != len(places) {
		t.Errorf("%d streams for %d places", streams, len(places))
	}
	close(events)
	for _, l := range all {
		<-l.ended
	}
}

func TestWhatIsNotEverybodysIsNotShared(t *testing.T) {
	e, _, events := newTicker(t)
	e.rules[supergraph.Coordinate{Type: "Stock", Field: "available"}] = supergraph.Rule{Authenticated: true}
	l := listen(t, e, viewer.Viewer{AccountID: "acc_ann"}, stockQuery)
	events <- stockOf(3)
	if got := <-l.heard; !strings.Contains(got, `"available":3`) {
		t.Error(got)
	}
	if streams, _ := e.audience(); streams != 0 {
		t.Error("it was")
	}
	close(events)
	<-l.ended
}

func TestEverybodyHearsThatTheStreamBroke(t *testing.T) {
	e, m, _ := newTicker(t)
	hold := make(chan struct{})
	m["inventory"].before = func(context.Context, *http.Request) (*http.Response, error) {
		<-hold
		return nil, errors.New("10.0.0.7")
	}
	a, b := listen(t, e, viewer.Viewer{}, ticks), listen(t, e, viewer.Viewer{}, ticks)
	e.await(t, 2)
	close(hold)
	for _, l := range []listening{a, b} {
		var es Errors
		if err := <-l.ended; !errors.As(err, &es) || es[0].Code() != CodeSubgraph {
			t.Errorf("got %v", err)
		}
	}
}

// Who is slow to take events misses those in between, and slows nobody.
func TestAListenerHasTheNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &broadcast{of: &broadcasts{}, hangUp: func() {}, listeners: map[*listener]struct{}{}}
		slow, quick := &listener{bell: make(chan struct{}, 1)}, &listener{bell: make(chan struct{}, 1)}
		b.listeners[slow], b.listeners[quick] = struct{}{}, struct{}{}
		var heard []string
		var wg sync.WaitGroup
		wg.Go(func() {
			for {
				<-quick.bell
				news, over := quick.take()
				if news != nil {
					heard = append(heard, string(news))
				}
				if over {
					return
				}
			}
		})
		for _, event := range []string{"1", "2", "3"} {
			b.tell([]byte(event))
			synctest.Wait()
		}
		b.end(func() error { return nil })
		wg.Wait()
		if got := strings.Join(heard, ""); got != "123" {
			t.Error(got)
		}
		if news, over := slow.take(); string(news) != "3" || !over {
			t.Errorf("%s %v", news, over)
		}
	})
}
