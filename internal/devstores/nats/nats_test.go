package nats_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"strconv"
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

// The test binary is its own victim: with this variable set it runs a server and fills a stream until it is killed.
const victim = "SOUK_VICTIM"

func TestMain(m *testing.M) {
	if dir := os.Getenv(victim); dir != "" {
		if err := live(context.Background(), dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// live prints the number of each message once it is acknowledged.
func live(ctx context.Context, dir string) error {
	s, err := devnats.Start(ctx, devnats.Config{Dir: dir})
	if err != nil {
		return err
	}
	nc, err := client.Open(ctx, s.URL(), "victim", slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	if _, err := nc.Streams.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}}); err != nil {
		return err
	}
	for {
		ack, err := nc.Streams.Publish(ctx, "s", []byte("kept"))
		if err != nil {
			return err
		}
		fmt.Println(ack.Sequence)
	}
}

func TestAKilledProcessLosesNothing(t *testing.T) {
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), victim+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	most := uint64(0)
	lines := bufio.NewScanner(out)
	for lines.Scan() { // to the end, for what it said before it died counts too
		if most, err = strconv.ParseUint(lines.Text(), 10, 64); err != nil {
			t.Fatal(err)
		}
		if most == 500 {
			cmd.Process.Kill()
		}
	}
	cmd.Wait()

	s, err := devnats.Start(t.Context(), devnats.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	nc, err := client.Open(t.Context(), s.URL(), "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	stream, err := nc.Streams.Stream(t.Context(), "S")
	if err != nil {
		t.Fatal(err)
	}
	last, err := stream.GetMsg(t.Context(), most)
	if err != nil || string(last.Data) != "kept" || stream.CachedInfo().State.Msgs < most {
		t.Fatalf("%d messages were acknowledged, %d are there, %v", most, stream.CachedInfo().State.Msgs, err)
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
