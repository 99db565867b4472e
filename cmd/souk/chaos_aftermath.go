package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/subgraphs/payments"
)

// patientAftermath is how long nothing at all may get better before the run gives up waiting. The slowest way back is that of a step of
// the saga whose process was killed: the queue gives it to another after a while.
const patientAftermath = 100 * time.Second

// chaosLeftover is what the shop has not finished yet, by name.
type chaosLeftover map[string]int

func (l chaosLeftover) String() string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(l)) {
		if l[name] > 0 {
			all = append(all, fmt.Sprintf("%d %s", l[name], name))
		}
	}
	return strings.Join(all, ", ")
}

// A chaosAftermath is what can be seen of a shop from behind, past the network that was disturbed.
type chaosAftermath struct {
	shop     *chaosShop
	sale     string
	pool     *pgxpool.Pool
	books    *books
	nc       *nats.Conn
	js       jetstream.JetStream
	outboxes []string
}

func openAftermath(ctx context.Context, s *chaosShop, sale string) (d *chaosAftermath, err error) {
	d = &chaosAftermath{shop: s, sale: sale}
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	if d.pool, err = pgxpool.New(ctx, narrow(s.databases)); err != nil {
		return d, err
	}
	if d.books, err = openBooks(ctx, func(string) (string, error) { return narrow(s.databases), nil }); err != nil {
		return d, err
	}
	if d.nc, err = nats.Connect(s.engines.nats.URL(), nats.MaxReconnects(-1)); err != nil {
		return d, err
	}
	if d.js, err = jetstream.New(d.nc); err != nil {
		return d, err
	}
	rows, err := d.pool.Query(ctx, `SELECT table_schema::text FROM information_schema.tables WHERE table_name = 'outbox' ORDER BY 1`)
	if err != nil {
		return d, err
	}
	d.outboxes, err = pgx.CollectRows(rows, pgx.RowTo[string])
	return d, err
}

// narrow makes an address one of a pool that takes few connections.
func narrow(databaseURL string) string {
	at, err := url.Parse(databaseURL)
	if err != nil {
		return databaseURL
	}
	q := at.Query()
	q.Set("pool_max_conns", "3")
	at.RawQuery = q.Encode()
	return at.String()
}

func (d *chaosAftermath) close() {
	if d.nc != nil {
		d.nc.Close()
	}
	if d.books != nil {
		d.books.close()
	}
	if d.pool != nil {
		d.pool.Close()
	}
}

// left counts what is not finished.
func (d *chaosAftermath) left(ctx context.Context) (chaosLeftover, error) {
	l := chaosLeftover{}
	ask := map[string]string{
		"bookings held":                          `SELECT count(*) FROM flashsale.bookings WHERE status = 'HELD'`,
		"changes of sales pending":               `SELECT count(*) FROM flashsale.changes WHERE decision = 'PENDING'`,
		"transfers to stock pending":             `SELECT count(*) FROM flashsale.transfers WHERE done_at IS NULL`,
		"operations open at the bank":            `SELECT count(*) FROM payments.operations WHERE state = 'OPEN'`,
		"jobs of orders":                         `SELECT count(*) FROM orders.river_job WHERE state NOT IN ('completed', 'cancelled', 'discarded')`,
		"orders created that nobody has decided": `SELECT count(*) FROM orders.orders WHERE status = 'CREATED'`,
		"reports of the bank that did not count": `SELECT count(*) FROM payments.reports WHERE due_at IS NOT NULL`,
	}
	for _, schema := range d.outboxes {
		ask["events not told by "+schema] = `SELECT count(*) FROM ` + pgx.Identifier{schema, "outbox"}.Sanitize()
	}
	for what, query := range ask {
		var n int
		if err := d.pool.QueryRow(ctx, query).Scan(&n); err != nil {
			return l, fmt.Errorf("%s: %w", what, err)
		}
		l[what] = n
	}
	r, err := d.books.check(ctx)
	l["orders under way"] = r.underWay
	l["webhooks not taken"] = d.shop.bank.Untold()
	return l, err
}

// settle waits until nothing is left to do, for as long as something moves, and says what it waits for.
func (d *chaosAftermath) settle(ctx context.Context, say func(format string, args ...any)) (took time.Duration, err error) {
	began, better, before := time.Now(), time.Now(), ""
	for {
		l, err := d.left(ctx)
		switch now := l.String(); {
		case err != nil:
			return time.Since(began), err
		case now == "":
			return time.Since(began), nil
		case now != before:
			before, better = now, time.Now()
			say("%6.1f s  there are still %s", time.Since(began).Seconds(), now)
		case time.Since(better) > patientAftermath:
			return time.Since(began), fmt.Errorf("nothing has moved for %s, and there are still %s", patientAftermath, now)
		}
		sleepFor(ctx, 400*time.Millisecond)
		if ctx.Err() != nil {
			return time.Since(began), fmt.Errorf("%w; there are still %s", ctx.Err(), before)
		}
	}
}

// counts reads the sale's.
func (d *chaosAftermath) counts(ctx context.Context) (c chaosCounts, quantity int, err error) {
	err = d.pool.QueryRow(ctx, `
		SELECT sum(p.quantity), sum(p.remaining), sum(p.held), sum(p.sold), max(s.seq)
		FROM flashsale.pools p JOIN flashsale.sales s ON s.id = p.sale_id WHERE s.id = $1`, d.sale).
		Scan(&quantity, &c.Remaining, &c.Held, &c.Sold, &c.Seq)
	return c, quantity, err
}

// verdict compares everything with everything once the dust has settled. What it returns cannot all be true.
func (d *chaosAftermath) verdict(ctx context.Context, c *chaosCrowd, r *chaosReport) error {
	checked, err := d.books.check(ctx)
	if err != nil {
		return err
	}
	r.Findings = append(r.Findings, checked.findings...)
	say := func(format string, args ...any) { r.Findings = append(r.Findings, fmt.Sprintf(format, args...)) }
	now, quantity, err := d.counts(ctx)
	if err != nil {
		return err
	}
	r.Sold, r.Remaining, r.Held = now.Sold, now.Remaining, now.Held
	if now.Sold+now.Remaining != r.Units || quantity != r.Units || now.Held != 0 {
		say("of %d units in the sale, %d are sold, %d left and %d held", r.Units, now.Sold, now.Remaining, now.Held)
	}
	if err := d.pool.QueryRow(ctx, lateOrders).Scan(&r.LateOrders); err != nil {
		return err
	}
	known, err := d.bookings(ctx)
	if err != nil {
		return err
	}
	perAccount := map[string]int{}
	for _, b := range known {
		if b.status == "BOOKED" {
			r.Booked++
			perAccount[b.account]++
		}
	}
	r.Oversold = max(0, r.Booked-r.Units)
	for account, n := range perAccount {
		if n > 1 {
			say("account %s has %d units and may have one", account, n)
		}
	}
	if r.Booked != now.Sold || r.Oversold > 0 {
		say("%d bookings are BOOKED, and %d of %d units sold", r.Booked, now.Sold, r.Units)
	}
	for _, p := range c.promises {
		b, there := known[p.booking]
		switch {
		case !there:
			r.Lost++
			say("%s was told of booking %s, which is not there", p.account, p.booking)
		case b.account != p.account:
			say("%s was told of booking %s, which is %s's", p.account, p.booking, b.account)
		case p.order != "" && (b.status != "BOOKED" || b.order != p.order):
			r.Lost++
			say("%s was told that order %s is placed, and its booking %s is %s for order %q", p.account, p.order, p.booking, b.status, b.order)
		}
	}
	return errors.Join(d.money(ctx, known, r), d.deadLetters(ctx, r))
}

// lateOrders is how long, at most, an order that was not paid in time outlived its deadline, in seconds.
const lateOrders = `
	SELECT coalesce(max(extract(epoch FROM e.at - o.deadline)), 0)::float8 FROM orders.orders o JOIN orders.order_events e ON e.order_id = o.id
	WHERE o.cancel_reason = 'PAYMENT_TIMEOUT' AND e.kind = 'CANCELLED'`

type chaosBooking struct{ account, status, order string }

func (d *chaosAftermath) bookings(ctx context.Context) (map[string]chaosBooking, error) {
	rows, err := d.pool.Query(ctx, `SELECT id, account_id, status, order_id FROM flashsale.bookings WHERE sale_id = $1`, d.sale)
	if err != nil {
		return nil, err
	}
	all := map[string]chaosBooking{}
	var key string
	var b chaosBooking
	_, err = pgx.ForEachRow(rows, []any{&key, &b.account, &b.status, &b.order}, func() error { all[key] = b; return nil })
	return all, err
}

// money compares the bank's books with what is sold.
func (d *chaosAftermath) money(ctx context.Context, known map[string]chaosBooking, r *chaosReport) error {
	say := func(format string, args ...any) { r.Findings = append(r.Findings, fmt.Sprintf(format, args...)) }
	sold := map[string]bool{} // orders
	for _, b := range known {
		if b.status == "BOOKED" {
			sold[b.order] = true
		}
	}
	records := d.shop.bank.Books()
	ids := make([]string, len(records))
	for i, rec := range records {
		ids[i] = rec.Key
	}
	found, err := d.books.payments.PaymentsByID(ctx, ids)
	if err != nil {
		return err
	}
	of := map[string]payments.Payment{}
	for _, p := range found {
		of[p.ID] = p
	}
	paid := map[string]int{} // captures kept, by order
	for _, rec := range records {
		p, there := of[rec.Key]
		switch kept := rec.Captured - rec.Refunded; {
		case !there:
			say("the bank has payment %s, which the shop does not know", rec.Key)
		case rec.Captured != p.Captured.Amount || rec.Refunded != p.Refunded.Amount:
			say("of payment %s the bank took %d and gave back %d, and the shop says %d and %d", p.ID, rec.Captured, rec.Refunded, p.Captured.Amount, p.Refunded.Amount)
		case kept != 0 && !sold[p.OrderID]:
			say("the bank keeps %d of payment %s for order %s, which has no unit", kept, p.ID, p.OrderID)
		case kept != 0:
			r.Captures++
			paid[p.OrderID]++
		case rec.Kept() != 0:
			say("payment %s is still promised %d", p.ID, rec.Kept())
		}
		if rec.Refunded > 0 {
			r.Refunds++
		}
	}
	for order := range sold {
		if paid[order] != 1 {
			say("order %s has a unit and %d captures", order, paid[order])
		}
	}
	if r.Captures != r.Booked {
		say("%d units are sold and %d payments taken", r.Booked, r.Captures)
	}
	return nil
}

// deadLetters looks for events that somebody gave up on.
func (d *chaosAftermath) deadLetters(ctx context.Context, r *chaosReport) error {
	stream, err := d.js.Stream(ctx, events.Stream)
	if err != nil {
		return err
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter("souk.dead.>"))
	if err != nil {
		return err
	}
	for subject, n := range info.State.Subjects {
		r.Findings = append(r.Findings, fmt.Sprintf("%d events were put aside on %s", n, subject))
	}
	return nil
}

// inStock compares what is back in stock with what was not sold.
func (d *chaosAftermath) inStock(ctx context.Context, variant string, r *chaosReport) error {
	var onHand int
	err := d.pool.QueryRow(ctx, `SELECT on_hand FROM inventory.stock WHERE variant_id = $1`, variant).Scan(&onHand)
	if err == nil && onHand != r.Remaining {
		r.Findings = append(r.Findings, fmt.Sprintf("%d units came back into stock, of %d not sold", onHand, r.Remaining))
	}
	return err
}

// panics looks for them in the logs.
func (s *chaosShop) panics() (found []string) {
	for _, k := range s.keepers {
		text, err := os.ReadFile(s.logOf(k))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if strings.Contains(line, "panic") || strings.Contains(line, "DATA RACE") {
				found = append(found, fmt.Sprintf("%s: %.300s", k.Name, strings.TrimSpace(line)))
				break
			}
		}
	}
	return found
}
