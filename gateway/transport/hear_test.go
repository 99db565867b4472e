package transport_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/souk-shop/souk/gateway/engine"
	"github.com/souk-shop/souk/gateway/transport"
)

// A square is an executor that tells all who ask it anything the same.
type square struct {
	mu    sync.Mutex
	crowd map[transport.Hearer]func()
	came  chan struct{}
	left  chan struct{}
}

func newSquare() *square {
	return &square{crowd: map[transport.Hearer]func(){}, came: make(chan struct{}, 10_000), left: make(chan struct{}, 10_000)}
}

func (q *square) Execute(ctx context.Context, _ engine.Request, to transport.Reply) {
	if err := to.Accept(engine.Subscription, false); err != nil {
		to.Fail(err.(engine.Errors))
		return
	}
	h := to.(transport.Hearer)
	done := sync.OnceFunc(h.Stay())
	q.mu.Lock()
	defer q.mu.Unlock()
	q.crowd[h] = done
	context.AfterFunc(ctx, func() {
		q.mu.Lock()
		delete(q.crowd, h)
		q.mu.Unlock()
		done()
		q.left <- struct{}{}
	})
	q.came <- struct{}{}
}

func (q *square) tell(event string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for h := range q.crowd {
		h.Hear([]byte(event))
	}
}

// over tells everybody that there is no more.
func (q *square) over() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, done := range q.crowd {
		done()
	}
}

func openSquare(t *testing.T, change func(*transport.Config)) (house, *square) {
	q := newSquare()
	return open(t, func(c *transport.Config) {
		c.Executor = q
		if change != nil {
			change(c)
		}
	}), q
}

func count(n int) string { return fmt.Sprintf(`{"data":{"n":%d}}`, n) }

func next(id string, n int) string {
	return fmt.Sprintf(`{"id":%q,"type":"next","payload":%s}`, id, count(n))
}

func TestHear(t *testing.T) {
	h, q := openSquare(t, nil)
	a, b := h.dial(t).greet(), h.dial(t).greet()
	a.send(subscribe("1", "subscription { n }"), subscribe("two", "subscription { n }")) // one socket may hear it twice
	b.send(subscribe("1", "subscription { n }"))
	for range 3 {
		<-q.came
	}
	q.tell(count(1))
	first, second := a.message(), a.message()
	if got := []string{first, second}; !slices.Contains(got, next("1", 1)) || !slices.Contains(got, next("two", 1)) {
		t.Errorf("%q", got)
	}
	b.expect(next("1", 1))
	a.send(complete("two"))
	<-q.left
	q.tell(count(2))
	a.expect(next("1", 2))
	a.send(subscribe("two", "subscription { n }")) // the id is free again
	<-q.came
	b.close()
	<-q.left
	q.tell(count(3))
	q.over()
	want := map[string]bool{next("1", 3): true, next("two", 3): true, complete("1"): true, complete("two"): true}
	for range want {
		got := a.message()
		if !want[got] {
			t.Error(got)
		}
		want[got] = false
	}
	a.send(`{"type":"ping"}`)
	a.expect(`{"type":"pong"}`)
	a.close()
}

func (s *rawSocket) message() string {
	s.t.Helper()
	op, got := s.frame()
	if op != opText {
		s.t.Fatalf("frame %x: %q", op, got)
	}
	return string(got)
}

// Who does not read delays nobody, holds one event and no more, and when he reads hears what was on its way and then the newest.
func TestHearSlowly(t *testing.T) {
	h, q := openSquare(t, nil)
	var quick []*rawSocket
	for range 20 {
		s := h.dial(t).greet()
		s.send(subscribe("1", "subscription { n }"))
		<-q.came
		quick = append(quick, s)
	}
	slow := h.dial(t).greet()
	slow.conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	slow.send(subscribe("s", "subscription { n }"))
	<-q.came
	const last = 2_000 // of 1 KB each, of which the kernel takes some 100 for one who does not read
	padding := strings.Repeat("x", 1000)
	event := func(n int) string { return fmt.Sprintf(`{"data":{"n":%d,"padding":%q}}`, n, padding) }
	var done sync.WaitGroup
	for _, s := range quick {
		done.Go(func() {
			for was, n := 0, 0; n < last; was = n {
				if _, err := fmt.Sscanf(s.message(), `{"id":"1","type":"next","payload":{"data":{"n":%d,`, &n); err != nil || n <= was {
					t.Errorf("%d after %d, %v", n, was, err)
					return
				}
			}
		})
	}
	for n := range last {
		q.tell(event(n + 1))
	}
	done.Wait()
	heard, was := 0, 0
	for n := 0; n < last; was = n {
		if _, err := fmt.Sscanf(slow.message(), `{"id":"s","type":"next","payload":{"data":{"n":%d,`, &n); err != nil || n <= was {
			t.Fatalf("%d after %d, %v", n, was, err)
		}
		heard++
	}
	if heard > last/2 {
		t.Errorf("%d of %d were kept for it", heard, last)
	}
	q.tell(event(last + 1)) // it is as quick as the others again
	if got := slow.message(); !strings.HasPrefix(got, fmt.Sprintf(`{"id":"s","type":"next","payload":{"data":{"n":%d,`, last+1)) {
		t.Errorf("%.80s", got)
	}
	slow.close()
}

// The end follows the newest event even when both had to wait.
func TestHearTheEndSlowly(t *testing.T) {
	h, q := openSquare(t, nil)
	s := h.dial(t).greet()
	s.conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	s.send(subscribe("1", "subscription { n }"), subscribe("2", "subscription { n }"))
	<-q.came
	<-q.came
	large := strings.Repeat("x", 100<<10)
	for n := range 50 {
		q.tell(fmt.Sprintf(`{"data":{"n":%d,"padding":%q}}`, n, large))
	}
	q.tell(`{"data":"last"}`)
	q.over()
	var ends []string
	for len(ends) < 4 {
		if got := s.message(); len(got) < 1000 {
			ends = append(ends, got)
		}
	}
	for _, id := range []string{"1", "2"} {
		at := slices.Index(ends, fmt.Sprintf(`{"id":%q,"type":"next","payload":{"data":"last"}}`, id))
		if end := slices.Index(ends, complete(id)); at < 0 || end < at {
			t.Errorf("%q", ends)
		}
	}
	s.close()
}

// What a client that does not read begins and ends, again and again, is not kept for it.
func TestHearNothingOfWhatIsOver(t *testing.T) {
	h, q := openSquare(t, nil)
	s := h.dial(t).greet()
	s.conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	large := fmt.Sprintf(`{"data":%q}`, strings.Repeat("x", 100<<10))
	for n := range 100 {
		s.send(subscribe(fmt.Sprint(n), "subscription { n }"))
		<-q.came
		q.tell(large)
		s.send(complete(fmt.Sprint(n)))
		<-q.left
	}
	s.send(subscribe("last", "subscription { n }"))
	<-q.came
	q.tell(`{"data":"last"}`)
	heard := 0
	for s.message() != `{"id":"last","type":"next","payload":{"data":"last"}}` {
		heard++
	}
	if heard > 10 {
		t.Errorf("%d of 100 that were over", heard)
	}
	s.close()
}

// Who reads slowly may ping meanwhile, and is not given up for it: nobody waits for room for the answer, which comes in its turn. The
// newest ping is answered.
func TestHearSlowlyAndPing(t *testing.T) {
	h, q := openSquare(t, nil)
	s := h.dial(t).greet()
	s.send(subscribe("1", "subscription { n }"))
	<-q.came
	large := fmt.Sprintf(`{"data":%q}`, strings.Repeat("x", 16<<20)) // more than the kernel takes
	q.tell(large)
	s.conn.Write(append(frame(opPing, "first"), frame(opPing, "second")...))
	s.send(complete("1"))
	<-q.left // what came after the pings was read
	s.expect(`{"id":"1","type":"next","payload":` + large + `}`)
	for _, want := range []string{"second", "third", ""} {
		if op, got := s.frame(); op != opPong || string(got) != want {
			t.Errorf("%q is answered by %.80q (frame %x)", want, got, op)
		}
		switch want {
		case "second":
			s.conn.Write(frame(opPing, "third"))
		case "third":
			s.conn.Write(frame(opPing, ""))
		}
	}
	s.close()
}

// Who never reads is given up, as with any other message.
func TestHearNever(t *testing.T) {
	h, q := openSquare(t, func(c *transport.Config) { c.WriteWait = 250 * time.Millisecond })
	s := h.dial(t).greet()
	s.send(subscribe("1", "subscription { n }"))
	<-q.came
	large := fmt.Sprintf(`{"data":%q}`, strings.Repeat("x", 1<<20))
	for {
		select {
		case <-h.sockets.zero:
			return
		default:
			q.tell(large)
		}
	}
}

// While everybody is told counts, operations come and go. Nothing follows a complete that a pong has overtaken, counts rise, and pings
// and other answers pass whole between them.
func TestHearWhileOthersComeAndGo(t *testing.T) {
	h, q := openSquare(t, nil)
	var stop atomic.Bool
	var told sync.WaitGroup
	told.Go(func() {
		for n := 1; !stop.Load(); n++ {
			q.tell(fmt.Sprintf(`{"data":{"n":%d,"padding":%q}}`, n, strings.Repeat("x", rand.IntN(300))))
		}
	})
	var all sync.WaitGroup
	for range 8 {
		s := h.dial(t).greet()
		all.Go(func() {
			live, last := map[string]bool{}, map[string]int{}
			for round := range 300 {
				id := fmt.Sprint(round % 5)
				if !live[id] {
					s.send(subscribe(id, "subscription { n }"))
					live[id], last[id] = true, 0
					continue
				}
				pong := fmt.Sprintf(`{"type":"pong","payload":{"round":%d}}`, round)
				s.send(complete(id), fmt.Sprintf(`{"type":"ping","payload":{"round":%d}}`, round))
				s.conn.Write(frame(opPing, "frame"))
				for answered, ponged := false, false; !answered || !ponged; {
					op, got := s.frame()
					switch {
					case op == opPong && string(got) == "frame":
						ponged = true
						continue
					case string(got) == pong:
						answered, live[id] = true, false
						continue
					case string(got) == `{"type":"ping"}`: // on a machine so slow that all of this takes long
						s.send(`{"type":"pong"}`)
						continue
					case op != opText:
						t.Errorf("frame %x: %q", op, got)
						return
					}
					var of string
					var n int
					if _, err := fmt.Sscanf(string(got), `{"id":%q,"type":"next","payload":{"data":{"n":%d,`, &of, &n); err != nil || !live[of] || n <= last[of] {
						t.Errorf("round %d: %v: %s after %v", round, err, got, last)
						return
					}
					last[of] = n
				}
			}
			if rand.IntN(2) == 0 {
				s.conn.Close()
			} else {
				s.close()
			}
		})
	}
	all.Wait()
	stop.Store(true)
	told.Wait()
}

// Sockets that are told something all the time close as any other, with nothing after the close frame.
func TestHearUntilShutdown(t *testing.T) {
	h, q := openSquare(t, nil)
	var stop atomic.Bool
	var told sync.WaitGroup
	told.Go(func() {
		for n := 0; !stop.Load(); n++ {
			q.tell(count(n))
		}
	})
	var closed sync.WaitGroup
	for range 20 {
		s := h.dial(t).greet()
		s.send(subscribe("1", "subscription { n }"))
		<-q.came
		closed.Go(func() {
			for {
				op, got := s.frame()
				if op == opText {
					continue
				}
				if op != opClose || binary.BigEndian.Uint16(got) != 1001 {
					t.Errorf("frame %x: %q", op, got)
				}
				s.conn.Write(frame(opClose, string(got)))
				if n, err := s.r.Read(make([]byte, 100)); n > 0 || err == nil {
					t.Errorf("%d bytes after the close frame", n)
				}
				return
			}
		})
	}
	if err := h.handler.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	closed.Wait()
	stop.Store(true)
	told.Wait()
}
