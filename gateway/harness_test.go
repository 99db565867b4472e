package gateway_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/prometheus/client_golang/prometheus"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/goleak"

	"github.com/souk-shop/souk/gateway"
	"github.com/souk-shop/souk/internal/passport"
	"github.com/souk-shop/souk/internal/viewer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var key = passport.Key("shared by gateway and subgraphs")

// corner is the one subgraph of a small shop. It looks for the names of fields and answers what they mean.
type corner struct {
	arrived chan string   // the field of a request that waits
	release chan struct{} // "slow" and "pay" take one and answer
	over    chan struct{} // closed at the end of the test
	ticks   chan int      // what the subscription says; it completes when closed
	left    chan struct{} // a value for each caller who hung up, once the gateway can know
}

func (c *corner) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var request struct {
		Query     string         `json:"query"`
		Variables map[string]any `json:"variables"`
	}
	json.Unmarshal(body, &request)
	if strings.HasPrefix(request.Query, "subscription") {
		c.tell(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	data := map[string]any{}
	has := func(field string) bool { return strings.Contains(request.Query, field) }
	for _, field := range []string{"slow", "pay"} {
		if has(field) {
			c.arrived <- field
			select {
			case <-c.release:
				data[field] = "done"
			case <-c.over:
			}
		}
	}
	if has("asker") {
		v := viewer.From(r.Context())
		data["asker"] = map[string]any{"account": v.AccountID, "country": v.Country, "language": v.Language, "currency": v.Currency}
	}
	if has("greeting") {
		data["greeting"] = "hello"
	}
	answer := map[string]any{"data": data}
	if has("broken") {
		data["broken"] = nil
		answer["errors"] = []any{map[string]any{"message": "no more hellos", "path": []any{"broken"}, "extensions": map[string]any{"code": "SOLD_OUT"}}}
	}
	json.NewEncoder(w).Encode(answer)
}

// tell answers a subscription with server-sent events.
func (c *corner) tell(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	http.NewResponseController(w).Flush()
	for {
		select {
		case n, more := <-c.ticks:
			if !more {
				io.WriteString(w, "event: complete\ndata:\n\n")
				return
			}
			fmt.Fprintf(w, "event: next\ndata: {\"data\":{\"ticks\":%d}}\n\n", n)
			http.NewResponseController(w).Flush()
		case <-r.Context().Done():
			return
		case <-c.over:
			return
		}
	}
}

// A house is a gateway that is served, with what it writes and measures.
type house struct {
	*gateway.Gateway
	*corner
	url   string
	addr  string
	lines *lines
	spans *tracetest.InMemoryExporter
	sign  func(claims jwt.MapClaims) string
	srv   *httptest.Server
}

// lines are what was logged.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
	got chan struct{} // a value for every line
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, err := l.buf.Write(p)
	l.got <- struct{}{}
	return n, err
}

// next waits for one line and returns all of them so far, the last first.
func (l *lines) next(t *testing.T) map[string]any {
	t.Helper()
	<-l.got
	l.mu.Lock()
	defer l.mu.Unlock()
	all := bytes.Split(bytes.TrimSpace(l.buf.Bytes()), []byte("\n"))
	var line map[string]any
	if err := json.Unmarshal(all[len(all)-1], &line); err != nil {
		t.Fatal(err)
	}
	return line
}

func open(t *testing.T, change func(*gateway.Config)) house {
	t.Helper()
	before := goleak.IgnoreCurrent()
	sdl, err := os.ReadFile("testdata/corner.graphql")
	if err != nil {
		t.Fatal(err)
	}
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	h := house{
		corner: &corner{arrived: make(chan string, 10), release: make(chan struct{}), over: make(chan struct{}), ticks: make(chan int), left: make(chan struct{}, 100)},
		lines:  &lines{got: make(chan struct{}, 1000)}, spans: tracetest.NewInMemoryExporter(),
	}
	h.sign = func(claims jwt.MapClaims) string {
		all := jwt.MapClaims{"iss": "souk", "sub": "acc_ann", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix()}
		for name, v := range claims {
			all[name] = v
		}
		token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, all)
		token.Header["kid"] = "k1"
		text, err := token.SignedString(private)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	behind := http.NewServeMux()
	behind.Handle("/graphql", key.Guard(h.corner))
	behind.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") })
	behind.HandleFunc("/jwks.json", func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: public, KeyID: "k1", Algorithm: "EdDSA", Use: "sig"}}})
	})
	subgraph := httptest.NewServer(behind)
	traces := sdktrace.NewTracerProvider(sdktrace.WithSyncer(h.spans))
	pool := &http.Transport{}
	c := gateway.Config{
		SupergraphSDL: string(sdl), URLs: map[string]string{"corner": subgraph.URL + "/graphql"},
		Health:   map[string]string{"corner": subgraph.URL + "/healthz"},
		JWKS:     subgraph.URL + "/jwks.json",
		Passport: key, Upstream: pool,
		Log: slog.New(slog.NewJSONHandler(h.lines, nil)), Metrics: prometheus.NewRegistry(), Tracing: traces,
	}
	if change != nil {
		change(&c)
	}
	ctx, cancel := context.WithCancel(context.Background())
	h.Gateway, err = gateway.New(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	h.srv = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer context.AfterFunc(r.Context(), func() { h.left <- struct{}{} })()
		h.Handler().ServeHTTP(w, r)
	}))
	h.url, h.addr = h.srv.URL, h.srv.Listener.Addr().String()
	t.Cleanup(func() {
		close(h.over)
		if err := h.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		h.srv.Close()
		cancel()
		traces.Shutdown(context.Background())
		pool.CloseIdleConnections()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		subgraph.Close()
		goleak.VerifyNone(t, before)
	})
	return h
}

func (h house) ask(t *testing.T, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	return h.send(t, "POST", "/graphql", body, append(headers, "Content-Type: application/json")...)
}

func (h house) send(t *testing.T, method, path, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, h.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		req.Header.Set(name, value)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(text)
}

// span waits for the span of that name: it ends after the answer is out.
func (h house) span(t *testing.T, name string) tracetest.SpanStub {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		spans := h.spans.GetSpans()
		if i := slices.IndexFunc(spans, func(s tracetest.SpanStub) bool { return s.Name == name }); i >= 0 {
			return spans[i]
		}
		if time.Now().After(deadline) {
			t.Fatalf("no span is called %q: %v", name, spans)
		}
	}
}

func quoted(text string) string {
	q, _ := json.Marshal(text)
	return string(q)
}

func (h house) metrics(t *testing.T) string {
	t.Helper()
	w := httptest.NewRecorder()
	h.Private().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}
