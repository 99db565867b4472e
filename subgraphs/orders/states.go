package orders

import (
	"fmt"
	"time"

	"github.com/souk-shop/souk/events"
)

// News returns the steps taken since the order was read.
func (o *Order) News() []Event { return o.news }

// Wake returns when the saga shall look at the order again, nil when it need not.
func (o *Order) Wake() *time.Time { return o.wake }

func (o *Order) step(now time.Time, kind, format string, args ...any) {
	o.news = append(o.news, Event{now, kind, fmt.Sprintf(format, args...)})
	o.UpdatedAt = now
}

// look asks the saga to look at the order again as soon as the change is saved.
func (o *Order) look(now time.Time) { o.wake = &now }

// A Step is what the saga does next for an order.
type Step string

// The steps of the saga. Every one may be done twice: the other side remembers.
const (
	Authorize Step = "AUTHORIZE" // ask for the promise of the money
	Commit    Step = "COMMIT"    // turn the hold into a sale
	Capture   Step = "CAPTURE"   // take the money
	Recall    Step = "RECALL"    // have no more parcels made up, for it is to be cancelled
	Fail      Step = "FAIL"      // cancel: the payment was declined
	TimeOut   Step = "TIME_OUT"  // cancel: the payment was not secured in time
	Release   Step = "RELEASE"   // give the stock back, held or sold
	Abandon   Step = "ABANDON"   // make sure that no money is kept
	Wait      Step = "WAIT"      // for the provider, the buyer, or the deadline
	Done      Step = "DONE"
)

// Next tells what the saga does next. It depends on what is saved alone, so that any process can go on where another died.
func (o Order) Next(now time.Time) Step {
	s := o.Saga
	switch {
	case o.Status == Created && s.Committing:
		return Commit
	case o.Status == Created && s.PaymentStatus == "FAILED":
		return Fail
	case o.Status == Created && !now.Before(o.Deadline):
		return TimeOut
	case o.Status == Created && s.PaymentStatus == "":
		return Authorize
	case o.Status == Created && (s.PaymentStatus == "AUTHORIZED" || s.PaymentStatus == "CAPTURED"):
		return Commit
	case o.Status == Created:
		return Wait
	case s.Cancelling != "":
		return Recall
	case o.Status == Cancelled && !s.StockSettled:
		return Release
	case o.Status == Cancelled && !s.PaymentSettled:
		return Abandon
	case o.Status != Cancelled && !s.PaymentSettled:
		return Capture
	}
	return Done
}

// learn takes in what payments says of the order's payment. Older news than what is known changes nothing.
func (o *Order) learn(now time.Time, p events.Payment) {
	s := &o.Saga
	if s.PaymentID == p.PaymentID && p.Version <= s.PaymentVersion {
		return
	}
	before := s.PaymentStatus
	s.PaymentID, s.PaymentVersion, s.PaymentStatus = p.PaymentID, p.Version, p.Status
	s.RedirectURL, s.DeclineCode = p.RedirectURL, p.DeclineCode
	if before == p.Status {
		return
	}
	switch p.Status {
	case "PENDING":
		o.step(now, "PAYMENT_PENDING", "The payment provider has not answered yet.")
	case "ACTION_REQUIRED":
		o.step(now, "PAYMENT_ACTION_REQUIRED", "The buyer has to confirm the payment.")
	case "AUTHORIZED":
		o.step(now, "PAYMENT_AUTHORIZED", "%s are promised.", p.Amount)
	case "CAPTURED":
		o.step(now, "PAYMENT_CAPTURED", "%s are taken.", p.Captured)
	case "FAILED":
		o.step(now, "PAYMENT_FAILED", "The payment was declined.")
	case "VOIDED":
		o.step(now, "PAYMENT_VOIDED", "The payment was let go.")
	case "TIMED_OUT":
		o.step(now, "PAYMENT_TIMED_OUT", "The payment provider did not answer in time.")
	case "REFUNDED", "PARTIALLY_REFUNDED":
		o.step(now, "PAYMENT_REFUNDED", "%s were given back.", p.Refunded)
	}
}

// beginCommit marks the point of no return: from here a deadline cancels no more, only a hold that has ended does.
func (o *Order) beginCommit(now time.Time) {
	if o.Next(now) == Commit {
		o.Saga.Committing = true
	}
}

// place ends a checkout well.
func (o *Order) place(now time.Time) {
	if o.Status != Created {
		return
	}
	o.step(now, "STOCK_COMMITTED", "The stock is sold to this order.")
	o.Status, o.PlacedAt = Placed, &now
	o.Saga.StockSettled, o.Saga.Committing = true, false
	o.step(now, "PLACED", "The order is placed.")
	o.look(now)
}

// cancel ends a checkout badly. What is placed is not cancelled like that any more: see askCancel.
func (o *Order) cancel(now time.Time, why CancelReason) {
	if o.Status != Created {
		return
	}
	o.Status, o.CancelReason = Cancelled, &why
	if o.Saga.Committing && why == OutOfStock {
		o.Saga.StockSettled = true // the hold has ended: there is nothing to give back
	}
	o.Saga.Committing, o.Saga.Cancelling = false, ""
	o.step(now, "CANCELLED", "%s", reasons[why])
	o.look(now)
}

// released notes that the stock is back.
func (o *Order) released(now time.Time) {
	if o.Status == Cancelled && !o.Saga.StockSettled {
		o.Saga.StockSettled = true
		if o.PlacedAt != nil {
			o.step(now, "STOCK_RETURNED", "What was sold is back in stock.")
			return
		}
		o.step(now, "STOCK_RELEASED", "The stock is back.")
	}
}

// rank orders the states after PLACED, so that parcels move an order forward only.
var rank = map[Status]int{Placed: 1, PartiallyShipped: 2, Shipped: 3, Delivered: 4}

// A Parcel is what is known of one shipment of an order.
type Parcel struct {
	ShipmentID string
	Status     string
	Lines      []events.ShipmentLine
}

// move takes in where the order's parcels are.
func (o *Order) move(now time.Time, parcels []Parcel) {
	ordered, onTheWay, arrived := 0, 0, 0
	for _, l := range o.Lines {
		ordered += l.Quantity
	}
	for _, p := range parcels {
		for _, l := range p.Lines {
			switch p.Status {
			case "DELIVERED":
				arrived += l.Quantity
				onTheWay += l.Quantity
			case "HANDED_OVER", "IN_TRANSIT", "OUT_FOR_DELIVERY":
				onTheWay += l.Quantity
			}
		}
	}
	to := o.Status
	switch {
	case arrived >= ordered:
		to = Delivered
	case onTheWay >= ordered:
		to = Shipped
	case onTheWay > 0:
		to = PartiallyShipped
	}
	if rank[o.Status] == 0 || rank[to] <= rank[o.Status] {
		return
	}
	o.Status = to
	switch to {
	case Delivered:
		o.step(now, "DELIVERED", "All of it arrived.")
	case Shipped:
		o.step(now, "SHIPPED", "All of it is on its way.")
	case PartiallyShipped:
		o.step(now, "PARTIALLY_SHIPPED", "Some of it is on its way.")
	}
}

// Tell is the event that says where the order stands.
func (o Order) Tell() events.OrderChanged {
	lines := make([]events.OrderLine, len(o.Lines))
	for i, l := range o.Lines {
		lines[i] = events.OrderLine{LineID: l.ID, VariantID: l.VariantID, ProductID: l.ProductID, SellerID: l.SellerID, Title: l.Title, Quantity: l.Quantity}
	}
	a, why := o.Address, CancelReason("")
	if o.CancelReason != nil {
		why = *o.CancelReason
	}
	return events.OrderChanged{
		At: events.At{At: o.UpdatedAt}, OrderID: o.ID, Version: o.Version, Number: o.Number(), Status: string(o.Status), CancelReason: string(why),
		AccountID: o.AccountID, CartID: o.CartID, CartVersion: o.CartVersion, BookingID: o.Saga.BookingID, Lines: lines, Total: o.Total,
		Address: events.Address{Name: a.Name, Line1: a.Line1, Line2: a.Line2, City: a.City, Region: a.Region, Pincode: a.Pincode, Country: a.Country, Phone: a.Phone},
	}
}
