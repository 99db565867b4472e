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
		movement = `INSERT INTO movements (variant_id, seq, at, kind, quantity, warehouse_id, on_hand_after, held_after, reservation_id) VALUES `
		both     = `UPDATE stock SET (seq, on_hand, held) = (%[1]d, %[2]d, %[3]d) WHERE variant_id = $v; UPDATE levels SET (seq, on_hand, held) = (%[1]d, %[2]d, %[3]d) WHERE variant_id = $v;`
		ending   = `INSERT INTO endings VALUES `
		hold     = `; INSERT INTO sheets SELECT s.* FROM jsonb_populate_record((SELECT x FROM sheets x WHERE variant_id = $v AND first_seq = 2), jsonb '{"id": "res_new", "first_seq": 5, "last_seq": 5, "on_hand_after": [4], "held_after": [4]}' || jsonb '%s') AS s`
	)
	beyond := func(sheet string) string { return fmt.Sprintf(both, 5, 4, 4) + fmt.Sprintf(hold, sheet) }
	// So far the ledger of v has: 1 ADJUST 5, 2 HOLD 2, 3 HOLD 1, 4 COMMIT 1; that is 4 on hand, 2 held.
	for name, c := range map[string]struct{ sql, constraint string }{
		"more held than there is":             {`UPDATE levels SET held = on_hand + 1 WHERE variant_id = $v`, "levels_check"},
		"fewer than nothing":                  {`UPDATE levels SET on_hand = -1, held = 0 WHERE variant_id = $v`, "units_check"},
		"sums below zero":                     {`UPDATE stock SET held = -1 WHERE variant_id = $v`, "units_check"},
		"units from nowhere":                  {`UPDATE levels SET on_hand = on_hand + 1 WHERE variant_id = $v`, ""},
		"units from nowhere, also in sum":     {`UPDATE levels SET on_hand = on_hand + 1 WHERE variant_id = $v; UPDATE stock SET on_hand = on_hand + 1 WHERE variant_id = $v`, ""},
		"a sum that is none":                  {`UPDATE stock SET on_hand = on_hand + 1 WHERE variant_id = $v`, ""},
		"a head beside the ledger":            {`UPDATE stock SET seq = seq + 1 WHERE variant_id = $v`, ""},
		"a level beside the ledger":           {`UPDATE levels SET seq = 2 WHERE variant_id = $v`, ""},
		"a level that is gone":                {`DELETE FROM levels WHERE variant_id = $v`, ""},
		"stock that is gone":                  {`DELETE FROM stock WHERE variant_id = $v`, ""},
		"a ledger edited":                     {`UPDATE movements SET quantity = 6 WHERE variant_id = $v AND seq = 1`, ""},
		"a ledger shortened":                  {`DELETE FROM movements WHERE variant_id = $v AND seq = 4`, ""},
		"a ledger emptied":                    {`TRUNCATE movements`, ""},
		"a sheet edited":                      {`UPDATE sheets SET order_ids = '{ord_other}' WHERE variant_id = $v AND first_seq = 2`, ""},
		"a sheet that is gone":                {`DELETE FROM sheets WHERE variant_id = $v AND first_seq = 2`, ""},
		"sheets emptied":                      {`TRUNCATE sheets`, ""},
		"a movement that moves nothing":       {movement + `($v, 5, now(), 'ADJUST', 1, $w, 5, 2, NULL)`, ""},
		"a movement with a gap":               {movement + `($v, 6, now(), 'ADJUST', 1, $w, 5, 2, NULL);` + fmt.Sprintf(both, 6, 5, 2), ""},
		"a movement after a gap":              {fmt.Sprintf(both, 6, 5, 2) + movement + `($v, 6, now(), 'ADJUST', 1, $w, 5, 2, NULL)`, ""},
		"a movement twice":                    {movement + `($v, 4, now(), 'ADJUST', 1, $w, 5, 2, NULL)`, "ledger_pkey"},
		"a movement where a hold is":          {movement + `($v, 2, now(), 'ADJUST', 1, $w, 5, 2, NULL)`, ""},
		"an adjustment of less than it moves": {fmt.Sprintf(both, 5, 9, 2) + movement + `($v, 5, now(), 'ADJUST', 1, $w, 9, 2, NULL)`, ""},
		"a count that frees what is held":     {fmt.Sprintf(both, 5, 4, 1) + movement + `($v, 5, now(), 'SET', 0, $w, 4, 1, NULL)`, ""},
		"a release of no hold":                {fmt.Sprintf(both, 5, 4, 1) + movement + `($v, 5, now(), 'RELEASE', -1, $w, 4, 1, '')`, ""},
		"a release beside its ending":         {fmt.Sprintf(both, 5, 4, 0) + movement + `($v, 5, now(), 'RELEASE', -2, $w, 4, 0, $held)`, ""},
		"a movement below zero":               {movement + `($v, 5, now(), 'ADJUST', -9, $w, -5, 0, NULL)`, "ledger_check"},
		"a sale of no hold":                   {movement + `($v, 5, now(), 'COMMIT', -1, $w, 3, 1, NULL)`, "ledger_check"},
		"a hold on no sheet":                  {movement + `($v, 5, now(), 'HOLD', 1, $w, 4, 3, $held)`, "ledger_check"},
		"units given to no pool":              {movement + `($v, 5, now(), 'ALLOT', -1, $w, 3, 2, NULL)`, "ledger_check"},
		"units given beside the ledger":       {`INSERT INTO allotments VALUES ('sale_1', $v, $w, 1, 0)`, ""},
		"more back than was given":            {`INSERT INTO allotments VALUES ('sale_1', $v, $w, 1, 2)`, "allotments_check"},
		"a hold with a gap":                   {fmt.Sprintf(both, 6, 4, 4) + fmt.Sprintf(hold, `{"first_seq": 6, "last_seq": 6}`), ""},
		"a hold where another is":             {beyond(`{"first_seq": 3, "last_seq": 3}`), ""},
		"a hold over what is there":           {beyond(`{"first_seq": 4, "last_seq": 5, "tails": ["00", "01"], "places": [1, 1], "quantities": [1, 1], "order_ids": ["o", "o"], "account_ids": ["a", "a"], "keys": ["k", "l"], "expires_at": ["2026-11-21T10:05:00Z", "2026-11-21T10:05:00Z"]}`), ""},
		"a hold among what was before":        {fmt.Sprintf(both, 5, 5, 2) + movement + `($v, 5, now(), 'ADJUST', 1, $w, 5, 2, NULL)` + fmt.Sprintf(hold, `{"first_seq": 1, "last_seq": 1}`), ""},
		"a hold and a movement at once":       {fmt.Sprintf(both, 5, 4, 4) + movement + `($v, 5, now(), 'ADJUST', 1, $w, 5, 2, NULL)` + fmt.Sprintf(hold, `{}`), ""},
		"a change without a movement":         {`UPDATE stock SET seq = seq WHERE variant_id = $v`, ""},
		"a hold beside the sum":               {`UPDATE stock SET seq = 5 WHERE variant_id = $v; UPDATE levels SET (seq, held) = (5, 4) WHERE variant_id = $v` + fmt.Sprintf(hold, `{}`), ""},
		"a hold of more than it says":         {beyond(`{"held_after": [3]}`), ""},
		"a hold somewhere else":               {beyond(`{"warehouse_ids": ["wh_x"]}`), ""},
		"a hold nowhere":                      {beyond(`{"places": [2]}`), "sheets_whole"},
		"a hold without a key":                {beyond(`{"keys": []}`), "sheets_whole"},
		"a hold of no units":                  {beyond(`{"quantities": [0]}`), "sheets_whole"},
		"a hold of days":                      {beyond(`{"expires_at": ["2026-11-22T10:00:01Z"]}`), "sheets_whole"},
		"a hold with another's id":            {`UPDATE stock SET seq = 5 WHERE variant_id = $v;` + fmt.Sprintf(hold, `{"id": "`+held[:len(held)-2]+`"}`), ""},
		"a hold that lasts longer":            {`UPDATE sheets SET expires_at = '{2027-01-01}' WHERE variant_id = $v`, ""},
		"a line that grows":                   {`UPDATE sheets SET quantities = '{3}' WHERE variant_id = $v AND first_seq = 2`, ""},
		"a sale of another's hold":            {fmt.Sprintf(strings.ReplaceAll(both, "$v", "$other"), 2, 4, 0) + movement + `($other, 2, now(), 'COMMIT', -1, $w, 4, 0, $held)`, ""},
		"a unit sold twice":                   {fmt.Sprintf(both, 5, 3, 1) + movement + `($v, 5, now(), 'COMMIT', -1, $w, 3, 1, $sold)`, "ledger_ends_once"},
		"a unit sold and given back":          {fmt.Sprintf(both, 5, 4, 1) + movement + `($v, 5, now(), 'RELEASE', -1, $w, 4, 1, $sold)`, "ledger_ends_once"},
		"a unit sold though held":             {fmt.Sprintf(both, 5, 2, 0) + movement + `($v, 5, now(), 'COMMIT', -2, $w, 2, 0, $held)`, ""},
		"a unit sold as given back":           {fmt.Sprintf(both, 5, 2, 0) + movement + `($v, 5, now(), 'COMMIT', -2, $w, 2, 0, $held);` + ending + `($held, 'RELEASED', now())`, ""},
		"fewer sold than were held":           {fmt.Sprintf(both, 5, 3, 1) + movement + `($v, 5, now(), 'COMMIT', -1, $w, 3, 1, $held);` + ending + `($held, 'COMMITTED', now())`, ""},
		"a unit back that was not sold":       {fmt.Sprintf(both, 5, 6, 2) + movement + `($v, 5, now(), 'RESTOCK', 2, $w, 6, 2, $held)`, ""},
		"a unit back though it is sold":       {fmt.Sprintf(both, 5, 5, 2) + movement + `($v, 5, now(), 'RESTOCK', 1, $w, 5, 2, $sold)`, ""},
		"a hold undone as if it was sold":     {ending + `($held, 'RESTOCKED', now())`, ""},
		"a sale undone":                       {`UPDATE endings SET status = 'RELEASED' WHERE reservation_id = $sold`, ""},
		"a sale made a hold again":            {`DELETE FROM endings WHERE reservation_id = $sold`, ""},
		"all sales undone":                    {`TRUNCATE endings`, ""},
		"a hold that ends twice":              {ending + `($sold, 'COMMITTED', now())`, "endings_pkey"},
		"a hold that ends as held":            {ending + `($held, 'HELD', now())`, "endings_status_check"},
		"an end of no hold":                   {ending + `('res_none', 'RELEASED', now())`, ""},
		"a key answered twice":                {`INSERT INTO hold_answers SELECT key, input, NULL, '[]', created_at FROM hold_answers`, "hold_answers_pkey"},
		"a key answered with nothing":         {`INSERT INTO hold_answers VALUES ('k', '', NULL, NULL, now())`, "hold_answers_check"},
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
		`UPDATE levels SET on_hand = 5`:                                                          "level of",
		`UPDATE levels SET held = 3`:                                                             "reservations hold 2",
		`UPDATE stock SET on_hand = 5`:                                                           "stock of",
		`UPDATE stock SET seq = 9`:                                                               "stock of",
		`DELETE FROM levels`:                                                                     "level of",
		`DELETE FROM stock`:                                                                      "stock of",
		`DELETE FROM sheets WHERE first_seq = 2`:                                                 "a gap before 3",
		`UPDATE movements SET quantity = 4 WHERE seq = 1`:                                        "movement 1 leaves 5 on hand and 0 held, not 4 and 0",
		`UPDATE sheets SET quantities = '{1}' WHERE first_seq = 2`:                               "movement 2 leaves 5 on hand and 2 held, not 5 and 1",
		`UPDATE sheets SET held_after = '{4}' WHERE first_seq = 3`:                               "movement 3 leaves 5 on hand and 4 held, not 5 and 3",
		`UPDATE sheets SET due_at = NULL WHERE first_seq = 2`:                                    "will not look at it in time",
		`UPDATE sheets SET due_at = '2027-01-01' WHERE first_seq = 2`:                            "will not look at it in time",
		`DELETE FROM sheets WHERE first_seq = 3`:                                                 "which has no such line",
		`UPDATE sheets SET id = 'res_other' WHERE first_seq = 3`:                                 "was never held",
		`UPDATE hold_answers SET reservation_id = 'res_other' WHERE reservation_id = $held`:      "answered with reservation res_other",
		`DELETE FROM movements WHERE seq = 4`:                                                    "is COMMITTED, but of 1",
		`INSERT INTO endings VALUES ($held, 'RELEASED', now())`:                                  "is RELEASED, but of 2",
		`UPDATE endings SET status = 'EXPIRED' WHERE reservation_id = $sold`:                     "is EXPIRED, but of 1",
		`DELETE FROM endings WHERE reservation_id = $sold`:                                       "is HELD, but of 1",
		`INSERT INTO endings VALUES ('res_none', 'RELEASED', now())`:                             "reservation res_none is RELEASED, but was never held",
		`UPDATE movements SET reservation_id = $held WHERE seq = 4`:                              "is HELD, but of 2",
		`UPDATE endings SET status = 'RESTOCKED' WHERE reservation_id = $sold`:                   "is RESTOCKED, but of 1",
		`UPDATE movements SET (kind, quantity) = ('RESTOCK', 1) WHERE seq = 4`:                   "movement 4 leaves 4 on hand",
		`INSERT INTO allotments VALUES ('sale_1', $v, 'wh_1', 1, 0)`:                             "pool sale_1: 1 of",
		`UPDATE movements SET (kind, quantity, pool_id) = ('ALLOT', -5, 'sale_1') WHERE seq = 1`: "pool sale_1: ",
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
