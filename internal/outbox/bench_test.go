package outbox_test

import (
	"slices"
	"testing"

	"github.com/souk-shop/souk/internal/natstest"
	"github.com/souk-shop/souk/internal/outbox"
	"github.com/souk-shop/souk/internal/pgtest"
)

// From one commit to the other: an event is recorded, told, and its effect is committed.
func BenchmarkOneEvent(b *testing.B) {
	pool, nc := pgtest.New(b, migrations), natstest.New(b)
	handle, handled := effects()
	background(b, outbox.Relay(pool, nc.Streams, quiet))
	background(b, outbox.Consume(pool, nc.Streams, outbox.Consumer{Name: "bench", Subjects: []string{subject}}, handle, quiet))
	n := 0
	for b.Loop() {
		n++
		record(b, pool, n)
		<-handled
	}
}

// A backlog: so many events a second are told, and handled in order by one consumer or eight at a time.
func BenchmarkBacklog(b *testing.B) {
	for name, c := range map[string]outbox.Consumer{"in order": {Name: "bench"}, "8 at once": {Name: "bench", Parallel: 8}} {
		b.Run(name, func(b *testing.B) {
			pool, nc := pgtest.New(b, migrations), natstest.New(b)
			const events = 5000
			n := 0
			for b.Loop() {
				b.StopTimer()
				for lot := range slices.Chunk(upTo(events), 1000) {
					for i := range lot {
						lot[i] += n
					}
					record(b, pool, lot...)
				}
				n += events
				handle, handled := effects()
				c.Subjects = []string{subject}
				b.StartTimer()
				relay := background(b, outbox.Relay(pool, nc.Streams, quiet))
				consume := background(b, outbox.Consume(pool, nc.Streams, c, handle, quiet))
				for range events {
					<-handled
				}
				b.StopTimer()
				relay()
				consume()
				b.StartTimer()
			}
			b.ReportMetric(float64(events*b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
