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

// a store whose one order waits for its payment.
type waiting struct {
	orders.Store
	order  orders.Order
	looked chan struct{}
	ended  chan struct{}
}

func (s waiting) OrdersByID(context.Context, []string) ([]orders.Order, error) {
	s.looked <- struct{}{}
	if len(s.looked) == 1 { // the first look fails
		return nil, errors.New("cut")
	}
	return []orders.Order{s.order}, nil
}

func (s waiting) Change(context.Context, string, func(*orders.Order) error) (orders.Order, error) { // is called for an order whose time is over
	select {
	case s.ended <- struct{}{}:
	default:
	}
	return orders.Order{ID: s.order.ID, Status: orders.Delivered, Saga: orders.Saga{PaymentSettled: true}}, nil
}

// One job looks at an order early, and is back at its deadline: not before, and not as late as a failed job would else be tried again.
func TestOneJobWatchesAnOrder(t *testing.T) {
	pool := pgtest.New(t, postgres.Migrations)
	if err := jobs.Migrate(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	queue, err := jobs.NewQueue(pool)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	store := waiting{looked: make(chan struct{}, 1000), ended: make(chan struct{}, 1), order: orders.Order{
		ID: "ord_1", Status: orders.Created, Deadline: now.Add(3 * time.Second), Saga: orders.Saga{PaymentStatus: "PENDING"},
	}}
	err = pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error { return queue.Watch(t.Context(), tx, "ord_1", now, store.order.Deadline) })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		ended <- jobs.Work(pool, orders.NewCheckout(store, nil, clock.System, time.Minute), slog.New(slog.DiscardHandler))(ctx)
	}()
	select {
	case <-store.ended:
	case <-ctx.Done():
		t.Error("nobody is there at the deadline")
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if n := len(store.looked); n < 2 {
		t.Errorf("%d looks", n)
	}
}
