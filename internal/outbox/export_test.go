package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/outbox"
)

// What is recorded is read in its order, whole, by whoever begins where they like; and again, for reading changes nothing.
func TestRead(t *testing.T) {
	pool, nc := setup(t)
	background(t, outbox.Relay(pool, nc.Streams, quiet))
	handle, handled := effects()
	background(t, outbox.Consume(pool, nc.Streams, outbox.Consumer{Name: "test", Subjects: []string{subject}}, handle, quiet))
	const all = 300
	for n := range all {
		record(t, pool, n+1)
	}
	for range all {
		<-handled
	}
	read := func(x outbox.Export, most int) (numbers []int, last uint64, err error) {
		err = outbox.Read(t.Context(), nc.Streams, x, func(e outbox.Received) error {
			c, err := outbox.Decode[counted](e)
			if e.ID != fmt.Sprintf("evt-%d", c.N) || e.Subject != subject || e.RecordedAt.IsZero() || e.Sequence <= last {
				t.Errorf("%+v after %d", e, last)
			}
			numbers, last = append(numbers, c.N), e.Sequence
			if len(numbers) == most {
				return errStop
			}
			return err
		})
		return numbers, last, err
	}
	for range 2 {
		if got, _, err := read(outbox.Export{}, 0); err != nil || !slices.Equal(got, upTo(all)) {
			t.Fatalf("%d of %d, or not in order: %v", len(got), all, err)
		}
	}
	// Whoever stops anywhere goes on there, and misses nothing.
	var got []int
	var after uint64
	for len(got) < all {
		part, last, err := read(outbox.Export{After: after, Subjects: []string{"souk.event.test.>"}}, 70)
		if err != nil && !errors.Is(err, errStop) {
			t.Fatal(err)
		}
		got, after = append(got, part...), last
	}
	if !slices.Equal(got, upTo(all)) {
		t.Errorf("read in parts: %v", got)
	}
	for name, x := range map[string]outbox.Export{"behind the last": {After: after}, "of another subject": {Subjects: []string{"souk.event.none.>"}}} {
		if got, _, err := read(x, 0); err != nil || len(got) != 0 {
			t.Errorf("%s: %v %v", name, got, err)
		}
	}
	if _, _, err := read(outbox.Export{After: after + 1}, 0); !errors.Is(err, outbox.ErrForgotten) {
		t.Errorf("behind the end: %v", err)
	}

	// Whoever follows hears of what comes, too.
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	heard := make(chan uint64)
	ended := make(chan error)
	go func() {
		ended <- outbox.Read(ctx, nc.Streams, outbox.Export{After: after - 1, Follow: true}, func(e outbox.Received) error { heard <- e.Sequence; return nil })
	}()
	if <-heard != after {
		t.Error("what was there is not heard first")
	}
	record(t, pool, all+1)
	if n := <-heard; n != after+1 {
		t.Errorf("heard %d after %d", n, after)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}

	// What the stream has forgotten is missed aloud.
	stream, err := nc.Streams.Stream(t.Context(), events.Stream)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context(), jetstream.WithPurgeSequence(100)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := read(outbox.Export{After: 50}, 0); !errors.Is(err, outbox.ErrForgotten) {
		t.Errorf("behind what is forgotten: %v", err)
	}
	if got, _, err := read(outbox.Export{After: 99}, 0); err != nil || len(got) != all+1-99 {
		t.Errorf("%d, %v", len(got), err)
	}
}

var errStop = errors.New("enough")
