package main

import (
	"strings"
	"testing"
	"time"

	"github.com/souk-shop/souk/internal/money"
	"github.com/souk-shop/souk/subgraphs/flashsale"
	"github.com/souk-shop/souk/subgraphs/inventory"
	"github.com/souk-shop/souk/subgraphs/orders"
	"github.com/souk-shop/souk/subgraphs/payments"
)

// Whatever the three may disagree on is found, and nothing is found where they agree.
func TestDisagreements(t *testing.T) {
	t.Parallel()
	usd := func(cents int64) money.Money { return money.Money{Amount: cents, Currency: "USD"} }
	placed := func() fact {
		return fact{
			order:    orders.Order{ID: "ord_1", Status: orders.Placed, Total: usd(3980), Lines: []orders.Line{{VariantID: "var_1", Quantity: 2}}},
			hold:     &inventory.Reservation{Status: inventory.Committed, Lines: []inventory.Line{{VariantID: "var_1", Quantity: 1}, {VariantID: "var_1", WarehouseID: "wh_2", Quantity: 1}}},
			payments: []payments.Payment{{ID: "pay_1", Status: payments.Captured, Captured: usd(3980)}},
		}
	}
	cancelled := func() fact {
		f := placed()
		f.order.Status, f.hold.Status = orders.Cancelled, inventory.Released
		f.payments = []payments.Payment{{ID: "pay_1", Status: payments.Voided}}
		return f
	}
	booked := func() fact {
		f := placed()
		f.order.Saga.Hold = orders.Hold{BookingID: "fsb_1"}
		f.order.Lines[0].Quantity = 1
		f.hold, f.booking = nil, &flashsale.Booking{ID: "fsb_1", Status: flashsale.Booked, OrderID: "ord_1", VariantID: "var_1", UnitPrice: usd(3980)}
		return f
	}
	at := time.Now()
	undone := func() fact { // cancelled after it was placed
		f := placed()
		f.order.Status, f.order.PlacedAt, f.hold.Status = orders.Cancelled, &at, inventory.Restocked
		f.payments = []payments.Payment{{ID: "pay_1", Status: payments.Refunded, Captured: usd(3980), Refunded: usd(3980)}}
		return f
	}
	unbooked := func() fact {
		f := undone()
		f.order.Saga.Hold = orders.Hold{BookingID: "fsb_1"}
		f.hold, f.booking = nil, &flashsale.Booking{ID: "fsb_1", Status: flashsale.Undone, OrderID: "ord_1", VariantID: "var_1", UnitPrice: usd(3980)}
		return f
	}
	for name, c := range map[string]struct {
		fact  fact
		spoil func(*fact)
		want  string // part of the finding, "" for none
	}{
		"placed":                     {placed(), func(*fact) {}, ""},
		"placed, given back by hand": {placed(), func(f *fact) { f.payments[0].Refunded = usd(3980) }, ""},
		"cancelled":                  {cancelled(), func(*fact) {}, ""},
		"cancelled, refunded":        {cancelled(), func(f *fact) { f.payments[0].Captured, f.payments[0].Refunded = usd(3980), usd(3980) }, ""},
		"cancelled before it paid":   {cancelled(), func(f *fact) { f.payments = nil }, ""},
		"booked":                     {booked(), func(*fact) {}, ""},
		"no booking":                 {booked(), func(f *fact) { f.booking = nil }, "there is no booking"},
		"a unit released":            {booked(), func(f *fact) { f.booking.Status = flashsale.Released }, "its booking is RELEASED"},
		"another's booking":          {booked(), func(f *fact) { f.booking.OrderID = "ord_2" }, `its booking is BOOKED for order "ord_2"`},
		"cancelled, unit booked":     {booked(), func(f *fact) { f.order.Status, f.payments = orders.Cancelled, nil }, "its booking is BOOKED"},
		"undone":                     {undone(), func(*fact) {}, ""},
		"undone, only released":      {undone(), func(f *fact) { f.hold.Status = inventory.Released }, "its units are RELEASED, and it was placed"},
		"undone, fewer came back":    {undone(), func(f *fact) { f.hold.Lines = f.hold.Lines[:1] }, "other units were sold"},
		"undone, money kept":         {undone(), func(f *fact) { f.payments[0].Refunded = usd(3979) }, "keeps 1"},
		"never placed, restocked":    {cancelled(), func(f *fact) { f.hold.Status = inventory.Restocked }, "its units are RESTOCKED"},
		"placed, restocked":          {placed(), func(f *fact) { f.hold.Status = inventory.Restocked }, "its units are RESTOCKED"},
		"unbooked":                   {unbooked(), func(*fact) {}, ""},
		"unbooked, still booked":     {unbooked(), func(f *fact) { f.booking.Status = flashsale.Booked }, "its booking is BOOKED"},
		"unbooked, only released":    {unbooked(), func(f *fact) { f.booking.Status = flashsale.Released }, "its booking is RELEASED"},
		"unbooked for another":       {unbooked(), func(f *fact) { f.booking.OrderID = "ord_2" }, `for order "ord_2"`},
		"another variant booked":     {booked(), func(f *fact) { f.booking.VariantID = "var_2" }, "other units were booked"},
		"another price":              {booked(), func(f *fact) { f.booking.UnitPrice = usd(1) }, "it was booked for"},
		"taken twice, in halves":     {booked(), func(f *fact) { f.payments[0].Captured = usd(1990); f.payments = append(f.payments, f.payments[0]) }, "taken for it 2 times"},
		"no hold":                    {placed(), func(f *fact) { f.hold = nil }, "there is no reservation"},
		"units went back":            {placed(), func(f *fact) { f.hold.Status = inventory.Expired }, "its units are EXPIRED"},
		"fewer units":                {placed(), func(f *fact) { f.hold.Lines = f.hold.Lines[:1] }, "other units were sold"},
		"not paid":                   {placed(), func(f *fact) { f.payments = nil }, "0 of minor units were taken"},
		"paid twice":                 {placed(), func(f *fact) { f.payments = append(f.payments, f.payments[0]) }, "7960 of minor units were taken"},
		"only promised":              {placed(), func(f *fact) { f.payments[0].Status, f.payments[0].Captured = payments.Authorized, usd(0) }, "only promised"},
		"too much given back":        {placed(), func(f *fact) { f.payments[0].Refunded = usd(3981) }, "gave more back"},
		"cancelled, units sold":      {cancelled(), func(f *fact) { f.hold.Status = inventory.Committed }, "its units are COMMITTED"},
		"cancelled, money kept":      {cancelled(), func(f *fact) { f.payments[0].Captured = usd(1) }, "keeps 1"},
	} {
		c.spoil(&c.fact)
		got := strings.Join(c.fact.disagreements(), "\n")
		if (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
