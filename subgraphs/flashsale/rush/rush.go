// Package rush lets those who book in one sale at once share a transaction, and so those who join its waiting room.
package rush

import (
	"context"
	"errors"

	"github.com/souk-shop/souk/internal/batch"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/outage"
	"github.com/souk-shop/souk/subgraphs/flashsale"
)

// A Desk takes requests one by one and has them booked together. It is a flashsale.Desk.
type Desk struct {
	group   *batch.Group[string, flashsale.BookRequest, flashsale.BookResult] // by sale
	joins   *batch.Group[string, string, flashsale.JoinResult]                // of accounts, by sale
	lookups *batch.Group[struct{}, string, flashsale.Standing]                // of tickets
}

var _ flashsale.Desk = (*Desk)(nil)

// New returns a desk in front of a store, which serves as many at once as the config says.
func New(s flashsale.Store, c clock.Clock, cfg batch.Config) *Desk {
	if cfg.Classify == nil {
		cfg.Classify = outage.Verdict
	}
	return &Desk{joins: joins(s, c, cfg), lookups: lookups(s, c, cfg), group: batch.New(func(ctx context.Context, saleID string, requests []flashsale.BookRequest) ([]batch.Result[flashsale.BookResult], error) {
		results, err := s.Book(ctx, saleID, requests, c.Now())
		out := make([]batch.Result[flashsale.BookResult], len(requests))
		for i := range out {
			switch {
			case errors.Is(err, flashsale.ErrNoSale): // everybody's answer, and nobody's fault
				out[i].Err = err
			case err == nil:
				out[i] = batch.Result[flashsale.BookResult]{Value: results[i], Err: results[i].Err}
			default:
				return nil, err
			}
		}
		return out, nil
	}, cfg)}
}

// Book books for one account; when too many wait, it says when to come back.
func (d *Desk) Book(ctx context.Context, saleID string, r flashsale.BookRequest) (flashsale.BookResult, error) {
	res, err := d.group.Do(ctx, saleID, r)
	var full *batch.Refusal
	if errors.As(err, &full) {
		return flashsale.BookResult{PollAfter: &full.PollAfter}, nil
	}
	return res, err
}

// Waiting returns how many requests wait for their turn.
func (d *Desk) Waiting() int { return d.group.Waiting() }

// Close lets those who wait have their answers, and refuses others.
func (d *Desk) Close(ctx context.Context) error {
	return errors.Join(d.group.Close(ctx), d.joins.Close(ctx), d.lookups.Close(ctx))
}
