package events

import (
	"time"

	"github.com/souk-shop/souk/internal/call"
)

// SubjectFlashSaleChanged is where FlashSaleChanged is told.
const SubjectFlashSaleChanged = "souk.event.flashsale.sale_changed"

// FlashSaleChanged is the counts of a sale as they are after movement Seq, and of its waiting room.
type FlashSaleChanged struct {
	At
	SaleID   string           `json:"saleId"`
	Status   string           `json:"status"` // SCHEDULED, WAITING_ROOM, OPEN, SOLD_OUT, ENDED, CANCELLED
	StartsAt time.Time        `json:"startsAt"`
	Offers   []FlashSaleCount `json:"offers"`
	Seq      int64            `json:"seq"`
	Room     *FlashSaleRoom   `json:"room,omitempty"` // nil when there is none
}

// FlashSaleRoom is how far a waiting room has got. Of two with the same Seq the one with the higher Rev is newer.
type FlashSaleRoom struct {
	Joined    int64   `json:"joined"` // tickets ever given
	Called    int64   `json:"called"` // places whose turn has come
	Drawn     bool    `json:"drawn"`  // whether the lots are drawn
	PerSecond float64 `json:"perSecond"`
	Rev       int64   `json:"rev"`
}

// FlashSaleCount is the counts of one variant in a sale.
type FlashSaleCount struct {
	VariantID string `json:"variantId"`
	Quantity  int    `json:"quantity"`
	Remaining int    `json:"remaining"`
	Held      int    `json:"held"`
	Sold      int    `json:"sold"`
}

// MoveToPool takes units out of stock and into the pool of a flash sale, for all lines or for none. Lines of one variant are
// summed. A move that is short is an answer, not an error; nothing is moved then. The same key gives the same answer.
var MoveToPool = call.New[PoolRequest, PoolReply]("souk.call.inventory.move_to_pool")

// MoveFromPool puts units of a pool back where they came from. The same key moves them once. INSUFFICIENT_STOCK (Conflict)
// when the pool was given fewer than that.
var MoveFromPool = call.New[PoolRequest, PoolReply]("souk.call.inventory.move_from_pool")

// PoolRequest names units and the pool they go into or come from.
type PoolRequest struct {
	IdempotencyKey string     `json:"idempotencyKey"`
	PoolID         string     `json:"poolId"` // the flash sale
	Lines          []HoldLine `json:"lines"`
}

// PoolReply tells what is short; nothing when the units were moved.
type PoolReply struct {
	Short []Shortage `json:"short,omitempty"`
}

// BookingForCheckout reads what an account has booked, with whatever stands against buying it. NOT_FOUND when there is no such
// booking, or it is another's; HOLD_EXPIRED (Conflict) when it has ended.
var BookingForCheckout = call.New[BookingRequest, BookingSnapshot]("souk.call.flashsale.checkout")

// BookingRequest names a booking and whose it should be.
type BookingRequest struct {
	BookingID string `json:"bookingId"`
	AccountID string `json:"accountId"`
}

// BookingSnapshot is a booking as a checkout needs it: one unit, at the price it was booked for.
type BookingSnapshot struct {
	BookingID string        `json:"bookingId"`
	SaleID    string        `json:"saleId"`
	Line      CartLine      `json:"line"`
	Problems  []CartProblem `json:"problems"`
}

// PayForBooking makes a booking the hold of one order. The first time it also lasts longer, by some minutes at most, so that the
// payment is not cut short. Asking again for the same order changes nothing. ALREADY_ORDERED (Conflict) when it is another order's,
// HOLD_EXPIRED (Conflict) when it has ended.
var PayForBooking = call.New[PayForBookingRequest, PayForBookingReply]("souk.call.flashsale.pay")

// PayForBookingRequest says which order pays for the booking, and how long it would like to have.
type PayForBookingRequest struct {
	BookingID string    `json:"bookingId"`
	AccountID string    `json:"accountId"`
	OrderID   string    `json:"orderId"`
	Until     time.Time `json:"until"`
}

// PayForBookingReply tells when the booking ends by itself now.
type PayForBookingReply struct {
	ExpiresAt time.Time `json:"expiresAt"`
}

// ConfirmBooking turns the booking of a paid order into a sale. HOLD_EXPIRED (Conflict) when it has ended; once confirmed it stays so.
var ConfirmBooking = call.New[BookingOfOrder, BookingReply]("souk.call.flashsale.confirm")

// ReleaseBooking gives the unit of an order back. Releasing what has ended already changes nothing; HOLD_COMMITTED (Conflict) when
// it is paid for.
var ReleaseBooking = call.New[BookingOfOrder, BookingReply]("souk.call.flashsale.release")

// CancelBooking takes a unit back that an order was sold, for the order was cancelled. Doing it again changes nothing; of what was
// released or expired there is nothing to take back. HOLD_HELD (Conflict) while the unit is not sold yet.
var CancelBooking = call.New[BookingOfOrder, BookingReply]("souk.call.flashsale.cancel")

// BookingOfOrder names a booking and the order it is the hold of.
type BookingOfOrder struct {
	BookingID string `json:"bookingId"`
	OrderID   string `json:"orderId"`
}

// BookingReply tells where the booking stands: HELD, BOOKED, CANCELLED, RELEASED, EXPIRED.
type BookingReply struct {
	Status string `json:"status"`
}
