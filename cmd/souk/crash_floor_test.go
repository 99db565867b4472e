package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/clients/postgres"
	"github.com/souk-shop/souk/clients/psp"
	"github.com/souk-shop/souk/clients/psp/fake"
	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/batch"
	"github.com/souk-shop/souk/internal/call"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/flashsale"
	salenats "github.com/souk-shop/souk/subgraphs/flashsale/nats"
	salestore "github.com/souk-shop/souk/subgraphs/flashsale/postgres"
	"github.com/souk-shop/souk/subgraphs/flashsale/rush"
	"github.com/souk-shop/souk/subgraphs/inventory"
	inventorynats "github.com/souk-shop/souk/subgraphs/inventory/nats"
	inventorystore "github.com/souk-shop/souk/subgraphs/inventory/postgres"
	"github.com/souk-shop/souk/subgraphs/orders"
	"github.com/souk-shop/souk/subgraphs/orders/jobs"
	ordernats "github.com/souk-shop/souk/subgraphs/orders/nats"
	orderstore "github.com/souk-shop/souk/subgraphs/orders/postgres"
	"github.com/souk-shop/souk/subgraphs/payments"
	paymentnats "github.com/souk-shop/souk/subgraphs/payments/nats"
	paymentstore "github.com/souk-shop/souk/subgraphs/payments/postgres"
)

// A tripwire kills the process before or after one of the writes it watches, counted from 1: with SIGKILL, so that nothing is put in
// order. Without a number it lists them.
type tripwire struct {
	at    int
	after bool

	mu     sync.Mutex
	passed []string
}

func (w *tripwire) pass(name string, do func()) {
	if w == nil {
		do()
		return
	}
	w.mu.Lock()
	w.passed = append(w.passed, name)
	n := len(w.passed)
	w.mu.Unlock()
	if n == w.at && !w.after {
		die()
	}
	do()
	if n == w.at {
		die()
	}
}

func die() {
	_ = syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
	select {} // it does not come back
}

// What only reads is left out: killed there is killed between the writes around it.

type trippedSales struct {
	flashsale.Store
	*tripwire
}

func (s trippedSales) Serve(ctx context.Context, saleID string, w flashsale.Wanted, at time.Time, rule func(*flashsale.Stand) error) (err error) {
	s.pass("flashsale: lock the sale, move units", func() { err = s.Store.Serve(ctx, saleID, w, at, rule) })
	return err
}

func (s trippedSales) Book(ctx context.Context, saleID string, r []flashsale.BookRequest, at time.Time) (res []flashsale.BookResult, err error) {
	s.pass("flashsale: book", func() { res, err = s.Store.Book(ctx, saleID, r, at) })
	return res, err
}

func (s trippedSales) Begin(ctx context.Context, c flashsale.Change) (is flashsale.Change, err error) {
	s.pass("flashsale: note the change", func() { is, err = s.Store.Begin(ctx, c) })
	return is, err
}

func (s trippedSales) Finish(ctx context.Context, c flashsale.Change, why *fault.Error, in []flashsale.Line, at time.Time, rule func(*flashsale.Stand) error) (is flashsale.Change, err error) {
	s.pass("flashsale: decide the change", func() { is, err = s.Store.Finish(ctx, c, why, in, at, rule) })
	return is, err
}

func (s trippedSales) TransferDone(ctx context.Context, id string, at time.Time) (err error) {
	s.pass("flashsale: note that units are back", func() { err = s.Store.TransferDone(ctx, id, at) })
	return err
}

type trippedBus struct {
	call.Carrier
	*tripwire
}

func (b trippedBus) Carry(ctx context.Context, r call.Request) (answer []byte, err error) {
	name, moves := strings.CutPrefix(r.Subject, "souk.call.inventory.")
	if !moves { // the others write through a store that is watched
		return b.Carrier.Carry(ctx, r)
	}
	b.pass("inventory: "+strings.ReplaceAll(name, "_", " "), func() { answer, err = b.Carrier.Carry(ctx, r) })
	return answer, err
}

type trippedOrders struct {
	orders.Store
	*tripwire
}

func (s trippedOrders) Claim(ctx context.Context, a orders.Attempt) (is orders.Attempt, err error) {
	s.pass("orders: claim the key", func() { is, err = s.Store.Claim(ctx, a) })
	return is, err
}

func (s trippedOrders) Create(ctx context.Context, a orders.Attempt, o orders.Order) (is orders.Order, err error) {
	s.pass("orders: create the order", func() { is, err = s.Store.Create(ctx, a, o) })
	return is, err
}

func (s trippedOrders) Change(ctx context.Context, id string, rule func(*orders.Order) error) (is orders.Order, err error) {
	s.pass("orders: note the step", func() { is, err = s.Store.Change(ctx, id, rule) })
	return is, err
}

type trippedPayments struct {
	payments.Store
	*tripwire
}

func (s trippedPayments) Begin(ctx context.Context, p payments.Payment, k payments.Once, rule func(*payments.Payment, payments.Order)) (is payments.Payment, begun bool, err error) {
	s.pass("payments: begin", func() { is, begun, err = s.Store.Begin(ctx, p, k, rule) })
	return is, begun, err
}

func (s trippedPayments) Change(ctx context.Context, id string, rule func(*payments.Payment) error) (is payments.Payment, err error) {
	s.pass("payments: note what is known", func() { is, err = s.Store.Change(ctx, id, rule) })
	return is, err
}

func (s trippedPayments) Abandon(ctx context.Context, order string, timedOut bool, at time.Time, rule func(*payments.Payment) error) (all []payments.Payment, err error) {
	s.pass("payments: abandon the order", func() { all, err = s.Store.Abandon(ctx, order, timedOut, at, rule) })
	return all, err
}

type trippedBank struct {
	psp.Provider
	*tripwire
	patience time.Duration
}

func (b trippedBank) Authorize(ctx context.Context, a psp.Authorization) (is psp.Answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, b.patience)
	defer cancel()
	b.pass("the bank: promise the money", func() { is, err = b.Provider.Authorize(ctx, a) })
	return is, err
}

func (b trippedBank) Capture(ctx context.Context, m psp.Move) (is psp.Answer, err error) {
	b.pass("the bank: take the money", func() { is, err = b.Provider.Capture(ctx, m) })
	return is, err
}

func (b trippedBank) Void(ctx context.Context, m psp.Move) (is psp.Answer, err error) {
	b.pass("the bank: let the money go", func() { is, err = b.Provider.Void(ctx, m) })
	return is, err
}

// A floor is the part of the shop that a sale goes through, in one process on real tables: flash sales, stock, orders and payments, which
// call each other directly. What time brings is done when the test says so.
type floor struct {
	pools    tables
	clock    *clock.Held
	stock    *inventory.Inventory
	sales    *flashsale.FlashSales
	desk     *rush.Desk
	orders   *orderstore.Store
	checkout *orders.Checkout
	payments *payments.Payments
	bank     *fake.Provider
}

const orderExpiry = 10 * time.Minute

type tables map[string]*pgxpool.Pool // by part

func openTables(ctx context.Context, url string) (tables, error) {
	t := tables{}
	for _, part := range []string{"flashsale", "inventory", "orders", "payments"} {
		pool, err := postgres.Open(ctx, url, part)
		if err != nil {
			t.close()
			return nil, err
		}
		t[part] = pool
	}
	return t, nil
}

func (t tables) close() {
	for _, p := range t {
		p.Close()
	}
}

// openFloor opens the shop. The books of the bank are a file; its answers are waited for as long as patience.
func openFloor(pools tables, bank string, patience time.Duration, now time.Time, trip *tripwire) (*floor, error) {
	f := &floor{pools: pools, clock: clock.Hold(now)}
	queue, err := jobs.NewQueue(f.pools["orders"])
	if err != nil {
		return nil, errors.Join(err, f.close())
	}
	if f.bank, err = fake.New(fake.Config{Secret: []byte("secret"), File: bank, Clock: f.clock}); err != nil {
		return nil, errors.Join(err, f.close())
	}
	var calls []call.Endpoint
	bus := &late{}
	carrier := trippedBus{bus, trip}
	f.stock = inventory.New(inventorystore.NewStore(f.pools["inventory"]), allOfIt{}, f.clock)
	sales := trippedSales{salestore.NewStore(f.pools["flashsale"]), trip}
	f.desk = rush.New(sales, f.clock, batch.Config{})
	f.sales = flashsale.New(sales, f.desk, salenats.Shop{By: carrier}, f.clock)
	f.payments = payments.New(trippedPayments{paymentstore.NewStore(f.pools["payments"]), trip}, trippedBank{f.bank, trip, patience}, paymentnats.Orders{By: carrier}, f.clock, payments.Options{Patience: time.Minute})
	f.orders = orderstore.NewStore(f.pools["orders"], queue)
	f.checkout = orders.NewCheckout(trippedOrders{f.orders, trip}, carrier, f.clock, orderExpiry)
	calls = append(calls, inventorynats.Calls(f.stock)...)
	calls = append(calls, salenats.Calls(f.sales)...)
	calls = append(calls, paymentnats.Calls(f.payments)...)
	calls = append(calls, ordernats.Calls(orders.New(f.orders))...)
	calls = append(calls,
		events.VariantsByID.Handle(func(_ context.Context, r events.VariantsRequest) (rep events.VariantsReply, _ error) {
			for _, v := range r.IDs {
				rep.Variants = append(rep.Variants, events.VariantInfo{Variant: events.Variant{ID: v, SKU: v}, ProductID: "prod_" + v[4:], ProductTitle: "A lamp", SellerID: theSeller.SellerID, ForSale: true})
			}
			return rep, nil
		}),
		events.AddressOf.Handle(func(_ context.Context, r events.AddressRequest) (events.Address, error) {
			return events.Address{ID: r.AddressID, Name: "Ann", Line1: "1 Lane", City: "Pune", Pincode: "411001", Country: "IN"}, nil
		}),
		events.Serviceable.Handle(func(context.Context, events.ServiceableRequest) (events.ServiceableReply, error) {
			return events.ServiceableReply{Couriers: []string{"fake"}}, nil
		}),
	)
	bus.Carrier = call.Local(calls...)
	return f, nil
}

// late is a carrier that is there once all who answer are.
type late struct{ call.Carrier }

func (f *floor) close() error {
	var err error
	if f.desk != nil {
		err = f.desk.Close(context.Background())
	}
	if f.payments != nil {
		f.payments.Rest()
	}
	if f.bank != nil {
		err = errors.Join(err, f.bank.Close())
	}
	return err
}

var (
	theSeller = viewer.Viewer{AccountID: "acc_01M80CVGGHD5GXZDTNDW7CZDS7", SellerID: "sel_01M80CVGGHD5GXZDTNDW7CZDS7", Scopes: []string{viewer.ScopeSeller}}
	theStaff  = viewer.Viewer{AccountID: "acc_01M80CVGGHD5GXZDTNDW7CZDS8", Scopes: []string{viewer.ScopeStaff}}
)

// allOfIt is a catalogue in which everything is the seller's.
type allOfIt struct{}

func (allOfIt) Items(_ context.Context, variantIDs []string) (items []inventory.Item, _ error) {
	for _, v := range variantIDs {
		items = append(items, inventory.Item{VariantID: v, ProductID: "prod_" + v[4:], SellerID: theSeller.SellerID, SKU: v})
	}
	return items, nil
}

// goOn does what the shop does by itself, with so much time between one look and the next.
func (f *floor) goOn(ctx context.Context, rounds int, every time.Duration) error {
	var failed error
	for range rounds {
		f.clock.Advance(every)
		failed = errors.Join(f.sales.SweepNow(ctx), f.sales.SettleNow(ctx, f.clock.Now().Add(-5*time.Second)), f.payments.Sweep(ctx))
		f.payments.Rest()
		// Orders that no job in the queue asks to look at would be looked at by nobody.
		rows, err := f.pools["orders"].Query(ctx, `SELECT DISTINCT j.args->>'orderId' FROM river_job j JOIN orders o ON o.id = j.args->>'orderId'
			WHERE j.finalized_at IS NULL AND NOT (o.stock_settled AND o.payment_settled)`)
		if err != nil {
			return err
		}
		var due []string
		for rows.Next() {
			var id string
			if err := rows.Scan(&id); err != nil {
				return err
			}
			due = append(due, id)
		}
		slices.Sort(due)
		told, err := f.payments.PaymentsOf(ctx, due)
		if err != nil {
			return err
		}
		for _, id := range due {
			for _, p := range told[id] { // what payments tell reaches the orders
				if _, err := f.orders.Change(ctx, id, f.checkout.PaymentChanged(p.Tell())); err != nil {
					return err
				}
			}
			if _, err := f.checkout.Advance(orders.InBackground(ctx), id); err != nil {
				failed = errors.Join(failed, fmt.Errorf("order %s: %w", id, err))
			}
		}
	}
	return failed // of the last round: what fails before is tried again
}
