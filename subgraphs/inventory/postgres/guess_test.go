package postgres_test

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/subgraphs/inventory"
	"github.com/souk-shop/souk/subgraphs/inventory/postgres"
)

// Two processes hold the same variant, end holds of it and count it anew: each finds again and again that the other has moved it, and
// no unit is held twice or lost.
func TestAWrongGuessHoldsNothing(t *testing.T) {
	s := setup(t)
	w := s.warehouse("BLR-1")
	v := s.stocked(400, w)
	metrics := prometheus.NewRegistry()
	var held, ended, added atomic.Int32
	var wg sync.WaitGroup
	for range 2 {
		process := inventory.New(postgres.NewStore(s.pool).Gather(postgres.Meeting, metrics), sellsAll{}, s.clock)
		for i := range 12 {
			wg.Go(func() {
				rng := rand.New(rand.NewPCG(uint64(i), 2))
				for range 12 {
					r := s.request(lines(1+rng.IntN(2), v)...)
					reply, err := process.Hold(t.Context(), r)
					if err != nil {
						t.Error(err)
					}
					if again, err := process.Hold(t.Context(), r); err != nil || again.ReservationID != reply.ReservationID {
						t.Errorf("%+v after %+v, %v", again, reply, err)
					}
					if reply.ReservationID == "" {
						continue
					}
					held.Add(int32(r.Lines[0].Quantity))
					switch rng.IntN(4) {
					case 0:
						_, err = process.Release(t.Context(), ref(reply.ReservationID))
						ended.Add(int32(r.Lines[0].Quantity))
					case 1:
						_, err = process.Adjust(t.Context(), sel, []inventory.Change{{VariantID: v, WarehouseID: w, Delta: 1}}, "", id.New(id.Event))
						added.Add(1)
					}
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	wg.Wait()
	s.want(v, 400+int(added.Load()), int(held.Load()-ended.Load()))
	s.sound()
}

// A guess is decided by the same rules as what is done behind a lock: what is short, too late or known already is answered so.
func TestAGuessKeepsTheRules(t *testing.T) {
	s := setup(t)
	v := s.stocked(3, s.warehouse("BLR-1"))
	first := s.request(lines(1, v)...)
	known, err := s.inv.Hold(t.Context(), first) // and from here on it is known how the variant was left
	if err != nil {
		t.Fatal(err)
	}
	s.held(lines(1, v)...)
	if again, err := s.inv.Hold(t.Context(), first); err != nil || again.ReservationID != known.ReservationID {
		t.Errorf("%+v, %v", again, err)
	}
	late := s.request(lines(1, v)...)
	late.ExpiresAt = s.clock.Now().Add(-time.Second)
	if _, err := s.inv.Hold(t.Context(), late); code(err) != "INVALID" {
		t.Error(err)
	}
	if short, err := s.inv.Hold(t.Context(), s.request(lines(2, v)...)); err != nil || len(short.Short) != 1 || short.Short[0].Available != 1 {
		t.Errorf("%+v, %v", short, err)
	}
	s.held(lines(1, v)...)
	if short, err := s.inv.Hold(t.Context(), s.request(lines(1, v)...)); err != nil || len(short.Short) != 1 {
		t.Errorf("%+v, %v", short, err)
	}
	s.want(v, 3, 3)
	s.sound()
}

// Who ends a hold knows how that leaves the stock, and so is the next hold of this process decided on it.
func TestAHoldAfterAnEndIsGuessedRight(t *testing.T) {
	s, metrics := setup(t), prometheus.NewRegistry()
	w, w2 := s.warehouse("BLR-1"), s.warehouse("DEL-1")
	v := s.stocked(20, w, w2)
	store := postgres.NewStore(s.pool).Gather(postgres.Meeting, metrics)
	s.inv, s.store = inventory.New(store, sellsAll{}, s.clock), store
	s.held(lines(1, v)...) // behind the lock, for nothing is known yet
	const n = 6
	for i := range n {
		r := s.held(lines(1, v)...)
		how := s.inv.Release
		if i%2 == 0 {
			how = s.inv.Commit
		}
		if _, err := how(t.Context(), ref(r)); err != nil {
			t.Fatal(err)
		}
	}
	s.clock.Advance(15 * time.Minute)
	if ended, err := s.store.Expire(t.Context(), s.clock.Now(), 10); err != nil || ended != 1 {
		t.Error(ended, err)
	}
	s.held(lines(10, v)...)
	families, err := metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	guesses := map[string]float64{}
	for _, f := range families {
		if f.GetName() == "souk_inventory_guesses_total" {
			for _, m := range f.GetMetric() {
				guesses[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
			}
		}
	}
	if guesses["right"] != n+1 || guesses["wrong"] != 0 {
		t.Errorf("%v", guesses)
	}
	s.want(v, 40-n/2, 10)
	s.sound()
}
