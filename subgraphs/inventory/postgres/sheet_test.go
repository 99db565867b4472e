package postgres_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// A sheet moves the stock and the levels that it holds of, as far as it says and from the head of its ledger, or it is refused.
func TestASheetMovesItsStock(t *testing.T) {
	s := setup(t)
	w, w2, w3 := s.warehouse("BLR-1"), s.warehouse("DEL-1"), s.warehouse("HYD-1")
	v := s.stocked(4, w, w2) // 1 and 2
	first := s.held(lines(2, v)...)
	s.held(lines(2, v)...) // in the other: 4
	const (
		wellMade = `"first_seq": 5, "last_seq": 6, "id": "res_new", "on_hand_after": [4, 4], "held_after": [3, 3], "tails": ["00", "01"], "places": [1, 2], "quantities": [1, 1],
			"order_ids": ["o", "p"], "account_ids": ["a", "b"], "keys": ["k", "l"], "expires_at": ["2026-11-21T10:05:00Z", "2026-11-21T10:05:00Z"]`
		insert = `INSERT INTO sheets SELECT s.* FROM jsonb_populate_record((SELECT x FROM sheets x WHERE variant_id = $v AND first_seq = 3), jsonb '{` + wellMade + `, "warehouse_ids": [%q, %q]}' || jsonb '%s') AS s`
		level  = `UPDATE levels SET (on_hand, held) = (on_hand + %d, held + %d) WHERE variant_id = $v AND warehouse_id = $w;`
		stock  = `UPDATE stock SET (seq, on_hand, held) = (5, on_hand + %d, held + %d) WHERE variant_id = $v;`
		moved  = `UPDATE stock SET (seq, on_hand) = (5, on_hand + 1) WHERE variant_id = $v; UPDATE levels SET (seq, on_hand) = (5, on_hand + 1) WHERE variant_id = $v AND warehouse_id = $w;
			INSERT INTO movements (variant_id, seq, at, kind, quantity, warehouse_id, on_hand_after, held_after) VALUES ($v, 5, now(), 'ADJUST', 1, $w, 5, 2);`
	)
	sheet := func(but string) string { return fmt.Sprintf(insert, w, w2, but) }
	one := func(but string) string { // holds of one place
		return fmt.Sprintf(insert, w, w2, fmt.Sprintf(`{"warehouse_ids": [%q], "on_hand_after": [4], "held_after": [4], "places": [1, 1]}`, w)+`' || jsonb '`+but)
	}
	try := func(sql string, after func(tx pgx.Tx) error) error {
		return pgx.BeginFunc(t.Context(), s.pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(t.Context(), fill(sql, "$v", v, "$w", w, "$new", w3)); err != nil {
				return err
			}
			return after(tx)
		})
	}
	commit := func(pgx.Tx) error { return nil }
	for name, sql := range map[string]string{
		"with a gap":                               sheet(`{"first_seq": 6, "last_seq": 7}`),
		"where another is":                         sheet(`{"first_seq": 3, "last_seq": 4}`),
		"over what is there":                       sheet(`{"first_seq": 4, "last_seq": 5}`),
		"with a line too few":                      sheet(`{"last_seq": 7}`),
		"without a key":                            sheet(`{"keys": ["k", null]}`),
		"nowhere":                                  sheet(`{"places": [1, 3]}`),
		"of days":                                  sheet(`{"expires_at": ["2026-11-21T10:05:00Z", "2027-11-21T10:05:00Z"]}`),
		"that leaves less than it says":            sheet(`{"held_after": [3, 4]}`),
		"that leaves more than it says":            sheet(`{"held_after": [2, 3]}`),
		"of what is not there":                     sheet(`{"on_hand_after": [5, 4]}`),
		"of more than there is":                    sheet(`{"quantities": [1, 3], "held_after": [3, 5]}`),
		"in one place, of another":                 sheet(`{"places": [2, 2]}`),
		"in a place twice":                         sheet(`{"held_after": [3, 4], "warehouse_ids": ["` + w + `", "` + w + `"]}`),
		"in a place of no units":                   one(`{"warehouse_ids": ["` + w + `", "` + w2 + `"], "on_hand_after": [4, 4], "held_after": [4, 2]}`),
		"somewhere else":                           one(`{"warehouse_ids": ["wh_x"]}`),
		"of more in one place":                     one(`{"quantities": [1, 2], "held_after": [5]}`),
		"of less in one place":                     one(`{"held_after": [3]}`),
		"of another variant":                       one(`{"variant_id": "var_other"}`),
		"with another's id":                        sheet(`{"id": "` + first[:len(first)-2] + `"}`),
		"on units forged in one place for another": fmt.Sprintf(level, 1, 0) + `UPDATE levels SET on_hand = on_hand - 1 WHERE variant_id = $v AND warehouse_id <> $w;` + sheet(`{"on_hand_after": [5, 3]}`),
		"on holds forged in one place for another": fmt.Sprintf(level, 0, 1) + `UPDATE levels SET held = held - 1 WHERE variant_id = $v AND warehouse_id <> $w;` + sheet(`{"held_after": [4, 2]}`),
		"behind an adjustment that lies":           strings.NewReplacer("on_hand + 1", "on_hand + 5", "$w, 5, 2)", "$w, 5, 2)").Replace(moved) + sheet(`{"first_seq": 6, "last_seq": 7, "on_hand_after": [9, 4]}`),
		"of what its maker has moved":              `UPDATE stock SET (seq, held) = (6, held + 2) WHERE variant_id = $v; UPDATE levels SET (seq, held) = (6, held + 1) WHERE variant_id = $v;` + sheet(`{}`),
		"on a level that was forged":               fmt.Sprintf(level, 0, -1) + sheet(`{"held_after": [2, 3]}`),
		"on units from nowhere":                    fmt.Sprintf(level, 1, 0) + sheet(`{"on_hand_after": [5, 4]}`),
		"and then its level is forged":             sheet(`{}`) + `;` + fmt.Sprintf(level, 1, 0),
		"and then its stock is forged":             sheet(`{}`) + `; UPDATE stock SET on_hand = on_hand + 1 WHERE variant_id = $v`,
		"and then its stock is put back":           sheet(`{}`) + `; UPDATE stock SET seq = 4 WHERE variant_id = $v`,
		"on stock that was forged":                 fmt.Sprintf(stock, 1, 0) + sheet(`{"first_seq": 6, "last_seq": 7}`),
		"on both, forged":                          fmt.Sprintf(stock, 1, 0) + fmt.Sprintf(level, 1, 0) + sheet(`{"first_seq": 6, "last_seq": 7, "on_hand_after": [5, 4]}`),
		"where a movement is":                      moved + sheet(`{}`),
		"where a movement is, looked at":           moved + `SET CONSTRAINTS ALL IMMEDIATE;` + one(`{"last_seq": 5, "on_hand_after": [5], "held_after": [2], "tails": ["00"], "places": [1], "quantities": [1], "order_ids": ["o"], "account_ids": ["a"], "keys": ["k"], "expires_at": ["2026-11-21T10:05:00Z"]}`),
		"and is forged once looked at":             `SET CONSTRAINTS ALL IMMEDIATE;` + sheet(`{}`) + `;` + fmt.Sprintf(level, 0, 1),
		"and a movement where it is":               sheet(`{}`) + `;` + moved,
		"and another level from nowhere":           sheet(`{}`) + `; INSERT INTO levels VALUES ($v, $new, 1, 0, 6)`,
		"of a guess, forged":                       sheet(`{"first_seq": null, "held_after": [3, 4]}`),
		"of a guess, uneven":                       sheet(`{"first_seq": null, "keys": ["k"]}`),
		"of a guess, with another's id":            sheet(`{"first_seq": null, "id": "` + first[:len(first)-2] + `"}`),
		"with another's id, unless there":          sheet(`{"id": "`+first[:len(first)-2]+`"}`) + ` ON CONFLICT (variant_id, last_seq) DO NOTHING`,
		"with another's id, asked late":            `SET CONSTRAINTS sheets_of_holds DEFERRED;` + sheet(`{"id": "`+first[:len(first)-2]+`"}`),
		"of a level that moves to its end":         fmt.Sprintf(level, 0, 0) + `UPDATE levels SET seq = 6 WHERE variant_id = $v;` + sheet(`{}`),
	} {
		t.Run("refused: "+name, func(t *testing.T) {
			if err := try(sql, commit); !refused(err) {
				t.Error(err)
			}
		})
	}
	// A sheet has moved the stock before it is stored, so nobody may say that it need not be.
	for _, unless := range []string{`ON CONFLICT DO NOTHING`, `ON CONFLICT (id, variant_id) DO NOTHING`} {
		if err := try(sheet(`{"id": "`+first[:len(first)-2]+`"}`)+unless, commit); err == nil {
			t.Error(unless)
		}
	}
	s.want(v, 8, 4)
	s.sound()

	for name, c := range map[string]struct {
		sql  string
		held int
	}{
		"in two places":                {sheet(`{}`), 6},
		"in one":                       {one(`{}`), 6},
		"after a movement":             {moved + sheet(`{"first_seq": 6, "last_seq": 7, "on_hand_after": [5, 4]}`), 6},
		"one after another":            {sheet(`{}`) + `;` + one(`{"id": "res_newer", "first_seq": 7, "last_seq": 7, "held_after": [4], "tails": ["00"], "places": [1], "quantities": [1], "order_ids": ["o"], "account_ids": ["a"], "keys": ["m"], "expires_at": ["2026-11-21T10:05:00Z"]}`), 7},
		"as was guessed":               {sheet(`{"first_seq": null}`), 6},
		"as was guessed, in one":       {one(`{"first_seq": null}`), 6},
		"not, where a guess is behind": {sheet(`{"first_seq": null, "last_seq": 4}`), 4},
		"not, where a guess is ahead":  {sheet(`{"first_seq": null, "last_seq": 7}`), 4},
		"not, where a movement is":     {moved + sheet(`{"first_seq": null}`), 4},
	} {
		t.Run("moves: "+name, func(t *testing.T) {
			undo := fmt.Errorf("seen")
			err := try(c.sql, func(tx pgx.Tx) error {
				if _, err := tx.Exec(t.Context(), `SET CONSTRAINTS ALL IMMEDIATE`); err != nil {
					return err
				}
				var stock, levels int
				if err := tx.QueryRow(t.Context(), `SELECT held, (SELECT sum(held) FROM levels WHERE variant_id = $1) FROM stock WHERE variant_id = $1`, v).Scan(&stock, &levels); err != nil {
					return err
				}
				if stock != c.held || levels != c.held {
					t.Errorf("%d held, in places %d; want %d", stock, levels, c.held)
				}
				return undo
			})
			if err != undo {
				t.Error(err)
			}
		})
	}
	s.want(v, 8, 4)
	s.sound()
}
