package nats_test

import (
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/search"
	searchnats "github.com/souk-shop/souk/subgraphs/search/nats"
)

// BenchmarkFindable measures the time from the event that a product was saved until customers find it.
func BenchmarkFindable(b *testing.B) {
	s := open(b)
	s.run(searchnats.Index(s.search, s.nc.Streams, s.engine.Alias, slog.New(slog.DiscardHandler)))
	var took []time.Duration
	for b.Loop() {
		p := lamp(len(took))
		began := time.Now()
		s.publish(p)
		s.learned(1)
		found, err := s.search.Find(b.Context(), viewer.Viewer{}, search.Query{Filter: search.Filter{SellerID: &p.SellerID}})
		if err != nil || found.Total != 1 {
			b.Fatalf("%+v, %v", found, err)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}
