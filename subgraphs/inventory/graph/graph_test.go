package graph_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/pgtest"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/inventory"
	"github.com/souk-shop/souk/subgraphs/inventory/graph"
	"github.com/souk-shop/souk/subgraphs/inventory/postgres"
)

// counting is a store that counts what it is asked.
type counting struct {
	inventory.Store
	mu    sync.Mutex
	asked map[string]int
}

func (c *counting) count(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked[what]++
}

// during returns how often each question was asked while fn ran.
func (c *counting) during(fn func()) string {
	c.mu.Lock()
	c.asked = map[string]int{}
	c.mu.Unlock()
	fn()
	c.mu.Lock()
	defer c.mu.Unlock()
	return show(c.asked)
}

func (c *counting) StockOf(ctx context.Context, ids []string) ([]inventory.Stock, error) {
	c.count("StockOf")
	return c.Store.StockOf(ctx, ids)
}

func (c *counting) LevelsOf(ctx context.Context, ids []string) (map[string][]inventory.Level, error) {
	c.count("LevelsOf")
	return c.Store.LevelsOf(ctx, ids)
}

func (c *counting) ItemsByID(ctx context.Context, ids []string) ([]inventory.Item, error) {
	c.count("ItemsByID")
	return c.Store.ItemsByID(ctx, ids)
}

func (c *counting) WarehousesByID(ctx context.Context, ids []string) ([]inventory.Warehouse, error) {
	c.count("WarehousesByID")
	return c.Store.WarehousesByID(ctx, ids)
}

func (c *counting) InStock(ctx context.Context, ids []string) ([]string, error) {
	c.count("InStock")
	return c.Store.InStock(ctx, ids)
}

func (c *counting) LevelsIn(ctx context.Context, ids []string, seller, after string, first int) (map[string][]inventory.Level, error) {
	c.count("LevelsIn")
	return c.Store.LevelsIn(ctx, ids, seller, after, first)
}

// goods is a catalogue: whose is which variant, of which product. Down is one that does not answer.
type goods struct {
	mu   sync.Mutex
	of   map[string]inventory.Item
	down bool
}

func (g *goods) Items(_ context.Context, ids []string) (found []inventory.Item, _ error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.down {
		return nil, fault.New(fault.Unavailable, "SERVICE_DOWN", "no answer")
	}
	for _, v := range ids {
		if item, ok := g.of[v]; ok {
			found = append(found, item)
		}
	}
	return found, nil
}

type shop struct {
	t       *testing.T
	pool    *pgxpool.Pool
	store   *counting
	inv     *inventory.Inventory
	goods   *goods
	clock   *clock.Held
	handler http.Handler
	w1, w2  string
}

var (
	guest  = viewer.Viewer{}
	buyer  = viewer.Viewer{AccountID: id.New(id.Account)}
	seller = viewer.Viewer{AccountID: id.New(id.Account), SellerID: id.New(id.Seller), Scopes: []string{viewer.ScopeSeller}}
	rival  = viewer.Viewer{AccountID: id.New(id.Account), SellerID: id.New(id.Seller), Scopes: []string{viewer.ScopeSeller}}
	staff  = viewer.Viewer{AccountID: id.New(id.Account), Scopes: []string{viewer.ScopeStaff}}
)

func setup(t *testing.T) *shop {
	t.Parallel()
	s := &shop{t: t, pool: pgtest.New(t, postgres.Migrations), clock: clock.Hold(time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC))}
	s.store = &counting{Store: postgres.NewStore(s.pool), asked: map[string]int{}}
	s.goods = &goods{of: map[string]inventory.Item{}}
	s.inv = inventory.New(s.store, s.goods, s.clock)
	s.handler = graph.Handler(s.inv, slog.New(slog.NewTextHandler(t.Output(), nil)))
	s.w1, s.w2 = s.warehouse("BLR-1"), s.warehouse("DEL-1")
	return s
}

func (s *shop) serve(who viewer.Viewer, query string, vars map[string]any) map[string]any {
	s.t.Helper()
	body, _ := json.Marshal(map[string]any{"query": query, "variables": vars})
	req := httptest.NewRequestWithContext(viewer.With(s.t.Context(), who), "POST", "/graphql", strings.NewReader(string(body)))
	req.Header.Set("Content-Type", "application/json")
	rec := httptest.NewRecorder()
	s.handler.ServeHTTP(rec, req)
	var answer map[string]any
	if err := json.Unmarshal(rec.Body.Bytes(), &answer); err != nil {
		s.t.Fatalf("%v: %s", err, rec.Body)
	}
	return answer
}

func (s *shop) warehouse(code string) string {
	s.t.Helper()
	got := s.serve(staff, `mutation ($i: WarehouseSaveInput!) { warehouseSave(input: $i) { warehouse { id } userErrors { message } } }`,
		map[string]any{"i": map[string]any{"code": code, "name": code, "pincode": "560001", "country": "IN", "latitude": 12.9, "longitude": 77.6}})
	w, ok := at(got, "data", "warehouseSave", "warehouse", "id").(string)
	if !ok {
		s.t.Fatal(show(got))
	}
	return w
}

// variant returns a new variant of the seller's that the catalogue knows.
func (s *shop) variant() string {
	v := id.New(id.Variant)
	s.goods.mu.Lock()
	defer s.goods.mu.Unlock()
	s.goods.of[v] = inventory.Item{VariantID: v, ProductID: "prod_" + v[4:], SellerID: seller.SellerID, SKU: v}
	return v
}

const adjust = `mutation ($i: StockAdjustInput!) { stockAdjust(input: $i) {
	variants { id stock { state available seq asOf } stockLevels { onHand held available warehouse { code } variant { id } } } userErrors { code field } } }`

func change(variant, warehouse string, delta int) map[string]any {
	return map[string]any{"variantId": variant, "warehouseId": warehouse, "delta": delta}
}

func changes(key string, cs ...map[string]any) map[string]any {
	return map[string]any{"i": map[string]any{"changes": cs, "reason": "test", "idempotencyKey": key}}
}

func (s *shop) stocked(units int, warehouses ...string) string {
	s.t.Helper()
	v := s.variant()
	var cs []map[string]any
	for _, w := range warehouses {
		cs = append(cs, change(v, w, units))
	}
	if got := s.serve(seller, adjust, changes(id.New(id.Event), cs...)); at(got, "data", "stockAdjust", "variants", 0, "id") != v {
		s.t.Fatal(show(got))
	}
	return v
}

func (s *shop) held(who viewer.Viewer, variant string, quantity int) string {
	s.t.Helper()
	reply, err := s.inv.Hold(s.t.Context(), events.HoldRequest{
		IdempotencyKey: id.New(id.Event), OrderID: id.New(id.Order), AccountID: who.AccountID,
		Lines: []events.HoldLine{{VariantID: variant, Quantity: quantity}}, ExpiresAt: s.clock.Now().Add(time.Hour),
	})
	if err != nil || reply.ReservationID == "" {
		s.t.Fatalf("%+v, %v", reply, err)
	}
	return reply.ReservationID
}

func entities(kind string, ids ...string) map[string]any {
	var reps []map[string]any
	for _, id := range ids {
		reps = append(reps, map[string]any{"__typename": kind, "id": id})
	}
	return map[string]any{"r": reps}
}

func at(v any, path ...any) any {
	for _, p := range path {
		switch p := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[p]
		case int:
			l, _ := v.([]any)
			if p >= len(l) {
				return nil
			}
			v = l[p]
		}
	}
	return v
}

func show(v any) string { b, _ := json.Marshal(v); return string(b) }

func (s *shop) equal(name, want string, got any) {
	s.t.Helper()
	if got := show(got); got != want {
		s.t.Errorf("%s:\n got %s\nwant %s", name, got, want)
	}
}

func TestAdjust(t *testing.T) {
	s := setup(t)
	v := s.variant()
	want := fmt.Sprintf(`{"userErrors":[],"variants":[{"id":%[1]q,"stock":{"asOf":"2026-11-21T10:00:00Z","available":7,"seq":2,"state":"IN_STOCK"},"stockLevels":[`+
		`{"available":4,"held":0,"onHand":4,"variant":{"id":%[1]q},"warehouse":{"code":"BLR-1"}},{"available":3,"held":0,"onHand":3,"variant":{"id":%[1]q},"warehouse":{"code":"DEL-1"}}]}]}`, v)
	in := changes("k1", change(v, s.w1, 5), change(v, s.w2, 3), change(v, s.w1, -1))
	for range 2 {
		s.equal("the same key twice", want, at(s.serve(seller, adjust, in), "data", "stockAdjust"))
	}
	refused := func(who viewer.Viewer, in map[string]any) any {
		t.Helper()
		got := s.serve(who, adjust, in)
		if n := at(got, "data", "stockAdjust", "variants"); show(n) != "[]" {
			t.Error(show(got))
		}
		return at(got, "data", "stockAdjust", "userErrors")
	}
	s.equal("the key again", `[{"code":"IDEMPOTENCY_CONFLICT","field":["input","idempotencyKey"]}]`, refused(seller, changes("k1", change(v, s.w1, 5))))
	s.equal("too much", `[{"code":"INSUFFICIENT_STOCK","field":["input","changes","2","delta"]}]`,
		refused(seller, changes("k2", change(v, s.w1, 1), change(s.variant(), s.w1, 1), change(v, s.w2, -4))))
	s.held(buyer, v, 4)
	s.equal("what is held", `[{"code":"INSUFFICIENT_STOCK","field":["input","changes","0","delta"]}]`, refused(seller, changes("k2", change(v, s.w1, -1))))
	s.equal("another's goods", `[{"code":"NOT_FOUND","field":["input","changes","0","variantId"]}]`, refused(rival, changes("k", change(v, s.w1, 1))))
	s.equal("no such variant", `[{"code":"NOT_FOUND","field":["input","changes","0","variantId"]}]`, refused(staff, changes("k", change(id.New(id.Variant), s.w1, 1))))
	s.equal("no such warehouse", `[{"code":"NOT_FOUND","field":["input","changes","0","warehouseId"]}]`, refused(staff, changes("k", change(v, id.New(id.Warehouse), 1))))
	s.equal("malformed", `[{"code":"INVALID","field":["input","changes","0","variantId"]}]`, refused(staff, changes("k", change("var_1", s.w1, 1))))
	s.equal("zero", `[{"code":"INVALID","field":["input","changes","0","delta"]}]`, refused(staff, changes("k", change(v, s.w1, 0))))
	s.equal("staff, and a key of somebody else's", `[]`, at(s.serve(staff, adjust, changes("k1", change(v, s.w1, 9))), "data", "stockAdjust", "userErrors"))
	if got := show(s.serve(buyer, adjust, changes("k", change(v, s.w1, 1)))); !strings.Contains(got, `"FORBIDDEN"`) {
		t.Error(got)
	}
	s.goods.down = true
	if got := show(s.serve(seller, adjust, changes("k", change(id.New(id.Variant), s.w1, 1)))); !strings.Contains(got, `"SERVICE_DOWN"`) {
		t.Error("without the catalogue nothing can be said of unknown goods:", got)
	}
	s.equal("known goods need no catalogue", `[]`, at(s.serve(seller, adjust, changes("k3", change(v, s.w1, 1))), "data", "stockAdjust", "userErrors"))
}

func TestSet(t *testing.T) {
	s := setup(t)
	v := s.stocked(5, s.w1)
	s.held(buyer, v, 2)
	set := func(quantity, seen int, key string) any {
		return at(s.serve(seller, `mutation ($i: StockSetInput!) { stockSet(input: $i) { variants { stock { available seq } } userErrors { code field } } }`,
			map[string]any{"i": map[string]any{"variantId": v, "warehouseId": s.w1, "quantity": quantity, "ifQuantity": seen, "idempotencyKey": key}}), "data", "stockSet")
	}
	s.equal("stale", `{"userErrors":[{"code":"STALE_QUANTITY","field":["input","ifQuantity"]}],"variants":[]}`, set(9, 4, "a"))
	s.equal("held", `{"userErrors":[{"code":"INSUFFICIENT_STOCK","field":["input","quantity"]}],"variants":[]}`, set(1, 5, "a"))
	s.equal("too many", `{"userErrors":[{"code":"INVALID","field":["input","quantity"]}],"variants":[]}`, set(1_000_001, 5, "a"))
	s.equal("counted", `{"userErrors":[],"variants":[{"stock":{"available":6,"seq":3}}]}`, set(8, 5, "a"))
	s.equal("counted, sent again", `{"userErrors":[],"variants":[{"stock":{"available":6,"seq":3}}]}`, set(8, 5, "a"))
	s.equal("another count with the key", `{"userErrors":[{"code":"IDEMPOTENCY_CONFLICT","field":["input","idempotencyKey"]}],"variants":[]}`, set(9, 8, "a"))
}

func TestWhoSeesLevels(t *testing.T) {
	s := setup(t)
	v, empty := s.stocked(5, s.w1), s.variant()
	const q = `query ($r: [_Any!]!) { _entities(representations: $r) { ... on ProductVariant { id stockLevels { onHand } } } }`
	vars := entities("ProductVariant", v, empty, "var_1")
	mine := fmt.Sprintf(`[{"id":%q,"stockLevels":[{"onHand":5}]},{"id":%q,"stockLevels":[]},null]`, v, empty)
	none := fmt.Sprintf(`[{"id":%q,"stockLevels":null},{"id":%q,"stockLevels":null},null]`, v, empty)
	for name, c := range map[string]struct {
		who  viewer.Viewer
		want string
	}{"seller": {seller, mine}, "staff": {staff, mine}, "rival": {rival, none}, "buyer": {buyer, none}, "guest": {guest, none}} {
		s.equal(name, c.want, at(s.serve(c.who, q, vars), "data", "_entities"))
	}
}

// A page of fifty variants costs as many reads as one of one. On a busy machine a loader's window closes on some of them, and again; but
// never on one at a time.
func TestReadsOfAPage(t *testing.T) {
	s := setup(t)
	var variants, products []string
	for i := range 50 {
		v := s.stocked(i+1, s.w1, s.w2)
		variants, products = append(variants, v), append(products, "prod_"+v[4:])
	}
	gone := s.stocked(1, s.w1)
	s.held(buyer, gone, 1)
	few := func(fields, want string, asked string) {
		t.Helper()
		var counts map[string]int
		json.Unmarshal([]byte(asked), &counts)
		var questions []string
		for what, n := range counts {
			questions = append(questions, what)
			if n > 25 {
				t.Errorf("%s: %s asked %d times", fields, what, n)
			}
		}
		slices.Sort(questions)
		s.equal(fields, show(strings.Fields(want)), questions)
	}
	for fields, want := range map[string]string{
		`stock { available state }`:                 "StockOf",
		`stockLevels { onHand warehouse { code } }`: "ItemsByID LevelsOf WarehousesByID",
		`stockedWarehouseIds`:                       "LevelsOf",
		`stockLevels { variant { stock { seq } } }`: "ItemsByID LevelsOf StockOf",
	} {
		var got map[string]any
		few(fields, want, s.store.during(func() {
			got = s.serve(seller, `query ($r: [_Any!]!) { _entities(representations: $r) { ... on ProductVariant { `+fields+` } } }`, entities("ProductVariant", variants...))
		}))
		if len(at(got, "data", "_entities").([]any)) != 50 || got["errors"] != nil {
			t.Error(show(got))
		}
	}
	var got map[string]any
	few("inStock", "InStock", s.store.during(func() {
		got = s.serve(guest, `query ($r: [_Any!]!) { _entities(representations: $r) { ... on Product { inStock } } }`, entities("Product", append(products, "prod_"+gone[4:], "prod_1")...))
	}))
	list := at(got, "data", "_entities").([]any)
	s.equal("in stock", `{"inStock":true}`, list[0])
	s.equal("all held", `{"inStock":false}`, list[50])
	s.equal("malformed", `null`, list[51])
	one := s.serve(guest, `query ($r: [_Any!]!) { _entities(representations: $r) { ... on ProductVariant { stock { available state seq } stockedWarehouseIds } } }`, entities("ProductVariant", variants[3], gone, id.New(id.Variant)))
	s.equal("guests see stock", fmt.Sprintf(`[{"stock":{"available":8,"seq":2,"state":"IN_STOCK"},"stockedWarehouseIds":[%q,%q]},{"stock":{"available":0,"seq":2,"state":"OUT_OF_STOCK"},"stockedWarehouseIds":[]},{"stock":{"available":0,"seq":0,"state":"OUT_OF_STOCK"},"stockedWarehouseIds":[]}]`, s.w1, s.w2),
		at(one, "data", "_entities"))
}

func TestWarehouses(t *testing.T) {
	s := setup(t)
	save := func(who viewer.Viewer, change map[string]any) map[string]any {
		in := map[string]any{"code": "MUM-1", "name": "Mumbai", "pincode": "400001", "country": "IN", "latitude": 19.1, "longitude": 72.9}
		for k, v := range change {
			in[k] = v
		}
		return s.serve(who, `mutation ($i: WarehouseSaveInput!) { warehouseSave(input: $i) { warehouse { id name } userErrors { code field } } }`, map[string]any{"i": in})
	}
	first := at(save(staff, nil), "data", "warehouseSave", "warehouse", "id")
	for range 2 { // the second changes nothing
		s.equal("renamed", fmt.Sprintf(`{"userErrors":[],"warehouse":{"id":%q,"name":"Bombay"}}`, first), at(save(staff, map[string]any{"name": "Bombay"}), "data", "warehouseSave"))
	}
	for field, v := range map[string]any{"code": "mum", "name": " ", "pincode": "", "latitude": 90.1, "longitude": -180.5} {
		s.equal(field, fmt.Sprintf(`{"userErrors":[{"code":"INVALID","field":["input",%q]}],"warehouse":null}`, field), at(save(staff, map[string]any{field: v}), "data", "warehouseSave"))
	}
	if got := show(save(seller, nil)); !strings.Contains(got, `"FORBIDDEN"`) {
		t.Error(got)
	}
	rows, err := s.pool.Query(t.Context(), `SELECT (payload->>'version') || (payload->>'name') FROM outbox WHERE subject = $1 AND payload->>'code' = 'MUM-1' ORDER BY id`, events.SubjectWarehouseSaved)
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for rows.Next() {
		var v string
		rows.Scan(&v)
		told = append(told, v)
	}
	s.equal("told", `["1Mumbai","2Bombay"]`, told)
	s.equal("list", `[{"code":"BLR-1"},{"code":"DEL-1"},{"code":"MUM-1"}]`, at(s.serve(seller, `{ warehouses { code } }`, nil), "data", "warehouses"))
	s.equal("entities", `[{"code":"DEL-1"},null,{"code":"BLR-1"}]`,
		at(s.serve(guest, `query ($r: [_Any!]!) { _entities(representations: $r) { ... on Warehouse { code } } }`, entities("Warehouse", s.w2, "wh_1", s.w1)), "data", "_entities"))
}

func TestLevelsPageThrough(t *testing.T) {
	s := setup(t)
	for i := range 7 {
		s.stocked(i+1, s.w1, s.w2)
	}
	theirs := id.New(id.Variant)
	s.goods.of[theirs] = inventory.Item{VariantID: theirs, ProductID: id.New(id.Product), SellerID: rival.SellerID, SKU: "theirs"}
	s.serve(staff, adjust, changes("k", change(theirs, s.w1, 1)))

	const q = `query ($first: Int, $after: String) { warehouses { code levels(first: $first, after: $after) { nodes { variant { id } onHand } pageInfo { hasNextPage hasPreviousPage endCursor } } } }`
	for name, c := range map[string]struct {
		who  viewer.Viewer
		want int
	}{"seller": {seller, 7}, "staff": {staff, 8}, "rival": {rival, 1}} {
		seen, after := map[any]bool{}, any(nil)
		for range 4 {
			var got map[string]any
			if asked := s.store.during(func() { got = s.serve(c.who, q, map[string]any{"first": 3, "after": after}) }); !strings.HasPrefix(asked, `{"LevelsIn":`) {
				t.Error(asked)
			}
			levels := at(got, "data", "warehouses", 0, "levels")
			for _, n := range at(levels, "nodes").([]any) {
				seen[at(n, "variant", "id")] = true
			}
			if at(levels, "pageInfo", "hasNextPage") != true {
				break
			}
			after = at(levels, "pageInfo", "endCursor")
		}
		if len(seen) != c.want {
			t.Errorf("%s saw %d of %d", name, len(seen), c.want)
		}
	}
	if got := show(s.serve(staff, q, map[string]any{"after": "nonsense"})); !strings.Contains(got, `"INVALID_CURSOR"`) {
		t.Error(got)
	}
	if got := show(s.serve(staff, q, map[string]any{"first": 251})); !strings.Contains(got, `"INVALID_FIRST"`) {
		t.Error(got)
	}
	if got := show(s.serve(guest, `query ($r: [_Any!]!) { _entities(representations: $r) { ... on Warehouse { levels { nodes { onHand } } } } }`, entities("Warehouse", s.w1))); !strings.Contains(got, `"UNAUTHENTICATED"`) {
		t.Error(got)
	}
}

func TestReservationIsForItsAccount(t *testing.T) {
	s := setup(t)
	v := s.stocked(5, s.w1)
	res := s.held(buyer, v, 3)
	const q = `query ($id: ID!, $r: [_Any!]!) {
		reservation(id: $id) { id status lines { variant { id } warehouse { code } quantity } createdAt updatedAt expiresAt account { id } }
		_entities(representations: $r) { ... on Reservation { status } } }`
	ask := func(who viewer.Viewer, id string) map[string]any {
		vars := entities("Reservation", id)
		vars["id"] = id
		return s.serve(who, q, vars)
	}
	want := fmt.Sprintf(`{"_entities":[{"status":"HELD"}],"reservation":{"account":{"id":%q},"createdAt":"2026-11-21T10:00:00Z","expiresAt":"2026-11-21T11:00:00Z","id":%q,`+
		`"lines":[{"quantity":3,"variant":{"id":%q},"warehouse":{"code":"BLR-1"}}],"status":"HELD","updatedAt":"2026-11-21T10:00:00Z"}}`, buyer.AccountID, res, v)
	s.equal("its account", want, at(ask(buyer, res), "data"))
	s.equal("staff", want, at(ask(staff, res), "data"))
	s.equal("somebody else", `{"_entities":[null],"reservation":null}`, at(ask(rival, res), "data"))
	s.equal("no such", `{"_entities":[null],"reservation":null}`, at(ask(buyer, id.New(id.Reservation)), "data"))
	if got := show(ask(buyer, "res_1")); !strings.Contains(got, `"INVALID_ID"`) {
		t.Error(got)
	}
	if got := show(ask(guest, res)); !strings.Contains(got, `"UNAUTHENTICATED"`) {
		t.Error(got)
	}
}

func TestHistory(t *testing.T) {
	s := setup(t)
	v := s.stocked(5, s.w1)
	res := s.held(buyer, v, 3)
	if _, err := s.inv.Commit(t.Context(), events.ReservationRequest{ReservationID: res}); err != nil {
		t.Fatal(err)
	}
	ask := func(who viewer.Viewer, args string) map[string]any {
		return s.serve(who, fmt.Sprintf(`{ stockHistory(variantId: %q%s) { seq at kind quantity onHandAfter heldAfter warehouse { code } reservationId reason } }`, v, args), nil)
	}
	line := `{"at":"2026-11-21T10:00:00Z","heldAfter":%d,"kind":%q,"onHandAfter":%d,"quantity":%d,"reason":%s,"reservationId":%s,"seq":%d,"warehouse":{"code":"BLR-1"}}`
	sold := fmt.Sprintf(line, 0, "COMMIT", 2, -3, "null", `"`+res+`"`, 3)
	whole := "[" + fmt.Sprintf(line, 0, "ADJUST", 5, 5, `"test"`, "null", 1) + "," + fmt.Sprintf(line, 3, "HOLD", 5, 3, "null", `"`+res+`"`, 2) + "," + sold + "]"
	var got map[string]any
	s.equal("reads", `{"ItemsByID":1,"WarehousesByID":1}`, json.RawMessage(s.store.during(func() { got = ask(seller, "") })))
	s.equal("all of it", whole, at(got, "data", "stockHistory"))
	s.equal("the rest of it", "["+sold+"]", at(ask(staff, ", afterSeq: 2, first: 1"), "data", "stockHistory"))
	for args, want := range map[string]string{", first: 0": "INVALID", ", first: 1001": "INVALID", ", afterSeq: -1": "INVALID"} {
		if got := show(ask(seller, args)); !strings.Contains(got, `"code":"`+want+`"`) {
			t.Error(args, got)
		}
	}
	if got := show(ask(rival, "")); !strings.Contains(got, `"code":"NOT_FOUND"`) {
		t.Error(got)
	}
}
