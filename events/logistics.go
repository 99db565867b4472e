package events

import "github.com/souk-shop/souk/internal/call"

// SubjectShipmentChanged is where ShipmentChanged is told.
const SubjectShipmentChanged = "souk.event.logistics.shipment_changed"

// ShipmentChanged is a parcel as it is at a version.
type ShipmentChanged struct {
	At
	ShipmentID string         `json:"shipmentId"`
	Version    int            `json:"version"`
	OrderID    string         `json:"orderId"`
	Status     string         `json:"status"` // as the graph's ShipmentStatus
	Lines      []ShipmentLine `json:"lines"`
}

// ShipmentLine is goods of an order in a parcel.
type ShipmentLine struct {
	OrderLineID string `json:"orderLineId"`
	Quantity    int    `json:"quantity"`
}

// StopParcels makes sure that no parcel of an order is made up any more, unless one was: of the two the first decides, for good.
var StopParcels = call.New[StopParcelsRequest, StopParcelsReply]("souk.call.logistics.stop")

// StopParcelsRequest names an order that is to be cancelled.
type StopParcelsRequest struct {
	OrderID string `json:"orderId"`
}

// StopParcelsReply tells whether no parcel was made up, and none will be.
type StopParcelsReply struct {
	Stopped bool `json:"stopped"`
}

// Serviceable tells whether any courier goes to a postal code.
var Serviceable = call.New[ServiceableRequest, ServiceableReply]("souk.call.logistics.serviceable")

// ServiceableRequest names a postal code.
type ServiceableRequest struct {
	Pincode string `json:"pincode"`
	Country string `json:"country"`
}

// ServiceableReply names who goes there.
type ServiceableReply struct {
	Couriers []string `json:"couriers"`
}
