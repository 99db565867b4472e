package postgres_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// What the code must never ask for, the database refuses: the last statement, or the commit that follows it.
func TestTheDatabaseRefuses(t *testing.T) {
	s := setup(t)
	w := s.warehouse("BLR-1")
	v, other := s.stocked(5, w), s.stocked(5, w)
	held, sold := s.held(lines(2, v)...), s.held(lines(1, v)...)
	if _, err := s.inv.Commit(t.Context(), ref(sold)); err != nil {
		t.Fatal(err)
	}
	fill := strings.NewReplacer("$v", "'"+v+"'", "$other", "'"+other+"'", "$w", "'"+w+"'", "$held", "'"+held+"'", "$sold", "'"+sold+"'")
	const (
		ledger = `INSERT INTO ledger (variant_id, seq, at, kind, quantity, warehouse_id, on_hand_after, held_after, reservation_id) VALUES `
		both   = `UPDATE stock SET (seq, on_hand, held) = (%[1]d, %[2]d, %[3]d) WHERE variant_id = $v; UPDATE levels SET (seq, on_hand, held) = (%[1]d, %[2]d, %[3]d) WHERE variant_id = $v`
	)
	// So far the ledger of v has: 1 ADJUST 5, 2 HOLD 2, 3 HOLD 1, 4 COMMIT 1; that is 4 on hand, 2 held.
	for name, c := range map[string]struct{ sql, constraint string }{
		"more held than there is":             {`UPDATE levels SET held = on_hand + 1 WHERE variant_id = $v`, "levels_check"},
		"fewer than nothing":                  {`UPDATE levels SET on_hand = -1, held = 0 WHERE variant_id = $v`, "levels_check"},
		"sums below zero":                     {`UPDATE stock SET held = -1 WHERE variant_id = $v`, "stock_check"},
		"units from nowhere":                  {`UPDATE levels SET on_hand = on_hand + 1 WHERE variant_id = $v`, ""},
		"units from nowhere, also in sum":     {`UPDATE levels SET on_hand = on_hand + 1 WHERE variant_id = $v; UPDATE stock SET on_hand = on_hand + 1 WHERE variant_id = $v`, ""},
		"a sum that is none":                  {`UPDATE stock SET on_hand = on_hand + 1 WHERE variant_id = $v`, ""},
		"a head beside the ledger":            {`UPDATE stock SET seq = seq + 1 WHERE variant_id = $v`, ""},
		"a level that is gone":                {`DELETE FROM levels WHERE variant_id = $v`, ""},
		"stock that is gone":                  {`DELETE FROM stock WHERE variant_id = $v`, ""},
		"a ledger edited":                     {`UPDATE ledger SET quantity = 6 WHERE variant_id = $v AND seq = 1`, ""},
		"a ledger shortened":                  {`DELETE FROM ledger WHERE variant_id = $v AND seq = 4`, ""},
		"a ledger emptied":                    {`TRUNCATE ledger`, ""},
		"a movement that moves nothing":       {ledger + `($v, 5, now(), 'ADJUST', 1, $w, 5, 2, NULL)`, ""},
		"a movement with a gap":               {ledger + `($v, 6, now(), 'ADJUST', 1, $w, 5, 2, NULL);` + fmt.Sprintf(both, 6, 5, 2), ""},
		"a movement twice":                    {ledger + `($v, 4, now(), 'ADJUST', 1, $w, 5, 2, NULL)`, "ledger_pkey"},
		"a movement below zero":               {ledger + `($v, 5, now(), 'ADJUST', -9, $w, -5, 0, NULL)`, "ledger_check"},
		"a sale of no hold":                   {ledger + `($v, 5, now(), 'COMMIT', -1, $w, 3, 1, NULL)`, "ledger_kind"},
		"units given to no pool":              {ledger + `($v, 5, now(), 'ALLOT', -1, $w, 3, 2, NULL)`, "ledger_pool"},
		"units given beside the ledger":       {`INSERT INTO allotments VALUES ('sale_1', $v, $w, 1, 0)`, ""},
		"more back than was given":            {`INSERT INTO allotments VALUES ('sale_1', $v, $w, 1, 2)`, "allotments_check"},
		"a hold of no reservation":            {ledger + `($v, 5, now(), 'HOLD', 1, $w, 4, 3, 'res_none');` + fmt.Sprintf(both, 5, 4, 3), ""},
		"a hold of more than its line":        {ledger + `($other, 2, now(), 'HOLD', 1, $w, 5, 1, $held); UPDATE stock SET (seq, held) = (2, 1) WHERE variant_id = $other; UPDATE levels SET (seq, held) = (2, 1) WHERE variant_id = $other`, ""},
		"a unit sold twice":                   {ledger + `($v, 5, now(), 'COMMIT', -1, $w, 3, 1, $sold);` + fmt.Sprintf(both, 5, 3, 1), "ledger_ends_once"},
		"a unit sold and given back":          {ledger + `($v, 5, now(), 'RELEASE', -1, $w, 4, 1, $sold);` + fmt.Sprintf(both, 5, 4, 1), "ledger_ends_once"},
		"a unit back that was not sold":       {ledger + `($v, 5, now(), 'RESTOCK', 2, $w, 6, 2, $held);` + fmt.Sprintf(both, 5, 6, 2), ""},
		"a unit back though it is sold":       {ledger + `($v, 5, now(), 'RESTOCK', 1, $w, 5, 2, $sold);` + fmt.Sprintf(both, 5, 5, 2), ""},
		"a sale undone beside the ledger":     {`UPDATE reservations SET status = 'RESTOCKED' WHERE id = $sold`, ""},
		"a hold undone as if it was sold":     {`UPDATE reservations SET status = 'RESTOCKED' WHERE id = $held`, ""},
		"a unit sold though held":             {ledger + `($v, 5, now(), 'COMMIT', -2, $w, 2, 0, $held);` + fmt.Sprintf(both, 5, 2, 0), ""},
		"a sale undone":                       {`UPDATE reservations SET status = 'RELEASED' WHERE id = $sold`, ""},
		"a sale made a hold again":            {`UPDATE reservations SET status = 'HELD' WHERE id = $sold`, ""},
		"a hold that ends beside the ledger":  {`UPDATE reservations SET status = 'RELEASED' WHERE id = $held`, ""},
		"a hold that lasts longer":            {`UPDATE reservations SET expires_at = expires_at + interval '1 minute' WHERE id = $held`, ""},
		"a hold of days":                      {`INSERT INTO reservations VALUES ('r', 'o', 'a', 'HELD', now(), now(), now() + interval '25 hours')`, "reservations_check"},
		"a hold born sold":                    {`INSERT INTO reservations VALUES ('r', 'o', 'a', 'COMMITTED', now(), now(), now() + interval '1 hour')`, ""},
		"a hold that is gone":                 {`DELETE FROM reservations WHERE id = $held`, ""},
		"a line that grows":                   {`UPDATE reservation_lines SET quantity = 3 WHERE reservation_id = $held`, ""},
		"a line of nothing held":              {`INSERT INTO reservation_lines VALUES ($held, $other, $w, 1)`, ""},
		"a line of no units":                  {`INSERT INTO reservation_lines VALUES ($held, $other, $w, 0)`, "reservation_lines_quantity_check"},
		"stock of no known goods":             {`INSERT INTO stock (variant_id) VALUES ('var_unknown')`, "stock_variant_id_fkey"},
		"a warehouse's code in small letters": {`UPDATE warehouses SET code = 'blr'`, "warehouses_code_check"},
	} {
		err := pgx.BeginFunc(t.Context(), s.pool, func(tx pgx.Tx) error {
			_, err := tx.Exec(t.Context(), fill.Replace(c.sql))
			return err
		})
		var refused *pgconn.PgError
		if !errors.As(err, &refused) || !strings.HasPrefix(refused.Code, "23") || c.constraint != "" && refused.ConstraintName != c.constraint {
			t.Errorf("%s: %v, want a refusal by %q", name, err, c.constraint)
		}
	}
	s.want(v, 4, 2)
	s.sound()
}

// What gets past the constraints all the same, such as by a restore of half a backup, the audit finds.
func TestTheAuditFindsDamage(t *testing.T) {
	for sql, want := range map[string]string{
		`UPDATE levels SET on_hand = 5`:                                                       "level of",
		`UPDATE levels SET held = 3`:                                                          "reservations hold 2",
		`UPDATE stock SET on_hand = 5`:                                                        "stock of",
		`UPDATE stock SET seq = 9`:                                                            "stock of",
		`DELETE FROM levels`:                                                                  "level of",
		`DELETE FROM stock`:                                                                   "stock of",
		`DELETE FROM ledger WHERE seq = 2`:                                                    "a gap before 3",
		`UPDATE ledger SET quantity = 4 WHERE seq = 1`:                                        "movement 1 leaves 5 on hand and 0 held, not 4 and 0",
		`DELETE FROM ledger WHERE seq = 4`:                                                    "is COMMITTED, but of 1",
		`UPDATE reservations SET status = 'RELEASED' WHERE id = $held`:                        "is RELEASED, but of 2",
		`UPDATE reservations SET status = 'EXPIRED' WHERE id = $sold`:                         "is EXPIRED, but of 1",
		`UPDATE reservations SET status = 'RESTOCKED' WHERE id = $sold`:                       "is RESTOCKED, but of 1",
		`UPDATE ledger SET (kind, quantity) = ('RESTOCK', 1) WHERE seq = 4`:                   "movement 4 leaves 4 on hand",
		`DELETE FROM reservation_lines WHERE reservation_id = $sold`:                          "which has no such line",
		`INSERT INTO reservation_lines VALUES ($held, $v, 'wh_1', 1)`:                         "the ledger says nothing",
		`INSERT INTO allotments VALUES ('sale_1', $v, 'wh_1', 1, 0)`:                          "pool sale_1: 1 of",
		`UPDATE ledger SET (kind, quantity, pool_id) = ('ALLOT', -5, 'sale_1') WHERE seq = 1`: "pool sale_1: ",
	} {
		t.Run(sql, func(t *testing.T) {
			s := setup(t)
			v := s.stocked(5, s.warehouse("BLR-1"))
			held, sold := s.held(lines(2, v)...), s.held(lines(1, v)...)
			if _, err := s.inv.Commit(t.Context(), ref(sold)); err != nil {
				t.Fatal(err)
			}
			s.sound()
			fill := strings.NewReplacer("$v", "'"+v+"'", "$held", "'"+held+"'", "$sold", "'"+sold+"'")
			if err := pgx.BeginFunc(t.Context(), s.pool, func(tx pgx.Tx) error {
				_, err := tx.Exec(t.Context(), `SET LOCAL session_replication_role = replica; `+fill.Replace(sql)) // no triggers, no foreign keys
				return err
			}); err != nil {
				t.Fatal(err)
			}
			found, err := s.store.Audit(t.Context())
			if err != nil || !strings.Contains(strings.Join(found, "\n"), want) {
				t.Errorf("found %q, %v; want %q", found, err, want)
			}
		})
	}
}
