package graph_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/viewer"
)

func TestWhatASaleIsChecked(t *testing.T) {
	s := setup(t)
	v := s.goods.Stocked(10)
	offer := func(p map[string]any) map[string]any { return p["offers"].([]map[string]any)[0] }
	for name, c := range map[string]struct {
		who   viewer.Viewer
		spoil func(map[string]any)
		want  string
	}{
		"guest":           {guest, func(map[string]any) {}, "UNAUTHENTICATED"},
		"buyer":           {accounts(1)[0], func(map[string]any) {}, "FORBIDDEN"},
		"a rival":         {rival, func(map[string]any) {}, "NOT_FOUND [input offers 0 variantId]"},
		"no title":        {seller, func(p map[string]any) { p["title"] = " " }, "INVALID [input title]"},
		"no offers":       {seller, func(p map[string]any) { p["offers"] = []any{} }, "INVALID [input offers]"},
		"unknown goods":   {seller, func(p map[string]any) { offer(p)["variantId"] = id.New(id.Variant) }, "NOT_FOUND [input offers 0 variantId]"},
		"not an id":       {seller, func(p map[string]any) { offer(p)["variantId"] = "var_1" }, "INVALID [input offers 0 variantId]"},
		"twice":           {seller, func(p map[string]any) { p["offers"] = append(p["offers"].([]map[string]any), offer(p)) }, "INVALID [input offers 1 variantId]"},
		"free":            {seller, func(p map[string]any) { offer(p)["price"] = map[string]any{"amount": "0", "currencyCode": "USD"} }, "INVALID [input offers 0 price]"},
		"half a cent":     {seller, func(p map[string]any) { offer(p)["price"] = map[string]any{"amount": "1.005", "currencyCode": "USD"} }, "INVALID [input offers 0 price]"},
		"no units":        {seller, func(p map[string]any) { offer(p)["quantity"] = 0 }, "INVALID [input offers 0 quantity]"},
		"no limit":        {seller, func(p map[string]any) { offer(p)["limitPerAccount"] = 0 }, "INVALID [input offers 0 limitPerAccount]"},
		"limit of none":   {seller, func(p map[string]any) { p["limitPerAccount"] = 101 }, "INVALID [input limitPerAccount]"},
		"a blink":         {seller, func(p map[string]any) { p["holdSeconds"] = 4 }, "INVALID [input holdSeconds]"},
		"ends first":      {seller, func(p map[string]any) { p["endsAt"] = ten.Add(-time.Second) }, "INVALID [input endsAt]"},
		"ends never":      {seller, func(p map[string]any) { p["endsAt"] = ten.Add(31 * 24 * time.Hour) }, "INVALID [input endsAt]"},
		"is over":         {seller, func(p map[string]any) { p["startsAt"], p["endsAt"] = ten.Add(-3*time.Hour), ten.Add(-2*time.Hour) }, "INVALID [input endsAt]"},
		"a short key":     {seller, func(p map[string]any) { p["idempotencyKey"] = "1234567" }, "INVALID [input idempotencyKey]"},
		"a broken key":    {seller, func(p map[string]any) { p["idempotencyKey"] = "12345678\x00" }, "INVALID [input idempotencyKey]"},
		"no such sale":    {seller, func(p map[string]any) { p["id"] = id.New(id.FlashSale) }, "NOT_FOUND [input id]"},
		"not a sale":      {seller, func(p map[string]any) { p["id"] = "sale_1" }, "INVALID [input id]"},
		"more than there": {staff, func(p map[string]any) { offer(p)["quantity"] = 11 }, "INSUFFICIENT_STOCK [input offers 0 quantity]"},
	} {
		p := plan(2, v)
		c.spoil(p)
		got := s.ask(c.who, save, map[string]any{"i": p})
		is := at(got, "errors.0.extensions.code")
		if is == "" {
			is = at(got, "data.flashSaleSave.userErrors.0.code") + " " + at(got, "data.flashSaleSave.userErrors.0.field")
		}
		if is != c.want {
			t.Errorf("%s: %s, want %s (%v)", name, is, c.want, got)
		}
	}
	if s.goods.Stock(v) != 10 {
		t.Errorf("%d in stock", s.goods.Stock(v))
	}

	// A sale is its seller's: another has nothing to say in it, with goods of their own either.
	p := plan(2, v)
	p["id"] = s.sale(plan(2, v))
	s.goods.SellerID = rival.SellerID
	if got := s.ask(rival, save, map[string]any{"i": p}); refusal(got, "flashSaleSave") != "NOT_FOUND" {
		t.Errorf("another saves it: %v", got)
	}
	if got := s.ask(rival, `mutation ($id: ID!) { flashSaleCancel(input: {id: $id}) { flashSale { id } userErrors { code } } }`, map[string]any{"id": p["id"]}); refusal(got, "flashSaleCancel") != "NOT_FOUND" {
		t.Errorf("another calls it off: %v", got)
	}
}

func TestWhatBookingIsChecked(t *testing.T) {
	s := setup(t)
	saleID := s.open(2, s.goods.Stocked(2))
	ann := accounts(1)[0]
	for name, c := range map[string]struct {
		who                viewer.Viewer
		sale, variant, key string
		want               string
	}{
		"guest":         {guest, saleID, "", "key-00000001", "UNAUTHENTICATED"},
		"a short key":   {ann, saleID, "", "1234567", "INVALID [input idempotencyKey]"},
		"a broken key":  {ann, saleID, "", "12345678\x00", "INVALID [input idempotencyKey]"},
		"not a sale":    {ann, "sale_1", "", "key-00000001", "INVALID [input saleId]"},
		"no sale":       {ann, id.New(id.FlashSale), "", "key-00000001", "NOT_FOUND [input saleId]"},
		"not a variant": {ann, saleID, "var_1", "key-00000001", "INVALID [input variantId]"},
		"not offered":   {ann, saleID, id.New(id.Variant), "key-00000001", "NOT_FOUND [input variantId]"},
	} {
		got := s.book(c.who, c.sale, c.variant, c.key)
		is := at(got, "errors.0.extensions.code")
		if is == "" {
			is = at(got, "data.flashSaleBook.userErrors.0.code") + " " + at(got, "data.flashSaleBook.userErrors.0.field")
		}
		if is != c.want {
			t.Errorf("%s: %s, want %s (%v)", name, is, c.want, got)
		}
	}
	s.want(saleID, "OPEN 2/0/0")
	if got := s.release(ann, "fsb_1"); at(got, "data.flashSaleRelease.userErrors.0.code") != "INVALID" {
		t.Errorf("%v", got)
	}
	if got := s.release(ann, id.New(id.Booking)); at(got, "data.flashSaleRelease.userErrors.0.code") != "NOT_FOUND" {
		t.Errorf("%v", got)
	}
}

// Sales come in the order of their start, those that are over at the end; variants know which of them offers them.
func TestListsAreAskedForInOne(t *testing.T) {
	s := setup(t)
	var variants, sales []string
	for i := range 24 {
		v := s.goods.Stocked(2)
		p := plan(1, v)
		p["startsAt"], p["endsAt"] = ten.Add(time.Duration(i)*time.Minute), ten.Add(time.Duration(i+1)*time.Minute)
		variants, sales = append(variants, v), append(sales, s.sale(p))
	}
	s.clock.Advance(time.Hour + 90*time.Second) // the first is over, the second is open
	s.ask(seller, `mutation ($id: ID!) { flashSaleCancel(input: {id: $id}) { userErrors { code } } }`, map[string]any{"id": sales[2]})
	s.store.asked = map[string]int{}
	ann := accounts(1)[0]
	got := s.ask(ann, `{ flashSales(first: 100) { id status live { remaining } myBookings { id } } }`, nil)
	want := append(append([]string{sales[1]}, sales[3:]...), sales[2], sales[0])
	var is []string
	for i := range sales {
		is = append(is, at(got, fmt.Sprintf("data.flashSales.%d.id", i)))
	}
	if !slices.Equal(is, want) {
		t.Errorf("%v, want %v", is, want)
	}
	if !fewQuestions(s.store.asked, "BookingsOf") {
		t.Errorf("asked %v", s.store.asked)
	}
	for status, n := range map[string]int{"OPEN": 1, "SCHEDULED": 21, "ENDED": 1, "CANCELLED": 1, "SOLD_OUT": 0} {
		got := s.ask(guest, `query ($s: FlashSaleStatus) { flashSales(status: $s, first: 100) { status } }`, map[string]any{"s": status})
		if all := got["data"].(map[string]any)["flashSales"].([]any); len(all) != n {
			t.Errorf("%d are %s, want %d", len(all), status, n)
		}
	}
	if got := s.ask(guest, `{ flashSales(first: 0) { id } }`, nil); at(got, "errors.0.extensions.code") != "INVALID" {
		t.Errorf("%v", got)
	}
	var keys []map[string]any
	for _, v := range append(variants, id.New(id.Variant)) {
		keys = append(keys, map[string]any{"__typename": "ProductVariant", "id": v})
	}
	s.store.asked = map[string]int{}
	of := s.ask(guest, `query ($r: [_Any!]!) { _entities(representations: $r) { ... on ProductVariant { flashSale { id } } } }`, map[string]any{"r": keys})
	for i, want := range append(append([]string{"", sales[1], ""}, sales[3:]...), "") {
		if is := at(of, fmt.Sprintf("data._entities.%d.flashSale.id", i)); is != want {
			t.Errorf("variant %d is offered by %q, want %q", i, is, want)
		}
	}
	if !fewQuestions(s.store.asked, "SalesOfVariants", "SalesByID") {
		t.Errorf("asked %v", s.store.asked)
	}
}

// fewQuestions tells whether each of these was asked for a few times, and nothing else. On a busy machine a batch may leave before
// all are there: a few more questions are no fault, one for each of twenty would be.
func fewQuestions(asked map[string]int, kinds ...string) bool {
	for _, kind := range kinds {
		if n := asked[kind]; n < 1 || n > 10 {
			return false
		}
	}
	return len(asked) == len(kinds)
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
