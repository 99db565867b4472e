package nats_test

import (
	"log/slog"
	"testing"
	"time"

	gonats "github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/souk-shop/souk/clients/nats"
	devnats "github.com/souk-shop/souk/internal/devstores/nats"
	"github.com/souk-shop/souk/internal/quietport"
)

var quiet = slog.New(slog.DiscardHandler)

func TestAConnectionComesBack(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	at, err := quietport.Address()
	if err != nil {
		t.Fatal(err)
	}
	cfg := devnats.Config{Dir: t.TempDir(), Addr: at}
	server, err := devnats.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	back := make(chan struct{}, 1)
	lost := make(chan struct{}, 1)
	nc, err := nats.Open(t.Context(), server.URL(), "test", quiet,
		gonats.DisconnectErrHandler(func(*gonats.Conn, error) { lost <- struct{}{} }),
		gonats.ReconnectHandler(func(*gonats.Conn) { back <- struct{}{} }))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	server.Stop()
	<-lost
	if err := nc.Publish("late", nil); err == nil {
		t.Error("published while nobody was there")
	}
	if server, err = devnats.Start(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	<-back
	if err := nc.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestClosingLetsMessagesInFlightFinish(t *testing.T) {
	server, err := devnats.Start(t.Context(), devnats.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	nc, err := nats.Open(t.Context(), server.URL(), "test", quiet, server.InProcess())
	if err != nil {
		t.Fatal(err)
	}
	handled := 0
	if _, err := nc.Subscribe("work", func(*gonats.Msg) {
		time.Sleep(time.Millisecond) // so that most still wait when the connection closes
		handled++
	}); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		if err := nc.Publish("work", nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := nc.Close(); err != nil {
		t.Fatal(err)
	}
	if handled != 50 {
		t.Fatalf("%d of 50 handled", handled)
	}
	if err := nc.Close(); err != nil {
		t.Fatalf("closing again: %v", err)
	}
}

func TestNobodyThere(t *testing.T) {
	nobody, err := quietport.Address()
	if err != nil {
		t.Fatal(err)
	}
	if nc, err := nats.Open(t.Context(), "nats://"+nobody, "test", quiet); err == nil {
		nc.Close()
		t.Fatal("opened")
	}
}
