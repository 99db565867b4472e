package graph_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/flashsale"
	"github.com/souk-shop/souk/subgraphs/flashsale/altcha"
)

// withRoom is a sale of units with a waiting room, which has just opened.
func (s *shop) withRoom(policy string, units int, more ...map[string]any) (saleID string) {
	s.t.Helper()
	p := plan(units, s.goods.Stocked(units))
	p["admission"], p["challengeDifficulty"] = policy, 1000
	for _, m := range more {
		for k, v := range m {
			p[k] = v
		}
	}
	saleID = s.sale(p)
	s.clock.Advance(50 * time.Minute)
	return saleID
}

// starts moves the time to the start.
func (s *shop) starts() { s.clock.Advance(ten.Sub(s.clock.Now())) }

// solved does the work that a sale sets somebody.
func (s *shop) solved(who viewer.Viewer, saleID string) string {
	s.t.Helper()
	got := s.ask(who, `query ($id: ID!) { flashSale(id: $id) { challenge { algorithm challenge maxNumber salt signature } } }`, map[string]any{"id": saleID})
	c := "data.flashSale.challenge."
	most, err := strconv.ParseFloat(at(got, c+"maxNumber"), 64)
	if err != nil {
		s.t.Fatalf("%v", got)
	}
	payload, err := altcha.Solve(s.t.Context(), flashsale.Challenge{
		Algorithm: at(got, c+"algorithm"), Challenge: at(got, c+"challenge"), Salt: at(got, c+"salt"), Signature: at(got, c+"signature"), MaxNumber: int64(most),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return payload
}

const joinOne = `mutation ($i: FlashSaleJoinInput!) { flashSaleJoin(input: $i) {
	ticket { id status final position etaSeconds joinedAt pollAfter admissionToken admissionExpiresAt sale { id } } pollAfter userErrors { code field message } } }`

func (s *shop) joinWith(who viewer.Viewer, saleID, solution string) map[string]any {
	s.t.Helper()
	return s.ask(who, joinOne, map[string]any{"i": map[string]any{"saleId": saleID, "solution": solution}})
}

func (s *shop) join(who viewer.Viewer, saleID string) map[string]any {
	s.t.Helper()
	return s.joinWith(who, saleID, s.solved(who, saleID))
}

// joined joins and returns the ticket.
func (s *shop) joined(who viewer.Viewer, saleID string) string {
	s.t.Helper()
	got := s.join(who, saleID)
	ticket := at(got, "data.flashSaleJoin.ticket.id")
	if ticket == "" {
		s.t.Fatalf("%v", got)
	}
	return ticket
}

// ticket is where the viewer's newest ticket stands.
func (s *shop) ticket(who viewer.Viewer, saleID string) map[string]any {
	s.t.Helper()
	got := s.ask(who, `query ($id: ID!) { flashSale(id: $id) { myTicket {
		id status final position etaSeconds pollAfter admissionToken admissionExpiresAt } } }`, map[string]any{"id": saleID})
	mine, ok := got["data"].(map[string]any)["flashSale"].(map[string]any)["myTicket"].(map[string]any)
	if !ok {
		s.t.Fatalf("no ticket: %v", got)
	}
	return mine
}

// stands is the status and position of the viewer's newest ticket.
func (s *shop) stands(who viewer.Viewer, saleID string) string {
	s.t.Helper()
	mine := s.ticket(who, saleID)
	is := at(mine, "status")
	if p := at(mine, "position"); p != "" {
		is += " " + p
	}
	if at(mine, "final") == "true" {
		is += " final"
	}
	return is
}

func (s *shop) wantTicket(who viewer.Viewer, saleID, want string) {
	s.t.Helper()
	if is := s.stands(who, saleID); is != want {
		s.t.Errorf("the ticket is %s, want %s", is, want)
	}
}

// meter lets time go by and people in.
func (s *shop) meter(after time.Duration) {
	s.t.Helper()
	s.clock.Advance(after)
	if err := s.sales.MeterNow(s.t.Context()); err != nil {
		s.t.Error(err)
	}
}

// bookAdmitted books with the token of the viewer's ticket.
func (s *shop) bookAdmitted(who viewer.Viewer, saleID, key string) map[string]any {
	s.t.Helper()
	return s.bookWith(who, saleID, at(s.ticket(who, saleID), "admissionToken"), key)
}

func (s *shop) bookWith(who viewer.Viewer, saleID, token, key string) map[string]any {
	s.t.Helper()
	in := map[string]any{"saleId": saleID, "idempotencyKey": key}
	if token != "" {
		in["admissionToken"] = token
	}
	return s.ask(who, bookOne, map[string]any{"i": in})
}

func refusal(got map[string]any, mutation string) string {
	return at(got, "data."+mutation+".userErrors.0.code")
}

// Everybody sees how far it is to their turn, people are let in no faster than there are units for and than the sale allows, and
// who waits for nothing is told so.
func TestS138TheQueueShowsPlacesAndIsMetered(t *testing.T) {
	s := setup(t)
	const units, people, perSecond = 20, 60, 5
	saleID := s.withRoom("FIFO", units, map[string]any{"admitPerSecond": perSecond})
	s.want(saleID, "WAITING_ROOM 20/0/0")
	all := accounts(people)
	for i, who := range all {
		got := s.join(who, saleID)
		if at(got, "data.flashSaleJoin.ticket.position") != fmt.Sprint(i+1) || at(got, "data.flashSaleJoin.ticket.status") != "WAITING" {
			t.Fatalf("%v", got)
		}
	}
	if eta := at(s.ticket(all[9], saleID), "etaSeconds"); eta != "602" { // ten minutes to the start, and two seconds for ten people
		t.Errorf("%s seconds", eta)
	}
	s.meter(0)
	s.wantTicket(all[0], saleID, "WAITING 1") // not before the start
	s.starts()
	in := 0
	for range 40 { // 8 seconds
		before := in
		s.meter(200 * time.Millisecond)
		var out, called int
		if err := s.pool.QueryRow(t.Context(), `SELECT count(*) FILTER (WHERE status = 'ADMITTED'), count(*) FILTER (WHERE status <> 'WAITING') FROM tickets WHERE sale_id = $1`,
			saleID).Scan(&out, &called); err != nil {
			t.Fatal(err)
		}
		if in = called; in-before > perSecond/2 || out > units+units/10 {
			t.Fatalf("%d were let in at once, and %d are out there with %d units", in-before, out, units)
		}
	}
	if in != units+units/10 {
		t.Errorf("%d are in, with %d units", in, units)
	}
	s.wantTicket(all[in], saleID, "WAITING 1")
	s.wantTicket(all[people-1], saleID, fmt.Sprintf("WAITING %d", people-in))
	if waiting := at(s.ask(guest, `query ($id: ID!) { flashSale(id: $id) { live { waiting } } }`, map[string]any{"id": saleID}), "data.flashSale.live.waiting"); waiting != fmt.Sprint(people-in) {
		t.Errorf("%s wait", waiting)
	}
	if waiting, err := s.pg.Waiting(t.Context()); err != nil || waiting[saleID] != people-in {
		t.Errorf("%v %v", waiting, err)
	}

	// Those who are in book what there is; the two who come too late may wait for what comes back, like those behind them.
	for _, who := range all[:units] {
		if got := s.bookAdmitted(who, saleID, "key-00000001"); at(got, "data.flashSaleBook.result.kind") != "FlashSaleBooking" {
			t.Fatalf("%v", got)
		}
	}
	if got := s.bookAdmitted(all[units], saleID, "key-00000001"); at(got, "data.flashSaleBook.result.kind") != "FlashSaleSoldOut" {
		t.Errorf("%v", got)
	}
	s.wantTicket(all[0], saleID, "USED final")
	s.wantTicket(all[units], saleID, "ADMITTED")
	s.wantTicket(all[in], saleID, "SOLD_OUT 1") // not final: they are held
	s.meter(time.Second)
	s.wantTicket(all[in], saleID, "SOLD_OUT 1") // and nobody is let in for nothing
	s.clock.Advance(4 * time.Minute)
	s.sweep() // nobody has paid
	s.meter(time.Second)
	s.wantTicket(all[units], saleID, "EXPIRED final")
	s.wantTicket(all[in], saleID, "ADMITTED")
}

func TestS102NoTicketWithoutWork(t *testing.T) {
	s := setup(t)
	saleID, other := s.sale(with(plan(5, s.goods.Stocked(5)), "FIFO")), s.withRoom("FIFO", 5)
	two := accounts(2)
	ann, eve := two[0], two[1]
	good := s.solved(ann, saleID)
	for name, c := range map[string]struct {
		who      viewer.Viewer
		sale     string
		solution string
	}{
		"nothing":                {ann, saleID, ""},
		"rubbish":                {ann, saleID, "bm90aGluZw=="},
		"another's work":         {eve, saleID, good},
		"work for another sale":  {ann, other, good},
		"work for another's own": {eve, other, s.solved(ann, other)},
	} {
		if got := s.joinWith(c.who, c.sale, c.solution); refusal(got, "flashSaleJoin") != "CHALLENGE_FAILED" || at(got, "data.flashSaleJoin.ticket") != "" {
			t.Errorf("%s: %v", name, got)
		}
	}
	if got := s.joinWith(guest, saleID, good); at(got, "errors.0.extensions.code") != "UNAUTHENTICATED" {
		t.Errorf("%v", got)
	}
	if got := s.joinWith(ann, saleID, good); at(got, "data.flashSaleJoin.ticket.id") == "" {
		t.Errorf("%v", got)
	}
	if got := s.joinWith(ann, saleID, good); refusal(got, "flashSaleJoin") != "CHALLENGE_FAILED" {
		t.Errorf("used twice: %v", got)
	}
	late := s.solved(eve, saleID)
	s.clock.Advance(time.Hour - time.Second) // the sale still runs
	if got := s.joinWith(eve, saleID, late); refusal(got, "flashSaleJoin") != "CHALLENGE_FAILED" {
		t.Errorf("too late: %v", got)
	}
	var tickets int
	if err := s.pool.QueryRow(t.Context(), `SELECT count(*) FROM tickets`).Scan(&tickets); err != nil || tickets != 1 {
		t.Errorf("%d tickets, %v", tickets, err)
	}
}

func with(p map[string]any, policy string) map[string]any {
	p["admission"], p["challengeDifficulty"] = policy, 1000
	return p
}

// The same account from 100 connections, each with work of its own, has one ticket.
func TestS110OneTicketPerAccount(t *testing.T) {
	s := setup(t)
	saleID := s.withRoom("LOTTERY", 5)
	other := s.beside()
	ann := accounts(1)[0]
	var mu sync.Mutex
	var wg sync.WaitGroup
	tickets := map[string]int{}
	for i := range 100 {
		process := s
		if i%2 == 0 {
			process = other
		}
		wg.Go(func() {
			ticket := process.joined(ann, saleID)
			mu.Lock()
			defer mu.Unlock()
			tickets[ticket]++
		})
	}
	wg.Wait()
	if len(tickets) != 1 {
		t.Errorf("%v", tickets)
	}
	if waiting, err := s.pg.Waiting(t.Context()); err != nil || waiting[saleID] != 1 {
		t.Errorf("%v %v", waiting, err)
	}
}

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
		if refusal(got, "flashSaleBook") != "NOT_ADMITTED" || at(got, "data.flashSaleBook.userErrors.0.field") != "[input admissionToken]" {
			t.Errorf("%s: %v", name, got)
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

// work is a solved challenge, whether or not the sale sets any.
func (s *shop) work(who viewer.Viewer, saleID string) string {
	s.t.Helper()
	c, err := s.challenges.Issue(saleID, who.AccountID, 1000, s.clock.Now())
	if err != nil {
		s.t.Fatal(err)
	}
	payload, err := altcha.Solve(s.t.Context(), c)
	if err != nil {
		s.t.Fatal(err)
	}
	return payload
}

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
				if err := processes[i%3].sales.MeterNow(t.Context()); err != nil {
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

// What buyers rely on stays once they can join.
func TestARoomThatIsOpenStays(t *testing.T) {
	s := setup(t)
	v := s.goods.Stocked(5)
	p := with(plan(5, v), "LOTTERY")
	p["id"] = s.sale(p)
	change := func(field string, to any) string {
		q := map[string]any{"idempotencyKey": id.New(id.Event)}
		for k, v := range p {
			if _, has := q[k]; !has {
				q[k] = v
			}
		}
		q[field] = to
		got := s.ask(seller, save, map[string]any{"i": q})
		if at(got, "data.flashSaleSave.userErrors") == "[]" {
			p[field] = to
		}
		return refusal(got, "flashSaleSave") + at(got, "data.flashSaleSave.userErrors.0.field")
	}
	hash := s.ask(guest, `query ($id: ID!) { flashSale(id: $id) { seedHash } }`, map[string]any{"id": p["id"]})
	for field, bad := range map[string][]any{
		"roomOpensAt":         {ten.Add(time.Second), ten.Add(-7*24*time.Hour - time.Second)},
		"challengeDifficulty": {999, 10_000_001},
		"admitPerSecond":      {0, 10_001},
		"admissionSeconds":    {4, 901},
	} {
		for _, to := range bad {
			if got := change(field, to); got != "INVALID[input "+field+"]" {
				t.Errorf("%s of %v: %s", field, to, got)
			}
		}
	}
	for _, c := range []struct {
		field string
		to    any
		want  string
	}{{"admission", "FIFO", ""}, {"admission", "LOTTERY", ""}, {"roomOpensAt", ten.Add(-15 * time.Minute), ""}} {
		if got := change(c.field, c.to); got != c.want {
			t.Errorf("%s: %s", c.field, got)
		}
	}
	s.clock.Advance(45 * time.Minute)
	s.want(p["id"].(string), "WAITING_ROOM 5/0/0")
	for _, c := range []struct {
		field string
		to    any
		want  string
	}{
		{"admission", "OPEN_DOOR", "STARTED[input admission]"}, {"roomOpensAt", ten.Add(-5 * time.Minute), "STARTED[input roomOpensAt]"},
		{"admitPerSecond", 50, ""}, {"startsAt", ten.Add(time.Minute), ""},
	} {
		if got := change(c.field, c.to); got != c.want {
			t.Errorf("%s: %s, want %s", c.field, got, c.want)
		}
	}
	if again := s.ask(guest, `query ($id: ID!) { flashSale(id: $id) { seedHash } }`, map[string]any{"id": p["id"]}); at(again, "data.flashSale.seedHash") != at(hash, "data.flashSale.seedHash") {
		t.Errorf("%v, then %v", hash, again)
	}
	if got := s.ask(guest, `{ flashSales(status: WAITING_ROOM) { id } }`, nil); at(got, "data.flashSales.0.id") != p["id"] {
		t.Errorf("%v", got)
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
	left := -1
	for i := range turns {
		for is := range turns[i] { // ends by itself for two of them
			if is.Status == flashsale.TicketAdmitted {
				token, err := s.sales.Token(*is)
				if err != nil {
					t.Fatal(err)
				}
				got := s.bookWith(three[i], saleID, token, "key-00000001")
				held = append(held, at(got, "data.flashSaleBook.result.id"))
			} else if is.Position == 1 && is.Status == flashsale.TicketWaiting {
				left = i
				break
			}
		}
	}
	if len(held) != 2 || left < 0 {
		t.Fatalf("%d booked", len(held))
	}
	s.tellAll()
	for is := range turns[left] {
		if is.Status == flashsale.TicketSoldOut {
			if is.Final {
				t.Error("final, though units are held")
			}
			break
		}
	}
	for i, who := range three {
		if i != left {
			b := held[0]
			held = held[1:]
			s.pay(who, b)
		}
	}
	s.tellAll()
	var last flashsale.Turn
	for is := range turns[left] {
		last = *is
	}
	if last.Status != flashsale.TicketSoldOut || !last.Final {
		t.Errorf("the wait ended with %+v", last)
	}
	for is := range s.watchTicket(t.Context(), three[left], last.ID) { // who asks again is told, and it ends
		last = *is
	}
	if !last.Final {
		t.Errorf("%+v", last)
	}
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
