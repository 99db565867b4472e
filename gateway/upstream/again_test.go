package upstream

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// A restarting subgraph answers the first request of each connection and hangs up on the second, which it has begun to read.
func restarting(t *testing.T) (c *http.Client, url string, asked *atomic.Int32) {
	type served struct{}
	asked = new(atomic.Int32)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.Context().Value(served{}).(*atomic.Bool).Swap(true) {
			panic(http.ErrAbortHandler)
		}
		if r.Header.Get("Idempotency-Key") != "" || r.Header["Idempotency-Key"] != nil {
			t.Error("the mark was sent")
		}
		io.Copy(w, r.Body)
	}))
	srv.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		return context.WithValue(ctx, served{}, new(atomic.Bool))
	}
	srv.Start()
	base := pool(Config{})
	tr, err := New(Config{Base: base, Key: []byte("0123456789abcdef0123456789abcdef")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { base.CloseIdleConnections(); srv.Close() })
	return &http.Client{Transport: tr}, srv.URL, asked
}

func TestWhatOnlyReadsIsAskedAgain(t *testing.T) {
	c, url, asked := restarting(t)
	for i := range 3 {
		body, err := post(t, Reading(context.Background()), c, url)
		if err != nil || !strings.Contains(body, "query") {
			t.Fatalf("%d: %q, %v", i, body, err)
		}
	}
	if n := asked.Load(); n != 5 { // the second and the third found a connection that ended
		t.Errorf("asked %d times", n)
	}
}

func TestWhatWritesIsSentOnce(t *testing.T) {
	c, url, asked := restarting(t)
	if _, err := post(t, context.Background(), c, url); err != nil {
		t.Fatal(err)
	}
	if body, err := post(t, context.Background(), c, url); err == nil {
		t.Errorf("answered %q", body)
	}
	if n := asked.Load(); n != 2 {
		t.Errorf("asked %d times", n)
	}
}
