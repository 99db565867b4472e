package orders_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/money"
	"github.com/souk-shop/souk/subgraphs/orders"
)

func TestParcelsMoveAnOrderForward(t *testing.T) {
	w := newWorld(t, 5)
	w.cart.Lines[0].Quantity = 2
	w.cart.Total = money.Money{Amount: 3980, Currency: "USD"}
	in := w.input("key-00000001")
	in.ExpectedTotal = w.cart.Total
	o := w.buy(in).Order
	parcel := func(shipment, status string, n int) orders.Parcel {
		return orders.Parcel{ShipmentID: shipment, Status: status, Lines: []events.ShipmentLine{{OrderLineID: o.Lines[0].ID, Quantity: n}}}
	}
	for _, step := range []struct {
		parcels []orders.Parcel
		want    orders.Status
	}{
		{[]orders.Parcel{parcel("a", "PACKED", 1)}, orders.Placed},
		{[]orders.Parcel{parcel("a", "HANDED_OVER", 1)}, orders.PartiallyShipped},
		{[]orders.Parcel{parcel("a", "DELIVERED", 1)}, orders.PartiallyShipped},
		{[]orders.Parcel{parcel("a", "DELIVERED", 1), parcel("b", "IN_TRANSIT", 1)}, orders.Shipped},
		{[]orders.Parcel{parcel("a", "DELIVERED", 1), parcel("b", "LOST", 1)}, orders.Shipped},
		{[]orders.Parcel{parcel("a", "DELIVERED", 1), parcel("b", "DELIVERED", 1)}, orders.Delivered},
		{[]orders.Parcel{parcel("a", "IN_TRANSIT", 1)}, orders.Delivered},
	} {
		got, err := w.store.Change(t.Context(), o.ID, w.saga.ParcelsMoved(step.parcels))
		if err != nil || got.Status != step.want {
			t.Errorf("%v: %s, %v, want %s", step.parcels, got.Status, err, step.want)
		}
	}

	// One that was cancelled stays so, whatever a courier says, and the news is taken in like any other.
	w.cart.CartID = id.New(id.Cart)
	in = w.input("key-00000002")
	in.ExpectedTotal = w.cart.Total
	o = w.buy(in).Order
	w.cancel(o.ID, "cancel-00000001")
	got, err := w.store.Change(t.Context(), o.ID, w.saga.ParcelsMoved([]orders.Parcel{parcel("c", "IN_TRANSIT", 2)}))
	if err != nil || got.Status != orders.Cancelled {
		t.Errorf("a parcel of a cancelled order: %s, %v", got.Status, err)
	}
}

// News of a parcel that comes late does not take it back: the order is delivered once all of its parcels are.
func TestLateNewsOfAParcel(t *testing.T) {
	w := newWorld(t, 5)
	w.cart.Lines[0].Quantity = 2
	o := w.buy(w.input("key-00000001")).Order
	hear := func(shipment, status string, version int) orders.Status {
		t.Helper()
		e := events.ShipmentChanged{ShipmentID: shipment, OrderID: o.ID, Version: version, Status: status, Lines: []events.ShipmentLine{{OrderLineID: o.Lines[0].ID, Quantity: 1}}}
		if err := pgx.BeginFunc(t.Context(), w.pool, func(tx pgx.Tx) error { return w.store.MoveParcel(t.Context(), tx, e, w.saga.ParcelsMoved) }); err != nil {
			t.Fatal(err)
		}
		found, err := w.store.OrdersByID(t.Context(), []string{o.ID})
		if err != nil {
			t.Fatal(err)
		}
		return found[0].Status
	}
	for _, step := range []struct {
		shipment, status string
		version          int
		want             orders.Status
	}{
		{"a", "DELIVERED", 3, orders.PartiallyShipped},
		{"a", "IN_TRANSIT", 2, orders.PartiallyShipped},
		{"a", "DELIVERED", 3, orders.PartiallyShipped},
		{"b", "IN_TRANSIT", 2, orders.Shipped},
		{"a", "PACKED", 1, orders.Shipped},
		{"b", "DELIVERED", 3, orders.Delivered},
	} {
		if got := hear(step.shipment, step.status, step.version); got != step.want {
			t.Errorf("%s is %s: the order is %s, want %s", step.shipment, step.status, got, step.want)
		}
	}
}
