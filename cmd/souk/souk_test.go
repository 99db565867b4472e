package main

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/souk-shop/souk/internal/id"
)

// One shop serves every test that does not wait for an order to expire.
func TestShop(t *testing.T) {
	t.Parallel()
	s := openShop(t, nil)
	tests := map[string]func(*testing.T, *testShop){
		"a story from search to review":          story,
		"a payment is captured once placed":      capturedOncePlaced,
		"a decline gives the stock back":         declineGivesBack,
		"a buyer confirms on the bank's page":    actionTaken,
		"the same key buys once":                 sameKeyBuysOnce,
		"products page through exactly once":     pagesThrough,
		"sellers keep to their own goods":        ownGoods,
		"malformed input is refused by name":     malformedInput,
		"others' carts and orders are not there": othersThings,
		"an account leads to nothing of its own": accountsThings,
		"tokens end":                             tokensEnd,
		"live stock is pushed":                   liveStock,
		"every node is found by its id":          nodes,
	}
	maps.Copy(tests, purchases)
	maps.Copy(tests, requirements)
	t.Run("together", func(t *testing.T) {
		for name, test := range tests {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, s.in(t))
			})
		}
	})
	t.Run("a dead subgraph leaves the rest of the page", func(t *testing.T) { deadSubgraphs(t, s.in(t)) }) // alone: the others need them all
	t.Run("S44 nobody waits for a part that hangs", func(t *testing.T) { hangingPart(t, s.in(t)) })
	t.Run("S19 search answers without stock and orders", func(t *testing.T) { searchAlone(t, s.in(t)) })
	t.Run("S23 S24 S25 bytes of products, variants and orders", func(t *testing.T) { bytesOf(t, s.in(t)) })
	s.agrees()
}

// in is the same shop, seen from a test of its own.
func (s *testShop) in(t *testing.T) *testShop {
	own := *s
	own.t, own.seller.t, own.staff.t = t, t, t
	return &own
}

const searched = `query ($q: String!) { products(query: $q, first: 5) { totalCount nodes { id slug title brand priceRange { min { amount } } } } }`

// story is the whole of a purchase as its buyer lives it, down to the review.
func story(t *testing.T, s *testShop) {
	phone := s.sell("Samsung Galaxy S25 Ultra", "1299.00", 3, 5)

	// A guest searches with a slip of the finger, and looks.
	found := s.guest().until(searched, vars{"q": "samsng galaxy"}, func(a answer) bool { return text(a.at("products.nodes.0.id")) == phone.id })
	if got := text(found.at("products.nodes.0.priceRange.min.amount")); got != "1299.00" {
		t.Errorf("the card shows %s", got)
	}
	page := s.guest().until(productPage, vars{"slug": phone.slug, "pincode": "55425"}, func(a answer) bool {
		return a.at("product.variants.nodes.0.deliveryEstimate.earliest") != nil
	})
	if number(page.at("product.variants.nodes.0.stock.available")) != 5 || page.at("product.rating.count") != 0.0 || text(page.at("product.seller.name")) != "Aladdin's Lamps" {
		t.Errorf("the page shows %v", page.data)
	}

	// The guest's cart survives signing up.
	cartID, _ := s.guest().cart(phone.variants[0], 1)
	ann := s.buyer()
	claimed := ann.do(`mutation ($i: CartClaimInput!) { cartClaim(input: $i) { cart { id totalQuantity problems { code } cost { total { amount } } } userErrors { code } } }`, vars{"i": map[string]any{"guestCartId": cartID}})
	if number(claimed.at("cartClaim.cart.totalQuantity")) != 1 || len(list(claimed.at("cartClaim.cart.problems"))) != 0 {
		t.Fatalf("%v", claimed.data)
	}
	cartID = text(claimed.at("cartClaim.cart.id"))

	// The provider takes its time: the stock is held, and the confirmation comes over a socket.
	method := ann.card("0069")
	got := ann.do(checkout, vars{"i": ann.input(cartID, "1299.00", method)})
	order := text(got.at("checkoutComplete.result.order.id"))
	if text(got.at("checkoutComplete.result.kind")) != "CheckoutActionRequired" || s.available(phone.variants[0]) != 4 {
		t.Fatalf("%v, %d left", got.data, s.available(phone.variants[0]))
	}
	confirmed := ann.watch(`subscription ($id: ID!) { orderUpdated(id: $id) { status number timeline { kind } lines { variant { sku } } } }`, vars{"id": order}).
		until(func(a answer) bool { return text(a.at("orderUpdated.status")) == "PLACED" })
	if text(confirmed.at("orderUpdated.lines.0.variant.sku")) == "" || !strings.HasPrefix(text(confirmed.at("orderUpdated.number")), "S-") {
		t.Errorf("the confirmation says %v", confirmed.data)
	}
	ann.until(`{ me { cart { totalQuantity } orders { totalCount nodes { id status paymentStatus } } } }`, nil, func(a answer) bool {
		return number(a.at("me.cart.totalQuantity")) == 0 && number(a.at("me.orders.totalCount")) == 1 && text(a.at("me.orders.nodes.0.paymentStatus")) == "CAPTURED"
	})

	// What has not arrived cannot be reviewed; once it has, it can.
	review := vars{"i": map[string]any{"productId": phone.id, "rating": 5, "title": "A marvel"}}
	const save = `mutation ($i: ReviewSaveInput!) { reviewSave(input: $i) { review { id verifiedPurchase } userErrors { code } } }`
	if _, a := ann.ask(save, review); text(a.at("reviewSave.userErrors.0.code")) != "NOT_PURCHASED" {
		t.Errorf("a review before delivery: %v", a.data)
	}
	s.ship(order)
	ann.until(`query ($id: ID!) { order(id: $id) { status shipments { status events { status } } } }`, vars{"id": order}, func(a answer) bool {
		return text(a.at("order.status")) == "DELIVERED" && text(a.at("order.shipments.0.status")) == "DELIVERED"
	})
	ann.until(save, review, func(a answer) bool { return a.at("reviewSave.review.verifiedPurchase") == true })
	after := s.guest().do(productPage, vars{"slug": phone.slug})
	if number(after.at("product.rating.count")) != 1 || text(after.at("product.reviews.nodes.0.author.displayName")) != "Ann" {
		t.Errorf("after the review the page shows %v", after.data)
	}
	s.guest().until(`query { products(query: "samsung galaxy ultra", filter: {minRating: 4.5}) { nodes { id } } }`, nil, func(a answer) bool {
		return text(a.at("products.nodes.0.id")) == phone.id
	})
}

const productPage = `query ProductPage($slug: String!, $pincode: String) { product(slug: $slug) {
	id title description brand category { name ancestors { name } } seller { name } attributes { label value unit } options { name values } media { url alt }
	priceRange { min { amount currencyCode } max { amount currencyCode } } inStock
	rating { average count histogram } reviews(first: 3) { nodes { rating title body author { displayName } } }
	variants(first: 20) { nodes { id sku title price { amount currencyCode } options { name value } stock { state available seq }
		deliveryEstimate(pincode: $pincode, country: "US") { earliest latest courier cost { amount } from { id } } } }
} }`

// ship hands everything in an order to a courier, as the seller does.
func (s *testShop) ship(order string) {
	s.t.Helper()
	got := s.seller.do(`query ($id: ID!) { order(id: $id) { lines { id quantity } } }`, vars{"id": order})
	var lines []map[string]any
	for _, l := range list(got.at("order.lines")) {
		lines = append(lines, map[string]any{"orderLineId": walk(l, "id"), "quantity": walk(l, "quantity")})
	}
	s.seller.do(`mutation ($i: ShipmentCreateInput!) { shipmentCreate(input: $i) { shipment { id trackingNumber } userErrors { code message } } }`, vars{"i": map[string]any{
		"orderId": order, "warehouseId": s.warehouses[0], "courier": "kite", "lines": lines, "idempotencyKey": id.New(id.Event)}})
}

func capturedOncePlaced(t *testing.T, s *testShop) {
	lamp := s.sell("Brass Lamp", "19.90", 1, 3)
	ann := s.buyer()
	got := ann.buy(lamp.variants[0], 2, "4242")
	if text(got.at("checkoutComplete.result.kind")) != "CheckoutPlaced" {
		t.Fatalf("%v", got.data)
	}
	order := text(got.at("checkoutComplete.result.order.id"))
	done := ann.until(orderOf, vars{"id": order}, func(a answer) bool {
		return text(a.at("order.paymentStatus")) == "CAPTURED" && text(a.at("order.timeline.5.kind")) == "PAYMENT_CAPTURED"
	})
	if text(done.at("order.payments.0.captured.amount")) != "39.80" || s.available(lamp.variants[0]) != 1 {
		t.Errorf("%v, %d left", done.data, s.available(lamp.variants[0]))
	}
	var kinds []string
	for _, e := range list(done.at("order.timeline")) {
		kinds = append(kinds, text(walk(e, "kind")))
	}
	if want := "[STOCK_HELD CREATED PAYMENT_AUTHORIZED STOCK_COMMITTED PLACED PAYMENT_CAPTURED]"; fmt.Sprint(kinds) != want {
		t.Errorf("timeline %v, want %s", kinds, want)
	}
}

const orderOf = `query ($id: ID!) { order(id: $id) { id status cancelReason paymentStatus payments { status captured { amount } refunded { amount } } timeline { kind } } }`

func declineGivesBack(t *testing.T, s *testShop) {
	lamp := s.sell("Copper Lamp", "29.00", 1, 5)
	ann := s.buyer()
	got := ann.buy(lamp.variants[0], 1, "0002")
	if text(got.at("checkoutComplete.result.kind")) != "CheckoutPaymentFailed" || text(got.at("checkoutComplete.result.order.status")) != "CANCELLED" || text(got.at("checkoutComplete.result.declineCode")) == "" {
		t.Fatalf("%v", got.data)
	}
	order := text(got.at("checkoutComplete.result.order.id"))
	ann.until(orderOf, vars{"id": order}, func(a answer) bool { return text(a.at("order.paymentStatus")) == "FAILED" })
	if n := s.available(lamp.variants[0]); n != 5 {
		t.Errorf("%d left", n)
	}
}

// actionTaken follows the redirect to the bank's page, which is reached through the shop's own address, and confirms.
func actionTaken(t *testing.T, s *testShop) {
	lamp := s.sell("Golden Lamp", "199.00", 1, 1)
	ann := s.buyer()
	got := ann.buy(lamp.variants[0], 1, "3220")
	page := text(got.at("checkoutComplete.result.redirectUrl"))
	if !strings.HasPrefix(page, s.base+"/") {
		t.Fatalf("%v", got.data)
	}
	res, err := http.Post(page+"/confirm", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	order := text(got.at("checkoutComplete.result.order.id"))
	ann.until(orderOf, vars{"id": order}, func(a answer) bool {
		return text(a.at("order.status")) == "PLACED" && text(a.at("order.paymentStatus")) == "CAPTURED"
	})
}

func sameKeyBuysOnce(t *testing.T, s *testShop) {
	lamp := s.sell("Tin Lamp", "9.00", 1, 5)
	ann := s.buyer()
	cartID, total := s.guest().cart(lamp.variants[0], 1)
	in := ann.input(cartID, total, ann.card("4242"))
	var wg sync.WaitGroup
	orders := make(chan string, 5)
	for range 5 {
		wg.Go(func() { orders <- text(ann.do(checkout, vars{"i": in}).at("checkoutComplete.result.order.id")) })
	}
	wg.Wait()
	first := <-orders
	for range 4 {
		if other := <-orders; other != first {
			t.Errorf("two orders, %s and %s", first, other)
		}
	}
	in["addressId"] = id.New(id.Address)
	if _, a := ann.ask(checkout, vars{"i": in}); text(a.at("checkoutComplete.userErrors.0.code")) != "IDEMPOTENCY_CONFLICT" {
		t.Errorf("the key with other input: %v", a.data)
	}
	if n := s.available(lamp.variants[0]); n != 4 {
		t.Errorf("%d left", n)
	}
}

func pagesThrough(t *testing.T, s *testShop) {
	mark := "Zanzibar" + id.New(id.Product)[20:]
	want := map[string]bool{}
	for i := range 7 {
		want[s.sell(fmt.Sprintf("%s chest %d", mark, i), "50.00", 1, 0).id] = true
	}
	s.guest().until(`query ($q: String!) { products(query: $q) { totalCount } }`, vars{"q": mark}, func(a answer) bool { return number(a.at("products.totalCount")) == 7 })
	seen, after := map[string]int{}, any(nil)
	for range 4 {
		page := s.guest().do(`query ($q: String!, $after: String) { products(query: $q, first: 2, after: $after, sort: PRICE_ASC) { nodes { id } pageInfo { endCursor hasNextPage } } }`, vars{"q": mark, "after": after})
		for _, n := range list(page.at("products.nodes")) {
			seen[text(walk(n, "id"))]++
		}
		after = page.at("products.pageInfo.endCursor")
	}
	if len(seen) != 7 {
		t.Errorf("saw %d of 7: %v", len(seen), seen)
	}
	for p, n := range seen {
		if n != 1 || !want[p] {
			t.Errorf("%s was seen %d times", p, n)
		}
	}
}

func ownGoods(t *testing.T, s *testShop) {
	lamp := s.sell("Silver Lamp", "19.90", 1, 1)
	other := s.register()
	other.do(`mutation ($i: SellerOnboardInput!) { sellerOnboard(input: $i) { seller { id } userErrors { code } } }`, vars{"i": map[string]any{"name": "Rival " + id.New(id.Seller), "tier": "INDIVIDUAL"}})
	save := vars{"input": map[string]any{"id": lamp.id, "title": "Mine now", "description": "x", "categorySlug": s.category, "variants": []any{map[string]any{"sku": "S", "price": usd("1.00"), "weightGrams": 1}}}}
	if _, a := other.ask(productSave, save); a.code(0) != "FORBIDDEN productSave" {
		t.Errorf("a token from before selling: %v %v", a.data, a.errors)
	}
	rival := s.signIn(text(other.do(`{ me { email } }`, nil).at("me.email")))
	if _, a := rival.ask(productSave, save); text(a.at("productSave.userErrors.0.code")) != "NOT_OWNER" {
		t.Errorf("another seller saves it: %v %v", a.data, a.errors)
	}
	if _, a := rival.ask(`mutation ($i: ProductArchiveInput!) { productArchive(input: $i) { userErrors { code } } }`, vars{"i": map[string]any{"id": lamp.id}}); text(a.at("productArchive.userErrors.0.code")) != "NOT_OWNER" {
		t.Errorf("another seller archives it: %v %v", a.data, a.errors)
	}
	if got := s.guest().do(`query ($id: ID!) { product(id: $id) { title } }`, vars{"id": lamp.id}); text(got.at("product.title")) != "Silver Lamp" {
		t.Errorf("now it is %v", got.data)
	}
}

func malformedInput(t *testing.T, s *testShop) {
	ann := s.buyer()
	cartID, _ := s.guest().cart(s.sell("Glass Lamp", "5.00", 1, 1).variants[0], 1)
	add := func(variant string, n int) string {
		_, a := s.guest().ask(`mutation ($i: CartLinesAddInput!) { cartLinesAdd(input: $i) { cart { id } userErrors { code field } } }`,
			vars{"i": map[string]any{"cartId": cartID, "lines": []any{map[string]any{"variantId": variant, "quantity": n}}}})
		return fmt.Sprint(text(a.at("cartLinesAdd.userErrors.0.code")), " ", a.at("cartLinesAdd.userErrors.0.field"))
	}
	variant := id.New(id.Variant)
	for what, c := range map[string][2]string{
		"negative":         {add(variant, -1), "INVALID_QUANTITY [input lines 0 quantity]"},
		"zero":             {add(variant, 0), "INVALID_QUANTITY [input lines 0 quantity]"},
		"huge":             {add(variant, 2147483647), "INVALID_QUANTITY [input lines 0 quantity]"},
		"a malformed id":   {add("var_1", 1), "INVALID [input lines 0 variantId]"},
		"an order's id":    {add(id.New(id.Order), 1), "INVALID [input lines 0 variantId]"},
		"an unknown thing": {add(variant, 1), "NOT_FOUND [input lines 0 variantId]"},
	} {
		if c[0] != c[1] {
			t.Errorf("%s: %s, want %s", what, c[0], c[1])
		}
	}
	for query, want := range map[string]string{
		`{ product(id: "prod_1") { id } }`:      "INVALID_ID product",
		`{ node(id: "nonsense") { id } }`:       "INVALID_ID node",
		`{ order(id: "ord_1") { id } }`:         "INVALID_ID order",
		`{ cart(id: "cart_1") { id } }`:         "INVALID_ID cart",
		`{ products(first: 0) { totalCount } }`: "INVALID_FIRST products",
	} {
		if _, a := ann.ask(query, nil); a.code(0) != want {
			t.Errorf("%s: %v", query, a.errors)
		}
	}
	if _, a := s.guest().ask(`query ($n: Int!) { products(first: $n) { totalCount } }`, vars{"n": 99999999999}); len(a.errors) == 0 {
		t.Error("a number beyond 32 bits was let in")
	}
}

func othersThings(t *testing.T, s *testShop) {
	lamp := s.sell("Iron Lamp", "7.00", 1, 9)
	ann, eve := s.buyer(), s.buyer()
	order := text(ann.buy(lamp.variants[0], 1, "4242").at("checkoutComplete.result.order.id"))
	mine := ann.do(`mutation ($i: CartCreateInput) { cartCreate(input: $i) { cart { id } userErrors { code } } }`, vars{"i": map[string]any{"lines": []any{map[string]any{"variantId": lamp.variants[0]}}}})
	cartID := text(mine.at("cartCreate.cart.id"))
	for _, c := range []client{eve.client, s.register()} {
		_, got := c.ask(`query ($o: ID!, $c: ID!) { order(id: $o) { id } cart(id: $c) { id } a: node(id: $o) { ... on Order { number } } b: node(id: $c) { ... on Cart { version } } }`, vars{"o": order, "c": cartID})
		if got.at("order") != nil || got.at("cart") != nil || got.at("a.number") != nil || got.at("b.version") != nil {
			t.Errorf("a stranger sees %v", got.data)
		}
	}
	if _, a := s.guest().ask(`query ($o: ID!) { order(id: $o) { id } }`, vars{"o": order}); a.code(0) != "UNAUTHENTICATED order" {
		t.Errorf("a guest: %v", a.errors)
	}
	if _, a := eve.ask(checkout, vars{"i": eve.input(cartID, "7.00", eve.card("4242"))}); text(a.at("checkoutComplete.userErrors.0.code")) != "NOT_FOUND" {
		t.Errorf("another's cart at the till: %v", a.data)
	}
	if got := s.seller.do(`query ($o: ID!) { order(id: $o) { id } }`, vars{"o": order}); text(got.at("order.id")) != order {
		t.Errorf("the seller of the goods does not see the order: %v", got.data)
	}
}

// accountsThings asks for what is Ann's by every id there is. Whoever reads one of her reviews has the id of her account.
func accountsThings(t *testing.T, s *testShop) {
	lamp := s.sell("Jade Lamp", "17.00", 1, 9)
	ann := s.buyer()
	order := text(ann.buy(lamp.variants[0], 1, "4242").at("checkoutComplete.result.order.id"))
	s.settled(order)
	s.ship(order)
	ann.do(`mutation { cartCreate { cart { id } userErrors { code } } }`, nil)
	own := ann.do(`query ($o: ID!) { me { id cart { id } paymentMethods { id } } order(id: $o) { payments { id } shipments { id } } }`, vars{"o": order})
	ids := vars{"a": own.at("me.id"), "c": own.at("me.cart.id"), "m": own.at("me.paymentMethods.0.id"), "o": order, "p": own.at("order.payments.0.id"), "s": own.at("order.shipments.0.id")}
	for name, id := range ids {
		if text(id) == "" {
			t.Fatalf("%s: Ann herself sees %v", name, own.data)
		}
	}
	const all = `query ($a: ID!, $c: ID!, $m: ID!, $o: ID!, $p: ID!, $s: ID!) {
		account: node(id: $a) { ... on Account { displayName email roles addresses { line1 } cart { version } orders { totalCount } paymentMethods { label } } }
		cart: node(id: $c) { ... on Cart { version } }
		method: node(id: $m) { ... on PaymentMethod { label } }
		order: node(id: $o) { ... on Order { status paymentStatus payments { status } shippingAddress { line1 } shipments { status } } }
		payment: node(id: $p) { ... on Payment { status authorized { amount } } }
		shipment: node(id: $s) { ... on Shipment { status } }
	}`
	seen := func(c client) map[string]any {
		_, a := c.ask(all, ids)
		out := map[string]any{}
		for _, path := range []string{
			"account.email", "account.roles", "account.addresses", "account.cart", "account.orders", "account.paymentMethods", "cart.version", "method.label",
			"order.status", "order.paymentStatus", "order.payments.0", "order.shippingAddress", "order.shipments.0", "payment.status", "payment.authorized", "shipment.status",
		} {
			if v := a.at(path); v != nil {
				out[path] = v
			}
		}
		if text(a.at("account.displayName")) != "Ann" {
			t.Errorf("everybody sees the name: %v", a.data)
		}
		return out
	}
	rival := s.register()
	rival.do(`mutation ($i: SellerOnboardInput!) { sellerOnboard(input: $i) { seller { id } userErrors { code } } }`, vars{"i": map[string]any{"name": "Rival " + id.New(id.Seller), "tier": "INDIVIDUAL"}})
	for who, c := range map[string]client{"a stranger": s.buyer().client, "a guest": s.guest(), "another seller": s.signIn(text(rival.do(`{ me { email } }`, nil).at("me.email")))} {
		if got := seen(c); len(got) > 0 {
			t.Errorf("%s sees %v", who, got)
		}
	}
	if got := seen(ann.client); len(got) != 16 {
		t.Errorf("Ann sees %d things of 16: %v", len(got), got)
	}
	want := []string{"order.shipments.0", "order.shippingAddress", "order.status", "shipment.status"}
	if got := slices.Sorted(maps.Keys(seen(s.seller))); !slices.Equal(got, want) {
		t.Errorf("who sold it sees %v, want %v", got, want)
	}
}

func tokensEnd(t *testing.T, s *testShop) {
	for _, token := range []string{"nonsense", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhY2NfMSJ9.", s.staff.token + "x"} {
		status, a := client{t, s.base, token}.ask(`{ me { id } }`, nil)
		if status != http.StatusUnauthorized || a.code(0) != "UNAUTHENTICATED" {
			t.Errorf("%.20s…: %d %v", token, status, a.errors)
		}
	}
	got := s.guest().do(`mutation ($i: SessionCreateInput!) { sessionCreate(input: $i) { session { refreshToken } userErrors { code } } }`, vars{"i": map[string]any{"email": "staff@souk.test", "password": password}})
	refresh := vars{"i": map[string]any{"refreshToken": got.at("sessionCreate.session.refreshToken")}}
	const trade = `mutation ($i: SessionRefreshInput!) { sessionRefresh(input: $i) { session { accessToken } userErrors { code } } }`
	s.guest().do(trade, refresh)
	if _, a := s.guest().ask(trade, refresh); text(a.at("sessionRefresh.userErrors.0.code")) != "BAD_CREDENTIALS" {
		t.Errorf("a refresh token worked twice: %v", a.data)
	}
	for _, in := range []map[string]any{{"email": "staff@souk.test", "password": "not this one"}, {"email": "nobody@souk.test", "password": password}} {
		_, a := s.guest().ask(`mutation ($i: SessionCreateInput!) { sessionCreate(input: $i) { session { accessToken } userErrors { code message } } }`, vars{"i": in})
		if text(a.at("sessionCreate.userErrors.0.code")) != "BAD_CREDENTIALS" {
			t.Errorf("%v: %v", in, a.data)
		}
	}
}

func liveStock(t *testing.T, s *testShop) {
	lamp := s.sell("Paper Lamp", "3.00", 1, 4)
	w := s.guest().watch(`subscription ($ids: [ID!]!) { stockChanged(variantIds: $ids) { variantId available seq state } }`, vars{"ids": lamp.variants})
	first := w.until(func(a answer) bool { return number(a.at("stockChanged.available")) == 4 })
	s.buyer().buy(lamp.variants[0], 3, "4242")
	after := w.until(func(a answer) bool { return number(a.at("stockChanged.available")) == 1 })
	if number(after.at("stockChanged.seq")) <= number(first.at("stockChanged.seq")) || text(after.at("stockChanged.state")) != "LOW" {
		t.Errorf("%v after %v", after.data, first.data)
	}
}

func nodes(t *testing.T, s *testShop) {
	lamp := s.sell("Stone Lamp", "11.00", 1, 2)
	unknown := id.New(id.Product)
	got := s.guest().do(`query ($ids: [ID!]!) { nodes(ids: $ids) { __typename ... on Product { title } ... on ProductVariant { price { amount } product { title } } } }`,
		vars{"ids": []string{lamp.id, lamp.variants[0]}})
	if text(got.at("nodes.0.title")) != "Stone Lamp" || text(got.at("nodes.1.product.title")) != "Stone Lamp" || text(got.at("nodes.1.price.amount")) != "11.00" {
		t.Errorf("%v", got.data)
	}
	if _, a := s.guest().ask(`query ($id: ID!) { node(id: $id) { ... on Product { title } } }`, vars{"id": unknown}); a.at("node.title") != nil {
		t.Errorf("%v", a.data)
	}
}

// deadSubgraphs looks at the page, and buys, while one part after the other is down: the page lacks what the part knows, and nothing else.
func deadSubgraphs(t *testing.T, s *testShop) {
	lamp := s.sell("Bamboo Lamp", "13.00", 1, 9)
	ann := s.buyer()
	method := ann.card("4242")
	cartID, total := s.guest().cart(lamp.variants[0], 1)
	pincode := vars{"slug": lamp.slug, "pincode": "55425"}
	for part, lost := range map[string]string{
		"reviews": "product.rating", "inventory": "product.variants.nodes.0.stock", "logistics": "product.variants.nodes.0.deliveryEstimate", "accounts": "product.seller",
	} {
		t.Run(part, func(t *testing.T) {
			s := s.in(t)
			if whole := s.guest().do(productPage, pincode); whole.at(lost) == nil {
				t.Fatalf("%s is not there to be lost: %v", lost, whole.data)
			}
			s.breakers[part].take(true)
			defer s.breakers[part].take(false)
			status, a := s.guest().ask(productPage, pincode)
			if status != http.StatusOK || text(a.at("product.title")) != "Bamboo Lamp" || text(a.at("product.variants.nodes.0.price.amount")) != "13.00" || a.at(lost) != nil {
				t.Errorf("%d %v %v", status, a.data, a.errors)
			}
			if !strings.HasPrefix(a.code(0), "SUBGRAPH_UNAVAILABLE product") || text(walk(a.errors[0], "extensions.subgraph")) != part {
				t.Errorf("%v", a.errors)
			}
			if said := fmt.Sprint(a.errors); strings.Contains(said, "127.0.0.1") || strings.Contains(said, "EOF") || strings.Contains(said, "reset") {
				t.Errorf("internals are told: %s", said)
			}
		})
	}
	t.Run("search beside the catalogue", func(t *testing.T) {
		s := s.in(t)
		s.breakers["search"].take(true)
		defer s.breakers["search"].take(false)
		_, a := s.guest().ask(`query ($slug: String!) { products { totalCount } product(slug: $slug) { title } }`, vars{"slug": lamp.slug})
		if a.at("products") != nil || text(a.at("product.title")) != "Bamboo Lamp" || a.code(0) != "SUBGRAPH_UNAVAILABLE products" {
			t.Errorf("%v %v", a.data, a.errors)
		}
	})
	t.Run("the catalogue beside search", func(t *testing.T) {
		s := s.in(t)
		s.breakers["catalog"].take(true)
		defer s.breakers["catalog"].take(false)
		s.guest().until(searched, vars{"q": "bamboo lamp"}, func(a answer) bool { return text(a.at("products.nodes.0.id")) == lamp.id })
	})
	t.Run("a purchase without reviews", func(t *testing.T) {
		s.breakers["reviews"].take(true)
		defer s.breakers["reviews"].take(false)
		if got := ann.do(checkout, vars{"i": ann.input(cartID, total, method)}); text(got.at("checkoutComplete.result.kind")) != "CheckoutPlaced" {
			t.Errorf("%v", got.data)
		}
	})
}
