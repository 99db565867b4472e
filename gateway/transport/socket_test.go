package transport_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/souk-shop/souk/gateway/transport"
)

func TestSocketCloseCodes(t *testing.T) {
	ack := []string{`{"type":"connection_init"}`}
	for _, c := range []struct {
		name   string
		send   []string // in one write
		code   int
		reason string
	}{
		{"not JSON", []string{`{`}, 4400, "Invalid message received"},
		{"not UTF-8", []string{"{\"type\":\"ping\",\"payload\":{\"a\":\"\xff\"}}"}, 4400, "Invalid message received"},
		{"a list", []string{`[]`}, 4400, "Invalid message received"},
		{"no type", []string{`{}`}, 4400, "Invalid message received"},
		{"type is a number", []string{`{"type":1}`}, 4400, "Invalid message received"},
		{"a message of servers", []string{`{"type":"connection_ack"}`}, 4400, "Invalid message received"},
		{"a message of the older protocol", []string{`{"type":"start","id":"1"}`}, 4400, "Invalid message received"},
		{"ping with text", []string{`{"type":"ping","payload":"x"}`}, 4400, "payload must be an object"},
		{"init with text", []string{`{"type":"connection_init","payload":"x"}`}, 4400, "payload must be an object, and its Authorization a string"},
		{"subscribe without id", append(ack, `{"type":"subscribe","payload":{"query":"{hello}"}}`), 4400, "id must be a text of 1 to 128 bytes"},
		{"subscribe with a number", append(ack, `{"id":1,"type":"subscribe","payload":{"query":"{hello}"}}`), 4400, "Invalid message received"},
		{"subscribe with a long id", append(ack, subscribe(strings.Repeat("x", 129), "{hello}")), 4400, "id must be a text of 1 to 128 bytes"},
		{"subscribe without payload", append(ack, `{"id":"1","type":"subscribe"}`), 4400, "payload is missing"},
		{"subscribe without query", append(ack, `{"id":"1","type":"subscribe","payload":{}}`), 4400, "query is missing: send the text of a GraphQL operation"},
		{"subscribe to a batch", append(ack, `{"id":"1","type":"subscribe","payload":[{"query":"{hello}"}]}`), 4400, "batches are not served: send one operation a request"},
		{"complete without id", append(ack, `{"type":"complete"}`), 4400, "id is missing"},
		{"subscribe before init", []string{subscribe("1", "{hello}")}, 4401, "Unauthorized"},
		{"forged token", []string{`{"type":"connection_init","payload":{"Authorization":"Bearer forged"}}`}, 4403, "Forbidden"},
		{"sessions unavailable", []string{`{"type":"connection_init","payload":{"authorization":"Bearer later"}}`}, 1013, "sessions cannot be checked now"},
		{"init twice", append(ack, ack...), 4429, "Too many initialisation requests"},
		{"init twice, forged", append(ack, `{"type":"connection_init","payload":{"Authorization":"Bearer forged"}}`), 4429, "Too many initialisation requests"},
		{"one id twice", append(ack, subscribe("1", "subscription { ticks }"), subscribe("1", "subscription { ticks }")), 4409, "Subscriber for 1 already exists"},
		{"one id twice, a query", append(ack, subscribe("q", "{ slow }"), subscribe("q", "{ hello }")), 4409, "Subscriber for q already exists"},
		{"a long id twice", append(ack, subscribe(strings.Repeat("x", 128), "{ slow }"), subscribe(strings.Repeat("x", 128), "{ slow }")), 4409,
			"Subscriber for " + strings.Repeat("x", 61) + "... already exists"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := open(t, nil)
			s := h.dial(t)
			s.send(c.send...)
			s.expectClose(c.code, c.reason)
			<-h.sockets.zero
		})
	}
}

func TestSocketSubprotocol(t *testing.T) {
	for _, offered := range []string{"", "graphql-ws", "chat, graphql-ws"} {
		t.Run(offered, func(t *testing.T) {
			h := open(t, nil)
			var headers []string
			if offered != "" {
				headers = append(headers, "Sec-WebSocket-Protocol: "+offered)
			}
			s, _ := h.upgrade(t, headers...)
			s.expectClose(4406, "Subprotocol not acceptable")
		})
	}
	h := open(t, nil)
	s, res := h.upgrade(t, "Sec-WebSocket-Protocol: graphql-ws, graphql-transport-ws")
	if got := res.Header.Get("Sec-WebSocket-Protocol"); got != "graphql-transport-ws" {
		t.Errorf("chose %q", got)
	}
	s.close()
}

func TestSocketUpgradeRefused(t *testing.T) {
	h := open(t, func(c *transport.Config) { c.Origins = []string{"shop.example"} })
	for _, c := range []struct {
		header string
		status int
	}{
		{"Origin: https://evil.example", 403},
		{"Origin: https://shop.example", 101},
		{"Origin: http://souk", 101},
		{"Authorization: Bearer forged", 401},
		{"Authorization: Bearer ann", 101},
	} {
		s, res := h.upgrade(t, "Sec-WebSocket-Protocol: graphql-transport-ws", c.header)
		if res.StatusCode != c.status {
			t.Errorf("%s: %s", c.header, res.Status)
		}
		if res.StatusCode == 101 {
			s.close()
		}
	}
}

// Files are left for everything else: who finds no place is told so, and finds one when somebody leaves.
func TestSocketsAreBounded(t *testing.T) {
	h := open(t, func(c *transport.Config) { c.MostSockets = 2 })
	first := h.dial(t)
	h.dial(t)
	if _, res := h.upgrade(t, "Sec-WebSocket-Protocol: graphql-transport-ws"); res.StatusCode != 503 {
		t.Errorf("the third: %s", res.Status)
	}
	if r := h.stream(t, `{"query":"subscription { ticks }"}`, "Accept: "+eventStream+", application/graphql-response+json"); r.res.StatusCode != 503 {
		t.Errorf("an event stream: %s", r.res.Status)
	}
	first.close()
	for {
		s, res := h.upgrade(t, "Sec-WebSocket-Protocol: graphql-transport-ws")
		if res.StatusCode == 101 {
			break
		}
		s.conn.Close()
		time.Sleep(time.Millisecond) // the one that left is being cleared away
	}
}

func TestSocketInitTimeout(t *testing.T) {
	h := open(t, func(c *transport.Config) { c.InitWait = 10 * time.Millisecond })
	s := h.dial(t)
	s.expectClose(4408, "Connection initialisation timeout")
}

func TestSocketMessageLimit(t *testing.T) {
	h := open(t, func(c *transport.Config) { c.Body = 1000 })
	s := h.dial(t)
	s.send(`{"type":"ping"}` + strings.Repeat(" ", 985))
	s.expect(`{"type":"pong"}`)
	s.send(`{"type":"ping"}` + strings.Repeat(" ", 1000))
	s.expectClose(1009, "read limited at 1001 bytes")
}

func TestSocketOperations(t *testing.T) {
	h := open(t, nil)
	s := h.dial(t).greet()
	s.send(subscribe("q", "{ hello }"))
	s.expect(`{"id":"q","type":"next","payload":{"data":{"hello":"world"}}}`)
	s.expect(`{"id":"q","type":"complete"}`)

	s.send(subscribe("m", `mutation { greet(name: "x") }`)) // ids may be used again once they are free
	s.expect(`{"id":"m","type":"next","payload":{"data":{"hello":"world"}}}`)
	s.expect(`{"id":"m","type":"complete"}`)

	s.send(subscribe("q", "{ nonsense }"))
	op, got := s.frame()
	if op != opText || !strings.HasPrefix(string(got), `{"id":"q","type":"error","payload":[{"message":`) || !strings.Contains(string(got), "GRAPHQL_VALIDATION_FAILED") {
		t.Fatalf("%s", got)
	}
	s.send(subscribe("d", "{ hello ... @defer { slow } }"))
	s.expect(`{"id":"d","type":"next","payload":{"data":{"hello":"world"},"hasNext":true}}`)
	s.expect(`{"id":"d","type":"next","payload":{"incremental":[{"data":{"slow":"late"},"path":[]}],"hasNext":false}}`)
	s.expect(`{"id":"d","type":"complete"}`)

	s.send(subscribe("s", "subscription { ticks }"))
	h.ticks <- 1
	h.ticks <- 2
	close(h.ticks)
	s.expect(`{"id":"s","type":"next","payload":{"data":{"ticks":1}}}`)
	s.expect(`{"id":"s","type":"next","payload":{"data":{"ticks":2}}}`)
	s.expect(`{"id":"s","type":"complete"}`)
	s.send(complete("s"), complete("never seen")) // too late, which is no mistake
	s.send(`{"type":"ping"}`)
	s.expect(`{"type":"pong"}`)
	s.close()
}

func TestSocketFailsMidway(t *testing.T) {
	h := open(t, nil)
	s := h.dial(t).greet()
	s.send(subscribe("s", "subscription { broken }"))
	h.ticks <- 1
	s.expect(`{"id":"s","type":"next","payload":{"data":{"ticks":1}}}`)
	s.expect(`{"id":"s","type":"error","payload":[{"message":"inventory went away","extensions":{"code":"SUBGRAPH_UNAVAILABLE"}}]}`)
	s.send(`{"type":"ping"}`) // nothing follows an error, not even complete
	s.expect(`{"type":"pong"}`)
	s.close()
}

func TestSocketClientCompletes(t *testing.T) {
	h := open(t, nil)
	s := h.dial(t).greet()
	s.send(subscribe("s", "subscription { ticks }"), subscribe("slow", "{ slow }"))
	h.ticks <- 1
	s.expect(`{"id":"s","type":"next","payload":{"data":{"ticks":1}}}`)
	// The id is free at once, even in the same write, and no answer to the first of its owners follows.
	s.send(complete("s"), complete("slow"), subscribe("slow", "{ hello }"))
	s.expect(`{"id":"slow","type":"next","payload":{"data":{"hello":"world"}}}`)
	s.expect(`{"id":"slow","type":"complete"}`)
	ended := []string{<-h.ended, <-h.ended}
	slices.Sort(ended)
	if !slices.Equal(ended, []string{"slow", "ticks"}) {
		t.Errorf("ended: %v", ended)
	}
	s.send(`{"type":"ping"}`)
	s.expect(`{"type":"pong"}`)
	s.close()
}

// While events rain, operations come and go under the same few ids. Once a pong has overtaken a complete, nothing of that
// operation may follow.
func TestSocketNothingAfterComplete(t *testing.T) {
	h := open(t, nil)
	s := h.dial(t).greet()
	rain := make(chan int, 10_000)
	dry := make(chan struct{})
	go func() {
		defer close(dry)
		for n := range rain {
			select {
			case h.ticks <- n:
			case <-t.Context().Done():
				return
			}
		}
	}()
	for n := range 100 {
		rain <- n
	}
	live := map[string]bool{}
	for round := range 300 {
		id := fmt.Sprint(round % 7)
		if live[id] {
			s.send(complete(id), fmt.Sprintf(`{"type":"ping","payload":{"round":%d}}`, round))
			for {
				op, got := s.frame()
				if op == opClose {
					t.Fatalf("round %d: closed: %q", round, got)
				}
				rain <- round
				if string(got) == fmt.Sprintf(`{"type":"pong","payload":{"round":%d}}`, round) {
					break
				}
			}
			live[id] = false
			continue
		}
		s.send(subscribe(id, "subscription { ticks }"))
		live[id] = true
		for range 2 { // somebody hears of it
			rain <- round
			_, got := s.frame()
			var m struct{ ID, Type string }
			if json.Unmarshal(got, &m); m.Type != "next" || !live[m.ID] {
				t.Fatalf("round %d: %s", round, got)
			}
		}
	}
	close(rain)
	s.conn.Close()
	<-h.sockets.zero
	go func() { // the last drops fall on nobody
		for range h.ticks {
		}
	}()
	<-dry
	close(h.ticks)
}

func TestSocketPing(t *testing.T) {
	h := open(t, nil)
	s := h.dial(t)
	s.send(`{"type":"ping"}`, `{"type":"ping","payload":{"at":1}}`, `{"type":"pong"}`, `{"type":"pong","payload":null}`, `{"type":"ping","payload":null}`)
	s.expect(`{"type":"pong"}`)
	s.expect(`{"type":"pong","payload":{"at":1}}`)
	s.expect(`{"type":"pong"}`)
	s.conn.Write(frame(opPing, "frame"))
	if op, got := s.frame(); op != opPong || string(got) != "frame" {
		t.Errorf("%x %s", op, got)
	}
	s.close()
}

func TestSocketKeepalive(t *testing.T) {
	h := open(t, func(c *transport.Config) { c.Keepalive = 250 * time.Millisecond })
	s := h.dial(t).greet()
	for range 3 {
		s.expect(`{"type":"ping"}`)
		s.send(`{"type":"pong"}`)
	}
	s.expectClose(1013, "no answer to ping")
}

func TestSocketSession(t *testing.T) {
	h := open(t, nil)
	for _, c := range []struct{ header, init, who string }{
		{"X: y", `{"type":"connection_init"}`, ""},
		{"X: y", `{"type":"connection_init","payload":{"Authorization":"Bearer ann","other":1}}`, "acc_ann"},
		{"X: y", `{"type":"connection_init","payload":{"authorization":"Bearer ann"}}`, "acc_ann"},
		{"Authorization: Bearer ann", `{"type":"connection_init","payload":{}}`, "acc_ann"},
	} {
		s := h.dial(t, c.header)
		s.send(c.init, subscribe("1", "{ whoami }"))
		s.expect(`{"type":"connection_ack"}`)
		s.expect(fmt.Sprintf(`{"id":"1","type":"next","payload":{"data":{"whoami":%q}}}`, c.who))
		s.expect(`{"id":"1","type":"complete"}`)
		s.close()
	}
}

func TestSocketSessionExpires(t *testing.T) {
	for _, signedIn := range []struct{ header, init string }{
		{"X: y", `{"type":"connection_init","payload":{"Authorization":"Bearer ann"}}`},
		{"Authorization: Bearer ann", `{"type":"connection_init"}`},
	} {
		h := open(t, func(c *transport.Config) { c.Sessions = door{until: time.Now().Add(500 * time.Millisecond)} })
		s := h.dial(t, signedIn.header)
		s.send(signedIn.init, subscribe("s", "subscription { ticks }"))
		s.expectClose(4403, "session expired")
		if field := <-h.ended; field != "ticks" {
			t.Error(field)
		}
	}
}

func TestSocketOperationLimit(t *testing.T) {
	h := open(t, func(c *transport.Config) { c.Operations = 3 })
	s := h.dial(t).greet()
	s.send(subscribe("1", "{ slow }"), subscribe("2", "subscription { ticks }"), subscribe("3", "{ slow }"), subscribe("4", "{ hello }"))
	s.expect(`{"id":"4","type":"error","payload":[{"message":"too many operations at once on one socket","extensions":{"code":"TOO_MANY_OPERATIONS"}}]}`)
	s.send(complete("2"), subscribe("4", "{ hello }"))
	s.expect(`{"id":"4","type":"next","payload":{"data":{"hello":"world"}}}`)
	s.expect(`{"id":"4","type":"complete"}`)
	s.close()
}

// A client that subscribes and completes without end must not pile up goroutines.
func TestSocketChurn(t *testing.T) {
	h := open(t, func(c *transport.Config) { c.Operations = 10 })
	s := h.dial(t).greet()
	const rounds = 500
	for i := range rounds {
		id := fmt.Sprint(i)
		s.send(subscribe(id, "subscription { ticks }"), complete(id))
	}
	for range rounds {
		<-h.ended
	}
	s.send(subscribe("after", "{ hello }"))
	s.expect(`{"id":"after","type":"next","payload":{"data":{"hello":"world"}}}`)
	s.close()
}

func TestSocketSlowReader(t *testing.T) {
	h := open(t, nil)
	s := h.dial(t).greet()
	s.send(subscribe("s", "subscription { flood }"))
	if field := <-h.ended; field != "flood" { // it ends when nobody takes what it says
		t.Error(field)
	}
	s.expectClose(1013, "reads too slowly")
}

func TestSocketNeverReads(t *testing.T) {
	h := open(t, func(c *transport.Config) { c.Queue = 1 << 20; c.WriteWait = 250 * time.Millisecond })
	s := h.dial(t).greet()
	s.send(subscribe("s", "subscription { flood }"))
	<-h.ended
	<-h.sockets.zero // the connection is given up although the client neither reads nor leaves
}

func TestSocketHangUp(t *testing.T) {
	h := open(t, nil)
	s := h.dial(t).greet()
	s.send(subscribe("1", "subscription { ticks }"), subscribe("2", "{ slow }"))
	<-h.started
	<-h.started
	s.conn.Close()
	<-h.ended
	<-h.ended
	<-h.sockets.zero
}

func TestShutdown(t *testing.T) {
	h := open(t, nil)
	var all []*rawSocket
	for range 5 {
		s := h.dial(t).greet()
		s.send(subscribe("s", "subscription { ticks }"))
		<-h.started
		all = append(all, s)
	}
	done := make(chan error)
	go func() { done <- h.handler.Shutdown(context.Background()) }()
	for _, s := range all {
		s.expectClose(1001, "the server is shutting down")
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, res := h.upgrade(t, "Sec-WebSocket-Protocol: graphql-transport-ws"); res.StatusCode != 503 {
		t.Errorf("a socket while draining: %s", res.Status)
	}
	if res, body := h.ask(t, "POST", "", strings.NewReader(`{"query":"{ hello }"}`), "Content-Type: application/json"); res.StatusCode != 200 {
		t.Errorf("a query while draining: %s %s", res.Status, body)
	}
}
