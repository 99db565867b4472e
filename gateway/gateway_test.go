package gateway_test

import (
	"bufio"
	"context"
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
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/golang-jwt/jwt/v5"
	"go.opentelemetry.io/otel/attribute"

	"github.com/souk-shop/souk/gateway"
	"github.com/souk-shop/souk/gateway/playground"
)

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
	span := h.span(t, "query Me")
	if span.SpanContext.TraceID().String() != trace || !slices.Contains(span.Attributes, attribute.Int("souk.fetches", 1)) {
		t.Errorf("%v", span)
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
		<-h.left
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
		c.Examples = func() []playground.Example {
			return []playground.Example{{Name: "Who am I? </script>", Query: "{ asker { account } }", Variables: map[string]any{"a": 1}}}
		}
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

func TestSubscription(t *testing.T) {
	for name, receive := range map[string]func(t *testing.T, h house) func(want string){
		"socket": func(t *testing.T, h house) func(string) {
			c, _, err := websocket.Dial(t.Context(), h.url+"/graphql", &websocket.DialOptions{Subprotocols: []string{"graphql-transport-ws"}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close(websocket.StatusNormalClosure, "") })
			c.Write(t.Context(), websocket.MessageText, fmt.Appendf(nil, `{"type":"connection_init","payload":{"Authorization":"Bearer %s"}}`, h.sign(nil)))
			c.Write(t.Context(), websocket.MessageText, []byte(`{"id":"1","type":"subscribe","payload":{"query":"subscription Live { ticks }"}}`))
			c.Read(t.Context()) // connection_ack
			return func(want string) {
				_, message, err := c.Read(t.Context())
				if err != nil || !strings.Contains(string(message), want) {
					t.Errorf("%s %v", message, err)
				}
			}
		},
		"events": func(t *testing.T, h house) func(string) {
			req, _ := http.NewRequestWithContext(t.Context(), "GET", h.url+"/graphql?query=subscription%20Live{ticks}", nil)
			req.Header.Set("Accept", "text/event-stream")
			req.Header.Set("Authorization", "Bearer "+h.sign(nil))
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { res.Body.Close() })
			lines := bufio.NewScanner(res.Body)
			return func(want string) {
				for lines.Scan() {
					if strings.Contains(lines.Text(), want) {
						return
					}
				}
				t.Errorf("the stream ended before %s", want)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, nil)
			expect := receive(t, h)
			for i := range 3 {
				h.ticks <- i
				expect(fmt.Sprintf(`{"data":{"ticks":%d}}`, i))
			}
			if m := h.metrics(t); !strings.Contains(m, "souk_gateway_subscriptions 1\n") || !strings.Contains(m, "souk_gateway_operations 0\n") {
				t.Errorf("while it runs:\n%s", m)
			}
			close(h.ticks)
			expect("complete")
			line := h.lines.next(t)
			if line["kind"] != "subscription" || line["name"] != "Live" || line["status"] != "ok" || line["who"] != "acc_ann" {
				t.Error(line)
			}
		})
	}
}

func TestDefer(t *testing.T) {
	h := open(t, nil)
	res, body := h.ask(t, `{"query":"{ asker { account } ... @defer { greeting(name: \"x\") } }"}`, "Accept: multipart/mixed;deferSpec=20220824, application/json")
	if res.StatusCode != 200 || !strings.Contains(body, `{"data":{"asker":{"account":""}},"hasNext":true}`) ||
		!strings.Contains(body, `"greeting":"hello"`) || !strings.HasSuffix(body, "\r\n-----\r\n") {
		t.Errorf("%s %q", res.Status, body)
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
	for _, want := range []string{
		`souk_gateway_operation_seconds_count{kind="query",name="Me",status="ok"} 1`,
		`souk_gateway_operation_seconds_count{kind="query",name="Op150",status="ok"} 1`, // two that end at once may be counted in either order, so not the last that has a name
		`souk_gateway_operation_seconds_count{kind="query",name="other",status="ok"} 51`,
		`souk_gateway_errors_total{code="GRAPHQL_VALIDATION_FAILED"} 1`,
		`souk_gateway_operations 0`, `souk_gateway_sockets 0`, `souk_gateway_subscriptions 0`,
	} {
		// An operation is counted after its answer has left.
		for deadline := time.Now().Add(10 * time.Second); !strings.Contains(h.metrics(t), want+"\n"); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("no %s", want)
			}
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
