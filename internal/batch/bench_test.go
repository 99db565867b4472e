package batch_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/souk-shop/souk/internal/batch"
)

// What a group costs by itself: the run does nothing. Callers have a context that can end, as requests do.
func BenchmarkDo(b *testing.B) {
	for _, keys := range []int{1, 100} {
		for _, callers := range []int{1, 16, 256, 4096} {
			b.Run(fmt.Sprintf("keys=%d/callers=%d", keys, callers), func(b *testing.B) {
				bench(b, callers, keys, batch.Config{}, 0)
			})
		}
	}
	b.Run("keys=1/callers=256/metrics", func(b *testing.B) {
		bench(b, 256, 1, batch.Config{Metrics: prometheus.NewRegistry()}, 0)
	})
}

// What Linger and Pipeline do when a transaction takes a millisecond, as a commit to disk does.
func BenchmarkCommit(b *testing.B) {
	for name, cfg := range map[string]batch.Config{
		"plain":      {},
		"linger":     {Linger: 200 * time.Microsecond},
		"pipeline=2": {Pipeline: 2},
		"both":       {Pipeline: 2, Linger: 200 * time.Microsecond},
	} {
		for _, callers := range []int{1, 256} {
			b.Run(fmt.Sprintf("%s/callers=%d", name, callers), func(b *testing.B) {
				bench(b, callers, 1, cfg, time.Millisecond)
			})
		}
	}
}

func bench(b *testing.B, callers, keys int, cfg batch.Config, commit time.Duration) {
	results := make([]batch.Result[int], 512)
	g := batch.New(func(_ context.Context, _ int, reqs []int) ([]batch.Result[int], error) {
		if commit > 0 {
			time.Sleep(commit)
		}
		return results[:len(reqs)], nil
	}, cfg)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var wg sync.WaitGroup
	each := b.N/callers + 1
	b.ReportAllocs()
	b.ResetTimer()
	for c := range callers {
		wg.Go(func() {
			for i := range each {
				if _, err := g.Do(ctx, (c+i)%keys, i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(each*callers)/b.Elapsed().Seconds(), "req/s")
	if err := g.Close(ctx); err != nil {
		b.Error(err)
	}
}
