package main

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"
)

const (
	benchCallers = 32
	mostCalls    = 4000 // of one caller: a machine of any speed does a bounded amount of work
	warmUps      = 3    // calls of each caller before the clock runs
)

// timings is how long each of many answers took.
type timings struct {
	took    []time.Duration // of the answers that were right, shortest first
	elapsed time.Duration   // from the first call to the last answer
	wrong   int             // answers that were not what was asked for
	first   error           // why the first of these was wrong
}

// percentile is the exact p-th: the smallest time that p percent of the answers did not exceed. Without answers it is 0.
func (t timings) percentile(p float64) time.Duration {
	if len(t.took) == 0 {
		return 0
	}
	rank := int(math.Ceil(p / 100 * float64(len(t.took))))
	return t.took[min(max(rank, 1), len(t.took))-1]
}

func (t timings) perSecond() float64 {
	if t.elapsed <= 0 {
		return 0
	}
	return float64(len(t.took)) / t.elapsed.Seconds()
}

// load lets so many callers call at once, each again and again, until the time is up. What is under way then is waited for and counted.
func load(ctx context.Context, callers int, how time.Duration, call func(ctx context.Context, caller, n int) error) (timings, error) {
	each := make([]timings, callers)
	round := func(calls int, until time.Time) {
		var wg sync.WaitGroup
		for c := range each {
			wg.Go(func() {
				for n := 0; n < calls && ctx.Err() == nil && time.Now().Before(until); n++ {
					each[c].count(func() error { return call(ctx, c, n) })
				}
			})
		}
		wg.Wait()
	}
	round(warmUps, time.Now().Add(how))
	for c := range each {
		each[c].took = nil // what was wrong stays wrong
	}
	began := time.Now()
	round(mostCalls, began.Add(how))
	all := timings{elapsed: time.Since(began)}
	for _, t := range each {
		all.took = append(all.took, t.took...)
		all.wrong += t.wrong
		if all.first == nil {
			all.first = t.first
		}
	}
	slices.Sort(all.took)
	return all, ctx.Err()
}

func (t *timings) count(call func() error) {
	began := time.Now()
	if err := call(); err != nil {
		t.wrong++
		if t.first == nil {
			t.first = err
		}
		return
	}
	t.took = append(t.took, time.Since(began))
}
