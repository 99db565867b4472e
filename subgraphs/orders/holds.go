package orders

import (
	"context"
	"fmt"
	"time"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/fault"
)

// The refusals of a hold that decide how a saga goes on.
var (
	errHoldExpired = fault.New(fault.Conflict, "HOLD_EXPIRED", "the hold has ended")
	errNoHold      = fault.New(fault.NotFound, "NOT_FOUND", "there is no such hold")
)

// A Hold is what keeps the units of an order until it is paid: a reservation of stock, or a booking of a flash sale.
type Hold struct {
	ReservationID string
	BookingID     string
}

// hold keeps the units of a purchase for an order, and tells until when the order may wait for its payment. Asking again for
// the same order changes nothing.
func (c *Checkout) hold(ctx context.Context, in Input, orderID, accountID string, cart events.CartSnapshot) (h Hold, deadline time.Time, short []events.Shortage, err error) {
	now := c.clock.Now()
	deadline = now.Add(c.expiry)
	if in.BookingID != "" {
		rep, err := events.PayForBooking.Do(ctx, c.bus, events.PayForBookingRequest{
			BookingID: in.BookingID, AccountID: accountID, OrderID: orderID, Until: deadline.Add(holdGrace),
		})
		if err != nil {
			return h, deadline, nil, blame(err, "bookingId")
		}
		if ends := rep.ExpiresAt.Add(-holdGrace); ends.Before(deadline) { // a booking is not prolonged for as long as anybody likes
			deadline = ends
		}
		return Hold{BookingID: in.BookingID}, deadline, nil, nil
	}
	rep, err := events.HoldStock.Do(ctx, c.bus, events.HoldRequest{
		IdempotencyKey: orderID, OrderID: orderID, AccountID: accountID, Lines: holdLines(cart), ExpiresAt: deadline.Add(holdGrace),
	})
	if err != nil {
		return h, deadline, nil, fmt.Errorf("hold stock: %w", err)
	}
	return Hold{ReservationID: rep.ReservationID}, deadline, rep.Short, nil
}

// commit turns the hold of an order into a sale.
func (h Hold) commit(ctx context.Context, c *Checkout, orderID string) (err error) {
	if h.BookingID != "" {
		_, err = events.ConfirmBooking.Do(ctx, c.bus, events.BookingOfOrder{BookingID: h.BookingID, OrderID: orderID})
	} else {
		_, err = events.CommitStock.Do(ctx, c.bus, events.ReservationRequest{ReservationID: h.ReservationID})
	}
	return err
}

// release gives the units back.
func (h Hold) release(ctx context.Context, c *Checkout, orderID string) (err error) {
	if h.BookingID != "" {
		_, err = events.ReleaseBooking.Do(ctx, c.bus, events.BookingOfOrder{BookingID: h.BookingID, OrderID: orderID})
	} else {
		_, err = events.ReleaseStock.Do(ctx, c.bus, events.ReservationRequest{ReservationID: h.ReservationID})
	}
	return err
}

// unsell takes back what the hold of an order was sold for: the order was cancelled after it was placed.
func (h Hold) unsell(ctx context.Context, c *Checkout, orderID string) (err error) {
	if h.BookingID != "" {
		_, err = events.CancelBooking.Do(ctx, c.bus, events.BookingOfOrder{BookingID: h.BookingID, OrderID: orderID})
	} else {
		_, err = events.Restock.Do(ctx, c.bus, events.ReservationRequest{ReservationID: h.ReservationID})
	}
	return err
}

// wanted reads what is to be bought, at the prices of now.
func (c *Checkout) wanted(ctx context.Context, accountID string, in Input) (events.CartSnapshot, error) {
	if in.BookingID == "" {
		cart, err := events.CartForCheckout.Do(ctx, c.bus, events.CartRequest{CartID: in.CartID, AccountID: accountID})
		if err != nil {
			return cart, blame(err, "cartId")
		}
		if len(cart.Lines) == 0 {
			return cart, ErrEmpty
		}
		return cart, nil
	}
	b, err := events.BookingForCheckout.Do(ctx, c.bus, events.BookingRequest{BookingID: in.BookingID, AccountID: accountID})
	if err != nil {
		return events.CartSnapshot{}, blame(err, "bookingId")
	}
	return events.CartSnapshot{Lines: []events.CartLine{b.Line}, Total: b.Line.UnitPrice, Problems: b.Problems}, nil
}
