package postgres_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/subgraphs/flashsale"
	"github.com/souk-shop/souk/subgraphs/flashsale/flashsaletest"
	"github.com/souk-shop/souk/subgraphs/flashsale/postgres"
)

// crowded is a lottery that opens at ten, with so many in its room.
func (w *world) crowded(people int) (saleID string) {
	w.t.Helper()
	w.clock.Advance(-time.Hour)
	p := w.plan(1000, w.goods.Stocked(1000))
	p.StartsAt, p.EndsAt = ten, ten.Add(time.Hour)
	p.Entry = flashsale.Entry{Admission: flashsale.Lottery, Difficulty: 1000, AdmitPerSecond: 100, AdmissionTime: time.Minute}
	saleID = w.sale(p)
	w.clock.Advance(time.Hour)
	is := w.found(saleID)
	for done := 0; done < people; { // as joining does, but not one by one
		n := min(people-done, 100_000)
		rows := make([][]any, n)
		for i := range rows {
			ticket := id.New(id.Ticket)
			rows[i] = []any{ticket, saleID, id.New(id.Account), int64(done + i + 1), flashsale.Lot(is.Seed, ticket), "WAITING", ten}
		}
		done += n
		if _, err := w.pool.CopyFrom(w.t.Context(), pgx.Identifier{"tickets"}, []string{"id", "sale_id", "account_id", "number", "lot", "status", "joined_at"}, pgx.CopyFromRows(rows)); err != nil {
			w.t.Fatal(err)
		}
	}
	for _, sql := range []string{`UPDATE rooms SET joined = $2, entrants = $2, rev = rev + 1 WHERE sale_id = $1`, `ANALYZE tickets`} {
		args := []any{saleID, people}
		if sql[0] == 'A' {
			args = nil
		}
		if _, err := w.pool.Exec(w.t.Context(), sql, args...); err != nil {
			w.t.Fatal(err)
		}
	}
	return saleID
}

func (w *world) someone(saleID string, place int) string {
	w.t.Helper()
	found, err := w.store.Drawn(w.t.Context(), saleID, int64(place-1), 1)
	if err != nil || len(found) != 1 {
		w.t.Fatalf("%v %v", found, err)
	}
	return found[0]
}

// What a place in a drawn queue costs does not grow with the queue: at most a milestone's distance of other tickets is read.
func TestAPlaceIsFoundFromTheMilestoneBeforeIt(t *testing.T) {
	w := setup(t)
	saleID := w.crowded(20_000)
	if err := w.sales.AdmitNow(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, place := range []int{1, 99, 100, 101, 9_999, 19_901, 20_000} {
		ticket := w.someone(saleID, place)
		found, err := w.store.TicketsByID(t.Context(), []string{ticket})
		if err != nil || len(found) != 1 || found[0].Place != int64(place) {
			t.Errorf("place %d: %+v %v", place, found, err)
		}
		for name, read := range map[string]int{
			"its place": w.read(postgres.TicketsByIDQuery, []string{ticket}),
			"who is at": w.read(postgres.DrawnAfterQuery, saleID, place-1, 1),
		} {
			if read > 200 { // 100, and what is read of sales and milestones
				t.Errorf("%s %d: %d rows were read", name, place, read)
			}
		}
	}
	many, err := w.store.Drawn(t.Context(), saleID, 5000, 400)
	if err != nil {
		t.Fatal(err)
	}
	if read := w.read(postgres.TicketsByIDQuery, many); read > 400*200 {
		t.Errorf("%d rows were read for 400 places", read)
	} else {
		t.Logf("%d rows were read for 400 places", read)
	}
	w.sound()
}

// read runs a query and tells how many rows its scans have read.
func (w *world) read(sql string, args ...any) int {
	w.t.Helper()
	var plans []struct{ Plan node }
	var raw []byte
	if err := w.pool.QueryRow(w.t.Context(), `EXPLAIN (ANALYZE, FORMAT JSON, TIMING OFF) `+sql, args...).Scan(&raw); err != nil {
		w.t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &plans); err != nil {
		w.t.Fatal(err)
	}
	return plans[0].Plan.read()
}

type node struct {
	Relation string  `json:"Relation Name"`
	Rows     float64 `json:"Actual Rows"`
	Loops    float64 `json:"Actual Loops"`
	Filtered float64 `json:"Rows Removed by Filter"`
	Plans    []node
}

func (n node) read() (rows int) {
	if n.Relation != "" {
		rows = int((n.Rows + n.Filtered) * n.Loops)
	}
	for _, p := range n.Plans {
		rows += p.read()
	}
	return rows
}

// A million people wait: the draw, the place of one of them, of 500 who ask at once, and letting in a tenth of a second's people.
//
//	go test -run xxx -bench Million ./subgraphs/flashsale/postgres
func BenchmarkAMillionWait(b *testing.B) {
	w := open(b)
	start := time.Now()
	saleID := w.crowded(1_000_000)
	b.Logf("%v to fill the room", time.Since(start))
	start = time.Now()
	if err := w.sales.AdmitNow(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.Logf("%v to draw", time.Since(start))
	var some []string
	for i := range 500 {
		some = append(some, w.someone(saleID, 1+i*1999))
	}
	for name, ids := range map[string][]string{"place": some[300:301], "500 places": some} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if found, err := w.store.TicketsByID(b.Context(), ids); err != nil || len(found) != len(ids) {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("join", func(b *testing.B) {
		for b.Loop() {
			if _, err := w.store.Join(b.Context(), saleID, []string{id.New(id.Account)}, w.clock.Now()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("512 join", func(b *testing.B) {
		for b.Loop() {
			accounts := make([]string, 512)
			for i := range accounts {
				accounts[i] = id.New(id.Account)
			}
			if _, err := w.store.Join(b.Context(), saleID, accounts, w.clock.Now()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("admit 20", func(b *testing.B) {
		for b.Loop() {
			if err := w.store.Admit(b.Context(), saleID, w.clock.Now(), func(*flashsale.Room, flashsale.Sale, int) int { return 20 }); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("waiting", func(b *testing.B) {
		for b.Loop() {
			if _, err := w.store.Waiting(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// In one way in and out of another: what the room has noted is there for whoever comes after a crash.
func TestATicketSurvivesTheProcess(t *testing.T) {
	w := setup(t)
	saleID := w.crowded(1200)
	if err := w.sales.AdmitNow(t.Context()); err != nil {
		t.Fatal(err)
	}
	ticket := w.someone(saleID, 777)
	before, err := w.store.TicketsByID(t.Context(), []string{ticket})
	if err != nil {
		t.Fatal(err)
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), w.pool.Config())
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	again := flashsale.New(postgres.NewStore(pool), nil, flashsaletest.NewShop(seller.SellerID), clock.Hold(w.clock.Now().Add(time.Second)))
	if err := again.AdmitNow(t.Context()); err != nil {
		t.Fatal(err)
	}
	after, err := again.TicketsByID(t.Context(), []string{ticket})
	if err != nil || fmt.Sprint(before[0].Place, after[0].Place) != "777 777" {
		t.Errorf("%+v, then %+v, %v", before, after, err)
	}
	if r := w.found(saleID).Room; r.Called != 20+50 { // a fifth of a second's and, after a second, half a second's
		t.Errorf("%+v", r)
	}
	w.sound()
}

// However long a draw takes, who comes late gets a place.
func TestADrawHoldsNobodyUp(t *testing.T) {
	w := setup(t)
	saleID := w.crowded(300)
	tx, err := w.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.Background())
	if _, err := tx.Exec(t.Context(), `LOCK TABLE milestones`); err != nil { // the draw gets stuck here
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- w.sales.AdmitNow(t.Context()) }()
	for closed := false; !closed; {
		if err := w.pool.QueryRow(t.Context(), `SELECT closed_at IS NOT NULL FROM rooms WHERE sale_id = $1`, saleID).Scan(&closed); err != nil {
			t.Fatal(err)
		}
	}
	res, err := w.store.Join(t.Context(), saleID, []string{id.New(id.Account)}, w.clock.Now().Add(-time.Second)) // by a clock that is slow
	if err != nil || res[0].Err != nil || res[0].Ticket.Place != 301 || res[0].Ticket.Lot != nil {
		t.Errorf("%+v %v", res, err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if r := w.found(saleID).Room; r.DrawnAt == nil || r.Called != 20 || r.Entrants != 300 {
		t.Errorf("%+v", r)
	}
	w.sound()
}

// A turn that is taken in its last moment meets those who note that it went by, and the one who comes again: one of them wins.
func TestATurnIsTakenOrGoesByNeverBoth(t *testing.T) {
	w := setup(t)
	const people = 30
	saleID := w.crowded(people)
	if err := w.store.Admit(t.Context(), saleID, w.clock.Now(), func(*flashsale.Room, flashsale.Sale, int) int { return people }); err != nil {
		t.Fatal(err)
	}
	tickets, err := w.store.Drawn(t.Context(), saleID, 0, people)
	if err != nil {
		t.Fatal(err)
	}
	before, after := w.clock.Now().Add(time.Minute-time.Microsecond), w.clock.Now().Add(time.Minute)
	w.clock.Advance(time.Minute)
	all, err := w.store.TicketsByID(t.Context(), tickets)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := 0; i < people; i += 10 {
		some := all[i : i+10]
		wg.Go(func() {
			<-start
			var asked []flashsale.BookRequest
			for _, ticket := range some {
				asked = append(asked, flashsale.BookRequest{AccountID: ticket.AccountID, Key: "key-00000001", TicketID: ticket.ID})
			}
			if _, err := w.store.Book(t.Context(), saleID, asked, before); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			<-start
			if err := w.sales.AdmitNow(t.Context()); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			<-start
			accounts := make([]string, len(some))
			for i := range some {
				accounts[len(some)-1-i] = some[i].AccountID
			}
			if _, err := w.store.Join(t.Context(), saleID, accounts, after); err != nil {
				t.Error(err)
			}
		})
	}
	close(start)
	wg.Wait()
	if err := w.sales.AdmitNow(t.Context()); err != nil {
		t.Error(err)
	}
	used := 0
	if all, err = w.store.TicketsByID(t.Context(), tickets); err != nil {
		t.Fatal(err)
	}
	for _, ticket := range all {
		switch ticket.Noted {
		case flashsale.TicketUsed:
			used++
		case flashsale.TicketExpired:
		default:
			t.Errorf("%+v", ticket)
		}
	}
	if o := w.found(saleID).Offers[0]; o.Held != used {
		t.Errorf("%d are used, and %d units held", used, o.Held)
	}
	w.sound()
}
