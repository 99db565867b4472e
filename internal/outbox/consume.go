package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"
)

// A Consumer is a durable place in the stream: where one listener, in however many replicas, has got to.
type Consumer struct {
	Name     string   // SUBGRAPH-PURPOSE; the place is lost when it changes
	Subjects []string // NATS subjects, wildcards allowed
	Attempts int      // at one event before it is put aside; 0 means 8
	Parallel int      // how many events are handled at once, out of order; 0 means one after the other
	Batch    int      // for Subscribe: how many events at most in one batch; 0 means 100
}

// A Received is an event as it arrived. It may have been seen before.
type Received struct {
	ID         string
	Subject    string
	Data       json.RawMessage
	RecordedAt time.Time // when it became true
	Sequence   uint64    // its place in the stream
}

// ErrUnreadable says that an event's payload is not what its subject promises; trying again is no use.
var ErrUnreadable = errors.New("unreadable event")

// Decode reads the payload.
func Decode[T any](e Received) (payload T, err error) {
	if err := json.Unmarshal(e.Data, &payload); err != nil {
		return payload, fmt.Errorf("%w: %s %s: %w", ErrUnreadable, e.Subject, e.ID, err)
	}
	return payload, nil
}

// Consume handles events until the context ends, each in one transaction with the note that it was handled: to the
// effect of once. An event that cannot be handled is put aside on souk.dead.NAME after a number of attempts, with a line
// in the log; while a store is down, events wait.
func Consume(pool *pgxpool.Pool, js jetstream.JetStream, c Consumer,
	handle func(context.Context, pgx.Tx, Received) error, log *slog.Logger) func(context.Context) error {
	tidy := pruner{pool: pool, consumer: c.Name}
	l := listener{js: js, Consumer: c, log: log.With("consumer", c.Name), batch: 1}
	l.handle = func(ctx context.Context, batch []Received) error {
		err := InTx(ctx, pool, func(ctx context.Context, tx pgx.Tx) error {
			// Of two replicas with the same event, the second waits here for the first to commit.
			first, err := tx.Exec(ctx, `INSERT INTO inbox (consumer, event_id) VALUES ($1, $2) ON CONFLICT DO NOTHING`, c.Name, batch[0].ID)
			if err != nil || first.RowsAffected() == 0 {
				return err
			}
			return handle(ctx, tx, batch[0])
		})
		if err != nil {
			return err
		}
		return tidy.now(ctx)
	}
	return l.run
}

// Subscribe handles events in batches until the context ends, with nothing that remembers them: for listeners to whom
// seeing an event again, or an old one late, makes no difference. Events that cannot be handled are put aside alone.
func Subscribe(js jetstream.JetStream, c Consumer, handle func(context.Context, []Received) error, log *slog.Logger) func(context.Context) error {
	if c.Batch == 0 {
		c.Batch = 100
	}
	l := listener{js: js, Consumer: c, log: log.With("consumer", c.Name), batch: c.Batch, handle: handle}
	return l.run
}

// A pruner forgets events that the stream has forgotten too.
type pruner struct {
	pool     *pgxpool.Pool
	consumer string
	mu       sync.Mutex
	last     time.Time
}

func (p *pruner) now(ctx context.Context) error {
	p.mu.Lock()
	due := time.Since(p.last) > time.Hour
	if due {
		p.last = time.Now()
	}
	p.mu.Unlock()
	if !due {
		return nil
	}
	_, err := p.pool.Exec(ctx, `DELETE FROM inbox WHERE consumer = $1 AND handled_at < now() - $2::interval`, p.consumer, maxAge+dedupeWindow)
	return err
}
