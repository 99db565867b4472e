package graph_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/flashsale"
)

// Who joined before the start is let in by lot, and anybody can check the draw; who comes later stands behind them.
func TestTheDrawCanBeChecked(t *testing.T) {
	s := setup(t)
	const people = 40
	saleID := s.withRoom("LOTTERY", people+5, map[string]any{"admitPerSecond": 10})
	const facts = `query ($id: ID!) { flashSale(id: $id) { seedHash seed drawnTickets(first: 1000) some: drawnTickets(first: 10, after: 35) } }`
	before := s.ask(guest, facts, map[string]any{"id": saleID})
	if at(before, "data.flashSale.seedHash") == "" || at(before, "data.flashSale.seed") != "" || at(before, "data.flashSale.drawnTickets") != "" {
		t.Errorf("%v", before)
	}
	all, owner := accounts(people), map[string]viewer.Viewer{}
	for _, who := range all {
		owner[s.joined(who, saleID)] = who
	}
	s.wantTicket(all[0], saleID, "WAITING") // nobody knows the place
	s.starts()
	late := accounts(2)
	for i, who := range late { // before anybody has drawn
		if got := s.join(who, saleID); at(got, "data.flashSaleJoin.ticket.position") != fmt.Sprint(people+1+i) {
			t.Errorf("%v", got)
		}
	}
	s.meter(0)
	after := s.ask(guest, facts, map[string]any{"id": saleID})
	var drawn, some []string
	for _, ticket := range after["data"].(map[string]any)["flashSale"].(map[string]any)["drawnTickets"].([]any) {
		drawn = append(drawn, ticket.(string))
	}
	for _, ticket := range after["data"].(map[string]any)["flashSale"].(map[string]any)["some"].([]any) {
		some = append(some, ticket.(string))
	}
	if len(drawn) != people || !slices.Equal(some, drawn[35:]) {
		t.Fatalf("%d were drawn, and %d of 5 behind the 35th", len(drawn), len(some))
	}
	if at(after, "data.flashSale.seedHash") != at(before, "data.flashSale.seedHash") {
		t.Error("another seed was promised")
	}
	if err := flashsale.VerifyDraw(at(before, "data.flashSale.seedHash"), at(after, "data.flashSale.seed"), drawn); err != nil {
		t.Error(err)
	}
	in := 2 // in the first fifth of a second
	for i, ticket := range drawn {
		want := fmt.Sprintf("WAITING %d", i+1-in)
		if i < in {
			want = "ADMITTED"
		}
		s.wantTicket(owner[ticket], saleID, want)
	}
	s.wantTicket(late[0], saleID, fmt.Sprintf("WAITING %d", people+1-in))
	third := accounts(1)[0]
	s.joined(third, saleID)
	for range 10 {
		s.meter(500 * time.Millisecond)
	}
	for _, who := range append(append(all, late...), third) {
		s.wantTicket(who, saleID, "ADMITTED")
	}
}

// Any number of processes let people in at once, one dies, another comes: everybody keeps their place, and nobody is let in twice.
func TestProcessesShareAQueue(t *testing.T) {
	s := setup(t)
	const units, people = 30, 50
	saleID := s.withRoom("LOTTERY", units, map[string]any{"admitPerSecond": 100})
	processes := []*shop{s, s.beside(), s.beside()}
	all := accounts(people)
	var wg sync.WaitGroup
	for i, who := range all {
		wg.Go(func() { processes[i%3].joined(who, saleID) })
	}
	wg.Wait()
	s.starts()
	most := 0
	for range 5 {
		s.clock.Advance(200 * time.Millisecond)
		for i := range 9 {
			wg.Go(func() {
				if err := processes[i%3].sales.AdmitNow(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		most = min(most+20, units+units/10)
		var in int
		if err := s.pool.QueryRow(t.Context(), `SELECT count(*) FROM tickets WHERE status = 'ADMITTED'`).Scan(&in); err != nil || in > most || in == 0 {
			t.Errorf("%d are in, want at most %d, %v", in, most, err)
		}
	}
	for _, who := range all {
		if here, there := s.stands(who, saleID), s.beside().stands(who, saleID); here != there {
			t.Errorf("%s by one process, %s by another", here, there)
		}
	}
}

// Nobody queues for nothing.
func TestTheWaitEndsWithTheUnits(t *testing.T) {
	s := setup(t)
	saleID := s.withRoom("FIFO", 1)
	four := accounts(4)
	for _, who := range four[:3] {
		s.joined(who, saleID)
	}
	s.starts()
	s.meter(time.Second)
	booking := at(s.bookAdmitted(four[0], saleID, "key-00000001"), "data.flashSaleBook.result.id")
	s.wantTicket(four[1], saleID, "SOLD_OUT 1")
	if at(s.ticket(four[1], saleID), "pollAfter") == "" {
		t.Error("it may come back, and nobody says when to look")
	}
	s.joined(four[3], saleID) // for what may come back
	s.pay(four[0], booking)
	for _, who := range four[1:] {
		s.wantTicket(who, saleID, "SOLD_OUT final")
	}
	late := accounts(1)[0]
	if _, err := s.sales.Join(t.Context(), late, saleID, s.work(late, saleID)); code(err) != "SOLD_OUT" {
		t.Errorf("%v", err)
	}
	if got := s.ask(late, `query ($id: ID!) { flashSale(id: $id) { challenge { salt } myTicket { id } } }`, map[string]any{"id": saleID}); at(got, "data.flashSale.challenge") != "" || got["errors"] != nil {
		t.Errorf("%v", got)
	}
	s.clock.Advance(-time.Hour)
	for _, end := range []func(string){
		func(string) { s.clock.Advance(3 * time.Hour) },
		func(sale string) {
			s.ask(seller, `mutation ($id: ID!) { flashSaleCancel(input: {id: $id}) { userErrors { code } } }`, map[string]any{"id": sale})
		},
	} {
		s.clock.Advance(ten.Add(-time.Hour).Sub(s.clock.Now()))
		sale := s.withRoom("LOTTERY", 5)
		s.joined(late, sale)
		s.wantTicket(late, sale, "WAITING")
		end(sale)
		s.wantTicket(late, sale, "EXPIRED final")
		if _, err := s.sales.Join(t.Context(), four[0], sale, s.work(four[0], sale)); code(err) != "NOT_OPEN" {
			t.Errorf("%v", err)
		}
	}
}

// watchTicket follows a ticket; what was recorded is told whenever the test says so.
func (s *shop) watchTicket(ctx context.Context, who viewer.Viewer, ticket string) <-chan *flashsale.Turn {
	s.t.Helper()
	turns, err := s.sales.WatchTicket(ctx, who, ticket)
	if err != nil {
		s.t.Fatal(err)
	}
	return turns
}

func TestATicketIsToldItsTurn(t *testing.T) {
	s := setup(t)
	saleID := s.withRoom("LOTTERY", 2, map[string]any{"admissionSeconds": 600})
	three := accounts(3)
	var turns []<-chan *flashsale.Turn
	for _, who := range three {
		turns = append(turns, s.watchTicket(t.Context(), who, s.joined(who, saleID)))
	}
	if _, err := s.sales.WatchTicket(t.Context(), three[0], s.joined(three[1], saleID)); code(err) != "NOT_FOUND" {
		t.Errorf("another's: %v", err)
	}
	for i := range turns {
		if first := <-turns[i]; first.Status != flashsale.TicketWaiting || first.Position != 0 {
			t.Errorf("%+v", first)
		}
	}
	s.starts()
	s.meter(time.Second)
	s.tellAll()
	var held []string
	left, last := -1, flashsale.Turn{}
	for i := range turns {
		for is := range turns[i] {
			if is.Status == flashsale.TicketAdmitted {
				token, err := s.sales.Token(*is)
				if err != nil {
					t.Fatal(err)
				}
				got := s.bookWith(three[i], saleID, token, "key-00000001")
				held = append(held, at(got, "data.flashSaleBook.result.id"))
				break
			} else if is.Position == 1 {
				left, last = i, *is
				break
			}
		}
	}
	if len(held) != 2 || left < 0 {
		t.Fatalf("%d booked", len(held))
	}
	s.tellAll()
	for last.Status != flashsale.TicketSoldOut { // which it may be by now
		last = *<-turns[left]
	}
	if last.Final {
		t.Error("final, though units are held")
	}
	for i, who := range three {
		if i != left {
			b := held[0]
			held = held[1:]
			s.pay(who, b)
		}
	}
	s.tellAll()
	for is := range turns[left] {
		last = *is
	}
	if last.Status != flashsale.TicketSoldOut || !last.Final {
		t.Errorf("the wait ended with %+v", last)
	}
	for i := range turns { // nothing is left, but those who booked are not told that it is gone
		if i == left {
			continue
		}
		var end flashsale.Turn
		for is := range turns[i] {
			end = *is
		}
		if end.Status != flashsale.TicketUsed || !end.Final {
			t.Errorf("who booked was told %+v", end)
		}
	}
	for is := range s.watchTicket(t.Context(), three[left], last.ID) { // who asks again is told, and it ends
		last = *is
	}
	if !last.Final {
		t.Errorf("%+v", last)
	}
}

// Two are let in, and one of them books. When their time is over both are told what became of it, and who let it go by may join again.
func TestATicketIsToldThatItsTurnIsOver(t *testing.T) {
	s := setup(t)
	saleID := s.withRoom("FIFO", 2, map[string]any{"admissionSeconds": 60})
	two := accounts(2)
	var turns []<-chan *flashsale.Turn
	for _, who := range two {
		turns = append(turns, s.watchTicket(t.Context(), who, s.joined(who, saleID)))
	}
	s.starts()
	s.meter(time.Second)
	s.tellAll()
	until := func(i int, status flashsale.TicketStatus) (is *flashsale.Turn) {
		for is = range turns[i] {
			if is.Status == status {
				return is
			}
			if is.Final {
				t.Errorf("%d was told %+v, want %s", i, is, status)
			}
		}
		t.Fatalf("%d was never told that it is %s", i, status)
		return nil
	}
	first, second := until(0, flashsale.TicketAdmitted), until(1, flashsale.TicketAdmitted)
	if got := s.bookAdmitted(two[0], saleID, "key-00000001"); at(got, "data.flashSaleBook.result.kind") != "FlashSaleBooking" {
		t.Fatalf("%v", got)
	}
	s.meter(first.AdmittedUntil.Sub(s.clock.Now()) + time.Second)
	s.tellAll()
	if is := until(0, flashsale.TicketUsed); !is.Final || is.ID != first.ID {
		t.Errorf("%+v", is)
	}
	if is := until(1, flashsale.TicketExpired); !is.Final || is.ID != second.ID {
		t.Errorf("%+v", is)
	}
	for i := range turns {
		for is := range turns[i] {
			t.Errorf("%d was told %+v after the end", i, is)
		}
	}
	if s.joined(two[0], saleID) != first.ID {
		t.Error("who has all they may have is given another ticket")
	}
	if again := s.joined(two[1], saleID); again == second.ID {
		t.Error("the ticket whose turn went by is given again")
	}
	s.wantTicket(two[1], saleID, "WAITING 1")
}

// However many wait, what happens is read once for all of them.
func TestManyWaitAtTheCostOfOne(t *testing.T) {
	s := setup(t)
	saleID := s.withRoom("FIFO", 5)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	all := accounts(60)
	var turns []<-chan *flashsale.Turn
	for _, who := range all {
		turns = append(turns, s.watchTicket(ctx, who, s.joined(who, saleID)))
	}
	for i := range turns {
		<-turns[i]
	}
	s.starts()
	s.store.mu.Lock()
	s.store.asked = map[string]int{}
	s.store.mu.Unlock()
	s.meter(time.Second)
	s.tellAll()
	for i := range turns {
		for is := range turns[i] {
			if is.Position == int64(i+1-5) || is.Status == flashsale.TicketAdmitted {
				break
			}
		}
	}
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	if n := s.store.asked["TicketsByID"]; n > 5 { // the five whose turn it was, or fewer where they asked together
		t.Errorf("asked %v", s.store.asked)
	}
}

// Who watches a sale sees how many wait, though no unit moves.
func TestWatchersSeeHowManyWait(t *testing.T) {
	s := setup(t)
	saleID := s.withRoom("LOTTERY", 5)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	news, err := s.sales.Watch(ctx, saleID)
	if err != nil {
		t.Fatal(err)
	}
	if first := <-news; first.Waiting() != 0 || first.Status != flashsale.WaitingRoom {
		t.Errorf("%+v", first)
	}
	for _, who := range accounts(3) {
		s.joined(who, saleID)
	}
	s.tellAll()
	for l := range news {
		if l.Waiting() == 3 {
			break
		}
	}
	s.starts()
	s.meter(time.Second)
	s.tellAll()
	for l := range news {
		if l.Waiting() == 0 && l.Status == flashsale.Open {
			break
		}
	}
}
