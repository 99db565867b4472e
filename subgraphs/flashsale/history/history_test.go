package history_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/souk-shop/souk/internal/pgtest"
	"github.com/souk-shop/souk/subgraphs/flashsale"
	"github.com/souk-shop/souk/subgraphs/flashsale/history"
)

const patience = time.Minute

var ten = time.Date(2026, 11, 27, 10, 0, 0, 0, time.UTC)

// A script is a history written by hand: what takes place at each moment, one second after the other.
type script struct {
	sale flashsale.Sale
	ops  []history.Operation
	now  int
}

// on returns the script of a sale of so many lamps, one for each account, kept for ten seconds.
func on(lamps int) *script {
	return &script{sale: flashsale.Sale{ID: "sale", LimitPerAccount: 1, Offers: []flashsale.Offer{{VariantID: "lamp", Quantity: lamps, Remaining: lamps, LimitPerAccount: 1}}}}
}

// do adds an operation that takes the next second, before all that follow.
func (s *script) do(in history.Input, out history.Output) *script {
	s.now++
	at := time.Duration(s.now) * time.Second
	s.ops = append(s.ops, history.Operation{Client: s.now, Input: in, Output: out, Call: at, Return: at + time.Second/2, Before: ten.Add(at), After: ten.Add(at + time.Second/2)})
	return s
}

// lost takes away the answer to what was done last.
func (s *script) lost() *script {
	last := &s.ops[len(s.ops)-1]
	last.Output, last.Return = history.Output{}, history.Never
	return s
}

func (s *script) booking(who, key string) flashsale.Booking {
	return flashsale.Booking{ID: "fsb-" + key, AccountID: who, VariantID: "lamp", Key: key, Status: flashsale.Held, ExpiresAt: ten.Add(time.Duration(s.now+11) * time.Second)}
}

func (s *script) books(who, key string) *script {
	b := s.booking(who, key)
	return s.do(history.Input{Kind: history.Book, Account: who, Variant: "lamp", Key: key}, history.Output{Code: history.OK, Shown: &b})
}

func (s *script) soldOut(who, key string, held int) *script {
	return s.do(history.Input{Kind: history.Book, Account: who, Variant: "lamp", Key: key}, history.Output{Code: history.SoldOut, Held: held})
}

func (s *script) on(kind history.Kind, key, code, status string) *script {
	in := history.Input{Kind: kind, Booking: "fsb-" + key, Order: "ord-" + key}
	if kind == history.Release {
		in.Order = ""
	}
	return s.do(in, history.Output{Code: code, Status: status, Ends: ten.Add(time.Duration(s.now+11) * time.Second)})
}

func (s *script) waits(seconds int) *script {
	s.now += seconds
	return s
}

func (s *script) sweeps() *script {
	return s.do(history.Input{Kind: history.Sweep}, history.Output{Code: history.OK})
}

// buys adds all that it takes until a booking is sold.
func (s *script) buys(who, key string) *script {
	return s.books(who, key).on(history.Pay, key, "OK", "").on(history.Confirm, key, "OK", "BOOKED")
}

// looks adds a buyer's own look at a booking, which shows nothing of its order.
func (s *script) looks(who, key string, status flashsale.BookingStatus) *script {
	b := s.booking(who, key)
	b.Status = status
	return s.do(history.Input{Kind: history.Look, Booking: b.ID}, history.Output{Code: history.OK, Public: true, Shown: &b})
}

// ends adds the last look: the bookings with their statuses, such as "a BOOKED", and the counts.
func (s *script) ends(remaining, held, sold int, bookings ...string) *script {
	s.now++
	out := history.Output{Code: history.OK, Counts: []flashsale.Offer{{VariantID: "lamp", Quantity: s.sale.Offers[0].Quantity, Remaining: remaining, Held: held, Sold: sold}}}
	for _, is := range bookings {
		var who, key, status, order string
		_, _ = fmt.Sscan(is, &who, &key, &status, &order)
		b := flashsale.Booking{ID: "fsb-" + key, AccountID: who, VariantID: "lamp", Key: key, ExpiresAt: ten.Add(time.Hour)}
		for _, op := range s.ops {
			if op.Shown != nil && op.Shown.Key == key {
				b = *op.Shown
			}
		}
		b.Status, b.OrderID = flashsale.BookingStatus(status), order
		out.All = append(out.All, b)
	}
	return s.do(history.Input{Kind: history.Census}, out)
}

// What breaks a rule of the sale has no explanation, and what only looks as if it did has one.
func TestFaultsAreFound(t *testing.T) {
	t.Parallel()
	const explained, unexplained = history.Explained, history.Unexplained
	for name, c := range map[string]struct {
		*script
		want history.Result
	}{
		"one buys, one is late":              {on(1).books("ann", "a").on(history.Pay, "a", "OK", "").soldOut("bob", "b", 1).on(history.Confirm, "a", "OK", "BOOKED").ends(0, 0, 1, "ann a BOOKED ord-a"), explained},
		"a unit sold twice":                  {on(1).books("ann", "a").books("bob", "b"), unexplained},
		"a unit sold twice, much later":      {on(1).books("ann", "a").on(history.Pay, "a", "OK", "").on(history.Confirm, "a", "OK", "BOOKED").waits(60).sweeps().books("bob", "b"), unexplained},
		"two for one account":                {on(5).books("ann", "a").books("ann", "b"), unexplained},
		"another after giving one back":      {on(5).books("ann", "a").on(history.Release, "a", "OK", "RELEASED").books("ann", "b"), explained},
		"a booking lost":                     {on(5).books("ann", "a").ends(5, 0, 0), unexplained},
		"a booking lost, its unit too":       {on(5).books("ann", "a").ends(4, 0, 0), unexplained},
		"a booking lost, found by a look":    {on(5).books("ann", "a").do(history.Input{Kind: history.Look, Booking: "fsb-a"}, history.Output{Code: "NOT_FOUND"}), unexplained},
		"sold out while one remains":         {on(2).books("ann", "a").soldOut("bob", "b", 1), unexplained},
		"sold out, with other counts":        {on(1).books("ann", "a").soldOut("bob", "b", 0), unexplained},
		"sold out for good, then not":        {on(1).books("ann", "a").on(history.Pay, "a", "OK", "").on(history.Confirm, "a", "OK", "BOOKED").soldOut("bob", "b", 0).books("eve", "c"), unexplained},
		"a hold that ran out, sold":          {on(1).books("ann", "a").on(history.Pay, "a", "OK", "").waits(30).on(history.Confirm, "a", "OK", "BOOKED"), unexplained},
		"a hold that ran out, swept, sold":   {on(1).books("ann", "a").on(history.Pay, "a", "OK", "").waits(30).sweeps().books("bob", "b").on(history.Confirm, "a", "OK", "BOOKED"), unexplained},
		"a hold that ran out":                {on(1).books("ann", "a").waits(30).soldOut("bob", "b", 1).sweeps().books("bob", "c").ends(0, 1, 0, "ann a EXPIRED", "bob c HELD"), explained},
		"a hold that never ends":             {on(1).books("ann", "a").waits(30).sweeps().soldOut("bob", "b", 1), unexplained},
		"a hold cut short":                   {on(1).books("ann", "a").sweeps().books("bob", "b").ends(0, 1, 0, "ann a EXPIRED", "bob b HELD"), unexplained},
		"given back and sold":                {on(1).books("ann", "a").on(history.Release, "a", "OK", "RELEASED").on(history.Pay, "a", "OK", ""), unexplained},
		"given back twice":                   {on(1).books("ann", "a").on(history.Release, "a", "OK", "RELEASED").books("bob", "b").on(history.Release, "a", "OK", "RELEASED").soldOut("eve", "c", 1), explained},
		"given back, its unit twice":         {on(1).books("ann", "a").on(history.Release, "a", "OK", "RELEASED").books("bob", "b").on(history.Release, "a", "OK", "RELEASED").books("eve", "c"), unexplained},
		"sold and declined":                  {on(1).books("ann", "a").on(history.Pay, "a", "OK", "").on(history.Confirm, "a", "OK", "BOOKED").on(history.Decline, "a", "OK", "RELEASED"), unexplained},
		"declined, and back":                 {on(1).books("ann", "a").on(history.Pay, "a", "OK", "").on(history.Decline, "a", "OK", "RELEASED").books("bob", "b"), explained},
		"a key for two bookings":             {on(5).books("ann", "a").do(history.Input{Kind: history.Book, Account: "ann", Variant: "lamp", Key: "a"}, other("ann", "a", "fsb-other")), unexplained},
		"another's booking for an answer":    {on(5).books("ann", "a").do(history.Input{Kind: history.Book, Account: "bob", Variant: "lamp", Key: "b"}, other("ann", "a", "fsb-a")), unexplained},
		"the same key again":                 {on(1).books("ann", "a").do(history.Input{Kind: history.Book, Account: "ann", Variant: "lamp", Key: "a"}, other("ann", "a", "fsb-a")).soldOut("bob", "b", 1), explained},
		"no answer, and it was":              {on(1).books("ann", "a").lost().soldOut("bob", "b", 1).ends(0, 1, 0, "ann a HELD"), explained},
		"no answer, and it was later":        {on(1).books("ann", "a").lost().books("bob", "b").on(history.Release, "b", "OK", "RELEASED").soldOut("eve", "c", 1).ends(0, 1, 0, "ann a HELD", "bob b RELEASED"), explained},
		"no answer, and it never was":        {on(1).books("ann", "a").lost().books("bob", "b").ends(0, 1, 0, "bob b HELD"), explained},
		"no answer, no census":               {on(1).books("ann", "a").lost().soldOut("bob", "b", 1), explained},
		"no answer, and twice":               {on(1).books("ann", "a").lost().books("bob", "b").ends(0, 1, 0, "ann a HELD", "bob b HELD"), unexplained},
		"no answer, asked again":             {on(1).books("ann", "a").lost().do(history.Input{Kind: history.Book, Account: "ann", Variant: "lamp", Key: "a"}, other("ann", "a", "fsb-a")).soldOut("bob", "b", 1), explained},
		"no answer to a payment, and sold":   {on(1).books("ann", "a").on(history.Pay, "a", "OK", "").on(history.Confirm, "a", "OK", "").lost().ends(0, 0, 1, "ann a BOOKED ord-a"), explained},
		"no answer to a payment, and lost":   {on(1).books("ann", "a").on(history.Pay, "a", "OK", "").on(history.Confirm, "a", "OK", "").lost().on(history.Decline, "a", "HOLD_COMMITTED", "").ends(1, 0, 0, "ann a RELEASED ord-a"), unexplained},
		"no answer to a release, and none":   {on(1).books("ann", "a").on(history.Release, "a", "OK", "").lost().soldOut("bob", "b", 1).ends(0, 1, 0, "ann a HELD"), explained},
		"two orders for one booking":         {on(1).books("ann", "a").on(history.Pay, "a", "OK", "").do(history.Input{Kind: history.Pay, Booking: "fsb-a", Order: "ord-b"}, history.Output{Code: history.OK, Ends: ten.Add(time.Minute)}), unexplained},
		"sold by an order that does not pay": {on(1).books("ann", "a").on(history.Pay, "a", "OK", "").do(history.Input{Kind: history.Confirm, Booking: "fsb-a", Order: "ord-b"}, history.Output{Code: history.OK}), unexplained},
		"cancelled, and back":                {on(1).buys("ann", "a").on(history.Cancel, "a", "OK", "CANCELLED").books("bob", "b").ends(0, 1, 0, "ann a CANCELLED ord-a", "bob b HELD"), explained},
		"cancelled, and booked again":        {on(1).buys("ann", "a").on(history.Cancel, "a", "OK", "CANCELLED").books("ann", "b").ends(0, 1, 0, "ann a CANCELLED ord-a", "ann b HELD"), explained},
		"cancelled, told twice":              {on(1).buys("ann", "a").on(history.Cancel, "a", "OK", "CANCELLED").on(history.Confirm, "a", "OK", "CANCELLED").on(history.Cancel, "a", "OK", "CANCELLED").ends(1, 0, 0, "ann a CANCELLED ord-a"), explained},
		"cancelled, and given back too":      {on(1).buys("ann", "a").on(history.Cancel, "a", "OK", "CANCELLED").on(history.Decline, "a", "HOLD_COMMITTED", "").on(history.Release, "a", "OK", "CANCELLED").ends(1, 0, 0, "ann a CANCELLED ord-a"), explained},
		"cancelled, its unit gone":           {on(1).buys("ann", "a").on(history.Cancel, "a", "OK", "CANCELLED").soldOut("bob", "b", 0), unexplained},
		"cancelled, its unit twice":          {on(1).buys("ann", "a").on(history.Cancel, "a", "OK", "CANCELLED").books("bob", "b").on(history.Cancel, "a", "OK", "CANCELLED").books("eve", "c"), unexplained},
		"cancelled, and sold all the same":   {on(1).buys("ann", "a").on(history.Cancel, "a", "OK", "CANCELLED").ends(0, 0, 1, "ann a BOOKED ord-a"), unexplained},
		"cancelled, and no more for them":    {on(2).buys("ann", "a").on(history.Cancel, "a", "OK", "CANCELLED").do(history.Input{Kind: history.Book, Account: "ann", Variant: "lamp", Key: "b"}, toldBefore("ann", "a", "CANCELLED")), unexplained},
		"cancelled before it is sold":        {on(1).books("ann", "a").on(history.Pay, "a", "OK", "").on(history.Cancel, "a", "OK", "CANCELLED"), unexplained},
		"held, so not cancelled":             {on(1).books("ann", "a").on(history.Pay, "a", "OK", "").on(history.Cancel, "a", "HOLD_HELD", "").ends(0, 1, 0, "ann a HELD ord-a"), explained},
		"cancelled by nobody":                {on(1).buys("ann", "a").ends(1, 0, 0, "ann a CANCELLED ord-a"), unexplained},
		"cancelled, without an answer":       {on(1).buys("ann", "a").on(history.Cancel, "a", "", "").lost().books("bob", "b").ends(0, 1, 0, "ann a CANCELLED ord-a", "bob b HELD"), explained},
		"cancelled by another order":         {on(1).buys("ann", "a").do(history.Input{Kind: history.Cancel, Booking: "fsb-a", Order: "ord-b"}, history.Output{Code: "NOT_FOUND"}).ends(0, 0, 1, "ann a BOOKED ord-a"), explained},

		"checked out":                             {on(1).books("ann", "a").on(history.Checkout, "a", history.Placed, "PLACED").looks("ann", "a", "BOOKED").ends(0, 0, 1, "ann a BOOKED ord-a"), explained},
		"checked out, and nobody was told":        {on(1).books("ann", "a").on(history.Checkout, "a", "", "").lost().soldOut("bob", "b", 1).soldOut("eve", "c", 0).ends(0, 0, 1, "ann a BOOKED ord-a"), explained},
		"checked out, later":                      {on(1).books("ann", "a").on(history.Checkout, "a", history.ActionRequired, "CREATED").soldOut("bob", "b", 1).soldOut("eve", "c", 0).ends(0, 0, 1, "ann a BOOKED ord-a"), explained},
		"checked out, and lost":                   {on(1).books("ann", "a").on(history.Checkout, "a", history.Placed, "PLACED").waits(30).ends(1, 0, 0, "ann a EXPIRED ord-a"), unexplained},
		"checked out, and held":                   {on(1).books("ann", "a").on(history.Checkout, "a", history.Placed, "PLACED").ends(0, 1, 0, "ann a HELD ord-a"), unexplained},
		"checked out, seen as if not":             {on(1).books("ann", "a").on(history.Checkout, "a", history.Placed, "PLACED").looks("ann", "a", "HELD").ends(0, 0, 1, "ann a BOOKED ord-a"), unexplained},
		"sold, and nobody checked out":            {on(1).books("ann", "a").ends(0, 0, 1, "ann a BOOKED ord-a"), unexplained},
		"sold to another order":                   {on(1).books("ann", "a").on(history.Checkout, "a", history.Placed, "PLACED").ends(0, 0, 1, "ann a BOOKED ord-b"), unexplained},
		"checkout declined":                       {on(1).books("ann", "a").on(history.Checkout, "a", history.PaymentFailed, "CANCELLED").books("bob", "b").ends(0, 1, 0, "ann a RELEASED ord-a", "bob b HELD"), explained},
		"checkout declined, and no unit":          {on(1).books("ann", "a").on(history.Checkout, "a", history.PaymentFailed, "CANCELLED").ends(0, 1, 0, "ann a HELD ord-a"), unexplained},
		"checkout declined, and sold":             {on(1).books("ann", "a").on(history.Checkout, "a", history.PaymentFailed, "CANCELLED").ends(0, 0, 1, "ann a BOOKED ord-a"), unexplained},
		"checkout after the end":                  {on(1).books("ann", "a").waits(30).on(history.Checkout, "a", "HOLD_EXPIRED", "").ends(1, 0, 0, "ann a EXPIRED"), explained},
		"checkout refused too soon":               {on(1).books("ann", "a").on(history.Checkout, "a", "HOLD_EXPIRED", "").waits(30).ends(1, 0, 0, "ann a EXPIRED"), unexplained},
		"expired by itself":                       {on(1).books("ann", "a").waits(30).books("bob", "b").ends(0, 1, 0, "ann a EXPIRED", "bob b HELD"), explained},
		"expired by itself, too soon":             {on(1).books("ann", "a").books("bob", "b").waits(30).ends(0, 1, 0, "ann a EXPIRED", "bob b HELD"), unexplained},
		"never expired by itself":                 {on(1).books("ann", "a").waits(30).ends(0, 1, 0, "ann a HELD"), unexplained},
		"order cancelled":                         {on(1).books("ann", "a").on(history.Checkout, "a", history.Placed, "PLACED").on(history.CancelOrder, "a", "OK", "CANCELLED").books("ann", "b").on(history.Checkout, "a", history.Placed, "CANCELLED").ends(0, 1, 0, "ann a CANCELLED ord-a", "ann b HELD"), explained},
		"order cancelled, its unit late":          {on(1).books("ann", "a").on(history.Checkout, "a", history.Placed, "PLACED").on(history.CancelOrder, "a", "OK", "CANCELLED").soldOut("bob", "b", 0).books("eve", "c").ends(0, 1, 0, "ann a CANCELLED ord-a", "eve c HELD"), explained},
		"order cancelled, its unit never back":    {on(1).books("ann", "a").on(history.Checkout, "a", history.Placed, "PLACED").on(history.CancelOrder, "a", "OK", "CANCELLED").ends(0, 0, 1, "ann a BOOKED ord-a"), unexplained},
		"order cancelled, its unit before that":   {on(1).books("ann", "a").on(history.Checkout, "a", history.Placed, "PLACED").books("bob", "b").on(history.CancelOrder, "a", "OK", "CANCELLED").ends(0, 1, 0, "ann a CANCELLED ord-a", "bob b HELD"), unexplained},
		"order cancelled while it is paid":        {on(1).books("ann", "a").on(history.Checkout, "a", history.ActionRequired, "CREATED").on(history.CancelOrder, "a", "OK", "CANCELLED").books("bob", "b").ends(0, 1, 0, "ann a RELEASED ord-a", "bob b HELD"), explained},
		"order cancelled, and the same after all": {on(1).books("ann", "a").on(history.Checkout, "a", history.Placed, "PLACED").on(history.CancelOrder, "a", "OK", "CANCELLED").looks("ann", "a", "CANCELLED").looks("ann", "a", "BOOKED").ends(1, 0, 0, "ann a CANCELLED ord-a"), unexplained},
		"cancelled, and nobody asked":             {on(1).books("ann", "a").on(history.Checkout, "a", history.Placed, "PLACED").ends(1, 0, 0, "ann a CANCELLED ord-a"), unexplained},

		"counts that do not add up": {on(2).books("ann", "a").ends(0, 1, 0, "ann a HELD"), unexplained},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := history.Check(c.sale, c.ops, patience)
			if v.Result != c.want || (v.Stuck == "") != (c.want == explained) {
				t.Errorf("%s at %q, want %s", v.Result, v.Stuck, c.want)
			}
			if c.want == unexplained {
				var page strings.Builder
				if err := v.Draw(&page); err != nil || !strings.Contains(page.String(), "<html") {
					t.Errorf("no picture: %v", err)
				}
			}
		})
	}
}

func other(who, key, booking string) history.Output {
	b := flashsale.Booking{ID: booking, AccountID: who, VariantID: "lamp", Key: key, Status: flashsale.Held, ExpiresAt: ten.Add(12 * time.Second)}
	return history.Output{Code: history.OK, Shown: &b}
}

func toldBefore(who, key string, status flashsale.BookingStatus) history.Output {
	out := other(who, key, "fsb-"+key)
	out.Code, out.Shown.Status = history.AlreadyBooked, status
	return out
}

// What real sales answer, while connections are cut and callers hang up, is what one sale after another would answer.
func TestRealHistoriesAreExplained(t *testing.T) {
	t.Parallel()
	r, err := history.Run(t.Context(), history.Options{URL: pgtest.Empty(t), Seeds: 5, Ops: 300, Patience: patience, Pictures: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range r.Histories {
		t.Logf("seed %d: %d operations, %d without an answer, %d sold, ran %v, judged in %v", h.Seed, h.Ops, h.Unknown, h.Sold, h.Ran, h.Took)
		if h.Result != history.Explained {
			t.Errorf("seed %d: %s at %s; see %s", h.Seed, h.Result, h.Stuck, h.Picture)
		}
	}
	if len(r.Histories) != 5 || !r.Explained() {
		t.Errorf("%d histories", len(r.Histories))
	}
	// Also one that is judged in no time, for the sale's log says how.
	sale, ops, err := history.Record(t.Context(), history.Options{URL: pgtest.Empty(t), Schema: "flashsale", Ops: 300, Callers: 10}, 6)
	if err != nil {
		t.Fatal(err)
	}
	if v := history.Check(sale, ops, time.Nanosecond); v.Result != history.Explained {
		t.Errorf("%s at %s", v.Result, v.Stuck)
	}
}

// A shop that lies once in a while is found out.
func TestFaultyShopsAreFound(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	for name, lie := range map[string]func(n int, results []flashsale.BookResult, requests []flashsale.BookRequest){
		"sold out, though it is not": func(n int, results []flashsale.BookResult, _ []flashsale.BookRequest) {
			if n%20 == 0 && results[0].Booking != nil {
				results[0] = flashsale.BookResult{SoldOut: &flashsale.NoneLeft{}}
			}
		},
		"a booking that is not kept": func(n int, results []flashsale.BookResult, requests []flashsale.BookRequest) {
			if n%20 == 0 && results[0].SoldOut != nil {
				b := flashsale.Booking{ID: "fsb_" + requests[0].Key, AccountID: requests[0].AccountID, VariantID: requests[0].VariantID, Key: requests[0].Key, Status: flashsale.Held, ExpiresAt: ten.Add(1000 * time.Hour)}
				results[0] = flashsale.BookResult{Booking: &b}
			}
		},
		"a booking for whoever comes next": func(n int, results []flashsale.BookResult, _ []flashsale.BookRequest) {
			if n > 20 && len(results) > 1 && results[0].Booking != nil && results[1].SoldOut != nil {
				results[1] = results[0]
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			var told bool
			for seed := uint64(1); seed < 20 && !told; seed++ {
				r, err := history.Run(t.Context(), history.Options{URL: url, Seed: seed, Ops: 300, Patience: 10 * time.Second, Pictures: t.TempDir(), Wrap: func(s flashsale.Store) flashsale.Store {
					return &liar{Store: s, lie: lie}
				}})
				if err != nil {
					t.Fatal(err)
				}
				is := r.Histories[0].Result
				told = (is == history.Unexplained || is == history.AgainstLog) && r.Histories[0].Picture != ""
				t.Logf("seed %d: %s at %s", seed, r.Histories[0].Result, r.Histories[0].Stuck)
			}
			if !told {
				t.Error("nothing was noticed")
			}
		})
	}
}

// A liar is a store that does all it is told to, and answers something else.
type liar struct {
	flashsale.Store
	n   int
	lie func(n int, results []flashsale.BookResult, requests []flashsale.BookRequest)
}

func (l *liar) Book(ctx context.Context, saleID string, requests []flashsale.BookRequest, at time.Time) ([]flashsale.BookResult, error) {
	results, err := l.Store.Book(ctx, saleID, requests, at)
	if l.n++; err == nil { // one desk calls, one batch after the other
		l.lie(l.n, results, requests)
	}
	return results, err
}
