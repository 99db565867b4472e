package postgres_test

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/pgtest"
	"github.com/souk-shop/souk/subgraphs/inventory"
	"github.com/souk-shop/souk/subgraphs/inventory/postgres"
)

// An ending moves all that its hold holds of, once and in time, and writes the movements that say so; or it is refused.
func TestAnEndingMovesItsStock(t *testing.T) {
	s := setup(t)
	w, w2 := s.warehouse("BLR-1"), s.warehouse("DEL-1")
	v, other := s.stocked(4, w, w2), s.stocked(9, w)
	held := s.held(lines(3, v)...)                             // all of it in w
	wide := s.held(append(lines(5, v), lines(2, other)...)...) // 1 in w, 4 in w2, and of another variant
	free := s.stocked(4, w, w2)
	one, another := s.held(lines(2, free)...), s.held(lines(2, free)...) // 2 in each place
	sold, back, gone := s.held(lines(1, other)...), s.held(lines(1, other)...), s.held(lines(1, other)...)
	if _, err := s.inv.Commit(t.Context(), ref(sold)); err != nil {
		t.Fatal(err)
	}
	const (
		early, late = "'2026-11-21 10:14:59Z'", "'2026-11-21 10:15Z'"
		ending      = `INSERT INTO endings VALUES `
		released    = ending + `($held, 'RELEASED', ` + early + `);`
		level       = `UPDATE levels SET (on_hand, held) = (on_hand + %d, held + %d) WHERE variant_id = $v AND warehouse_id = $w;`
		uneven      = `INSERT INTO sheets (variant_id, first_seq, last_seq, id, at, due_at, warehouse_ids, on_hand_after, held_after, tails, places, quantities, order_ids, account_ids, keys, expires_at)
			VALUES ('%s', 3, 4, 'res_new', '2026-11-21 10:00Z', '2026-11-21 10:05Z', '{%s,%s}', '{9,9}', '{1,1}', '{00,00}', '{1,2}', '{1,1}', '{o,o}', '{a,a}', '{k,k}', '{2026-11-21 10:05Z,2026-11-21 10:15Z}');`
		movement = `INSERT INTO movements (variant_id, seq, at, kind, quantity, warehouse_id, on_hand_after, held_after, reservation_id) VALUES `
	)
	try := func(sql string) error {
		return pgx.BeginFunc(t.Context(), s.pool, func(tx pgx.Tx) error {
			_, err := tx.Exec(t.Context(), fill(sql, "$v", v, "$other", other, "$w", w, "$held", held, "$many", wide, "$sold", sold, "$back", back, "$gone", gone))
			return err
		})
	}
	// So far the ledger of v has 2 ADJUST and 3 HOLD: 8 on hand and all of them held, 4 in each place.
	for name, sql := range map[string]string{
		"of no hold":                       ending + `('res_none', 'RELEASED', now())`,
		"of no hold, beside one of a hold": ending + `($held, 'RELEASED', now()), ('res_none', 'RELEASED', now())`,
		"of a line that is not there":      ending + `('` + held[:len(held)-2] + `01', 'RELEASED', now())`,
		"sold when its time is up":         ending + `($held, 'COMMITTED', ` + late + `)`,
		"sold late, beside one in time":    ending + `($many, 'COMMITTED', ` + early + `), ($held, 'COMMITTED', ` + late + `)`,
		"run out before its time":          ending + `($held, 'EXPIRED', ` + early + `)`,
		"undone and never sold":            ending + `($held, 'RESTOCKED', ` + early + `)`,
		"held":                             ending + `($held, 'HELD', ` + early + `)`,
		"twice":                            released + released,
		"of what is sold":                  ending + `($sold, 'RELEASED', ` + early + `)`,
		"that changes its mind":            `UPDATE endings SET status = 'RELEASED' WHERE reservation_id = $sold`,
		"undone, and once more":            `UPDATE endings SET status = 'RESTOCKED' WHERE reservation_id = $sold; UPDATE endings SET status = 'RESTOCKED' WHERE reservation_id = $sold`,
		"with movements, as the build before this one wrote": released +
			`UPDATE stock SET (seq, held) = (6, held - 3) WHERE variant_id = $v; UPDATE levels SET (seq, held) = (6, held - 3) WHERE variant_id = $v AND warehouse_id = $w;` +
			movement + `($v, 6, now(), 'RELEASE', -3, $w, 4, 1, $held)`,
		"and its movement once more": released +
			`UPDATE stock SET (seq, held) = (7, held - 1) WHERE variant_id = $v; UPDATE levels SET (seq, held) = (7, held - 1) WHERE variant_id = $v AND warehouse_id = $w;` +
			movement + `($v, 7, now(), 'RELEASE', -1, $w, 4, 0, $held)`,
		"and a movement where its own is":     released + movement + `($v, 6, now(), 'ADJUST', 1, $w, 5, 1, NULL)`,
		"and then its level is forged":        released + fmt.Sprintf(level, 1, 0),
		"and then its stock is forged":        released + `UPDATE stock SET on_hand = on_hand + 1 WHERE variant_id = $v`,
		"and then its stock is put back":      released + `UPDATE stock SET seq = 5 WHERE variant_id = $v`,
		"of what is held for different times": fmt.Sprintf(uneven, s.stocked(9, w, w2), w, w2) + ending + `('res_new00', 'COMMITTED', '2026-11-21 10:10Z')`,
		"on levels forged for one another": fmt.Sprintf(`UPDATE levels SET on_hand = on_hand + CASE warehouse_id WHEN $w THEN 1 ELSE -1 END WHERE variant_id = '%s';`, free) +
			ending + fmt.Sprintf(`('%s', 'RELEASED', now()), ('%s', 'RELEASED', now())`, one, another),
		"on a level that was forged":   fmt.Sprintf(level, 1, 0) + released,
		"on stock that was forged":     `UPDATE stock SET on_hand = on_hand + 1 WHERE variant_id = $v;` + released,
		"on both, forged":              `UPDATE stock SET (seq, on_hand) = (6, on_hand + 1) WHERE variant_id = $v;` + fmt.Sprintf(level, 1, 0) + released,
		"and is forged once looked at": `SET CONSTRAINTS ALL IMMEDIATE;` + released + fmt.Sprintf(level, 0, -1),
	} {
		t.Run("refused: "+name, func(t *testing.T) {
			if err := try(sql); !refused(err) {
				t.Error(err)
			}
		})
	}
	s.want(v, 8, 8)
	s.want(other, 8, 4)
	s.sound()

	for _, c := range []struct {
		name, sql                            string
		onHand, held, otherOnHand, otherHeld int
	}{
		{"of one line", released, 8, 5, 8, 4},
		{"of several places and variants", ending + `($many, 'COMMITTED', ` + early + `)`, 3, 0, 6, 2},
		{"in several ways at once, one of them before", ending + `($gone, 'EXPIRED', ` + late + `), ($back, 'RELEASED', ` + late + `), ($many, 'RELEASED', ` + late + `) ON CONFLICT DO NOTHING`, 3, 0, 6, 0},
		{"of none", ending + `($gone, 'RELEASED', ` + late + `) ON CONFLICT DO NOTHING`, 3, 0, 6, 0},
		{"that are undone", `UPDATE endings SET status = 'RESTOCKED' WHERE status = 'COMMITTED'`, 8, 0, 9, 0},
	} {
		if err := try(c.sql); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		s.want(v, c.onHand, c.held)
		s.want(other, c.otherOnHand, c.otherHeld)
		s.sound()
	}
}

// Of many that end at once, those that come too late, or were never held, hurt no other, and learn the same as if they came alone.
func TestWhoComesTooLateHurtsNoOther(t *testing.T) {
	s := setup(t)
	const n = 12
	v := s.stocked(2*n, s.warehouse("BLR-1"))
	var inTime, late []string
	for range n {
		inTime = append(inTime, s.held(lines(1, v)...))
		short := s.request(lines(1, v)...)
		short.ExpiresAt = s.clock.Now().Add(time.Minute)
		reply, err := s.inv.Hold(t.Context(), short)
		if err != nil {
			t.Fatal(err)
		}
		late = append(late, reply.ReservationID)
	}
	s.clock.Advance(time.Minute)
	var wg sync.WaitGroup
	for i := range n {
		for r, want := range map[string]string{inTime[i]: "", late[i]: "HOLD_EXPIRED", id.New(id.Reservation): "NOT_FOUND"} {
			wg.Go(func() {
				if _, err := s.inv.Commit(t.Context(), ref(r)); code(err) != want {
					t.Errorf("%v, want %q", err, want)
				}
			})
		}
	}
	wg.Wait()
	s.want(v, n, n) // what came too late is held until it is swept
	if swept, err := s.store.Expire(t.Context(), s.clock.Now(), 100); err != nil || swept != n {
		t.Error(swept, err)
	}
	s.want(v, n, 0)
	s.sound()
}

// What an end tells is the stock as everybody else tells it, of each variant once; who ends nothing tells nothing.
func TestAnEndTellsTheStock(t *testing.T) {
	s := setup(t)
	w := s.warehouse("BLR-1")
	v, other := s.stocked(8, w), s.stocked(8, w)
	told := func() (all []events.StockChanged) {
		rows, err := s.pool.Query(t.Context(), `DELETE FROM outbox WHERE subject = $1 RETURNING payload`, events.SubjectStockChanged)
		if err != nil {
			t.Fatal(err)
		}
		payloads, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range payloads {
			var e events.StockChanged
			if err := json.Unmarshal(p, &e); err != nil {
				t.Fatal(err)
			}
			all = append(all, e)
		}
		return all
	}
	var held []string
	for range 8 {
		held = append(held, s.held(lines(1, v)...))
	}
	told()
	for i, r := range held { // none can be had, a few, and more than a few
		how := s.inv.Release
		if i%3 == 2 {
			how = s.inv.Commit
		}
		if _, err := how(t.Context(), ref(r)); err != nil {
			t.Fatal(err)
		}
		now := s.stock(v)
		now.AsOf = s.clock.Now()
		if got := told(); len(got) != 1 || got[0] != now.Changed() {
			t.Errorf("%+v, want %+v", got, now.Changed())
		}
		if _, err := s.inv.Release(t.Context(), ref(r)); (err == nil) != (i%3 != 2) {
			t.Error(err)
		}
		if got := told(); got != nil {
			t.Errorf("told again: %+v", got)
		}
	}
	both := s.held(append(lines(1, v), lines(1, other)...)...)
	told()
	if _, err := s.inv.Release(t.Context(), ref(both)); err != nil {
		t.Fatal(err)
	}
	if got := told(); len(got) != 2 || got[0].VariantID == got[1].VariantID {
		t.Errorf("%+v", got)
	}
}

// However many end together, it is the same few statements.
func TestEndsTakeTheSameStatementsHoweverMany(t *testing.T) {
	s := setup(t)
	v := s.stocked(100, s.warehouse("BLR-1"))
	var mu sync.Mutex
	asked := 0
	store := postgres.NewStore(pgtest.Watched(t, s.pool, func(string) {
		mu.Lock()
		defer mu.Unlock()
		asked++
	}))
	for _, n := range []int{1, 50} {
		held := make([]string, n)
		for i := range held {
			held[i] = s.held(lines(1, v)...)
		}
		asked = 0
		is, err := store.EndTogether(t.Context(), held, inventory.Released, s.clock.Now())
		if err != nil || is[n-1] != inventory.Released {
			t.Fatal(is, err)
		}
		mu.Lock()
		if asked != 5 { // BEGIN, how to plan, the endings, the event, COMMIT
			t.Errorf("%d statements for %d", asked, n)
		}
		mu.Unlock()
	}
	s.want(v, 100, 0)
	s.sound()
}
