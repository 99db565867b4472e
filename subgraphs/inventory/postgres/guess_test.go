package postgres_test

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/souk-shop/souk/events"
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

// Of three guesses, each on the one before, the first is wrong: somebody releases a unit in another place meanwhile, by one movement, which is what the
// first would have been. The next fits by its seq and in its own place, and must not tell a sum that there never was.
func TestAGuessOnAWrongGuessTellsNothing(t *testing.T) {
	s := setup(t)
	w, w2 := s.warehouse("BLR-1"), s.warehouse("DEL-1")
	v := s.stocked(100, w, w2)
	if err := s.adjust(v, w, 1); err != nil {
		t.Fatal(err)
	}
	first := s.held(lines(1, v)...) // in w, which has the most
	if _, err := s.pool.Exec(t.Context(), `DELETE FROM outbox`); err != nil {
		t.Fatal(err)
	}
	tx, err := s.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context())
	if _, err := tx.Exec(t.Context(), `INSERT INTO endings VALUES ($1, 'RELEASED', now())`, first); err != nil {
		t.Fatal(err)
	}
	var holds sync.WaitGroup
	for range 3 {
		asked, err := inventory.RequestHold(s.request(lines(1, v)...))
		if err != nil {
			t.Fatal(err)
		}
		holds.Go(func() {
			if _, err := s.store.Hold(t.Context(), []inventory.HoldRequest{asked}, s.clock.Now()); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(50 * time.Millisecond) // that it comes behind the one before makes it a guess on a guess; nothing is wrong if it does not
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	holds.Wait()
	rows, _ := s.pool.Query(t.Context(), `SELECT payload FROM outbox`)
	told, err := pgx.CollectRows(rows, pgx.RowTo[events.StockChanged])
	if err != nil || len(told) != 3 {
		t.Fatalf("%d were told, %v", len(told), err)
	}
	for _, is := range told {
		var available int
		if err := s.pool.QueryRow(t.Context(), `SELECT coalesce(sum(CASE kind WHEN 'ADJUST' THEN quantity ELSE -quantity END), 0) FROM ledger WHERE variant_id = $1 AND seq <= $2`, v, is.Seq).Scan(&available); err != nil {
			t.Fatal(err)
		}
		if is.Available != available {
			t.Errorf("at %d it is told that %d are available, and there were %d", is.Seq, is.Available, available)
		}
	}
	s.sound()
}
