package souk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
)

type hello struct{ Hello string }

// serve starts a graph that answers the n-th request, from 1, as told.
func serve(t *testing.T, answer func(n int64, w http.ResponseWriter, r *http.Request, body string)) (*Client, *atomic.Int64) {
	t.Helper()
	var n atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		answer(n.Add(1), w, r, string(body))
	}))
	t.Cleanup(server.Close)
	return New(server.URL), &n
}

const down = `{"data":null,"errors":[{"message":"the subgraph did not answer","path":["hello"],"extensions":{"code":"SUBGRAPH_UNAVAILABLE"}}]}`

func TestWhatIsSentAgain(t *testing.T) {
	key := map[string]any{"input": map[string]any{"idempotencyKey": "k"}}
	for name, test := range map[string]struct {
		query     string
		variables any
		first     func(w http.ResponseWriter)
		again     bool
	}{
		"a query that a subgraph does not answer":     {"query Q { hello }", nil, func(w http.ResponseWriter) { io.WriteString(w, down) }, true},
		"a query that a proxy refuses":                {"{ hello }", nil, func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadGateway) }, true},
		"a query whose connection breaks":             {"{ hello }", nil, func(http.ResponseWriter) { panic(http.ErrAbortHandler) }, true},
		"a mutation with a key":                       {"# buys\nmutation M { hello }", key, func(w http.ResponseWriter) { io.WriteString(w, down) }, true},
		"a mutation without":                          {"# changes\nmutation M { hello }", nil, func(w http.ResponseWriter) { io.WriteString(w, down) }, false},
		"a query that is wrong":                       {"{ hallo }", nil, func(w http.ResponseWriter) { io.WriteString(w, `{"errors":[{"message":"no such field"}]}`) }, false},
		"a query that somebody else than a graph has": {"{ hello }", nil, func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotFound) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			c, requests := serve(t, func(n int64, w http.ResponseWriter, _ *http.Request, _ string) {
				if n == 1 {
					test.first(w)
					return
				}
				io.WriteString(w, `{"data":{"hello":"world"}}`)
			})
			answer, err := Do[hello](t.Context(), c, test.query, test.variables)
			if test.again && (err != nil || answer.Hello != "world" || requests.Load() != 2) {
				t.Errorf("%v, %v after %d requests", answer, err, requests.Load())
			}
			if !test.again && (err == nil || requests.Load() != 1) {
				t.Errorf("%v, %v after %d requests", answer, err, requests.Load())
			}
		})
	}
}

// What was refused because a budget was spent is sent again when told to, mutations too: nothing of it ran.
func TestAskedTooFast(t *testing.T) {
	refused := `{"errors":[{"message":"too much","extensions":{"code":"THROTTLED","retryAfter":0}}]}`
	c, requests := serve(t, func(n int64, w http.ResponseWriter, _ *http.Request, _ string) {
		if n <= 2*tries {
			w.WriteHeader(http.StatusTooManyRequests)
			io.WriteString(w, refused)
			return
		}
		io.WriteString(w, `{"data":{"hello":"you"}}`)
	})
	got, err := Do[hello](t.Context(), c, "mutation M { hello }", nil)
	if err != nil || got.Hello != "you" || requests.Load() != 2*tries+1 {
		t.Errorf("%v %v after %d", got, err, requests.Load())
	}

	refused = `{"data":{"hello":null},"errors":[{"message":"too much","path":["hello"],"extensions":{"code":"THROTTLED"}}]}`
	c, requests = serve(t, func(_ int64, w http.ResponseWriter, _ *http.Request, _ string) { io.WriteString(w, refused) })
	if _, err := Do[hello](t.Context(), c, "mutation M { hello }", nil); Code(err) != "THROTTLED" || requests.Load() != 1 {
		t.Errorf("a field that was refused: %v after %d", err, requests.Load())
	}
}

func TestErrorsComeBesideData(t *testing.T) {
	c, _ := serve(t, func(_ int64, w http.ResponseWriter, _ *http.Request, _ string) {
		io.WriteString(w, `{"data":{"hello":"half"},"errors":[{"message":"not yours","path":["a",0,"b"],"extensions":{"code":"FORBIDDEN"}}]}`)
	})
	answer, err := Do[hello](t.Context(), c, "{ hello }", nil)
	var es Errors
	if answer.Hello != "half" || !errors.As(err, &es) || Code(err) != "FORBIDDEN" || err.Error() != "FORBIDDEN: not yours at a.0.b" {
		t.Errorf("%v, %v", answer, err)
	}
}

// A client that is signed in renews its session before it ends, once for all who wait.
func TestSessionsAreRenewed(t *testing.T) {
	c, _ := serve(t, func(_ int64, w http.ResponseWriter, r *http.Request, body string) {
		session := func(field, token, ends string) {
			fmt.Fprintf(w, `{"data":{%q:{"session":{"accessToken":%q,"refreshToken":"r-%s","expiresAt":%q},"userErrors":[]}}}`, field, token, token, ends)
		}
		switch {
		case strings.Contains(body, "sessionCreate"):
			session("sessionCreate", "first", time.Now().Add(time.Second).Format(time.RFC3339))
		case strings.Contains(body, "sessionRefresh"):
			if !strings.Contains(body, "r-first") || r.Header.Get("Authorization") != "" {
				t.Errorf("renewed with %s", body)
			}
			session("sessionRefresh", "second", time.Now().Add(time.Hour).Format(time.RFC3339))
		default:
			fmt.Fprintf(w, `{"data":{"hello":%q}}`, r.Header.Get("Authorization"))
		}
	})
	signedIn, err := c.SignIn(t.Context(), "a@souk.test", "secret")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if answer, err := Do[hello](t.Context(), signedIn, "{ hello }", nil); err != nil || answer.Hello != "Bearer second" {
			t.Errorf("%v, %v", answer, err)
		}
	}
	if answer, err := Do[hello](t.Context(), c, "{ hello }", nil); err != nil || answer.Hello != "" {
		t.Errorf("the guest calls as %v, %v", answer, err)
	}
}

func TestRefusedSignIn(t *testing.T) {
	c, _ := serve(t, func(_ int64, w http.ResponseWriter, _ *http.Request, _ string) {
		io.WriteString(w, `{"data":{"sessionCreate":{"session":null,"userErrors":[{"code":"BAD_CREDENTIALS","message":"no such pair","field":["input","password"]}]}}}`)
	})
	_, err := c.SignIn(t.Context(), "a@souk.test", "wrong")
	if Code(err) != "BAD_CREDENTIALS" || err.Error() != "BAD_CREDENTIALS: no such pair (input.password)" {
		t.Errorf("%v", err)
	}
}

func TestSubscribe(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"graphql-transport-ws"}})
		if err != nil {
			t.Error(err)
			return
		}
		defer ws.CloseNow()
		var init, subscribe message
		if wsjson.Read(r.Context(), ws, &init) != nil || !strings.Contains(string(init.Payload), "Bearer tok") {
			t.Errorf("%s %s", init.Type, init.Payload)
		}
		say := func(kind string, payload string) {
			wsjson.Write(r.Context(), ws, message{ID: map[bool]string{true: "1"}[kind != "ping" && kind != "connection_ack"], Type: kind, Payload: json.RawMessage(payload)})
		}
		say("connection_ack", "{}")
		if wsjson.Read(r.Context(), ws, &subscribe) != nil || subscribe.Type != "subscribe" {
			t.Error(subscribe.Type)
		}
		say("next", `{"data":{"hello":"one"}}`)
		say("ping", "{}")
		say("next", `{"data":{"hello":"two"}}`)
		say("complete", "null")
	}))
	defer server.Close()
	values, err := Subscribe[hello](t.Context(), New(server.URL).As("tok"), "subscription S { hello }", nil)
	if err != nil {
		t.Fatal(err)
	}
	var heard []string
	for value, err := range values {
		if err != nil {
			t.Fatal(err)
		}
		heard = append(heard, value.Hello)
	}
	if strings.Join(heard, " ") != "one two" {
		t.Errorf("heard %v", heard)
	}
}

func TestGivingUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c, requests := serve(t, func(_ int64, w http.ResponseWriter, _ *http.Request, _ string) {
		cancel()
		io.WriteString(w, down)
	})
	if _, err := Do[hello](ctx, c, "{ hello }", nil); err == nil || requests.Load() != 1 {
		t.Errorf("%v after %d requests", err, requests.Load())
	}
}
