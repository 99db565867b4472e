package batch

import (
	"context"
	"sync/atomic"
	"time"
)

// A waiter is one caller's request on its way. States move forward only: waiting → taken under the group's lock,
// taken → answered or abandoned by whichever of worker and caller is first; the loser gives the waiter back to the pool.
type waiter[K comparable, Req, Res any] struct {
	ctx   context.Context // the caller's, to see whether it still wants an answer
	req   Req
	since time.Time // set only when somebody measures

	state      atomic.Int32
	lane       *lane[K, Req, Res]
	prev, next *waiter[K, Req, Res]

	done   chan struct{} // one slot, told once for each use
	answer Result[Res]
}

const (
	waiting int32 = iota
	taken
	answered
	abandoned
)

// tell hands the caller its answer.
func (g *Group[K, Req, Res]) tell(w *waiter[K, Req, Res], r Result[Res]) {
	w.answer = r
	if w.state.CompareAndSwap(taken, answered) {
		w.done <- struct{}{}
	} else {
		g.recycle(w) // the caller left
	}
}

func (g *Group[K, Req, Res]) newWaiter(ctx context.Context, req Req) *waiter[K, Req, Res] {
	w, _ := g.waiters.Get().(*waiter[K, Req, Res])
	if w == nil {
		w = &waiter[K, Req, Res]{done: make(chan struct{}, 1)}
	}
	w.ctx, w.req = ctx, req
	w.state.Store(waiting)
	if g.metrics != nil {
		w.since = time.Now()
	}
	return w
}

// recycle forgets everything about the request, so that the pool keeps nothing alive.
func (g *Group[K, Req, Res]) recycle(w *waiter[K, Req, Res]) {
	var req Req
	w.ctx, w.req, w.answer, w.lane = nil, req, Result[Res]{}, nil
	g.waiters.Put(w)
}
