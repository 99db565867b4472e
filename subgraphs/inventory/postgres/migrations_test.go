package postgres_test

import (
	"io/fs"
	"testing"
	"testing/fstest"
	"time"

	clients "github.com/souk-shop/souk/clients/postgres"
	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/pgtest"
	"github.com/souk-shop/souk/subgraphs/inventory"
	"github.com/souk-shop/souk/subgraphs/inventory/postgres"
)

// Holds that were rows of several tables are on sheets afterwards, with their keys, and go on from there.
func TestOldHoldsMoveToSheets(t *testing.T) {
	t.Parallel()
	before := fstest.MapFS{}
	for _, name := range []string{"0001_init.sql", "0002_pools.sql", "0003_checks_by_batch.sql", "0007_restock.sql"} {
		data, err := fs.ReadFile(postgres.Migrations, "migrations/"+name)
		if err != nil {
			t.Fatal(err)
		}
		before["migrations/"+name] = &fstest.MapFile{Data: data}
	}
	pool, err := clients.Open(t.Context(), pgtest.Empty(t), "public")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	if err := clients.Migrate(t.Context(), pool, before); err != nil {
		t.Fatal(err)
	}
	s := &shop{t: t, pool: pool, store: postgres.NewStore(pool), clock: clock.Hold(time.Date(2026, 11, 21, 10, 5, 0, 0, time.UTC))}
	s.inv = inventory.New(s.store, sellsAll{}, s.clock)
	const v, w = "var_01K00000000000000000000000", "wh_01K00000000000000000000000"
	const held, sold, undone = "res_01K00000000000000000001000", "res_01K00000000000000000002000", "res_01K00000000000000000003000"
	asked := events.HoldRequest{
		IdempotencyKey: "again", OrderID: "ord_01K00000000000000000000000", AccountID: "acc_01K00000000000000000000000",
		Lines: lines(2, v), ExpiresAt: s.clock.Now().Add(10 * time.Minute),
	}
	r, err := inventory.RequestHold(asked)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(t.Context(), `INSERT INTO answers VALUES ('hold', 'again', $1, '{"reservationId": "`+held+`"}', now()),
		('hold', 'short', '', '{"short": [{"variantId": "`+v+`", "wanted": 9, "available": 2}]}', now()), ('acc_1', 'again', '', '{}', now())`, r.Once.Input); err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(t.Context(), fill(`
		BEGIN; SET LOCAL session_replication_role = replica;
		INSERT INTO warehouses VALUES ($w, 'BLR-1', 'x', '560001', 'IN', 0, 0, 1, now());
		INSERT INTO items VALUES ($v, 'prod_1', 'sel_1', 'sku', 1, true);
		INSERT INTO stock VALUES ($v, 7, 4, 2);
		INSERT INTO levels VALUES ($v, $w, 4, 2, 7);
		INSERT INTO reservations VALUES ($held, 'ord_1', 'acc_1', 'HELD', '2026-11-21 10:00Z', '2026-11-21 10:00Z', '2026-11-21 10:15Z'),
			($sold, 'ord_2', 'acc_2', 'COMMITTED', '2026-11-21 10:00Z', '2026-11-21 10:01Z', '2026-11-21 10:15Z'),
			($undone, 'ord_3', 'acc_3', 'RESTOCKED', '2026-11-21 10:02Z', '2026-11-21 10:03Z', '2026-11-21 10:15Z');
		INSERT INTO reservation_lines VALUES ($held, $v, $w, 2), ($sold, $v, $w, 1), ($undone, $v, $w, 2);
		INSERT INTO ledger (variant_id, seq, at, kind, quantity, warehouse_id, on_hand_after, held_after, reservation_id, order_id, idempotency_key) VALUES
			($v, 1, '2026-11-21 10:00Z', 'ADJUST', 5, $w, 5, 0, NULL, NULL, 'k'),
			($v, 2, '2026-11-21 10:00Z', 'HOLD', 2, $w, 5, 2, $held, 'ord_1', 'again'),
			($v, 3, '2026-11-21 10:00Z', 'HOLD', 1, $w, 5, 3, $sold, 'ord_2', 'other'),
			($v, 4, '2026-11-21 10:01Z', 'COMMIT', -1, $w, 4, 2, $sold, 'ord_2', NULL),
			($v, 5, '2026-11-21 10:02Z', 'HOLD', 2, $w, 4, 4, $undone, 'ord_3', 'third'),
			($v, 6, '2026-11-21 10:02Z', 'COMMIT', -2, $w, 2, 2, $undone, 'ord_3', NULL),
			($v, 7, '2026-11-21 10:03Z', 'RESTOCK', 2, $w, 4, 2, $undone, 'ord_3', NULL);
		COMMIT`, "$v", v, "$w", w, "$held", held, "$sold", sold, "$undone", undone)); err != nil {
		t.Fatal(err)
	}
	if err := clients.Migrate(t.Context(), pool, postgres.Migrations); err != nil {
		t.Fatal(err)
	}
	s.sound()
	if again, err := s.inv.Hold(t.Context(), asked); err != nil || again.ReservationID != held {
		t.Errorf("%+v, %v", again, err)
	}
	moves, err := s.inv.History(t.Context(), staff, v, 0, 10)
	if err != nil || len(moves) != 7 || moves[1].ReservationID != held || moves[2].HeldAfter != 3 || moves[3].Kind != inventory.Commit || moves[6].Kind != inventory.Restock {
		t.Errorf("%+v, %v", moves, err)
	}
	if all, err := s.store.ReservationsByID(t.Context(), []string{held, sold, undone}); err != nil || len(all) != 3 || all[0].Status != inventory.Held || all[1].Status != inventory.Committed || all[2].Status != inventory.Restocked {
		t.Errorf("%+v, %v", all, err)
	}
	if is, err := s.store.Restock(t.Context(), sold, s.clock.Now()); err != nil || is != inventory.Restocked { // a sale from before the move
		t.Error(is, err)
	}
	if n, err := s.store.Expire(t.Context(), s.clock.Now().Add(time.Hour), 10); err != nil || n != 1 {
		t.Error(n, err)
	}
	s.want(v, 5, 0)
	s.sound()
}
