package transport_test

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/souk-shop/souk/gateway/engine"
	"github.com/souk-shop/souk/gateway/transport"
)

const eventStream = "text/event-stream"

// A reader takes a streamed response line by line.
type reader struct {
	t     *testing.T
	res   *http.Response
	lines *bufio.Reader
}

func (h house) stream(t *testing.T, query string, headers ...string) *reader {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, "POST", h.url, strings.NewReader(query))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		req.Header.Set(name, value)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	return &reader{t, res, bufio.NewReader(res.Body)}
}

// expect reads events and comments up to an empty line, and skips comments unless one is wanted.
func (r *reader) expect(want string) {
	r.t.Helper()
	for {
		got := r.event()
		if got == ":\n" && want != ":\n" {
			continue
		}
		if got != want {
			r.t.Fatalf("got %q, want %q", got, want)
		}
		return
	}
}

// event reads up to an empty line.
func (r *reader) event() string {
	r.t.Helper()
	var event strings.Builder
	for {
		line, err := r.lines.ReadString('\n')
		if err != nil {
			r.t.Fatalf("the stream ended (%v) after %q", err, event.String())
		}
		if line == "\n" {
			return event.String()
		}
		event.WriteString(line)
	}
}

func (r *reader) expectEnd() {
	r.t.Helper()
	for {
		line, err := r.lines.ReadString('\n')
		if err != nil {
			return
		}
		if line != ":\n" && line != "\n" {
			r.t.Fatalf("after the end: %q", line)
		}
	}
}

func TestEvents(t *testing.T) {
	h := open(t, nil)
	r := h.stream(t, `{"query":"subscription { ticks }"}`, "Accept: "+eventStream)
	if r.res.StatusCode != 200 || r.res.Header.Get("Content-Type") != "text/event-stream; charset=utf-8" {
		t.Fatalf("%s %v", r.res.Status, r.res.Header)
	}
	h.ticks <- 1
	r.expect("event: next\ndata: {\"data\":{\"ticks\":1}}\n")
	h.ticks <- 2
	r.expect("event: next\ndata: {\"data\":{\"ticks\":2}}\n")
	close(h.ticks)
	r.expect("event: complete\ndata: \n")
	r.expectEnd()
}

func TestEventsOfOtherOperations(t *testing.T) {
	h := open(t, nil)
	for _, c := range []struct {
		name, query, accept string
		events              []string
	}{
		{"query", `{"query":"{ hello }"}`, eventStream, []string{`{"data":{"hello":"world"}}`}},
		{"mutation", `{"query":"mutation { greet(name: \"x\") }"}`, eventStream, []string{`{"data":{"hello":"world"}}`}},
		{"@defer", `{"query":"{ hello ... @defer { slow } }"}`, eventStream + ", application/json",
			[]string{`{"data":{"hello":"world"},"hasNext":true}`, `{"incremental":[{"data":{"slow":"late"},"path":[]}],"hasNext":false}`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := h.stream(t, c.query, "Accept: "+c.accept)
			for _, want := range c.events {
				r.expect("event: next\ndata: " + want + "\n")
			}
			r.expect("event: complete\ndata: \n")
			r.expectEnd()
		})
	}
}

// EventSource shows nothing of an HTTP status, so errors of the operation are events; errors of the request are not.
func TestEventsOfErrors(t *testing.T) {
	h := open(t, nil)
	r := h.stream(t, `{"query":"subscription { ticks } "}`, "Accept: "+eventStream, "Authorization: Bearer forged")
	if r.res.StatusCode != 401 {
		t.Errorf("forged token: %s", r.res.Status)
	}
	r = h.stream(t, `{"query":"subscription { nonsense }"}`, "Accept: "+eventStream)
	if r.res.StatusCode != 200 {
		t.Errorf("validation: %s", r.res.Status)
	}
	r.expect(`event: next` + "\n" + `data: {"errors":[{"message":"input:1:16: Cannot query field \"nonsense\" on type \"Subscription\".\n",` +
		`"extensions":{"code":"GRAPHQL_VALIDATION_FAILED"}}]}` + "\n")
	r.expect("event: complete\ndata: \n")

	r = h.stream(t, `{"query":"subscription { broken }"}`, "Accept: "+eventStream)
	h.ticks <- 1
	r.expect("event: next\ndata: {\"data\":{\"ticks\":1}}\n")
	r.expect(`event: next` + "\n" + `data: {"errors":[{"message":"inventory went away","extensions":{"code":"SUBGRAPH_UNAVAILABLE"}}]}` + "\n")
	r.expect("event: complete\ndata: \n")
}

func TestEventsByGet(t *testing.T) {
	h := open(t, nil)
	res, body := h.ask(t, "GET", "?query=mutation{greet(name:%22x%22)}", nil, "Accept: "+eventStream, "Souk-Preflight: 1")
	if res.StatusCode != 200 || !strings.Contains(body, "METHOD_NOT_ALLOWED") {
		t.Errorf("mutation: %d %s", res.StatusCode, body)
	}
	close(h.ticks)
	res, body = h.ask(t, "GET", "?query=subscription{ticks}", nil, "Accept: "+eventStream, "Sec-Fetch-Site: same-origin")
	if res.StatusCode != 200 || body != ":\n\nevent: complete\ndata: \n\n" {
		t.Errorf("subscription: %d %q", res.StatusCode, body)
	}
}

func TestEventsKeepalive(t *testing.T) {
	h := open(t, func(c *transport.Config) { c.Keepalive = 5 * time.Millisecond })
	r := h.stream(t, `{"query":"subscription { ticks }"}`, "Accept: "+eventStream)
	for range 4 {
		r.expect(":\n")
	}
	r.res.Body.Close()
	if field := <-h.ended; field != "ticks" {
		t.Error(field)
	}
}

// Who is cut off by a shutdown or the end of a session is not told "complete", so a client asks again.
func TestEventsCutOff(t *testing.T) {
	t.Run("session", func(t *testing.T) {
		h := open(t, func(c *transport.Config) { c.Sessions = door{until: time.Now().Add(500 * time.Millisecond)} })
		r := h.stream(t, `{"query":"subscription { ticks }"}`, "Accept: "+eventStream, "Authorization: Bearer ann")
		r.expectEnd()
		<-h.ended
	})
	t.Run("shutdown", func(t *testing.T) {
		h := open(t, nil)
		r := h.stream(t, `{"query":"subscription { ticks }"}`, "Accept: "+eventStream)
		<-h.started
		if err := h.handler.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		r.expectEnd()
		r = h.stream(t, `{"query":"subscription { ticks }"}`, "Accept: "+eventStream)
		r.expect("event: next\ndata: {\"errors\":[{\"message\":\"the server is shutting down\",\"extensions\":{\"code\":\"UNAVAILABLE\"}}]}\n")
	})
	t.Run("reader that never reads", func(t *testing.T) {
		h := open(t, func(c *transport.Config) { c.WriteWait = 250 * time.Millisecond })
		h.stream(t, `{"query":"subscription { flood }"}`, "Accept: "+eventStream)
		if field := <-h.ended; field != "flood" {
			t.Error(field)
		}
	})
}

func TestParts(t *testing.T) {
	h := open(t, nil)
	const query = `{"query":"{ hello ... @defer { slow } }"}`
	want := "\r\n---\r\nContent-Type: application/json; charset=utf-8\r\n\r\n" + `{"data":{"hello":"world"},"hasNext":true}` +
		"\r\n---\r\nContent-Type: application/json; charset=utf-8\r\n\r\n" + `{"incremental":[{"data":{"slow":"late"},"path":[]}],"hasNext":false}` + "\r\n-----\r\n"
	for name, accept := range map[string]string{
		"apollo": "multipart/mixed;deferSpec=20220824,application/graphql-response+json,application/json;q=0.9",
		"urql":   "application/graphql-response+json, application/graphql+json, application/json, text/event-stream, multipart/mixed",
		"bare":   "multipart/mixed",
	} {
		res, body := h.ask(t, "POST", "", strings.NewReader(query), "Content-Type: application/json", "Accept: "+accept)
		if res.StatusCode != 200 || res.Header.Get("Content-Type") != `multipart/mixed; boundary="-"; deferSpec=20220824` || body != want {
			t.Errorf("%s: %d %v\n%q", name, res.StatusCode, res.Header, body)
		}
	}
	res, body := h.ask(t, "POST", "", strings.NewReader(`{"query":"{ hello }"}`), "Content-Type: application/json", "Accept: multipart/mixed")
	if res.StatusCode != 200 || body != "\r\n---\r\nContent-Type: application/json; charset=utf-8\r\n\r\n"+`{"data":{"hello":"world"}}`+"\r\n-----\r\n" {
		t.Errorf("a query for a reader of parts alone: %d %q", res.StatusCode, body)
	}
}

// halfway fails after the first part of a deferred answer.
type halfway struct{}

func (halfway) Execute(_ context.Context, _ engine.Request, to transport.Reply) {
	if to.Accept(engine.Query, true) == nil {
		to.Next([]byte(`{"data":{},"hasNext":true}`), true)
		to.Fail(engine.Errors{{Message: "too late", Extensions: map[string]any{"code": "TIMEOUT"}}})
	}
}

func TestPartsFailHalfway(t *testing.T) {
	h := open(t, func(c *transport.Config) { c.Executor = halfway{} })
	_, body := h.ask(t, "POST", "", strings.NewReader(`{"query":"{ a }"}`), "Content-Type: application/json", "Accept: multipart/mixed")
	if !strings.HasSuffix(body, `{"incremental":[{"errors":[{"message":"too late","extensions":{"code":"TIMEOUT"}}],"path":[]}],"hasNext":false}`+"\r\n-----\r\n") {
		t.Errorf("%q", body)
	}
}
