package engine

import (
	"context"
	"strconv"
	"sync"

	"github.com/wundergraph/graphql-go-tools/v2/pkg/engine/resolve"

	"github.com/souk-shop/souk/gateway/supergraph"
	"github.com/souk-shop/souk/internal/viewer"
)

// A broadcast is one stream to a subgraph for all who ask the same of a subscription that tells everybody the same: an event is
// resolved and written once, however many listen. Each event says by itself how things stand, so whoever comes later hears the last
// one first, and whoever is slow misses those in between.
type broadcast struct {
	of        *broadcasts
	key       string
	hangUp    context.CancelFunc
	listeners map[*listener]struct{} // the lock of all broadcasts guards these three
	last      []byte
	over      bool

	err error // why it ended; there to read once a listener is told so
}

// broadcasts are those that somebody listens to, by what was asked.
type broadcasts struct {
	mu sync.Mutex
	on map[string]*broadcast
}

// A listener has the newest event that its subscriber did not take yet.
type listener struct {
	mu   sync.Mutex
	news []byte
	over bool
	bell chan struct{}
}

func (l *listener) tell(event []byte, over bool) {
	l.mu.Lock()
	if event != nil {
		l.news = event
	}
	l.over = l.over || over
	l.mu.Unlock()
	select {
	case l.bell <- struct{}{}:
	default: // rung already
	}
}

func (l *listener) take() (news []byte, over bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	news, l.news = l.news, nil
	return news, l.over
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

// join listens to the broadcast of what the operation asks, which begins with its first listener and ends with its last.
func (e *Engine) join(ctx context.Context, op *Operation, event func([]byte) error) error {
	b, l := e.attend(ctx, op)
	defer b.leave(l)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-l.bell:
		}
		news, over := l.take()
		if news != nil {
			if err := event(news); err != nil {
				return err
			}
		}
		if over {
			return b.err
		}
	}
}

func (e *Engine) attend(ctx context.Context, op *Operation) (*broadcast, *listener) {
	// Words and prices may depend on where the viewer is, whoever that is.
	was := viewer.From(ctx)
	everybody := viewer.Viewer{Country: was.Country, Language: was.Language, Currency: was.Currency}
	digest := digestOf(strconv.FormatUint(op.document.plan.id, 16), callerOf(everybody).fingerprint, string(op.variables))
	key, l := string(digest[:]), &listener{bell: make(chan struct{}, 1)}
	e.broadcasts.mu.Lock()
	defer e.broadcasts.mu.Unlock()
	if b := e.broadcasts.on[key]; b != nil {
		b.listeners[l] = struct{}{}
		if b.last != nil {
			l.tell(b.last, false)
		}
		return b, l
	}
	stream, hangUp := context.WithCancel(viewer.With(context.WithoutCancel(ctx), everybody))
	b := &broadcast{of: &e.broadcasts, key: key, hangUp: hangUp, listeners: map[*listener]struct{}{l: {}}}
	if e.broadcasts.on == nil {
		e.broadcasts.on = map[string]*broadcast{}
	}
	e.broadcasts.on[key] = b
	go b.end(func() error {
		return e.stream(stream, op, func(payload []byte) error { b.tell(payload); return nil })
	})
	return b, l
}

func (b *broadcast) tell(event []byte) {
	b.of.mu.Lock()
	defer b.of.mu.Unlock()
	b.last = event
	for l := range b.listeners {
		l.tell(event, false)
	}
}

// end tells all listeners that the stream, which it runs, is over.
func (b *broadcast) end(run func() error) {
	err := run()
	b.of.mu.Lock()
	defer b.of.mu.Unlock()
	b.close()
	b.err = err
	for l := range b.listeners {
		l.tell(nil, true)
	}
}

func (b *broadcast) leave(l *listener) {
	b.of.mu.Lock()
	defer b.of.mu.Unlock()
	if delete(b.listeners, l); len(b.listeners) == 0 {
		b.close()
	}
}

// close makes way for another broadcast of the same.
func (b *broadcast) close() {
	b.hangUp()
	if !b.over {
		b.over = true
		delete(b.of.on, b.key)
	}
}
