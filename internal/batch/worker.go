package batch

import (
	"runtime"
	"slices"
	"time"
)

// idleFor is how long a worker stays for the next batch. It saves a busy key a new goroutine, and a new stack, for each.
const idleFor = 5 * time.Second

// A worker runs one batch at a time, of whichever lane is first in line, and goes when nobody needs it for a while.
type worker[K comparable, Req, Res any] struct {
	*Group[K, Req, Res]
	called chan struct{}
	idling *time.Timer

	// What it has in hand; its own while it runs.
	lane *lane[K, Req, Res]
	lot  []*waiter[K, Req, Res] // nil where answered
	reqs []Req
	runs int
	last error // why the last run failed
}

// wake makes sure that a worker comes for the line, if one is free. The lock is held.
func (g *Group[K, Req, Res]) wake() {
	switch {
	case len(g.idle) > 0:
		g.dismiss()
	case g.workers < g.cfg.Concurrency:
		g.workers++
		w := &worker[K, Req, Res]{Group: g, called: make(chan struct{}, 1)}
		go w.work()
	}
}

// dismiss ends the idling of the worker that idled least, whose stack and buffers are warm.
func (g *Group[K, Req, Res]) dismiss() {
	n := len(g.idle) - 1
	w := g.idle[n]
	g.idle[n] = nil
	g.idle = g.idle[:n]
	w.called <- struct{}{}
}

func (w *worker[K, Req, Res]) work() {
	w.mu.Lock()
	defer w.leave()
	for {
		l := w.line.pop()
		if l == nil {
			if !w.rest() {
				return
			}
			continue
		}
		w.lot = l.take(w.lot[:0], w.cfg.MaxSize)
		w.depth -= len(w.lot)
		w.metrics.waiting(-len(w.lot))
		if len(w.lot) == 0 { // all of them withdrew
			w.schedule(l)
			continue
		}
		w.lane = l
		l.running++
		l.latest = len(w.lot)
		w.schedule(l)
		w.mu.Unlock()

		start := time.Now()
		ran := w.serve(start)
		took := time.Since(start)
		if ran > 1 {
			// Let those just answered ask again, or the first of them would have the next batch for itself.
			runtime.Gosched()
		}

		w.mu.Lock()
		if ran > 0 {
			w.pace += (took - w.pace) / 8
		}
		w.lane = nil
		w.finish(l, ran)
	}
}

// rest waits until called, and tells whether there may be work. The lock is held before and after.
func (w *worker[K, Req, Res]) rest() bool {
	if w.closed {
		return false
	}
	if w.idling == nil {
		w.idling = time.NewTimer(idleFor)
	} else {
		w.idling.Reset(idleFor)
	}
	w.idle = append(w.idle, w)
	w.mu.Unlock()
	select {
	case <-w.called:
		w.mu.Lock()
		return true
	case <-w.idling.C:
	}
	w.mu.Lock()
	if i := slices.Index(w.idle, w); i >= 0 {
		w.idle = slices.Delete(w.idle, i, i+1)
		return false
	}
	<-w.called // it was, in the same moment
	return true
}

// leave takes the worker off the books. With a lane in hand it is on its way out by runtime.Goexit, called in run
// (as a test's FailNow does): nobody may be left waiting for that.
func (w *worker[K, Req, Res]) leave() {
	if w.lane != nil {
		w.giveUp(w.lot)
		w.mu.Lock()
		w.finish(w.lane, len(w.lot))
	}
	w.workers--
	if w.line.length > 0 {
		w.wake()
	}
	if w.closed && w.workers == 0 {
		close(w.drained)
	}
	w.mu.Unlock()
}
