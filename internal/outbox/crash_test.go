package outbox_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/souk-shop/souk/clients/nats"
	"github.com/souk-shop/souk/clients/postgres"
	"github.com/souk-shop/souk/internal/natstest"
	"github.com/souk-shop/souk/internal/outbox"
	"github.com/souk-shop/souk/internal/pgtest"
)

// The test binary is its own victim: with these variables set it relays and consumes until it is killed.
const (
	victimPostgres = "SOUK_VICTIM_POSTGRES"
	victimNATS     = "SOUK_VICTIM_NATS"
)

func TestMain(m *testing.M) {
	if os.Getenv(victimNATS) != "" {
		if err := live(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// live prints a line for every event, in the middle of handling it.
func live(ctx context.Context) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	pool, err := postgres.Open(ctx, os.Getenv(victimPostgres), "public")
	if err != nil {
		return err
	}
	nc, err := nats.Open(ctx, os.Getenv(victimNATS), "victim", log)
	if err != nil {
		return err
	}
	good, _ := effects()
	handle := func(ctx context.Context, tx pgx.Tx, e outbox.Received) error {
		fmt.Println(e.ID)
		return good(ctx, tx, e)
	}
	var work errgroup.Group
	work.Go(func() error { return outbox.Relay(pool, nc.Streams, log)(ctx) })
	work.Go(func() error {
		return outbox.Consume(pool, nc.Streams, outbox.Consumer{Name: "test", Subjects: []string{subject}}, handle, log)(ctx)
	})
	return work.Wait()
}

// The process that relays and consumes is killed while events are on their way through it; the one after it finishes the
// work, and nothing is lost or happens twice.
func TestAProcessKilledInTheMiddle(t *testing.T) {
	t.Parallel()
	at := pgtest.URL(t, migrations)
	server := natstest.Server(t)
	nc := natstest.Open(t, server)
	if err := outbox.Stream(t.Context(), nc.Streams); err != nil {
		t.Fatal(err)
	}
	pool, err := postgres.Open(t.Context(), at, "public")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	all := upTo(1500)
	record(t, pool, all[:500]...)

	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), victimPostgres+"="+at, victimNATS+"="+server.URL())
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for n := 0; n < 100 && lines.Scan(); n++ {
		if n == 50 { // there is something to relay, too, when the end comes
			record(t, pool, all[500:]...)
		}
	}
	cmd.Process.Kill()
	cmd.Wait()

	handle, _ := effects()
	background(t, outbox.Relay(pool, nc.Streams, quiet))
	background(t, outbox.Consume(pool, nc.Streams, outbox.Consumer{Name: "test", Subjects: []string{subject}}, handle, quiet))
	settled(t, nc, "test", 1500)
	got := effectsOf(t, pool)
	if !slices.Equal(got, all) {
		t.Fatalf("%d effects, lost, repeated or out of order", len(got))
	}
}

// NATS goes away and comes back while events are told.
func TestNATSRestarts(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t, migrations)
	server, restart := natstest.Restartable(t)
	nc := natstest.Open(t, server)
	if err := outbox.Stream(t.Context(), nc.Streams); err != nil {
		t.Fatal(err)
	}
	handle, handled := effects()
	background(t, outbox.Relay(pool, nc.Streams, quiet))
	background(t, outbox.Consume(pool, nc.Streams, outbox.Consumer{Name: "test", Subjects: []string{subject}}, handle, quiet))
	record(t, pool, upTo(20)...)
	<-handled
	restart()
	record(t, pool, 21)
	for n := range handled {
		if n == 21 {
			break
		}
	}
	settled(t, nc, "test", 21) // what is handled is not committed yet
	if got := effectsOf(t, pool); !slices.Equal(got, upTo(21)) {
		t.Fatalf("effects %v", got)
	}
}
