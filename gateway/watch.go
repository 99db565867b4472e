package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/souk-shop/souk/gateway/engine"
	"github.com/souk-shop/souk/gateway/transport"
	"github.com/souk-shop/souk/internal/telemetry"
	"github.com/souk-shop/souk/internal/viewer"
)

// TraceHeader tells a caller the id under which logs and traces know the request.
const TraceHeader = "Souk-Trace"

const namedOperations = 200 // that metrics tell apart; the rest are "other"

// watch sees operations come and go: one log line, one span and one measurement for each.
type watch struct {
	log      *slog.Logger
	tracing  trace.TracerProvider
	tracer   trace.Tracer
	seconds  *prometheus.HistogramVec
	running  prometheus.Gauge
	streams  prometheus.Gauge
	sockets  prometheus.Gauge
	failures *prometheus.CounterVec

	mu    sync.Mutex
	names map[string]struct{}
}

func newWatch(log *slog.Logger, metrics prometheus.Registerer, tracing trace.TracerProvider) (*watch, error) {
	if tracing == nil { // nothing is exported, yet every request has an id
		tracing = telemetry.IDs()
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "souk", Subsystem: "gateway", Name: name, Help: help})
	}
	w := &watch{
		log: log, tracing: tracing, tracer: tracing.Tracer("souk/gateway"), names: map[string]struct{}{},
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "souk", Subsystem: "gateway", Name: "operation_seconds",
			Help:    "Time from a decoded request to its answer, of queries and mutations.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16),
		}, []string{"kind", "name", "status"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "souk", Subsystem: "gateway", Name: "errors_total", Help: "Errors in answers and refusals, by extensions.code.",
		}, []string{"code"}),
		running: gauge("operations", "Queries and mutations under way."),
		streams: gauge("subscriptions", "Subscriptions under way, over every transport."),
		sockets: gauge("sockets", "Open WebSocket connections."),
	}
	for _, c := range []prometheus.Collector{w.seconds, w.failures, w.running, w.streams, w.sockets} {
		if err := metrics.Register(c); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// traced gives each HTTP request a span and tells the caller its trace. What strangers say about a trace of theirs becomes a
// link, so they cannot decide what we sample. A socket has no span of its own: each operation on it begins a trace.
func (w *watch) traced(next http.Handler) http.Handler {
	tell := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if span := trace.SpanContextFromContext(r.Context()); span.HasTraceID() {
			rw.Header().Set(TraceHeader, span.TraceID().String())
		}
		next.ServeHTTP(rw, r)
	})
	if telemetry.Silent(w.tracing) {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if isSocket(r) {
				next.ServeHTTP(rw, r)
				return
			}
			ctx, _ := w.tracer.Start(r.Context(), "graphql")
			tell(rw, r.WithContext(ctx))
		})
	}
	return otelhttp.NewHandler(tell, "graphql",
		otelhttp.WithTracerProvider(w.tracing), otelhttp.WithMeterProvider(noop.NewMeterProvider()),
		otelhttp.WithPropagators(propagation.TraceContext{}), otelhttp.WithPublicEndpointFn(func(*http.Request) bool { return true }),
		otelhttp.WithFilter(func(r *http.Request) bool { return !isSocket(r) }))
}

func isSocket(r *http.Request) bool { return strings.EqualFold(r.Header.Get("Upgrade"), "websocket") }

// turnedAway counts a request that was refused before it became an operation.
func (w *watch) turnedAway(code string) { w.failures.WithLabelValues(codeLabel(code)).Inc() }

// A sighting is what is known about one operation; it is used by one goroutine at a time.
type sighting struct {
	watch    *watch
	span     trace.Span
	began    time.Time
	name     string
	kind     string // "" until the document is understood
	document string // SHA-256 of the text
	fetches  int
	status   string
	codes    []string
	stays    bool  // it is not over when Execute returns
	cause    error // to be logged, since the caller does not hear of it
}

func (w *watch) begin(ctx context.Context, r engine.Request) (context.Context, *sighting) {
	sum := sha256.Sum256([]byte(r.Query))
	s := &sighting{watch: w, began: time.Now(), document: hex.EncodeToString(sum[:]), status: "ok"}
	if ctx, s.span = w.tracer.Start(ctx, "graphql"); s.span.IsRecording() {
		s.span.SetAttributes(attribute.String("graphql.document.sha256", s.document))
	}
	w.running.Inc()
	return ctx, s
}

// operation notes what is about to run.
func (s *sighting) operation(op *engine.Operation) {
	s.name, s.kind, s.fetches = op.Name(), op.Kind().String(), op.Fetches()
	if op.Kind() == engine.Subscription {
		s.watch.running.Dec()
		s.watch.streams.Inc()
	}
	if !s.span.IsRecording() {
		return
	}
	s.span.SetName(strings.TrimSpace(s.kind + " " + s.name))
	s.span.SetAttributes(attribute.String("graphql.operation.name", s.name), attribute.String("graphql.operation.type", s.kind),
		attribute.Int("souk.fetches", s.fetches))
}

// answered notes the errors in an answer that was given.
func (s *sighting) answered(r engine.Result) {
	if r.Kept {
		s.fetches = 0
	}
	if !r.HasErrors() {
		return
	}
	s.status = "partial"
	s.note(r.Errors)
}

func (s *sighting) note(errs engine.Errors) {
	for _, e := range errs {
		s.watch.failures.WithLabelValues(codeLabel(e.Code())).Inc()
		if len(s.codes) < 10 {
			s.codes = append(s.codes, e.Code())
		}
	}
}

// failed notes why there is no answer and returns what the caller hears of it.
func (s *sighting) failed(ctx context.Context, err error) engine.Errors {
	told := engine.Errors{{Message: "something went wrong on our side", Extensions: map[string]any{"code": engine.CodeInternal}}}
	var known engine.Errors
	switch {
	case errors.As(err, &known):
		s.status, told = "refused", known
		if len(known) > 0 && known[0].Code() == engine.CodeInternal {
			s.status = "failed"
		}
	case errors.Is(err, transport.ErrGone) || ctx.Err() != nil:
		s.status = "cancelled"
		return engine.Errors{{Message: "the caller has left", Extensions: map[string]any{"code": "CANCELLED"}}}
	case errors.Is(err, context.DeadlineExceeded):
		s.status = "timeout"
		told = engine.Errors{{Message: "the answer took too long", Extensions: map[string]any{"code": "TIMEOUT"}}}
	default:
		s.status, s.cause = "failed", err
	}
	s.note(told)
	return told
}

// end writes the line.
func (s *sighting) end(ctx context.Context) {
	took := time.Since(s.began)
	if s.kind == engine.Subscription.String() {
		s.watch.streams.Dec()
	} else {
		s.watch.running.Dec()
		s.watch.seconds.WithLabelValues(s.kind, s.watch.label(s.name), s.status).Observe(took.Seconds())
	}
	level := slog.LevelInfo
	line := []slog.Attr{
		slog.String("name", s.name), slog.String("kind", s.kind), slog.String("document", s.document),
		slog.String("who", viewer.From(ctx).AccountID), slog.String("status", s.status),
		slog.Float64("ms", float64(took.Microseconds())/1000), slog.Int("fetches", s.fetches),
		slog.String("trace", s.span.SpanContext().TraceID().String()),
	}
	if len(s.codes) > 0 {
		line = append(line, slog.Any("codes", s.codes))
	}
	if slices.Contains(s.codes, engine.CodeThrottled) && s.status == "refused" {
		level = slog.LevelDebug // or a script that is refused fills the log
	}
	if s.cause != nil {
		level = slog.LevelError
		line = append(line, slog.String("error", s.cause.Error()))
		s.span.RecordError(s.cause)
	}
	if s.status != "ok" && s.status != "cancelled" {
		s.span.SetStatus(codes.Error, s.status)
	}
	s.watch.log.LogAttrs(ctx, level, "operation", line...)
	s.span.End()
}

// label keeps the number of names that metrics tell apart bounded, whatever callers call their operations.
func (w *watch) label(name string) string {
	if name == "" {
		return ""
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, known := w.names[name]; !known {
		if len(w.names) >= namedOperations {
			return "other"
		}
		w.names[name] = struct{}{}
	}
	return name
}

// codeLabel keeps codes that a subgraph might make up out of the metrics.
func codeLabel(code string) string {
	if code == "" || len(code) > 64 || strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") != "" {
		return "other"
	}
	return code
}
