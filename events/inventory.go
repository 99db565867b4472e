package events

import (
	"time"

	"github.com/souk-shop/souk/internal/call"
)

// SubjectStockChanged is where StockChanged is told.
const SubjectStockChanged = "souk.event.inventory.stock_changed"

// StockChanged is the stock of a variant over all warehouses, as it is after movement Seq.
type StockChanged struct {
	At
	VariantID string `json:"variantId"`
	ProductID string `json:"productId"`
	Available int    `json:"available"`
	State     string `json:"state"` // IN_STOCK, LOW, OUT_OF_STOCK
	Seq       int64  `json:"seq"`
}

// SubjectWarehouseSaved is where WarehouseSaved is told.
const SubjectWarehouseSaved = "souk.event.inventory.warehouse_saved"

// WarehouseSaved is a warehouse as it is at a version.
type WarehouseSaved struct {
	At
	WarehouseID string  `json:"warehouseId"`
	Version     int     `json:"version"`
	Code        string  `json:"code"`
	Name        string  `json:"name"`
	Pincode     string  `json:"pincode"`
	Country     string  `json:"country"`
	Latitude    float64 `json:"latitude"`
	Longitude   float64 `json:"longitude"`
}

// Availability tells how many of each variant can be had now; a variant nobody stocked has none.
var Availability = call.New[AvailabilityRequest, AvailabilityReply]("souk.call.inventory.availability")

// AvailabilityRequest names variants, at most 500.
type AvailabilityRequest struct {
	VariantIDs []string `json:"variantIds"`
}

// AvailabilityReply has an entry for every variant asked for.
type AvailabilityReply struct {
	Available map[string]int `json:"available"`
}

// HoldStock takes units out of what can be had, for all lines or for none, until ExpiresAt. Lines of one variant are summed.
// A hold that is short is an answer, not an error; nothing is held then. The same key gives the same answer.
var HoldStock = call.New[HoldRequest, HoldReply]("souk.call.inventory.hold")

// HoldRequest asks for units.
type HoldRequest struct {
	IdempotencyKey string     `json:"idempotencyKey"`
	OrderID        string     `json:"orderId"`
	AccountID      string     `json:"accountId"`
	Lines          []HoldLine `json:"lines"`
	ExpiresAt      time.Time  `json:"expiresAt"`
}

// HoldLine asks for units of one variant.
type HoldLine struct {
	VariantID string `json:"variantId"`
	Quantity  int    `json:"quantity"`
}

// HoldReply has the reservation, or else what is short.
type HoldReply struct {
	ReservationID string     `json:"reservationId,omitempty"`
	Short         []Shortage `json:"short,omitempty"`
}

// Shortage tells that fewer units of a variant can be had than were asked for.
type Shortage struct {
	VariantID string `json:"variantId"`
	Wanted    int    `json:"wanted"`
	Available int    `json:"available"`
}

// CommitStock turns a hold into a sale. HOLD_EXPIRED (Conflict) when the hold has ended; once committed it stays so.
var CommitStock = call.New[ReservationRequest, ReservationReply]("souk.call.inventory.commit")

// ReleaseStock gives held units back. Releasing what is released or expired already changes nothing;
// HOLD_COMMITTED (Conflict) when the units are sold.
var ReleaseStock = call.New[ReservationRequest, ReservationReply]("souk.call.inventory.release")

// Restock puts the units of a sale back where they came from: its order was cancelled. Doing it again changes nothing; of what was
// released or expired there is nothing to put back. HOLD_HELD (Conflict) while the units are not sold yet.
var Restock = call.New[ReservationRequest, ReservationReply]("souk.call.inventory.restock")

// ReservationRequest names a hold.
type ReservationRequest struct {
	ReservationID string `json:"reservationId"`
}

// ReservationReply tells where the hold stands: HELD, COMMITTED, RESTOCKED, RELEASED, EXPIRED.
type ReservationReply struct {
	Status string `json:"status"`
}
