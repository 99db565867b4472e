package graph_test

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/souk-shop/souk/internal/forfeit"
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

// overheard counts of how many wrong proofs the gateway is told beside the last answer.
func (s *shop) overheard() *atomic.Int64 {
	told, inner := &atomic.Int64{}, forfeit.Handler(s.handler)
	s.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inner.ServeHTTP(w, r)
		told.Store(int64(len(w.Header().Values(forfeit.Header))))
	})
	return told
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
	if err := s.sales.AdmitNow(s.t.Context()); err != nil {
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
	var turns <-chan *flashsale.Turn // of the last, by flashSaleTicketChanged
	for i, who := range all {
		got := s.join(who, saleID)
		if i == people-1 {
			turns = s.watchTicket(t.Context(), who, at(got, "data.flashSaleJoin.ticket.id"))
		}
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
	s.tellAll()
	for place := int64(people); place != int64(people-in); { // who waits is told so, and never of a worse place than before
		is := <-turns
		if is.Status != flashsale.TicketWaiting || is.Position > place || is.Position < int64(people-in) {
			t.Fatalf("%s at %d after %d", is.Status, is.Position, place)
		}
		place = is.Position
	}
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
	told := s.overheard()
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
		if got := s.joinWith(c.who, c.sale, c.solution); refusal(got, "flashSaleJoin") != "CHALLENGE_FAILED" || at(got, "data.flashSaleJoin.ticket") != "" || told.Load() != 1 {
			t.Errorf("%s: %v, and the gateway is told %d times", name, got, told.Load())
		}
	}
	if got := s.joinWith(guest, saleID, good); at(got, "errors.0.extensions.code") != "UNAUTHENTICATED" {
		t.Errorf("%v", got)
	}
	if got := s.joinWith(ann, saleID, good); at(got, "data.flashSaleJoin.ticket.id") == "" || told.Load() != 0 {
		t.Errorf("%v, and the gateway is told %d times", got, told.Load())
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

// A ticket, and what may be booked with it, is for whom it was given to, by whatever way somebody comes upon its id.
func TestATicketIsItsOwnersToSee(t *testing.T) {
	s := setup(t)
	saleID := s.withRoom("FIFO", 5)
	ann := accounts(1)[0]
	ticket := s.joined(ann, saleID)
	s.starts()
	s.meter(time.Second)
	for name, c := range map[string]struct {
		who  viewer.Viewer
		want string
	}{"its owner": {ann, "ADMITTED"}, "another": {accounts(1)[0], ""}, "the seller": {seller, ""}, "a guest": {guest, ""}} {
		got := s.ask(c.who, `query ($id: ID!) { _entities(representations: [{__typename: "FlashSaleTicket", id: $id}]) { ... on FlashSaleTicket { status admissionToken } } }`, map[string]any{"id": ticket})
		if is := at(got, "data._entities.0.status"); is != c.want || (at(got, "data._entities.0.admissionToken") != "") != (c.want != "") {
			t.Errorf("%s: %v", name, got)
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
