package postgres_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/id"
)

// told is a sale of five with one held, one sold and one given back, and what fills in their ids.
func (w *world) told() (string, *strings.Replacer) {
	w.t.Helper()
	v := w.goods.Stocked(5)
	saleID := w.sale(w.plan(5, v))
	if err := w.settle(); err != nil { // it opens
		w.t.Fatal(err)
	}
	held, sold, back := w.booked(saleID), w.booked(saleID), w.booked(saleID)
	order := id.New(id.Order)
	_, err := w.sales.Pay(w.t.Context(), events.PayForBookingRequest{BookingID: sold.ID, AccountID: sold.AccountID, OrderID: order, Until: w.clock.Now()})
	if err == nil {
		_, err = w.sales.Confirm(w.t.Context(), events.BookingOfOrder{BookingID: sold.ID, OrderID: order})
	}
	if err == nil {
		_, err = w.sales.GiveBack(w.t.Context(), events.BookingOfOrder{BookingID: back.ID}) // of no order yet
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.sound()
	return saleID, strings.NewReplacer("$sale", "'"+saleID+"'", "$v", "'"+v+"'", "$held", "'"+held.ID+"'", "$sold", "'"+sold.ID+"'", "$back", "'"+back.ID+"'",
		"$ann", "'"+held.AccountID+"'")
}

// What the code must never ask for, the database refuses: the last statement, or the commit that follows it.
func TestTheDatabaseRefuses(t *testing.T) {
	w := setup(t)
	saleID, fill := w.told()
	// So far the log has: 1 ALLOT 5, 2 OPENED, 3 to 5 HOLD, 6 SELL, 7 RELEASE; that is 3 left, 1 held, 1 sold.
	const log = `INSERT INTO log (sale_id, seq, at, kind, variant_id, quantity, booking_id, change_id, total, remaining, held, sold) VALUES `
	for name, c := range map[string]struct{ sql, constraint string }{
		"units from nowhere":       {`UPDATE pools SET remaining = remaining + 1 WHERE sale_id = $sale`, "pools_add_up"},
		"fewer than nothing":       {`UPDATE pools SET (remaining, held) = (-1, 5) WHERE sale_id = $sale`, "pools_add_up"},
		"counts beside the log":    {`UPDATE pools SET (remaining, held) = (2, 2) WHERE sale_id = $sale`, ""},
		"a log edited":             {`UPDATE log SET quantity = 6 WHERE sale_id = $sale AND seq = 1`, ""},
		"a log shortened":          {`DELETE FROM log WHERE sale_id = $sale`, ""},
		"a log emptied":            {`TRUNCATE log`, ""},
		"a movement twice":         {log + `($sale, 7, now(), 'OPENED', NULL, 0, NULL, NULL, 0, 0, 0, 0)`, "log_pkey"},
		"a movement that is none":  {log + `($sale, 8, now(), 'GIFT', $v, 1, NULL, NULL, 5, 3, 1, 1)`, "log_kind"},
		"a sale of no booking":     {log + `($sale, 8, now(), 'SELL', $v, 1, NULL, NULL, 5, 3, 0, 2)`, "log_kind"},
		"a log that does not add":  {log + `($sale, 8, now(), 'RELEASE', $v, 1, $held, NULL, 5, 4, 1, 1)`, "log_adds_up"},
		"a unit sold twice":        {log + `($sale, 8, now(), 'SELL', $v, 1, $sold, NULL, 5, 3, 0, 2)`, "log_ends_once"},
		"a unit sold and back":     {log + `($sale, 8, now(), 'EXPIRE', $v, 1, $sold, NULL, 5, 4, 0, 1)`, "log_ends_once"},
		"a unit back, not sold":    {log + `($sale, 8, now(), 'CANCEL', $v, 1, $held, NULL, 5, 4, 1, 0); UPDATE bookings SET (status, order_id) = ('CANCELLED', 'ord_1') WHERE id = $held`, ""},
		"a sale undone beside it":  {`UPDATE bookings SET status = 'CANCELLED' WHERE id = $sold`, ""},
		"a booking sold beside it": {`UPDATE bookings SET (status, order_id) = ('BOOKED', 'ord_1') WHERE id = $held`, ""},
		"a sale undone":            {`UPDATE bookings SET status = 'RELEASED' WHERE id = $sold`, ""},
		"a booking back to life":   {`UPDATE bookings SET status = 'HELD' WHERE id = $back`, ""},
		"a booking that lasts":     {`UPDATE bookings SET expires_at = expires_at + interval '1 minute' WHERE id = $held`, ""},
		"a booking of another":     {`UPDATE bookings SET account_id = 'acc_2' WHERE id = $held`, ""},
		"a booking sold to nobody": {`UPDATE bookings SET status = 'BOOKED' WHERE id = $held`, "bookings_check1"},
		"a booking that is gone":   {`DELETE FROM bookings WHERE id = $held`, ""},
		"a sale that is gone":      {`DELETE FROM sales WHERE id = $sale`, ""},
		"a second one for ann":     {`INSERT INTO bookings SELECT 'fsb_2', sale_id, variant_id, account_id, 'key-2', 'HELD', amount, currency, '', created_at, updated_at, expires_at, 1, 2 FROM bookings WHERE id = $held`, "bookings_of_account"},
		"a second of it for ann":   {`INSERT INTO bookings SELECT 'fsb_2', sale_id, variant_id, account_id, 'key-2', 'HELD', amount, currency, '', created_at, updated_at, expires_at, 2, 1 FROM bookings WHERE id = $held`, "bookings_of_account_and_variant"},
		"a key for two":            {`INSERT INTO bookings SELECT 'fsb_2', sale_id, variant_id, account_id, key, 'HELD', amount, currency, '', created_at, updated_at, expires_at, 2, 2 FROM bookings WHERE id = $held`, "bookings_of_key"},
		"a booking of no unit":     {`INSERT INTO bookings SELECT 'fsb_2', sale_id, variant_id, account_id, 'key-2', 'HELD', amount, currency, '', created_at, updated_at, expires_at, 2, 2 FROM bookings WHERE id = $held`, ""},
		"a booking born sold":      {`INSERT INTO bookings SELECT 'fsb_2', sale_id, variant_id, 'acc_2', 'key-2', 'BOOKED', amount, currency, 'ord_2', created_at, updated_at, expires_at, 1, 1 FROM bookings WHERE id = $held`, ""},
		"a change decided twice":   {`UPDATE changes SET decision = 'PENDING' WHERE sale_id = $sale`, ""},
		"two changes at once":      {`INSERT INTO changes SELECT 'chg_' || n, sale_id, account_id, seller_id, n::text, input_hash, plan, needs, 'PENDING', NULL, now() FROM changes, generate_series(1, 2) n WHERE sale_id = $sale`, "changes_one_at_a_time"},
	} {
		err := pgx.BeginFunc(t.Context(), w.pool, func(tx pgx.Tx) error {
			_, err := tx.Exec(t.Context(), fill.Replace(c.sql))
			return err
		})
		var refused *pgconn.PgError
		if !errors.As(err, &refused) || !strings.HasPrefix(refused.Code, "23") || c.constraint != "" && refused.ConstraintName != c.constraint {
			t.Errorf("%s: %v, want a refusal by %q", name, err, c.constraint)
		}
	}
	if o := w.found(saleID).Offers[0]; o.Remaining != 3 || o.Held != 1 || o.Sold != 1 {
		t.Errorf("%+v", o)
	}
	w.sound()
}

// What gets past the constraints all the same, such as by a restore of half a backup, the audit finds.
func TestTheAuditFindsDamage(t *testing.T) {
	for sql, want := range map[string]string{
		`UPDATE pools SET (remaining, held) = (2, 2)`:                                               "pool of",
		`UPDATE pools SET (remaining, quantity) = (4, 6)`:                                           "pool of",
		`UPDATE pools SET seq = 3`:                                                                  "pool of",
		`UPDATE sales SET seq = 9`:                                                                  "is at 9, but its log is at 7",
		`DELETE FROM log WHERE seq = 2`:                                                             "a gap before 3",
		`DELETE FROM log WHERE seq = 7`:                                                             "but the log says HOLD",
		`UPDATE log SET (remaining, total) = (6, 6) WHERE seq = 1`:                                  "after 1 there are 6",
		`UPDATE bookings SET status = 'EXPIRED' WHERE id = $back`:                                   "is EXPIRED, but the log says HOLD, RELEASE",
		`UPDATE bookings SET status = 'HELD' WHERE id = $back`:                                      "but there are bookings of 2 and 1",
		`UPDATE bookings SET status = 'CANCELLED' WHERE id = $sold`:                                 "is CANCELLED, but the log says HOLD, SELL",
		`DELETE FROM bookings WHERE id = $back`:                                                     "which there is not",
		`UPDATE bookings SET order_id = '' WHERE id = $sold`:                                        "BOOKED for no order",
		`UPDATE bookings SET (account_id, sale_slot, variant_slot) = ($ann, 2, 2) WHERE id = $sold`: "has 2 units in sale",
		`UPDATE changes SET needs = '[]'`:                                                           "which does not say so",
		`UPDATE changes SET needs = replace(needs::text, '5', '6')::jsonb`:                          "which does not say so",
	} {
		t.Run(sql, func(t *testing.T) {
			w := setup(t)
			_, fill := w.told()
			if err := pgx.BeginFunc(t.Context(), w.pool, func(tx pgx.Tx) error {
				_, err := tx.Exec(t.Context(), `SET LOCAL session_replication_role = replica; ALTER TABLE bookings DROP CONSTRAINT bookings_check1; `+fill.Replace(sql))
				return err
			}); err != nil {
				t.Fatal(err)
			}
			found, err := w.store.Audit(t.Context())
			if err != nil || !strings.Contains(strings.Join(found, "\n"), want) {
				t.Errorf("found %q, %v; want %q", found, err, want)
			}
		})
	}
}
