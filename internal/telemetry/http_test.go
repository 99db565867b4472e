package telemetry_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"github.com/souk-shop/souk/internal/telemetry"
)

const (
	traceID  = "0af7651916cd43dd8448eb211c80319c"
	recorded = "00-" + traceID + "-b7ad6b7169203331-01"
	silent   = "00-" + traceID + "-b7ad6b7169203331-00"
)

// A trace goes from a request to those made on its behalf, whether or not anybody records it; headers of the caller's request stay as they are.
func TestATraceGoesAlong(t *testing.T) {
	t.Parallel()
	var told string
	end := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { told = r.Header.Get("Traceparent") }))
	defer end.Close()
	out := telemetry.Transport(http.DefaultTransport, func(*http.Request) string { return "next" })
	middle := telemetry.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		next, _ := http.NewRequestWithContext(r.Context(), http.MethodGet, end.URL, nil)
		res, err := out.RoundTrip(next)
		if err != nil {
			t.Error(err)
			return
		}
		res.Body.Close()
		if len(next.Header) != 0 {
			t.Errorf("the request has become %v", next.Header)
		}
	}), "middle")
	for _, given := range []string{recorded, silent} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Traceparent", given)
		middle.ServeHTTP(httptest.NewRecorder(), r)
		if !strings.HasPrefix(told, given[:len("00-")+len(traceID)]) || told[len(told)-2:] != given[len(given)-2:] {
			t.Errorf("%s went on as %s", given, told)
		}
	}
}

// Ids alone: a trace has one from its beginning, what follows has the same, and a new one begins where that is asked for.
func TestIDs(t *testing.T) {
	t.Parallel()
	tracer := telemetry.IDs().Tracer("test")
	ctx, first := tracer.Start(t.Context(), "first")
	_, second := tracer.Start(ctx, "second", trace.WithSpanKind(trace.SpanKindClient))
	_, other := tracer.Start(ctx, "other", trace.WithNewRoot())
	of := func(s trace.Span) trace.TraceID { return s.SpanContext().TraceID() }
	if !first.SpanContext().IsValid() || first.IsRecording() || of(second) != of(first) || of(other) == of(first) || !other.SpanContext().IsValid() {
		t.Errorf("%v, %v, %v", first.SpanContext(), second.SpanContext(), other.SpanContext())
	}
	if !telemetry.Silent(telemetry.IDs()) {
		t.Error("ids are recorded")
	}
}
