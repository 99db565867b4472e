package telemetry

import (
	"net/http"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

var traceContext propagation.TraceContext

// Handler gives each request a span, as part of the trace that its headers name. Where that trace is not recorded there is none to
// give: the trace's id goes along, and that is all it costs.
func Handler(next http.Handler, name string) http.Handler {
	recorded := otelhttp.NewHandler(next, name, otelhttp.WithPropagators(traceContext))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := traceContext.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		if unrecorded(trace.SpanContextFromContext(ctx)) {
			next.ServeHTTP(w, r.WithContext(ctx))
			return
		}
		recorded.ServeHTTP(w, r)
	})
}

// Transport gives each request a span, named as name says, and tells whom it asks of the trace. Like Handler it makes no span that
// nobody records.
func Transport(next http.RoundTripper, name func(*http.Request) string) http.RoundTripper {
	return &transport{next, otelhttp.NewTransport(next, otelhttp.WithPropagators(traceContext),
		otelhttp.WithSpanNameFormatter(func(_ string, r *http.Request) string { return name(r) }))}
}

type transport struct{ next, recorded http.RoundTripper }

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	at := trace.SpanContextFromContext(r.Context())
	if !unrecorded(at) {
		return t.recorded.RoundTrip(r)
	}
	sent := *r // with headers of its own: a round tripper leaves the request as it is
	sent.Header = make(http.Header, len(r.Header)+2)
	for name, values := range r.Header {
		sent.Header[name] = values
	}
	traceContext.Inject(r.Context(), propagation.HeaderCarrier(sent.Header))
	return t.next.RoundTrip(&sent)
}

// unrecorded tells whether it was decided where the trace began that nobody will see it.
func unrecorded(at trace.SpanContext) bool { return at.IsValid() && !at.IsSampled() }
