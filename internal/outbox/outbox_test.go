package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/souk-shop/souk/clients/nats"
	"github.com/souk-shop/souk/clients/postgres"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/natstest"
	"github.com/souk-shop/souk/internal/outbox"
	"github.com/souk-shop/souk/internal/pgtest"
)

var quiet = slog.New(slog.DiscardHandler)

var migrations = fstest.MapFS{
	"migrations/001_outbox.sql": {Data: []byte("-- +goose Up\n" + outbox.Migration + `
		CREATE TABLE effects (nth bigserial PRIMARY KEY, n int NOT NULL);`)},
}

type counted struct {
	N int `json:"n"`
}

const subject = "souk.event.test.counted"

func setup(t *testing.T) (*pgxpool.Pool, *nats.Conn) {
	t.Helper()
	t.Parallel()
	return pgtest.New(t, migrations), natstest.New(t)
}

// background runs work until the test ends, and returns what ends it sooner.
func background(t testing.TB, work func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- work(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("background work ended with %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func record(t testing.TB, pool *pgxpool.Pool, numbers ...int) {
	t.Helper()
	err := outbox.InTx(t.Context(), pool, func(ctx context.Context, tx pgx.Tx) error {
		events := make([]outbox.Event, len(numbers))
		for i, n := range numbers {
			events[i] = outbox.Event{ID: fmt.Sprintf("evt-%d", n), Subject: subject, Payload: counted{n}}
		}
		return outbox.Record(ctx, tx, events...)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// effects returns a handler that has an effect in the database, and a channel that tells each number handled.
func effects() (func(context.Context, pgx.Tx, outbox.Received) error, chan int) {
	handled := make(chan int, 10_000)
	return func(ctx context.Context, tx pgx.Tx, e outbox.Received) error {
		c, err := outbox.Decode[counted](e)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO effects (n) VALUES ($1)`, c.N); err != nil {
			return err
		}
		handled <- c.N
		return nil
	}, handled
}

func effectsOf(t *testing.T, pool *pgxpool.Pool) []int {
	t.Helper()
	rows, err := pool.Query(t.Context(), `SELECT n FROM effects ORDER BY nth`)
	if err != nil {
		t.Fatal(err)
	}
	numbers, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		t.Fatal(err)
	}
	return numbers
}

// settled waits until the consumer has answered for everything in the stream that concerns it.
func settled(t *testing.T, nc *nats.Conn, consumer string, messages uint64) {
	t.Helper()
	for {
		c, err := nc.Streams.Consumer(t.Context(), "SOUK", consumer)
		if err == nil {
			info, err := c.Info(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if info.AckFloor.Consumer >= messages && info.NumPending == 0 && info.NumAckPending == 0 {
				return
			}
		}
		select {
		case <-t.Context().Done():
			t.Fatal("the consumer did not get there")
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func upTo(n int) []int {
	numbers := make([]int, n)
	for i := range numbers {
		numbers[i] = i + 1
	}
	return numbers
}

func TestEventsArriveOnceAndInOrder(t *testing.T) {
	pool, nc := setup(t)
	handle, _ := effects()
	background(t, outbox.Relay(pool, nc.Streams, quiet))
	background(t, outbox.Consume(pool, nc.Streams, outbox.Consumer{Name: "test-order", Subjects: []string{subject}}, handle, quiet))
	all := upTo(1200)
	for lot := range slices.Chunk(all, 100) {
		record(t, pool, lot...)
	}
	settled(t, nc, "test-order", 1200)
	if got := effectsOf(t, pool); !slices.Equal(got, all) {
		t.Fatalf("%d effects, out of order or repeated", len(got))
	}
}

func TestWhatRollsBackIsNotTold(t *testing.T) {
	pool, nc := setup(t)
	handle, handled := effects()
	background(t, outbox.Relay(pool, nc.Streams, quiet))
	background(t, outbox.Consume(pool, nc.Streams, outbox.Consumer{Name: "test", Subjects: []string{subject}}, handle, quiet))
	no := errors.New("changed my mind")
	err := outbox.InTx(t.Context(), pool, func(ctx context.Context, tx pgx.Tx) error {
		if err := outbox.Record(ctx, tx, outbox.Event{Subject: subject, Payload: counted{1}}); err != nil {
			return err
		}
		return no
	})
	if !errors.Is(err, no) {
		t.Fatal(err)
	}
	record(t, pool, 2)
	if first := <-handled; first != 2 {
		t.Fatalf("event %d arrived", first)
	}
}

func TestEventsThatCannotBeTold(t *testing.T) {
	pool, _ := setup(t)
	for name, e := range map[string]outbox.Event{
		"another stream": {Subject: "souk.call.test.counted"},
		"wildcard":       {Subject: "souk.event.*"},
		"empty token":    {Subject: "souk.event.a..b"},
		"too large":      {Subject: subject, Payload: strings.Repeat("x", 600<<10)},
		"not JSON":       {Subject: subject, Payload: func() {}},
	} {
		if err := outbox.Record(t.Context(), pool, e); err == nil {
			t.Errorf("%s: recorded", name)
		}
	}
}

// The relay is killed after the stream has the events and before the outbox forgets them.
func TestARelayKilledBeforeItsCommit(t *testing.T) {
	t.Parallel()
	pool, nc := pgtest.New(t, migrations), natstest.Open(t, natstest.Server(t))
	_, err := nc.Streams.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "SOUK", Subjects: []string{"souk.event.>"}, Duplicates: 100 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	handle, _ := effects()
	record(t, pool, 1, 2, 3)

	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rows, err := tx.Query(t.Context(), `DELETE FROM outbox RETURNING event_id, subject, payload`)
	if err != nil {
		t.Fatal(err)
	}
	lot, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (m outbox.Message, err error) {
		return m, r.Scan(&m.ID, &m.Subject, &m.Payload)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := outbox.Publish(t.Context(), nc.Streams, lot); err != nil {
		t.Fatal(err)
	}
	tx.Rollback(t.Context()) // as PostgreSQL does when the relay's connection breaks

	// By the time the next relay is there the stream has forgotten the ids.
	stream, err := nc.Streams.Stream(t.Context(), "SOUK")
	if err != nil {
		t.Fatal(err)
	}
	for {
		probe := []outbox.Message{{ID: "probe", Subject: "souk.event.other.probe", Payload: []byte(`{}`)}}
		if err := outbox.Publish(t.Context(), nc.Streams, probe); err != nil {
			t.Fatal(err)
		}
		info, err := stream.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if info.State.Msgs > 4 { // it forgot the probe, and so what came before
			break
		}
		time.Sleep(20 * time.Millisecond)
	}

	background(t, outbox.Relay(pool, nc.Streams, quiet))
	background(t, outbox.Consume(pool, nc.Streams, outbox.Consumer{Name: "test", Subjects: []string{subject}}, handle, quiet))
	settled(t, nc, "test", 6) // each was delivered twice
	if got := effectsOf(t, pool); !slices.Equal(got, upTo(3)) {
		t.Fatalf("effects %v, want each once", got)
	}
}

func TestTwoRelaysAndTwoConsumers(t *testing.T) {
	pool, nc := setup(t)
	handle, _ := effects()
	for range 2 {
		background(t, outbox.Relay(pool, nc.Streams, quiet))
		background(t, outbox.Consume(pool, nc.Streams, outbox.Consumer{Name: "test", Subjects: []string{subject}}, handle, quiet))
	}
	all := upTo(600)
	for lot := range slices.Chunk(all, 20) {
		record(t, pool, lot...)
	}
	settled(t, nc, "test", 600)
	if got := effectsOf(t, pool); !slices.Equal(got, all) {
		t.Fatalf("%d effects, out of order or repeated", len(got))
	}
}

func TestAPoisonedEventIsPutAside(t *testing.T) {
	pool, nc := setup(t)
	good, handled := effects()
	tries := 0
	handle := func(ctx context.Context, tx pgx.Tx, e outbox.Received) error {
		if e.ID == "evt-2" {
			tries++
			if tries == 2 {
				panic("poison")
			}
			return errors.New("cannot swallow this")
		}
		return good(ctx, tx, e)
	}
	background(t, outbox.Relay(pool, nc.Streams, quiet))
	background(t, outbox.Consume(pool, nc.Streams, outbox.Consumer{Name: "test", Subjects: []string{subject}, Attempts: 3}, handle, quiet))
	record(t, pool, 1, 2, 3)
	for _, want := range []int{1, 3} {
		if got := <-handled; got != want {
			t.Fatalf("handled %d, want %d", got, want)
		}
	}
	if tries != 3 {
		t.Fatalf("%d tries at the poisoned event, want 3", tries)
	}
	stream, err := nc.Streams.Stream(t.Context(), "SOUK")
	if err != nil {
		t.Fatal(err)
	}
	dead, err := stream.GetLastMsgForSubject(t.Context(), "souk.dead.test")
	if err != nil {
		t.Fatal(err)
	}
	if dead.Header.Get("Souk-Dead-Subject") != subject || dead.Header.Get("Souk-Dead-Error") != "cannot swallow this" || !strings.Contains(string(dead.Data), "2") {
		t.Fatalf("dead letter %v %s", dead.Header, dead.Data)
	}
}

func TestUnreadableEventsAreNotTriedAgain(t *testing.T) {
	pool, nc := setup(t)
	handle, handled := effects()
	background(t, outbox.Consume(pool, nc.Streams, outbox.Consumer{Name: "test", Subjects: []string{subject}}, handle, quiet))
	err := outbox.Publish(t.Context(), nc.Streams, []outbox.Message{
		{ID: "bad", Subject: subject, Payload: []byte(`{"n":"many"}`)}, {ID: "good", Subject: subject, Payload: []byte(`{"n":7}`)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := <-handled; n != 7 {
		t.Fatal(n)
	}
}

// What is wrong around us is waited out, for longer than the attempts that an event of its own has.
func TestEventsWaitWhileAStoreIsDown(t *testing.T) {
	pool, nc := setup(t)
	good, handled := effects()
	tries := 0
	handle := func(ctx context.Context, tx pgx.Tx, e outbox.Received) error {
		if tries++; tries <= 4 {
			return fault.New(fault.Unavailable, "STORE_DOWN", "away")
		}
		return good(ctx, tx, e)
	}
	background(t, outbox.Relay(pool, nc.Streams, quiet))
	background(t, outbox.Consume(pool, nc.Streams, outbox.Consumer{Name: "test", Subjects: []string{subject}, Attempts: 1}, handle, quiet))
	record(t, pool, 1)
	if n := <-handled; n != 1 || tries != 5 {
		t.Fatalf("event %d after %d tries", n, tries)
	}
}

// Handling is stopped half-way; the next start goes on from there at once, and nothing happens twice.
func TestStoppingInTheMiddle(t *testing.T) {
	pool, nc := setup(t)
	good, _ := effects()
	arrived := make(chan struct{}, 1000)
	handle := func(ctx context.Context, tx pgx.Tx, e outbox.Received) error {
		arrived <- struct{}{}
		return good(ctx, tx, e)
	}
	c := outbox.Consumer{Name: "test", Subjects: []string{subject}}
	relay := background(t, outbox.Relay(pool, nc.Streams, quiet))
	first := background(t, outbox.Consume(pool, nc.Streams, c, handle, quiet))
	all := upTo(300)
	record(t, pool, all...)
	for range 50 {
		<-arrived
	}
	first()
	relay()
	background(t, outbox.Consume(pool, nc.Streams, c, handle, quiet))
	settled(t, nc, "test", 300)
	if got := effectsOf(t, pool); !slices.Equal(got, all) {
		t.Fatalf("%d effects, out of order or repeated", len(got))
	}
}

func TestParallelConsumer(t *testing.T) {
	pool, nc := setup(t)
	handle, _ := effects()
	background(t, outbox.Relay(pool, nc.Streams, quiet))
	background(t, outbox.Consume(pool, nc.Streams, outbox.Consumer{Name: "test", Subjects: []string{subject}, Parallel: 8}, handle, quiet))
	record(t, pool, upTo(500)...)
	settled(t, nc, "test", 500)
	got := effectsOf(t, pool)
	slices.Sort(got)
	if !slices.Equal(got, upTo(500)) {
		t.Fatalf("%d effects", len(got))
	}
}

func TestSubscribersGetBatches(t *testing.T) {
	pool, nc := setup(t)
	record(t, pool, upTo(300)...)
	var mu sync.Mutex
	var seen []int
	batches := 0
	done := make(chan struct{})
	handle := func(ctx context.Context, batch []outbox.Received) error {
		mu.Lock()
		defer mu.Unlock()
		batches++
		for _, e := range batch {
			c, err := outbox.Decode[counted](e)
			if err != nil {
				return err
			}
			if c.N == 150 {
				return errors.New("poison")
			}
		}
		for _, e := range batch {
			c, _ := outbox.Decode[counted](e)
			seen = append(seen, c.N)
			if c.N == 300 {
				close(done)
			}
		}
		return nil
	}
	background(t, outbox.Relay(pool, nc.Streams, quiet))
	background(t, outbox.Subscribe(nc.Streams, outbox.Consumer{Name: "test", Subjects: []string{"souk.event.test.>"}, Batch: 50, Attempts: 2}, handle, quiet))
	<-done
	mu.Lock()
	defer mu.Unlock()
	want := slices.DeleteFunc(upTo(300), func(n int) bool { return n == 150 })
	if !slices.Equal(seen, want) || batches > 120 {
		t.Fatalf("%d events in %d batches", len(seen), batches)
	}
}

func TestListenersHearWhatIsToldNow(t *testing.T) {
	pool, nc := setup(t)
	heard := make(chan string, 1)
	stop, err := outbox.Listen(nc.Conn, []string{"souk.event.test.>"}, func(e outbox.Received) { heard <- e.ID })
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	background(t, outbox.Relay(pool, nc.Streams, quiet))
	record(t, pool, 1)
	if id := <-heard; id != "evt-1" {
		t.Fatal(id)
	}
}

// Not parallel: other tests' goroutines would be taken for ours.
func TestNothingIsLeftBehind(t *testing.T) {
	at := pgtest.URL(t, migrations) // the server it may start stays for the other tests
	before := goleak.IgnoreCurrent()
	pool, err := postgres.Open(t.Context(), at, "public")
	if err != nil {
		t.Fatal(err)
	}
	server := natstest.Server(t)
	nc := natstest.Open(t, server)
	if err := outbox.Stream(t.Context(), nc.Streams); err != nil {
		t.Fatal(err)
	}
	handle, handled := effects()
	relay := background(t, outbox.Relay(pool, nc.Streams, quiet))
	consume := background(t, outbox.Consume(pool, nc.Streams, outbox.Consumer{Name: "test", Subjects: []string{subject}}, handle, quiet))
	record(t, pool, 1)
	<-handled
	consume()
	relay()
	nc.Close()
	server.Stop()
	pool.Close()
	goleak.VerifyNone(t, before)
}
