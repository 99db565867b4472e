package upstream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// A counted subgraph answers as it is told to, in the time of the test.
type counted struct {
	answers func(*http.Request) (*http.Response, error)
	asked   atomic.Int32
}

func (c *counted) RoundTrip(r *http.Request) (*http.Response, error) {
	c.asked.Add(1)
	return c.answers(r)
}

// A ward is a transport to a counted subgraph.
type ward struct {
	*counted
	*Transport
	t   *testing.T
	log bytes.Buffer
}

func newWard(t *testing.T, answers func(*http.Request) (*http.Response, error)) *ward {
	t.Helper()
	w := &ward{counted: &counted{answers: answers}, t: t}
	var err error
	w.Transport, err = New(Config{Base: w.counted, MaxResponse: 100, Metrics: prometheus.NewRegistry(), Log: slog.New(slog.NewTextHandler(&w.log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// ask asks a subgraph and reads what it answers.
func (w *ward) ask(ctx context.Context, header ...string) error {
	_, err := post(w.t, ctx, &http.Client{Transport: w.Transport}, "http://orders.test/graphql", header...)
	return err
}

// reaches tells whether a request gets as far as the subgraph.
func (w *ward) reaches() bool {
	before := w.asked.Load()
	err := w.ask(context.Background())
	sent := w.asked.Load() > before
	if sent == errors.Is(err, ErrOpen) {
		w.t.Errorf("sent %v: %v", sent, err)
	}
	return sent
}

// open asks until the subgraph is left alone.
func (w *ward) open() {
	w.t.Helper()
	for range hopeless {
		if !w.reaches() {
			w.t.Fatal("left alone already")
		}
	}
	if w.reaches() {
		w.t.Fatal("not left alone")
	}
}

func says(status int, body io.Reader) (*http.Response, error) {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(body), ContentLength: -1}, nil
}

func fine(*http.Request) (*http.Response, error) { return says(200, strings.NewReader(`{"data":{}}`)) }

func refused(*http.Request) (*http.Response, error) { return nil, syscall.ECONNREFUSED }

func silent(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

type ends struct{ err error }

func (e ends) Read([]byte) (int, error) { return 0, e.err }

// failures are the ways in which a subgraph is not well.
var failures = map[string]func(*http.Request) (*http.Response, error){
	"unreachable": refused,
	"silent":      silent,
	"cut off":     func(*http.Request) (*http.Response, error) { return says(200, ends{io.ErrUnexpectedEOF}) },
	"status 500":  func(*http.Request) (*http.Response, error) { return says(500, strings.NewReader("")) },
	"status 502":  func(*http.Request) (*http.Response, error) { return says(502, strings.NewReader("")) },
	"status 503":  func(*http.Request) (*http.Response, error) { return says(503, strings.NewReader("")) },
	"status 504":  func(*http.Request) (*http.Response, error) { return says(504, strings.NewReader("")) },
}

func TestS44ASubgraphThatIsDownIsLeftAlone(t *testing.T) {
	for name, fail := range failures {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWard(t, fail)
				w.open()
				w.answers = fine
				if w.reaches() {
					t.Error("it is asked at once again")
				}
				if n := w.asked.Load(); n != hopeless {
					t.Errorf("it was asked %d times", n)
				}
				if n := read(t, w.metrics.requests.WithLabelValues("orders", "open")); n != 2 {
					t.Errorf("%v refusals counted", n)
				}
				if open := read(t, w.metrics.open.WithLabelValues("orders")); open != 1 {
					t.Errorf("shown as %v", open)
				}
				time.Sleep(respite + 1)
				for range 2 {
					if !w.reaches() {
						t.Error("it answered, and is left alone still")
					}
				}
				if open := read(t, w.metrics.open.WithLabelValues("orders")); open != 0 {
					t.Errorf("shown as %v when it is back", open)
				}
				if said := w.log.String(); strings.Count(said, "\n") != 2 || !strings.Contains(said, "left alone") || !strings.Contains(said, "is back") {
					t.Errorf("logged %s", said)
				}
			})
		})
	}
}

// While a store restarts, requests fail here and there: an answer in between, and all is forgiven.
func TestSingleFailuresChangeNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t, nil)
		for range 5 {
			w.answers = refused
			for range hopeless - 1 {
				if !w.reaches() {
					t.Fatal("left alone")
				}
			}
			w.answers = fine
			if !w.reaches() {
				t.Fatal("left alone")
			}
		}
	})
}

func TestOneSubgraphDownIsNoOthersMatter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t, func(r *http.Request) (*http.Response, error) {
			if nameOf(r) == "orders" {
				return refused(r)
			}
			return fine(r)
		})
		w.open()
		r, _ := http.NewRequestWithContext(Named(context.Background(), "reviews"), http.MethodPost, "http://orders.test/graphql", nil)
		res, err := w.Transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
	})
}

// One request at a time finds out whether a subgraph is back, and the others do not wait for it.
func TestOneRequestFindsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t, refused)
		w.open()
		w.answers = silent
		for range 3 {
			time.Sleep(respite + 1)
			before := w.asked.Load()
			done := make(chan error)
			go func() { done <- w.ask(context.Background()) }()
			synctest.Wait()
			for range 5 {
				if w.reaches() {
					t.Error("another was sent")
				}
			}
			if err := <-done; !errors.Is(err, context.DeadlineExceeded) || w.asked.Load() != before+1 {
				t.Errorf("%d were sent, the first ended with %v", w.asked.Load()-before, err)
			}
			if w.reaches() {
				t.Error("it did not answer, and is asked again")
			}
		}
		if said := w.log.String(); strings.Count(said, "\n") != 1 {
			t.Errorf("logged %s", said)
		}
	})
}

func TestWhatSaysNothingAgainstASubgraph(t *testing.T) {
	status := func(code int) func(*http.Request) (*http.Response, error) {
		return func(*http.Request) (*http.Response, error) {
			return says(code, strings.NewReader(`{"errors":[{"message":"no"}]}`))
		}
	}
	for name, c := range map[string]struct {
		answers func(*http.Request) (*http.Response, error)
		caller  func() (context.Context, context.CancelFunc)
	}{
		"its caller hangs up": {silent, func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(context.Background())
			time.AfterFunc(time.Second, cancel)
			return ctx, cancel
		}},
		"its caller has no time": {silent, func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(context.Background(), time.Second)
		}},
		"GraphQL errors": {answers: status(200)},
		"status 400":     {answers: status(400)},
		"status 401":     {answers: status(401)},
		"status 422":     {answers: status(422)},
		"status 429":     {answers: status(429)},
		"too large": {answers: func(*http.Request) (*http.Response, error) {
			return says(200, strings.NewReader(strings.Repeat(" ", 101)))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWard(t, c.answers)
				for range 3 * hopeless {
					ctx, cancel := context.Background(), context.CancelFunc(func() {})
					if c.caller != nil {
						ctx, cancel = c.caller()
					}
					if err := w.ask(ctx); errors.Is(err, ErrOpen) {
						t.Fatal("left alone")
					}
					cancel()
				}
			})
		})
	}
}

// A stream is there once it has begun: when a subgraph goes, all its streams end at once, and that says no more than one would.
func TestAStreamCountsByItsBeginning(t *testing.T) {
	stream := []string{"Accept", "text/event-stream"}
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t, failures["cut off"])
		for range 3 * hopeless {
			if err := w.ask(context.Background(), stream...); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("ended with %v", err)
			}
		}
		w.answers = silent
		for range hopeless {
			if err := w.ask(context.Background(), stream...); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("ended with %v", err)
			}
		}
		if err := w.ask(context.Background(), stream...); !errors.Is(err, ErrOpen) {
			t.Errorf("ended with %v", err)
		}
		time.Sleep(respite + 1)
		w.answers = fine
		r, _ := http.NewRequestWithContext(Named(context.Background(), "orders"), http.MethodPost, "http://orders.test/graphql", nil)
		r.Header.Set("Accept", "text/event-stream")
		begun, err := w.Transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		if !w.reaches() {
			t.Error("a stream has begun, and others still may not ask")
		}
		begun.Body.Close()
	})
}

// The request that was to find out may end without having found out anything; then another one is sent later.
func TestWhoWasToFindOutLeaves(t *testing.T) {
	for name, leaves := range map[string]func(*ward){
		"its caller hangs up": func(w *ward) {
			ctx, cancel := context.WithCancel(context.Background())
			time.AfterFunc(time.Second, cancel)
			w.answers = silent
			if err := w.ask(ctx); !errors.Is(err, context.Canceled) {
				w.t.Errorf("ended with %v", err)
			}
		},
		"a panic": func(w *ward) {
			defer func() {
				if recover() == nil {
					w.t.Error("no panic")
				}
			}()
			w.answers = func(*http.Request) (*http.Response, error) { panic("ours") }
			w.ask(context.Background())
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWard(t, refused)
				w.open()
				time.Sleep(respite + 1)
				leaves(w)
				w.answers = fine
				time.Sleep(respite + 1)
				if !w.reaches() {
					t.Error("nobody asks any more")
				}
			})
		})
	}
}

func BenchmarkRequest(b *testing.B) {
	tr, err := New(Config{Base: &counted{answers: fine}, Metrics: prometheus.NewRegistry()})
	if err != nil {
		b.Fatal(err)
	}
	ctx := Named(context.Background(), "orders")
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			r, _ := http.NewRequestWithContext(ctx, http.MethodPost, "http://orders.test/graphql", strings.NewReader(`{"query":"{x}"}`))
			res, err := tr.RoundTrip(r)
			if err != nil {
				b.Fatal(err)
			}
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
		}
	})
}
