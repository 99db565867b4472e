package graph_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/souk-shop/souk/internal/viewer"
)

func TestOnlyWhoIsAdmittedBooks(t *testing.T) {
	s := setup(t)
	saleID, other := s.sale(with(plan(5, s.goods.Stocked(5)), "FIFO")), s.withRoom("FIFO", 5)
	four := accounts(4)
	ann, bob, eve, late := four[0], four[1], four[2], four[3]
	for _, who := range four {
		s.joined(who, saleID)
	}
	s.joined(eve, other)
	s.starts()
	s.meter(time.Second)
	token := at(s.ticket(ann, saleID), "admissionToken")
	if until := at(s.ticket(ann, saleID), "admissionExpiresAt"); token == "" || until != "2026-11-27T10:02:01Z" {
		t.Fatalf("%q until %s", token, until)
	}
	told := s.overheard()
	for name, c := range map[string]struct {
		who   viewer.Viewer
		token string
	}{
		"without":        {eve, ""},
		"with rubbish":   {eve, "rubbish"},
		"with another's": {eve, token},
		"of another one": {eve, at(s.ticket(eve, other), "admissionToken")},
	} {
		got := s.bookWith(c.who, saleID, c.token, "key-00000001")
		if refusal(got, "flashSaleBook") != "NOT_ADMITTED" || at(got, "data.flashSaleBook.userErrors.0.field") != "[input admissionToken]" || told.Load() != 1 {
			t.Errorf("%s: %v, and the gateway is told %d times", name, got, told.Load())
		}
	}
	// Whatever happens at once, a ticket is used once: the same key finds its booking, other keys find nothing.
	var wg sync.WaitGroup
	var mu sync.Mutex
	outcomes := map[string]int{}
	processes := []*shop{s, s.beside()}
	for i := range 40 {
		wg.Go(func() {
			got := processes[i%2].bookWith(ann, saleID, token, fmt.Sprintf("key-0000000%d", i/2%5))
			mu.Lock()
			defer mu.Unlock()
			outcomes[at(got, "data.flashSaleBook.result.id")+refusal(got, "flashSaleBook")]++
		})
	}
	wg.Wait()
	if len(outcomes) != 2 || outcomes["NOT_ADMITTED"] != 32 {
		t.Errorf("%v", outcomes)
	}
	s.want(saleID, "OPEN 4/1/0")

	bobs := at(s.ticket(bob, saleID), "admissionToken")
	booked := s.bookWith(bob, saleID, bobs, "key-00000001")
	laters := at(s.ticket(late, saleID), "admissionToken")
	s.clock.Advance(2 * time.Minute)
	if got := s.bookWith(late, saleID, laters, "key-00000001"); refusal(got, "flashSaleBook") != "NOT_ADMITTED" {
		t.Errorf("past its time: %v", got)
	}
	again := s.bookWith(bob, saleID, bobs, "key-00000001")
	if at(again, "data.flashSaleBook.result.id") != at(booked, "data.flashSaleBook.result.id") {
		t.Errorf("a retry past the time of the token: %v", again)
	}
	s.wantTicket(late, saleID, "EXPIRED final") // though nobody has swept
	if open := s.sale(plan(1, s.goods.Stocked(1))); true {
		if got := s.join(ann, saleID); at(got, "data.flashSaleJoin.ticket.status") != "USED" {
			t.Errorf("who has all it may have: %v", got)
		}
		if got := s.ask(ann, `query ($id: ID!) { flashSale(id: $id) { challenge { salt } roomOpensAt seedHash } }`, map[string]any{"id": open}); at(got, "data.flashSale.challenge") != "" ||
			at(got, "data.flashSale.roomOpensAt") != "" || at(got, "data.flashSale.seedHash") != "" {
			t.Errorf("%v", got)
		}
		if _, err := s.sales.Join(t.Context(), ann, open, s.work(ann, open)); code(err) != "NO_WAITING_ROOM" {
			t.Errorf("%v", err)
		}
	}
}

// Whose turn goes by makes room for the next, and may come again at the end.
func TestATurnThatGoesByIsTheNextOnes(t *testing.T) {
	s := setup(t)
	saleID := s.withRoom("FIFO", 1, map[string]any{"admissionSeconds": 5, "holdSeconds": 60})
	three := accounts(3)
	var tickets []string
	for _, who := range three {
		tickets = append(tickets, s.joined(who, saleID))
	}
	s.starts()
	s.meter(time.Second)
	s.wantTicket(three[0], saleID, "ADMITTED")
	s.wantTicket(three[1], saleID, "WAITING 1")
	s.meter(5 * time.Second)
	s.wantTicket(three[0], saleID, "EXPIRED final")
	s.wantTicket(three[1], saleID, "ADMITTED")
	if again := s.joined(three[0], saleID); again == tickets[0] {
		t.Error("a ticket that has run out came back")
	}
	s.wantTicket(three[0], saleID, "WAITING 2")
	booked := s.bookAdmitted(three[1], saleID, "key-00000001")
	if at(booked, "data.flashSaleBook.result.kind") != "FlashSaleBooking" {
		t.Fatalf("%v", booked)
	}
	s.wantTicket(three[2], saleID, "SOLD_OUT 1")
	s.release(three[1], at(booked, "data.flashSaleBook.result.id"))
	s.wantTicket(three[1], saleID, "USED final") // what was given back does not bring the turn back
	s.wantTicket(three[2], saleID, "WAITING 1")
	if again := s.joined(three[1], saleID); again == tickets[1] {
		t.Error("a ticket that was used came back")
	}
	s.wantTicket(three[1], saleID, "WAITING 3")
	s.meter(time.Second)
	s.wantTicket(three[2], saleID, "ADMITTED")
	if again := s.joined(three[2], saleID); again != tickets[2] {
		t.Error("a second ticket beside one that is good")
	}
}
