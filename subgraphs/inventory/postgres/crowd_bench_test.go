package postgres_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/souk-shop/souk/subgraphs/inventory"
	"github.com/souk-shop/souk/subgraphs/inventory/postgres"
)

// 256 callers who hold one variant, each again and again.
func BenchmarkCrowd(b *testing.B) {
	s, metrics := open(b), prometheus.NewRegistry()
	v := s.stocked(1_000_000, s.warehouse("BLR-1"))
	s.inv = inventory.New(postgres.NewStore(s.pool).Gather(postgres.Meeting, metrics), sellsAll{}, s.clock)
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ResetTimer()
	report := s.cpu(b)
	var wg sync.WaitGroup
	for range 256 {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if r, err := s.inv.Hold(b.Context(), s.request(lines(1, v)...)); err != nil || r.ReservationID == "" {
					b.Error(r, err)
				}
			}
		})
	}
	wg.Wait()
	report(b.N)
	if n, batches := shared(b, metrics); batches > 0 {
		b.ReportMetric(float64(n)/float64(batches), "holds/batch")
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "holds/s")
	families, err := metrics.Gather()
	if err != nil {
		b.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "souk_inventory_guesses_total" {
			for _, m := range f.GetMetric() {
				b.ReportMetric(m.GetCounter().GetValue(), m.GetLabel()[0].GetValue())
			}
		}
	}
}

// One caller who holds one variant again and again.
func BenchmarkAlone(b *testing.B) {
	s := open(b)
	v := s.stocked(1_000_000, s.warehouse("BLR-1"))
	s.inv = inventory.New(postgres.NewStore(s.pool).Gather(postgres.Meeting, nil), sellsAll{}, s.clock)
	b.ResetTimer()
	report := s.cpu(b)
	for range b.N {
		s.held(lines(1, v)...)
	}
	report(b.N)
}
