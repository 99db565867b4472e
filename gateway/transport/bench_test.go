package transport_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"

	"github.com/coder/websocket"

	"github.com/souk-shop/souk/gateway/engine"
	"github.com/souk-shop/souk/gateway/transport"
)

// ready answers at once, so that what is measured is the transport.
type ready struct{ answer []byte }

func (r ready) Execute(ctx context.Context, q engine.Request, to transport.Reply) {
	if q.Query == "subscription { forever }" {
		context.AfterFunc(ctx, to.(transport.Hearer).Stay())
		return
	}
	to.Accept(engine.Query, false)
	to.Next(r.answer, false)
}

func BenchmarkPost(b *testing.B) {
	h := transport.New(transport.Config{Executor: ready{bytes.Repeat([]byte(`{"a":1}`), 300)}, Sessions: door{}})
	srv := httptest.NewServer(h)
	defer srv.Close()
	body := []byte(`{"query":"query Page($id: ID!) { product(id: $id) { title price } }","variables":{"id":"prod_01J"}}`)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			res, err := http.Post(srv.URL, "application/json", bytes.NewReader(body))
			if err != nil {
				b.Error(err)
				return
			}
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
		}
	})
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

// BenchmarkIdleSocket reports the memory of a socket with one silent subscription, both ends of the TCP connection excluded.
func BenchmarkIdleSocket(b *testing.B) {
	open := &gauge{zero: make(chan struct{}, 1)}
	h := transport.New(transport.Config{Executor: ready{}, Sessions: door{}, Sockets: open})
	srv := httptest.NewServer(h)
	defer srv.Close()
	const sockets = 1000
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		var conns []net.Conn
		for range sockets {
			conns = append(conns, raw(b, srv.Listener.Addr().String()))
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/sockets, "heapB/socket")
		b.ReportMetric(float64(after.StackInuse-before.StackInuse)/sockets, "stackB/socket")
		for _, c := range conns {
			c.Close()
		}
		<-open.zero
	}
	h.Shutdown(b.Context())
}

// raw opens a socket with one subscription and next to no memory on the client's side.
func raw(b *testing.B, addr string) net.Conn {
	b.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: souk\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n")
	c.Write(frame(opText, `{"type":"connection_init"}`))
	c.Write(frame(opText, subscribe("1", "subscription { forever }")))
	var seen []byte
	buf := make([]byte, 512)
	for !bytes.Contains(seen, []byte("connection_ack")) {
		n, err := c.Read(buf)
		if err != nil {
			b.Fatal(err)
		}
		seen = append(seen, buf[:n]...)
	}
	return c
}

func BenchmarkSocketQuery(b *testing.B) {
	h := transport.New(transport.Config{Executor: ready{[]byte(`{"data":{"hello":"world"}}`)}, Sessions: door{}})
	srv := httptest.NewServer(h)
	defer srv.Close()
	c, _, err := websocket.Dial(b.Context(), srv.URL, &websocket.DialOptions{Subprotocols: []string{"graphql-transport-ws"}})
	if err != nil {
		b.Fatal(err)
	}
	c.Write(b.Context(), websocket.MessageText, []byte(`{"type":"connection_init"}`))
	c.Read(b.Context())
	ask := []byte(subscribe("1", "{ hello }"))
	b.ReportAllocs()
	for b.Loop() {
		c.Write(b.Context(), websocket.MessageText, ask)
		for range 2 { // next, complete
			if _, _, err := c.Read(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	}
	c.Close(websocket.StatusNormalClosure, "")
	h.Shutdown(b.Context())
}
