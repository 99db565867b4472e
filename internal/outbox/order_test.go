package outbox_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/souk-shop/souk/internal/outbox"
)

// Events are told in the order in which they were recorded, those of one transaction, of many in a lot and of two lots, wherever the rows are.
func TestALotIsToldInItsOrder(t *testing.T) {
	pool, nc := setup(t)
	if _, err := pool.Exec(t.Context(), `ALTER TABLE outbox SET (autovacuum_enabled = off)`); err != nil { // whose look at it would keep rows
		t.Fatal(err)
	}
	record(t, pool, upTo(2000)...)
	// There is room again in front of the rows that are left, so those that follow come to be before them.
	for _, sql := range []string{`DELETE FROM outbox WHERE event_id NOT IN ('evt-1', 'evt-2000')`, `VACUUM outbox`} {
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	want := []int{1, 2000}
	more := func(numbers ...int) {
		record(t, pool, numbers...)
		want = append(want, numbers...)
	}
	for n := range 30 {
		more(2001 + n) // alone
	}
	for n := 60; n > 0; n-- { // ten in a transaction, of names that rise in none of the ways a row might be found
		more(n*7+3000, n*5+2100, n*3+4000, n*11+7000, n*2+9000, n+8000, n*13+10_000, n*4+5000, n*6+6000, n*9+11_000)
	}
	rows, err := pool.Query(t.Context(), `SELECT id FROM outbox ORDER BY ctid`)
	if err != nil {
		t.Fatal(err)
	}
	if ids, err := pgx.CollectRows(rows, pgx.RowTo[int64]); err != nil || slices.IsSorted(ids) {
		t.Fatalf("%d rows lie in their order, which proves nothing: %v", len(ids), err)
	}

	background(t, outbox.Relay(pool, nc.Streams, quiet))
	stream, err := nc.Streams.Stream(t.Context(), "SOUK")
	if err != nil {
		t.Fatal(err)
	}
	c, err := stream.OrderedConsumer(t.Context(), jetstream.OrderedConsumerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range want {
		m, err := c.Next()
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Headers().Get(jetstream.MsgIDHeader); got != fmt.Sprintf("evt-%d", n) {
			t.Fatalf("event %d of %d is %s, recorded was %d", i+1, len(want), got, n)
		}
	}
}
