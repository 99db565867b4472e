package transport_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"strings"
	"testing"
	"time"

	"github.com/souk-shop/souk/gateway/transport"
)

const listen = `{"query":"subscription { n }"}`

func event(data string) string { return "event: next\ndata: " + data + "\n" }

func TestHearByEvents(t *testing.T) {
	h, q := openSquare(t, nil)
	a, b := h.stream(t, listen, "Accept: "+eventStream), h.stream(t, listen, "Accept: "+eventStream)
	s := h.dial(t).greet()
	s.send(subscribe("1", "subscription { n }"))
	for range 3 {
		<-q.came
	}
	for n := range 3 {
		q.tell(count(n))
		a.expect(event(count(n)))
		b.expect(event(count(n)))
		s.expect(next("1", n))
	}
	a.res.Body.Close()
	<-q.left
	q.tell("{\n\"data\": 4}") // in two lines
	b.expect("event: next\ndata: {\ndata: \"data\": 4}\n")
	q.over()
	b.expect("event: complete\ndata: \n")
	if rest, err := io.ReadAll(b.lines); len(rest) > 0 || err != nil { // an error would be that the last chunk is missing
		t.Errorf("after the end: %q, %v", rest, err)
	}
	s.expect(`{"id":"1","type":"next","payload":` + "{\n\"data\": 4}}")
	s.expect(complete("1"))
	s.close()
}

// listenSlowly opens a stream of which the client reads nothing before it wants to.
func (h house) listenSlowly(t *testing.T) (conn *net.TCPConn, body func() *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	conn = c.(*net.TCPConn)
	conn.SetReadBuffer(4 << 10)
	conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: souk\r\nAccept: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", eventStream, len(listen), listen)
	return conn, func() *bufio.Reader {
		t.Helper()
		r := bufio.NewReader(conn)
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		return bufio.NewReader(res.Body)
	}
}

// Who does not read delays nobody, and when he reads hears what was on its way, then the newest, and then the end.
func TestHearSlowlyByEvents(t *testing.T) {
	h, q := openSquare(t, nil)
	_, body := h.listenSlowly(t)
	<-q.came
	const last = 2_000
	padding := strings.Repeat("x", 10_000)
	for n := range last {
		q.tell(fmt.Sprintf(`{"data":{"n":%d,"padding":%q}}`, n+1, padding))
	}
	q.over()
	r, was, heard := &reader{t, nil, body()}, 0, 0
	for n := 0; n < last; was = n {
		var text string
		for text == "" || text == ":\n" {
			text = r.event()
		}
		if _, err := fmt.Sscanf(text, "event: next\ndata: {\"data\":{\"n\":%d,", &n); err != nil || n <= was {
			t.Fatalf("%d after %d, %v: %.80q", n, was, err, text)
		}
		heard++
	}
	if heard > last/2 {
		t.Errorf("%d of %d were kept for it", heard, last)
	}
	r.expect("event: complete\ndata: \n")
	r.expectEnd()
}

// Who never reads is given up.
func TestHearNeverByEvents(t *testing.T) {
	h, q := openSquare(t, func(c *transport.Config) { c.WriteWait = 50 * time.Millisecond })
	h.listenSlowly(t)
	<-q.came
	large := fmt.Sprintf(`{"data":%q}`, strings.Repeat("x", 1<<20))
	for {
		select {
		case <-q.left:
			return
		default:
			q.tell(large)
		}
	}
}

// Signs of life come between events, and who hangs up is noticed without any.
func TestHearKeepalive(t *testing.T) {
	h, q := openSquare(t, func(c *transport.Config) { c.Keepalive = 5 * time.Millisecond })
	r := h.stream(t, listen, "Accept: "+eventStream)
	<-q.came
	for range 4 {
		r.expect(":\n")
	}
	q.tell(count(1))
	r.expect(event(count(1)))
	r.res.Body.Close()
	<-q.left

	h, q = openSquare(t, nil)
	conn, _ := h.listenSlowly(t)
	<-q.came
	conn.Close()
	<-q.left
}

// Who is cut off by a shutdown is not told that it is complete.
func TestHearUntilShutdownByEvents(t *testing.T) {
	h, q := openSquare(t, nil)
	r := h.stream(t, listen, "Accept: "+eventStream)
	<-q.came
	q.tell(count(1))
	r.expect(event(count(1)))
	if err := h.handler.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if rest, err := io.ReadAll(r.lines); len(rest) > 0 || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
}

// A client may be served by a proxy that speaks HTTP/1.1 to us, as most do.
func TestHearThroughAProxy(t *testing.T) {
	h, q := openSquare(t, nil)
	proxy := httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", h.addr }}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: &proxy, ReadHeaderTimeout: time.Second}
	go srv.Serve(l)
	defer srv.Close()
	through := h
	through.url = "http://" + l.Addr().String()
	r := through.stream(t, listen, "Accept: "+eventStream)
	<-q.came
	q.tell(count(1))
	r.expect(event(count(1)))
	q.over()
	r.expect("event: complete\ndata: \n")
	r.expectEnd()
}

// An event stream takes a place as a socket does, and gives it back however it ends.
func TestEventStreamsAreBounded(t *testing.T) {
	h, q := openSquare(t, func(c *transport.Config) { c.MostSockets = 1 })
	for range 3 {
		r := h.stream(t, listen, "Accept: "+eventStream)
		<-q.came
		if res := h.stream(t, listen, "Accept: "+eventStream+", application/graphql-response+json").res; res.StatusCode != http.StatusServiceUnavailable {
			t.Fatalf("the second: %s", res.Status) // it has a place, and never gives it back
		}
		r.res.Body.Close()
		<-q.left
		<-h.sockets.zero
	}
}

// A connection that is lost while it is taken over ends its stream, and nothing else.
func TestNoTakeover(t *testing.T) {
	h, q := openSquare(t, nil)
	body := strings.NewReader(listen)
	r := httptest.NewRequestWithContext(t.Context(), "POST", "/", body)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", eventStream)
	h.handler.ServeHTTP(lost{httptest.NewRecorder()}, r)
	<-q.left
}

// lost is the answer to a client that is gone when its connection is wanted.
type lost struct{ *httptest.ResponseRecorder }

func (lost) Hijack() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, net.ErrClosed }
func (lost) SetWriteDeadline(time.Time) error             { return nil }
