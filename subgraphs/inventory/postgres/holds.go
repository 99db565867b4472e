package postgres

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/pipeline"
	"github.com/souk-shop/souk/subgraphs/inventory"
	"github.com/souk-shop/souk/subgraphs/inventory/postgres/internal/db"
)

// Hold tries every request, each for itself, in one transaction: by a guess, or else behind a lock.
func (s *Store) Hold(ctx context.Context, requests []inventory.HoldRequest, at time.Time) ([]inventory.HoldAnswer, error) {
	if answers, ok, err := s.guess(ctx, requests, at); ok || err != nil {
		return answers, err
	}
	return s.hold(ctx, requests, at)
}

// hold does what Hold does in two trips, between which it has the stock to itself.
func (s *Store) hold(ctx context.Context, requests []inventory.HoldRequest, at time.Time) (answers []inventory.HoldAnswer, err error) {
	var variants []string
	for _, r := range requests {
		for _, w := range r.Wanted {
			variants = append(variants, w.VariantID)
		}
	}
	var t *turn
	err = s.again(ctx, func(p *pipeline.Pipeline) (err error) {
		before := heldBefore{}
		t, err = take(ctx, p, variants, at, func() { before.collect(p, requests) })
		if err != nil {
			return err
		}
		answers = make([]inventory.HoldAnswer, len(requests))
		fresh := db.AddHoldAnswersParams{At: at}
		for i, r := range requests {
			if was, asked := before[r.Once.Key]; asked {
				answers[i] = was.again(r)
				continue
			}
			a := &answers[i]
			if a.Reply.ReservationID, a.Reply.Short, a.Err = t.shelf.Hold(&r); a.Err != nil {
				continue
			}
			before[r.Once.Key] = heldAnswer{r.Once.Input, a.Reply}
			fresh.Keys, fresh.Inputs = append(fresh.Keys, r.Once.Key), append(fresh.Inputs, r.Once.Input)
			fresh.ReservationIds, fresh.Shorts = append(fresh.ReservationIds, a.Reply.ReservationID), append(fresh.Shorts, shortage(a.Reply.Short))
		}
		return errors.Join(db.New(p).AddHoldAnswers(ctx, fresh), t.save(ctx))
	})
	if err == nil {
		s.learn(t)
	}
	return answers, err
}

// What keys of holds were answered.
type (
	heldBefore map[string]heldAnswer
	heldAnswer struct {
		input []byte
		reply events.HoldReply
	}
)

const holdAnswersTo = `SELECT key, input, coalesce(reservation_id, ''), short FROM hold_answers WHERE key = ANY ($1)`

// collect queues the question what the requests were answered before.
func (before heldBefore) collect(p *pipeline.Pipeline, requests []inventory.HoldRequest) {
	keys := make([]string, len(requests))
	for i, r := range requests {
		keys[i] = r.Once.Key
	}
	p.Collect(holdAnswersTo, keys)(func(row pgx.Rows) error {
		var key string
		var a heldAnswer
		var short []byte
		if err := row.Scan(&key, &a.input, &a.reply.ReservationID, &short); err != nil {
			return err
		}
		if short != nil {
			if err := json.Unmarshal(short, &a.reply.Short); err != nil {
				return err
			}
		}
		before[key] = a
		return nil
	})
}

// again is the answer to a key that was answered before.
func (was heldAnswer) again(r inventory.HoldRequest) inventory.HoldAnswer {
	if !bytes.Equal(was.input, r.Once.Input) {
		return inventory.HoldAnswer{Err: inventory.ErrKeyReused.At("idempotencyKey")}
	}
	return inventory.HoldAnswer{Reply: was.reply}
}

func shortage(short []events.Shortage) string {
	if short == nil {
		return ""
	}
	written, err := json.Marshal(short)
	if err != nil {
		panic(err) // it is made of strings and numbers
	}
	return string(written)
}

func sheetRow(s *inventory.Sheet, at time.Time) db.AddSheetParams {
	due := s.DueAt()
	row := db.AddSheetParams{VariantID: s.VariantID, FirstSeq: s.FirstSeq, LastSeq: s.LastSeq(), ID: s.ID, At: at, DueAt: &due}
	for _, p := range s.Places {
		row.WarehouseIds = append(row.WarehouseIds, p.WarehouseID)
		row.OnHandAfter, row.HeldAfter = append(row.OnHandAfter, int32(p.OnHand)), append(row.HeldAfter, int32(p.Held))
	}
	for _, l := range s.Lines {
		row.Tails, row.Places = append(row.Tails, l.Tail), append(row.Places, int16(l.Place+1))
		row.Quantities, row.ExpiresAt = append(row.Quantities, int32(l.Quantity)), append(row.ExpiresAt, l.ExpiresAt)
		row.OrderIds, row.AccountIds, row.Keys = append(row.OrderIds, l.OrderID), append(row.AccountIds, l.AccountID), append(row.Keys, l.Key)
	}
	return row
}
