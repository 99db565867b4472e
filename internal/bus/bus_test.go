package bus_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"
	"golang.org/x/sync/errgroup"

	"github.com/souk-shop/souk/internal/bus"
	"github.com/souk-shop/souk/internal/call"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/natstest"
)

type (
	question struct{ Text string }
	reply    struct{ Text string }
)

var ask = call.New[question, reply]("souk.call.oracle.ask")

var quiet = slog.New(slog.DiscardHandler)

func setup(t *testing.T, answer func(context.Context, question) (reply, error)) *bus.Bus {
	t.Helper()
	server := natstest.Server(t)
	if answer != nil {
		serve(t, bus.New(natstest.Open(t, server).Conn, quiet), answer)
	}
	return bus.New(natstest.Open(t, server).Conn, quiet)
}

func serve(t *testing.T, b *bus.Bus, answer func(context.Context, question) (reply, error)) (stop func() error) {
	t.Helper()
	stop, err := b.Serve("oracle", "test", ask.Handle(answer))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop() })
	return stop
}

func TestAQuestionIsAnswered(t *testing.T) {
	t.Parallel()
	b := setup(t, func(_ context.Context, q question) (reply, error) { return reply{q.Text + "!"}, nil })
	got, err := ask.Do(t.Context(), b, question{"why"})
	if err != nil || got.Text != "why!" {
		t.Fatalf("%q, %v", got.Text, err)
	}
}

func TestFaultsArriveAsTheyWereRaised(t *testing.T) {
	t.Parallel()
	soldOut := fault.New(fault.Conflict, "OUT_OF_STOCK", "sold out")
	b := setup(t, func(_ context.Context, q question) (reply, error) {
		if q.Text == "fault" {
			return reply{}, fmt.Errorf("hold in warehouse 7: %w", soldOut.Says("only %d left", 2).At("lines", "0"))
		}
		return reply{}, errors.New("dial tcp 10.0.0.7: password is hunter2")
	})
	_, err := ask.Do(t.Context(), b, question{"fault"})
	var f *fault.Error
	if !errors.Is(err, soldOut) || !errors.As(err, &f) || f.Message != "only 2 left" || strings.Join(f.Field, ".") != "lines.0" {
		t.Fatalf("%#v", err)
	}
	_, err = ask.Do(t.Context(), b, question{"internal"})
	if fault.KindOf(err) != fault.Internal || strings.Contains(err.Error(), "hunter2") {
		t.Fatalf("%v", err)
	}
}

func TestNobodyAnswers(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	_, err := ask.Do(t.Context(), b, question{})
	if !errors.Is(err, call.ErrDown) || !strings.Contains(err.Error(), "oracle") {
		t.Fatalf("%v", err)
	}
}

func TestMalformedRequest(t *testing.T) {
	t.Parallel()
	b := setup(t, func(context.Context, question) (reply, error) { return reply{}, nil })
	_, err := b.Carry(t.Context(), call.Request{Subject: ask.Subject(), Body: []byte(`{"Text":`)})
	if !errors.Is(err, call.ErrMalformed) {
		t.Fatalf("%v", err)
	}
}

func TestTheDeadlineTravels(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	b := setup(t, func(ctx context.Context, _ question) (reply, error) {
		<-ctx.Done()
		ended <- ctx.Err()
		return reply{}, ctx.Err()
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := ask.Do(ctx, b, question{}); !errors.Is(err, bus.ErrTimeout) {
		t.Fatalf("the caller got %v", err)
	}
	if err := <-ended; !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("the answering side got %v", err)
	}
}

func TestAPanicHurtsOneCall(t *testing.T) {
	t.Parallel()
	b := setup(t, func(_ context.Context, q question) (reply, error) {
		if q.Text == "boom" {
			panic("secret")
		}
		return reply(q), nil
	})
	if _, err := ask.Do(t.Context(), b, question{"boom"}); fault.KindOf(err) != fault.Internal || strings.Contains(err.Error(), "secret") {
		t.Fatalf("%v", err)
	}
	if got, err := ask.Do(t.Context(), b, question{"fine"}); err != nil || got.Text != "fine" {
		t.Fatalf("%v, %v", got, err)
	}
}

func TestCallsMayBeRepeatedUnlessTheySayOtherwise(t *testing.T) {
	t.Parallel()
	var answered atomic.Int32
	away := fault.New(fault.Unavailable, "STORE_DOWN", "away")
	b := setup(t, func(_ context.Context, q question) (reply, error) {
		if answered.Add(1) == 1 {
			return reply{}, away
		}
		return reply(q), nil
	})
	if _, err := ask.Do(t.Context(), b, question{}); err != nil || answered.Load() != 2 {
		t.Fatalf("%v after %d", err, answered.Load())
	}
	answered.Store(0)
	if _, err := ask.Once().Do(t.Context(), b, question{}); !errors.Is(err, away) || answered.Load() != 1 {
		t.Fatalf("%v after %d", err, answered.Load())
	}
}

func TestReplicasShareTheWork(t *testing.T) {
	t.Parallel()
	server := natstest.Server(t)
	var mu sync.Mutex
	by := map[int]int{}
	for replica := range 2 {
		serve(t, bus.New(natstest.Open(t, server).Conn, quiet), func(context.Context, question) (reply, error) {
			mu.Lock()
			defer mu.Unlock()
			by[replica]++
			return reply{}, nil
		})
	}
	b := bus.New(natstest.Open(t, server).Conn, quiet)
	for range 100 {
		if _, err := ask.Do(t.Context(), b, question{}); err != nil {
			t.Fatal(err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if by[0]+by[1] != 100 || by[0] == 0 || by[1] == 0 {
		t.Fatalf("answered %v", by)
	}
}

func TestAnswersThatDoNotFit(t *testing.T) {
	t.Parallel()
	b := setup(t, func(context.Context, question) (reply, error) { return reply{strings.Repeat("x", 2<<20)}, nil })
	if _, err := ask.Do(t.Context(), b, question{}); fault.KindOf(err) != fault.Internal {
		t.Fatalf("%v", err)
	}
	if _, err := ask.Do(t.Context(), b, question{strings.Repeat("x", 2<<20)}); !errors.Is(err, call.ErrMalformed) {
		t.Fatalf("%v", err)
	}
}

// More calls than seats: all are answered, and never more at a time than there are seats.
func TestConcurrencyIsBounded(t *testing.T) {
	t.Parallel()
	var now, most atomic.Int32
	b := setup(t, func(context.Context, question) (reply, error) {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		time.Sleep(5 * time.Millisecond) // long enough for the calls to pile up
		return reply{}, nil
	})
	var all errgroup.Group
	for range 400 {
		all.Go(func() error {
			_, err := ask.Do(t.Context(), b, question{})
			return err
		})
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
	if n := most.Load(); n > 64 || n < 2 {
		t.Fatalf("%d at once", n)
	}
}

// A replica stops while it is being called: every call is answered, by it or by the other one.
func TestStoppingLosesNoCall(t *testing.T) {
	t.Parallel()
	server := natstest.Server(t)
	answer := func(_ context.Context, q question) (reply, error) {
		time.Sleep(time.Millisecond)
		return reply(q), nil
	}
	serve(t, bus.New(natstest.Open(t, server).Conn, quiet), answer)
	stop := serve(t, bus.New(natstest.Open(t, server).Conn, quiet), answer)
	b := bus.New(natstest.Open(t, server).Conn, quiet)
	var all errgroup.Group
	all.SetLimit(16)
	for n := range 300 {
		if n == 100 {
			all.Go(stop)
		}
		all.Go(func() error {
			_, err := ask.Do(t.Context(), b, question{})
			return err
		})
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
}

func TestTheTraceTravels(t *testing.T) {
	otel.SetTextMapPropagator(propagation.TraceContext{})
	otel.SetTracerProvider(sdktrace.NewTracerProvider())
	got := make(chan trace.TraceID, 1)
	b := setup(t, func(ctx context.Context, _ question) (reply, error) {
		got <- trace.SpanContextFromContext(ctx).TraceID()
		return reply{}, nil
	})
	ctx, span := otel.Tracer("test").Start(t.Context(), "test")
	defer span.End()
	if _, err := ask.Do(ctx, b, question{}); err != nil {
		t.Fatal(err)
	}
	if id := <-got; id != span.SpanContext().TraceID() {
		t.Fatalf("trace %s became %s", span.SpanContext().TraceID(), id)
	}
}

func TestFailuresAreLoggedWhereTheyHappen(t *testing.T) {
	t.Parallel()
	server := natstest.Server(t)
	var log bytes.Buffer
	b := bus.New(natstest.Open(t, server).Conn, slog.New(slog.NewTextHandler(&log, nil)))
	stop := serve(t, b, func(context.Context, question) (reply, error) { return reply{}, errors.New("disk on fire") })
	if _, err := ask.Do(t.Context(), b, question{}); err == nil {
		t.Fatal("no error")
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "disk on fire") {
		t.Fatalf("log %s", log.String())
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	server := natstest.Server(t)
	nc := natstest.Open(t, server)
	before := goleak.IgnoreCurrent()
	b := bus.New(nc.Conn, quiet)
	stop, err := b.Serve("oracle", "test", ask.Handle(func(_ context.Context, q question) (reply, error) { return reply(q), nil }))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ask.Do(t.Context(), b, question{}); err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	nc.Close()
	goleak.VerifyNone(t, before)
}

func BenchmarkCall(b *testing.B) {
	server := natstest.Server(b)
	served := bus.New(natstest.Open(b, server).Conn, quiet)
	stop, err := served.Serve("oracle", "test", ask.Handle(func(_ context.Context, q question) (reply, error) { return reply(q), nil }))
	if err != nil {
		b.Fatal(err)
	}
	defer stop()
	caller := bus.New(natstest.Open(b, server).Conn, quiet)
	for b.Loop() {
		if _, err := ask.Do(b.Context(), caller, question{"why"}); err != nil {
			b.Fatal(err)
		}
	}
}
