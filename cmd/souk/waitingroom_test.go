package main

import (
	"slices"
	"testing"
	"time"

	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/subgraphs/flashsale"
	"github.com/souk-shop/souk/subgraphs/flashsale/altcha"
)

const flashSaleJoin = `mutation ($i: FlashSaleJoinInput!) { flashSaleJoin(input: $i) { ticket { id status position } pollAfter userErrors { code field message } } }`

// join solves what the sale sets the buyer, and returns their ticket.
func (b buyer) join(sale string) string {
	b.t.Helper()
	set := b.do(`query ($id: ID!) { flashSale(id: $id) { challenge { algorithm challenge maxNumber salt signature } } }`, vars{"id": sale})
	c := "flashSale.challenge."
	payload, err := altcha.Solve(b.t.Context(), flashsale.Challenge{
		Algorithm: text(set.at(c + "algorithm")), Challenge: text(set.at(c + "challenge")), Salt: text(set.at(c + "salt")),
		Signature: text(set.at(c + "signature")), MaxNumber: int64(number(set.at(c + "maxNumber"))),
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return text(b.do(flashSaleJoin, vars{"i": map[string]any{"saleId": sale, "solution": payload}}).at("flashSaleJoin.ticket.id"))
}

// turn follows a ticket over a socket.
func (b buyer) turn(ticket string) watcher {
	b.t.Helper()
	return b.watch(`subscription ($id: ID!) { flashSaleTicketChanged(ticketId: $id) { id status final position etaSeconds admissionToken sale { title } } }`, vars{"id": ticket})
}

// ends waits until a subscription is completed.
func (w watcher) ends() {
	w.t.Helper()
	for {
		switch m := w.message(); m["type"] {
		case "next":
		case "complete":
			return
		default:
			w.t.Fatalf("the subscription ended with %v", m)
		}
	}
}

// Three buyers wait for two lamps: they join, are told their turn over the socket, book with what they are given and check out; the
// third is told their place, and that there is nothing left, first for now and then for good.
func TestS138WaitingRoom(t *testing.T) {
	t.Parallel()
	s := openShop(t, nil)
	t.Cleanup(s.agrees)
	lamp := s.sell("Waited-for Lamp", "19.90", 1, 5)
	now := time.Now().UTC()
	plan := map[string]any{
		"title": "By Lot", "offers": []map[string]any{{"variantId": lamp.variants[0], "price": usd("9.90"), "quantity": 2}},
		"roomOpensAt": now, "startsAt": now.Add(time.Hour), "endsAt": now.Add(2 * time.Hour), "challengeDifficulty": 1000, "idempotencyKey": id.New(id.Event),
	}
	got := s.seller.do(flashSaleSave, vars{"i": plan})
	sale := text(got.at("flashSaleSave.flashSale.id"))
	if text(got.at("flashSaleSave.flashSale.status")) != "WAITING_ROOM" {
		t.Errorf("%v", got.data)
	}
	sockets := make([]watcher, 3)
	var buyers []buyer
	for i := range sockets {
		b := s.buyer()
		buyers, sockets[i] = append(buyers, b), b.turn(b.join(sale))
	}
	plan["id"], plan["startsAt"], plan["idempotencyKey"] = sale, time.Now().UTC(), id.New(id.Event) // all are here: it may begin
	delete(plan, "roomOpensAt")
	s.seller.do(flashSaleSave, vars{"i": plan})
	// Once one is left waiting, the other two are in.
	s.guest().until(`query ($id: ID!) { flashSale(id: $id) { live { waiting status } } }`, vars{"id": sale}, func(a answer) bool {
		return text(a.at("flashSale.live.status")) == "OPEN" && number(a.at("flashSale.live.waiting")) == 1
	})
	booked := map[int]string{}
	left := slices.IndexFunc(buyers, func(b buyer) bool {
		mine := b.do(`query ($id: ID!) { flashSale(id: $id) { myTicket { status } } }`, vars{"id": sale})
		return text(mine.at("flashSale.myTicket.status")) != "ADMITTED"
	})
	if left < 0 {
		t.Fatal("all are in")
	}
	sockets[left].until(func(a answer) bool {
		return text(a.at("flashSaleTicketChanged.status")) == "WAITING" && number(a.at("flashSaleTicketChanged.position")) == 1
	})
	for i, w := range sockets {
		if i == left {
			continue
		}
		told := w.until(func(a answer) bool { return text(a.at("flashSaleTicketChanged.status")) == "ADMITTED" })
		token := text(told.at("flashSaleTicketChanged.admissionToken"))
		_, answered := buyers[i].ask(flashSaleBook, vars{"i": map[string]any{"saleId": sale, "idempotencyKey": id.New(id.Event)}})
		if text(answered.at("flashSaleBook.userErrors.0.code")) != "NOT_ADMITTED" {
			t.Errorf("%v", answered.data)
		}
		in := map[string]any{"saleId": sale, "admissionToken": token, "idempotencyKey": id.New(id.Event)}
		booked[i] = text(buyers[i].do(flashSaleBook, vars{"i": in}).at("flashSaleBook.result.id"))
	}
	if len(booked) != 2 {
		t.Fatalf("%d have booked", len(booked))
	}
	for i, booking := range booked {
		if got := buyers[i].payBooking(booking, "9.90", "4242"); text(got.at("checkoutComplete.result.kind")) != "CheckoutPlaced" {
			t.Fatalf("%v", got.data)
		}
	}
	sockets[left].until(func(a answer) bool {
		return text(a.at("flashSaleTicketChanged.status")) == "SOLD_OUT" && a.at("flashSaleTicketChanged.final") == true
	})
	for i, w := range sockets { // those who booked are told that, and not that nothing is left
		if i != left {
			w.until(func(a answer) bool {
				return text(a.at("flashSaleTicketChanged.status")) == "USED" && a.at("flashSaleTicketChanged.final") == true
			})
		}
		w.ends()
	}
	drawn := s.guest().do(`query ($id: ID!) { flashSale(id: $id) { seedHash seed drawnTickets live { waiting sold status } } }`, vars{"id": sale})
	var tickets []string
	for _, ticket := range list(drawn.at("flashSale.drawnTickets")) {
		tickets = append(tickets, text(ticket))
	}
	if err := flashsale.VerifyDraw(text(drawn.at("flashSale.seedHash")), text(drawn.at("flashSale.seed")), tickets); err != nil || len(tickets) != 3 {
		t.Errorf("%d drawn, %v", len(tickets), err)
	}
	if number(drawn.at("flashSale.live.waiting")) != 1 || number(drawn.at("flashSale.live.sold")) != 2 {
		t.Errorf("%v", drawn.data)
	}
}

// A buyer who is let in and does not book is told over the socket that the turn is over, joins again, and buys what is still there.
func TestATurnThatWentByIsToldAndTakenAgain(t *testing.T) {
	t.Parallel()
	s := openShop(t, nil)
	t.Cleanup(s.agrees)
	lamp := s.sell("Hesitated-over Lamp", "19.90", 1, 1)
	now := time.Now().UTC()
	plan := map[string]any{
		"title": "In a Row", "offers": []map[string]any{{"variantId": lamp.variants[0], "price": usd("9.90"), "quantity": 1}}, "admission": "FIFO", "admissionSeconds": 5,
		"startsAt": now, "endsAt": now.Add(time.Hour), "challengeDifficulty": 1000, "idempotencyKey": id.New(id.Event),
	}
	sale := text(s.seller.do(flashSaleSave, vars{"i": plan}).at("flashSaleSave.flashSale.id"))
	ann := s.buyer()
	first := ann.join(sale)
	w := ann.turn(first)
	var late string
	told := w.until(func(a answer) bool {
		if token := a.at("flashSaleTicketChanged.admissionToken"); token != nil {
			late = text(token)
		}
		return text(a.at("flashSaleTicketChanged.status")) == "EXPIRED"
	})
	if told.at("flashSaleTicketChanged.final") != true || told.at("flashSaleTicketChanged.admissionToken") != nil {
		t.Errorf("%v", told.data)
	}
	w.ends()
	book := func(token string) answer {
		_, a := ann.ask(flashSaleBook, vars{"i": map[string]any{"saleId": sale, "admissionToken": token, "idempotencyKey": id.New(id.Event)}})
		return a
	}
	if a := book(late); text(a.at("flashSaleBook.userErrors.0.code")) != "NOT_ADMITTED" {
		t.Errorf("booked after the turn: %v", a.data)
	}
	plan["id"], plan["admissionSeconds"], plan["idempotencyKey"] = sale, 900, id.New(id.Event) // this time there is time enough
	s.seller.do(flashSaleSave, vars{"i": plan})
	second := ann.join(sale)
	if second == first {
		t.Error("it is the ticket whose turn went by")
	}
	told = ann.turn(second).until(func(a answer) bool { return text(a.at("flashSaleTicketChanged.status")) == "ADMITTED" })
	a := book(text(told.at("flashSaleTicketChanged.admissionToken")))
	if got := ann.payBooking(text(a.at("flashSaleBook.result.id")), "9.90", "4242"); bought(got) != "CheckoutPlaced" {
		t.Errorf("%v after %v", got.data, a.data)
	}
}
