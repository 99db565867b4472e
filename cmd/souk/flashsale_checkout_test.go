package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/souk-shop/souk/internal/id"
)

// What is promised of a flash sale's checkout, through the gateway, each under the number of its requirement. In this shop an order
// waits three seconds for its payment.
func TestFlashSaleCheckout(t *testing.T) {
	t.Parallel()
	s := openShop(t, map[string]string{"SOUK_ORDER_EXPIRY": "3s"})
	t.Cleanup(s.agrees) // once all of them, which run beside each other, are done
	for name, test := range map[string]func(*testing.T, *testShop){
		"S103 guests look and accounts book":                   guestsLook,
		"S104 S117 S132 a booking is checked out by its id":    checkedOutByID,
		"S106 a cancelled order is refunded and restocked":     refundedAndRestocked,
		"S106 and goes back into stock once the sale is over":  restockedAfterTheSale,
		"S115 S130 a booking has its user, item and price":     bookingHasAll,
		"S118 what fails at any stage gives the unit back":     failsAtAnyStage,
		"S123 the timeline lists each step":                    timelineListsAll,
		"S125 one call takes all that a sale has":              allInOneCall,
		"S126 S128 the sale is seen and the product chosen":    seenAndChosen,
		"S129 booking returns the counts":                      bookingReturnsCounts,
		"S134 events are exported in order, and shown at once": exportedInOrder,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, s.in(t))
		})
	}
}

const liveOf = `query ($id: ID!) { flashSale(id: $id) { status live { remaining held sold seq } } }`

// live waits until the counts of a sale are as said: remaining, held and sold.
func (s *testShop) live(sale, counts string) answer {
	s.t.Helper()
	return s.guest().until(liveOf, vars{"id": sale}, func(a answer) bool {
		return fmt.Sprintf("%d/%d/%d", number(a.at("flashSale.live.remaining")), number(a.at("flashSale.live.held")), number(a.at("flashSale.live.sold"))) == counts
	})
}

// books books a unit, which has to be there.
func (b buyer) books(sale string) string {
	b.t.Helper()
	got := b.book(sale)
	if text(got.at("flashSaleBook.result.kind")) != "FlashSaleBooking" {
		b.t.Fatalf("%v", got.data)
	}
	return text(got.at("flashSaleBook.result.id"))
}

const bookingOf = `query ($id: ID!) { flashSaleBooking(id: $id) { id status unitPrice { amount currencyCode } account { id } variant { id sku product { title } } sale { id } } }`

func guestsLook(t *testing.T, s *testShop) {
	sale := s.flashSale(s.sell("Guarded Lamp", "19.90", 1, 1).variants[0], "9.90", 1)
	if got := s.guest().do(flashSaleOf, vars{"id": sale}); text(got.at("flashSale.title")) != "Midnight Sale" {
		t.Errorf("%v", got.data)
	}
	if _, a := s.guest().ask(flashSaleBook, vars{"i": map[string]any{"saleId": sale, "idempotencyKey": id.New(id.Event)}}); a.code(0) != "UNAUTHENTICATED flashSaleBook" {
		t.Errorf("a guest booked: %v %v", a.data, a.errors)
	}
}

// The same mutation buys a cart and a booking, and answers with the same kinds.
func checkedOutByID(t *testing.T, s *testShop) {
	v := s.sell("Numbered Lamp", "19.90", 1, 2).variants[0]
	sale := s.flashSale(v, "9.90", 1)
	ann, eve := s.buyer(), s.buyer()
	booking := ann.books(sale)
	in := map[string]any{"bookingId": booking, "addressId": eve.address, "paymentMethodId": eve.card("4242"), "expectedTotal": usd("9.90"), "idempotencyKey": id.New(id.Event)}
	if _, a := eve.ask(checkout, vars{"i": in}); text(a.at("checkoutComplete.userErrors.0.code")) != "NOT_FOUND" {
		t.Errorf("another's booking was bought: %v", a.data)
	}
	paid := ann.payBooking(booking, "9.90", "4242")
	order := text(paid.at("checkoutComplete.result.order.id"))
	if bought(paid) != "CheckoutPlaced" {
		t.Fatalf("%v", paid.data)
	}
	got := s.settled(order)
	if text(got.at("order.cost.total.amount")) != "9.90" || text(got.at("order.lines.0.variant.id")) != v || number(got.at("order.lines.0.quantity")) != 1 {
		t.Errorf("%v", got.data)
	}
	if got := ann.do(bookingOf, vars{"id": booking}); text(got.at("flashSaleBooking.status")) != "BOOKED" {
		t.Errorf("%v", got.data)
	}
	if got := ann.buy(v, 1, "4242"); bought(got) != "CheckoutPlaced" {
		t.Errorf("a cart beside it: %v", got.data)
	}
}

func refundedAndRestocked(t *testing.T, s *testShop) {
	v := s.sell("Repented Lamp", "19.90", 1, 3).variants[0]
	sale := s.flashSale(v, "9.90", 1)
	ann, bob := s.buyer(), s.buyer()
	booking := ann.books(sale)
	in := vars{"i": map[string]any{"bookingId": booking, "addressId": ann.address, "paymentMethodId": ann.card("4242"), "expectedTotal": usd("9.90"), "idempotencyKey": id.New(id.Event)}}
	order := text(ann.do(checkout, in).at("checkoutComplete.result.order.id"))
	s.settled(order) // its money is taken
	s.live(sale, "0/0/1")
	w := ann.watch(`subscription ($id: ID!) { orderUpdated(id: $id) { status cancelReason timeline { kind } } }`, vars{"id": order})
	if got := bob.cancel(order); got != "NOT_FOUND" {
		t.Errorf("another's order was cancelled: %s", got)
	}
	for range 2 {
		if got := ann.cancel(order); got != "CANCELLED" {
			t.Errorf("%s", got)
		}
	}
	w.until(func(a answer) bool {
		return text(a.at("orderUpdated.status")) == "CANCELLED" && text(a.at("orderUpdated.cancelReason")) == "CUSTOMER"
	})
	done := s.settled(order)
	payment := text(done.at("order.payments.0.id"))
	if text(done.at("order.paymentStatus")) != "REFUNDED" || text(done.at("order.payments.0.refunded.amount")) != "9.90" || s.kept(payment) != 0 {
		t.Errorf("%v, and the provider keeps %d", done.data, s.kept(payment))
	}
	s.live(sale, "1/0/0")
	if again := ann.do(checkout, in); bought(again) != "CheckoutPlaced" || text(again.at("checkoutComplete.result.order.status")) != "CANCELLED" || text(again.at("checkoutComplete.result.order.id")) != order {
		t.Errorf("the checkout, sent again: %v", again.data)
	}
	if got := ann.do(bookingOf, vars{"id": booking}); text(got.at("flashSaleBooking.status")) != "CANCELLED" {
		t.Errorf("%v", got.data)
	}
	// While the sale runs the unit is anybody's, also the one's who gave it back.
	again := ann.books(sale)
	if got := bob.book(sale); text(got.at("flashSaleBook.result.kind")) != "FlashSaleSoldOut" {
		t.Errorf("%v", got.data)
	}
	if got := ann.payBooking(again, "9.90", "4242"); bought(got) != "CheckoutPlaced" {
		t.Errorf("%v", got.data)
	}
	s.live(sale, "0/0/1")
	if n := s.available(v); n != 2 {
		t.Errorf("%d in stock beside a sale of one of three", n)
	}
}

func restockedAfterTheSale(t *testing.T, s *testShop) {
	v := s.sell("Belated Lamp", "19.90", 1, 3).variants[0]
	sale := s.flashSale(v, "9.90", 2)
	ann := s.buyer()
	order := text(ann.payBooking(ann.books(sale), "9.90", "4242").at("checkoutComplete.result.order.id"))
	s.seller.do(`mutation ($id: ID!) { flashSaleCancel(input: {id: $id}) { flashSale { status } userErrors { code } } }`, vars{"id": sale})
	s.untilAvailable(v, 2) // the one that was left of the sale is back
	if got := ann.cancel(order); got != "CANCELLED" {
		t.Errorf("%s", got)
	}
	s.settled(order)
	s.untilAvailable(v, 3)
	s.live(sale, "0/0/0")
}

func bookingHasAll(t *testing.T, s *testShop) {
	v := s.sell("Complete Lamp", "19.90", 1, 1).variants[0]
	sale := s.flashSale(v, "9.90", 1)
	ann := s.buyer()
	me := text(ann.do(`{ me { id } }`, nil).at("me.id"))
	got := ann.do(bookingOf, vars{"id": ann.books(sale)})
	for field, want := range map[string]string{
		"status": "HELD", "unitPrice.amount": "9.90", "unitPrice.currencyCode": "USD", "account.id": me, "variant.id": v, "variant.product.title": "Complete Lamp", "sale.id": sale,
	} {
		if is := text(got.at("flashSaleBooking." + field)); is != want {
			t.Errorf("%s: %q, want %q", field, is, want)
		}
	}
}

// One unit, and whatever goes wrong between the booking and the money: the next one finds it there.
func failsAtAnyStage(t *testing.T, s *testShop) {
	v := s.sell("Unlucky Lamp", "19.90", 1, 1).variants[0]
	sale := s.flashSale(v, "9.90", 1)
	for name, fail := range map[string]func(b buyer, booking string){
		"released before the checkout": func(b buyer, booking string) {
			b.do(`mutation ($i: FlashSaleReleaseInput!) { flashSaleRelease(input: $i) { booking { status } userErrors { code } } }`, vars{"i": map[string]any{"bookingId": booking}})
		},
		"declined": func(b buyer, booking string) {
			if got := bought(b.payBooking(booking, "9.90", "0002")); got != "CheckoutPaymentFailed" {
				t.Errorf("declined: %s", got)
			}
		},
		"refused at the bank": func(b buyer, booking string) {
			page := text(b.payBooking(booking, "9.90", "3220").at("checkoutComplete.result.redirectUrl"))
			res, err := http.Post(page+"/refuse", "", nil)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
		},
		"cancelled at the bank": func(b buyer, booking string) {
			if got := b.cancel(text(b.payBooking(booking, "9.90", "3220").at("checkoutComplete.result.order.id"))); got != "CANCELLED" {
				t.Errorf("cancelled at the bank: %s", got)
			}
		},
		"never answered": func(b buyer, booking string) { b.payBooking(booking, "9.90", "0044") },
		"cancelled once placed": func(b buyer, booking string) {
			if got := b.cancel(text(b.payBooking(booking, "9.90", "4242").at("checkoutComplete.result.order.id"))); got != "CANCELLED" {
				t.Errorf("cancelled once placed: %s", got)
			}
		},
	} {
		b := s.buyer()
		fail(b, b.books(sale))
		s.live(sale, "1/0/0")
		t.Log(name)
	}
	lucky := s.buyer()
	if got := lucky.payBooking(lucky.books(sale), "9.90", "4242"); bought(got) != "CheckoutPlaced" {
		t.Errorf("%v", got.data)
	}
	s.live(sale, "0/0/1")
}

// What the saga did is written down step by step, and what it wrote agrees with what stock and money keep (see agrees).
func timelineListsAll(t *testing.T, s *testShop) {
	sale := s.flashSale(s.sell("Recorded Lamp", "19.90", 1, 1).variants[0], "9.90", 1)
	ann := s.buyer()
	order := text(ann.payBooking(ann.books(sale), "9.90", "4242").at("checkoutComplete.result.order.id"))
	steps := func(a answer) string {
		var kinds []string
		for _, e := range list(a.at("order.timeline")) {
			kinds = append(kinds, text(walk(e, "kind")))
		}
		return strings.Join(kinds, " ")
	}
	const paid = "STOCK_HELD CREATED PAYMENT_AUTHORIZED STOCK_COMMITTED PLACED PAYMENT_CAPTURED"
	ann.until(orderOf, vars{"id": order}, func(a answer) bool { return steps(a) == paid })
	ann.cancel(order)
	ann.until(orderOf, vars{"id": order}, func(a answer) bool {
		return steps(a) == paid+" CANCEL_REQUESTED CANCELLED STOCK_RETURNED PAYMENT_REFUNDED"
	})
}

// One call sets up all that a sale has, and what was said is what the sale shows.
func allInOneCall(t *testing.T, s *testShop) {
	lamp := s.sell("Particular Lamp", "19.90", 2, 9)
	at := func(wait time.Duration) string {
		return time.Now().UTC().Add(wait).Truncate(time.Second).Format(time.RFC3339)
	}
	sale := map[string]any{
		"title": "By Appointment", "limitPerAccount": 3, "holdSeconds": 77, "startsAt": at(2 * time.Hour), "endsAt": at(3 * time.Hour), "admission": "FIFO",
		"roomOpensAt": at(time.Hour), "challengeDifficulty": 4321, "admitPerSecond": 17, "admissionSeconds": 88,
	}
	in := map[string]any{"idempotencyKey": id.New(id.Event), "offers": []map[string]any{
		{"variantId": lamp.variants[0], "price": usd("9.90"), "quantity": 4, "limitPerAccount": 2}, {"variantId": lamp.variants[1], "price": usd("8.90"), "quantity": 5, "limitPerAccount": 1}}}
	maps.Copy(in, sale)
	typed := s.guest().do(`{ __type(name: "FlashSaleSaveInput") { inputFields { name } } }`, nil)
	for _, f := range list(typed.at("__type.inputFields")) {
		if name := text(walk(f, "name")); in[name] == nil && name != "id" { // which names a sale that is there already
			t.Errorf("nobody says %s", name)
		}
	}
	saved := text(s.seller.do(flashSaleSave, vars{"i": in}).at("flashSaleSave.flashSale.id"))
	got := s.guest().do(`query ($id: ID!) { flashSale(id: $id) { status title limitPerAccount holdSeconds startsAt endsAt admission roomOpensAt challengeDifficulty admitPerSecond admissionSeconds
		offers { variant { id } price { amount currencyCode } quantity limitPerAccount } live { remaining } } }`, vars{"id": saved})
	for field, want := range sale {
		if is := got.at("flashSale." + field); fmt.Sprint(is) != fmt.Sprint(want) {
			t.Errorf("%s: %v, want %v", field, is, want)
		}
	}
	for i, o := range in["offers"].([]map[string]any) {
		is := list(got.at("flashSale.offers"))[i]
		if walk(is, "variant.id") != o["variantId"] || !reflect.DeepEqual(walk(is, "price"), o["price"]) || number(walk(is, "quantity")) != o["quantity"] || number(walk(is, "limitPerAccount")) != o["limitPerAccount"] {
			t.Errorf("%v, want %v", is, o)
		}
	}
	if text(got.at("flashSale.status")) != "SCHEDULED" || number(got.at("flashSale.live.remaining")) != 9 || s.available(lamp.variants[0]) != 5 || s.available(lamp.variants[1]) != 4 {
		t.Errorf("%v, %d and %d of 9 in stock", got.data, s.available(lamp.variants[0]), s.available(lamp.variants[1]))
	}
}

func seenAndChosen(t *testing.T, s *testShop) {
	lamp := s.sell("Chosen Lamp", "19.90", 3, 2)
	var offers []map[string]any
	for i, v := range lamp.variants {
		offers = append(offers, map[string]any{"variantId": v, "price": usd(fmt.Sprintf("%d.90", i+7)), "quantity": 1})
	}
	got := s.seller.do(flashSaleSave, vars{"i": map[string]any{
		"title": "Three Shades", "offers": offers, "admission": "OPEN_DOOR", "startsAt": time.Now().UTC(), "endsAt": time.Now().UTC().Add(time.Hour), "idempotencyKey": id.New(id.Event)}})
	sale := text(got.at("flashSaleSave.flashSale.id"))
	ann := s.buyer()
	seen := ann.do(`query ($id: ID!) { flashSale(id: $id) { title status offers { price { amount } quantity variant { id options { value } product { title slug } } } } }`, vars{"id": sale})
	if text(seen.at("flashSale.title")) != "Three Shades" || text(seen.at("flashSale.status")) != "OPEN" || len(list(seen.at("flashSale.offers"))) != 3 {
		t.Errorf("%v", seen.data)
	}
	for i, v := range lamp.variants {
		o := list(seen.at("flashSale.offers"))[i]
		if text(walk(o, "variant.id")) != v || text(walk(o, "variant.product.title")) != "Chosen Lamp" || text(walk(o, "price.amount")) != fmt.Sprintf("%d.90", i+7) {
			t.Errorf("%v", o)
		}
	}
	book := func(input map[string]any) answer {
		input["saleId"], input["idempotencyKey"] = sale, id.New(id.Event)
		_, a := ann.ask(flashSaleBook, vars{"i": input})
		return a
	}
	if a := book(map[string]any{}); text(a.at("flashSaleBook.userErrors.0.code")) != "INVALID" {
		t.Errorf("booked without choosing: %v", a.data)
	}
	a := book(map[string]any{"variantId": lamp.variants[1]})
	chosen := ann.do(bookingOf, vars{"id": a.at("flashSaleBook.result.id")})
	if text(chosen.at("flashSaleBooking.variant.id")) != lamp.variants[1] || text(chosen.at("flashSaleBooking.unitPrice.amount")) != "8.90" {
		t.Errorf("%v", chosen.data)
	}
}

func bookingReturnsCounts(t *testing.T, s *testShop) {
	sale := s.flashSale(s.sell("Counted Lamp", "19.90", 1, 3).variants[0], "9.90", 3)
	for held := 1; held <= 4; held++ { // the fourth comes too late, and is told so with the same counts
		got := s.buyer().book(sale)
		want := fmt.Sprintf("%d/%d/0", max(3-held, 0), min(held, 3))
		if is := fmt.Sprintf("%d/%d/%d", number(got.at("flashSaleBook.live.remaining")), number(got.at("flashSaleBook.live.held")), number(got.at("flashSaleBook.live.sold"))); is != want {
			t.Errorf("after %d: %s, want %s", held, is, want)
		}
		s.live(sale, want)
	}
}

// exported reads the events of the shop as somebody outside of it does, behind a sequence.
func (s *testShop) exported(after uint64, subjects ...string) (all []exported) {
	s.t.Helper()
	args := []string{"export", "events", "--after", strconv.FormatUint(after, 10)}
	for _, subject := range subjects {
		args = append(args, "--subject", subject)
	}
	var out bytes.Buffer
	if err := souk(s.t.Context(), args, s.config.getenv, &out, s.t.Output()); err != nil {
		s.t.Fatal(err)
	}
	lines := bufio.NewScanner(&out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e exported
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			s.t.Fatalf("%v: %s", err, lines.Text())
		}
		all = append(all, e)
	}
	return all
}

// Whoever keeps the history of orders elsewhere gets every state of an order, a sale and a payment, in the order in which they came
// true, from wherever they stopped; and the buyer finds the order among their own at once.
func exportedInOrder(t *testing.T, s *testShop) {
	sale := s.flashSale(s.sell("Chronicled Lamp", "19.90", 1, 1).variants[0], "9.90", 1)
	ann := s.buyer()
	booking := ann.books(sale)
	order := text(ann.payBooking(booking, "9.90", "4242").at("checkoutComplete.result.order.id"))
	if mine := ann.do(`{ me { orders { totalCount nodes { id status } } } }`, nil); text(mine.at("me.orders.nodes.0.id")) != order || text(mine.at("me.orders.nodes.0.status")) != "PLACED" {
		t.Errorf("the order is not among the buyer's own: %v", mine.data)
	}
	s.settled(order)
	ann.cancel(order)
	done := s.settled(order)
	if mine := ann.do(`{ me { orders { totalCount nodes { id status } } } }`, nil); number(mine.at("me.orders.totalCount")) != 1 || text(mine.at("me.orders.nodes.0.status")) != "CANCELLED" {
		t.Errorf("what became of the order is not among the buyer's own: %v", mine.data)
	}
	payment := text(done.at("order.payments.0.id"))
	version := func(e exported) (of string, version int, status string) {
		var is struct {
			OrderID, PaymentID, SaleID, Status string
			Version                            int
			Seq                                int
		}
		if err := json.Unmarshal(e.Event, &is); err != nil {
			t.Fatal(err)
		}
		switch {
		case is.PaymentID != "":
			return is.PaymentID, is.Version, is.Status
		case is.SaleID != "":
			return is.SaleID, is.Seq, is.Status
		}
		return is.OrderID, is.Version, is.Status
	}
	subjects := []string{"souk.event.orders.>", "souk.event.payments.>", "souk.event.flashsale.>"}
	told := func(all []exported) map[string][]string {
		of := map[string][]string{}
		newest, before := map[string]int{}, uint64(0)
		for _, e := range all {
			thing, v, status := version(e)
			if e.Sequence <= before || e.ID == "" || e.RecordedAt.IsZero() {
				t.Errorf("%+v after %d", e, before)
			}
			if v <= newest[thing] {
				t.Errorf("%s is at %d after %d", thing, v, newest[thing])
			}
			if at := of[thing]; (thing == order || thing == payment) && v != newest[thing]+1 {
				t.Errorf("%s is at %d after %d: %v", thing, v, newest[thing], at)
			}
			newest[thing], before = v, e.Sequence
			if at := of[thing]; len(at) == 0 || at[len(at)-1] != status {
				of[thing] = append(of[thing], status)
			}
		}
		return of
	}
	var all []exported
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) { // until the relay has told the last of it
		all = s.exported(0, subjects...)
		var orders, payments bool
		for _, e := range all {
			thing, _, status := version(e)
			orders, payments = orders || thing == order && status == "CANCELLED" && strings.Contains(string(e.Event), `"CUSTOMER"`), payments || thing == payment && status == "REFUNDED"
		}
		if orders && payments {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("never told: %+v", all)
		}
	}
	of := told(all)
	for thing, want := range map[string]string{order: "CREATED PLACED CANCELLED", payment: "PENDING AUTHORIZED CAPTURED REFUNDED", sale: "OPEN SOLD_OUT OPEN"} {
		if got := strings.Join(of[thing], " "); got != want {
			t.Errorf("%s became %s, want %s", thing, got, want)
		}
	}
	// Read again from the middle it is the same, line by line.
	middle := len(all) / 2
	for i, e := range s.exported(all[middle-1].Sequence, subjects...)[:len(all)-middle] {
		if e.ID != all[middle+i].ID || e.Sequence != all[middle+i].Sequence || !bytes.Equal(e.Event, all[middle+i].Event) {
			t.Errorf("%+v, and before %+v", e, all[middle+i])
		}
	}
}
