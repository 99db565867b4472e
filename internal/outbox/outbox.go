// Package outbox tells other subgraphs what became true: not before it is, not never, and to the effect of once.
//
// Record writes events in the transaction that makes them true. Relay publishes them to JetStream, at least once and in
// the order recorded. Consume handles each in a transaction that remembers it, so that seeing one again changes nothing.
package outbox

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"

	"github.com/souk-shop/souk/internal/id"
)

// Migration makes the tables outbox and inbox; every subgraph that tells or listens copies it into its own migrations.
//
//go:embed outbox.sql
var Migration string

const largestPayload = 512 << 10 // bytes; NATS refuses 1 MB, and an event it refuses would hold up all others for ever

// An Event is something that has become true.
type Event struct {
	ID      string // "" for a fresh one; events of one id are told once
	Subject string // souk.event.SUBGRAPH.WHAT
	Payload any    // becomes JSON
}

// A Tx is what Record needs of a transaction.
type Tx interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// Record saves events to be told once the transaction commits. Record those of one thing after locking its row: then
// they are told in the order in which they became true.
func Record(ctx context.Context, tx Tx, events ...Event) error {
	if len(events) == 0 {
		return nil
	}
	ids, subjects, payloads := make([]string, len(events)), make([]string, len(events)), make([]string, len(events))
	for i, e := range events {
		row, err := NewRow(ctx, e)
		if err != nil {
			return err
		}
		ids[i], subjects[i], payloads[i] = row.EventID, row.Subject, string(row.Payload)
	}
	_, err := tx.Exec(ctx, `
		INSERT INTO outbox (event_id, subject, payload, headers)
		SELECT event_id, subject, payload::jsonb, $4
		FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS e (event_id, subject, payload, nth)
		ORDER BY nth
		ON CONFLICT (event_id) DO NOTHING`, ids, subjects, payloads, headers(ctx))
	if err != nil {
		return fmt.Errorf("record events: %w", err)
	}
	if told, ok := ctx.Value(toldKey{}).(*atomic.Bool); ok {
		told.Store(true)
	}
	return nil
}

// A Row is an event as the table outbox has it, for a statement that writes it beside other things. Wake after the commit.
type Row struct {
	EventID, Subject string
	Payload, Headers []byte // JSON
}

// NewRow returns the row of an event that is recorded in ctx.
func NewRow(ctx context.Context, e Event) (Row, error) {
	if !tellable(e.Subject) {
		return Row{}, fmt.Errorf("record event: %q is not a subject of the form souk.event.…", e.Subject)
	}
	payload, err := json.Marshal(e.Payload)
	if err != nil {
		return Row{}, fmt.Errorf("record %s: %w", e.Subject, err)
	}
	if len(payload) > largestPayload {
		return Row{}, fmt.Errorf("record %s: %d bytes are more than the %d an event may have", e.Subject, len(payload), largestPayload)
	}
	if e.ID == "" {
		e.ID = id.New(id.Event)
	}
	written, err := json.Marshal(headers(ctx))
	return Row{e.ID, e.Subject, payload, written}, err
}

func headers(ctx context.Context) propagation.MapCarrier {
	carrier := propagation.MapCarrier{}
	otel.GetTextMapPropagator().Inject(ctx, carrier)
	return carrier
}

func tellable(subject string) bool {
	rest, ok := strings.CutPrefix(subject, "souk.event.")
	if !ok || strings.ContainsAny(subject, "*> \t\r\n") {
		return false
	}
	for token := range strings.SplitSeq(rest, ".") {
		if token == "" {
			return false
		}
	}
	return true
}

// InTx runs fn in a transaction; after the commit the relay looks at once for what fn has recorded with the context it is given.
func InTx(ctx context.Context, pool *pgxpool.Pool, fn func(context.Context, pgx.Tx) error) error {
	var told atomic.Bool
	ctx = context.WithValue(ctx, toldKey{}, &told)
	if err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error { return fn(ctx, tx) }); err != nil {
		return err
	}
	if told.Load() { // most who listen have nothing to tell in turn
		Wake(pool)
	}
	return nil
}

// toldKey is where Record notes that there is something to tell.
type toldKey struct{}

// Wake tells this process's relay of the pool that a commit may have left it work. Without it the relay looks when its
// time comes: waking saves latency, nothing depends on it.
func Wake(pool *pgxpool.Pool) {
	bells.mu.Lock()
	defer bells.mu.Unlock()
	for bell := range bells.of[pool] {
		select {
		case bell <- struct{}{}:
		default: // rung already
		}
	}
}

// A bell is rung by whoever commits, in another part of the program than the relay; what they share is the pool.
type bell = chan struct{}

var bells = struct {
	mu sync.Mutex
	of map[*pgxpool.Pool]map[bell]struct{}
}{of: map[*pgxpool.Pool]map[bell]struct{}{}}

// hang returns a bell that Wake rings, and a function that takes it down.
func hang(pool *pgxpool.Pool) (bell, func()) {
	b := make(bell, 1)
	bells.mu.Lock()
	defer bells.mu.Unlock()
	if bells.of[pool] == nil {
		bells.of[pool] = map[bell]struct{}{}
	}
	bells.of[pool][b] = struct{}{}
	return b, func() {
		bells.mu.Lock()
		defer bells.mu.Unlock()
		delete(bells.of[pool], b)
		if len(bells.of[pool]) == 0 {
			delete(bells.of, pool)
		}
	}
}
