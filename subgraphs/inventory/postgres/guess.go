package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/outbox"
	"github.com/souk-shop/souk/internal/pipeline"
	"github.com/souk-shop/souk/subgraphs/inventory"
)

// Whoever left a variant's stock last knows how it is, until somebody else moves units of it. So holds are decided on what this
// process knows, and saved by one statement, in one trip, that changes nothing unless the variant's seq is the expected one; if it
// is another, or a key is known already, nothing has happened and the holds are tried in the sure way, behind a lock. A guess goes
// on from the last one before that is saved, and right behind it on the same connection.

// A guess is how a variant was left.
type guess struct {
	mu     sync.Mutex
	known  bool
	turn   int // counts what is known anew
	stock  inventory.Stock
	levels []inventory.Level
	line   *pipeline.Line // that guesses are on their way on, or were
}

const guesses = 10_000 // variants that are remembered

func newGuessed() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "souk", Subsystem: "inventory", Name: "guesses_total",
		Help: "Batches of holds decided on what this process knew of the stock, by outcome: right, wrong (and tried again behind a lock).",
	}, []string{"outcome"})
}

// The sheet moves the stock and levels, as every sheet does, and does not say from where: it is not stored if that is not where it goes on.
const saveGuess = `
	WITH sheet AS (
	    INSERT INTO sheets (variant_id, last_seq, id, at, due_at, warehouse_ids, on_hand_after, held_after,
	                        tails, places, quantities, order_ids, account_ids, keys, expires_at)
	    %s
	    RETURNING id
	), told AS (
	    INSERT INTO outbox (event_id, subject, payload, headers) SELECT $17, $18, $19, $20 FROM sheet
	)
	INSERT INTO hold_answers (key, input, reservation_id, created_at)
	SELECT %s, $4 FROM sheet`

const (
	fromValues = `VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`
	fromStock  = `SELECT $1::text, $2::bigint, $3::text, $4::timestamptz, $5::timestamptz, $6::text[], $7::int[], $8::int[], $9::text[], $10::smallint[],
	           $11::int[], $12::text[], $13::text[], $14::text[], $15::timestamptz[]
	    FROM stock WHERE (variant_id, seq, on_hand, held) = ($1, $21::bigint, $22::int, $23::int)`
	ofOne  = `$14[1], ($16::bytea[])[1], id || $9[1]`
	ofMany = `unnest($14), unnest($16::bytea[]), id || unnest($9)`
)

// For a single hold, unnest would be dearer than the row. A sheet says how it leaves the places that it holds of. Where there are others, a guess on a
// guess that was wrong may fit what happened instead, there and by its seq, and would tell a sum that never was: it is saved if the stock is as it takes it to be.
var (
	guessOne   = pipeline.Statement{Name: "inventory_guess_one", SQL: fmt.Sprintf(saveGuess, fromValues, ofOne)}
	guessMany  = pipeline.Statement{Name: "inventory_guess_many", SQL: fmt.Sprintf(saveGuess, fromValues, ofMany)}
	guessApart = pipeline.Statement{Name: "inventory_guess_apart", SQL: fmt.Sprintf(saveGuess, fromStock, ofMany)}
)

// guess holds all the requests by a guess. It tells false when that cannot be done: then nothing has happened.
func (s *Store) guess(ctx context.Context, requests []inventory.HoldRequest, at time.Time) (answers []inventory.HoldAnswer, ok bool, err error) {
	if len(requests) == 0 || len(requests[0].Wanted) != 1 {
		return nil, false, nil
	}
	g, found := s.guesses.Get(requests[0].Wanted[0].VariantID)
	if !found {
		return nil, false, nil
	}
	line, err := g.board(ctx, s.pool)
	if err != nil {
		return nil, false, err
	}
	defer line.Leave()
	answers = make([]inventory.HoldAnswer, len(requests))
	g.mu.Lock()
	from, apart := g.stock, len(g.levels) > 1
	sheet := g.decide(requests, answers, at)
	if sheet == nil {
		g.mu.Unlock()
		return nil, false, nil
	}
	turn := g.turn
	told, err := outbox.NewRow(ctx, outbox.Event{Subject: events.SubjectStockChanged, Payload: g.stock.Changed()})
	if err != nil {
		g.known = false
		g.mu.Unlock()
		return nil, false, err
	}
	place := line.Enter()
	g.mu.Unlock() // guesses reach the server in the order in which they were made
	b := bounds.Get().(*bound)
	b.sheet(requests, sheet, told, at)
	statement := guessMany
	switch {
	case apart:
		statement = guessApart
		b.stock(from)
	case len(requests) == 1:
		statement = guessOne
	}
	place.Send(ctx, statement, b.params())
	bounds.Put(b)
	rows, err := place.Wait(ctx)
	saved := rows == int64(len(requests)) && err == nil // none where the variant was not as expected
	if saved {
		outbox.Wake(s.pool)
		s.guessed.WithLabelValues("right").Inc()
		return answers, true, nil
	}
	g.forget(turn)
	s.guessed.WithLabelValues("wrong").Inc()
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		return nil, false, nil
	}
	return nil, false, err
}

// board returns the line that this variant's guesses are on, or else a new one.
func (g *guess) board(ctx context.Context, pool *pgxpool.Pool) (*pipeline.Line, error) {
	if line := g.join(); line != nil {
		return line, nil
	}
	opened, err := pipeline.OpenLine(ctx, pool, guessOne, guessMany, guessApart)
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.line != nil && g.line.Join() { // another was faster
		opened.Leave()
		return g.line, nil
	}
	g.line = opened
	return opened, nil
}

func (g *guess) join() *pipeline.Line {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.line == nil || !g.line.Join() {
		return nil
	}
	return g.line
}

// decide answers the requests, and goes on from there. It returns nothing when not all of them can be held together. The lock is held.
func (g *guess) decide(requests []inventory.HoldRequest, answers []inventory.HoldAnswer, at time.Time) *inventory.Sheet {
	if !g.known {
		return nil
	}
	shelf := inventory.NewShelf(at, []inventory.Stock{g.stock}, g.levels)
	shelf.Expect(len(requests))
	for i := range requests {
		r := &requests[i]
		if len(r.Wanted) != 1 || r.Wanted[0].VariantID != g.stock.VariantID {
			return nil
		}
		res, short, err := shelf.Hold(r)
		if short != nil || err != nil {
			return nil
		}
		answers[i].Reply = events.HoldReply{ReservationID: res}
	}
	sheets := shelf.Sheets()
	if len(sheets) != 1 || len(sheets[0].Lines) != len(requests) { // too many, or from several warehouses
		return nil
	}
	g.stock, g.levels = shelf.Of(g.stock.VariantID)
	return sheets[0]
}

func (g *guess) forget(turn int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.turn == turn {
		g.known = false
	}
}

// learn remembers how a turn that is committed has left what it moved.
func (s *Store) learn(t *turn) {
	for _, of := range t.shelf.Changed() {
		g, found := s.guesses.Get(of.VariantID)
		if !found {
			g = &guess{}
			s.guesses.Add(of.VariantID, g)
		}
		g.mu.Lock()
		g.stock, g.levels = t.shelf.Of(of.VariantID)
		g.known = true
		g.turn++
		g.mu.Unlock()
	}
}

// sheet binds the parameters of saveGuess.
func (b *bound) sheet(requests []inventory.HoldRequest, s *inventory.Sheet, told outbox.Row, at time.Time) {
	places, n := len(s.Places), len(s.Lines)
	b.buf, b.ends = b.buf[:0], b.ends[:0]
	b.text(s.VariantID)                                                          // 1
	b.int8(s.LastSeq())                                                          // 2
	b.text(s.ID)                                                                 // 3
	b.time(at)                                                                   // 4
	b.time(s.DueAt())                                                            // 5
	b.texts(places, func(i int) string { return s.Places[i].WarehouseID })       // 6
	b.int4s(places, func(i int) int { return s.Places[i].OnHand })               // 7
	b.int4s(places, func(i int) int { return s.Places[i].Held })                 // 8
	b.texts(n, func(i int) string { return s.Lines[i].Tail })                    // 9
	b.int2s(n, func(i int) int { return s.Lines[i].Place + 1 })                  // 10
	b.int4s(n, func(i int) int { return s.Lines[i].Quantity })                   // 11
	b.texts(n, func(i int) string { return s.Lines[i].OrderID })                 // 12
	b.texts(n, func(i int) string { return s.Lines[i].AccountID })               // 13
	b.texts(n, func(i int) string { return s.Lines[i].Key })                     // 14
	b.times(n, func(i int) time.Time { return s.Lines[i].ExpiresAt })            // 15
	b.bytes(len(requests), func(i int) []byte { return requests[i].Once.Input }) // 16
	b.text(told.EventID)                                                         // 17
	b.text(told.Subject)                                                         // 18
	b.text(string(told.Payload))                                                 // 19, json
	b.jsonb(told.Headers)                                                        // 20
}

// stock binds what guessApart has besides.
func (b *bound) stock(s inventory.Stock) {
	b.int8(s.Seq)           // 21
	b.int4(int32(s.OnHand)) // 22
	b.int4(int32(s.Held))   // 23
}
