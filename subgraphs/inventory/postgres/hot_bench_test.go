package postgres_test

import (
	"fmt"
	"testing"

	"github.com/souk-shop/souk/subgraphs/inventory"
)

// Many holds of one variant in one transaction, as callers who meet make them.
func BenchmarkHoldTogether(b *testing.B) {
	s := open(b)
	w := s.warehouse("BLR-1")
	for _, n := range []int{1, 16, 256} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			v := s.stocked(1_000_000, w)
			report := s.cpu(b)
			for b.Loop() {
				requests := make([]inventory.HoldRequest, n)
				for i := range requests {
					var err error
					if requests[i], err = inventory.RequestHold(s.request(lines(1, v)...)); err != nil {
						b.Fatal(err)
					}
				}
				answers, err := s.store.Hold(b.Context(), requests, s.clock.Now())
				if err != nil || answers[n-1].Reply.ReservationID == "" {
					b.Fatal(answers, err)
				}
			}
			report(n * b.N)
			b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "holds/s")
		})
	}
}
