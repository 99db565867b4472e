package engine

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
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
		listeners += b.listening
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
	e, _, events := newTicker(t)
	quick := listen(t, e, viewer.Viewer{}, ticks)
	reads, heard, ended := make(chan struct{}), make(chan string), make(chan error)
	op := prepare(t, e, ticks, "")
	go func() {
		ended <- e.Subscribe(as(viewer.Viewer{}), op, func(p []byte) error { heard <- string(p); <-reads; return nil })
	}()
	e.await(t, 2)
	events <- 1
	<-quick.heard
	<-heard
	for n := 2; n <= 4; n++ {
		events <- n
		<-quick.heard
	}
	e.tellEverybody(t)
	reads <- struct{}{}
	if got := <-heard; got != `{"data":{"ticks":4}}` {
		t.Error("after reading the first, it read", got)
	}
	close(reads)
	close(events)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	<-quick.ended
}

// tellEverybody returns when all who listen have been told what there is: whoever comes now is told after them.
func (e *Engine) tellEverybody(t testing.TB) {
	told := listen(t, e, viewer.Viewer{}, ticks)
	<-told.heard
	told.leave()
	<-told.ended
}

// When an event comes while the one before it is still being told, as it is when there are many to tell, those in between are not told at all.
func TestTheCrierTellsTheNewest(t *testing.T) {
	e, _, events := newTicker(t)
	op := prepare(t, e, ticks, "")
	busy, free := make(chan string), make(chan struct{})
	ended := make(chan error)
	go func() {
		e.Follow(as(viewer.Viewer{}), op, func(p []byte) { busy <- string(p); <-free }, func(err error) { ended <- err })
	}()
	events <- 1
	<-busy
	events <- 2
	events <- 3
	events <- 4 // so that the third is known to be with the broadcast
	e.awaitNews(t, `{"data":{"ticks":4}}`)
	free <- struct{}{}
	if got := <-busy; got != `{"data":{"ticks":4}}` {
		t.Error("heard", got)
	}
	close(events) // the last is told before the end is
	free <- struct{}{}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Who is yet to be told when another event comes is told that one, and who was told the one before it hears it next.
func TestTheCrierChangesHisTune(t *testing.T) {
	b := newBroadcast(&broadcasts{}, "", func() {})
	busy, free, heard := make(chan string), make(chan struct{}), make(chan string, 10)
	for _, hear := range []func([]byte){
		func(event []byte) { busy <- string(event); <-free },
		func(event []byte) { heard <- string(event) },
	} {
		l := &listener{}
		l.hear.Store(&hear)
		b.add(l)
	}
	b.tell([]byte("1"))
	go b.cry()
	<-busy
	b.tell([]byte("2"))
	free <- struct{}{}
	if first, second := <-busy, <-heard; first != "2" || second != "2" {
		t.Error(first, second)
	}
	free <- struct{}{}
	b.end(func() error { return nil })
	<-b.done
	if len(heard) > 0 {
		t.Error("heard twice")
	}
}

// A bug in one listener ends what he listens to, and nothing else.
func TestTheCrierSurvivesAListener(t *testing.T) {
	e, m, events := newTicker(t)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	op := prepare(t, e, ticks, "")
	broken, fine := make(chan error, 1), listen(t, e, viewer.Viewer{}, ticks)
	e.Follow(as(viewer.Viewer{}), op, func([]byte) { panic("a bug") }, func(err error) { broken <- err })
	e.Follow(as(viewer.Viewer{}), op, func([]byte) {}, func(error) { panic("another") })
	e.await(t, 3)
	events <- 1
	if got := <-fine.heard; got != `{"data":{"ticks":1}}` {
		t.Error(got)
	}
	var es Errors
	if err := <-broken; !errors.As(err, &es) || es[0].Code() != CodeInternal {
		t.Errorf("got %v", err)
	}
	e.await(t, 2)
	events <- 2
	if got := <-fine.heard; got != `{"data":{"ticks":2}}` {
		t.Error(got)
	}
	close(events)
	if err := <-fine.ended; err != nil {
		t.Error(err)
	}
	if f := m.fetches(); len(f) != 1 {
		t.Errorf("%d streams", len(f))
	}
}

// awaitNews waits until a broadcast has an event.
func (e *Engine) awaitNews(t testing.TB, event string) {
	t.Helper()
	for {
		e.broadcasts.mu.Lock()
		for _, b := range e.broadcasts.on {
			if n := b.newest.Load(); n != nil && string(n.event) == event {
				e.broadcasts.mu.Unlock()
				return
			}
		}
		e.broadcasts.mu.Unlock()
		if t.Context().Err() != nil {
			t.Fatal("it never came")
		}
		time.Sleep(time.Millisecond)
	}
}

// Many listen, and come and go while they are told: each hears rising counts, at most once each, and who stays hears the last.
func TestManyListenersComeAndGo(t *testing.T) {
	e, m, events := newTicker(t)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	op := prepare(t, e, ticks, "")
	const stay, pass, last = 1000, 200, 50
	follow := func(ctx context.Context, heard *atomic.Int64, then func()) error {
		ended := make(chan error)
		e.Follow(ctx, op, func(p []byte) {
			var event struct{ Data struct{ Ticks int64 } }
			if err := json.Unmarshal(p, &event); err != nil {
				t.Error(err)
			}
			if was := heard.Swap(event.Data.Ticks); was >= event.Data.Ticks {
				t.Errorf("heard %d after %d", event.Data.Ticks, was)
			}
			then()
		}, func(err error) { ended <- err })
		return <-ended
	}
	var heard [stay]atomic.Int64
	var staying, passing sync.WaitGroup
	for i := range stay {
		staying.Go(func() {
			if err := follow(as(viewer.Viewer{}), &heard[i], func() {}); err != nil {
				t.Error(err)
			}
		})
	}
	e.await(t, stay)
	for range pass {
		passing.Go(func() {
			for heard[0].Load() < last {
				var once atomic.Int64
				ctx, leave := context.WithCancel(as(viewer.Viewer{}))
				follow(ctx, &once, leave)
				leave()
				if once.Load() == 0 {
					t.Error("left unheard")
				}
			}
		})
	}
	for n := range last {
		events <- n + 1
	}
	passing.Wait()
	close(events)
	staying.Wait()
	for i := range stay {
		if n := heard[i].Load(); n != last {
			t.Errorf("%d heard %d last", i, n)
		}
	}
	if f := m.fetches(); len(f) != 1 {
		t.Errorf("%d streams", len(f))
	}
}

// Of those who left nothing stays with a broadcast that goes on.
func TestWhoLeftIsForgotten(t *testing.T) {
	b := newBroadcast(&broadcasts{}, "", func() {})
	go b.cry()
	b.tell([]byte("1"))
	join := func() (*listener, chan string) {
		heard := make(chan string, 10)
		l, hear := &listener{}, func(event []byte) { heard <- string(event) }
		l.hear.Store(&hear)
		b.of.mu.Lock()
		b.add(l)
		b.of.mu.Unlock()
		return l, heard
	}
	_, stays := join()
	<-stays
	for range 1000 {
		l, heard := join()
		<-heard
		b.leave(l)
	}
	b.end(func() error { return nil })
	<-b.done
	if len(b.list) > 10 {
		t.Errorf("%d are on the list", len(b.list))
	}
}

// Nor does it wait for news.
func TestWhoLeftIsForgottenInSilence(t *testing.T) {
	b := newBroadcast(&broadcasts{}, "", func() {})
	await := func(what func() bool) {
		for is := false; !is; {
			if t.Context().Err() != nil {
				t.Fatal("it never came")
			}
			time.Sleep(time.Millisecond)
			b.of.mu.Lock()
			is = what()
			b.of.mu.Unlock()
		}
	}
	hear := func([]byte) {}
	var all []*listener
	for range 100 {
		l := &listener{}
		l.hear.Store(&hear)
		b.add(l)
		all = append(all, l)
	}
	go b.cry()
	await(func() bool { return b.arrived == nil })
	for _, l := range all[1:] {
		b.leave(l)
	}
	await(func() bool { return b.gone == 0 })
	b.end(func() error { return nil })
	<-b.done
}
