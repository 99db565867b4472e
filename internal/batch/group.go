package batch

import (
	"context"
	"sync"
	"time"
)

// A Result is what one request of a batch deserves.
type Result[Res any] struct {
	Value Res
	Err   error
}

// A Run does a lot of requests of one key in one transaction. It returns a result for each, in their order, or an
// error (or panics) when nothing of the lot took effect. It may change reqs but must not keep it.
type Run[K comparable, Req, Res any] func(ctx context.Context, key K, reqs []Req) ([]Result[Res], error)

// A Group lets many callers share one run. Use New.
type Group[K comparable, Req, Res any] struct {
	run     Run[K, Req, Res]
	cfg     Config
	metrics *metrics

	base    context.Context // of every run
	abort   context.CancelCauseFunc
	drained chan struct{} // closed when the group is and the last worker has gone
	waiters sync.Pool

	// One lock for the whole group: it is held for some tens of nanoseconds, never while anything runs.
	mu      sync.Mutex
	lanes   map[K]*lane[K, Req, Res]
	spare   []*lane[K, Req, Res]
	line    line[K, Req, Res] // never longer than the workers on their way to it, unless all are busy
	idle    []*worker[K, Req, Res]
	workers int // busy, idle or about to start
	depth   int // waiting, over all lanes
	pace    time.Duration
	closed  bool
}

// New makes a group around run. It starts nothing until somebody calls Do.
// It panics when metrics of the same name but another kind are registered already.
func New[K comparable, Req, Res any](run func(ctx context.Context, key K, reqs []Req) ([]Result[Res], error), cfg Config) *Group[K, Req, Res] {
	g := &Group[K, Req, Res]{
		run: run, cfg: cfg.withDefaults(), metrics: newMetrics(cfg.Metrics, cfg.Name),
		lanes: map[K]*lane[K, Req, Res]{}, drained: make(chan struct{}),
	}
	g.base, g.abort = context.WithCancelCause(context.Background())
	return g
}

// Do submits a request under a key and returns its own answer. Its error is the request's own, one of this package,
// or the error of ctx. When ctx ends first, Do returns at once: a request not yet taken will never run, of one
// that was taken the outcome is unknown.
func (g *Group[K, Req, Res]) Do(ctx context.Context, key K, req Req) (Res, error) {
	var none Res
	if err := ctx.Err(); err != nil {
		return none, err
	}
	w := g.newWaiter(ctx, req)
	if err := g.submit(key, w); err != nil {
		g.recycle(w)
		return none, err
	}
	if gone := ctx.Done(); gone == nil {
		<-w.done
	} else {
		select {
		case <-w.done:
		case <-gone:
			err := ctx.Err()
			if g.withdraw(w) {
				g.recycle(w)
				return none, err
			}
			if w.state.CompareAndSwap(taken, abandoned) {
				return none, err // whoever runs it recycles it
			}
			<-w.done // the answer was first, and knowing is better than not knowing
		}
	}
	answer := w.answer
	g.recycle(w)
	return answer.Value, answer.Err
}

// submit queues a waiter, or says why not.
func (g *Group[K, Req, Res]) submit(key K, w *waiter[K, Req, Res]) error {
	g.mu.Lock()
	if reason, wait := g.refuses(key); reason != "" {
		g.mu.Unlock()
		g.metrics.refused(reason)
		return &Refusal{Reason: reason, PollAfter: after(wait)}
	}
	l := g.open(key)
	l.push(w)
	g.depth++
	g.metrics.waiting(1)
	if l.target > 0 && l.waiting >= l.target {
		l.timer.Stop()
		l.target = 0
	}
	if g.schedule(l) {
		g.wake()
	}
	g.mu.Unlock()
	return nil
}

// refuses tells why the next request of a key is not let in, and how long it will take until there is room.
func (g *Group[K, Req, Res]) refuses(key K) (Reason, time.Duration) {
	if g.closed {
		return Closed, time.Second
	}
	if g.depth >= g.cfg.TotalDepth {
		batches := g.depth/g.cfg.MaxSize + 1
		return GroupFull, g.pace * time.Duration(batches) / time.Duration(g.cfg.Concurrency)
	}
	if l := g.lanes[key]; l != nil && l.waiting >= g.cfg.Depth {
		turns := l.waiting/g.cfg.MaxSize/g.cfg.Pipeline + 1
		return KeyFull, g.pace * time.Duration(turns*(1+g.line.length/g.cfg.Concurrency))
	}
	return "", 0
}

// withdraw takes a request out of its queue, if it is still there.
func (g *Group[K, Req, Res]) withdraw(w *waiter[K, Req, Res]) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if w.state.Load() != waiting {
		return false
	}
	w.lane.remove(w) // a lane left empty is put away by the worker or timer that comes to it
	g.depth--
	g.metrics.waiting(-1)
	return true
}

// Waiting returns how many requests wait, over all keys.
func (g *Group[K, Req, Res]) Waiting() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.depth
}

// Close refuses new requests, finishes those let in, and returns when nothing runs any more. When ctx ends first,
// those still waiting get ErrClosed, running batches are told to stop, and Close returns the error of ctx.
func (g *Group[K, Req, Res]) Close(ctx context.Context) error {
	g.mu.Lock()
	if !g.closed {
		g.closed = true
		for _, l := range g.lanes {
			if l.target > 0 {
				l.timer.Stop()
				l.target = 0
				if g.schedule(l) {
					g.wake()
				}
			}
		}
		for len(g.idle) > 0 {
			g.dismiss()
		}
		if g.workers == 0 {
			close(g.drained)
		}
	}
	g.mu.Unlock()
	select {
	case <-g.drained:
		g.abort(ErrClosed)
		return nil
	case <-ctx.Done():
	}
	select {
	case <-g.drained:
		return nil
	default:
	}
	g.expel()
	g.abort(ErrClosed)
	return ctx.Err()
}

// expel answers all who wait with ErrClosed.
func (g *Group[K, Req, Res]) expel() {
	var out []*waiter[K, Req, Res]
	g.mu.Lock()
	for _, l := range g.lanes {
		out = l.take(out, l.waiting)
	}
	g.depth -= len(out)
	g.metrics.waiting(-len(out))
	g.mu.Unlock()
	for _, w := range out {
		g.tell(w, Result[Res]{Err: ErrClosed})
	}
}
