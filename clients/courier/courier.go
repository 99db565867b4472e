// Package courier is the door to the companies that bring parcels.
package courier

import (
	"context"
	"time"
)

// A Parcel is what a courier is told of a shipment.
type Parcel struct {
	ShipmentID string
	Courier    string
}

// A Report is what a courier tells of a parcel. Couriers repeat themselves, and tell things late.
type Report struct {
	ShipmentID string
	EventID    string // the courier's own; the same for every repetition
	Status     string // HANDED_OVER, IN_TRANSIT, OUT_FOR_DELIVERY, DELIVERED, RETURNED, LOST
	At         time.Time
	Location   string
}

// A Desk takes parcels in.
type Desk interface {
	// Book announces a parcel and returns the courier's id for it; booking one twice gives the same id. A courier that does not answer in
	// time gives an error, and may have booked all the same.
	Book(ctx context.Context, p Parcel) (trackingNumber string, err error)
}
