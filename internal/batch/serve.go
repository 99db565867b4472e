package batch

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"
)

// serve runs the lot in hand and answers everyone in it, and tells how many requests that were.
func (w *worker[K, Req, Res]) serve(start time.Time) (ran int) {
	deadline := w.sift(start)
	if len(w.lot) == 0 {
		return 0
	}
	w.runs, w.last = 0, nil
	ctx, cancel := context.WithDeadline(w.base, deadline)
	defer cancel()
	w.settle(ctx, w.lot)
	w.metrics.batch(len(w.lot), time.Since(start))
	return len(w.lot)
}

// sift drops those who have left, and tells by when the batch must end: there is no use
// in going on when the last of its callers has stopped waiting.
func (w *worker[K, Req, Res]) sift(now time.Time) (deadline time.Time) {
	limit := now.Add(w.cfg.Timeout)
	stay := w.lot[:0]
	for _, c := range w.lot {
		if err := c.ctx.Err(); err != nil {
			w.tell(c, Result[Res]{Err: err})
			continue
		}
		stay = append(stay, c)
		if d, ok := c.ctx.Deadline(); !ok {
			deadline = limit
		} else if d.After(deadline) {
			deadline = d
		}
		w.metrics.waited(now.Sub(c.since))
	}
	clear(w.lot[len(stay):])
	w.lot = stay
	if deadline.After(limit) {
		deadline = limit
	}
	return deadline
}

// settle runs a lot, or its parts, until everyone in it is answered. It tells false
// when the batch is over for those not yet answered too.
func (w *worker[K, Req, Res]) settle(ctx context.Context, lot []*waiter[K, Req, Res]) bool {
	wait := w.cfg.Backoff
	for try := 0; ; try++ {
		if w.runs == w.cfg.MaxRuns {
			return w.over(ErrUndecided)
		}
		w.runs++
		results, verdict, err := w.attempt(ctx, lot)
		switch {
		case err == nil:
			w.metrics.ran("ok")
			for i, c := range lot {
				lot[i] = nil
				w.tell(c, results[i])
			}
			return true
		case ctx.Err() != nil:
			w.metrics.ran("timeout")
			w.last = err
			return w.over(ErrUndecided)
		case verdict == Split && len(lot) > 1:
			w.metrics.ran("split")
			w.last = err
			// The first half first: who came first is served first, in a batch that fails too.
			half := len(lot) / 2
			return w.settle(ctx, lot[:half]) && w.settle(ctx, lot[half:])
		case verdict == Split:
			w.metrics.ran("poison")
			c := lot[0]
			lot[0] = nil
			w.tell(c, Result[Res]{Err: err})
			return true
		case verdict == Retry && try < w.cfg.Retries && w.pause(ctx, wait):
			w.metrics.ran("retry")
			w.last = err
			wait *= 2
		default:
			w.metrics.ran("fail")
			return w.over(err)
		}
	}
}

// attempt is one run of a lot, with whatever goes wrong in it made an error.
func (w *worker[K, Req, Res]) attempt(ctx context.Context, lot []*waiter[K, Req, Res]) (results []Result[Res], verdict Verdict, err error) {
	defer func() {
		clear(w.reqs)
		if v := recover(); v != nil {
			results, verdict, err = nil, Split, &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	w.reqs = w.reqs[:0]
	for _, c := range lot { // afresh each time, since run may have sorted them
		w.reqs = append(w.reqs, c.req)
	}
	results, err = w.run(ctx, w.lane.key, w.reqs)
	if err == nil && len(results) != len(lot) {
		// It may have committed, so it must not run again.
		return nil, Fail, fmt.Errorf("batch: run gave %d results for %d requests", len(results), len(lot))
	}
	if err != nil {
		verdict = w.cfg.Classify(err)
	}
	return results, verdict, err
}

// over gives everyone not yet answered the same error.
func (w *worker[K, Req, Res]) over(err error) bool {
	if w.last != nil && err == error(ErrUndecided) {
		err = fmt.Errorf("%w: %w", ErrUndecided, w.last)
	}
	for i, c := range w.lot {
		if c != nil {
			w.lot[i] = nil
			w.tell(c, Result[Res]{Err: err})
		}
	}
	return false
}

// giveUp answers for a run that ended its goroutine.
func (w *worker[K, Req, Res]) giveUp(lot []*waiter[K, Req, Res]) {
	w.last = fmt.Errorf("batch: run called runtime.Goexit")
	w.over(ErrUndecided)
}

// pause waits before a rerun, and tells whether there is time left for it.
func (w *worker[K, Req, Res]) pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
