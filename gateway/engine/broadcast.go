package engine

import (
	"context"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/wundergraph/graphql-go-tools/v2/pkg/engine/resolve"

	"github.com/souk-shop/souk/gateway/supergraph"
	"github.com/souk-shop/souk/internal/viewer"
)

// A broadcast is one stream to a subgraph for all who ask the same of a subscription that tells everybody the same: an event is
// resolved and written once, however many listen. Each event says by itself how things stand, so whoever comes later hears the last
// one first, and whoever is slow misses those in between. So do all when there are so many that an event comes while they are still
// being told the one before: from then on it is the new one that is told.
type broadcast struct {
	of     *broadcasts
	key    string
	hangUp context.CancelFunc
	bell   chan struct{} // there is something to tell
	newest atomic.Pointer[news]
	done   chan struct{} // closed when it is over and everybody was told the last event

	listening int // the lock of all broadcasts guards these five
	gone      int // who left and may be on the list still
	arrived   []*listener
	over      bool
	err       error // why; there to read once done is closed

	list []*listener // the crier's alone
}

// broadcasts are those that somebody listens to, by what was asked.
type broadcasts struct {
	log *slog.Logger
	mu  sync.Mutex
	on  map[string]*broadcast
}

// News is one event.
type news struct{ event []byte }

// A listener hears events, one at a time and never an older one after a newer.
type listener struct {
	hear atomic.Pointer[func(event []byte)] // which does not wait; nil once he has left
	over func(error)                        // told, if he has not left, why there are no more; may be nil
	told *news                              // the last he heard; the crier's alone
}

// tellsAllTheSame tells whether the subscription is marked so, and asks for nothing that is not everybody's to see.
func (e *Engine) tellsAllTheSame(op *Operation) bool {
	root := op.document.plan.response.Data
	for _, f := range root.Fields {
		if f.Info == nil || !e.shared[supergraph.Coordinate{Type: f.Info.ExactParentTypeName, Field: f.Info.Name}] {
			return false
		}
	}
	return e.everybodys(root)
}

func (e *Engine) everybodys(n resolve.Node) bool {
	switch n := n.(type) {
	case *resolve.Array:
		return e.everybodys(n.Item)
	case *resolve.Object:
		for _, f := range n.Fields {
			if f.Info == nil {
				return false
			}
			if _, guarded := e.rules[supergraph.Coordinate{Type: f.Info.ExactParentTypeName, Field: f.Info.Name}]; guarded || !e.everybodys(f.Value) {
				return false
			}
		}
	}
	return true
}

// TellsAllTheSame tells whether the operation can be followed.
func (e *Engine) TellsAllTheSame(op *Operation) bool {
	return op.Kind() == Subscription && e.tellsAllTheSame(op)
}

// Follow is Subscribe for an operation that TellsAllTheSame, but returns at once: many listen, and none of them needs a goroutine to
// wait in. hear hears each event, or the newest of those that came while others were told; it must not wait, and may be at an event
// still when ctx has ended. The event is everybody's, and stays as it is. over is called once, with what Subscribe would return; when
// hear panics, that is over for this one.
func (e *Engine) Follow(ctx context.Context, op *Operation, hear func(event []byte), over func(error)) {
	_, err := contained(e.log, func() (struct{}, error) {
		if err := e.mayListen(ctx, op); err != nil {
			return struct{}{}, err
		}
		b, l := e.attend(ctx, op, hear, func(err error) { over(e.outcome(ctx, op, err)) })
		context.AfterFunc(ctx, func() {
			if b.leave(l) {
				over(nil)
			}
		})
		return struct{}{}, nil
	})
	if err != nil {
		over(err)
	}
}

// join listens to the broadcast of what the operation asks, for a subscriber who may take his time.
func (e *Engine) join(ctx context.Context, op *Operation, event func([]byte) error) error {
	newest := make(chan []byte, 1)
	b, l := e.attend(ctx, op, func(event []byte) {
		select {
		case <-newest: // what was not taken is old now
		default:
		}
		newest <- event // nobody else puts anything in
	}, nil)
	defer b.leave(l)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case news := <-newest:
			if err := event(news); err != nil {
				return err
			}
			continue
		case <-b.done:
		}
		select {
		case news := <-newest:
			if err := event(news); err != nil {
				return err
			}
		default:
		}
		return b.err
	}
}

// attend joins a broadcast, which begins with its first listener and ends with its last.
func (e *Engine) attend(ctx context.Context, op *Operation, hear func([]byte), over func(error)) (*broadcast, *listener) {
	// Words and prices may depend on where the viewer is, whoever that is.
	was := viewer.From(ctx)
	everybody := viewer.Viewer{Country: was.Country, Language: was.Language, Currency: was.Currency}
	digest := digestOf(strconv.FormatUint(op.document.plan.id, 16), callerOf(everybody).fingerprint, string(op.variables))
	key, l := string(digest[:]), &listener{over: over}
	l.hear.Store(&hear)
	e.broadcasts.mu.Lock()
	defer e.broadcasts.mu.Unlock()
	if b := e.broadcasts.on[key]; b != nil {
		b.add(l)
		return b, l
	}
	stream, hangUp := context.WithCancel(viewer.With(context.Background(), everybody)) // nobody's in particular: it outlives whoever began it
	b := newBroadcast(&e.broadcasts, key, hangUp)
	b.add(l)
	if e.broadcasts.on == nil {
		e.broadcasts.on = map[string]*broadcast{}
	}
	e.broadcasts.on[key] = b
	go b.cry()
	go b.end(func() error {
		return e.stream(stream, op, func(payload []byte) error { b.tell(payload); return nil })
	})
	return b, l
}

func newBroadcast(of *broadcasts, key string, hangUp context.CancelFunc) *broadcast {
	return &broadcast{of: of, key: key, hangUp: hangUp, bell: make(chan struct{}, 1), done: make(chan struct{})}
}

func (b *broadcast) add(l *listener) {
	b.listening++
	b.arrived = append(b.arrived, l)
	b.ring()
}

func (b *broadcast) ring() {
	select {
	case b.bell <- struct{}{}:
	default: // rung already
	}
}

func (b *broadcast) tell(event []byte) {
	b.newest.Store(&news{event})
	b.ring()
}

// end runs the stream and ends the broadcast with it.
func (b *broadcast) end(run func() error) {
	_, err := contained(b.of.log, func() (struct{}, error) { return struct{}{}, run() })
	b.of.mu.Lock()
	defer b.of.mu.Unlock()
	b.close()
	b.err, b.over = err, true
	b.ring()
}

// leave tells whether the listener was still there.
func (b *broadcast) leave(l *listener) bool {
	if l.hear.Swap(nil) == nil {
		return false
	}
	b.of.mu.Lock()
	defer b.of.mu.Unlock()
	b.gone++
	if b.listening--; b.listening == 0 {
		b.close()
	}
	if b.gone > b.listening/2 {
		b.ring() // so that the crier forgets them, though there may be nothing to tell for hours
	}
	return true
}

// close makes way for another broadcast of the same.
func (b *broadcast) close() {
	b.hangUp()
	if b.of.on[b.key] == b {
		delete(b.of.on, b.key)
	}
}
