package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/internal/devstores/postgres"
)

// damage is what souk check has to find: SQL against one subgraph's tables, with all that would refuse it out of the way, and a part of
// what the command then prints.
var damage = map[string]struct{ part, sql, says string }{
	// Remaining + held + sold = quantity, at every seq.
	"a unit from nowhere":           {"flashsale", `ALTER TABLE pools DROP CONSTRAINT pools_add_up; UPDATE pools SET remaining = remaining + 1 WHERE sale_id = $sale`, "flashsale: pool of"},
	"a unit counted differently":    {"flashsale", `UPDATE pools SET (remaining, held) = (remaining - 1, held + 1) WHERE sale_id = $sale`, "flashsale: pool of"},
	"a count wrong once":            {"flashsale", `ALTER TABLE log DROP CONSTRAINT log_adds_up; UPDATE log SET sold = sold + 1 WHERE sale_id = $sale AND seq = 3`, "flashsale: log of $sale: after 3"},
	"a count wrong once, adding up": {"flashsale", `UPDATE log SET (remaining, held) = (remaining - 1, held + 1) WHERE sale_id = $sale AND seq = 3`, "flashsale: log of $sale: after 3"},
	"a movement gone":               {"flashsale", `DELETE FROM log WHERE sale_id = $sale AND seq = 4`, "flashsale: log of $sale: a gap before 5"},
	"a sale ahead of its log":       {"flashsale", `UPDATE sales SET seq = seq + 1 WHERE id = $sale`, "but its log is at"},
	"a pool ahead of its log":       {"flashsale", `UPDATE pools SET seq = seq + 1 WHERE sale_id = $sale`, "flashsale: pool of"},
	"a movement of no booking":      {"flashsale", `DELETE FROM bookings WHERE id = $released`, "of booking $released, which there is not"},

	// One for an account.
	"two for an account":            {"flashsale", `DROP INDEX bookings_of_account; DROP INDEX bookings_of_account_and_variant; UPDATE bookings SET account_id = (SELECT account_id FROM bookings WHERE id = $booked) WHERE id = $held`, "has 2 units in sale $sale and may have 1"},
	"two of a variant for an accnt": {"flashsale", `UPDATE sales SET limit_per_account = 2; UPDATE bookings SET (account_id, sale_slot, variant_slot) = ((SELECT account_id FROM bookings WHERE id = $booked), 2, 2) WHERE id = $held`, "units of $lamp in sale $sale and may have 1"},

	// What is held ends once.
	"given back twice":       {"flashsale", `DROP INDEX log_ends_once; UPDATE log SET booking_id = $released WHERE booking_id = $declined AND kind = 'RELEASE'`, "but the log says HOLD, RELEASE, RELEASE"},
	"given back and sold":    {"flashsale", `DROP INDEX log_ends_once; UPDATE log SET booking_id = $booked WHERE booking_id = $declined AND kind = 'RELEASE'`, "but the log says HOLD, "},
	"never given back":       {"flashsale", `UPDATE bookings SET status = 'RELEASED' WHERE id = $held`, "booking $held is RELEASED, but the log says HOLD"},
	"run out and given back": {"flashsale", `UPDATE bookings SET status = 'EXPIRED' WHERE id = $released`, "is EXPIRED, but the log says HOLD, RELEASE"},

	// A booking that is paid for has one order that stands, and one capture.
	"sold for no order":           {"flashsale", `ALTER TABLE bookings DROP CONSTRAINT bookings_check1; UPDATE bookings SET order_id = '' WHERE id = $booked`, "booking $booked is BOOKED for no order"},
	"an order gone":               {"orders", `DELETE FROM orders WHERE booking_id = $booked`, "which there is not"},
	"an order of another booking": {"orders", `UPDATE orders SET booking_id = $held WHERE booking_id = $booked`, "which bought something else"},
	"an order of another account": {"orders", `UPDATE orders SET account_id = 'acc_other' WHERE booking_id = $booked`, "is acc_other's"},
	"an order cancelled":          {"orders", `UPDATE orders SET (status, cancel_reason, placed_at) = ('CANCELLED', 'PAYMENT_FAILED', NULL) WHERE booking_id = $booked`, "is CANCELLED, but its booking is BOOKED"},
	"a cancelled order's booking": {"orders", `UPDATE orders SET (status, cancel_reason, placed_at) = ('CANCELLED', 'PAYMENT_FAILED', NULL) WHERE booking_id = $booked; UPDATE flashsale.bookings SET status = 'HELD' WHERE id = $booked`, "is CANCELLED, but its booking is still HELD for it"},
	"two orders for a booking":    {"orders", `DROP INDEX orders_of_booking; UPDATE orders SET (cart_id, reservation_id, booking_id) = ('', '', $booked) WHERE cart_id <> '' AND status = 'PLACED'`, "but its booking is BOOKED for order"},
	"an order not booked":         {"flashsale", `UPDATE bookings SET status = 'RELEASED' WHERE id = $booked`, "is PLACED, but its booking is RELEASED"},
	"an order without booking":    {"flashsale", `DELETE FROM bookings WHERE id = $booked`, "is PLACED, but there is no booking $booked"},
	"another variant booked":      {"orders", `UPDATE order_lines SET variant_id = 'var_other' WHERE order_id = $order`, "other units were booked"},
	"another price booked":        {"flashsale", `UPDATE bookings SET amount = amount + 1 WHERE id = $booked`, "it was booked for"},
	"nothing captured":            {"payments", `UPDATE payments SET (status, captured) = ('AUTHORIZED', 0) WHERE order_id = $order`, "0 of minor units were taken"},
	"captured too little":         {"payments", `UPDATE payments SET captured = captured - 1 WHERE order_id = $order`, "989 of minor units were taken"},
	"captured twice":              {"payments", `DROP INDEX payments_one_alive; ` + secondPayment, "money was taken for it 2 times"},
	"money kept when cancelled":   {"orders", `UPDATE orders SET (status, cancel_reason, placed_at) = ('CANCELLED', 'PAYMENT_FAILED', NULL) WHERE booking_id = $booked`, "keeps 990 of minor units"},

	// Every unit that left the stock is in a sale, sold, or back.
	"units came by no change":        {"flashsale", `UPDATE changes SET decision = 'REFUSED', refusal = '{}' WHERE sale_id = $sale`, "which does not say so"},
	"a change of other units":        {"flashsale", `UPDATE changes SET needs = replace(needs::text, '"quantity": 5', '"quantity": 6')::jsonb WHERE sale_id = $sale`, "brought 6 of $lamp, but the stock gave 5"},
	"a change gone":                  {"flashsale", `DELETE FROM changes WHERE sale_id = $sale`, "which is no change of it"},
	"a transfer gone":                {"flashsale", `DELETE FROM transfers`, "which is no transfer of it"},
	"a transfer of other units":      {"flashsale", `UPDATE transfers SET lines = replace(lines::text, '"quantity": 3', '"quantity": 2')::jsonb`, "took 2 of $lamp back, but the stock had 3"},
	"a transfer that never was":      {"flashsale", `INSERT INTO transfers VALUES ('chg_x', $sale, '[{"variantId": "var_x", "quantity": 1}]', now(), now())`, "took 1 of var_x back, but the stock had 0"},
	"the stock gave to nobody":       {"inventory", `UPDATE movements SET pool_id = 'fls_x' WHERE pool_id = $sale`, "sale fls_x: the stock gave 5"},
	"the stock gave more":            {"inventory", `UPDATE movements SET quantity = quantity - 1 WHERE pool_id = $sale AND kind = 'ALLOT'`, "the stock gave 1 more of $lamp than are in it or came back"},
	"the stock gave for no change":   {"inventory", `UPDATE movements SET idempotency_key = 'chg_x' WHERE pool_id = $sale AND kind = 'ALLOT'`, "for chg_x, which is no change of it"},
	"the stock had back by nothing":  {"inventory", `UPDATE movements SET idempotency_key = 'chg_x' WHERE kind = 'RETURN'`, "by chg_x, which is no transfer of it"},
	"a sale gone":                    {"flashsale", `DELETE FROM pools WHERE sale_id = $sale`, "the stock gave 5 more"},
	"units gone from the allotments": {"inventory", `UPDATE allotments SET given = given + 1 WHERE pool_id = $sale`, "inventory: pool $sale"},

	// Stock by itself, and with the orders of carts.
	"units on a shelf":           {"inventory", `UPDATE levels SET on_hand = on_hand + 1`, "inventory: level of"},
	"units held by nobody":       {"inventory", `UPDATE levels SET held = held + 1`, "but reservations hold"},
	"stock beside its levels":    {"inventory", `UPDATE stock SET on_hand = on_hand + 1`, "inventory: stock of"},
	"a shelf gone":               {"inventory", `DELETE FROM levels`, "inventory: level of"},
	"a movement of stock gone":   {"inventory", `DELETE FROM movements WHERE seq = 2`, "a gap before 3"},
	"a movement of stock wrong":  {"inventory", `UPDATE movements SET quantity = quantity + 1 WHERE seq = 1`, "inventory: ledger of"},
	"a reservation changed":      {"inventory", `UPDATE endings SET status = 'RELEASED' WHERE status = 'COMMITTED'`, "is PLACED, but its units are RELEASED"},
	"a reservation gone":         {"inventory", `DELETE FROM sheets s USING endings e WHERE e.status = 'COMMITTED' AND s.id = left(e.reservation_id, -2)`, "is PLACED, but there is no reservation"},
	"a reservation's line gone":  {"inventory", `UPDATE sheets SET tails = array_fill('zz'::text, ARRAY[cardinality(tails)])`, "which has no such line"},
	"other units reserved":       {"inventory", `UPDATE sheets SET quantities = array_fill(1, ARRAY[cardinality(quantities)])`, "other units were sold than it has"},
	"an ending gone":             {"inventory", `DELETE FROM endings WHERE status = 'COMMITTED'`, "is PLACED, but its units are HELD"},
	"an ending of nothing":       {"inventory", `INSERT INTO endings VALUES ('res_x', 'RELEASED', now())`, "reservation res_x is RELEASED, but was never held"},
	"a sale undone in words":     {"inventory", `UPDATE endings SET status = 'RESTOCKED' WHERE status = 'COMMITTED'`, "is RESTOCKED, but of 2"},
	"a hold that nobody sweeps":  {"inventory", `DELETE FROM endings; UPDATE sheets SET due_at = NULL`, "the sweeper will not look at it in time"},
	"a sheet gone":               {"inventory", `DELETE FROM sheets`, "a gap before"},
	"a sheet of other sums":      {"inventory", `UPDATE sheets SET held_after[1] = held_after[1] + 1`, "inventory: ledger of"},
	"a key of no hold":           {"inventory", `UPDATE hold_answers SET reservation_id = 'res_x'`, "answered with reservation res_x, which was never held"},
	"a cancelled order holds":    {"orders", `UPDATE orders SET (status, cancel_reason, placed_at) = ('CANCELLED', 'PAYMENT_FAILED', NULL) WHERE cart_id <> ''; DELETE FROM inventory.endings`, "is CANCELLED, but its units are HELD"},
	"a cancelled order has sold": {"orders", `UPDATE orders SET (status, cancel_reason, placed_at) = ('CANCELLED', 'PAYMENT_FAILED', NULL) WHERE cart_id <> ''`, "but its units are COMMITTED"},

	// Money by itself.
	"a posting gone":          {"payments", `DELETE FROM postings WHERE account = 'CLEARING'`, "payments: payment"},
	"a posting changed":       {"payments", `UPDATE postings SET amount = amount + 1 WHERE account = 'RECEIVABLE'`, "its postings sum to"},
	"a transaction gone":      {"payments", `DELETE FROM transactions WHERE kind = 'CAPTURE'`, "its moves are not what it says"},
	"a refund without a move": {"payments", `UPDATE payments SET refunded = 1, status = 'PARTIALLY_REFUNDED' WHERE order_id = $order`, "its moves are not what it says"},
	"money kept, unasked":     {"payments", `UPDATE payments SET abandoned = true WHERE order_id = $order`, "the provider was asked for nothing"},
	"a promise left open":     {"payments", `UPDATE payments SET (status, captured) = ('AUTHORIZED', 0)  WHERE order_id = $order`, "is still only promised"},
	"more back than taken":    {"payments", `ALTER TABLE payments DROP CONSTRAINT payments_check, DROP CONSTRAINT payments_check1; UPDATE payments SET refunded = captured + 1 WHERE order_id = $order`, "gave more back than it took"},
}

const secondPayment = `INSERT INTO payments (id, idempotency_key, input, order_id, account_id, method_id, token, provider, status, currency, amount, authorized, captured, expires_at, created_at, updated_at)
	SELECT 'pay_2', 'another', input, order_id, account_id, method_id, token, provider, status, currency, amount, authorized, captured, expires_at, created_at, updated_at FROM payments WHERE order_id = $order`

// Every kind of damage that souk check is to find, it finds, and in the shop that it was done to it finds none before.
func TestCheckFindsDamage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fill := livedIn(t, dir)
	server, err := postgres.Start(t.Context(), postgres.Config{Dir: filepath.Join(dir, "postgres")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Stop() })
	check := func(database string) (string, error) {
		var said strings.Builder
		err := souk(t.Context(), []string{"check"}, func(name string) string {
			return map[string]string{"SOUK_POSTGRES_URL": server.URL(database)}[name]
		}, &said, t.Output())
		return said.String(), err
	}
	if said, err := check("souk"); err != nil || said != "3 orders and 2 flash sales at rest, 0 under way, 0 findings\n" {
		t.Fatalf("before any damage: %v\n%s", err, said)
	}
	admin := connect(t, server.URL("postgres"))
	for i, name := range slices.Sorted(maps.Keys(damage)) {
		c, database := damage[name], fmt.Sprintf("damaged_%d", i)
		t.Run(name, func(t *testing.T) {
			if _, err := admin.Exec(t.Context(), `CREATE DATABASE `+database+` TEMPLATE souk`); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				_, _ = admin.Exec(context.WithoutCancel(t.Context()), `DROP DATABASE `+database+` WITH (FORCE)`)
			})
			harm(t, server.URL(database), c.part, fill(c.sql, true))
			said, err := check(database)
			if !errors.Is(err, errDisagreement) || !strings.Contains(said, fill(c.says, false)) {
				t.Errorf("%v\n%swant %q", err, said, fill(c.says, false))
			}
		})
	}
}

// harm runs SQL that the tables would refuse: no triggers, no foreign keys.
func harm(t *testing.T, at, part, sql string) {
	t.Helper()
	conn := connect(t, at)
	defer conn.Close(context.WithoutCancel(t.Context()))
	err := pgx.BeginFunc(t.Context(), conn, func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), `SET LOCAL session_replication_role = replica; SET LOCAL search_path = `+part+`; `+sql)
		return err
	})
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func connect(t *testing.T, at string) *pgx.Conn {
	t.Helper()
	if _, err := url.Parse(at); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

// livedIn leaves a shop in a folder in which everything has happened once: a flash sale of five with one unit sold, one declined, one
// given back and one held; a sale called off; and orders of carts. It returns what fills in the ids.
func livedIn(t *testing.T, dir string) func(text string, quoted bool) string {
	t.Helper()
	s := &testShop{t: t, breakers: map[string]*breaker{}}
	stop := s.start(dir, func(string) string { return "" }, slog.New(slog.DiscardHandler))
	s.seller, s.staff = s.signIn("seller@souk.test"), s.signIn("staff@souk.test")
	s.stockUp()
	lamp := s.sell("Lasting Lamp", "19.90", 1, 20)
	v := lamp.variants[0]
	sale := s.flashSale(v, "9.90", 5)
	ann, bob, eve, dan := s.buyer(), s.buyer(), s.buyer(), s.buyer()
	of := map[string]string{"$sale": sale, "$lamp": v}
	for name, b := range map[string]buyer{"$booked": ann, "$declined": bob, "$released": eve, "$held": dan} {
		of[name] = text(b.book(sale).at("flashSaleBook.result.id"))
	}
	of["$order"] = text(ann.payBooking(of["$booked"], "9.90", "4242").at("checkoutComplete.result.order.id"))
	bob.payBooking(of["$declined"], "9.90", "0002")
	eve.do(`mutation ($id: ID!) { flashSaleRelease(input: {bookingId: $id}) { booking { status } userErrors { code } } }`, vars{"id": of["$released"]})
	off := s.flashSale(v, "9.90", 3)
	s.seller.do(`mutation ($id: ID!) { flashSaleCancel(input: {id: $id}) { flashSale { status } userErrors { code } } }`, vars{"id": off})
	dan.buy(v, 2, "4242")
	s.agrees()
	stop()
	return func(text string, quoted bool) string {
		for name, id := range of {
			if quoted {
				id = "'" + id + "'"
			}
			text = strings.ReplaceAll(text, name, id)
		}
		return text
	}
}
