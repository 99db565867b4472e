package orders

import (
	"context"
	"errors"
	"fmt"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/fault"
)

// Advance takes the steps that can be taken now and returns the order as it is then. Any number of processes may advance one
// order at once: the other subgraphs do each step once, and Change lets each be noted once. An error means that a step must be
// tried again; what was reached is saved.
func (c *Checkout) Advance(ctx context.Context, orderID string) (Order, error) {
	found, err := c.store.OrdersByID(ctx, []string{orderID})
	if err != nil {
		return Order{}, err
	}
	if len(found) == 0 {
		return Order{}, ErrNotFound
	}
	return c.advance(ctx, found[0])
}

func (c *Checkout) advance(ctx context.Context, o Order) (Order, error) {
	for range 10 { // each step moves the order on; ten are more than any order takes
		step := o.Next(c.clock.Now())
		// Taking the money is left to the saga's own job: the buyer need not wait for it.
		if step == Wait || step == Done || step == Capture && !background(ctx) {
			return o, nil
		}
		next, err := c.take(ctx, step, o)
		if next.ID != "" {
			o = next
		}
		if err != nil {
			return o, fmt.Errorf("%s of %s: %w", step, o.ID, err)
		}
	}
	return o, fmt.Errorf("order %s goes in circles at %s", o.ID, o.Next(c.clock.Now()))
}

type backgroundKey struct{}

// InBackground marks that nobody waits for the saga: it may take its time.
func InBackground(ctx context.Context) context.Context {
	return context.WithValue(ctx, backgroundKey{}, true)
}

func background(ctx context.Context) bool { return ctx.Value(backgroundKey{}) != nil }

// take does one step: it asks, and then notes the answer.
func (c *Checkout) take(ctx context.Context, step Step, o Order) (Order, error) {
	switch step {
	case Authorize:
		return c.authorize(ctx, o)
	case Commit:
		return c.commit(ctx, o)
	case Capture:
		return c.capture(ctx, o)
	case Fail:
		return c.note(ctx, o, func(o *Order) {
			if o.Next(c.clock.Now()) == Fail {
				o.cancel(c.clock.Now(), PaymentFailed)
			}
		})
	case TimeOut:
		return c.note(ctx, o, func(o *Order) {
			if o.Next(c.clock.Now()) == TimeOut {
				o.cancel(c.clock.Now(), PaymentTimeout)
			}
		})
	case Recall:
		return c.recall(ctx, o)
	case Release:
		return c.release(ctx, o)
	case Abandon:
		return c.abandon(ctx, o)
	}
	return Order{}, fmt.Errorf("no such step")
}

func (c *Checkout) note(ctx context.Context, o Order, change func(*Order)) (Order, error) {
	return c.store.Change(ctx, o.ID, func(o *Order) error { change(o); return nil })
}

func (c *Checkout) authorize(ctx context.Context, o Order) (Order, error) {
	p, err := events.AuthorizePayment.Do(ctx, c.bus, events.AuthorizeRequest{
		IdempotencyKey: o.ID, OrderID: o.ID, AccountID: o.AccountID, PaymentMethodID: o.Saga.PaymentMethodID, Amount: o.Total, ExpiresAt: o.Deadline,
	})
	if e, refused := fault.ForUser(err); refused { // the method is gone since: no money will come
		return c.note(ctx, o, func(o *Order) {
			if o.Status == Created && o.Saga.PaymentStatus == "" {
				o.Saga.DeclineCode = e.Code
				o.cancel(c.clock.Now(), PaymentFailed)
			}
		})
	}
	if err != nil {
		return Order{}, err
	}
	return c.note(ctx, o, func(o *Order) {
		now := c.clock.Now()
		o.learn(now, p)
		o.beginCommit(now) // if that is what comes next: one change says both
	})
}

func (c *Checkout) commit(ctx context.Context, o Order) (_ Order, err error) {
	if !o.Saga.Committing {
		o, err = c.note(ctx, o, func(o *Order) { o.beginCommit(c.clock.Now()) })
		if err != nil || !o.Saga.Committing {
			return o, err
		}
	}
	err = o.Saga.Hold.commit(ctx, c, o.ID)
	switch {
	case errors.Is(err, errHoldExpired) || errors.Is(err, errNoHold):
		return c.note(ctx, o, func(o *Order) { o.cancel(c.clock.Now(), OutOfStock) })
	case err != nil:
		return o, err
	}
	return c.note(ctx, o, func(o *Order) { o.place(c.clock.Now()) })
}

func (c *Checkout) capture(ctx context.Context, o Order) (Order, error) {
	p, err := events.CapturePayment.Do(ctx, c.bus, events.PaymentRequest{PaymentID: o.Saga.PaymentID})
	if e, refused := fault.ForUser(err); refused {
		// The order stands; that its money could not be taken is for staff to see.
		return c.note(ctx, o, func(o *Order) {
			if !o.Saga.PaymentSettled && o.Status != Cancelled {
				o.captured()
				o.step(c.clock.Now(), "PAYMENT_NOT_CAPTURED", "The money could not be taken: %s.", e.Message)
			}
		})
	}
	if err != nil {
		return Order{}, err
	}
	return c.note(ctx, o, func(o *Order) {
		o.learn(c.clock.Now(), p)
		o.captured()
	})
}

func (c *Checkout) release(ctx context.Context, o Order) (Order, error) {
	giveBack := o.Saga.Hold.release
	if o.PlacedAt != nil {
		giveBack = o.Saga.Hold.unsell
	}
	err := giveBack(ctx, c, o.ID)
	if err != nil && !errors.Is(err, errNoHold) {
		return Order{}, err
	}
	return c.note(ctx, o, func(o *Order) { o.released(c.clock.Now()) })
}

func (c *Checkout) abandon(ctx context.Context, o Order) (Order, error) {
	rep, err := events.AbandonPayments.Do(ctx, c.bus, events.AbandonRequest{OrderID: o.ID, TimedOut: *o.CancelReason == PaymentTimeout})
	if err != nil {
		return Order{}, err
	}
	return c.note(ctx, o, func(o *Order) {
		for _, p := range rep.Payments {
			o.learn(c.clock.Now(), p)
		}
		o.Saga.PaymentSettled = true
	})
}

// Tells tells whether an order has anything to learn from news of its payment: that it is PENDING, the answer to our own question says too,
// if it is still so by then.
func Tells(p events.Payment) bool { return p.Status != "PENDING" }

// PaymentChanged takes in what payments tells of an order, and lets the saga look at it.
func (c *Checkout) PaymentChanged(p events.Payment) func(*Order) error {
	return func(o *Order) error {
		if !Tells(p) {
			return nil
		}
		now := c.clock.Now()
		o.learn(now, p)
		if step := o.Next(now); step != Wait && step != Done && len(o.news) > 0 {
			o.look(now)
		}
		return nil
	}
}

// ParcelsMoved takes in where the order's parcels are.
func (c *Checkout) ParcelsMoved(parcels []Parcel) func(*Order) error {
	return func(o *Order) error { o.move(c.clock.Now(), parcels); return nil }
}
