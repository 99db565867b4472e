package nats_test

import (
	"errors"
	"log/slog"
	"net/url"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	client "github.com/souk-shop/souk/clients/nats"
	devnats "github.com/souk-shop/souk/internal/devstores/nats"
)

func TestStreamsAreThereNextTime(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	dir := t.TempDir()
	for turn := 1; turn <= 3; turn++ {
		s, err := devnats.Start(t.Context(), devnats.Config{Dir: dir, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		var options []nats.Option
		if turn == 2 {
			options = append(options, s.InProcess())
		}
		nc, err := client.Open(t.Context(), s.URL(), "test", slog.New(slog.DiscardHandler), options...)
		if err != nil {
			t.Fatal(err)
		}
		stream, err := nc.Streams.CreateOrUpdateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := nc.Streams.Publish(t.Context(), "s", nil); err != nil {
			t.Fatal(err)
		}
		info, err := stream.Info(t.Context())
		if err != nil || info.State.Msgs != uint64(turn) {
			t.Fatalf("turn %d: %d messages, %v", turn, info.State.Msgs, err)
		}
		if err := nc.Close(); err != nil {
			t.Fatal(err)
		}
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestStrangersAreRefused(t *testing.T) {
	s, err := devnats.Start(t.Context(), devnats.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	at, err := url.Parse(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	if nc, err := nats.Connect("nats://guess@" + at.Host); !errors.Is(err, nats.ErrAuthorization) {
		nc.Close()
		t.Fatalf("without the token: %v, want an authorization error", err)
	}
}
