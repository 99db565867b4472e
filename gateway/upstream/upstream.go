// Package upstream is the way from the gateway to subgraphs: every request is signed for its viewer, traced, measured,
// answered within a deadline and by no more bytes than the gateway is ready to hold. A subgraph that fails again and again is
// asked no more until it is back, and what only reads is asked again when a kept connection ends under it.
package upstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/souk-shop/souk/internal/forfeit"
	"github.com/souk-shop/souk/internal/passport"
	"github.com/souk-shop/souk/internal/telemetry"
)

// Config is what a transport needs to know; zero fields take their defaults.
type Config struct {
	Key         passport.Key          // signs requests; without one they go unsigned, as to subgraphs that are not ours
	Deadline    time.Duration         // of a request with its answer, and of a stream's beginning; 0 means 10 s
	MaxResponse int64                 // bytes of an answer, unpacked; 0 means 16 MB
	Idle        int                   // connections kept open to one subgraph; 0 means 256
	Metrics     prometheus.Registerer // nil means none
	Base        http.RoundTripper     // nil means real connections
	Log         *slog.Logger          // nil means slog.Default()
}

// ErrTooLarge is why the reading of an answer stops at Config.MaxResponse.
var ErrTooLarge = errors.New("the subgraph's answer is too large")

// errEncoding is of an answer that nobody here can read.
var errEncoding = errors.New("the subgraph answered in an encoding")

type (
	subgraph struct{}
	reading  struct{}
)

// Named returns a context whose requests go to this subgraph, for metrics and traces.
func Named(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, subgraph{}, name)
}

// Reading returns a context whose requests change nothing, so that one may be sent again.
func Reading(ctx context.Context) context.Context {
	return context.WithValue(ctx, reading{}, true)
}

func nameOf(r *http.Request) string {
	if name, ok := r.Context().Value(subgraph{}).(string); ok {
		return name
	}
	return r.URL.Host
}

// Transport carries requests to subgraphs. It is safe for concurrent use.
type Transport struct {
	next     http.RoundTripper
	key      passport.Key
	deadline time.Duration
	most     int64
	metrics  metrics
	breakers *breakers
}

// New makes a transport.
func New(c Config) (*Transport, error) {
	if c.Deadline == 0 {
		c.Deadline = 10 * time.Second
	}
	if c.MaxResponse == 0 {
		c.MaxResponse = 16 << 20
	}
	if c.Base == nil {
		c.Base = pool(c)
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	m, err := newMetrics(c.Metrics)
	if err != nil {
		return nil, err
	}
	next := telemetry.Transport(c.Base, func(r *http.Request) string { return "subgraph " + nameOf(r) })
	return &Transport{next: next, key: c.Key, deadline: c.Deadline, most: c.MaxResponse, metrics: m, breakers: &breakers{metrics: m, log: c.Log}}, nil
}

// pool keeps connections open: subgraphs are few, near and asked all the time.
func pool(c Config) *http.Transport {
	idle := c.Idle
	if idle == 0 {
		idle = 256
	}
	return &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 3 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout: 3 * time.Second,
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: idle,
		IdleConnTimeout:     90 * time.Second,
	}
}

// RoundTrip sends a request. The deadline runs until the answer is read and closed; that of a stream ends with its headers.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	began, name := time.Now(), nameOf(r)
	tell, err := t.breakers.allow(name)
	if err != nil {
		if r.Body != nil {
			r.Body.Close()
		}
		t.metrics.requests.WithLabelValues(name, outcome(err)).Inc()
		return nil, err
	}
	answered := false
	defer func() {
		if !answered { // it could not be sent, or something of ours panicked
			tell(unknown)
		}
	}()
	ctx, cancel := context.WithCancelCause(r.Context())
	late := time.AfterFunc(t.deadline, func() { cancel(context.DeadlineExceeded) })
	end := func(err error) {
		late.Stop()
		cancel(context.Canceled)
		t.metrics.observe(name, outcome(err), time.Since(began))
	}
	judged := func(err error) {
		tell(judge(r.Context(), err))
		end(err)
	}
	sent, err := t.prepare(ctx, r)
	if err != nil {
		end(err)
		return nil, err
	}
	res, err := t.next.RoundTrip(sent)
	answered = true
	if err == nil && res.Header.Get("Content-Encoding") != "" {
		res.Body.Close()
		err = fmt.Errorf("%w: %q", errEncoding, res.Header.Get("Content-Encoding"))
	}
	if err != nil {
		if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
			err = context.DeadlineExceeded
		}
		judged(err)
		return nil, err
	}
	forfeit.Hear(r.Context(), res.Header)
	b := &body{ReadCloser: res.Body, ctx: ctx, most: t.most, end: judged}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		b.failed = statusError(res.StatusCode)
	}
	if streams(r) && b.failed == nil {
		late.Stop()
		tell(well) // all streams of a subgraph that goes away end at once, and that is one failure
		b.most = 0
		t.metrics.streams.WithLabelValues(name).Inc()
		b.end = func(err error) {
			t.metrics.streams.WithLabelValues(name).Dec()
			end(err)
		}
	} else if res.ContentLength > t.most {
		b.Close()
		return nil, ErrTooLarge
	}
	res.Body = b
	return res, nil
}

// prepare makes the request that is sent, with headers of its own.
func (t *Transport) prepare(ctx context.Context, r *http.Request) (*http.Request, error) {
	sent := r.WithContext(ctx)
	sent.Header = r.Header.Clone()
	if !streams(r) {
		sent.Header.Set("Accept", "application/graphql-response+json, application/json;q=0.9")
	}
	sent.Header.Set("Content-Type", "application/json")
	sent.Header.Del("Accept-Encoding") // net/http asks for gzip and unpacks it before we count
	if r.Context().Value(reading{}) != nil {
		sent.Header["Idempotency-Key"] = []string{} // lets net/http send it again on another connection; what is empty is not sent itself
	}
	if len(t.key) > 0 {
		if err := t.key.Stamp(sent); err != nil {
			return nil, err
		}
	}
	return sent, nil
}

func streams(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "text/event-stream")
}

type statusError int

func (s statusError) Error() string { return fmt.Sprintf("status %d", int(s)) }
