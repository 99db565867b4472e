package postgres_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/viewer"
)

// Callers who each want a unit of one sale, each as another account, while there are units and when there are none. Besides the
// rate it tells what a booking takes of the server's CPU, which others on the machine do not change.
func BenchmarkRush(b *testing.B) {
	for _, callers := range []int{16, 256} {
		b.Run(fmt.Sprintf("booked/%d", callers), func(b *testing.B) { benchRush(b, callers, b.N) })
		b.Run(fmt.Sprintf("soldout/%d", callers), func(b *testing.B) { benchRush(b, callers, 0) })
	}
}

func benchRush(b *testing.B, callers, units int) {
	w := open(b)
	const before = 5_000 // bookings that are there already
	saleID := w.sale(w.plan(before+units, w.goods.Stocked(1_000_000)))
	w.rush(b, saleID, 256, before)
	took := w.serverCPU(b)
	b.ResetTimer()
	booked := w.rush(b, saleID, callers, b.N)
	b.StopTimer()
	if booked != units {
		b.Errorf("%d booked of %d", booked, units)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "answers/s")
	b.ReportMetric(float64((w.serverCPU(b)-took).Microseconds())/float64(b.N), "server-µs/op")
}

func (w *world) rush(b *testing.B, saleID string, callers, requests int) int {
	var left, booked atomic.Int64
	left.Store(int64(requests))
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				res, err := w.sales.Book(b.Context(), viewer.Viewer{AccountID: id.New(id.Account)}, saleID, "", id.New(id.Event))
				if err != nil {
					b.Error(err)
				}
				if res.Booking != nil {
					booked.Add(1)
				}
			}
		})
	}
	wg.Wait()
	return int(booked.Load())
}

// serverCPU is what the backends of this database took so far; 0 where there is no /proc.
func (w *world) serverCPU(b *testing.B) (took time.Duration) {
	rows, err := w.pool.Query(b.Context(), `SELECT pid FROM pg_stat_activity WHERE datname = current_database()`)
	if err != nil {
		b.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var pid int
		if err := rows.Scan(&pid); err != nil {
			b.Fatal(err)
		}
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		if len(fields) < 13 {
			continue
		}
		user, _ := strconv.Atoi(fields[11])
		system, _ := strconv.Atoi(fields[12])
		took += time.Duration(user+system) * 10 * time.Millisecond
	}
	return took
}
