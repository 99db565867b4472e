package upstream

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	dto "github.com/prometheus/client_model/go"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"

	"github.com/souk-shop/souk/internal/passport"
	"github.com/souk-shop/souk/internal/viewer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func setup(t *testing.T, c Config, h http.Handler) (*http.Client, string, *Transport) {
	t.Helper()
	srv := httptest.NewServer(h)
	base := pool(c)
	c.Base = base
	tr, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { base.CloseIdleConnections(); srv.Close() })
	return &http.Client{Transport: tr}, srv.URL, tr
}

func post(t *testing.T, ctx context.Context, c *http.Client, url string, header ...string) (string, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(Named(ctx, "orders"), http.MethodPost, url, strings.NewReader(`{"query":"{x}"}`))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := c.Do(r)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return string(b), err
}

func read(t *testing.T, m prometheus.Metric) float64 {
	t.Helper()
	var out dto.Metric
	if err := m.Write(&out); err != nil {
		t.Fatal(err)
	}
	return out.GetCounter().GetValue() + out.GetGauge().GetValue()
}

func TestARequestCarriesItsViewerAndItsTrace(t *testing.T) {
	key := passport.Key("0123456789abcdef0123456789abcdef")
	var got *http.Request
	var who viewer.Viewer
	guarded := key.Guard(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, who = r, viewer.From(r.Context())
		io.WriteString(w, "{}")
	}))
	c, url, _ := setup(t, Config{Key: key}, guarded)
	id, _ := trace.TraceIDFromHex("0af7651916cd43dd8448eb211c80319c")
	span, _ := trace.SpanIDFromHex("b7ad6b7169203331")
	ctx := trace.ContextWithSpanContext(context.Background(), trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, SpanID: span, TraceFlags: trace.FlagsSampled}))
	body, err := post(t, viewer.With(ctx, viewer.Viewer{AccountID: "acc_1", Language: "fr"}), c, url, "Accept", "application/json", "Accept-Encoding", "deflate")
	if err != nil || body != "{}" {
		t.Fatalf("%q, %v", body, err)
	}
	if who.AccountID != "acc_1" || who.Language != "fr" {
		t.Errorf("the subgraph sees %+v", who)
	}
	for name, want := range map[string]string{
		"Accept": "application/graphql-response+json, application/json;q=0.9", "Content-Type": "application/json",
		"Accept-Encoding": "gzip", "Traceparent": "00-0af7651916cd43dd8448eb211c80319c-",
	} {
		if v := got.Header.Get(name); !strings.HasPrefix(v, want) {
			t.Errorf("%s: %q", name, v)
		}
	}
}

func TestARequestWithoutAKeyIsNotSigned(t *testing.T) {
	c, url, _ := setup(t, Config{}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Header.Get(passport.Header))
	}))
	if body, err := post(t, context.Background(), c, url); body != "" || err != nil {
		t.Errorf("%q, %v", body, err)
	}
}

func TestALateAnswerIsGivenUp(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"before headers": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"in the body": func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, `{"data":`)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := prometheus.NewRegistry()
			drained := func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body); h(w, r) }
			c, url, tr := setup(t, Config{Deadline: 30 * time.Millisecond, Metrics: m}, http.HandlerFunc(drained))
			if _, err := post(t, context.Background(), c, url); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
			if n := read(t, tr.metrics.requests.WithLabelValues("orders", "timeout")); n != 1 {
				t.Errorf("%v timeouts counted", n)
			}
		})
	}
}

func TestAStreamOutlivesTheDeadline(t *testing.T) {
	deadline := time.Second // enough for a busy machine to begin the stream
	c, url, tr := setup(t, Config{Deadline: deadline, MaxResponse: 10}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.(http.Flusher).Flush()
		time.Sleep(2 * deadline)
		io.WriteString(w, "event: complete\n\n")
	}))
	body, err := post(t, context.Background(), c, url, "Accept", "text/event-stream")
	if err != nil || body != "event: complete\n\n" {
		t.Errorf("%q, %v", body, err)
	}
	if n := read(t, tr.metrics.streams.WithLabelValues("orders")); n != 0 {
		t.Errorf("%v streams are open", n)
	}
}

func TestAStreamThatDoesNotBeginIsGivenUp(t *testing.T) {
	c, url, _ := setup(t, Config{Deadline: 30 * time.Millisecond}, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}))
	if _, err := post(t, context.Background(), c, url, "Accept", "text/event-stream"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestALargeAnswerIsCutOff(t *testing.T) {
	large := bytes.Repeat([]byte("x"), 1000)
	for name, h := range map[string]http.HandlerFunc{
		"announced": func(w http.ResponseWriter, _ *http.Request) { w.Write(large) },
		"in chunks": func(w http.ResponseWriter, _ *http.Request) {
			for _, b := range large {
				w.Write([]byte{b})
				w.(http.Flusher).Flush()
			}
		},
		"packed": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			z.Write(large)
			z.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, url, _ := setup(t, Config{MaxResponse: 999}, h)
			if _, err := post(t, context.Background(), c, url); !errors.Is(err, ErrTooLarge) {
				t.Errorf("got %v", err)
			}
			c, url, _ = setup(t, Config{MaxResponse: 1000}, h)
			if body, err := post(t, context.Background(), c, url); err != nil || len(body) != 1000 {
				t.Errorf("%d bytes, %v", len(body), err)
			}
		})
	}
}

func TestAnEncodingNobodyAskedForIsRefused(t *testing.T) {
	c, url, _ := setup(t, Config{}, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "deflate")
		io.WriteString(w, "{}")
	}))
	if _, err := post(t, context.Background(), c, url); err == nil {
		t.Error("accepted")
	}
}

func TestOutcomesAreCounted(t *testing.T) {
	status := http.StatusOK
	c, url, tr := setup(t, Config{Metrics: prometheus.NewRegistry()}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if status == 0 {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(status)
	}))
	post(t, context.Background(), c, url)
	status = http.StatusBadGateway
	post(t, context.Background(), c, url)
	status = 0
	post(t, context.Background(), c, url)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	post(t, ctx, c, url)
	for _, o := range []string{"ok", "status", "unreachable", "canceled"} {
		if n := read(t, tr.metrics.requests.WithLabelValues("orders", o)); n != 1 {
			t.Errorf("%s: %v", o, n)
		}
	}
}
