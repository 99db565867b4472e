package graph_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/pgtest"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/logistics"
	"github.com/souk-shop/souk/subgraphs/logistics/graph"
	"github.com/souk-shop/souk/subgraphs/logistics/postgres"
	"github.com/souk-shop/souk/subgraphs/logistics/reference"
)

// counting is a store that counts what it is asked.
type counting struct {
	*postgres.Store
	reads atomic.Int32
}

func (c *counting) PlaceAt(ctx context.Context, country, pincode string) (*logistics.Place, error) {
	c.reads.Add(1)
	return c.Store.PlaceAt(ctx, country, pincode)
}

func (c *counting) Warehouses(ctx context.Context) ([]logistics.Warehouse, error) {
	c.reads.Add(1)
	return c.Store.Warehouses(ctx)
}

func (c *counting) Couriers(ctx context.Context) ([]logistics.Courier, error) {
	c.reads.Add(1)
	return c.Store.Couriers(ctx)
}

// others is the rest of the shop: one order, and addresses.
type others struct {
	order   events.OrderChanged
	address map[string]events.Address
}

func (o *others) Order(_ context.Context, orderID string) (events.OrderChanged, error) {
	if orderID != o.order.OrderID {
		return events.OrderChanged{}, fault.New(fault.NotFound, "NOT_FOUND", "there is no such order")
	}
	return o.order, nil
}

func (o *others) DefaultAddress(_ context.Context, accountID string) (*events.Address, error) {
	if a, ok := o.address[accountID]; ok {
		return &a, nil
	}
	return nil, nil
}

// desk gives out numbers, and is silent for a while when told to.
type desk struct {
	silent atomic.Bool
	booked sync.Map
}

func (d *desk) Book(_ context.Context, s logistics.Shipment) (string, error) {
	if d.silent.Load() {
		return "", errors.New("no answer")
	}
	d.booked.Store(s.ID, true)
	return "T" + s.ID, nil
}

type shop struct {
	t      *testing.T
	pool   *pgxpool.Pool
	store  *counting
	others *others
	desk   *desk
	clock  *clock.Held
	buyer  viewer.Viewer
	seller viewer.Viewer
	wh     map[string]string // code → id
	ask    func(who viewer.Viewer, query string, vars map[string]any) (map[string]any, string)
}

var staff = viewer.Viewer{AccountID: "acc_staff", Scopes: []string{"staff", "logistics"}}

func setup(t *testing.T) *shop {
	t.Parallel()
	pool := pgtest.New(t, postgres.Migrations)
	s := &shop{
		t: t, pool: pool, store: &counting{Store: postgres.NewStore(pool)}, desk: &desk{}, clock: clock.Hold(time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)),
		buyer: viewer.Viewer{AccountID: id.New(id.Account)}, seller: viewer.Viewer{AccountID: id.New(id.Account), SellerID: id.New(id.Seller), Scopes: []string{"seller"}},
		wh: map[string]string{},
	}
	places, err := reference.Places()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.store.Bring(t.Context(), places, reference.Couriers); err != nil {
		t.Fatal(err)
	}
	for code, at := range map[string][2]float64{"MUM": {18.9388, 72.8354}, "BLR": {12.9762, 77.6033}} {
		s.wh[code] = id.New(id.Warehouse)
		if err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
			return postgres.SaveWarehouse(t.Context(), tx, events.WarehouseSaved{WarehouseID: s.wh[code], Version: 1, Country: "IN", Latitude: at[0], Longitude: at[1]})
		}); err != nil {
			t.Fatal(err)
		}
	}
	home := events.Address{Pincode: "411001", Country: "IN"}
	s.others = &others{address: map[string]events.Address{s.buyer.AccountID: home}, order: events.OrderChanged{
		OrderID: id.New(id.Order), Status: "PLACED", AccountID: s.buyer.AccountID, Address: home,
		Lines: []events.OrderLine{{LineID: id.New(id.OrderLine), SellerID: s.seller.SellerID, Quantity: 3}, {LineID: id.New(id.OrderLine), SellerID: id.New(id.Seller), Quantity: 1}},
	}}
	h := graph.Handler(logistics.New(s.store, s.others, s.desk, s.clock), slog.New(slog.NewTextHandler(t.Output(), nil)))
	s.ask = func(who viewer.Viewer, query string, vars map[string]any) (map[string]any, string) {
		t.Helper()
		body, _ := json.Marshal(map[string]any{"query": query, "variables": vars})
		req := httptest.NewRequestWithContext(viewer.With(t.Context(), who), "POST", "/graphql", strings.NewReader(string(body)))
		req.Header.Set("Content-Type", "application/json")
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, req)
		var answer map[string]any
		if err := json.Unmarshal(rec.Body.Bytes(), &answer); err != nil {
			t.Fatalf("%v: %s", err, rec.Body)
		}
		data, _ := answer["data"].(map[string]any)
		return data, rec.Body.String()
	}
	return s
}

func TestEverySeededPostalCodeIsServed(t *testing.T) {
	s := setup(t)
	places, _ := reference.Places()
	for i, p := range places {
		if p.Country == "US" && i%40 != 0 { // every fortieth will do
			continue
		}
		_, got := s.ask(viewer.Viewer{}, `query ($p: String!, $c: CountryCode) { serviceability(pincode: $p, country: $c) { serviceable couriers } }`, map[string]any{"p": p.Pincode, "c": p.Country})
		if !strings.Contains(got, `"serviceable":true`) {
			t.Errorf("%s %s: %s", p.Country, p.Pincode, got)
		}
	}
	for pincode, want := range map[string]string{
		"411045":            `"serviceable":true`, // not listed, but near 411001
		"999999":            `"serviceable":false,"couriers":[],"cod":false`,
		"x":                 `"INVALID_PINCODE"`,
		"'; DROP TABLE x--": `"INVALID_PINCODE"`,
	} {
		_, got := s.ask(viewer.Viewer{Country: "IN"}, `query ($p: String!) { serviceability(pincode: $p) { serviceable couriers cod } }`, map[string]any{"p": pincode})
		if !strings.Contains(got, want) {
			t.Errorf("%s: %s", pincode, got)
		}
	}
}

const estimates = `query ($r: [_Any!]!, $p: String) { _entities(representations: $r) { ... on ProductVariant { deliveryEstimate(pincode: $p, country: "IN") { earliest latest courier cost { amount currencyCode } from { id } } } } }`

func variant(grams int, warehouses ...string) map[string]any {
	if warehouses == nil {
		warehouses = []string{}
	}
	return map[string]any{"__typename": "ProductVariant", "id": id.New(id.Variant), "weightGrams": grams, "stockedWarehouseIds": warehouses}
}

func TestTheNearestStockedWarehouseDecides(t *testing.T) {
	s := setup(t)
	reps := []map[string]any{variant(900, s.wh["MUM"], s.wh["BLR"]), variant(2500, s.wh["BLR"]), variant(100), variant(100, id.New(id.Warehouse))}
	got, raw := s.ask(viewer.Viewer{}, estimates, map[string]any{"r": reps, "p": "411001"})
	list := got["_entities"].([]any)
	at := func(i int, field string) any {
		e, _ := list[i].(map[string]any)["deliveryEstimate"].(map[string]any)
		return e[field]
	}
	if from := at(0, "from").(map[string]any)["id"]; from != s.wh["MUM"] {
		t.Errorf("from %v, not the nearest: %s", from, raw)
	}
	if from := at(1, "from").(map[string]any)["id"]; from != s.wh["BLR"] {
		t.Errorf("from %v, where there is none", from)
	}
	if at(0, "earliest") != "2026-11-23T00:00:00Z" || at(0, "latest") != "2026-11-25T00:00:00Z" || at(0, "courier") != "camel" {
		t.Errorf("%s", raw)
	}
	if cost := at(1, "cost").(map[string]any)["amount"]; cost != "13.49" || at(1, "courier") != "kite" { // 3 started kilograms, 1 started thousand kilometres
		t.Errorf("%v for 2.5 kg by %v", cost, at(1, "courier"))
	}
	if list[2].(map[string]any)["deliveryEstimate"] != nil || list[3].(map[string]any)["deliveryEstimate"] != nil {
		t.Errorf("what is nowhere arrives: %s", raw)
	}
}

func TestWithoutPincodeTheDefaultAddressCounts(t *testing.T) {
	s := setup(t)
	q := `query ($r: [_Any!]!) { _entities(representations: $r) { ... on ProductVariant { deliveryEstimate { courier } } } }`
	reps := map[string]any{"r": []map[string]any{variant(900, s.wh["MUM"])}}
	if _, got := s.ask(s.buyer, q, reps); !strings.Contains(got, `"courier"`) {
		t.Error(got)
	}
	for name, who := range map[string]viewer.Viewer{"a guest": {}, "no address": {AccountID: id.New(id.Account)}} {
		if _, got := s.ask(who, q, reps); got != `{"data":{"_entities":[{"deliveryEstimate":null}]}}` {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestFiftyEstimatesAreThreeReads(t *testing.T) {
	s := setup(t)
	var reps []map[string]any
	for range 50 {
		reps = append(reps, variant(500, s.wh["MUM"], s.wh["BLR"]))
	}
	got, raw := s.ask(viewer.Viewer{}, estimates, map[string]any{"r": reps, "p": "560001"})
	if n := len(got["_entities"].([]any)); n != 50 || strings.Count(raw, `"courier"`) != 50 {
		t.Errorf("%d answers: %s", n, raw)
	}
	if n := s.store.reads.Load(); n != 3 {
		t.Errorf("%d reads", n)
	}
}

const ship = `mutation ($input: ShipmentCreateInput!) { shipmentCreate(input: $input) { shipment { id status trackingNumber lines { quantity } } userErrors { code field } } }`

func (s *shop) parcel(key string, quantity int) map[string]any {
	return map[string]any{
		"orderId": s.others.order.OrderID, "warehouseId": s.wh["MUM"], "courier": "kite", "idempotencyKey": key,
		"lines": []map[string]any{{"orderLineId": s.others.order.Lines[0].LineID, "quantity": quantity}},
	}
}

func (s *shop) ship(who viewer.Viewer, input map[string]any) (id string, raw string) {
	s.t.Helper()
	got, raw := s.ask(who, ship, map[string]any{"input": input})
	p, _ := got["shipmentCreate"].(map[string]any)
	made, _ := p["shipment"].(map[string]any)
	id, _ = made["id"].(string)
	return id, raw
}

func TestNoMoreIsShippedThanOrdered(t *testing.T) {
	s := setup(t)
	var wg sync.WaitGroup
	var shipped, refused atomic.Int32
	for i := range 8 {
		wg.Go(func() {
			if made, raw := s.ship(s.seller, s.parcel(fmt.Sprintf("parcel-%d-key", i), 1)); made != "" {
				shipped.Add(1)
			} else if strings.Contains(raw, `"ALREADY_SHIPPED"`) {
				refused.Add(1)
			} else {
				t.Error(raw)
			}
		})
	}
	wg.Wait()
	if shipped.Load() != 3 || refused.Load() != 5 {
		t.Errorf("%d shipped, %d refused, of 3 ordered", shipped.Load(), refused.Load())
	}
}

func TestTheSameKeyShipsOnce(t *testing.T) {
	s := setup(t)
	s.desk.silent.Store(true)
	if _, raw := s.ship(s.seller, s.parcel("parcel-1-key", 2)); !strings.Contains(raw, `"COURIER_UNAVAILABLE"`) {
		t.Errorf("a silent courier: %s", raw)
	}
	s.desk.silent.Store(false)
	first, raw := s.ship(s.seller, s.parcel("parcel-1-key", 2))
	if first == "" || !strings.Contains(raw, `"trackingNumber":"T`+first) {
		t.Fatal(raw)
	}
	if again, raw := s.ship(s.seller, s.parcel("parcel-1-key", 2)); again != first {
		t.Error(raw)
	}
	if _, raw := s.ship(s.seller, s.parcel("parcel-1-key", 1)); !strings.Contains(raw, `"IDEMPOTENCY_CONFLICT"`) {
		t.Error(raw)
	}
}

func TestRefusals(t *testing.T) {
	s := setup(t)
	change := func(field string, value any) map[string]any {
		p := s.parcel("parcel-1-key", 1)
		p[field] = value
		return p
	}
	line := func(l string, n int) []map[string]any { return []map[string]any{{"orderLineId": l, "quantity": n}} }
	other := viewer.Viewer{AccountID: id.New(id.Account), SellerID: id.New(id.Seller), Scopes: []string{"seller"}}
	own := s.others.order.Lines[0].LineID
	for name, c := range map[string]struct {
		who  viewer.Viewer
		in   map[string]any
		want string
	}{
		"a buyer":             {s.buyer, s.parcel("parcel-1-key", 1), `"FORBIDDEN"`},
		"a stranger's order":  {other, s.parcel("parcel-1-key", 1), `"code":"NOT_FOUND","field":["input","orderId"]`},
		"an unknown order":    {s.seller, change("orderId", id.New(id.Order)), `"code":"NOT_FOUND","field":["input","orderId"]`},
		"malformed":           {s.seller, change("orderId", "ord_1"), `"code":"INVALID","field":["input","orderId"]`},
		"another's line":      {s.seller, change("lines", line(s.others.order.Lines[1].LineID, 1)), `"code":"NOT_FOUND","field":["input","lines","0","orderLineId"]`},
		"none":                {s.seller, change("lines", line(own, 0)), `"code":"INVALID","field":["input","lines","0","quantity"]`},
		"negative":            {s.seller, change("lines", line(own, -1)), `"code":"INVALID","field":["input","lines","0","quantity"]`},
		"more than ordered":   {s.seller, change("lines", line(own, 4)), `"code":"ALREADY_SHIPPED"`},
		"no lines":            {s.seller, change("lines", []any{}), `"code":"INVALID","field":["input","lines"]`},
		"unknown warehouse":   {s.seller, change("warehouseId", id.New(id.Warehouse)), `"code":"NOT_FOUND","field":["input","warehouseId"]`},
		"unknown courier":     {s.seller, change("courier", "pigeon"), `"code":"NOT_SERVICEABLE","field":["input","courier"]`},
		"a key of one letter": {s.seller, change("idempotencyKey", "k"), `"code":"INVALID","field":["input","idempotencyKey"]`},
	} {
		if _, raw := s.ship(c.who, c.in); !strings.Contains(raw, c.want) {
			t.Errorf("%s: %s", name, raw)
		}
	}
	s.others.order.Status = "CREATED"
	if _, raw := s.ship(s.seller, s.parcel("parcel-2-key", 1)); !strings.Contains(raw, `"code":"WRONG_STATE"`) {
		t.Errorf("not placed: %s", raw)
	}
}

// A process that starts makes up for one that died before its parcel was booked.
func TestParcelsUnderWayAreAnnouncedAgain(t *testing.T) {
	s := setup(t)
	s.desk.silent.Store(true)
	s.ship(s.seller, s.parcel("parcel-1-key", 1)) // saved, never booked
	s.desk.silent.Store(false)
	booked, _ := s.ship(s.seller, s.parcel("parcel-2-key", 1))
	l := logistics.New(s.store, s.others, s.desk, s.clock)
	if n, err := l.Announce(t.Context()); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	found, err := s.store.ShipmentsOfOrders(t.Context(), []string{s.others.order.OrderID})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range found[s.others.order.OrderID] {
		if p.TrackingNumber != "T"+p.ID {
			t.Errorf("%s has the number %q", p.ID, p.TrackingNumber)
		}
	}
	if _, err := l.Report(t.Context(), staff, booked, logistics.Event{ID: "e1", At: s.clock.Now(), Status: logistics.Lost}); err != nil {
		t.Fatal(err)
	}
	if n, err := l.Announce(t.Context()); n != 1 || err != nil {
		t.Errorf("%d are announced, %v; one is lost", n, err)
	}
}

// Couriers repeat themselves and tell things late: every event counts once, and a parcel moves forward only.
func TestReportsInAnyOrder(t *testing.T) {
	s := setup(t)
	shipment, _ := s.ship(s.seller, s.parcel("parcel-1-key", 3))
	report := `mutation ($input: ShipmentEventInput!) { shipmentEventReport(input: $input) { shipment { status events { status } } userErrors { code field } } }`
	tell := func(who viewer.Viewer, event, status string, minute int) string {
		_, raw := s.ask(who, report, map[string]any{"input": map[string]any{"shipmentId": shipment, "eventId": event, "status": status, "at": s.clock.Now().Add(time.Duration(minute) * time.Minute)}})
		return raw
	}
	if raw := tell(s.seller, "e1", "DELIVERED", 1); !strings.Contains(raw, `"FORBIDDEN"`) {
		t.Errorf("a seller: %s", raw)
	}
	var last string
	for _, e := range []struct {
		event, status string
		minute        int
	}{{"e2", "IN_TRANSIT", 2}, {"e1", "HANDED_OVER", 1}, {"e2", "IN_TRANSIT", 2}, {"e4", "DELIVERED", 4}, {"e5", "LOST", 5}, {"e3", "OUT_FOR_DELIVERY", 3}} {
		last = tell(staff, e.event, e.status, e.minute)
	}
	want := `"status":"DELIVERED","events":[{"status":"PACKED"},{"status":"HANDED_OVER"},{"status":"IN_TRANSIT"},{"status":"OUT_FOR_DELIVERY"},{"status":"DELIVERED"},{"status":"LOST"}]`
	if !strings.Contains(last, want) {
		t.Errorf("%s", last)
	}
	if raw := tell(staff, "e9", "LOST", 90); !strings.Contains(raw, `"field":["input","at"]`) {
		t.Errorf("from the future: %s", raw)
	}
	found, err := s.store.ShipmentsByID(t.Context(), []string{shipment})
	if err != nil || found[0].Version != 3 { // created, in transit, delivered
		t.Errorf("version %d, %v", found[0].Version, err)
	}
}

func TestParcelsArePrivate(t *testing.T) {
	s := setup(t)
	shipment, _ := s.ship(s.seller, s.parcel("parcel-1-key", 1))
	q := `query ($r: [_Any!]!) { _entities(representations: $r) { ... on Order { shipments { id } } ... on Shipment { id } } }`
	reps := map[string]any{"r": []map[string]any{{"__typename": "Order", "id": s.others.order.OrderID}, {"__typename": "Shipment", "id": shipment}}}
	for _, who := range []viewer.Viewer{s.buyer, s.seller, staff} {
		if _, raw := s.ask(who, q, reps); strings.Count(raw, shipment) != 2 {
			t.Errorf("%v does not see its parcel: %s", who, raw)
		}
	}
	if _, raw := s.ask(viewer.Viewer{AccountID: id.New(id.Account)}, q, reps); strings.Contains(raw, shipment) {
		t.Errorf("a stranger sees %s", raw)
	}
}
