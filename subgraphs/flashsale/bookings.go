package flashsale

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/viewer"
)

// payTime is how much longer a booking lasts, at most, once an order pays for it: enough for a bank to answer, too little to keep a
// unit from others for sport.
const payTime = 6 * time.Minute

// The refusals of booking, and of what is done with a booking.
var (
	ErrUnauthenticated = fault.New(fault.Unauthenticated, "UNAUTHENTICATED", "sign in first")
	ErrKey             = fault.New(fault.Invalid, "INVALID", "an idempotency key has 8 to 128 characters").At("input", "idempotencyKey")
	ErrKeyReused       = fault.New(fault.Conflict, "IDEMPOTENCY_CONFLICT", "this key was used before with other input").At("input", "idempotencyKey")
	ErrNotOpen         = fault.New(fault.Conflict, "NOT_OPEN", "the sale is not open").At("input", "saleId")
	ErrNotOffered      = fault.New(fault.NotFound, "NOT_FOUND", "the sale does not offer this variant").At("input", "variantId")
	ErrNoBooking       = fault.New(fault.NotFound, "NOT_FOUND", "there is no such booking")
	ErrBeingPaid       = fault.New(fault.Conflict, "BEING_PAID", "the booking is being paid for").At("input", "bookingId")
	ErrBooked          = fault.New(fault.Conflict, "BOOKED", "the booking is paid for").At("input", "bookingId")
	ErrOrdered         = fault.New(fault.Conflict, "ALREADY_ORDERED", "another order pays for this booking")
	ErrHoldExpired     = fault.New(fault.Conflict, "HOLD_EXPIRED", "the booking has ended; its unit is no longer kept")
	ErrHoldHeld        = fault.New(fault.Conflict, "HOLD_HELD", "the unit is not sold yet")
	ErrHoldCommitted   = fault.New(fault.Conflict, "HOLD_COMMITTED", "the unit is sold")
)

func checkKey(key string) error {
	if len(key) < 8 || len(key) > 128 || !utf8.ValidString(key) || strings.ContainsRune(key, 0) {
		return ErrKey
	}
	return nil
}

// Book holds one unit for the caller, or says why there is none for them.
func (fs *FlashSales) Book(ctx context.Context, who viewer.Viewer, saleID, variantID, key string) (BookResult, error) {
	return fs.BookWith(ctx, who, saleID, variantID, "", key)
}

// BookWith is Book with an admission from the waiting room.
func (fs *FlashSales) BookWith(ctx context.Context, who viewer.Viewer, saleID, variantID, token, key string) (res BookResult, err error) {
	if fs.meter != nil {
		answered := fs.meter.Booking()
		defer func() { answered(res, err) }()
	}
	if !who.SignedIn() {
		return BookResult{}, ErrUnauthenticated
	}
	if err := id.Check(id.FlashSale, saleID, "input", "saleId"); err != nil {
		return BookResult{}, err
	}
	if variantID != "" {
		if err := id.Check(id.Variant, variantID, "input", "variantId"); err != nil {
			return BookResult{}, err
		}
	}
	if err := checkKey(key); err != nil {
		return BookResult{}, err
	}
	r := BookRequest{AccountID: who.AccountID, VariantID: variantID, Key: key}
	r.TicketID, r.Denied = fs.admission(who, saleID, token)
	res, err = fs.desk.Book(ctx, saleID, r)
	return res, at(err, "saleId")
}

// Release gives a unit of the caller's back. What has ended already stays as it is.
func (fs *FlashSales) Release(ctx context.Context, who viewer.Viewer, bookingID string) (Booking, error) {
	if !who.SignedIn() {
		return Booking{}, ErrUnauthenticated
	}
	if err := id.Check(id.Booking, bookingID, "input", "bookingId"); err != nil {
		return Booking{}, err
	}
	b, err := fs.with(ctx, bookingID, func(s *Stand, b *Booking) error {
		switch {
		case !who.Is(b.AccountID):
			return ErrNoBooking
		case b.Status == Booked:
			return ErrBooked
		case b.Status == Held && b.OrderID != "":
			return ErrBeingPaid
		}
		return s.End(b, Released)
	})
	return b, at(err, "bookingId")
}

// with runs a rule on a booking and returns the booking as it is then.
func (fs *FlashSales) with(ctx context.Context, bookingID string, rule func(*Stand, *Booking) error) (is Booking, err error) {
	found, err := fs.BookingsByID(ctx, []string{bookingID})
	if err != nil {
		return is, err
	}
	if len(found) == 0 {
		return is, ErrNoBooking
	}
	err = fs.serve(ctx, found[0].SaleID, Wanted{Bookings: []string{bookingID}}, func(s *Stand) error {
		b := s.Booking(bookingID)
		err := rule(s, b)
		is = *b
		return err
	})
	return is, err
}

// serve runs a rule on a sale, and does what is due for it by the way.
func (fs *FlashSales) serve(ctx context.Context, saleID string, w Wanted, rule func(*Stand) error) error {
	return fs.store.Serve(ctx, saleID, w, fs.clock.Now(), func(s *Stand) error {
		if err := rule(s); err != nil {
			return err
		}
		return s.Pass()
	})
}

// Bookings finds the bookings that are the viewer's business: their own, or any for staff.
func (fs *FlashSales) Bookings(ctx context.Context, who viewer.Viewer, ids []string) ([]Booking, error) {
	found, err := fs.BookingsByID(ctx, ids)
	return slices.DeleteFunc(found, func(b Booking) bool { return !who.Is(b.AccountID) && !who.Staff() }), err
}

// ForCheckout answers the orders: what is booked, and what stands against buying it.
func (fs *FlashSales) ForCheckout(ctx context.Context, q events.BookingRequest) (events.BookingSnapshot, error) {
	if err := id.Check(id.Booking, q.BookingID, "bookingId"); err != nil {
		return events.BookingSnapshot{}, err
	}
	found, err := fs.BookingsByID(ctx, []string{q.BookingID})
	if err != nil {
		return events.BookingSnapshot{}, err
	}
	if len(found) == 0 || found[0].AccountID != q.AccountID {
		return events.BookingSnapshot{}, ErrNoBooking
	}
	b := found[0]
	switch {
	case b.Status == Booked:
		return events.BookingSnapshot{}, ErrOrdered
	case b.Status != Held, !fs.clock.Now().Before(b.ExpiresAt):
		return events.BookingSnapshot{}, ErrHoldExpired
	}
	goods, err := fs.shop.Goods(ctx, []string{b.VariantID})
	if err != nil {
		return events.BookingSnapshot{}, err
	}
	out := events.BookingSnapshot{BookingID: b.ID, SaleID: b.SaleID, Line: events.CartLine{
		LineID: b.ID, VariantID: b.VariantID, Quantity: 1, UnitPrice: b.UnitPrice,
	}}
	if len(goods) == 0 || !goods[0].ForSale {
		out.Problems = []events.CartProblem{{Code: "NOT_FOR_SALE", Message: "The seller took it off sale.", LineID: b.ID}}
	}
	if len(goods) > 0 {
		g := goods[0]
		out.Line.ProductID, out.Line.SellerID, out.Line.Title, out.Line.WeightGrams = g.ProductID, g.SellerID, g.ProductTitle, g.WeightGrams
	}
	return out, nil
}

// Pay answers the orders: the booking is the hold of this one from now on, and lasts a little longer.
func (fs *FlashSales) Pay(ctx context.Context, q events.PayForBookingRequest) (events.PayForBookingReply, error) {
	if err := id.Check(id.Order, q.OrderID, "orderId"); err != nil {
		return events.PayForBookingReply{}, err
	}
	b, err := fs.with(ctx, q.BookingID, func(s *Stand, b *Booking) error {
		if b.AccountID != q.AccountID {
			return ErrNoBooking
		}
		return s.Pay(b, q.OrderID, q.Until.UTC().Truncate(time.Microsecond))
	})
	return events.PayForBookingReply{ExpiresAt: b.ExpiresAt}, err
}

// Confirm answers the orders: the unit is sold.
func (fs *FlashSales) Confirm(ctx context.Context, q events.BookingOfOrder) (events.BookingReply, error) {
	b, err := fs.with(ctx, q.BookingID, func(s *Stand, b *Booking) error {
		if b.OrderID != q.OrderID {
			return ErrHoldExpired
		}
		return s.End(b, Booked)
	})
	if err == nil && b.Status != Booked && b.Status != Undone { // a late repetition of what has been undone since changes nothing
		err = ErrHoldExpired
	}
	return events.BookingReply{Status: string(b.Status)}, err
}

// GiveBack answers the orders: the unit of an order that will not be paid can be booked again.
func (fs *FlashSales) GiveBack(ctx context.Context, q events.BookingOfOrder) (events.BookingReply, error) {
	b, err := fs.with(ctx, q.BookingID, func(s *Stand, b *Booking) error {
		if b.OrderID != q.OrderID {
			return ErrNoBooking // this order never had it
		}
		return s.End(b, Released)
	})
	if err == nil && (b.Status == Booked || b.Status == Undone) {
		err = ErrHoldCommitted
	}
	return events.BookingReply{Status: string(b.Status)}, err
}

// Undo answers the orders: the order that a unit was sold to was cancelled.
func (fs *FlashSales) Undo(ctx context.Context, q events.BookingOfOrder) (events.BookingReply, error) {
	b, err := fs.with(ctx, q.BookingID, func(s *Stand, b *Booking) error {
		switch {
		case b.OrderID != q.OrderID:
			return ErrNoBooking // this order never had it
		case b.Status == Held:
			return ErrHoldHeld
		}
		return s.Undo(b)
	})
	return events.BookingReply{Status: string(b.Status)}, err
}

// at makes a refusal that names no field point at the input that named the thing.
func at(err error, field string) error {
	if e, ok := fault.ForUser(err); ok && e.Field == nil {
		return e.At("input", field)
	}
	return err
}
