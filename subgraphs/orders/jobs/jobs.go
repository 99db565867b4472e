// Package jobs runs the orders' saga on River: what is to be done is saved with the change that asks for it.
package jobs

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"

	"github.com/souk-shop/souk/internal/telemetry"
	"github.com/souk-shop/souk/subgraphs/orders"
)

// Look asks the saga to look at an order.
type Look struct {
	OrderID string `json:"orderId"`
}

// Kind names the job in the queue.
func (Look) Kind() string { return "orders.look" }

// Watch asks the saga to look at a new order, should the process that took it have died, and to end it at its deadline, should it
// still wait for its payment then: one job for both, as most orders need neither.
type Watch struct {
	OrderID  string    `json:"orderId"`
	Deadline time.Time `json:"deadline"`
}

// Kind names the job in the queue.
func (Watch) Kind() string { return "orders.watch" }

// Queue saves jobs and works them off.
type Queue struct{ client *river.Client[pgx.Tx] }

// Limits of the queue. A job takes as long as its calls, a few seconds at most.
const (
	workers     = 64 // most wait for an answer of somebody else, and hold no connection meanwhile
	cooldown    = 20 * time.Millisecond
	poll        = 200 * time.Millisecond // for jobs that nobody rang the bell for: those whose time has come
	jobTimeout  = 10 * time.Second
	rescueAfter = 15 * time.Second // when a job whose process died may be taken up by another, once the queue has a leader again
	maxAttempts = 500              // a step is tried for hours before somebody has to look
)

// Migrate brings the queue's own tables up to date, in the schema of the pool.
func Migrate(ctx context.Context, pool *pgxpool.Pool) error {
	m, err := rivermigrate.New(riverpgxv5.New(pool), nil)
	if err != nil {
		return err
	}
	_, err = m.Migrate(ctx, rivermigrate.DirectionUp, nil)
	return err
}

// NewQueue returns a queue that saves jobs; Work makes it work them off.
func NewQueue(pool *pgxpool.Pool) (*Queue, error) {
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{})
	return &Queue{client}, err
}

// Look saves a job, in the caller's transaction.
func (q *Queue) Look(ctx context.Context, tx pgx.Tx, orderID string, at time.Time) error {
	opts := &river.InsertOpts{MaxAttempts: maxAttempts}
	if time.Until(at) > 0 { // what is due now is worked off at once; what has a time, even a past one, waits for the queue's scheduler
		opts.ScheduledAt = at
	}
	_, err := q.client.InsertTx(ctx, tx, Look{orderID}, opts)
	return err
}

// Watch saves a job, in the caller's transaction.
func (q *Queue) Watch(ctx context.Context, tx pgx.Tx, orderID string, first, deadline time.Time) error {
	_, err := q.client.InsertTx(ctx, tx, Watch{orderID, deadline}, &river.InsertOpts{ScheduledAt: first, MaxAttempts: maxAttempts})
	return err
}

// Work returns the background work that lets the saga do its jobs until the context ends.
func Work(pool *pgxpool.Pool, saga *orders.Checkout, log *slog.Logger) func(context.Context) error {
	return func(ctx context.Context) error {
		handlers := river.NewWorkers()
		river.AddWorker(handlers, river.WorkFunc(func(ctx context.Context, j *river.Job[Look]) error {
			_, err := saga.Advance(orders.InBackground(ctx), j.Args.OrderID)
			return err
		}))
		river.AddWorker(handlers, watcher{saga: saga})
		client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
			Workers: handlers, Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: workers}},
			JobTimeout: jobTimeout, RescueStuckJobsAfter: rescueAfter, RetryPolicy: soon{},
			Logger:            telemetry.Quiet(log, slog.LevelWarn), // a step that has to be tried again is a warning; the rest is chatter
			FetchCooldown:     cooldown,
			FetchPollInterval: poll,
		})
		if err != nil {
			return err
		}
		// The queue keeps going while it is told to stop, so that what was begun is finished and noted.
		if err := client.Start(context.WithoutCancel(ctx)); err != nil {
			return err
		}
		for call(ctx, pool, log) {
		}
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		return client.StopAndCancel(grace)
	}
}

// A watcher does the jobs that watch.
type watcher struct {
	river.WorkerDefaults[Watch]
	saga *orders.Checkout
}

// Work looks at the order, and lets the job sleep until the deadline of one that waits for its payment.
func (w watcher) Work(ctx context.Context, j *river.Job[Watch]) error {
	o, err := w.saga.Advance(orders.InBackground(ctx), j.Args.OrderID)
	if err == nil && o.Status == orders.Created {
		// After the deadline this machine's clock is behind the queue's, or the order is being committed.
		return river.JobSnooze(max(time.Until(j.Args.Deadline), 100*time.Millisecond))
	}
	return err
}

// NextRetry tries a failed look again soon, and at the deadline in any case.
func (w watcher) NextRetry(j *river.Job[Watch]) time.Time {
	next := soon{}.NextRetry(j.JobRow)
	if end := j.Args.Deadline; time.Now().Before(end) && end.Before(next) {
		return end
	}
	return next
}

const (
	callEvery = time.Second
	mostCalls = 1000
)

// call makes jobs whose time has come ready to be worked off, as the queue's leader does too, every few seconds. But when the leader
// is killed nobody does for the next twenty, and units would be kept all that time for orders that have ended. It tells false once
// the context has ended.
func call(ctx context.Context, pool *pgxpool.Pool, log *slog.Logger) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(callEvery/2 + rand.N(callEvery)):
	}
	_, err := pool.Exec(ctx, `
		UPDATE river_job SET state = 'available' WHERE id IN (
		    SELECT id FROM river_job
		    WHERE state IN ('retryable', 'scheduled') AND queue = $1 AND priority = $2 AND scheduled_at <= now()
		    ORDER BY scheduled_at LIMIT $3 FOR UPDATE SKIP LOCKED)`, river.QueueDefault, river.PriorityDefault, mostCalls)
	if err != nil && ctx.Err() == nil {
		log.Warn("orders: jobs whose time has come wait for the queue's leader", "error", err)
	}
	return true
}

// soon tries a failed step again after 1, 2, 4 … at most 30 seconds, a little apart from others that failed with it.
type soon struct{}

func (soon) NextRetry(job *rivertype.JobRow) time.Time {
	wait := min(time.Second<<min(len(job.Errors), 5), 30*time.Second)
	return time.Now().Add(wait + rand.N(wait/4))
}
