package rush

import (
	"context"
	"errors"

	"github.com/souk-shop/souk/internal/batch"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/subgraphs/flashsale"
)

// Join takes a place for one account; when too many wait, it says when to come back.
func (d *Desk) Join(ctx context.Context, saleID, accountID string) (flashsale.JoinResult, error) {
	res, err := d.joins.Do(ctx, saleID, accountID)
	var full *batch.Refusal
	if errors.As(err, &full) {
		return flashsale.JoinResult{PollAfter: &full.PollAfter}, nil
	}
	return res, err
}

// LookUp finds a ticket, with what is known of its sale.
func (d *Desk) LookUp(ctx context.Context, ticketID string) (flashsale.Standing, error) {
	return d.lookups.Do(ctx, struct{}{}, ticketID)
}

func joins(s flashsale.Store, c clock.Clock, cfg batch.Config) *batch.Group[string, string, flashsale.JoinResult] {
	return batch.New(func(ctx context.Context, saleID string, accounts []string) ([]batch.Result[flashsale.JoinResult], error) {
		results, err := s.Join(ctx, saleID, accounts, c.Now())
		out := make([]batch.Result[flashsale.JoinResult], len(accounts))
		for i := range out {
			switch {
			case errors.Is(err, flashsale.ErrNoSale): // everybody's answer, and nobody's fault
				out[i].Err = err
			case err == nil:
				out[i] = batch.Result[flashsale.JoinResult]{Value: results[i], Err: results[i].Err}
			default:
				return nil, err
			}
		}
		return out, nil
	}, named(cfg, "joins"))
}

// lookups asks for the tickets of all who wait and want to know, in one question for them and one for their sales.
func lookups(s flashsale.Store, c clock.Clock, cfg batch.Config) *batch.Group[struct{}, string, flashsale.Standing] {
	return batch.New(func(ctx context.Context, _ struct{}, ids []string) ([]batch.Result[flashsale.Standing], error) {
		tickets, err := s.TicketsByID(ctx, ids)
		if err != nil {
			return nil, err
		}
		var saleIDs []string
		seen := map[string]bool{}
		for _, t := range tickets {
			if !seen[t.SaleID] {
				seen[t.SaleID], saleIDs = true, append(saleIDs, t.SaleID)
			}
		}
		sales, err := s.SalesByID(ctx, saleIDs)
		if err != nil {
			return nil, err
		}
		of := make(map[string]flashsale.Live, len(sales))
		for _, is := range sales {
			of[is.ID] = is.Live(c.Now())
		}
		found := make(map[string]flashsale.Standing, len(tickets))
		for _, t := range tickets {
			found[t.ID] = flashsale.Standing{Ticket: t, Live: of[t.SaleID]}
		}
		out := make([]batch.Result[flashsale.Standing], len(ids))
		for i, id := range ids {
			is, ok := found[id]
			if out[i].Value = is; !ok {
				out[i].Err = flashsale.ErrNoTicket
			}
		}
		return out, nil
	}, named(cfg, "tickets"))
}

// named is the config of a group beside the one that books.
func named(cfg batch.Config, what string) batch.Config {
	if cfg.Name != "" {
		cfg.Name += "-" + what
	}
	return cfg
}
