package postgres_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/pgtest"
	"github.com/souk-shop/souk/subgraphs/inventory"
)

func TestTheLastPieceIsHeldOnce(t *testing.T) {
	s := setup(t)
	v := s.stocked(1, s.warehouse("BLR-1"))
	var held, short atomic.Int32
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			reply, err := s.inv.Hold(t.Context(), s.request(lines(1, v)...))
			switch {
			case err != nil:
				t.Error(err)
			case reply.ReservationID != "":
				held.Add(1)
			case len(reply.Short) == 1:
				short.Add(1)
			}
		})
	}
	wg.Wait()
	if held.Load() != 1 || short.Load() != 99 {
		t.Errorf("%d held, %d short", held.Load(), short.Load())
	}
	s.want(v, 1, 1)
	s.sound()
}

// A payment that arrives in the last moment meets the sweeper, on machines whose clocks differ by a second.
func TestCommitOrExpiryButNotBoth(t *testing.T) {
	s := setup(t)
	w := s.warehouse("BLR-1")
	var sold, expired int
	for range 40 {
		v := s.stocked(1, w)
		res := s.held(lines(1, v)...)
		before, after := s.clock.Now().Add(15*time.Minute-time.Second), s.clock.Now().Add(15*time.Minute)
		var wg sync.WaitGroup
		var status inventory.Status
		var swept [3]int
		start := make(chan struct{})
		wg.Go(func() {
			<-start
			var err error
			if status, err = s.store.End(t.Context(), res, inventory.Committed, before); err != nil {
				t.Error(err)
			}
		})
		for i := range swept {
			wg.Go(func() {
				<-start
				var err error
				if swept[i], err = s.store.Expire(t.Context(), after, 10); err != nil {
					t.Error(err)
				}
			})
		}
		close(start)
		wg.Wait()
		switch n := swept[0] + swept[1] + swept[2]; {
		case status == inventory.Committed && n == 0:
			sold++
			s.want(v, 0, 0)
		case status == inventory.Expired && n == 1:
			expired++
			s.want(v, 1, 0)
		default:
			t.Errorf("the payment found it %s, %d sweepers ended it", status, n)
		}
	}
	t.Logf("%d sold, %d expired", sold, expired)
	s.sound()
}

func TestManySweepersEndEachHoldOnce(t *testing.T) {
	s := setup(t)
	v := s.stocked(500, s.warehouse("BLR-1"))
	for range 60 {
		s.held(lines(3, v)...)
	}
	var swept atomic.Int32
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			for swept.Load() < 60 {
				n, err := s.store.Expire(t.Context(), s.clock.Now().Add(15*time.Minute), 7)
				if err != nil {
					t.Error(err)
					return
				}
				swept.Add(int32(n))
			}
		})
	}
	wg.Wait()
	if swept.Load() != 60 {
		t.Errorf("%d ended of 60", swept.Load())
	}
	s.want(v, 500, 0)
	s.sound()
}

// Buyers whose carts name the same things in opposite orders, among sellers, payments and a sweeper: nobody waits for
// somebody who waits for them, and in the end the numbers add up.
func TestOppositeOrdersDoNotLockUp(t *testing.T) {
	s := setup(t)
	w1, w2 := s.warehouse("BLR-1"), s.warehouse("DEL-1")
	var variants []string
	for range 4 {
		variants = append(variants, s.stocked(20, w1, w2))
	}
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(i), 1))
			for range 8 {
				r := s.request()
				for _, j := range rng.Perm(len(variants))[:1+rng.IntN(4)] {
					r.Lines = append(r.Lines, events.HoldLine{VariantID: variants[j], Quantity: 1 + rng.IntN(3)})
				}
				reply, err := s.inv.Hold(t.Context(), r)
				if err != nil {
					t.Error(err)
					return
				}
				switch what := rng.IntN(6); {
				case what == 0:
					err = s.adjust(variants[rng.IntN(4)], []string{w1, w2}[rng.IntN(2)], 1+rng.IntN(3))
				case what == 1:
					_, err = s.store.Expire(t.Context(), s.clock.Now().Add(time.Hour), 5)
				case reply.ReservationID == "":
				case what == 2:
					_, err = s.inv.Commit(t.Context(), ref(reply.ReservationID))
				case what < 5:
					_, err = s.inv.Release(t.Context(), ref(reply.ReservationID))
				}
				if err != nil && code(err) != "HOLD_EXPIRED" {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	s.sound()
}

// No request needs two connections at once: then many on a small pool wait for their turn, and not for each other.
func TestTwoConnectionsAreEnough(t *testing.T) {
	s := setup(t, pgtest.MaxConns(2))
	w := s.warehouse("BLR-1")
	v := s.stocked(1000, w)
	var wg sync.WaitGroup
	for i := range 30 {
		wg.Go(func() {
			reply, err := s.inv.Hold(t.Context(), s.request(lines(1, v)...))
			if err == nil && i%2 == 0 {
				_, err = s.inv.Commit(t.Context(), ref(reply.ReservationID))
			}
			if err == nil {
				err = s.adjust(id.New(id.Variant), w, 1)
			}
			if err == nil {
				_, err = s.inv.LevelsOf(t.Context(), sel, []string{v, id.New(id.Variant)})
			}
			if err == nil {
				_, err = s.store.Expire(t.Context(), s.clock.Now(), 10)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	s.want(v, 985, 15)
	s.sound()
}

// Requests that share a transaction, as they do when many come at once, are answered each for itself.
func TestManyHoldsInOneTransaction(t *testing.T) {
	s := setup(t)
	v := s.stocked(3, s.warehouse("BLR-1"))
	var requests []inventory.HoldRequest
	for i := range 5 {
		in := s.request(lines(1, v)...)
		if i == 2 {
			in.ExpiresAt = s.clock.Now()
		}
		r, err := inventory.RequestHold(in)
		if err != nil {
			t.Fatal(err)
		}
		requests = append(requests, r)
	}
	requests = append(requests, requests[0]) // a retry that caught up with its first try
	answers, err := s.store.Hold(t.Context(), requests, s.clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for i, a := range answers {
		switch {
		case a.Err != nil:
			got += "x"
		case a.Reply.ReservationID == "":
			got += "-"
		case i > 0 && a.Reply.ReservationID == answers[0].Reply.ReservationID:
			got += "="
		default:
			got += "o"
		}
	}
	if got != "ooxo-=" {
		t.Error(got)
	}
	s.want(v, 3, 3)
	var told int
	if err := s.pool.QueryRow(t.Context(), `SELECT count(*) FROM outbox WHERE payload->>'available' = '0'`).Scan(&told); err != nil || told != 1 {
		t.Errorf("told %d times, %v", told, err)
	}
	s.sound()
}

func BenchmarkHold(b *testing.B) {
	s := open(b)
	w := s.warehouse("BLR-1")
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprintf("%d variants", n), func(b *testing.B) {
			var variants []string
			for range n {
				variants = append(variants, s.stocked(900_000, w))
			}
			b.SetParallelism(16)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if r, err := s.inv.Hold(b.Context(), s.request(lines(1, variants[rand.IntN(n)])...)); err != nil || r.ReservationID == "" {
						b.Error(r, err)
					}
				}
			})
		})
	}
}
