package outbox

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	lotSize = 500
	poll    = time.Second            // how late an event is when the process that recorded it died
	yield   = 20 * time.Millisecond  // before looking again while another relay is at work
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
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		var ours bool
		err := tx.QueryRow(ctx, `SELECT pg_try_advisory_xact_lock(hashtextextended(current_schema() || '.outbox', 0))`).Scan(&ours)
		if err != nil {
			return err
		}
		if !ours {
			return errBusy
		}
		lot, err := takeLot(ctx, tx)
		if err != nil || len(lot) == 0 {
			return err
		}
		n = len(lot)
		return Publish(ctx, js, lot)
	})
	return n, err
}

func takeLot(ctx context.Context, tx pgx.Tx) ([]Message, error) {
	rows, err := tx.Query(ctx, `
		DELETE FROM outbox
		WHERE id IN (SELECT id FROM outbox ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED)
		RETURNING id, event_id, subject, payload, headers, created_at`, lotSize)
	if err != nil {
		return nil, err
	}
	type row struct {
		id      int64
		message Message
	}
	taken, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (t row, err error) {
		var payload []byte
		m := &t.message
		err = r.Scan(&t.id, &m.ID, &m.Subject, &payload, &m.Headers, &m.RecordedAt)
		m.Payload = json.RawMessage(payload)
		return t, err
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(taken, func(a, b row) int { return cmp.Compare(a.id, b.id) })
	lot := make([]Message, len(taken))
	for i, t := range taken {
		lot[i] = t.message
	}
	return lot, nil
}

// backoff grows with the number of failures in a row.
func backoff(failures int) time.Duration {
	return min(most, least<<min(failures-1, 10))
}
