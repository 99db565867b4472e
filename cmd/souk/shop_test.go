package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/telemetry"
	"github.com/souk-shop/souk/subgraphs/accounts"
	"github.com/souk-shop/souk/subgraphs/accounts/argon2id"
	accountstore "github.com/souk-shop/souk/subgraphs/accounts/postgres"
)

// patience is how long a test waits for something to become true before it gives up. Nothing is asserted about time itself.
const patience = 60 * time.Second

const password = "open-sesame-souk"

// A testShop is all of souk in this process, on engines of its own, asked over HTTP and sockets as anybody would.
type testShop struct {
	t             *testing.T
	base          string
	seller, staff client
	warehouses    []string
	category      string
	breakers      map[string]*breaker // by part
	config        config              // as the shop runs with
	metrics       *prometheus.Registry
}

// openShop starts a shop with a seller, staff and two warehouses. The environment goes before the shop's own defaults.
func openShop(t *testing.T, environment map[string]string) *testShop {
	t.Helper()
	s := &testShop{t: t, breakers: map[string]*breaker{}}
	getenv := func(name string) string { return environment[name] }
	log, err := telemetry.NewLog(t.Output(), func(name string) string {
		return or(environment[name], map[string]string{"SOUK_LOG_LEVEL": "warn"}[name])
	})
	if err != nil {
		t.Fatal(err)
	}
	s.start(t.TempDir(), getenv, log)
	s.seller, s.staff = s.signIn("seller@souk.test"), s.signIn("staff@souk.test")
	s.stockUp()
	return s
}

// start runs the shop on a folder until the test ends, or until the function returned is called.
func (s *testShop) start(dir string, getenv func(string) string, log *slog.Logger) (stop func()) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended, ready := make(chan error, 1), make(chan string, 1)
	dev := devCommand{Addr: "127.0.0.1:0", Data: dir, listen: func(part string) (net.Listener, error) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		s.breakers[part] = &breaker{Listener: l, conns: map[net.Conn]bool{}}
		return s.breakers[part], err
	}}
	go func() {
		ended <- dev.run(ctx, &process{getenv: getenv, stdout: io.Discard, stderr: s.t.Output(), log: log}, func(ctx context.Context, e *env, base string) error {
			if err := people(ctx, e); err != nil {
				return err
			}
			s.config, s.metrics = e.config, e.metrics
			ready <- base
			return nil
		})
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			s.t.Errorf("the shop ended with %v", err)
		}
	})
	s.t.Cleanup(stop)
	select {
	case s.base = <-ready:
	case err := <-ended:
		ended <- nil
		s.t.Fatalf("the shop did not start: %v", err)
	}
	return stop
}

// agrees checks what orders, inventory and payments keep, once no order is under way any more; there may be none at all.
func (s *testShop) agrees() {
	s.t.Helper()
	ctx := context.WithoutCancel(s.t.Context()) // also while the test cleans up
	books, err := openBooks(ctx, s.config.postgresURL)
	if err != nil {
		s.t.Fatal(err)
	}
	defer books.close()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		r, err := books.check(ctx)
		if err != nil {
			s.t.Fatal(err)
		}
		if r.underWay == 0 && len(r.findings) == 0 {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%d orders are under way, %d at rest, and %q was found", r.underWay, r.atRest, r.findings)
		}
	}
}

// people are there before the shop opens: nobody becomes staff through the graph.
func people(ctx context.Context, e *env) error {
	pool, err := e.postgres(ctx, "accounts", accountstore.Migrations)
	if err != nil {
		return err
	}
	a := accounts.New(accountstore.NewStore(pool), argon2id.New(argon2id.Recommended), nil, e.clock)
	if _, err := a.EnsureAccount(ctx, "seller@souk.test", password, "Aladdin's Lamps", accounts.RoleSeller); err != nil {
		return err
	}
	_, err = a.EnsureAccount(ctx, "staff@souk.test", password, "Scheherazade", accounts.RoleStaff)
	return err
}

func (s *testShop) stockUp() {
	s.t.Helper()
	for _, w := range []map[string]any{
		{"code": "MSP", "name": "Minneapolis", "pincode": "55425", "country": "US", "latitude": 44.85, "longitude": -93.24},
		{"code": "LAX", "name": "Los Angeles", "pincode": "90045", "country": "US", "latitude": 33.96, "longitude": -118.39},
	} {
		got := s.staff.do(`mutation ($input: WarehouseSaveInput!) { warehouseSave(input: $input) { warehouse { id } userErrors { code message } } }`, vars{"input": w})
		s.warehouses = append(s.warehouses, text(got.at("warehouseSave.warehouse.id")))
	}
	got := s.seller.do(`mutation { categoryEnsure(input: {path: ["Electronics", "Phones"]}) { category { slug } userErrors { code } } }`, nil)
	s.category = text(got.at("categoryEnsure.category.slug"))
}

// A product is one of the seller's, as the graph returned it.
type product struct {
	id, slug string
	variants []string
}

const productSave = `mutation ($input: ProductSaveInput!) { productSave(input: $input) { product { id slug version variants { nodes { id } } } userErrors { code message field } } }`

// sell puts a product on offer with so many variants, each at a price in dollars and with so many units in the first warehouse.
func (s *testShop) sell(title, price string, variants, units int) product {
	s.t.Helper()
	var offered []map[string]any
	for i := range variants {
		v := map[string]any{"sku": fmt.Sprintf("SKU-%s-%d", id.New(id.Variant)[4:], i), "price": usd(price), "weightGrams": 300}
		if variants > 1 {
			v["options"] = []map[string]any{{"name": "Colour", "value": fmt.Sprintf("Shade %d", i+1)}}
		}
		offered = append(offered, v)
	}
	got := s.seller.do(productSave, vars{"input": map[string]any{
		"title": title, "description": title + ", new in its box.", "categorySlug": s.category, "brand": strings.Fields(title)[0], "variants": offered,
		"attributes": []map[string]any{{"key": "screen_size", "value": "6.2", "unit": "in"}},
	}})
	p := product{id: text(got.at("productSave.product.id")), slug: text(got.at("productSave.product.slug"))}
	for _, v := range list(got.at("productSave.product.variants.nodes")) {
		p.variants = append(p.variants, text(answer{s.t, v.(map[string]any), nil}.at("id")))
	}
	if units > 0 {
		var changes []map[string]any
		for _, v := range p.variants {
			changes = append(changes, map[string]any{"variantId": v, "warehouseId": s.warehouses[0], "delta": units})
		}
		s.seller.do(`mutation ($input: StockAdjustInput!) { stockAdjust(input: $input) { userErrors { code message field } } }`,
			vars{"input": map[string]any{"changes": changes, "reason": "delivery", "idempotencyKey": id.New(id.Event)}})
	}
	return p
}

func usd(amount string) map[string]any {
	return map[string]any{"amount": amount, "currencyCode": "USD"}
}

// A client is somebody who asks the graph, signed in or not.
type client struct {
	t     *testing.T
	base  string
	token string
}

type vars = map[string]any

func (s *testShop) guest() client { return client{t: s.t, base: s.base} }

func (s *testShop) signIn(email string) client {
	s.t.Helper()
	got := s.guest().do(`mutation ($i: SessionCreateInput!) { sessionCreate(input: $i) { session { accessToken } userErrors { code } } }`,
		vars{"i": map[string]any{"email": email, "password": password}})
	return client{s.t, s.base, text(got.at("sessionCreate.session.accessToken"))}
}

// register opens an account; each has an address of its own.
func (s *testShop) register() client {
	s.t.Helper()
	email := strings.ToLower(id.New(id.Account)) + "@souk.test"
	got := s.guest().do(`mutation ($i: AccountRegisterInput!) { accountRegister(input: $i) { session { accessToken account { email } } userErrors { code } } }`,
		vars{"i": map[string]any{"email": email, "password": password, "displayName": "Ann"}})
	if own := text(got.at("accountRegister.session.account.email")); own != email {
		s.t.Errorf("who signs in is shown %q as their own address", own)
	}
	return client{s.t, s.base, text(got.at("accountRegister.session.accessToken"))}
}

// A buyer is somebody who can check out.
type buyer struct {
	client
	address string
}

func (s *testShop) buyer() buyer {
	s.t.Helper()
	c := s.register()
	got := c.do(`mutation ($i: AddressInput!) { addressSave(input: $i) { account { addresses { id } } userErrors { code field } } }`, vars{"i": map[string]any{
		"name": "Ann", "line1": "1 Market Street", "city": "Bloomington", "region": "MN", "pincode": "55425", "country": "US"}})
	return buyer{c, text(got.at("addressSave.account.addresses.0.id"))}
}

// card keeps a payment method of the fake provider by its last four digits.
func (b buyer) card(digits string) string {
	b.t.Helper()
	got := b.do(`mutation ($i: PaymentMethodAddInput!) { paymentMethodAdd(input: $i) { paymentMethod { id } userErrors { code message } } }`, vars{"i": map[string]any{"token": "tok_" + digits}})
	return text(got.at("paymentMethodAdd.paymentMethod.id"))
}

// cart makes a guest's cart with units of a variant, and returns it with its total.
func (c client) cart(variant string, units int) (cartID, total string) {
	c.t.Helper()
	got := c.do(`mutation ($i: CartCreateInput) { cartCreate(input: $i) { cart { id cost { total { amount } } } userErrors { code field } } }`,
		vars{"i": map[string]any{"lines": []map[string]any{{"variantId": variant, "quantity": units}}}})
	return text(got.at("cartCreate.cart.id")), text(got.at("cartCreate.cart.cost.total.amount"))
}

const checkout = `mutation ($i: CheckoutCompleteInput!) { checkoutComplete(input: $i) {
	result { kind: __typename
		... on CheckoutPlaced { order { id status paymentStatus } }
		... on CheckoutActionRequired { order { id status expiresAt } redirectUrl expiresAt }
		... on CheckoutPaymentFailed { order { id status cancelReason } retryable declineCode }
		... on CheckoutRejected { problems { code message lineId availableQuantity } }
	}
	userErrors { code message field }
} }`

// input is what the buyer sends to buy a cart.
func (b buyer) input(cartID, total, method string) map[string]any {
	return map[string]any{"cartId": cartID, "addressId": b.address, "paymentMethodId": method, "expectedTotal": usd(total), "idempotencyKey": id.New(id.Event)}
}

// buy checks a fresh cart out and returns the answer.
func (b buyer) buy(variant string, units int, digits string) answer {
	b.t.Helper()
	cartID, total := client{b.t, b.base, ""}.cart(variant, units)
	return b.do(checkout, vars{"i": b.input(cartID, total, b.card(digits))})
}

// ask sends an operation and returns the HTTP status with the answer.
func (c client) ask(query string, v vars) (int, answer) {
	c.t.Helper()
	status, body, err := c.send(query, v)
	if err != nil {
		c.t.Fatal(err)
	}
	var a struct {
		Data   map[string]any
		Errors []any
	}
	if err := json.Unmarshal(body, &a); err != nil {
		c.t.Fatalf("%d: %s", status, body)
	}
	return status, answer{c.t, a.Data, a.Errors}
}

func (c client) send(query string, v vars) (int, []byte, error) {
	body, err := json.Marshal(map[string]any{"query": query, "variables": v})
	if err != nil {
		return 0, nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+"/graphql", bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/graphql-response+json")
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	return res.StatusCode, answer, err
}

// do sends an operation that has to succeed: no errors, no user errors.
func (c client) do(query string, v vars) answer {
	c.t.Helper()
	status, a := c.ask(query, v)
	if status != http.StatusOK || a.errors != nil {
		c.t.Fatalf("%d: %v %v\n%s", status, a.data, a.errors, query)
	}
	for _, payload := range a.data {
		if p, ok := payload.(map[string]any); ok && p["userErrors"] != nil && len(list(p["userErrors"])) > 0 {
			c.t.Fatalf("refused: %v\n%s", p["userErrors"], query)
		}
	}
	return a
}

// until asks again and again until what it is told holds.
func (c client) until(query string, v vars, holds func(answer) bool) answer {
	c.t.Helper()
	var last answer
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(25 * time.Millisecond) {
		if _, last = c.ask(query, v); last.errors == nil && holds(last) {
			return last
		}
	}
	c.t.Fatalf("never came true: %v %v\n%s", last.data, last.errors, query)
	return last
}

// An answer is what the graph said.
type answer struct {
	t      *testing.T
	data   map[string]any
	errors []any
}

// at walks into the data: "product.variants.nodes.0.id". What is not there is nil.
func (a answer) at(path string) any {
	return walk(any(a.data), path)
}

func walk(v any, path string) any {
	for step := range strings.SplitSeq(path, ".") {
		switch at := v.(type) {
		case map[string]any:
			v = at[step]
		case []any:
			var n int
			if _, err := fmt.Sscan(step, &n); err != nil || n >= len(at) {
				return nil
			}
			v = at[n]
		default:
			return nil
		}
	}
	return v
}

// code is the extensions.code of the n-th error, with its path: "UNAUTHENTICATED me".
func (a answer) code(n int) string {
	if n >= len(a.errors) {
		return ""
	}
	var path []string
	for _, p := range list(walk(a.errors[n], "path")) {
		path = append(path, fmt.Sprint(p))
	}
	return strings.TrimSpace(text(walk(a.errors[n], "extensions.code")) + " " + strings.Join(path, "."))
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}

func number(v any) int {
	n, _ := v.(float64)
	return int(n)
}

// available is how many of a variant can be had.
func (s *testShop) available(variant string) int {
	s.t.Helper()
	got := s.guest().do(`query ($id: ID!) { node(id: $id) { ... on ProductVariant { stock { available } } } }`, vars{"id": variant})
	return number(got.at("node.stock.available"))
}

// A watcher is an open subscription.
type watcher struct {
	t      *testing.T
	socket *websocket.Conn
}

// watch opens a socket, signs in over it and subscribes.
func (c client) watch(query string, v vars) watcher {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	socket, _, err := websocket.Dial(ctx, strings.Replace(c.base, "http", "ws", 1)+"/graphql", &websocket.DialOptions{Subprotocols: []string{"graphql-transport-ws"}})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { socket.CloseNow() })
	w := watcher{c.t, socket}
	init := map[string]any{"type": "connection_init"}
	if c.token != "" {
		init["payload"] = map[string]any{"Authorization": "Bearer " + c.token}
	}
	if err := wsjson.Write(ctx, socket, init); err != nil {
		c.t.Fatal(err)
	}
	if ack := w.message(); ack["type"] != "connection_ack" {
		c.t.Fatalf("%v instead of connection_ack", ack)
	}
	if err := wsjson.Write(ctx, socket, map[string]any{"type": "subscribe", "id": "1", "payload": map[string]any{"query": query, "variables": v}}); err != nil {
		c.t.Fatal(err)
	}
	return w
}

func (w watcher) message() map[string]any {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		var m map[string]any
		if err := wsjson.Read(ctx, w.socket, &m); err != nil {
			w.t.Fatal(err)
		}
		switch m["type"] {
		case "ping":
			if err := wsjson.Write(ctx, w.socket, map[string]any{"type": "pong"}); err != nil {
				w.t.Fatal(err)
			}
		case "pong":
		default:
			return m
		}
	}
}

// until reads events until one holds.
func (w watcher) until(holds func(answer) bool) answer {
	w.t.Helper()
	for {
		m := w.message()
		if m["type"] != "next" {
			w.t.Fatalf("the subscription ended with %v", m)
		}
		data, _ := walk(m, "payload.data").(map[string]any)
		if a := (answer{w.t, data, list(walk(m, "payload.errors"))}); holds(a) {
			return a
		}
	}
}
