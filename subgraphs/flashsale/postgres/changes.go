package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/pipeline"
	"github.com/souk-shop/souk/subgraphs/flashsale"
	"github.com/souk-shop/souk/subgraphs/flashsale/postgres/internal/db"
)

// Begin makes the caller's key name this change, or returns the one it names already.
func (s *Store) Begin(ctx context.Context, c flashsale.Change) (flashsale.Change, error) {
	plan, err := json.Marshal(c.Plan)
	if err != nil {
		return c, err
	}
	needs, err := json.Marshal(append([]flashsale.Line{}, c.Needs...)) // a list, also when it is empty
	if err != nil {
		return c, err
	}
	err = s.q.BeginChange(ctx, db.BeginChangeParams{
		ID: c.ID, SaleID: c.SaleID, AccountID: c.AccountID, SellerID: c.SellerID, Key: c.Key, InputHash: c.InputHash, Plan: plan, Needs: needs, At: c.CreatedAt,
	})
	if err != nil && !violates(err, "changes_one_at_a_time") {
		return c, err
	}
	row, found := s.q.ChangeOfKey(ctx, db.ChangeOfKeyParams{AccountID: c.AccountID, Key: c.Key})
	if errors.Is(found, pgx.ErrNoRows) && err != nil {
		return c, flashsale.ErrChanging
	}
	if found != nil {
		return c, found
	}
	return change(row)
}

// Finish decides a change that is pending still, and returns it as it was decided.
func (s *Store) Finish(ctx context.Context, c flashsale.Change, why *fault.Error, in []flashsale.Line, at time.Time, rule func(*flashsale.Stand) error) (is flashsale.Change, err error) {
	err = s.again(ctx, func(p *pipeline.Pipeline) error {
		p.Collect(`SELECT decision, refusal FROM changes WHERE id = $1 FOR UPDATE`, c.ID)(func(row pgx.Rows) error {
			is = c
			var refusal []byte
			if err := row.Scan(&is.Decision, &refusal); err != nil || refusal == nil {
				return err
			}
			return json.Unmarshal(refusal, &is.Refusal)
		})
		stand, err := open(ctx, p, lockSale, c.SaleID, flashsale.Wanted{}, at)
		if err != nil || is.Decision != flashsale.Pending {
			return err
		}
		isNew := stand == nil
		if isNew {
			stand = flashsale.NewStand(at, flashsale.Sale{ID: c.SaleID}, nil, nil)
		}
		q := db.New(p)
		if why == nil {
			err := rule(stand)
			refused, ok := fault.ForUser(err)
			if err != nil && !ok {
				return err
			}
			why = refused
		}
		if why != nil {
			return refuse(ctx, q, &is, why, in, at)
		}
		if isNew {
			if err := add(ctx, q, stand.Sale); err != nil {
				return err
			}
		}
		is.Decision = flashsale.Applied
		if err := q.DecideChange(ctx, db.DecideChangeParams{ID: c.ID, Decision: string(is.Decision)}); err != nil {
			return err
		}
		return save(ctx, p, stand)
	})
	return is, err
}

// refuse queues that a change is refused, and that the units which came in for it go back. They were never in the sale.
func refuse(ctx context.Context, q *db.Queries, c *flashsale.Change, why *fault.Error, in []flashsale.Line, at time.Time) error {
	refusal, err := json.Marshal(why)
	if err != nil {
		return err
	}
	c.Decision, c.Refusal = flashsale.Refused, why
	if err := q.DecideChange(ctx, db.DecideChangeParams{ID: c.ID, Decision: string(c.Decision), Refusal: refusal}); err != nil || in == nil {
		return err
	}
	return addTransfer(ctx, q, flashsale.Transfer{ID: id.New(id.Change), SaleID: c.SaleID, Lines: in}, at)
}

// add queues a new sale; its units are moved in by what is saved after it.
func add(ctx context.Context, q *db.Queries, s *flashsale.Sale) error {
	pools := db.AddPoolsParams{SaleID: s.ID}
	for i, o := range s.Offers {
		pools.VariantIds, pools.Positions = append(pools.VariantIds, o.VariantID), append(pools.Positions, int32(i))
		pools.Amounts, pools.Currencies = append(pools.Amounts, o.Price.Amount), append(pools.Currencies, o.Price.Currency)
		pools.Limits = append(pools.Limits, int32(o.LimitPerAccount))
	}
	return errors.Join(q.AddSale(ctx, db.AddSaleParams{
		ID: s.ID, SellerID: s.SellerID, Title: s.Title, StartsAt: s.StartsAt, EndsAt: s.EndsAt, LimitPerAccount: int32(s.LimitPerAccount),
		HoldSeconds: int32(s.HoldTime / time.Second), Told: string(s.Told),
		Admission: string(s.Admission), RoomOpensAt: s.RoomOpensAt, Difficulty: int32(s.Difficulty), AdmitPerSecond: int32(s.AdmitPerSecond),
		AdmissionSeconds: int32(s.AdmissionTime / time.Second), Seed: s.Seed,
	}), q.AddPools(ctx, pools), q.AddRoom(ctx, s.ID))
}

// PendingChanges lists changes that were begun before a time.
func (s *Store) PendingChanges(ctx context.Context, before time.Time, most int) ([]flashsale.Change, error) {
	rows, err := s.q.PendingChanges(ctx, db.PendingChangesParams{Before: before, Most: int32(most)})
	if err != nil {
		return nil, err
	}
	out := make([]flashsale.Change, len(rows))
	for i, r := range rows {
		if out[i], err = change(r); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// PendingTransfers lists transfers that are not done.
func (s *Store) PendingTransfers(ctx context.Context, saleID string, most int) ([]flashsale.Transfer, error) {
	rows, err := s.q.PendingTransfers(ctx, db.PendingTransfersParams{SaleID: saleID, Most: int32(most)})
	if err != nil {
		return nil, err
	}
	out := make([]flashsale.Transfer, len(rows))
	for i, r := range rows {
		out[i] = flashsale.Transfer{ID: r.ID, SaleID: r.SaleID}
		if err := json.Unmarshal(r.Lines, &out[i].Lines); err != nil {
			return nil, fmt.Errorf("lines of transfer %s: %w", r.ID, err)
		}
	}
	return out, nil
}

// TransferDone notes that the units are back in stock.
func (s *Store) TransferDone(ctx context.Context, transferID string, at time.Time) error {
	return s.q.TransferDone(ctx, db.TransferDoneParams{ID: transferID, At: at})
}

func change(r db.Change) (flashsale.Change, error) {
	c := flashsale.Change{
		ID: r.ID, SaleID: r.SaleID, AccountID: r.AccountID, SellerID: r.SellerID, Key: r.Key, InputHash: r.InputHash,
		Decision: flashsale.Decision(r.Decision), CreatedAt: r.CreatedAt.UTC(),
	}
	err := errors.Join(json.Unmarshal(r.Plan, &c.Plan), json.Unmarshal(r.Needs, &c.Needs))
	if r.Refusal != nil {
		err = errors.Join(err, json.Unmarshal(r.Refusal, &c.Refusal))
	}
	if err != nil {
		return c, fmt.Errorf("change %s: %w", r.ID, err)
	}
	return c, nil
}
