// Package typesensetest gives each test a search index of its own, and counts what the engine is asked.
//
// The engine is the embedded one, or the one that SOUK_TEST_TYPESENSE_URL and SOUK_TEST_TYPESENSE_KEY name.
package typesensetest

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/oklog/ulid/v2"
	api "github.com/typesense/typesense-go/v4/typesense"

	client "github.com/souk-shop/souk/clients/typesense"
	engine "github.com/souk-shop/souk/internal/devstores/typesense"
	"github.com/souk-shop/souk/subgraphs/search/typesense"
)

// An Engine is a way to an engine that counts the calls, and can be cut.
type Engine struct {
	Client *api.Client
	Alias  string // no other test's
	Log    *slog.Logger

	mu    sync.Mutex
	cut   bool
	calls []string
}

// New returns a way to an engine; what the test makes there goes when it ends.
func New(t testing.TB) *Engine {
	t.Helper()
	at, key := os.Getenv("SOUK_TEST_TYPESENSE_URL"), os.Getenv("SOUK_TEST_TYPESENSE_KEY")
	if at == "" {
		at, key = embedded(t)
	}
	target, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	e := &Engine{Alias: "test_" + strings.ToLower(ulid.Make().String()), Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	lines := &http.Transport{} // of its own: whoever closes an httptest.Server closes lines of the default one
	t.Cleanup(lines.CloseIdleConnections)
	proxy := &httputil.ReverseProxy{
		Transport: lines,
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ErrorLog:  slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	way := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if e.note(r.Method + " " + r.URL.Path) {
			proxy.ServeHTTP(w, r)
			return
		}
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(way.Close)
	if e.Client, err = client.Open(t.Context(), way.URL, key); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		e.Cut(false)
		ctx := context.Background()
		all, err := e.Client.Collections().Retrieve(ctx, nil)
		if err != nil {
			t.Error(err)
		}
		for _, c := range all {
			if strings.HasPrefix(c.Name, e.Alias) {
				e.Client.Collection(c.Name).Delete(ctx)
			}
		}
		e.Client.Alias(e.Alias).Delete(ctx)
	})
	return e
}

// Store opens the test's index.
func (e *Engine) Store(t testing.TB) *typesense.Store {
	t.Helper()
	s, err := typesense.NewStore(t.Context(), e.Client, e.Alias, e.Log)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Cut makes the engine unreachable, or reachable again.
func (e *Engine) Cut(cut bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.cut = cut
}

// During returns the calls that do causes.
func (e *Engine) During(do func()) []string {
	e.mu.Lock()
	before := len(e.calls)
	e.mu.Unlock()
	do()
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.calls[before:])
}

func (e *Engine) note(call string) (reachable bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.calls = append(e.calls, call)
	return !e.cut
}

// embedded starts an engine for one test.
func embedded(t testing.TB) (at, key string) {
	t.Helper()
	key = "test"
	s, err := engine.Open(t.Context(), engine.Config{Dir: t.TempDir(), APIKey: key})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s.URL(), key
}
