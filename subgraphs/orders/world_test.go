package orders_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/call"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/money"
	"github.com/souk-shop/souk/internal/pgtest"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/orders"
	"github.com/souk-shop/souk/subgraphs/orders/postgres"
)

// A world is everything around the orders: stock and money as their subgraphs promise to keep them.
type world struct {
	t     *testing.T
	pool  *pgxpool.Pool
	store *postgres.Store
	clock *clock.Held
	saga  *orders.Checkout
	jobs  *jobs

	mu        sync.Mutex
	available int
	holds     map[string]string    // reservation → HELD, COMMITTED, RELEASED
	heldFor   map[string]string    // idempotency key → reservation
	ends      map[string]time.Time // reservation → when inventory takes it back by itself
	units     map[string]int
	asked     []events.AuthorizeRequest  // what the money was asked for
	payment   map[string]*events.Payment // by order
	card      string                     // how the provider answers: AUTHORIZED, FAILED, PENDING
	cart      events.CartSnapshot
	couriers  []string
	booking   string            // what is bought instead of the cart, "" for the cart
	payer     map[string]string // booking → the order that pays for it
	lasts     time.Duration     // how long a booking is kept for its payment
	decided   map[string]string // what logistics decided of an order: SHIP, STOP
	abandoned map[string]bool   // orders for which no money is kept, whatever comes

	calls     int
	breakAt   int  // this call fails …
	afterward bool // … after it was done, so that only its answer is lost

	meanwhile map[string]func() // what happens, once, before or after a call: "before souk.call.…"
}

var errCut = errors.New("the line was cut")

// jobs keeps what the saga asked to be woken for.
type jobs struct {
	mu    sync.Mutex
	looks int
	next  map[string]time.Time // when each order is looked at first
	watch map[string]time.Time
}

func (j *jobs) Look(_ context.Context, _ pgx.Tx, order string, at time.Time) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.looks++
	if first, any := j.next[order]; !any || at.Before(first) {
		j.next[order] = at
	}
	return nil
}

func (j *jobs) Watch(_ context.Context, _ pgx.Tx, order string, first, deadline time.Time) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.next[order], j.watch[order] = first, deadline
	return nil
}

var (
	ann    = viewer.Viewer{AccountID: id.New(id.Account)}
	price  = money.Money{Amount: 1990, Currency: "USD"}
	expiry = 15 * time.Minute
)

func newWorld(t *testing.T, available int) *world {
	t.Parallel()
	w := &world{
		t: t, pool: pgtest.New(t, postgres.Migrations), clock: clock.Hold(time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)),
		jobs: &jobs{next: map[string]time.Time{}, watch: map[string]time.Time{}}, available: available, card: "AUTHORIZED", couriers: []string{"fake"}, payer: map[string]string{}, lasts: expiry + time.Minute,
		decided: map[string]string{}, abandoned: map[string]bool{},
		holds: map[string]string{}, heldFor: map[string]string{}, ends: map[string]time.Time{}, units: map[string]int{}, payment: map[string]*events.Payment{},
		cart: events.CartSnapshot{CartID: id.New(id.Cart), Version: 1, Total: price, Lines: []events.CartLine{{
			LineID: id.New(id.CartLine), VariantID: id.New(id.Variant), ProductID: id.New(id.Product), SellerID: id.New(id.Seller),
			Title: "A lamp", Quantity: 1, UnitPrice: price,
		}}},
	}
	w.store = postgres.NewStore(w.pool, w.jobs)
	w.saga = orders.NewCheckout(w.store, cut{w, w.endpoints()}, w.clock, expiry)
	return w
}

// cut is a line that breaks where the world says.
type cut struct {
	w    *world
	line call.Carrier
}

func (c cut) Carry(ctx context.Context, r call.Request) ([]byte, error) {
	c.w.mu.Lock()
	c.w.calls++
	broken := c.w.calls == c.w.breakAt
	c.w.mu.Unlock()
	if broken && !c.w.afterward {
		return nil, errCut
	}
	c.w.happen("before " + r.Subject)
	answer, err := c.line.Carry(ctx, r)
	c.w.happen("after " + r.Subject)
	if broken {
		return nil, errCut
	}
	return answer, err
}

func (w *world) happen(when string) {
	w.mu.Lock()
	what := w.meanwhile[when]
	delete(w.meanwhile, when)
	w.mu.Unlock()
	if what != nil {
		what()
	}
}

func (w *world) endpoints() call.Carrier {
	locked := func(fn func() error) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		return fn()
	}
	return call.Local(
		events.CartForCheckout.Handle(func(_ context.Context, r events.CartRequest) (out events.CartSnapshot, err error) {
			if r.CartID != w.cart.CartID {
				return out, fault.New(fault.NotFound, "NOT_FOUND", "there is no such cart")
			}
			return w.cart, nil
		}),
		events.AddressOf.Handle(func(_ context.Context, r events.AddressRequest) (events.Address, error) {
			return events.Address{ID: r.AddressID, Name: "Ann", Line1: "1 Lane", City: "Pune", Pincode: "411001", Country: "IN"}, nil
		}),
		events.CheckPaymentMethod.Handle(func(context.Context, events.PaymentMethodRequest) (events.PaymentMethodReply, error) {
			return events.PaymentMethodReply{}, nil
		}),
		events.Serviceable.Handle(func(context.Context, events.ServiceableRequest) (events.ServiceableReply, error) {
			return events.ServiceableReply{Couriers: w.couriers}, nil
		}),
		events.HoldStock.Handle(func(_ context.Context, r events.HoldRequest) (rep events.HoldReply, err error) {
			err = locked(func() error {
				if old, ok := w.heldFor[r.IdempotencyKey]; ok {
					rep.ReservationID = old
					return nil
				}
				if want := r.Lines[0].Quantity; want > w.available {
					rep.Short = []events.Shortage{{VariantID: r.Lines[0].VariantID, Wanted: want, Available: w.available}}
					return nil
				}
				rep.ReservationID = id.New(id.Reservation)
				w.available -= r.Lines[0].Quantity
				w.units[rep.ReservationID], w.ends[rep.ReservationID] = r.Lines[0].Quantity, r.ExpiresAt
				w.holds[rep.ReservationID], w.heldFor[r.IdempotencyKey] = "HELD", rep.ReservationID
				return nil
			})
			return rep, err
		}),
		events.CommitStock.Handle(func(_ context.Context, r events.ReservationRequest) (rep events.ReservationReply, err error) {
			err = locked(func() error {
				if w.holds[r.ReservationID] == "UNSOLD" {
					return nil
				}
				if w.holds[r.ReservationID] == "RELEASED" {
					return fault.New(fault.Conflict, "HOLD_EXPIRED", "the hold has ended")
				}
				w.holds[r.ReservationID], rep.Status = "COMMITTED", "COMMITTED"
				return nil
			})
			return rep, err
		}),
		events.ReleaseStock.Handle(func(_ context.Context, r events.ReservationRequest) (rep events.ReservationReply, err error) {
			err = locked(func() error { rep.Status = "RELEASED"; return w.release(r.ReservationID) })
			return rep, err
		}),
		events.BookingForCheckout.Handle(func(_ context.Context, r events.BookingRequest) (out events.BookingSnapshot, err error) {
			err = locked(func() error {
				switch {
				case r.BookingID != w.booking || r.AccountID != ann.AccountID:
					return fault.New(fault.NotFound, "NOT_FOUND", "there is no such booking")
				case w.holds[w.booking] == "RELEASED":
					return fault.New(fault.Conflict, "HOLD_EXPIRED", "the booking has ended")
				}
				out = events.BookingSnapshot{BookingID: w.booking, Line: w.cart.Lines[0], Problems: w.cart.Problems}
				return nil
			})
			return out, err
		}),
		events.PayForBooking.Handle(func(_ context.Context, r events.PayForBookingRequest) (rep events.PayForBookingReply, err error) {
			err = locked(func() error {
				switch {
				case w.holds[r.BookingID] == "RELEASED":
					return fault.New(fault.Conflict, "HOLD_EXPIRED", "the booking has ended")
				case w.payer[r.BookingID] != "" && w.payer[r.BookingID] != r.OrderID:
					return fault.New(fault.Conflict, "ALREADY_ORDERED", "another order pays for it")
				}
				w.payer[r.BookingID] = r.OrderID
				rep.ExpiresAt = w.clock.Now().Add(w.lasts)
				return nil
			})
			return rep, err
		}),
		events.ConfirmBooking.Handle(func(_ context.Context, r events.BookingOfOrder) (rep events.BookingReply, err error) {
			err = locked(func() error {
				if w.holds[r.BookingID] == "UNSOLD" {
					return nil
				}
				if w.holds[r.BookingID] == "RELEASED" || w.payer[r.BookingID] != r.OrderID {
					return fault.New(fault.Conflict, "HOLD_EXPIRED", "the booking has ended")
				}
				w.holds[r.BookingID], rep.Status = "COMMITTED", "BOOKED"
				return nil
			})
			return rep, err
		}),
		events.ReleaseBooking.Handle(func(_ context.Context, r events.BookingOfOrder) (rep events.BookingReply, err error) {
			err = locked(func() error { rep.Status = "RELEASED"; return w.release(r.BookingID) })
			return rep, err
		}),
		events.Restock.Handle(func(_ context.Context, r events.ReservationRequest) (rep events.ReservationReply, err error) {
			err = locked(func() error { rep.Status = "RESTOCKED"; return w.unsell(r.ReservationID) })
			return rep, err
		}),
		events.CancelBooking.Handle(func(_ context.Context, r events.BookingOfOrder) (rep events.BookingReply, err error) {
			err = locked(func() error { rep.Status = "CANCELLED"; return w.unsell(r.BookingID) })
			return rep, err
		}),
		events.StopParcels.Handle(func(_ context.Context, r events.StopParcelsRequest) (rep events.StopParcelsReply, err error) {
			err = locked(func() error {
				if w.decided[r.OrderID] == "" {
					w.decided[r.OrderID] = "STOP"
				}
				rep.Stopped = w.decided[r.OrderID] == "STOP"
				return nil
			})
			return rep, err
		}),
		events.AuthorizePayment.Handle(func(_ context.Context, r events.AuthorizeRequest) (p events.Payment, err error) {
			err = locked(func() error {
				w.asked = append(w.asked, r)
				if w.payment[r.OrderID] == nil {
					status := w.card
					if w.abandoned[r.OrderID] {
						status = "VOIDED"
					}
					w.payment[r.OrderID] = &events.Payment{PaymentID: id.New(id.Payment), Version: 1, OrderID: r.OrderID, Status: status, Amount: r.Amount}
				}
				p = *w.payment[r.OrderID]
				return nil
			})
			return p, err
		}),
		events.CapturePayment.Handle(func(_ context.Context, r events.PaymentRequest) (out events.Payment, err error) {
			err = locked(func() error {
				for _, p := range w.payment {
					if p.PaymentID != r.PaymentID {
						continue
					}
					switch {
					case p.Status == "AUTHORIZED" && !w.abandoned[p.OrderID]:
						p.Status, p.Version, p.Captured = "CAPTURED", p.Version+1, p.Amount
					case p.Status != "CAPTURED":
						return fault.New(fault.Conflict, "WRONG_STATE", "it cannot be captured any more")
					}
					out = *p
				}
				return nil
			})
			return out, err
		}),
		events.AbandonPayments.Handle(func(_ context.Context, r events.AbandonRequest) (rep events.AbandonReply, err error) {
			err = locked(func() error {
				w.abandoned[r.OrderID] = true
				if p := w.payment[r.OrderID]; p != nil {
					ends := map[string]string{"AUTHORIZED": "VOIDED", "PENDING": "VOIDED", "CAPTURED": "REFUNDED"}
					if r.TimedOut {
						ends["PENDING"] = "TIMED_OUT"
					}
					if to := ends[p.Status]; to != "" {
						p.Status, p.Version = to, p.Version+1
						if to == "REFUNDED" {
							p.Refunded = p.Captured
						}
					}
					rep.Payments = append(rep.Payments, *p)
				}
				return nil
			})
			return rep, err
		}),
	)
}

// book has the world's one flash sale keep a unit for ann, and makes it what is bought.
func (w *world) book() {
	w.booking = id.New(id.Booking)
	w.available--
	w.units[w.booking], w.holds[w.booking] = 1, "HELD"
}

func (w *world) release(reservation string) error {
	switch w.holds[reservation] {
	case "HELD":
		w.holds[reservation] = "RELEASED"
		w.available += w.units[reservation]
	case "COMMITTED", "UNSOLD":
		return fault.New(fault.Conflict, "HOLD_COMMITTED", "the units are sold")
	}
	return nil
}

func (w *world) unsell(hold string) error {
	switch w.holds[hold] {
	case "HELD":
		return fault.New(fault.Conflict, "HOLD_HELD", "the units are not sold yet")
	case "COMMITTED":
		w.holds[hold] = "UNSOLD"
		w.available += w.units[hold]
	}
	return nil
}

// sweep takes back what is held for longer than was asked for, as inventory does by itself.
func (w *world) sweep() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for reservation, ends := range w.ends {
		if !w.clock.Now().Before(ends) {
			_ = w.release(reservation) // what is sold stays so
		}
	}
}

// input buys the world's cart, or what is booked, under a key.
func (w *world) input(key string) orders.Input {
	cart := w.cart.CartID
	if w.booking != "" {
		cart = ""
	}
	return orders.Input{CartID: cart, BookingID: w.booking, AddressID: id.New(id.Address), PaymentMethodID: id.New(id.PaymentMethod), ExpectedTotal: price, Key: key}
}

func (w *world) buy(in orders.Input) orders.Outcome {
	w.t.Helper()
	out, err := w.saga.Complete(w.t.Context(), ann, in)
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// settle does what the job queue does: it lets the saga look until nothing is left to do.
func (w *world) settle(orderID string) orders.Order {
	w.t.Helper()
	o, err := w.saga.Advance(orders.InBackground(w.t.Context()), orderID)
	if err != nil {
		w.t.Fatal(err)
	}
	return o
}

func (w *world) kinds(orderID string) []string {
	w.t.Helper()
	steps, err := w.store.TimelinesOf(w.t.Context(), []string{orderID})
	if err != nil {
		w.t.Fatal(err)
	}
	var kinds []string
	for _, s := range steps[orderID] {
		kinds = append(kinds, s.Kind)
	}
	return kinds
}

// agree checks that stock and money say what the order says.
func (w *world) agree(o orders.Order) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	p, hold := w.payment[o.ID], w.holds[o.Saga.ReservationID+o.Saga.BookingID]
	switch {
	case o.Status == orders.Placed && (hold != "COMMITTED" || p == nil || p.Status != "CAPTURED"):
		w.t.Errorf("placed, but the hold is %s and the payment %+v", hold, p)
	case o.Status == orders.Cancelled && (hold != map[bool]string{false: "RELEASED", true: "UNSOLD"}[o.PlacedAt != nil] || p != nil && (p.Status == "AUTHORIZED" || p.Status == "CAPTURED" || p.Status == "PENDING")):
		w.t.Errorf("cancelled, but the hold is %s and the payment %+v", hold, p)
	case o.Status == orders.Created:
		w.t.Errorf("%s never ended", o.ID)
	}
}
