package jobs_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/pgtest"
	"github.com/souk-shop/souk/subgraphs/orders"
	"github.com/souk-shop/souk/subgraphs/orders/jobs"
	"github.com/souk-shop/souk/subgraphs/orders/postgres"
)

// a store that tells which orders the saga looks at.
type lookedAt struct {
	orders.Store
	ids chan string
}

func (s lookedAt) OrdersByID(_ context.Context, ids []string) ([]orders.Order, error) {
	s.ids <- ids[0]
	return nil, errors.New("that is all")
}

// A process that is killed stays the queue's leader for a while. What is due meanwhile is done all the same.
func TestWhatIsDueDoesNotWaitForADeadLeader(t *testing.T) {
	pool := pgtest.New(t, postgres.Migrations)
	if err := jobs.Migrate(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	_, err := pool.Exec(t.Context(), `INSERT INTO river_leader (elected_at, expires_at, leader_id) VALUES (now(), now() + interval '1 hour', 'killed')`)
	if err != nil {
		t.Fatal(err)
	}
	queue, err := jobs.NewQueue(pool)
	if err != nil {
		t.Fatal(err)
	}
	err = pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
		return errors.Join(queue.Watch(t.Context(), tx, "ord_late", time.Now().Add(time.Second), time.Now().Add(time.Hour)), queue.Watch(t.Context(), tx, "ord_early", time.Now().Add(time.Hour), time.Now().Add(time.Hour)))
	})
	if err != nil {
		t.Fatal(err)
	}
	store := lookedAt{ids: make(chan string, 10)}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		ended <- jobs.Work(pool, orders.NewCheckout(store, nil, clock.System, time.Minute), slog.New(slog.DiscardHandler))(ctx)
	}()
	select {
	case id := <-store.ids:
		if id != "ord_late" {
			t.Errorf("%s is not due", id)
		}
	case <-ctx.Done():
		t.Error("nobody looks")
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
