package batch

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/souk-shop/souk/internal/fault"
)

// A Config says how much may gather and how much may run. Every zero has a sensible meaning.
type Config struct {
	Name string // the label "batch" of the metrics

	MaxSize int           // most requests in one run; 512
	Linger  time.Duration // longest wait for company after a batch of several; zero waits for nobody

	Pipeline    int // most batches of one key running at once, each as large as the one before or larger; 1
	Concurrency int // most batches running at once over all keys, so most connections used; 8

	Depth      int // most requests waiting under one key; 8 × MaxSize
	TotalDepth int // most requests waiting under all keys; 16 × Depth

	Timeout time.Duration // longest time for a batch, all its runs together; 5 s

	Classify func(error) Verdict // what a failed run means; Judge
	MaxRuns  int                 // most runs for one batch, after which the undecided get ErrUndecided; 128
	Retries  int                 // most reruns of one lot after Retry; 3
	Backoff  time.Duration       // wait before the first rerun, doubled before each next; 5 ms

	Metrics prometheus.Registerer // nil means none
}

// A Verdict says what the failure of a lot means for the requests in it.
type Verdict int

const (
	Split Verdict = iota // a request in the lot is to blame: find it
	Retry                // it will pass: run the same lot again
	Fail                 // it is nobody's fault: tell everyone
)

// Judge is the verdict of a group that was given no other: what is unavailable or out of time fails, all else is split.
func Judge(err error) Verdict {
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), fault.KindOf(err) == fault.Unavailable:
		return Fail
	}
	return Split
}

func (c Config) withDefaults() Config {
	or(&c.MaxSize, 512)
	or(&c.Pipeline, 1)
	or(&c.Concurrency, 8)
	or(&c.Depth, 8*c.MaxSize)
	or(&c.TotalDepth, 16*c.Depth)
	or(&c.Timeout, 5*time.Second)
	or(&c.MaxRuns, 128)
	or(&c.Retries, 3)
	or(&c.Backoff, 5*time.Millisecond)
	if c.Classify == nil {
		c.Classify = Judge
	}
	return c
}

func or[N int | time.Duration](n *N, otherwise N) {
	if *n <= 0 {
		*n = otherwise
	}
}
