package graph_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/money"
	"github.com/souk-shop/souk/internal/pgtest"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/cart"
	"github.com/souk-shop/souk/subgraphs/cart/graph"
	"github.com/souk-shop/souk/subgraphs/cart/postgres"
)

// goods is a catalogue and a stock that count what they are asked.
type goods struct {
	mu                sync.Mutex
	variants          map[string]events.VariantInfo
	stock             map[string]int
	priced, available atomic.Int32
}

func (g *goods) Variants(_ context.Context, ids []string) (map[string]events.VariantInfo, error) {
	g.priced.Add(1)
	g.mu.Lock()
	defer g.mu.Unlock()
	found := map[string]events.VariantInfo{}
	for _, id := range ids {
		if v, ok := g.variants[id]; ok {
			found[id] = v
		}
	}
	return found, nil
}

func (g *goods) Available(context.Context, []string) (map[string]int, error) {
	g.available.Add(1)
	return g.stock, nil
}

// sell adds a variant to the catalogue.
func (g *goods) sell(cents int64, currency string, stock int) string {
	v := events.VariantInfo{Variant: events.Variant{ID: id.New(id.Variant), Price: money.Money{Amount: cents, Currency: currency}}, ForSale: true}
	g.variants[v.ID], g.stock[v.ID] = v, stock
	return v.ID
}

// reprice changes what a variant costs.
func (g *goods) reprice(variant string, cents int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	v := g.variants[variant]
	v.Price.Amount = cents
	g.variants[variant] = v
}

// takeOff takes a variant off sale.
func (g *goods) takeOff(variant string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	v := g.variants[variant]
	v.ForSale = false
	g.variants[variant] = v
}

type shop struct {
	*goods
	t     *testing.T
	pool  *pgxpool.Pool
	store *postgres.Store
	clock *clock.Held
	h     http.Handler
}

func setup(t *testing.T) *shop {
	t.Parallel()
	s := &shop{
		goods: &goods{variants: map[string]events.VariantInfo{}, stock: map[string]int{}},
		t:     t, pool: pgtest.New(t, postgres.Migrations), clock: clock.Hold(time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)),
	}
	s.store = postgres.NewStore(s.pool)
	s.h = graph.Handler(cart.New(s.store, s.goods, s.clock), slog.New(slog.NewTextHandler(t.Output(), nil)))
	return s
}

const shown = `cart { id version totalQuantity account { id } cost { total { amount currencyCode } } lines { nodes { id quantity unitPrice { amount } cost { amount } } }
	problems { code lineId availableQuantity } } userErrors { code message field }`

// do runs a mutation with one input and returns its payload.
func (s *shop) do(who viewer.Viewer, mutation, inputType string, input map[string]any) payload {
	s.t.Helper()
	answer := s.ask(who, fmt.Sprintf(`mutation ($input: %s) { r: %s(input: $input) { %s } }`, inputType, mutation, shown), map[string]any{"input": input})
	var out struct{ R payload }
	if err := json.Unmarshal(answer, &out); err != nil {
		s.t.Fatalf("%v: %s", err, answer)
	}
	return out.R
}

func (s *shop) ask(who viewer.Viewer, query string, vars map[string]any) json.RawMessage {
	s.t.Helper()
	body, _ := json.Marshal(map[string]any{"query": query, "variables": vars})
	req := httptest.NewRequestWithContext(viewer.With(s.t.Context(), who), "POST", "/graphql", strings.NewReader(string(body)))
	req.Header.Set("Content-Type", "application/json")
	rec := httptest.NewRecorder()
	s.h.ServeHTTP(rec, req)
	var answer struct{ Data, Errors json.RawMessage }
	if err := json.Unmarshal(rec.Body.Bytes(), &answer); err != nil || answer.Errors != nil {
		s.t.Fatalf("%v: %s", err, rec.Body)
	}
	return answer.Data
}

type payload struct {
	Cart *struct {
		ID            string
		Version       int
		TotalQuantity int
		Account       *struct{ ID string }
		Cost          struct {
			Total struct{ Amount, CurrencyCode string }
		}
		Lines struct {
			Nodes []struct {
				ID              string
				Quantity        int
				UnitPrice, Cost struct{ Amount string }
			}
		}
		Problems []struct {
			Code, LineID      string
			AvailableQuantity *int
		}
	}
	UserErrors []struct {
		Code, Message string
		Field         []string
	}
}

// refusal shows the first user error, or "".
func (p payload) refusal() string {
	if len(p.UserErrors) == 0 {
		return ""
	}
	return p.UserErrors[0].Code + " " + strings.Join(p.UserErrors[0].Field, ".")
}

func lines(pairs ...any) []map[string]any {
	var out []map[string]any
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, map[string]any{"variantId": pairs[i], "quantity": pairs[i+1]})
	}
	return out
}

var guest = viewer.Viewer{}

func account() viewer.Viewer { return viewer.Viewer{AccountID: id.New(id.Account)} }

func (s *shop) create(who viewer.Viewer, l ...any) payload {
	s.t.Helper()
	return s.do(who, "cartCreate", "CartCreateInput", map[string]any{"lines": lines(l...)})
}

func (s *shop) add(who viewer.Viewer, cartID string, l ...any) payload {
	s.t.Helper()
	return s.do(who, "cartLinesAdd", "CartLinesAddInput!", map[string]any{"cartId": cartID, "lines": lines(l...)})
}

func TestAddUpdateRemove(t *testing.T) {
	s := setup(t)
	lamp, mug := s.sell(1990, "USD", 10), s.sell(500, "USD", 10)
	c := s.create(guest, lamp, 1).Cart
	p := s.add(guest, c.ID, lamp, 1, mug, 3)
	if p.Cart.TotalQuantity != 5 || len(p.Cart.Lines.Nodes) != 2 || p.Cart.Cost.Total.Amount != "54.80" || p.Cart.Version != c.Version+1 {
		t.Fatalf("after adding: %+v", p)
	}
	lampLine, mugLine := p.Cart.Lines.Nodes[0].ID, p.Cart.Lines.Nodes[1].ID
	p = s.do(guest, "cartLinesUpdate", "CartLinesUpdateInput!", map[string]any{"cartId": c.ID, "lines": []map[string]any{{"lineId": lampLine, "quantity": 3}, {"lineId": mugLine, "quantity": 0}}})
	if len(p.Cart.Lines.Nodes) != 1 || p.Cart.Lines.Nodes[0].Cost.Amount != "59.70" || p.Cart.Lines.Nodes[0].ID != lampLine {
		t.Fatalf("after updating: %+v", p)
	}
	for range 2 { // the second time there is nothing left to do
		p = s.do(guest, "cartLinesRemove", "CartLinesRemoveInput!", map[string]any{"cartId": c.ID, "lineIds": []string{lampLine}})
		if len(p.Cart.Lines.Nodes) != 0 || p.Cart.Cost.Total.Amount != "0.00" {
			t.Fatalf("after removing: %+v", p)
		}
	}
}

func TestRefusals(t *testing.T) {
	s := setup(t)
	lamp, euro, gone := s.sell(1990, "USD", 10), s.sell(500, "EUR", 10), s.sell(1, "USD", 1)
	v := s.variants[gone]
	v.ForSale = false
	s.variants[gone] = v
	c := s.create(guest, lamp, 998).Cart
	anns := s.create(account(), lamp, 1).Cart
	var many []any
	for range 101 {
		many = append(many, lamp, 1)
	}
	for name, c := range map[string]struct {
		got  payload
		want string
	}{
		"no units":            {s.add(guest, c.ID, lamp, 0), "INVALID_QUANTITY input.lines.0.quantity"},
		"negative":            {s.add(guest, c.ID, lamp, 1, lamp, -4), "INVALID_QUANTITY input.lines.1.quantity"},
		"huge":                {s.add(guest, c.ID, lamp, 2147483647), "INVALID_QUANTITY input.lines.0.quantity"},
		"huge in sum":         {s.add(guest, c.ID, lamp, 2), "INVALID_QUANTITY input.lines.0.quantity"},
		"two lines of one":    {s.add(guest, c.ID, lamp, 1, lamp, 1), "INVALID_QUANTITY input.lines.1.quantity"},
		"malformed variant":   {s.add(guest, c.ID, "var_1", 1), "INVALID input.lines.0.variantId"},
		"unknown variant":     {s.add(guest, c.ID, id.New(id.Variant), 1), "NOT_FOUND input.lines.0.variantId"},
		"not sold":            {s.add(guest, c.ID, gone, 1), "NOT_FOR_SALE input.lines.0.variantId"},
		"another currency":    {s.add(guest, c.ID, euro, 1), "CURRENCY_MISMATCH input.lines.0.variantId"},
		"too many":            {s.add(guest, c.ID, many...), "LIMIT_EXCEEDED input.lines"},
		"malformed cart":      {s.add(guest, "cart_1", lamp, 1), "INVALID input.cartId"},
		"unknown cart":        {s.add(guest, id.New(id.Cart), lamp, 1), "NOT_FOUND input.cartId"},
		"an account's cart":   {s.add(guest, anns.ID, lamp, 1), "NOT_FOUND input.cartId"},
		"another account's":   {s.add(account(), anns.ID, lamp, 1), "NOT_FOUND input.cartId"},
		"an old version":      {s.do(guest, "cartLinesAdd", "CartLinesAddInput!", map[string]any{"cartId": c.ID, "ifVersion": 7, "lines": lines(lamp, 1)}), "STALE_VERSION input.ifVersion"},
		"a line not in there": {s.do(guest, "cartLinesUpdate", "CartLinesUpdateInput!", map[string]any{"cartId": c.ID, "lines": []map[string]any{{"lineId": id.New(id.CartLine), "quantity": 1}}}), "NOT_FOUND input.lines.0.lineId"},
	} {
		if got := c.got.refusal(); got != c.want || c.got.Cart != nil {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if got := string(s.ask(account(), `query ($id: ID!) { cart(id: $id) { id } }`, map[string]any{"id": anns.ID})); got != `{"cart":null}` {
		t.Errorf("another's cart is %s", got)
	}
}

// A refused quantity is told the number that would do.
func TestQuantitiesAreRefusedInNumbers(t *testing.T) {
	s := setup(t)
	lamp := s.sell(1990, "USD", 100)
	c := s.create(guest, lamp, 998).Cart
	over := s.add(guest, c.ID, lamp, 2).UserErrors
	if len(over) != 1 || over[0].Message != "a line has at most 999, and 998 are in it already" {
		t.Errorf("%+v", over)
	}
	below := s.do(guest, "cartLinesUpdate", "CartLinesUpdateInput!", map[string]any{"cartId": c.ID, "lines": []map[string]any{{"lineId": c.Lines.Nodes[0].ID, "quantity": -1}}}).UserErrors
	if len(below) != 1 || below[0].Message != "a quantity is 1 to 999, or 0 to take the line out" {
		t.Errorf("%+v", below)
	}
}

func TestProblemsAreLive(t *testing.T) {
	s := setup(t)
	lamp, mug, pen := s.sell(1990, "USD", 1), s.sell(500, "USD", 0), s.sell(100, "USD", 9)
	c := s.create(guest, lamp, 2, mug, 1, pen, 1).Cart
	v := s.variants[pen]
	v.Price.Amount = 120
	s.variants[pen] = v
	s.priced.Store(0)
	s.available.Store(0)
	var out struct{ Cart payload }
	data := s.ask(guest, `query ($id: ID!) { cart(id: $id) { problems { code lineId availableQuantity } lines { nodes { cost { amount } } } cost { total { amount } } } }`, map[string]any{"id": c.ID})
	if err := json.Unmarshal([]byte(strings.Replace(string(data), `{"cart":`, `{"cart":{"cart":`, 1)+"}"), &out); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range out.Cart.Cart.Problems {
		got = append(got, p.Code)
	}
	if fmt.Sprint(got) != "[NOT_ENOUGH_STOCK OUT_OF_STOCK PRICE_CHANGED]" || *out.Cart.Cart.Problems[0].AvailableQuantity != 1 {
		t.Errorf("%v", got)
	}
	if s.priced.Load() != 1 || s.available.Load() != 1 {
		t.Errorf("the catalogue was asked %d times, inventory %d times", s.priced.Load(), s.available.Load())
	}
}

func TestClaim(t *testing.T) {
	for strategy, want := range map[string]string{"SUM": "[3 1]", "KEEP_GUEST": "[1 1]", "KEEP_ACCOUNT": "[2]"} {
		t.Run(strategy, func(t *testing.T) {
			s := setup(t)
			lamp, mug, ann := s.sell(1990, "USD", 9), s.sell(500, "USD", 9), account()
			own := s.create(ann, lamp, 2).Cart
			g := s.create(guest, lamp, 1, mug, 1).Cart
			for range 2 { // claiming twice changes nothing
				p := s.do(ann, "cartClaim", "CartClaimInput!", map[string]any{"guestCartId": g.ID, "strategy": strategy})
				if p.Cart == nil || p.Cart.ID != own.ID {
					t.Fatalf("%+v", p)
				}
				var got []int
				for _, l := range p.Cart.Lines.Nodes {
					got = append(got, l.Quantity)
				}
				if fmt.Sprint(got) != want {
					t.Errorf("%v, want %s", got, want)
				}
			}
			if p := s.add(guest, g.ID, lamp, 1); p.refusal() != "NOT_FOUND input.cartId" {
				t.Errorf("the claimed cart still takes goods: %+v", p)
			}
		})
	}
}

// However much two carts have of one thing, their sum is a quantity like any other.
func TestAClaimKeepsToTheMostOfALine(t *testing.T) {
	s := setup(t)
	lamp, ann := s.sell(1990, "USD", 9), account()
	s.create(ann, lamp, cart.MaxQuantity-1)
	g := s.create(guest, lamp, cart.MaxQuantity-1).Cart
	p := s.do(ann, "cartClaim", "CartClaimInput!", map[string]any{"guestCartId": g.ID, "strategy": "SUM"})
	if p.Cart == nil || p.Cart.TotalQuantity != cart.MaxQuantity {
		t.Errorf("%+v", p)
	}
}

// A checkout reads a cart for its buyer: as it is, at the prices of now, and only while the buyer may use it.
func TestS117WhatACheckoutReads(t *testing.T) {
	s := setup(t)
	lamp, mug := s.sell(1990, "USD", 9), s.sell(500, "USD", 9)
	carts, ann, eve := cart.New(s.store, s.goods, s.clock), account(), account()
	read := func(cartID string, who viewer.Viewer) (events.CartSnapshot, string) {
		got, err := carts.Snapshot(t.Context(), cartID, who.AccountID)
		if err != nil {
			return got, string(fault.KindOf(err))
		}
		return got, ""
	}
	g := s.create(guest, lamp, 2, mug, 3).Cart
	s.reprice(mug, 700)
	got, refused := read(g.ID, ann)
	if refused != "" || got.CartID != g.ID || got.Version != g.Version || got.Total != (money.Money{Amount: 2*1990 + 3*700, Currency: "USD"}) || len(got.Lines) != 2 || len(got.Problems) != 0 {
		t.Fatalf("a guest's cart: %s %+v", refused, got)
	}
	if l := got.Lines[1]; l.VariantID != mug || l.Quantity != 3 || l.UnitPrice.Amount != 700 {
		t.Errorf("%+v", l)
	}
	s.takeOff(mug)
	if got, _ := read(g.ID, ann); len(got.Problems) != 1 || got.Problems[0].Code != "NOT_FOR_SALE" || got.Problems[0].LineID != got.Lines[1].LineID {
		t.Errorf("what is not sold any more: %+v", got.Problems)
	}

	own := s.create(ann, lamp, 1).Cart
	s.do(ann, "cartClaim", "CartClaimInput!", map[string]any{"guestCartId": g.ID, "strategy": "KEEP_ACCOUNT"})
	for name, c := range map[string]struct {
		cart string
		who  viewer.Viewer
		want string
	}{
		"its owner":              {own.ID, ann, ""},
		"another":                {own.ID, eve, "NOT_FOUND"},
		"what was claimed":       {g.ID, ann, "NOT_FOUND"},
		"no cart":                {id.New(id.Cart), ann, "NOT_FOUND"},
		"what another had there": {g.ID, eve, "NOT_FOUND"},
	} {
		if _, refused := read(c.cart, c.who); refused != c.want {
			t.Errorf("%s: %q, want %q", name, refused, c.want)
		}
	}
	s.clock.Advance(366 * 24 * time.Hour)
	if _, refused := read(own.ID, ann); refused != "NOT_FOUND" {
		t.Errorf("a cart nobody touched for a year: %q", refused)
	}
}

// A cart has a hundred lines at most, however they got in.
func TestACartIsFull(t *testing.T) {
	s := setup(t)
	var lines []any
	for range cart.MaxLines {
		lines = append(lines, s.sell(100, "USD", 9), 1)
	}
	full, ann, one := s.create(guest, lines...).Cart, account(), s.sell(100, "USD", 9)
	if full == nil || full.TotalQuantity != cart.MaxLines {
		t.Fatalf("%+v", full)
	}
	if p := s.add(guest, full.ID, one, 1); p.refusal() != "LIMIT_EXCEEDED input.lines" {
		t.Errorf("one more: %+v", p.UserErrors)
	}
	s.create(ann, one, 1)
	if p := s.do(ann, "cartClaim", "CartClaimInput!", map[string]any{"guestCartId": full.ID, "strategy": "SUM"}); p.refusal() != "LIMIT_EXCEEDED input.strategy" {
		t.Errorf("poured into another: %+v", p.UserErrors)
	}
}

// Whoever comes upon an account does not come upon its cart.
func TestTheCartOfAnAccountIsItsOwn(t *testing.T) {
	s := setup(t)
	ann, eve := account(), account()
	s.create(ann, s.sell(1990, "USD", 9), 1)
	for name, c := range map[string]struct {
		who  viewer.Viewer
		want string
	}{"itself": {ann, `{"totalQuantity":1}`}, "another": {eve, "null"}} {
		got := s.ask(c.who, `query ($id: ID!) { _entities(representations: [{__typename: "Account", id: $id}]) { ... on Account { cart { totalQuantity } } } }`, map[string]any{"id": ann.AccountID})
		if want := `{"_entities":[{"cart":` + c.want + `}]}`; string(got) != want {
			t.Errorf("%s sees %s, want %s", name, got, want)
		}
	}
}

// Of two accounts that claim one guest's cart at once, one gets it.
func TestTwoClaimOne(t *testing.T) {
	s := setup(t)
	g := s.create(guest, s.sell(1990, "USD", 9), 1).Cart
	buyers := []viewer.Viewer{account(), account(), account(), account()}
	var got atomic.Int32
	var wg sync.WaitGroup
	for _, b := range buyers {
		wg.Go(func() {
			p := s.do(b, "cartClaim", "CartClaimInput!", map[string]any{"guestCartId": g.ID})
			if p.Cart != nil && p.Cart.Account.ID == b.AccountID {
				got.Add(1)
			} else if p.refusal() != "NOT_FOUND input.guestCartId" {
				t.Errorf("%+v", p)
			}
		})
	}
	wg.Wait()
	if got.Load() != 1 {
		t.Errorf("%d accounts have it", got.Load())
	}
}

// An account has one cart, however many machines make its first.
func TestOneCartAnAccount(t *testing.T) {
	s := setup(t)
	ann, lamp := account(), s.sell(1990, "USD", 9)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { s.create(ann, lamp, 1) })
	}
	wg.Wait()
	found, err := s.store.CartsOfAccounts(t.Context(), []string{ann.AccountID})
	if err != nil || len(found) != 1 || found[0].TotalQuantity() != 8 {
		t.Errorf("%+v, %v", found, err)
	}
}

func TestOldCartsGo(t *testing.T) {
	s := setup(t)
	c := s.create(guest, s.sell(1990, "USD", 9), 1).Cart
	s.clock.Advance(31 * 24 * time.Hour)
	if got := string(s.ask(guest, `query ($id: ID!) { cart(id: $id) { id } }`, map[string]any{"id": c.ID})); got != `{"cart":null}` {
		t.Error(got)
	}
	if p := s.add(guest, c.ID, s.sell(500, "USD", 9), 1); p.refusal() != "NOT_FOUND input.cartId" { // though nobody has swept it yet
		t.Errorf("%+v", p)
	}
	if n, err := s.store.Sweep(t.Context(), s.clock.Now()); n != 1 || err != nil {
		t.Error(n, err)
	}
}
