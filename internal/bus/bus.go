// Package bus carries calls between subgraphs over NATS request and reply.
//
// A call brings its deadline and its trace along; its faults arrive as they were raised. Replicas of a subgraph share
// the work, and can be listed with `nats micro ls`.
package bus

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/souk-shop/souk/internal/call"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/outage"
)

const (
	defaultPatience = 5 * time.Second
	repeats         = 3 // of a call that found nobody, or somebody who could not
	headerDeadline  = "Souk-Deadline"
)

// ErrTimeout says that the answer took longer than the caller could wait; whether the call had an effect is not known.
var ErrTimeout = fault.New(fault.Unavailable, "SERVICE_TIMEOUT", "a part of the shop took too long to answer")

// errHidden stands for errors that nobody named: their text stays where they happened.
var errHidden = fault.New(fault.Internal, "INTERNAL", "something went wrong on our side")

var tracer = otel.Tracer("github.com/souk-shop/souk/internal/bus")

// A Bus takes calls to whoever answers them. It is a call.Carrier.
type Bus struct {
	nc  *nats.Conn
	log *slog.Logger
}

// New returns a bus on a connection.
func New(nc *nats.Conn, log *slog.Logger) *Bus { return &Bus{nc: nc, log: log} }

// Carry sends the request and waits for the answer until the context's deadline, 5 seconds when it has none.
func (b *Bus) Carry(ctx context.Context, r call.Request) (answer []byte, err error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, defaultPatience)
		defer cancel()
	}
	ctx, span := tracer.Start(ctx, "call "+r.Subject, trace.WithSpanKind(trace.SpanKindClient))
	defer func() {
		if err != nil {
			span.SetStatus(codes.Error, err.Error())
		}
		span.End()
	}()
	for sent := 1; ; sent++ {
		answer, err = b.once(ctx, r)
		if err == nil || sent == repeats || !worthRepeating(err, r.Once) {
			return answer, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(time.Duration(sent)*50*time.Millisecond + rand.N(50*time.Millisecond)):
		}
	}
}

// worthRepeating tells whether the same call may well work in a moment. A call that found nobody was not heard, so even
// one that must go once can go again.
func worthRepeating(err error, once bool) bool {
	if errors.Is(err, call.ErrDown) {
		return true
	}
	return !once && fault.KindOf(err) == fault.Unavailable && !errors.Is(err, ErrTimeout)
}

func (b *Bus) once(ctx context.Context, r call.Request) ([]byte, error) {
	msg := &nats.Msg{Subject: r.Subject, Data: r.Body, Header: nats.Header{}}
	otel.GetTextMapPropagator().Inject(ctx, propagation.HeaderCarrier(msg.Header))
	deadline, _ := ctx.Deadline()
	msg.Header.Set(headerDeadline, strconv.FormatInt(deadline.UnixMilli(), 10))
	reply, err := b.nc.RequestMsgWithContext(ctx, msg)
	switch {
	case errors.Is(err, context.Canceled):
		return nil, err
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		return nil, ErrTimeout
	case errors.Is(err, nats.ErrMaxPayload):
		return nil, call.ErrMalformed.Says("%s: the request is too large", r.Subject)
	case err != nil: // no responders, or no connection
		return nil, call.Down(r.Subject)
	}
	if reply.Header.Get(micro.ErrorHeader) == "" {
		return reply.Data, nil
	}
	var f fault.Error
	if json.Unmarshal(reply.Data, &f) != nil || f.Kind == "" {
		return nil, errHidden
	}
	return nil, &f
}

// wire returns the fault under which an error travels: itself if it is one, else one that tells nothing.
func wire(err error) *fault.Error {
	var f *fault.Error
	switch {
	case errors.As(err, &f):
		return f
	case errors.Is(err, context.DeadlineExceeded):
		return ErrTimeout
	case outage.Passing(err):
		return outage.ErrUnavailable
	}
	return errHidden
}

func attributes(r micro.Request) trace.SpanStartEventOption {
	return trace.WithAttributes(attribute.Int("bytes", len(r.Data())))
}
