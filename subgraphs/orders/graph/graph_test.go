package graph_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/call"
	"github.com/souk-shop/souk/internal/clock"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/money"
	"github.com/souk-shop/souk/internal/pgtest"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/orders"
	"github.com/souk-shop/souk/subgraphs/orders/graph"
	"github.com/souk-shop/souk/subgraphs/orders/postgres"
)

var (
	ann   = viewer.Viewer{AccountID: id.New(id.Account)}
	eve   = viewer.Viewer{AccountID: id.New(id.Account)}
	staff = viewer.Viewer{AccountID: id.New(id.Account), Scopes: []string{viewer.ScopeStaff}}
	lamps = viewer.Viewer{AccountID: id.New(id.Account), SellerID: id.New(id.Seller), Scopes: []string{viewer.ScopeSeller}}
	rugs  = viewer.Viewer{AccountID: id.New(id.Account), SellerID: id.New(id.Seller), Scopes: []string{viewer.ScopeSeller}}
	ten   = time.Date(2026, 11, 27, 10, 0, 0, 0, time.UTC)
)

// counting is a store that counts what it is asked.
type counting struct {
	orders.Store
	asked atomic.Int32
}

func (c *counting) OrdersByID(ctx context.Context, ids []string) ([]orders.Order, error) {
	c.asked.Add(1)
	return c.Store.OrdersByID(ctx, ids)
}

func (c *counting) OrdersOfLines(ctx context.Context, ids []string) ([]orders.Order, error) {
	c.asked.Add(1)
	return c.Store.OrdersOfLines(ctx, ids)
}

func (c *counting) TimelinesOf(ctx context.Context, ids []string) (map[string][]orders.Event, error) {
	c.asked.Add(1)
	return c.Store.TimelinesOf(ctx, ids)
}

// idle saves no jobs: these tests go no further than the request does.
type idle struct{}

func (idle) Look(context.Context, pgx.Tx, string, time.Time) error  { return nil }
func (idle) Watch(context.Context, pgx.Tx, string, time.Time) error { return nil }

// unwatched never tells of a change.
type unwatched struct{}

func (unwatched) Watch(context.Context, string) <-chan struct{} { return nil }

type shop struct {
	t        *testing.T
	pool     *pgxpool.Pool
	store    *counting
	checkout *orders.Checkout
	h        http.Handler
	payment  string // of every order
	bankSays string // when its money is to be let go
}

func setup(t *testing.T) *shop {
	t.Parallel()
	s := &shop{t: t, pool: pgtest.New(t, postgres.Migrations), payment: id.New(id.Payment), bankSays: "VOIDED"}
	s.open(s.pool)
	return s
}

// open serves the graph from a pool.
func (s *shop) open(pool *pgxpool.Pool) {
	s.store = &counting{Store: postgres.NewStore(pool, idle{})}
	bus := call.Local(
		events.ReleaseStock.Handle(func(context.Context, events.ReservationRequest) (events.ReservationReply, error) {
			return events.ReservationReply{Status: "RELEASED"}, nil
		}),
		events.AbandonPayments.Handle(func(_ context.Context, r events.AbandonRequest) (events.AbandonReply, error) {
			return events.AbandonReply{Payments: []events.Payment{{PaymentID: s.payment, Version: 2, OrderID: r.OrderID, Status: s.bankSays}}}, nil
		}),
	)
	s.checkout = orders.NewCheckout(s.store, bus, clock.Hold(ten), time.Hour)
	s.h = s.watchedBy(unwatched{})
}

func (s *shop) watchedBy(w graph.Watcher) http.Handler {
	return graph.Handler(orders.New(s.store), s.checkout, w, slog.New(slog.NewTextHandler(s.t.Output(), nil)))
}

// order is one of ann's of a lamp and two rugs, which waits for its payment.
func (s *shop) order() orders.Order {
	s.t.Helper()
	usd := func(cents int64) money.Money { return money.Money{Amount: cents, Currency: "USD"} }
	a, err := s.store.Claim(s.t.Context(), orders.Attempt{AccountID: ann.AccountID, Key: id.New(id.Event), InputHash: []byte{1}, OrderID: id.New(id.Order)})
	if err != nil {
		s.t.Fatal(err)
	}
	o := orders.Order{
		ID: a.OrderID, AccountID: ann.AccountID, CartID: id.New(id.Cart), CartVersion: 1, Status: orders.Created, Total: usd(7000),
		Address: orders.Address{Name: "Ann", Country: "IN"}, CreatedAt: ten, UpdatedAt: ten, Deadline: ten.Add(time.Hour),
		Saga: orders.Saga{Hold: orders.Hold{ReservationID: id.New(id.Reservation)}},
	}
	for _, l := range []orders.Line{{SellerID: lamps.SellerID, Title: "A lamp", Quantity: 1, UnitPrice: usd(1000)}, {SellerID: rugs.SellerID, Title: "A rug", Quantity: 2, UnitPrice: usd(3000)}} {
		l.ID, l.OrderID, l.VariantID, l.ProductID = id.New(id.OrderLine), o.ID, id.New(id.Variant), id.New(id.Product)
		o.Lines = append(o.Lines, l)
	}
	if _, err = s.store.Create(s.t.Context(), a, o); err != nil {
		s.t.Fatal(err)
	}
	promised := events.Payment{PaymentID: s.payment, Version: 1, OrderID: o.ID, Status: "ACTION_REQUIRED"}
	tell := orders.NewCheckout(s.store, nil, clock.Hold(ten), time.Hour)
	if o, err = s.store.Change(s.t.Context(), o.ID, tell.PaymentChanged(promised)); err != nil {
		s.t.Fatal(err)
	}
	return o
}

// ask returns the data, and the errors as text.
func (s *shop) ask(who viewer.Viewer, query string, vars map[string]any) (data, errors string) {
	s.t.Helper()
	body, _ := json.Marshal(map[string]any{"query": query, "variables": vars})
	req := httptest.NewRequestWithContext(viewer.With(s.t.Context(), who), "POST", "/graphql", strings.NewReader(string(body)))
	req.Header.Set("Content-Type", "application/json")
	rec := httptest.NewRecorder()
	s.h.ServeHTTP(rec, req)
	var answer struct{ Data, Errors json.RawMessage }
	if err := json.Unmarshal(rec.Body.Bytes(), &answer); err != nil {
		s.t.Fatalf("%v: %s", err, rec.Body)
	}
	return string(answer.Data), string(answer.Errors)
}

// A seller sees their own lines of an order, what these cost, and nothing of the payment; a stranger sees nothing.
func TestWhoSeesWhatOfAnOrder(t *testing.T) {
	s := setup(t)
	o := s.order()
	const fields = `status lines { title } cost { total { amount } } timeline { kind } shippingAddress { name }`
	whole := `{"status":"CREATED","lines":[{"title":"A lamp"},{"title":"A rug"}],"cost":{"total":{"amount":"70.00"}},"timeline":[{"kind":"PAYMENT_ACTION_REQUIRED"}],"shippingAddress":{"name":"Ann"}}`
	part := func(title, amount string) string {
		return fmt.Sprintf(`{"status":"CREATED","lines":[{"title":"%s"}],"cost":{"total":{"amount":"%s"}},"timeline":[],"shippingAddress":{"name":"Ann"}}`, title, amount)
	}
	for name, c := range map[string]struct {
		who  viewer.Viewer
		want string
	}{
		"the buyer":           {ann, whole},
		"staff":               {staff, whole},
		"who sold the lamp":   {lamps, part("A lamp", "10.00")},
		"who sold the rugs":   {rugs, part("A rug", "60.00")},
		"a stranger":          {eve, "null"},
		"who sold none of it": {viewer.Viewer{AccountID: id.New(id.Account), SellerID: id.New(id.Seller), Scopes: []string{viewer.ScopeSeller}}, "null"},
	} {
		got, errs := s.ask(c.who, `query ($id: ID!) { o: order(id: $id) { `+fields+` } }`, map[string]any{"id": o.ID})
		if want := `{"o":` + c.want + `}`; got != want || errs != "" {
			t.Errorf("%s sees %s %s, want %s", name, got, errs, want)
		}
		got, _ = s.ask(c.who, `query ($id: ID!) { _entities(representations: [{__typename: "Order", id: $id}]) { ... on Order { `+fields+` } } }`, map[string]any{"id": o.ID})
		if want := `{"_entities":[` + c.want + `]}`; got != want {
			t.Errorf("as an entity %s sees %s, want %s", name, got, want)
		}
	}
	lines := `query ($a: ID!, $b: ID!) { _entities(representations: [{__typename: "OrderLine", id: $a}, {__typename: "OrderLine", id: $b}]) { ... on OrderLine { title } } }`
	ids := map[string]any{"a": o.Lines[0].ID, "b": o.Lines[1].ID}
	if got, _ := s.ask(rugs, lines, ids); got != `{"_entities":[null,{"title":"A rug"}]}` {
		t.Errorf("who sold the rugs sees %s", got)
	}
	if _, errs := s.ask(viewer.Viewer{}, `query ($id: ID!) { order(id: $id) { id } }`, map[string]any{"id": o.ID}); !strings.Contains(errs, "UNAUTHENTICATED") {
		t.Errorf("a guest: %s", errs)
	}
}

// Whoever comes upon an account, by one of its reviews perhaps, does not come upon what it has bought.
func TestS12OrdersOfAnAccountAreItsOwn(t *testing.T) {
	s := setup(t)
	s.order()
	for name, c := range map[string]struct {
		who  viewer.Viewer
		want string
	}{
		"the buyer":         {ann, `{"totalCount":1}`},
		"staff":             {staff, `{"totalCount":1}`},
		"a stranger":        {eve, "null"},
		"who sold the lamp": {lamps, "null"},
		"a guest":           {viewer.Viewer{}, "null"},
	} {
		got, _ := s.ask(c.who, `query ($id: ID!) { _entities(representations: [{__typename: "Account", id: $id}]) { ... on Account { orders { totalCount } } } }`, map[string]any{"id": ann.AccountID})
		if want := `{"_entities":[{"orders":` + c.want + `}]}`; got != want {
			t.Errorf("%s sees %s, want %s", name, got, want)
		}
	}
}

// What is counted is what is listed, even when there is another order after every single question; and it is counted for who asks.
func TestOrdersAreCountedAsTheyAreListed(t *testing.T) {
	s := setup(t)
	s.order()
	elsewhere := *s
	counts := 0
	s.open(pgtest.Watched(t, s.pool, func(sql string) {
		if strings.Contains(sql, "FROM orders") {
			elsewhere.order()
		}
		if strings.Contains(sql, "count(*)") {
			counts++
		}
	}))
	const query = `query ($id: ID!) { _entities(representations: [{__typename: "Account", id: $id}]) { ... on Account { orders(first: 250) { `
	for range 3 {
		data, errs := s.ask(ann, query+`nodes { id } all: totalCount } } } }`, map[string]any{"id": ann.AccountID})
		var answer struct {
			Entities []struct {
				Orders struct {
					Nodes []any
					All   int
				}
			} `json:"_entities"`
		}
		if err := json.Unmarshal([]byte(data), &answer); err != nil || errs != "" {
			t.Fatal(err, errs)
		}
		if got := answer.Entities[0].Orders; got.All == 0 || len(got.Nodes) != got.All {
			t.Errorf("%d are listed and %d counted", len(got.Nodes), got.All)
		}
	}
	counts = 0
	if _, errs := s.ask(ann, query+`nodes { id } pageInfo { hasNextPage } } } } }`, map[string]any{"id": ann.AccountID}); counts > 0 || errs != "" {
		t.Errorf("counted %d times though nobody asked: %s", counts, errs)
	}
}

// However many orders or lines a request names, the store is asked the same few times.
func TestManyOrdersAreFewQuestions(t *testing.T) {
	s := setup(t)
	var of, lines []map[string]any
	for range 24 {
		o := s.order()
		of = append(of, map[string]any{"__typename": "Order", "id": o.ID})
		for _, l := range o.Lines {
			lines = append(lines, map[string]any{"__typename": "OrderLine", "id": l.ID})
		}
	}
	of = append(of, map[string]any{"__typename": "Order", "id": id.New(id.Order)}, map[string]any{"__typename": "Order", "id": "nonsense"})
	for name, c := range map[string]struct {
		query string
		of    []map[string]any
		want  int32
	}{
		"everything of orders": {`... on Order { number status account { id } lines { title variant { id } seller { id } cost { amount } } cost { total { amount } } shippingAddress { name } timeline { kind message } }`, of, 2},
		"only their lines":     {`... on Order { lines { title } }`, of, 1},
		"lines":                {`... on OrderLine { title quantity cost { amount } }`, lines, 1},
	} {
		s.store.asked.Store(0)
		got, errs := s.ask(ann, `query ($of: [_Any!]!) { _entities(representations: $of) { `+c.query+` } }`, map[string]any{"of": c.of})
		var answer struct {
			Entities []map[string]any `json:"_entities"`
		}
		if err := json.Unmarshal([]byte(got), &answer); err != nil || errs != "" || len(answer.Entities) != len(c.of) || answer.Entities[23] == nil {
			t.Fatalf("%s: %v %s %s", name, err, errs, got)
		}
		// On a busy machine a batch may leave before all are there: a few more questions are no fault, one for each of 24 would be.
		if n := s.store.asked.Load(); n > c.want+12 {
			t.Errorf("%s: the store was asked %d times, want %d", name, n, c.want)
		}
	}
}

const cancel = `mutation ($i: OrderCancelInput!) { orderCancel(input: $i) { order { status cancelReason timeline { kind } } userErrors { code field } } }`

func TestOrderCancel(t *testing.T) {
	s := setup(t)
	o := s.order()
	input := func(order, key string) map[string]any {
		return map[string]any{"i": map[string]any{"orderId": order, "idempotencyKey": key}}
	}
	for name, c := range map[string]struct {
		who        viewer.Viewer
		order, key string
		want       string
	}{
		"a stranger":   {eve, o.ID, "cancel-0001", `{"code":"NOT_FOUND","field":["input","orderId"]}`},
		"a seller":     {lamps, o.ID, "cancel-0001", `{"code":"NOT_FOUND","field":["input","orderId"]}`},
		"no order":     {ann, id.New(id.Order), "cancel-0001", `{"code":"NOT_FOUND","field":["input","orderId"]}`},
		"not an order": {ann, "ord_1", "cancel-0001", `{"code":"INVALID","field":["input","orderId"]}`},
		"a short key":  {ann, o.ID, "1234567", `{"code":"INVALID","field":["input","idempotencyKey"]}`},
	} {
		if got, errs := s.ask(c.who, cancel, input(c.order, c.key)); got != `{"orderCancel":{"order":null,"userErrors":[`+c.want+`]}}` || errs != "" {
			t.Errorf("%s: %s %s", name, got, errs)
		}
	}
	if _, errs := s.ask(viewer.Viewer{}, cancel, input(o.ID, "cancel-0001")); !strings.Contains(errs, "UNAUTHENTICATED") {
		t.Errorf("a guest: %s", errs)
	}
	want := `{"orderCancel":{"order":{"status":"CANCELLED","cancelReason":"CUSTOMER","timeline":[{"kind":"PAYMENT_ACTION_REQUIRED"},{"kind":"CANCELLED"},{"kind":"STOCK_RELEASED"},{"kind":"PAYMENT_VOIDED"}]},"userErrors":[]}}`
	for _, key := range []string{"cancel-0001", "cancel-0001", "cancel-0002"} {
		if got, errs := s.ask(ann, cancel, input(o.ID, key)); got != want || errs != "" {
			t.Errorf("under %s: %s %s", key, got, errs)
		}
	}
	if got, _ := s.ask(ann, cancel, input(s.order().ID, "cancel-0001")); !strings.Contains(got, `"IDEMPOTENCY_CONFLICT"`) {
		t.Errorf("one key for two orders: %s", got)
	}
}

// An order is watched by who may see it; to all others there is none.
func TestS84WhoWatchesAnOrder(t *testing.T) {
	s := setup(t)
	o := s.order()
	s.ask(ann, cancel, map[string]any{"i": map[string]any{"orderId": o.ID, "idempotencyKey": "cancel-0001"}}) // it is final, so watching it ends
	watch := func(who viewer.Viewer, orderID string) string {
		body, _ := json.Marshal(map[string]any{"query": `subscription ($id: ID!) { orderUpdated(id: $id) { status lines { title } } }`, "variables": map[string]any{"id": orderID}})
		req := httptest.NewRequestWithContext(viewer.With(t.Context(), who), "POST", "/graphql", strings.NewReader(string(body)))
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Accept", "text/event-stream")
		rec := httptest.NewRecorder()
		s.h.ServeHTTP(rec, req)
		return rec.Body.String()
	}
	for name, c := range map[string]struct {
		who         viewer.Viewer
		order, want string
	}{
		"the buyer":         {ann, o.ID, `"status":"CANCELLED","lines":[{"title":"A lamp"},{"title":"A rug"}]`},
		"staff":             {staff, o.ID, `"status":"CANCELLED","lines":[{"title":"A lamp"},{"title":"A rug"}]`},
		"who sold the lamp": {lamps, o.ID, `"status":"CANCELLED","lines":[{"title":"A lamp"}]`},
		"a stranger":        {eve, o.ID, `"code":"NOT_FOUND"`},
		"a guest":           {viewer.Viewer{}, o.ID, `"code":"UNAUTHENTICATED"`},
		"no order":          {ann, id.New(id.Order), `"code":"NOT_FOUND"`},
	} {
		got := watch(c.who, c.order)
		if !strings.Contains(got, c.want) || strings.Contains(c.want, "code") && strings.Contains(got, "lamp") {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// toldBy is a watcher that tells of a change when something is sent.
type toldBy chan struct{}

func (c toldBy) Watch(context.Context, string) <-chan struct{} { return c }

// Who watches a cancelled order hears that the money is back, though the provider took its time over it.
func TestS86WhoWatchesHearsThatTheMoneyIsBack(t *testing.T) {
	s := setup(t)
	o := s.order()
	s.bankSays = "CAPTURED" // and nothing yet of a refund
	s.ask(ann, cancel, map[string]any{"i": map[string]any{"orderId": o.ID, "idempotencyKey": "cancel-0001"}})
	changes, ended := make(toldBy), make(chan string, 1)
	go func() {
		body, _ := json.Marshal(map[string]any{"query": `subscription ($id: ID!) { orderUpdated(id: $id) { status timeline { kind } } }`, "variables": map[string]any{"id": o.ID}})
		req := httptest.NewRequestWithContext(viewer.With(t.Context(), ann), "POST", "/graphql", strings.NewReader(string(body)))
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Accept", "text/event-stream")
		rec := httptest.NewRecorder()
		s.watchedBy(changes).ServeHTTP(rec, req)
		ended <- rec.Body.String()
	}()
	select {
	case changes <- struct{}{}:
	case said := <-ended:
		t.Fatalf("it ended with %s", said)
	}
	back := events.Payment{PaymentID: s.payment, Version: 3, OrderID: o.ID, Status: "REFUNDED"}
	if _, err := s.store.Change(t.Context(), o.ID, s.checkout.PaymentChanged(back)); err != nil {
		t.Fatal(err)
	}
	select {
	case changes <- struct{}{}:
	case said := <-ended:
		t.Fatalf("it ended with %s", said)
	}
	if said := <-ended; !strings.Contains(said, `"PAYMENT_REFUNDED"`) || strings.Count(said, "event: next") != 2 {
		t.Errorf("%s", said)
	}
}
