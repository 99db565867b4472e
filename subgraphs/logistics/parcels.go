package logistics

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/viewer"
)

// The refusals of a parcel.
var (
	ErrKey        = fault.New(fault.Invalid, "INVALID", "an idempotency key has 8 to 128 characters").At("input", "idempotencyKey")
	ErrConflict   = fault.New(fault.Conflict, "IDEMPOTENCY_CONFLICT", "this key was used before with other input").At("input", "idempotencyKey")
	ErrNoLines    = fault.New(fault.Invalid, "INVALID", "name 1 to 100 lines").At("input", "lines")
	ErrQuantity   = fault.New(fault.Invalid, "INVALID", "a quantity is 1 or more")
	ErrTwice      = fault.New(fault.Invalid, "INVALID", "each line once")
	ErrNoOrder    = fault.New(fault.NotFound, "NOT_FOUND", "there is no such order").At("input", "orderId")
	ErrNoLine     = fault.New(fault.NotFound, "NOT_FOUND", "there is no such line in this order, or it is another seller's")
	ErrNoHouse    = fault.New(fault.NotFound, "NOT_FOUND", "there is no such warehouse").At("input", "warehouseId")
	ErrState      = fault.New(fault.Conflict, "WRONG_STATE", "the order is not placed, or is over").At("input", "orderId")
	ErrCourier    = fault.New(fault.Conflict, "NOT_SERVICEABLE", "no such courier goes there").At("input", "courier")
	ErrShipped    = fault.New(fault.Conflict, "ALREADY_SHIPPED", "fewer are left to ship").At("input", "lines")
	ErrNoShipment = fault.New(fault.NotFound, "NOT_FOUND", "there is no such parcel").At("input", "shipmentId")
	ErrEventID    = fault.New(fault.Invalid, "INVALID", "an event id has 1 to 128 characters").At("input", "eventId")
	ErrNote       = fault.New(fault.Invalid, "INVALID", "at most 500 characters").At("input", "note")
	ErrSilent     = fault.New(fault.Unavailable, "COURIER_UNAVAILABLE", "the parcel is saved, but the courier does not answer: send the same again")
	ErrFuture     = fault.New(fault.Invalid, "INVALID", "this is still to come").At("input", "at")
)

// A Dispatch is a wish to hand goods to a courier.
type Dispatch struct {
	OrderID        string         `json:"orderId"`
	WarehouseID    string         `json:"warehouseId"`
	Lines          []DispatchLine `json:"lines"`
	Courier        string         `json:"courier"`
	TrackingNumber string         `json:"trackingNumber"`
	Key            string         `json:"-"`
}

// A DispatchLine is goods to hand over.
type DispatchLine struct {
	OrderLineID string `json:"orderLineId"`
	Quantity    int    `json:"quantity"`
}

func (d Dispatch) check() error {
	if len(d.Key) < 8 || len(d.Key) > 128 {
		return ErrKey
	}
	if err := id.Check(id.Order, d.OrderID, "input", "orderId"); err != nil {
		return err
	}
	if err := id.Check(id.Warehouse, d.WarehouseID, "input", "warehouseId"); err != nil {
		return err
	}
	if len(d.Lines) < 1 || len(d.Lines) > 100 {
		return ErrNoLines
	}
	for i, l := range d.Lines {
		at := func(field string) []string { return []string{"input", "lines", strconv.Itoa(i), field} }
		if err := id.Check(id.OrderLine, l.OrderLineID, at("orderLineId")...); err != nil {
			return err
		}
		if l.Quantity < 1 {
			return ErrQuantity.At(at("quantity")...)
		}
		if slices.ContainsFunc(d.Lines[:i], func(o DispatchLine) bool { return o.OrderLineID == l.OrderLineID }) {
			return ErrTwice.At(at("orderLineId")...)
		}
	}
	return nil
}

// Ship hands goods of an order to a courier. Sellers ship their own goods, staff any; the same key ships once.
func (l *Logistics) Ship(ctx context.Context, who viewer.Viewer, d Dispatch) (Shipment, error) {
	if err := d.check(); err != nil {
		return Shipment{}, err
	}
	order, err := l.others.Order(ctx, d.OrderID)
	if fault.KindOf(err) == fault.NotFound {
		return Shipment{}, ErrNoOrder
	}
	if err != nil {
		return Shipment{}, err
	}
	s := Shipment{
		ID: id.New(id.Shipment), OrderID: d.OrderID, AccountID: order.AccountID, WarehouseID: d.WarehouseID, Courier: d.Courier,
		TrackingNumber: d.TrackingNumber, Status: Packed, Version: 1, CreatedAt: l.clock.Now(),
	}
	if s.Lines, s.SellerIDs, err = pick(who, order, d.Lines); err != nil {
		return Shipment{}, err
	}
	if order.Status == "CREATED" || order.Status == "CANCELLED" {
		return Shipment{}, ErrState
	}
	if s.Eta, err = l.route(ctx, d, order.Address); err != nil {
		return Shipment{}, err
	}
	s.Events = []Event{{ID: "packed", At: s.CreatedAt, Status: Packed}}
	input, err := json.Marshal(d)
	if err != nil {
		return Shipment{}, err
	}
	hash := sha256.Sum256(input)
	if s, err = l.store.Ship(ctx, Key{Owner: who.AccountID, Value: d.Key, InputHash: hash[:]}, s); err != nil {
		return Shipment{}, err
	}
	return l.book(ctx, s)
}

// Stop answers the orders: no parcel of an order that is cancelled is made up any more, unless one was before.
func (l *Logistics) Stop(ctx context.Context, orderID string) (stopped bool, err error) {
	if err := id.Check(id.Order, orderID, "orderId"); err != nil {
		return false, err
	}
	return l.store.Stop(ctx, orderID)
}

// book announces a saved parcel to its courier, should that not have been done. Sending the mutation again makes up for a silent courier.
func (l *Logistics) book(ctx context.Context, s Shipment) (Shipment, error) {
	if s.TrackingNumber != "" {
		return s, nil
	}
	number, err := l.desk.Book(ctx, s)
	if err != nil {
		return Shipment{}, fmt.Errorf("%w: %w", ErrSilent, err)
	}
	s.TrackingNumber = number
	return s, l.store.Track(ctx, s.ID, number)
}

// Announce tells the couriers again of every parcel that is under way, as a process does that starts: one may have died between saving a
// parcel and booking it, and a courier may have forgotten. Booking twice changes nothing. It returns how many were told of.
func (l *Logistics) Announce(ctx context.Context) (int, error) {
	open, err := l.store.UnderWay(ctx)
	if err != nil {
		return 0, err
	}
	for i, s := range open {
		number, err := l.desk.Book(ctx, s)
		if err == nil && s.TrackingNumber == "" {
			err = l.store.Track(ctx, s.ID, number)
		}
		if err != nil {
			return i, fmt.Errorf("announce %s: %w", s.ID, err)
		}
	}
	return len(open), nil
}

// pick finds the lines to ship among the goods that the viewer may ship.
func pick(who viewer.Viewer, order events.OrderChanged, wanted []DispatchLine) (lines []Line, sellers []string, err error) {
	for i, w := range wanted {
		n := slices.IndexFunc(order.Lines, func(l events.OrderLine) bool {
			return l.LineID == w.OrderLineID && (who.Staff() || who.Sells(l.SellerID))
		})
		if n < 0 {
			if !slices.ContainsFunc(order.Lines, func(l events.OrderLine) bool { return who.Staff() || who.Sells(l.SellerID) }) {
				return nil, nil, ErrNoOrder // nothing of theirs is in it: they need not know that it exists
			}
			return nil, nil, ErrNoLine.At("input", "lines", strconv.Itoa(i), "orderLineId")
		}
		lines = append(lines, Line{OrderLineID: w.OrderLineID, Ordered: order.Lines[n].Quantity, Quantity: w.Quantity})
		sellers = append(sellers, order.Lines[n].SellerID)
	}
	slices.Sort(sellers)
	return lines, slices.Compact(sellers), nil
}

// route makes sure that the courier goes from the warehouse to the address, and says when it should arrive.
func (l *Logistics) route(ctx context.Context, d Dispatch, to events.Address) (*time.Time, error) {
	g, err := goal(to.Country, to.Pincode)
	if err != nil {
		return nil, ErrCourier
	}
	desk, err := l.To(ctx, &g)
	if err != nil {
		return nil, err
	}
	if _, known := desk.warehouses[d.WarehouseID]; !known && desk.to != nil {
		return nil, ErrNoHouse
	}
	desk.couriers = slices.DeleteFunc(slices.Clone(desk.couriers), func(c Courier) bool { return c.Code != d.Courier })
	e := desk.Estimate(Parcel{WarehouseIDs: []string{d.WarehouseID}})
	if e == nil {
		return nil, ErrCourier
	}
	return &e.Latest, nil
}

// Report takes in what happened to a parcel. Each event counts once, in whatever order they come.
func (l *Logistics) Report(ctx context.Context, who viewer.Viewer, shipmentID string, e Event) (Shipment, error) {
	if !who.Has(viewer.ScopeLogistics) {
		return Shipment{}, fault.New(fault.Forbidden, "FORBIDDEN", "only couriers report on parcels")
	}
	if err := id.Check(id.Shipment, shipmentID, "input", "shipmentId"); err != nil {
		return Shipment{}, err
	}
	switch {
	case len(e.ID) < 1 || len(e.ID) > 128:
		return Shipment{}, ErrEventID
	case len(e.Note) > 500 || len(e.Location) > 500:
		return Shipment{}, ErrNote
	case e.At.After(l.clock.Now().Add(time.Hour)):
		return Shipment{}, ErrFuture
	}
	return l.store.Report(ctx, shipmentID, e, func(s *Shipment) error { s.move(e.Status); return nil })
}

// move takes in a status. A parcel moves forward only, and what is final stays.
func (s *Shipment) move(to Status) {
	if !s.Status.Final() && rank[to] > rank[s.Status] {
		s.Status = to
	}
}

// Tell is the event that says where the parcel stands.
func (s Shipment) Tell(at time.Time) events.ShipmentChanged {
	lines := make([]events.ShipmentLine, len(s.Lines))
	for i, l := range s.Lines {
		lines[i] = events.ShipmentLine{OrderLineID: l.OrderLineID, Quantity: l.Quantity}
	}
	return events.ShipmentChanged{At: events.At{At: at}, ShipmentID: s.ID, Version: s.Version, OrderID: s.OrderID, Status: string(s.Status), Lines: lines}
}
