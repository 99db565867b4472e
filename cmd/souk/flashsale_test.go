package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/souk-shop/souk/internal/id"
)

const (
	flashSaleSave = `mutation ($i: FlashSaleSaveInput!) { flashSaleSave(input: $i) { flashSale { id status live { remaining } } userErrors { code field message } } }`
	flashSaleBook = `mutation ($i: FlashSaleBookInput!) { flashSaleBook(input: $i) {
		result { kind: __typename ... on FlashSaleBooking { id } ... on FlashSaleSoldOut { held final } ... on FlashSaleAlreadyBooked { booking { id } } }
		live { remaining held sold } userErrors { code field message } } }`
	flashSaleOf = `query ($id: ID!) { flashSale(id: $id) { status title seller { name } offers { price { amount } variant { title product { title } } } live { status remaining held sold } } }`
)

// flashSale puts units of a variant on sale at a price, from now for an hour.
func (s *testShop) flashSale(variant, price string, units int) string {
	s.t.Helper()
	got := s.seller.do(flashSaleSave, vars{"i": map[string]any{
		"title": "Midnight Sale", "admission": "OPEN_DOOR", "offers": []map[string]any{{"variantId": variant, "price": usd(price), "quantity": units}},
		"startsAt": time.Now().UTC(), "endsAt": time.Now().UTC().Add(time.Hour), "idempotencyKey": id.New(id.Event),
	}})
	return text(got.at("flashSaleSave.flashSale.id"))
}

func (b buyer) book(sale string) answer {
	b.t.Helper()
	return b.do(flashSaleBook, vars{"i": map[string]any{"saleId": sale, "idempotencyKey": id.New(id.Event)}})
}

func (b buyer) payBooking(booking, price, digits string) answer {
	b.t.Helper()
	in := map[string]any{"bookingId": booking, "addressId": b.address, "paymentMethodId": b.card(digits), "expectedTotal": usd(price), "idempotencyKey": id.New(id.Event)}
	return b.do(checkout, vars{"i": in})
}

// stream asks by server-sent events, and returns what reads the next event.
func (s *testShop) stream(query string, v vars) (event func() string) {
	s.t.Helper()
	body, _ := json.Marshal(map[string]any{"query": query, "variables": v})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	s.t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.base+"/graphql", bytes.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "text/event-stream")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { res.Body.Close() })
	if !res.Close {
		s.t.Error("the connection cannot be taken over from the server")
	}
	lines := bufio.NewScanner(res.Body)
	return func() string {
		s.t.Helper()
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				return data
			}
		}
		s.t.Fatalf("the stream ended: %v", lines.Err())
		return ""
	}
}

// A sale from its set-up to its end, through the gateway: two units, a buyer who pays, one whose card is declined, and one who
// takes what came back.
func TestFlashSale(t *testing.T) {
	t.Parallel()
	s := openShop(t, nil)
	t.Cleanup(s.agrees)
	lamp := s.sell("Midnight Lamp", "19.90", 1, 5)
	v := lamp.variants[0]
	sale := s.flashSale(v, "9.90", 2)
	if n := s.available(v); n != 3 {
		t.Errorf("%d in stock beside a sale of two", n)
	}
	ann, bob, eve := s.buyer(), s.buyer(), s.buyer()
	watch := s.guest().watch(`subscription ($id: ID!) { flashSaleChanged(id: $id) { status remaining held sold seq } }`, vars{"id": sale})

	heard := s.stream(`subscription ($id: ID!) { flashSaleChanged(id: $id) { status remaining held sold seq } }`, vars{"id": sale})

	annBooked := text(ann.book(sale).at("flashSaleBook.result.id"))
	again := ann.book(sale)
	if text(again.at("flashSaleBook.result.kind")) != "FlashSaleAlreadyBooked" || text(again.at("flashSaleBook.result.booking.id")) != annBooked {
		t.Errorf("%v", again.data)
	}
	bobBooked := text(bob.book(sale).at("flashSaleBook.result.id"))
	if got := eve.book(sale); text(got.at("flashSaleBook.result.kind")) != "FlashSaleSoldOut" || got.at("flashSaleBook.result.final") != false {
		t.Errorf("%v", got.data)
	}
	watch.until(func(a answer) bool { return text(a.at("flashSaleChanged.status")) == "SOLD_OUT" })

	if got := ann.payBooking(annBooked, "9.90", "4242"); text(got.at("checkoutComplete.result.kind")) != "CheckoutPlaced" {
		t.Fatalf("%v", got.data)
	}
	if got := bob.payBooking(bobBooked, "9.90", "0002"); text(got.at("checkoutComplete.result.kind")) != "CheckoutPaymentFailed" {
		t.Fatalf("%v", got.data)
	}
	watch.until(func(a answer) bool {
		return text(a.at("flashSaleChanged.status")) == "OPEN" && number(a.at("flashSaleChanged.remaining")) == 1
	})
	eveBooked := text(eve.book(sale).at("flashSaleBook.result.id"))
	if got := eve.payBooking(eveBooked, "9.00", "4242"); text(got.at("checkoutComplete.result.problems.0.code")) != "PRICE_CHANGED" {
		t.Errorf("%v", got.data)
	}
	if got := eve.payBooking(eveBooked, "9.90", "4242"); text(got.at("checkoutComplete.result.kind")) != "CheckoutPlaced" {
		t.Fatalf("%v", got.data)
	}
	watch.until(func(a answer) bool { return number(a.at("flashSaleChanged.sold")) == 2 })
	for !strings.Contains(heard(), `"sold":2,`) { // by an event stream it can be heard as well
	}
	if got := bob.book(sale); got.at("flashSaleBook.result.final") != true {
		t.Errorf("%v", got.data)
	}
	got := s.guest().do(flashSaleOf, vars{"id": sale})
	if text(got.at("flashSale.status")) != "SOLD_OUT" || text(got.at("flashSale.offers.0.price.amount")) != "9.90" ||
		text(got.at("flashSale.offers.0.variant.product.title")) != "Midnight Lamp" || text(got.at("flashSale.seller.name")) == "" {
		t.Errorf("%v", got.data)
	}
	status := ann.do(`query ($id: ID!) { node(id: $id) { ... on FlashSaleBooking { status sale { id } } } }`, vars{"id": annBooked})
	if text(status.at("node.status")) != "BOOKED" || text(status.at("node.sale.id")) != sale {
		t.Errorf("%v", status.data)
	}

	// Called off, a sale gives back what it did not sell.
	second := s.flashSale(v, "9.90", 3)
	if n := s.available(v); n != 0 {
		t.Errorf("%d in stock", n)
	}
	offered := s.guest().do(`query ($id: ID!) { node(id: $id) { ... on ProductVariant { flashSale { id } } } }`, vars{"id": v})
	if of := text(offered.at("node.flashSale.id")); of != sale && of != second {
		t.Errorf("%q offers it", of)
	}
	cancelled := s.seller.do(`mutation ($id: ID!) { flashSaleCancel(input: {id: $id}) { flashSale { status } userErrors { code } } }`, vars{"id": second})
	if text(cancelled.at("flashSaleCancel.flashSale.status")) != "CANCELLED" || s.available(v) != 3 {
		t.Errorf("%v, %d in stock", cancelled.data, s.available(v))
	}
}

// What nobody pays for comes back by itself, with no client involved.
func TestFlashSaleHoldsEnd(t *testing.T) {
	t.Parallel()
	s := openShop(t, map[string]string{"SOUK_ORDER_EXPIRY": "3s"})
	t.Cleanup(s.agrees)
	lamp := s.sell("Forgotten Lamp", "19.90", 1, 1)
	got := s.seller.do(flashSaleSave, vars{"i": map[string]any{
		"title": "Short Holds", "admission": "OPEN_DOOR", "offers": []map[string]any{{"variantId": lamp.variants[0], "price": usd("9.90"), "quantity": 1}}, "holdSeconds": 5,
		"startsAt": time.Now().UTC(), "endsAt": time.Now().UTC().Add(time.Hour), "idempotencyKey": id.New(id.Event),
	}})
	sale := text(got.at("flashSaleSave.flashSale.id"))
	free := func(a answer) bool { return number(a.at("flashSale.live.remaining")) == 1 }
	s.buyer().book(sale) // and closes the browser
	s.guest().until(flashSaleOf, vars{"id": sale}, free)

	ann := s.buyer() // whose bank never answers
	pending := ann.payBooking(text(ann.book(sale).at("flashSaleBook.result.id")), "9.90", "0044")
	if text(pending.at("checkoutComplete.result.kind")) != "CheckoutActionRequired" {
		t.Fatalf("%v", pending.data)
	}
	s.guest().until(flashSaleOf, vars{"id": sale}, free)
	if done := s.buyer().book(sale); text(done.at("flashSaleBook.result.kind")) != "FlashSaleBooking" {
		t.Errorf("%v", done.data)
	}
}
