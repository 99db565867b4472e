package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/souk-shop/souk/internal/call"
	"github.com/souk-shop/souk/internal/fault"
)

const (
	atOnce   = 64 // calls of one subject that are answered at a time; more wait until their deadline
	longest  = time.Minute
	lastWord = 10 * time.Second // for calls being answered when the service stops
)

// ErrBusy says that a call waited for its turn until nobody waited for its answer.
var ErrBusy = fault.New(fault.Unavailable, "SERVICE_BUSY", "a part of the shop has too much to do")

// Serve answers calls until stopped. Stop refuses new calls, which their callers send to another replica, and waits for
// those being answered. Build is for operators to see.
func (b *Bus) Serve(name, build string, endpoints ...call.Endpoint) (stop func() error, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	s := &server{bus: b, ctx: ctx}
	service, err := micro.AddService(b.nc, micro.Config{
		Name: name, QueueGroup: name, Version: "1.0.0", // of the protocol; NATS insists on the form
		Metadata: map[string]string{"build": build},
		ErrorHandler: func(_ micro.Service, e *micro.NATSError) {
			b.log.Warn("bus: "+e.Description, "service", name, "subject", e.Subject)
		},
	})
	if err != nil {
		cancel()
		return nil, fmt.Errorf("serve %s: %w", name, err)
	}
	for _, e := range endpoints {
		// An endpoint's name is its subject with dashes, for that is all the protocol allows in a name.
		err := service.AddEndpoint(strings.ReplaceAll(e.Subject, ".", "-"), s.handler(e), micro.WithEndpointSubject(e.Subject))
		if err != nil {
			cancel()
			return nil, errors.Join(fmt.Errorf("serve %s: %w", e.Subject, err), service.Stop())
		}
	}
	if err := b.nc.Flush(); err != nil { // from here on callers find us
		cancel()
		return nil, errors.Join(fmt.Errorf("serve %s: %w", name, err), service.Stop())
	}
	return sync.OnceValue(func() error {
		defer cancel()
		err := service.Stop()
		if errors.Is(err, nats.ErrConnectionClosed) {
			err = nil
		}
		last := time.AfterFunc(lastWord, cancel)
		defer last.Stop()
		s.close()
		return err
	}), nil
}

type server struct {
	bus *Bus
	ctx context.Context // ends what is still being answered long after the service stopped

	mu        sync.Mutex
	closed    bool
	answering sync.WaitGroup
}

// enter counts a call in, unless the door is closed.
func (s *server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.answering.Add(1)
	return true
}

func (s *server) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.answering.Wait()
}

// handler lets a bounded number of calls in. NATS hands over one call at a time, so those that wait do so in order.
func (s *server) handler(e call.Endpoint) micro.Handler {
	seats := make(chan struct{}, atOnce)
	return micro.HandlerFunc(func(r micro.Request) {
		if !s.enter() {
			s.refuse(r, wire(call.Down(e.Subject)))
			return
		}
		ctx, cancel := context.WithDeadline(s.ctx, deadlineOf(r))
		select {
		case seats <- struct{}{}:
		case <-ctx.Done():
			s.refuse(r, ErrBusy)
			cancel()
			s.answering.Done()
			return
		}
		go func() {
			defer s.answering.Done()
			defer cancel()
			defer func() { <-seats }()
			s.answer(ctx, e, r)
		}()
	})
}

// deadlineOf trusts the caller's clock to agree with ours as well as machines do that keep time with the network.
func deadlineOf(r micro.Request) time.Time {
	latest := time.Now().Add(longest)
	ms, err := strconv.ParseInt(r.Headers().Get(headerDeadline), 10, 64)
	if err != nil {
		return time.Now().Add(defaultPatience)
	}
	if asked := time.UnixMilli(ms); asked.Before(latest) {
		return asked
	}
	return latest
}

func (s *server) answer(ctx context.Context, e call.Endpoint, r micro.Request) {
	ctx = otel.GetTextMapPropagator().Extract(ctx, propagation.HeaderCarrier(r.Headers()))
	ctx, span := tracer.Start(ctx, "answer "+e.Subject, trace.WithSpanKind(trace.SpanKindServer), attributes(r))
	defer span.End()
	if ctx.Err() != nil { // waited too long already: whoever asked has gone
		s.refuse(r, ErrBusy)
		return
	}
	answer, err := contained(ctx, e, r.Data())
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
		if f := wire(err); f.Kind == fault.Internal || f.Kind == fault.Unavailable {
			level := slog.LevelError
			if f.Kind == fault.Unavailable { // it passes, and the caller knows what to do
				level = slog.LevelWarn
			}
			s.bus.log.Log(ctx, level, "bus: call failed", "subject", e.Subject, "error", err, "trace", span.SpanContext().TraceID())
		}
		s.refuse(r, wire(err))
		return
	}
	if err := s.reply(r, answer, nil); err != nil {
		s.bus.log.Error("bus: answer not sent", "subject", e.Subject, "error", err)
		if errors.Is(err, nats.ErrMaxPayload) {
			s.refuse(r, errHidden)
		}
	}
}

// contained turns a panic into an error, for one bad call must not end all others.
func contained(ctx context.Context, e call.Endpoint, body []byte) (answer []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return e.Answer(ctx, body)
}

func (s *server) refuse(r micro.Request, f *fault.Error) {
	data, err := json.Marshal(f)
	if err == nil {
		err = s.reply(r, data, nats.Header{micro.ErrorHeader: {string(f.Kind)}, micro.ErrorCodeHeader: {f.Code}})
	}
	if err != nil {
		s.bus.log.Warn("bus: refusal not sent", "subject", r.Subject(), "error", err)
	}
}

// reply does what the request's own methods do, which must not be called after the handler has returned.
func (s *server) reply(r micro.Request, data []byte, header nats.Header) error {
	return s.bus.nc.PublishMsg(&nats.Msg{Subject: r.Reply(), Header: header, Data: data})
}
