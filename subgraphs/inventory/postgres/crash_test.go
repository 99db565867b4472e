package postgres_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	clients "github.com/souk-shop/souk/clients/postgres"
	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/clock"
	devpostgres "github.com/souk-shop/souk/internal/devstores/postgres"
	"github.com/souk-shop/souk/subgraphs/inventory"
	"github.com/souk-shop/souk/subgraphs/inventory/postgres"
)

// PostgreSQL is killed again and again while a crowd holds one variant, and whoever got no answer asks again. What was answered stays
// true, every key has one hold, and the numbers add up.
func TestAKilledServerForgetsNothing(t *testing.T) {
	t.Parallel()
	const callers, each, kills = 32, 30, 3
	dir, err := os.MkdirTemp("", "souk-crash-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil { // PostgreSQL may run as somebody else
		t.Fatal(err)
	}
	start := func() *devpostgres.Server {
		server, err := devpostgres.Start(t.Context(), devpostgres.Config{Dir: filepath.Join(dir, "postgres"), Databases: []string{"souk"}})
		if err != nil {
			t.Fatal(err)
		}
		return server
	}
	server := start()
	t.Cleanup(func() { server.Stop() })
	pool, err := clients.Open(t.Context(), server.URL("souk")+"&pool_max_conns="+strconv.Itoa(8), "inventory")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	if err := clients.Migrate(t.Context(), pool, postgres.Migrations); err != nil {
		t.Fatal(err)
	}
	crowd := postgres.NewStore(pool).Gather(postgres.Meeting, nil)
	s := &shop{t: t, pool: pool, store: crowd, clock: clock.Hold(time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC))}
	s.inv = inventory.New(crowd, sellsAll{}, s.clock)
	v := s.stocked(100_000, s.warehouse("BLR-1"))

	data := dataDirectory(t, pool)

	var mu sync.Mutex
	answered := map[string]string{} // reservations by key
	requests := map[string]events.HoldRequest{}
	progress := make(chan struct{}, callers*each)
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range each {
				r := s.request(lines(1, v)...)
				reply, err := s.inv.Hold(t.Context(), r)
				for ; err != nil; reply, err = s.inv.Hold(t.Context(), r) {
					time.Sleep(5 * time.Millisecond) // until it is back
				}
				mu.Lock()
				answered[r.IdempotencyKey], requests[r.IdempotencyKey] = reply.ReservationID, r
				mu.Unlock()
				progress <- struct{}{}
			}
		})
	}
	for range kills {
		for range callers * each / (kills + 1) {
			<-progress
		}
		kill(t, data)
		<-server.Done()
		server.Stop()
		server = start()
	}
	wg.Wait()

	ids := map[string]bool{}
	for key, before := range answered {
		again, err := s.inv.Hold(t.Context(), requests[key])
		for ; err != nil; again, err = s.inv.Hold(t.Context(), requests[key]) {
			time.Sleep(5 * time.Millisecond) // until no connection is left of the server that was killed
		}
		if again.ReservationID != before || before == "" {
			t.Errorf("%s was answered %s, and now %s", key, before, again.ReservationID)
		}
		ids[before] = true
	}
	if len(ids) != callers*each {
		t.Errorf("%d reservations for %d keys", len(ids), callers*each)
	}
	s.want(v, 100_000, callers*each)
	s.sound()
}

// kill ends all of the server's processes at once, so that none of them can finish what it is at.
func kill(t *testing.T, dir string) {
	t.Helper()
	err := syscall.Kill(serverProcesses(t, dir)[0].pid, syscall.SIGSTOP) // then it starts no more
	for _, p := range serverProcesses(t, dir) {
		if failed := syscall.Kill(p.pid, syscall.SIGKILL); !errors.Is(failed, syscall.ESRCH) {
			err = errors.Join(err, failed)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}
