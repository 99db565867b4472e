// Package flashsaletest is the rest of the shop as flash sales see it, for tests: a catalogue and a stock that keep what their
// subgraphs promise.
package flashsaletest

import (
	"context"
	"errors"
	"sync"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/id"
)

// ErrCut is what a call returns whose line was cut.
var ErrCut = errors.New("the line was cut")

// A Shop is a flashsale.Shop of one seller's goods.
type Shop struct {
	SellerID string

	mu      sync.Mutex
	stock   map[string]int            // by variant
	given   map[string]map[string]int // by pool and variant: what went in and is not back
	answers map[string]events.PoolReply
	off     map[string]bool
	calls   int

	BreakAt   int  // this move fails …
	Afterward bool // … after it was done, so that only its answer is lost
}

// NewShop returns a shop with no goods.
func NewShop(sellerID string) *Shop {
	return &Shop{SellerID: sellerID, stock: map[string]int{}, given: map[string]map[string]int{}, answers: map[string]events.PoolReply{}, off: map[string]bool{}}
}

// Stocked returns a new variant of which there are so many.
func (s *Shop) Stocked(units int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := id.New(id.Variant)
	s.stock[v] = units
	return v
}

// Stock tells how many units of a variant are in stock.
func (s *Shop) Stock(variantID string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stock[variantID]
}

// Given tells how many units of a variant went into a pool and are not back.
func (s *Shop) Given(pool, variantID string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.given[pool][variantID]
}

// TakeOff takes a variant off sale.
func (s *Shop) TakeOff(variantID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.off[variantID] = true
}

// Goods finds what is known of variants.
func (s *Shop) Goods(_ context.Context, variantIDs []string) (found []events.VariantInfo, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range variantIDs {
		if _, known := s.stock[v]; known {
			found = append(found, events.VariantInfo{
				Variant: events.Variant{ID: v, SKU: v}, ProductID: "prod_" + v[4:], ProductTitle: "A lamp", SellerID: s.SellerID, ForSale: !s.off[v],
			})
		}
	}
	return found, nil
}

// MoveToPool moves units into a sale, once for each key.
func (s *Shop) MoveToPool(_ context.Context, r events.PoolRequest) (events.PoolReply, error) {
	return s.move(r, func() (rep events.PoolReply, err error) {
		for _, l := range r.Lines {
			if has := s.stock[l.VariantID]; has < l.Quantity {
				rep.Short = append(rep.Short, events.Shortage{VariantID: l.VariantID, Wanted: l.Quantity, Available: has})
			}
		}
		if rep.Short != nil {
			return rep, nil
		}
		if s.given[r.PoolID] == nil {
			s.given[r.PoolID] = map[string]int{}
		}
		for _, l := range r.Lines {
			s.stock[l.VariantID] -= l.Quantity
			s.given[r.PoolID][l.VariantID] += l.Quantity
		}
		return rep, nil
	})
}

// MoveFromPool moves units of a sale back, once for each key.
func (s *Shop) MoveFromPool(_ context.Context, r events.PoolRequest) error {
	_, err := s.move(r, func() (rep events.PoolReply, err error) {
		for _, l := range r.Lines {
			if s.given[r.PoolID][l.VariantID] < l.Quantity {
				return rep, fault.New(fault.Conflict, "INSUFFICIENT_STOCK", "the pool was given fewer")
			}
			s.stock[l.VariantID] += l.Quantity
			s.given[r.PoolID][l.VariantID] -= l.Quantity
		}
		return rep, nil
	})
	return err
}

func (s *Shop) move(r events.PoolRequest, do func() (events.PoolReply, error)) (events.PoolReply, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	broken := s.calls == s.BreakAt
	if broken && !s.Afterward {
		return events.PoolReply{}, ErrCut
	}
	rep, done := s.answers[r.IdempotencyKey]
	if !done {
		var err error
		if rep, err = do(); err != nil {
			return rep, err
		}
		s.answers[r.IdempotencyKey] = rep
	}
	if broken {
		return events.PoolReply{}, ErrCut
	}
	return rep, nil
}
