package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sync/errgroup"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/outage"
)

const (
	ackWait  = 5 * time.Second // how long a killed process keeps an event to itself
	grace    = 5 * time.Second // for what is being handled when the context ends
	gather   = 5 * time.Millisecond
	attempts = 8
	asked    = 256 // messages requested at a time
	losses   = 20  // deliveries without an answer, after which the event is thought to kill its handler
)

var tracer = otel.Tracer("github.com/souk-shop/souk/internal/outbox")

// A listener takes messages from the stream in batches and answers for each of them.
type listener struct {
	Consumer
	js     jetstream.JetStream
	log    *slog.Logger
	batch  int
	handle func(context.Context, []Received) error
}

// run listens until the context ends, through restarts of the server.
func (l *listener) run(ctx context.Context) error {
	for failures := 1; ; failures++ {
		begun := time.Now()
		err := l.listen(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if time.Since(begun) > most {
			failures = 1
		}
		l.log.Warn("events: cannot listen", "error", err, "retry_in", backoff(failures))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(backoff(failures)):
		}
	}
}

func (l *listener) listen(ctx context.Context) error {
	lanes := max(1, l.Parallel)
	place, err := l.js.CreateOrUpdateConsumer(ctx, events.Stream, jetstream.ConsumerConfig{
		Durable:        l.Name,
		FilterSubjects: l.Subjects,
		DeliverPolicy:  jetstream.DeliverAllPolicy,
		AckPolicy:      jetstream.AckExplicitPolicy,
		AckWait:        ackWait,
		MaxDeliver:     -1, // we put events aside ourselves; the server would drop them in silence
		MaxAckPending:  lanes * l.batch,
	})
	if err != nil {
		return err
	}
	// Not lanes*batch, which MaxAckPending is for: nats.go forgets to ask again, for 30 seconds, when it has used up what
	// it asked for before its own goroutine noted that it asked. With one message at a time that happens.
	messages, err := place.Messages(jetstream.PullMaxMessages(max(asked, 2*lanes*l.batch)))
	if err != nil {
		return err
	}
	defer giveBack(messages)

	working, stopWorking := outlive(ctx, grace)
	defer stopWorking()
	var workers errgroup.Group
	workers.SetLimit(lanes)
	defer workers.Wait()
	for {
		batch, err := l.next(ctx, messages)
		if err != nil {
			return err
		}
		workers.Go(func() error {
			l.answer(ctx, working, batch)
			return nil
		})
		if lanes == 1 {
			workers.Wait() // for a batch is gathered from what is waiting, and more of it may be by then
		}
	}
}

// next waits for a message and takes along what else is waiting.
func (l *listener) next(ctx context.Context, messages jetstream.MessagesContext) ([]jetstream.Msg, error) {
	for {
		first, err := messages.Next(jetstream.NextContext(ctx))
		if errors.Is(err, jetstream.ErrNoHeartbeat) { // the client asks again by itself
			continue
		}
		if err != nil {
			return nil, err
		}
		batch := []jetstream.Msg{first}
		for len(batch) < l.batch {
			more, err := messages.Next(jetstream.NextMaxWait(gather))
			if err != nil { // whatever it is, the next round sees it again
				break
			}
			batch = append(batch, more)
		}
		return batch, nil
	}
}

// giveBack lets another replica, or our next start, have at once what was fetched and not looked at.
func giveBack(messages jetstream.MessagesContext) {
	messages.Drain()
	for {
		m, err := messages.Next(jetstream.NextMaxWait(time.Second))
		if err != nil {
			messages.Stop()
			return
		}
		m.Nak()
	}
}

// outlive returns a context that ends some time after its parent.
func outlive(parent context.Context, by time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(parent))
	stop := context.AfterFunc(parent, func() {
		select {
		case <-ctx.Done():
		case <-time.After(by):
			cancel()
		}
	})
	return ctx, func() { stop(); cancel() }
}

// answer has the batch handled, and acknowledges, puts aside or gives back each message.
func (l *listener) answer(ctx, working context.Context, batch []jetstream.Msg) {
	stop := keep(batch)
	defer stop()
	err := l.try(ctx, working, batch)
	switch {
	case err == nil:
		for _, m := range batch {
			l.settle(m.Ack())
		}
	case ctx.Err() != nil:
		for _, m := range batch {
			l.settle(m.Nak())
		}
	case len(batch) > 1: // find out which of them it is
		for i := range batch {
			l.answer(ctx, working, batch[i:i+1])
		}
	default:
		l.putAside(ctx, batch[0], err)
	}
}

func (l *listener) settle(err error) {
	if err != nil { // the message comes again
		l.log.Warn("events: answer to NATS failed", "error", err)
	}
}

// try handles the batch until it works, it is no use, or the context ends.
func (l *listener) try(ctx, working context.Context, batch []jetstream.Msg) error {
	received := make([]Received, len(batch))
	for i, m := range batch {
		received[i] = read(m)
	}
	if meta, err := batch[0].Metadata(); err == nil && meta.NumDelivered > losses && len(batch) == 1 {
		return fmt.Errorf("delivered %d times without an answer", meta.NumDelivered)
	}
	limit := l.Attempts
	if limit == 0 {
		limit = attempts
	}
	if len(batch) > 1 {
		limit = 1 // the attempts that count are those at each alone
	}
	for tries, failures := 1, 0; ; tries++ {
		err := l.once(working, batch[0], received)
		if err == nil {
			return nil
		}
		if !outage.Passing(err) {
			failures++
		}
		if errors.Is(err, ErrUnreadable) || failures >= limit {
			return err
		}
		wait := backoff(tries)
		l.log.Warn("events: handling failed", "subject", received[0].Subject, "event", received[0].ID, "events", len(received),
			"error", err, "retry_in", wait)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// once calls the handler within a span of the trace that the first event came from, and survives its panic.
func (l *listener) once(ctx context.Context, first jetstream.Msg, batch []Received) (err error) {
	ctx = otel.GetTextMapPropagator().Extract(ctx, propagation.HeaderCarrier(first.Headers()))
	ctx, span := tracer.Start(ctx, "handle "+batch[0].Subject, trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithAttributes(attribute.String("consumer", l.Name), attribute.Int("events", len(batch))))
	defer span.End()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
		if err != nil {
			span.SetStatus(codes.Error, err.Error())
		}
	}()
	return l.handle(ctx, batch)
}

// keep tells the server, until stopped, that the messages are being worked on.
func keep(batch []jetstream.Msg) (stop func()) {
	done := make(chan struct{})
	go func() {
		tick := time.NewTicker(ackWait / 3)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				for _, m := range batch {
					m.InProgress() // fails for those already answered
				}
			}
		}
	}()
	return func() { close(done) }
}

// putAside saves the event among the dead letters; only then is it acknowledged.
func (l *listener) putAside(ctx context.Context, m jetstream.Msg, why error) {
	e := read(m)
	dead := &nats.Msg{Subject: deadLetters + l.Name, Data: m.Data(), Header: nats.Header{}}
	for k, v := range m.Headers() {
		dead.Header[k] = v
	}
	dead.Header.Set(jetstream.MsgIDHeader, "dead "+l.Name+" "+e.ID)
	dead.Header.Set(headerSubject, e.Subject)
	dead.Header.Set(headerError, firstLine(why.Error()))
	for failures := 1; ; failures++ {
		_, err := l.js.PublishMsg(ctx, dead, jetstream.WithExpectStream(events.Stream))
		if err == nil {
			l.log.Error("events: put aside", "subject", e.Subject, "event", e.ID, "error", why)
			l.settle(m.Ack())
			return
		}
		select {
		case <-ctx.Done():
			l.settle(m.Nak())
			return
		case <-time.After(backoff(failures)):
		}
	}
}

func firstLine(s string) string {
	for i, r := range s {
		if r == '\n' || r == '\r' || i >= 1000 {
			return s[:i]
		}
	}
	return s
}

func read(m jetstream.Msg) Received {
	e := Received{ID: m.Headers().Get(jetstream.MsgIDHeader), Subject: m.Subject(), Data: m.Data()}
	e.RecordedAt, _ = time.Parse(time.RFC3339Nano, m.Headers().Get(headerRecordedAt))
	if meta, err := m.Metadata(); err == nil {
		e.Sequence = meta.Sequence.Stream
	}
	if e.ID == "" { // published by hand, from a tool
		e.ID = fmt.Sprintf("%s/%d", events.Stream, e.Sequence)
	}
	return e
}
