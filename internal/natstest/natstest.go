// Package natstest gives each test a NATS server of its own, with the event stream in it.
package natstest

import (
	"log/slog"
	"testing"

	"github.com/souk-shop/souk/clients/nats"
	devnats "github.com/souk-shop/souk/internal/devstores/nats"
	"github.com/souk-shop/souk/internal/outbox"
	"github.com/souk-shop/souk/internal/quietport"
)

// New returns a connection to a fresh server, which ends with the test. It takes some 10 ms.
func New(t testing.TB) *nats.Conn {
	t.Helper()
	server := Server(t)
	nc := Open(t, server)
	if err := outbox.Stream(t.Context(), nc.Streams); err != nil {
		t.Fatal(err)
	}
	return nc
}

// Server returns a server without any stream, which ends with the test.
func Server(t testing.TB) *devnats.Server {
	t.Helper()
	server, err := devnats.Start(t.Context(), devnats.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Stop() })
	return server
}

// Restartable returns a server, and what stops it and starts it again at the same address.
func Restartable(t testing.TB) (server *devnats.Server, restart func()) {
	t.Helper()
	at, err := quietport.Address()
	if err != nil {
		t.Fatal(err)
	}
	cfg := devnats.Config{Dir: t.TempDir(), Addr: at}
	start := func() {
		if server, err = devnats.Start(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
	}
	start()
	t.Cleanup(func() { server.Stop() })
	return server, func() {
		server.Stop()
		start()
	}
}

// Open returns another connection to a server, as another process would have.
func Open(t testing.TB, server *devnats.Server) *nats.Conn {
	t.Helper()
	nc, err := nats.Open(t.Context(), server.URL(), "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return nc
}
