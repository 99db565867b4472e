package main

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// everyMinute does chores until ctx ends. One that fails is logged, and comes again a minute later.
func (e *env) everyMinute(part string, chores ...func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		tick := time.NewTicker(time.Minute)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
			var errs []error
			for _, chore := range chores {
				errs = append(errs, chore(ctx))
			}
			if err := errors.Join(errs...); err != nil && ctx.Err() == nil {
				e.log.Error("chores", "part", part, "error", err)
			}
		}
	}
}

func newForgot() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "souk_forgotten_total", Help: "Rows and documents that were removed because SOUK_RETENTION was over.",
	}, []string{"part", "what"})
}

// forgetting is a chore that removes what has been there for longer than things are kept, and says how much that was.
func (e *env) forgetting(part, what string, forget func(ctx context.Context, before time.Time) (int64, error)) func(context.Context) error {
	forgot := e.forgot.WithLabelValues(part, what) // there from the start, at 0
	return func(ctx context.Context) error {
		n, err := forget(ctx, e.clock.Now().Add(-e.kept))
		if n > 0 {
			forgot.Add(float64(n))
			e.log.Info("forgotten", "part", part, "what", what, "number", n)
		}
		return err
	}
}
