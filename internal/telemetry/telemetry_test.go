package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"

	"github.com/souk-shop/souk/internal/telemetry"
)

func env(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

// One test, for the tracer provider belongs to the whole process.
func TestTraces(t *testing.T) {
	shutdown, err := telemetry.Start(t.Context(), "souk-test", env())
	if err != nil {
		t.Fatal(err)
	}
	ctx, span := otel.Tracer("test").Start(t.Context(), "operation")
	span.End()
	headers := propagation.MapCarrier{}
	otel.GetTextMapPropagator().Inject(ctx, headers)
	if id := span.SpanContext().TraceID().String(); !span.SpanContext().IsValid() || !strings.Contains(headers["traceparent"], id) {
		t.Fatalf("trace %s travels as %v", id, headers)
	}

	var out bytes.Buffer
	log, err := telemetry.NewLog(&out, env("SOUK_LOG_FORMAT", "json"))
	if err != nil {
		t.Fatal(err)
	}
	log.With("part", "orders").InfoContext(ctx, "placed")
	log.Debug("not shown")
	var line struct{ Trace, Part, Msg string }
	if err := json.Unmarshal(out.Bytes(), &line); err != nil || line.Trace != span.SpanContext().TraceID().String() || line.Part != "orders" {
		t.Fatalf("%+v, %v in %s", line, err, out.String())
	}
	if err := shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}

	got := make(chan string, 1)
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- r.URL.Path + " " + string(body)
	}))
	defer collector.Close()
	shutdown, err = telemetry.Start(t.Context(), "souk-test", env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL))
	if err != nil {
		t.Fatal(err)
	}
	_, span = otel.Tracer("test").Start(context.Background(), "exported operation")
	span.End()
	if err := shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if sent := <-got; !strings.HasPrefix(sent, "/v1/traces ") || !strings.Contains(sent, "exported operation") || !strings.Contains(sent, "souk-test") {
		t.Fatalf("the collector got %q", sent)
	}
}

func TestSettingsThatCannotBe(t *testing.T) {
	t.Parallel()
	if _, err := telemetry.NewLog(io.Discard, env("SOUK_LOG_FORMAT", "xml")); err == nil {
		t.Error("xml was accepted")
	}
	if _, err := telemetry.NewLog(io.Discard, env("SOUK_LOG_LEVEL", "loud")); err == nil {
		t.Error("loud was accepted")
	}
	if _, err := telemetry.Start(t.Context(), "x", env("OTEL_EXPORTER_OTLP_ENDPOINT", "nowhere")); err == nil {
		t.Error("nowhere was accepted")
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	telemetry.Metrics(telemetry.NewRegistry()).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if !strings.Contains(w.Body.String(), "go_goroutines") {
		t.Fatal(w.Body.String())
	}
}
