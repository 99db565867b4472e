// Package logistics knows whether goods can be brought somewhere, when they would arrive, and where parcels are.
package logistics

import (
	"context"
	"time"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/money"
	"github.com/souk-shop/souk/internal/viewer"
)

// A Place is a postal code somebody may live in.
type Place struct {
	Country   string // ISO 3166-1 alpha-2
	Pincode   string
	City      string
	Latitude  float64 // degrees north
	Longitude float64 // degrees east
	COD       bool    // the parcel can be paid at the door
}

// A Courier brings parcels.
type Courier struct {
	Code      string
	Countries []string
	KmPerDay  float64
	// What a parcel costs: a base, and so much for each started kilogram and each started 1,000 km.
	Base, PerKg, PerMm money.Money
}

// Goes tells whether the courier goes from one country to another: all of ours stay within one.
func (c Courier) Goes(from, to string) bool {
	if from != to {
		return false
	}
	for _, country := range c.Countries {
		if country == to {
			return true
		}
	}
	return false
}

// A Warehouse is where parcels start.
type Warehouse struct {
	ID, Country         string
	Latitude, Longitude float64
}

// A Serviceability tells whether a postal code is reached.
type Serviceability struct {
	Pincode  string
	Couriers []string
	Cod      bool
}

// Serviceable tells whether anybody goes there.
func (s Serviceability) Serviceable() bool { return len(s.Couriers) > 0 }

// A Status is where a parcel stands. DELIVERED, RETURNED and LOST are final.
type Status string

// The states of a parcel.
const (
	Packed         Status = "PACKED"
	HandedOver     Status = "HANDED_OVER"
	InTransit      Status = "IN_TRANSIT"
	OutForDelivery Status = "OUT_FOR_DELIVERY"
	Delivered      Status = "DELIVERED"
	Returned       Status = "RETURNED"
	Lost           Status = "LOST"
)

// Final tells whether nothing happens to such a parcel any more.
func (s Status) Final() bool { return s == Delivered || s == Returned || s == Lost }

// rank orders the states before the end: a parcel moves forward only, however late news of the past come in.
var rank = map[Status]int{Packed: 0, HandedOver: 1, InTransit: 2, OutForDelivery: 3, Delivered: 4, Returned: 4, Lost: 4}

// A Shipment is a parcel.
type Shipment struct {
	ID             string
	OrderID        string
	AccountID      string   // who receives it
	SellerIDs      []string // whose goods are in it
	WarehouseID    string
	Courier        string
	TrackingNumber string
	Status         Status
	Version        int
	Eta            *time.Time
	Lines          []Line
	Events         []Event // in the order in which they happened
	CreatedAt      time.Time
}

// Key returns the shipment's id.
func (s Shipment) Key() string { return s.ID }

// IsEntity lets other subgraphs refer to shipments.
func (Shipment) IsEntity() {}

// VisibleTo tells whether somebody may see the parcel: who receives it, whose goods are in it, and staff.
func (s Shipment) VisibleTo(who viewer.Viewer) bool {
	if who.Is(s.AccountID) || who.Staff() || who.Has(viewer.ScopeLogistics) {
		return true
	}
	for _, seller := range s.SellerIDs {
		if who.Sells(seller) {
			return true
		}
	}
	return false
}

// A Line is goods of an order in a parcel.
type Line struct {
	OrderLineID string
	Ordered     int // how many the order has of it
	Quantity    int
}

// An Event is something that happened to a parcel.
type Event struct {
	ID       string // the courier's
	At       time.Time
	Status   Status
	Location string
	Note     string
}

// A Reader answers questions. Rows come in any order; unknown ids are left out.
type Reader interface {
	ShipmentsByID(ctx context.Context, ids []string) ([]Shipment, error)
	ShipmentsOfOrders(ctx context.Context, orderIDs []string) (map[string][]Shipment, error)
	// PlaceAt finds what is known of a postal code: its own place, or else the middle of the places that begin alike; nil for none.
	PlaceAt(ctx context.Context, country, pincode string) (*Place, error)
	Warehouses(ctx context.Context) ([]Warehouse, error)
	Couriers(ctx context.Context) ([]Courier, error)
}

// A Store also changes things.
type Store interface {
	Reader
	// Ship saves a parcel under its sender's key, unless the key names one already: then that one is returned. ErrShipped when a line has fewer left.
	// ErrState when the order was stopped.
	Ship(ctx context.Context, key Key, s Shipment) (Shipment, error)
	// Stop decides that no parcel of an order is ever made up, unless one was; it tells which of the two stands.
	Stop(ctx context.Context, orderID string) (stopped bool, err error)
	// UnderWay finds the parcels that have not come to an end, at most a thousand, the oldest of the last ninety days first.
	UnderWay(ctx context.Context) ([]Shipment, error)
	// Track notes the courier's id for a parcel.
	Track(ctx context.Context, shipmentID, number string) error
	// Report locks the parcel and runs the rule, unless the event was reported before; it tells of the change.
	Report(ctx context.Context, shipmentID string, e Event, rule func(*Shipment) error) (Shipment, error)
}

// A Key makes shipping safe to repeat.
type Key struct {
	Owner     string // who sent it
	Value     string
	InputHash []byte
}

// Others is what logistics asks of other subgraphs.
type Others interface {
	// Order tells how an order stands; a NOT_FOUND fault when there is none.
	Order(ctx context.Context, orderID string) (events.OrderChanged, error)
	// DefaultAddress finds the address that an account's estimates start from; nil when it has none.
	DefaultAddress(ctx context.Context, accountID string) (*events.Address, error)
}

// Desk is where a courier takes parcels in.
type Desk interface {
	// Book announces a parcel and returns the courier's id for it; booking one twice gives the same id.
	Book(ctx context.Context, s Shipment) (trackingNumber string, err error)
}

// Logistics is what the shop can do with parcels.
type Logistics struct {
	Reader
	store  Store
	others Others
	desk   Desk
	clock  clock.Clock
}

// New returns the shop's logistics.
func New(s Store, o Others, d Desk, c clock.Clock) *Logistics { return &Logistics{s, s, o, d, c} }
