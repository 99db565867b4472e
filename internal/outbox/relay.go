package outbox

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/souk-shop/souk/internal/pipeline"
)

const (
	lotSize = 500
	poll    = time.Second            // how late an event is when the process that recorded it died
	yield   = 20 * time.Millisecond  // before looking again while another relay is at work
	rest    = 10 * time.Millisecond  // after a lot, for the next one to gather: who is told waits no longer than that, and not where little happens
	least   = 100 * time.Millisecond // between tries after a failure, doubling
	most    = 10 * time.Second
)

// Relay publishes what the outbox holds until the context ends. Any number may run on one outbox: one works at a time,
// so events leave in the order in which they were recorded.
func Relay(pool *pgxpool.Pool, js jetstream.JetStream, log *slog.Logger) func(context.Context) error {
	return func(ctx context.Context) error {
		bell, takeDown := hang(pool)
		defer takeDown()
		failures := 0
		for {
			n, err := relayLot(ctx, pool, js)
			wait := poll
			switch {
			case ctx.Err() != nil:
				return nil
			case errors.Is(err, errBusy):
				wait = yield
			case err != nil:
				failures++
				wait = backoff(failures)
				log.Warn("outbox: events wait to be told", "error", err, "failures", failures, "retry_in", wait)
			case n == lotSize:
				failures = 0
				continue
			default:
				failures = 0
			}
			if n > 0 {
				select {
				case <-ctx.Done():
					return nil
				case <-time.After(rest):
				}
			}
			var ring <-chan struct{}
			if failures == 0 { // ringing does not shorten a pause that follows a failure
				ring = bell
			}
			select {
			case <-ctx.Done():
				return nil
			case <-ring:
			case <-time.After(wait/2 + rand.N(wait)):
			}
		}
	}
}

var errBusy = errors.New("another relay is at work")

// relayLot publishes the oldest events and deletes them, which only holds once all are published. It returns how many.
func relayLot(ctx context.Context, pool *pgxpool.Pool, js jetstream.JetStream) (n int, err error) {
	err = pipeline.Transact(ctx, pool, func(p *pipeline.Pipeline) error {
		var lot []Message
		ours := false
		take(p, &ours, &lot)
		if err := p.Send(ctx); err != nil {
			return err
		}
		if !ours {
			return errBusy
		}
		n = len(lot)
		if n == 0 {
			return nil
		}
		return Publish(ctx, js, lot)
	})
	return n, err
}

// take queues the question whether it is our turn, and if so for the oldest events.
func take(p *pipeline.Pipeline, ours *bool, lot *[]Message) {
	p.Collect(`
		WITH turn AS MATERIALIZED (
			SELECT pg_try_advisory_xact_lock(hashtextextended(current_schema() || '.outbox', 0)) AS ours
		), lot AS (
			DELETE FROM outbox
			WHERE (SELECT ours FROM turn) AND id IN (SELECT id FROM outbox WHERE (SELECT ours FROM turn) ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED)
			RETURNING id, event_id, subject, payload, headers, created_at
		)
		SELECT ours, event_id, subject, payload, headers, created_at FROM turn LEFT JOIN lot ON true ORDER BY id`, lotSize,
	)(func(row pgx.Rows) error {
		var id, subject *string
		var payload []byte
		var at *time.Time
		m := Message{}
		if err := row.Scan(ours, &id, &subject, &payload, &m.Headers, &at); err != nil || id == nil {
			return err
		}
		m.ID, m.Subject, m.Payload, m.RecordedAt = *id, *subject, payload, *at
		*lot = append(*lot, m)
		return nil
	})
}

// backoff grows with the number of failures in a row.
func backoff(failures int) time.Duration {
	return min(most, least<<min(failures-1, 10))
}
