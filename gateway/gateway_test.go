package gateway_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/goleak"

	"github.com/souk-shop/souk/gateway"
	"github.com/souk-shop/souk/gateway/playground"
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
}

func (c *corner) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var request struct {
		Query     string         `json:"query"`
		Variables map[string]any `json:"variables"`
	}
	json.Unmarshal(body, &request)
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
		corner: &corner{arrived: make(chan string, 10), release: make(chan struct{}), over: make(chan struct{})},
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
	h.srv = httptest.NewServer(h.Handler())
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

func quoted(text string) string {
	q, _ := json.Marshal(text)
	return string(q)
}

func TestAnswer(t *testing.T) {
	h := open(t, nil)
	res, body := h.ask(t, `{"query":"query Me { asker { account } greeting(name: \"x\") }"}`, "Authorization: Bearer "+h.sign(nil))
	if res.StatusCode != 200 || body != `{"data":{"asker":{"account":"acc_ann"},"greeting":"hello"}}` {
		t.Errorf("%s %s", res.Status, body)
	}
	trace := res.Header.Get(gateway.TraceHeader)
	if !regexp.MustCompile(`^[0-9a-f]{32}$`).MatchString(trace) {
		t.Errorf("trace id %q", trace)
	}
	line := h.lines.next(t)
	for name, want := range map[string]any{
		"msg": "operation", "name": "Me", "kind": "query", "who": "acc_ann", "status": "ok", "fetches": 1.0, "trace": trace,
	} {
		if line[name] != want {
			t.Errorf("%s: %v, want %v", name, line[name], want)
		}
	}
	if text, _ := line["document"].(string); len(text) != 64 {
		t.Errorf("document: %v", line["document"])
	}
	if _, ok := line["ms"].(float64); !ok {
		t.Errorf("ms: %v", line["ms"])
	}
	found := false
	for _, span := range h.spans.GetSpans() {
		if span.Name == "query Me" {
			found = span.SpanContext.TraceID().String() == trace && slices.Contains(span.Attributes, attribute.Int("souk.fetches", 1))
		}
	}
	if !found {
		t.Errorf("no such span: %v", h.spans.GetSpans())
	}
}

// A trace that a stranger names does not become ours.
func TestTraceOfStrangers(t *testing.T) {
	h := open(t, nil)
	res, _ := h.ask(t, `{"query":"{ asker { account } }"}`, "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	if trace := res.Header.Get(gateway.TraceHeader); trace == "" || trace == "0af7651916cd43dd8448eb211c80319c" {
		t.Errorf("trace id %q", trace)
	}
}

func TestSessions(t *testing.T) {
	h := open(t, nil)
	for name, c := range map[string]struct {
		token  string
		status int
		says   string
	}{
		"expired": {h.sign(jwt.MapClaims{"exp": time.Now().Add(-time.Hour).Unix()}), 401, "the access token has expired"},
		"forged":  {h.sign(nil) + "x", 401, "not one of ours"},
		"good":    {h.sign(jwt.MapClaims{"sub": "acc_bob"}), 200, "acc_bob"},
	} {
		res, body := h.ask(t, `{"query":"{ asker { account } }"}`, "Authorization: Bearer "+c.token, "Accept: application/graphql-response+json")
		if res.StatusCode != c.status || !strings.Contains(body, c.says) {
			t.Errorf("%s: %s %s", name, res.Status, body)
		}
		if res.Header.Get(gateway.TraceHeader) == "" {
			t.Errorf("%s: no trace id", name)
		}
	}
}

func TestLocale(t *testing.T) {
	h := open(t, nil)
	for _, c := range []struct {
		name, operation, variables, want string
		status                           int
	}{
		{"none", `{ asker { country language currency } }`, ``, `{"country":"","language":"","currency":""}`, 200},
		{"literals", `query @inContext(country: "IN", language: "hi", currency: "INR") { asker { country language currency } }`, ``,
			`{"country":"IN","language":"hi","currency":"INR"}`, 200},
		{"small letters", `query Named @inContext(country: "in", language: "PT-br", currency: "inr") { asker { country language currency } }`, ``,
			`{"country":"IN","language":"pt-BR","currency":"INR"}`, 200},
		{"variables", `query($c: CountryCode, $l: LanguageCode = "fr") @inContext(country: $c, language: $l) { asker { country language currency } }`, `{"c":"DE"}`,
			`{"country":"DE","language":"fr","currency":""}`, 200},
		{"same document, other variables", `query($c: CountryCode, $l: LanguageCode = "fr") @inContext(country: $c, language: $l) { asker { country language currency } }`,
			`{"c":null,"l":"en"}`, `{"country":"","language":"en","currency":""}`, 200},
		{"no such country", `query Named @inContext(country: "XQ") { asker { country } }`, ``, `"@inContext(country:): \"XQ\" is not an ISO 3166-1 alpha-2 country code"`, 400},
		{"a continent", `query Named @inContext(country: "150") { asker { country } }`, ``, `is not an ISO 3166-1 alpha-2 country code`, 400},
		{"no such language", `query Named @inContext(language: "klingonese") { asker { country } }`, ``, `is not a BCP 47 language tag`, 400},
		{"no such currency", `query Named @inContext(currency: "LOOT") { asker { country } }`, ``, `is not an ISO 4217 currency code`, 400},
		{"a bad variable", `query($c: CurrencyCode) @inContext(currency: $c) { asker { country } }`, `{"c":"ZZZZ"}`, `is not an ISO 4217 currency code`, 400},
		{"a number", `query($c: CurrencyCode) @inContext(currency: $c) { asker { country } }`, `{"c":7}`, `$c must be a text`, 400},
		{"on a field", `{ asker @inContext(country: "IN") { country } }`, ``, `GRAPHQL_VALIDATION_FAILED`, 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			variables := c.variables
			if variables == "" {
				variables = "null"
			}
			res, body := h.ask(t, fmt.Sprintf(`{"query":%s,"variables":%s}`, quoted(c.operation), variables), "Accept: application/graphql-response+json")
			if c.status != 200 {
				want, _ := json.Marshal(c.want)
				if res.StatusCode != c.status || !strings.Contains(body, strings.Trim(c.want, `"`)) && !strings.Contains(body, string(want)) {
					t.Errorf("%s %s", res.Status, body)
				}
				return
			}
			if body != `{"data":{"asker":`+c.want+`}}` {
				t.Errorf("%s %s", res.Status, body)
			}
		})
	}
}

func TestStatusOfAnOperation(t *testing.T) {
	h := open(t, func(c *gateway.Config) { c.Timeout = 50 * time.Millisecond })
	for _, c := range []struct {
		name, query string
		http        int
		status      string
		code        string
	}{
		{"partial", `{ broken greeting(name: "x") }`, 200, "partial", "SOLD_OUT"},
		{"invalid", `{ nonsense }`, 400, "refused", "GRAPHQL_VALIDATION_FAILED"},
		{"too slow", `{ slow }`, 504, "timeout", "TIMEOUT"},
	} {
		t.Run(c.name, func(t *testing.T) {
			res, body := h.ask(t, `{"query":`+quoted(c.query)+`}`, "Accept: application/graphql-response+json")
			line := h.lines.next(t)
			if res.StatusCode != c.http || !strings.Contains(body, c.code) || line["status"] != c.status || fmt.Sprint(line["codes"]) != "["+c.code+"]" {
				t.Errorf("%s %s\n%v", res.Status, body, line)
			}
		})
	}
}

// A query ends with its caller, a mutation does not: what was begun is brought to its end.
func TestHangUp(t *testing.T) {
	h := open(t, nil)
	leave := func(query string) {
		ctx, cancel := context.WithCancel(t.Context())
		req, _ := http.NewRequestWithContext(ctx, "POST", h.url+"/graphql", strings.NewReader(`{"query":`+quoted(query)+`}`))
		req.Header.Set("Content-Type", "application/json")
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			if res, err := http.DefaultTransport.RoundTrip(req); err == nil {
				res.Body.Close()
			}
		}()
		<-h.arrived
		cancel()
		<-gone
	}
	leave(`mutation { pay(amount: 1) }`)
	h.release <- struct{}{}
	if line := h.lines.next(t); line["status"] != "ok" {
		t.Errorf("a mutation whose caller left: %v", line)
	}
	leave(`{ slow }`)
	if line := h.lines.next(t); line["status"] != "cancelled" {
		t.Errorf("a query whose caller left: %v", line)
	}
}

func TestPlan(t *testing.T) {
	for _, development := range []bool{true, false} {
		h := open(t, func(c *gateway.Config) { c.Development = development })
		const query = `{"query":"{ asker { account } }"}`
		for _, c := range []struct {
			path, header string
			plan         bool
		}{{"/graphql", "X: y", false}, {"/graphql?plan", "X: y", development}, {"/graphql", "Souk-Plan: 1", development}} {
			_, body := h.send(t, "POST", c.path, query, c.header, "Content-Type: application/json")
			var answer struct {
				Data       json.RawMessage
				Extensions struct {
					Plan struct{ Kind, Subgraph, Query string }
				}
			}
			if err := json.Unmarshal([]byte(body), &answer); err != nil || string(answer.Data) != `{"asker":{"account":""}}` {
				t.Errorf("%s", body)
			}
			if p := answer.Extensions.Plan; (p.Subgraph == "corner") != c.plan {
				t.Errorf("development %v, %v: %s", development, c, body)
			}
		}
	}
}

func TestPlaygroundInDevelopmentAlone(t *testing.T) {
	h := open(t, func(c *gateway.Config) {
		c.Development = true
		c.Examples = []playground.Example{{Name: "Who am I? </script>", Query: "{ asker { account } }", Variables: map[string]any{"a": 1}}}
		c.Notice = "customer@souk.test"
	})
	res, page := h.send(t, "GET", "/", "")
	if res.StatusCode != 200 || !strings.Contains(page, "customer@souk.test") || !strings.Contains(page, `Who am I? \u003c/script\u003e`) {
		t.Errorf("%s %s", res.Status, page)
	}
	if regexp.MustCompile(`(src|href)="https?:`).MatchString(page) {
		t.Errorf("the page loads from elsewhere: %s", page)
	}
	for _, asset := range regexp.MustCompile(`/playground/assets/[^"]+`).FindAllString(page, -1) {
		for _, encoding := range []string{"gzip", "identity"} {
			res, body := h.send(t, "GET", asset, "", "Accept-Encoding: "+encoding)
			if res.StatusCode != 200 || len(body) == 0 || (res.Header.Get("Content-Encoding") == "gzip") != (encoding == "gzip") {
				t.Errorf("%s: %s, %d bytes", asset, res.Status, len(body))
			}
		}
	}
	if res, _ := h.send(t, "GET", "/playground/assets/nothing.js", ""); res.StatusCode != 404 {
		t.Errorf("an asset that is not there: %s", res.Status)
	}

	h = open(t, nil)
	if res, _ := h.send(t, "GET", "/", ""); res.StatusCode != 404 {
		t.Errorf("in production: %s", res.Status)
	}
	if _, body := h.ask(t, `{"query":"{ __schema { queryType { name } } }"}`); strings.Contains(body, `"data":{`) {
		t.Errorf("introspection in production: %s", body)
	}
}

func TestReady(t *testing.T) {
	sick := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }))
	defer sick.Close()
	for _, c := range []struct {
		name   string
		part   string
		status int
	}{{"well", "", 200}, {"a part is sick", sick.URL, 503}, {"a part is gone", "http://127.0.0.1:1/", 503}} {
		t.Run(c.name, func(t *testing.T) {
			h := open(t, func(cfg *gateway.Config) {
				if c.part != "" {
					cfg.Health["other"] = c.part
				}
			})
			if res, body := h.send(t, "GET", "/readyz", ""); res.StatusCode != c.status || strings.Contains(body, "other") {
				t.Errorf("%s %s", res.Status, body)
			}
			w := httptest.NewRecorder()
			h.Private().ServeHTTP(w, httptest.NewRequest("GET", "/readyz", nil))
			if w.Code != c.status || !strings.Contains(w.Body.String(), `"corner":"ok"`) {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if res, _ := h.send(t, "GET", "/healthz", ""); res.StatusCode != 200 {
				t.Errorf("alive: %s", res.Status)
			}
		})
	}
}

func TestShutdown(t *testing.T) {
	h := open(t, nil)
	if res, _ := h.send(t, "GET", "/readyz", ""); res.StatusCode != 200 {
		t.Fatal(res.Status)
	}
	conn, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /graphql HTTP/1.1\r\nHost: souk\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n")
	answered := make(chan string)
	go func() { // a request under way is answered although the gateway shuts down
		_, body := h.ask(t, `{"query":"mutation { pay(amount: 1) }"}`)
		answered <- body
	}()
	<-h.arrived
	closed := make(chan string)
	go func() {
		all, _ := io.ReadAll(conn)
		closed <- string(all)
	}()
	go func() { // the client's half of the close handshake, as soon as the socket is up
		conn.Write([]byte{0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe9})
	}()
	if err := h.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if all := <-closed; !strings.Contains(all, "101 Switching Protocols") {
		t.Errorf("%q", all)
	}
	if res, _ := h.send(t, "GET", "/readyz", ""); res.StatusCode != 503 {
		t.Errorf("ready while draining: %s", res.Status)
	}
	h.release <- struct{}{}
	if body := <-answered; body != `{"data":{"pay":"done"}}` {
		t.Error(body)
	}
}

func TestMetrics(t *testing.T) {
	h := open(t, nil)
	h.ask(t, `{"query":"query Me { asker { account } }"}`)
	h.ask(t, `{"query":"{ nonsense }"}`)
	for i := range 250 {
		h.ask(t, fmt.Sprintf(`{"query":"query Op%d { asker { account } }"}`, i))
	}
	w := httptest.NewRecorder()
	h.Private().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	text := w.Body.String()
	for _, want := range []string{
		`souk_gateway_operation_seconds_count{kind="query",name="Me",status="ok"} 1`,
		`souk_gateway_operation_seconds_count{kind="query",name="Op198",status="ok"} 1`,
		`souk_gateway_operation_seconds_count{kind="query",name="other",status="ok"} 51`,
		`souk_gateway_errors_total{code="GRAPHQL_VALIDATION_FAILED"} 1`,
		`souk_gateway_operations 0`, `souk_gateway_sockets 0`, `souk_gateway_subscriptions 0`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("no %s", want)
		}
	}
	if res, _ := h.send(t, "GET", "/metrics", ""); res.StatusCode != 404 {
		t.Errorf("metrics are public: %s", res.Status)
	}
}

func TestRoutes(t *testing.T) {
	h := open(t, func(c *gateway.Config) {
		c.Routes = map[string]http.Handler{
			"/files/":            http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "file "+r.URL.Path) }),
			"POST /webhooks/psp": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }),
		}
	})
	if _, body := h.send(t, "GET", "/files/a/b.png", ""); body != "file /files/a/b.png" {
		t.Error(body)
	}
	if _, body := h.send(t, "POST", "/webhooks/psp", "event"); body != "event" {
		t.Error(body)
	}
}

func TestConfigIsChecked(t *testing.T) {
	if _, err := gateway.New(t.Context(), gateway.Config{SupergraphSDL: "type Query {"}); err == nil || !strings.Contains(err.Error(), "gateway:") {
		t.Error(err)
	}
}

// A gateway for somebody else's supergraph has neither our keys nor our passports.
func TestAnySupergraph(t *testing.T) {
	sdl, _ := os.ReadFile("testdata/corner.graphql")
	bare := httptest.NewServer(&corner{})
	defer bare.Close()
	pool := &http.Transport{}
	defer pool.CloseIdleConnections()
	g, err := gateway.New(t.Context(), gateway.Config{
		SupergraphSDL: string(sdl), URLs: map[string]string{"corner": bare.URL}, Upstream: pool, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(token string) (int, string) {
		r := httptest.NewRequest("POST", "/graphql", strings.NewReader(`{"query":"{ greeting(name: \"x\") }"}`))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", token)
		w := httptest.NewRecorder()
		g.Handler().ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
	if code, body := ask(""); code != 200 || body != `{"data":{"greeting":"hello"}}` {
		t.Errorf("%d %s", code, body)
	}
	if code, body := ask("Bearer x"); code != 401 {
		t.Errorf("%d %s", code, body)
	}
}
