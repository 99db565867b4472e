package postgres

import (
	"context"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/souk-shop/souk/internal/batch"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/outage"
	"github.com/souk-shop/souk/subgraphs/inventory"
)

// A Crowd is a store whose callers share transactions where they meet. A variant is hot from the moment that some callers
// of this process hold it or end holds of it at once, until nobody does; while it is hot, those who come gather, and each
// batch of them takes the variant's lock once. Others go as if alone: what they pay is a count.
//
// Which way a caller goes changes no answer. Other processes may be at the same variant in either way: the lock of its row
// decides who is first.
type Crowd struct {
	*Store
	some  int
	holds *batch.Group[string, holdCall, inventory.HoldAnswer]
	ends  *batch.Group[string, endCall, inventory.Status]

	mu    sync.Mutex
	spots map[string]*spot // by variant, of those that somebody is at

	// By what ids of recent holds begin with, to count who ends them. A hold that is not known ends as if alone.
	variantsOf *lru.Cache[string, []string]
}

// A spot is who is at a variant.
type spot struct {
	callers int
	hot     bool
}

type holdCall struct {
	*inventory.HoldRequest
	at time.Time
}

var _ inventory.Store = (*Crowd)(nil)

// Meeting is how many callers at a variant make it hot: two or three lose less by standing in line than by gathering.
const Meeting = 4

const recentHolds = 50_000 // made alone, or that many batches

// Gather returns the store with callers sharing transactions where so many meet. Metrics may be nil.
func (s *Store) Gather(meeting int, metrics prometheus.Registerer) *Crowd {
	c := &Crowd{Store: s, some: meeting, spots: map[string]*spot{}}
	c.variantsOf, _ = lru.New[string, []string](recentHolds) // fails for a negative size alone
	if metrics != nil {
		metrics.Register(s.guessed) // a second store of one process goes uncounted
	}
	// Two batches of a variant: while the database has one, this process answers another's callers and sends the next behind it.
	c.holds = batch.New(c.holdAll, batch.Config{Name: "inventory_holds", Pipeline: 2, Classify: outage.Verdict, Metrics: metrics})
	c.ends = batch.New(c.endAll, batch.Config{Name: "inventory_ends", Classify: outage.Verdict, Metrics: metrics})
	return c
}

// Hold tries every request, each for itself. A single one whose variant is hot shares its transaction.
func (c *Crowd) Hold(ctx context.Context, requests []inventory.HoldRequest, at time.Time) ([]inventory.HoldAnswer, error) {
	if len(requests) != 1 {
		return c.Store.Hold(ctx, requests, at)
	}
	r := &requests[0]
	var one [1]string // as most holds are
	variants := one[:0]
	for _, w := range r.Wanted {
		variants = append(variants, w.VariantID)
	}
	hot := c.enter(variants)
	defer c.leave(variants)
	if hot == "" {
		answers, err := c.Store.Hold(ctx, requests, at)
		if err == nil {
			c.remember(requests, answers)
		}
		return answers, err
	}
	answer, err := c.holds.Do(ctx, hot, holdCall{r, at})
	if err != nil {
		return nil, err
	}
	return []inventory.HoldAnswer{answer}, nil
}

// remember notes which variants are held by ids that begin as these do, as far as the first of each beginning tells.
func (c *Crowd) remember(requests []inventory.HoldRequest, answers []inventory.HoldAnswer) {
	last := ""
	for i, a := range answers {
		of, _ := id.Split(a.Reply.ReservationID)
		if of == last || of == "" {
			continue
		}
		last = of
		variants := make([]string, len(requests[i].Wanted))
		for n, w := range requests[i].Wanted {
			variants[n] = w.VariantID
		}
		c.variantsOf.Add(of, variants)
	}
}

func (c *Crowd) holdAll(ctx context.Context, _ string, calls []holdCall) ([]batch.Result[inventory.HoldAnswer], error) {
	requests, at := make([]inventory.HoldRequest, len(calls)), calls[0].at
	for i, call := range calls {
		requests[i] = *call.HoldRequest
		at = later(at, call.at)
	}
	answers, err := c.Store.Hold(ctx, requests, at)
	c.remember(requests, answers)
	results := make([]batch.Result[inventory.HoldAnswer], len(answers))
	for i, a := range answers {
		results[i].Value = a
	}
	return results, err
}

// End moves a reservation from Held to another status, in a transaction it shares if its variant is hot.
func (c *Crowd) End(ctx context.Context, reservationID string, to inventory.Status, at time.Time) (inventory.Status, error) {
	of, _ := id.Split(reservationID)
	variants, _ := c.variantsOf.Get(of)
	hot := c.enter(variants)
	defer c.leave(variants)
	if hot == "" {
		return c.Store.End(ctx, reservationID, to, at)
	}
	return c.ends.Do(ctx, hot, endCall{reservationID, to, at})
}

// endAll does in one transaction what End does for each.
func (c *Crowd) endAll(ctx context.Context, _ string, calls []endCall) ([]batch.Result[inventory.Status], error) {
	at := calls[0].at
	for _, call := range calls {
		at = later(at, call.at)
	}
	is, err := c.end(ctx, calls, at)
	results := make([]batch.Result[inventory.Status], len(is))
	for i, status := range is {
		if results[i].Value = status; status == "" {
			results[i].Err = inventory.ErrNoReservation
		}
	}
	return results, err
}

// enter counts a caller in at variants, and returns the first of them that is hot, if any is.
func (c *Crowd) enter(variants []string) (hot string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, v := range variants {
		s := c.spots[v]
		if s == nil {
			s = &spot{}
			c.spots[v] = s
		}
		s.callers++
		s.hot = s.hot || s.callers >= c.some
		if s.hot && hot == "" {
			hot = v
		}
	}
	return hot
}

// leave counts a caller out. What nobody is at is calm again.
func (c *Crowd) leave(variants []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, v := range variants {
		s := c.spots[v]
		if s.callers--; s.callers == 0 {
			delete(c.spots, v)
		}
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// At returns how many callers are at a variant.
func (c *Crowd) At(variantID string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.spots[variantID]; s != nil {
		return s.callers
	}
	return 0
}
