package orders

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"time"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/viewer"
)

// The refusals of cancelling.
var (
	ErrNotCancellable = fault.New(fault.Conflict, "NOT_CANCELLABLE", "a parcel of the order was made up already").At("input", "orderId")
	ErrReason         = fault.New(fault.Invalid, "INVALID", "buyers say CUSTOMER; staff may say CUSTOMER, SELLER, OUT_OF_STOCK or FRAUD").At("input", "reason")
)

// A Cancellation is a wish that an order shall not happen.
type Cancellation struct {
	OrderID string       `json:"orderId"`
	Reason  CancelReason `json:"reason"`
	Key     string       `json:"-"`
}

// A CancelKey makes a cancellation safe to repeat.
type CancelKey struct {
	AccountID string
	Key       string
	InputHash []byte
}

func (in Cancellation) check(who viewer.Viewer) error {
	if !who.SignedIn() {
		return ErrUnauthenticated
	}
	if len(in.Key) < 8 || len(in.Key) > 128 {
		return ErrKey
	}
	if err := id.Check(id.Order, in.OrderID, "input", "orderId"); err != nil {
		return err
	}
	switch in.Reason {
	case ByCustomer:
		return nil
	case BySeller, ForFraud, OutOfStock:
		if who.Staff() {
			return nil
		}
	}
	return ErrReason
}

// Cancel sees to it that an order does not happen, unless a parcel of it was made up. The wish is saved first and the saga does
// the rest, here or, should this process die or something be down, later: then the order is returned as it is.
func (c *Checkout) Cancel(ctx context.Context, who viewer.Viewer, in Cancellation) (Order, error) {
	if err := in.check(who); err != nil {
		return Order{}, err
	}
	input, err := json.Marshal(in)
	if err != nil {
		return Order{}, err
	}
	hash := sha256.Sum256(input)
	key := CancelKey{AccountID: who.AccountID, Key: in.Key, InputHash: hash[:]}
	o, err := c.store.ChangeOnce(ctx, in.OrderID, key, func(o *Order) error {
		if !who.Is(o.AccountID) && !who.Staff() {
			return ErrNotFound
		}
		return o.askCancel(c.clock.Now(), in.Reason)
	})
	if errors.Is(err, ErrNotFound) {
		err = blame(err, "orderId")
	}
	if err != nil {
		return Order{}, err
	}
	if is, err := c.Advance(ctx, o.ID); is.ID != "" {
		o = is // as far as it got; what failed is tried again by the saga's own job
	} else if err != nil {
		return Order{}, err
	}
	if o.Status != Cancelled && o.Saga.Cancelling == "" {
		return Order{}, ErrNotCancellable
	}
	return o, nil
}

// askCancel notes that the order shall be cancelled, and cancels it at once when nobody can be ahead of that: while it waits for
// its payment. From the moment its stock is being sold to it, it is recalled first.
func (o *Order) askCancel(now time.Time, why CancelReason) error {
	switch {
	case o.Status == Cancelled || o.Saga.Cancelling != "":
		return nil
	case o.Status == Created && !o.Saga.Committing:
		o.cancel(now, why)
		return nil
	case o.Status != Created && o.Status != Placed, o.Saga.Parcelled:
		return ErrNotCancellable
	}
	o.Saga.Cancelling = why
	o.step(now, "CANCEL_REQUESTED", "The order is to be cancelled.")
	o.look(now)
	return nil
}

// recall asks logistics, which alone knows, whether a parcel was made up; if none was, none ever is.
func (c *Checkout) recall(ctx context.Context, o Order) (Order, error) {
	rep, err := events.StopParcels.Do(ctx, c.bus, events.StopParcelsRequest{OrderID: o.ID})
	if err != nil {
		return Order{}, err
	}
	return c.note(ctx, o, func(o *Order) { o.recalled(c.clock.Now(), rep.Stopped) })
}

// recalled ends the wish to cancel, one way or the other.
func (o *Order) recalled(now time.Time, stopped bool) {
	why := o.Saga.Cancelling
	if why == "" { // somebody else noted it first
		return
	}
	o.Saga.Cancelling = ""
	if !stopped {
		o.Saga.Parcelled = true
		o.step(now, "CANCEL_REFUSED", "A parcel was made up already.")
		return
	}
	o.Status, o.CancelReason = Cancelled, &why
	// Whatever was settled was settled for an order that stood. A capture on its way no longer counts: see captured.
	o.Saga.StockSettled, o.Saga.PaymentSettled = false, false
	text := reasons[why]
	if why == OutOfStock {
		text = "The goods were not there after all."
	}
	o.step(now, "CANCELLED", "%s", text)
	o.look(now)
}

// captured notes the end of taking the money. Of an order that was cancelled meanwhile the money is not settled by that:
// payments is yet to be told, and gives back what it took.
func (o *Order) captured() {
	if o.Status != Cancelled {
		o.Saga.PaymentSettled = true
	}
}

var reasons = map[CancelReason]string{
	PaymentFailed:  "The payment was declined.",
	PaymentTimeout: "The payment was not secured in time.",
	OutOfStock:     "The stock could not be committed.",
	ByCustomer:     "The buyer cancelled the order.",
	BySeller:       "The seller cannot deliver.",
	ForFraud:       "The order was not in order.",
}
