package postgres_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/souk-shop/souk/internal/batch"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/subgraphs/inventory"
	"github.com/souk-shop/souk/subgraphs/inventory/postgres"
)

// All that holds for those who call alone holds for those who share a transaction: here everybody does.
func TestInACrowd(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"the life of a hold":                    TestTheLifeOfAHold,
		"the sweeper gets past damage":          TestTheSweeperGetsPastDamage,
		"answers are forgotten in the end":      TestAnswersAreForgottenInTheEnd,
		"a hold is for all or nothing":          TestAHoldIsForAllOrNothing,
		"the same key is the same hold":         TestTheSameKeyIsTheSameHold,
		"the same key at once is one hold":      TestTheSameKeyAtOnceIsOneHold,
		"one key for two inputs at once":        TestOneKeyForTwoInputsAtOnce,
		"warehouses that serve":                 TestWarehousesThatServe,
		"any story adds up":                     TestAnyStoryAddsUp,
		"the last piece is held once":           TestTheLastPieceIsHeldOnce,
		"commit or expiry but not both":         TestCommitOrExpiryButNotBoth,
		"many sweepers end each hold once":      TestManySweepersEndEachHoldOnce,
		"opposite orders do not lock up":        TestOppositeOrdersDoNotLockUp,
		"two connections are enough":            TestTwoConnectionsAreEnough,
		"many holds in one transaction":         TestManyHoldsInOneTransaction,
		"the database refuses":                  TestTheDatabaseRefuses,
		"the audit finds damage":                TestTheAuditFindsDamage,
		"a hold that cannot end hurts no other": TestAHoldThatCannotEndHurtsNoOther,
		"who ends it first":                     TestWhoEndsItFirst,
		"who comes too late hurts no other":     TestWhoComesTooLateHurtsNoOther,
		"an end tells the stock":                TestAnEndTellsTheStock,
		"an ending moves its stock":             TestAnEndingMovesItsStock,
	} {
		t.Run(name, test)
	}
}

// Somebody has tampered with one variant: those who end holds of another beside it do not notice.
func TestAHoldThatCannotEndHurtsNoOther(t *testing.T) {
	s := setup(t)
	w := s.warehouse("BLR-1")
	broken, fine := s.stocked(1, w), s.stocked(8, w)
	stuck := s.held(append(lines(1, fine), lines(1, broken)...)...)
	var sold []string
	for range 7 {
		sold = append(sold, s.held(lines(1, fine)...))
	}
	if _, err := s.pool.Exec(t.Context(), `BEGIN; SET LOCAL session_replication_role = replica; UPDATE levels SET held = 0 WHERE variant_id = '`+broken+`'; COMMIT`); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for _, r := range append(sold, stuck) {
		wg.Go(func() {
			if _, err := s.inv.Commit(t.Context(), ref(r)); (err != nil) != (r == stuck) {
				t.Errorf("%s, stuck is %s: %v", r, stuck, err)
			}
		})
	}
	wg.Wait()
	s.want(fine, 1, 1)
}

// Of many who would sell a unit or give it back, one does, and all the others learn which it was.
func TestWhoEndsItFirst(t *testing.T) {
	s := setup(t)
	v := s.stocked(20, s.warehouse("BLR-1"))
	var gone int
	for range 20 {
		held := s.held(lines(1, v)...)
		said := make([]inventory.Status, 6)
		var wg sync.WaitGroup
		for i := range said {
			to := []inventory.Status{inventory.Committed, inventory.Released}[i%2]
			wg.Go(func() {
				var err error
				if said[i], err = s.store.End(t.Context(), held, to, s.clock.Now()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if len(slices.Compact(said)) != 1 {
			t.Errorf("%v", said)
		}
		if said[0] == inventory.Committed {
			gone++
		}
	}
	s.want(v, 20-gone, 0)
	s.sound()
}

// A variant is hot while enough callers are at it, and those who came before that go as they came.
func TestAVariantIsHotWhileCallersMeetOnIt(t *testing.T) {
	s := setup(t)
	w := s.warehouse("BLR-1")
	hot, calm := s.stocked(100, w), s.stocked(100, w)
	metrics := prometheus.NewRegistry()
	crowd := postgres.NewStore(s.pool).Gather(4, metrics)
	s.inv = inventory.New(crowd, sellsAll{}, s.clock)

	s.held(lines(1, hot)...)
	if n, _ := shared(t, metrics); n != 0 {
		t.Fatalf("%d shared when nobody met", n)
	}
	// Somebody has the variant's lock, so that callers gather before it.
	keeper, err := s.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keeper.Exec(t.Context(), `SELECT FROM stock WHERE variant_id = $1 FOR UPDATE`, hot); err != nil {
		t.Fatal(err)
	}
	const callers = 40
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() { s.held(lines(1, hot)...) })
	}
	for crowd.At(hot) < callers {
		time.Sleep(time.Millisecond)
	}
	s.held(lines(1, calm)...) // and is not kept waiting
	if err := keeper.Rollback(t.Context()); err != nil && !errors.Is(err, pgx.ErrTxClosed) {
		t.Fatal(err)
	}
	wg.Wait()
	if n, _ := shared(t, metrics); n != callers-3 {
		t.Errorf("%d of %d went together, want all but the first 3", n, callers)
	}
	s.held(lines(1, hot)...)
	if n, _ := shared(t, metrics); n != callers-3 || crowd.At(hot) != 0 {
		t.Errorf("%d went together, %d are still there", n, crowd.At(hot))
	}
	s.want(hot, 100, callers+2)
	s.want(calm, 100, 1)
	s.sound()
}

// More than can wait are told at once when to come back, and nobody else is hurt.
func TestTooManyAreToldWhenToReturn(t *testing.T) {
	s := setup(t)
	v := s.stocked(10_000, s.warehouse("BLR-1"))
	s.inv = inventory.New(postgres.NewStore(s.pool).Gather(1, nil), sellsAll{}, s.clock)
	keeper, err := s.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keeper.Exec(t.Context(), `SELECT FROM stock WHERE variant_id = $1 FOR UPDATE`, v); err != nil {
		t.Fatal(err)
	}
	const callers, places = 6000, 8*512 + 2*512 // that wait, and at most so many that are in batches before the lock
	var held, sentAway atomic.Int32
	enough := make(chan struct{})
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			_, err := s.inv.Hold(t.Context(), s.request(lines(1, v)...))
			var full *batch.Refusal
			switch {
			case err == nil:
				held.Add(1)
			case errors.As(err, &full) && fault.KindOf(err) == fault.Unavailable && full.PollAfter.After(time.Now().Add(-time.Minute)):
				if sentAway.Add(1) == callers-places {
					close(enough)
				}
			default:
				t.Error(err)
			}
		})
	}
	<-enough
	if err := keeper.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if held.Load()+sentAway.Load() != callers {
		t.Errorf("%d held, %d sent away", held.Load(), sentAway.Load())
	}
	s.want(v, 10_000, int(held.Load()))
	s.sound()
}

// shared returns how many requests went into how many batches.
func shared(t testing.TB, r *prometheus.Registry) (n, batches int) {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "souk_batch_size" {
			for _, m := range f.GetMetric() {
				n += int(m.GetHistogram().GetSampleSum())
				batches += int(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return n, batches
}

// What the rows' own checks refused before they became checks of a statement.
func TestTheDatabaseRefusesASlyOrder(t *testing.T) {
	s := setup(t)
	w, w2 := s.warehouse("BLR-1"), s.warehouse("DEL-1")
	v := s.stocked(5, w, w2) // 1 and 2
	res := s.held(lines(1, v)...)
	const held = `INSERT INTO sheets SELECT s.* FROM jsonb_populate_record((SELECT x FROM sheets x WHERE variant_id = $v), jsonb '{"id": "res_new"}' || jsonb `
	for name, sql := range map[string]string{
		"a movement passed over": `UPDATE stock SET seq = 4 WHERE variant_id = $v; UPDATE levels SET (seq, on_hand) = (4, 6) WHERE variant_id = $v AND held = 0;
			INSERT INTO movements (variant_id, seq, at, kind, quantity, warehouse_id, on_hand_after, held_after) SELECT $v, 4, now(), 'ADJUST', 1, warehouse_id, 6, 0 FROM levels WHERE variant_id = $v AND held = 0;
			UPDATE levels l SET (seq, on_hand) = (SELECT g.seq, 5 FROM movements g WHERE g.variant_id = $v AND g.warehouse_id = l.warehouse_id AND g.seq < 3) WHERE variant_id = $v AND held = 0`,
		"a hold passed over": `UPDATE stock SET (seq, held) = (4, 2) WHERE variant_id = $v; UPDATE levels SET (seq, held) = (4, 2) WHERE variant_id = $v AND held = 1;` + held + `'{"first_seq": 4, "last_seq": 4, "held_after": [2]}') AS s;
			UPDATE levels SET (seq, held) = (3, 1) WHERE variant_id = $v AND held = 2`,
		"a hold beside another's level": `UPDATE stock SET (seq, held) = (4, 2) WHERE variant_id = $v; UPDATE levels SET (seq, held) = (4, 1) WHERE variant_id = $v AND held = 0;` + held + `'{"first_seq": 4, "last_seq": 4, "held_after": [2]}') AS s`,
		"a gap that is closed by a jump": `UPDATE stock SET (seq, on_hand) = (5, 11) WHERE variant_id = $v; UPDATE levels SET (seq, on_hand) = (5, 6) WHERE variant_id = $v AND held = 0;
			INSERT INTO movements (variant_id, seq, at, kind, quantity, warehouse_id, on_hand_after, held_after) SELECT $v, 5, now(), 'ADJUST', 1, warehouse_id, 6, 0 FROM levels WHERE variant_id = $v AND held = 0`,
		"a level that moves house": `UPDATE levels SET warehouse_id = 'wh_x' WHERE variant_id = $v AND held = 0`,
		"stock emptied":            `TRUNCATE stock CASCADE`,
		"a second sheet":           held + `'{}') AS s`,
		"a sale of nobody's hold": `UPDATE stock SET (seq, on_hand, held) = (4, 9, 0) WHERE variant_id = $v; UPDATE levels SET (seq, on_hand, held) = (4, 4, 0) WHERE variant_id = $v AND held = 1;
			INSERT INTO movements (variant_id, seq, at, kind, quantity, warehouse_id, on_hand_after, held_after, reservation_id) SELECT $v, 4, now(), 'COMMIT', -1, warehouse_id, 4, 0, 'res_none' FROM levels WHERE variant_id = $v AND seq = 4`,
		"a sale of two warehouses' as one": `UPDATE stock SET (seq, on_hand, held) = (4, 9, 0) WHERE variant_id = $v; UPDATE levels SET (seq, on_hand, held) = (4, 4, 0) WHERE variant_id = $v AND held = 1;
			INSERT INTO endings VALUES ($res, 'COMMITTED', now());
			INSERT INTO movements (variant_id, seq, at, kind, quantity, warehouse_id, on_hand_after, held_after, reservation_id) SELECT $v, 4, now(), 'COMMIT', -1, warehouse_id, 4, 0, $res FROM levels WHERE variant_id = $v AND seq <> 4`,
	} {
		t.Run(name, func(t *testing.T) {
			err := pgx.BeginFunc(t.Context(), s.pool, func(tx pgx.Tx) error {
				_, err := tx.Exec(t.Context(), fill(sql, "$v", v, "$w", w, "$res", res))
				return err
			})
			if !refused(err) {
				t.Errorf("%v", err)
			}
		})
	}
	s.want(v, 10, 1)
	s.sound()
}

func fill(sql string, pairs ...string) string {
	for i := 1; i < len(pairs); i += 2 {
		pairs[i] = "'" + pairs[i] + "'"
	}
	return strings.NewReplacer(pairs...).Replace(sql)
}

func refused(err error) bool {
	var by *pgconn.PgError
	return errors.As(err, &by) && strings.HasPrefix(by.Code, "23")
}
