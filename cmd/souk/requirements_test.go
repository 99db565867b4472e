package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/souk-shop/souk/internal/id"
)

// What a marketplace has to do (docs/requirements.md), by number, where no story above shows it. They share the shop of TestShop.
var requirements = map[string]func(*testing.T, *testShop){
	"S3 what is archived is gone from the shelves and stays in orders":          archivedStaysInOrders,
	"S4 S7 a shelf is paged through exactly once":                               shelves,
	"S6 words of a description and an attribute find a product":                 foundByItsWords,
	"S8 S9 S10 S26 S27 guests fill a cart, and sign up to buy it":               guestsCart,
	"S12 an account's orders, newest first":                                     ordersNewestFirst,
	"S28 S29 individual sellers add one by one, professional ones a feed":       sellersAddGoods,
	"S33 S37 what is held where, page by page":                                  warehousesGoods,
	"S34 a card number is refused, and kept nowhere":                            noCardNumber,
	"S35 S38 who brings it where":                                               couriers,
	"S36 S40 it comes from the nearest warehouse that has it":                   nearestStocked,
	"S41 S52 a picture is what was uploaded, for ever, from beside the graph":   pictures,
	"S42 a missing scope takes one field away":                                  missingScope,
	"S45 no part answers who does not come through the gateway":                 partsAreClosed,
	"S49 a shirt and a television have attributes of their own":                 families,
	"S54 an order only goes forward, and what is over stays so":                 ordersGoForward,
	"S56 without a postal code the account's own counts, and a new one at once": ownPincode,
}

// saves saves a product of a seller, which has to work, and returns it.
func (c client) saves(input map[string]any) answer {
	c.t.Helper()
	return c.do(`mutation ($input: ProductSaveInput!) { productSave(input: $input) {
		product { id slug version attributes { key value unit } variants { nodes { id weightGrams } } } userErrors { code message field } } }`, vars{"input": input})
}

// plain is a product of one variant, as a seller saves it.
func plain(title, category string) map[string]any {
	return map[string]any{"title": title, "description": title + ", as it is.", "categorySlug": category,
		"variants": []any{map[string]any{"sku": "SKU-" + id.New(id.Variant)[4:], "price": usd("10.00"), "weightGrams": 300}}}
}

// rare is a word that nothing else in the shop has.
func rare(word string) string { return word + strings.ToLower(id.New(id.Product)[18:]) }

func archivedStaysInOrders(t *testing.T, s *testShop) {
	word := rare("Outdated")
	lamp := s.sell(word+" Lamp", "19.90", 1, 2)
	ann := s.buyer()
	order := ann.placed(lamp.variants[0], 1)
	listed := vars{"q": word}
	s.guest().until(searched, listed, func(a answer) bool { return text(a.at("products.nodes.0.id")) == lamp.id })
	s.seller.do(`mutation ($id: ID!) { productArchive(input: {id: $id}) { product { status } userErrors { code } } }`, vars{"id": lamp.id})
	s.guest().until(searched, listed, func(a answer) bool { return number(a.at("products.totalCount")) == 0 })
	if got := s.guest().do(`query ($id: ID!) { product(id: $id) { id } }`, vars{"id": lamp.id}); got.at("product") != nil {
		t.Errorf("guests still see %v", got.data)
	}
	line := ann.do(`query ($id: ID!) { order(id: $id) { lines { title variant { id sku product { id title status } } } } }`, vars{"id": order})
	if text(line.at("order.lines.0.variant.id")) != lamp.variants[0] || text(line.at("order.lines.0.variant.product.id")) != lamp.id ||
		text(line.at("order.lines.0.variant.product.title")) != text(line.at("order.lines.0.title")) || text(line.at("order.lines.0.variant.product.status")) != "ARCHIVED" {
		t.Errorf("the line of the order is %v", line.data)
	}
	cartID, _ := s.guest().cart(s.sell("Other Lamp", "5.00", 1, 1).variants[0], 1)
	if _, a := s.guest().ask(cartAdd, vars{"i": map[string]any{"cartId": cartID, "lines": []any{map[string]any{"variantId": lamp.variants[0]}}}}); text(a.at("cartLinesAdd.userErrors.0.code")) != "NOT_FOR_SALE" {
		t.Errorf("into a cart: %v %v", a.data, a.errors)
	}
}

// shelves fills two shelves below one, and walks through each and all of it, in every order there is.
func shelves(t *testing.T, s *testShop) {
	top := rare("Curiosities")
	want := map[string][]string{} // products by shelf
	slugs := map[string]string{}
	for _, shelf := range []string{"", "Astrolabes", "Compasses"} {
		path := []string{top, shelf}
		if shelf == "" {
			path = path[:1]
		}
		got := s.seller.do(`mutation ($path: [String!]!) { categoryEnsure(input: {path: $path}) { category { slug } userErrors { code } } }`, vars{"path": path})
		slugs[shelf] = text(got.at("categoryEnsure.category.slug"))
		if shelf == "" {
			continue
		}
		for i := range 5 {
			p := text(s.seller.saves(plain(fmt.Sprintf("%s %d", shelf, i), slugs[shelf])).at("productSave.product.id"))
			want[shelf], want[""] = append(want[shelf], p), append(want[""], p)
		}
	}
	const page = `query ($slug: String!, $sort: ProductSort, $after: String) { products(filter: {categorySlug: $slug}, sort: $sort, first: 3, after: $after) {
		totalCount nodes { id } pageInfo { endCursor hasNextPage } } }`
	for shelf, products := range want {
		s.guest().until(page, vars{"slug": slugs[shelf]}, func(a answer) bool { return number(a.at("products.totalCount")) == len(products) })
		for _, sort := range []string{"RELEVANCE", "PRICE_ASC", "PRICE_DESC", "NEWEST", "TOP_RATED"} {
			var seen []string
			for after, more := any(nil), true; more && len(seen) <= len(products); {
				got := s.guest().do(page, vars{"slug": slugs[shelf], "sort": sort, "after": after})
				for _, n := range list(got.at("products.nodes")) {
					seen = append(seen, text(walk(n, "id")))
				}
				after, more = got.at("products.pageInfo.endCursor"), got.at("products.pageInfo.hasNextPage") == true
			}
			slices.Sort(seen)
			slices.Sort(products)
			if !slices.Equal(seen, products) {
				t.Errorf("%q by %s shows %v, want %v", shelf, sort, seen, products)
			}
		}
	}
	tree := s.guest().do(`{ categoryTree { slug name productCount children { slug name productCount } } }`, nil)
	for _, c := range list(tree.at("categoryTree")) {
		if text(walk(c, "slug")) != slugs[""] {
			continue
		}
		if got := fmt.Sprint(walk(c, "productCount"), " ", walk(c, "children.0.name"), " ", walk(c, "children.0.productCount"), " ", walk(c, "children.1.slug"), " ", walk(c, "children.1.productCount")); got != "10 Astrolabes 5 "+slugs["Compasses"]+" 5" {
			t.Errorf("the tree says %s", got)
		}
		return
	}
	t.Errorf("%s is not in the tree: %v", slugs[""], tree.data)
}

func foundByItsWords(t *testing.T, s *testShop) {
	described, known := rare("translucent"), rare("vermilion")
	in := plain("Nameless Vase", s.category)
	in["description"] = "A " + described + " piece."
	in["attributes"] = []any{map[string]any{"key": "glaze", "value": known}}
	vase := text(s.seller.saves(in).at("productSave.product.id"))
	for _, word := range []string{described, known} {
		s.guest().until(searched, vars{"q": word}, func(a answer) bool {
			return number(a.at("products.totalCount")) == 1 && text(a.at("products.nodes.0.id")) == vase
		})
	}
}

const (
	cartAdd   = `mutation ($i: CartLinesAddInput!) { cartLinesAdd(input: $i) { cart { totalQuantity cost { total { amount } } lines { nodes { id quantity cost { amount } variant { id } } } } userErrors { code field } } }`
	cartShown = `cart { id totalQuantity cost { total { amount } } lines { nodes { id quantity cost { amount } variant { id } } } } userErrors { code field }`
)

// shown says in a line what is in a cart: its quantity, its total, and how many lines it has.
func shown(a answer, of string) string {
	return fmt.Sprint(a.at(of+".cart.totalQuantity"), " ", a.at(of+".cart.cost.total.amount"), " ", len(list(a.at(of+".cart.lines.nodes"))))
}

func guestsCart(t *testing.T, s *testShop) {
	lamp, rug := s.sell("Borrowed Lamp", "19.90", 1, 9), s.sell("Borrowed Rug", "100.00", 1, 9)
	guest := s.guest()
	if got := guest.do(`{ products(first: 1) { totalCount nodes { title } } }`, nil); number(got.at("products.totalCount")) == 0 {
		t.Errorf("guests see %v", got.data)
	}
	cartID := text(guest.do(`mutation { cartCreate { cart { id } userErrors { code } } }`, nil).at("cartCreate.cart.id"))
	add := func(variant string, n int) answer {
		return guest.do(cartAdd, vars{"i": map[string]any{"cartId": cartID, "lines": []any{map[string]any{"variantId": variant, "quantity": n}}}})
	}
	steps := []string{shown(add(lamp.variants[0], 1), "cartLinesAdd"), shown(add(rug.variants[0], 1), "cartLinesAdd")}
	full := add(lamp.variants[0], 1)
	steps = append(steps, shown(full, "cartLinesAdd"))
	line := map[string]any{}
	for _, l := range list(full.at("cartLinesAdd.cart.lines.nodes")) {
		line[text(walk(l, "variant.id"))] = walk(l, "id")
	}
	update := func(variant string, n int) {
		got := guest.do(`mutation ($i: CartLinesUpdateInput!) { cartLinesUpdate(input: $i) { `+cartShown+` } }`,
			vars{"i": map[string]any{"cartId": cartID, "lines": []any{map[string]any{"lineId": line[variant], "quantity": n}}}})
		steps = append(steps, shown(got, "cartLinesUpdate"))
	}
	update(lamp.variants[0], 3)
	update(lamp.variants[0], 0)
	got := guest.do(`mutation ($i: CartLinesRemoveInput!) { cartLinesRemove(input: $i) { `+cartShown+` } }`, vars{"i": map[string]any{"cartId": cartID, "lineIds": []any{line[rug.variants[0]]}}})
	steps = append(steps, shown(got, "cartLinesRemove"), shown(add(lamp.variants[0], 2), "cartLinesAdd"))
	want := []string{"1 19.90 1", "2 119.90 2", "3 139.80 2", "4 159.70 2", "1 100.00 1", "0 0.00 0", "2 39.80 1"}
	if !slices.Equal(steps, want) {
		t.Errorf("the cart became %q, want %q", steps, want)
	}

	in := map[string]any{"cartId": cartID, "addressId": id.New(id.Address), "paymentMethodId": id.New(id.PaymentMethod), "expectedTotal": usd("39.80"), "idempotencyKey": id.New(id.Event)}
	if _, a := guest.ask(checkout, vars{"i": in}); a.code(0) != "UNAUTHENTICATED checkoutComplete" {
		t.Errorf("a guest bought: %v %v", a.data, a.errors)
	}
	ann := s.buyer()
	claimed := ann.do(`mutation ($i: CartClaimInput!) { cartClaim(input: $i) { `+cartShown+` } }`, vars{"i": map[string]any{"guestCartId": cartID}})
	if got := shown(claimed, "cartClaim"); got != "2 39.80 1" {
		t.Errorf("after signing up the cart has %s", got)
	}
	if got := ann.do(checkout, vars{"i": ann.input(text(claimed.at("cartClaim.cart.id")), "39.80", ann.card("4242"))}); bought(got) != "CheckoutPlaced" {
		t.Errorf("%v", got.data)
	}
}

func ordersNewestFirst(t *testing.T, s *testShop) {
	lamp := s.sell("Habitual Lamp", "3.00", 1, 9)
	ann, eve := s.buyer(), s.buyer()
	var want []string
	for range 3 {
		want = slices.Insert(want, 0, ann.placed(lamp.variants[0], 1))
	}
	eves := eve.placed(lamp.variants[0], 1)
	const mine = `query ($after: String) { me { orders(first: 2, after: $after) { totalCount nodes { id } pageInfo { endCursor hasNextPage } } } }`
	var got []string
	for after, more := any(nil), true; more && len(got) <= len(want); {
		page := ann.do(mine, vars{"after": after})
		for _, o := range list(page.at("me.orders.nodes")) {
			got = append(got, text(walk(o, "id")))
		}
		after, more = page.at("me.orders.pageInfo.endCursor"), page.at("me.orders.pageInfo.hasNextPage") == true
	}
	if !slices.Equal(got, want) {
		t.Errorf("Ann sees %v, want %v", got, want)
	}
	if page := eve.do(mine, nil); number(page.at("me.orders.totalCount")) != 1 || text(page.at("me.orders.nodes.0.id")) != eves {
		t.Errorf("Eve sees %v", page.data)
	}
}

// onboarded opens an account that sells, and signs in anew, for what a token lets one do is in the token.
func (s *testShop) onboarded(tier string) client {
	s.t.Helper()
	c := s.register()
	c.do(`mutation ($i: SellerOnboardInput!) { sellerOnboard(input: $i) { seller { id } userErrors { code } } }`, vars{"i": map[string]any{"name": "Stall " + id.New(id.Seller), "tier": tier}})
	return s.signIn(text(c.do(`{ me { email } }`, nil).at("me.email")))
}

// uploads stages a file and puts it where it is told to.
func (c client) uploads(name, mimeType string, file []byte) (uploadID string) {
	c.t.Helper()
	got := c.do(`mutation ($i: StagedUploadInput!) { stagedUploadCreate(input: $i) { uploadId url headers userErrors { code } } }`,
		vars{"i": map[string]any{"filename": name, "mimeType": mimeType, "bytes": len(file)}})
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodPut, text(got.at("stagedUploadCreate.url")), bytes.NewReader(file))
	if err != nil {
		c.t.Fatal(err)
	}
	headers, _ := got.at("stagedUploadCreate.headers").(map[string]any)
	for name, value := range headers {
		req.Header.Set(name, text(value))
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode/100 != 2 {
		body, _ := io.ReadAll(res.Body)
		c.t.Fatalf("%s: %s", res.Status, body)
	}
	return text(got.at("stagedUploadCreate.uploadId"))
}

func sellersAddGoods(t *testing.T, s *testShop) {
	const bulk = `mutation ($i: BulkImportInput!) { bulkImport(input: $i) { operation { id status } userErrors { code } } }`
	maker := rare("Zarqali")
	var feed bytes.Buffer
	for i := range 40 {
		price := "9.00"
		if i == 7 || i == 30 {
			price = "0.00" // nothing is for free
		}
		fmt.Fprintf(&feed, `{"externalId":"%d","title":"Imported thing %d","description":"D","brand":%q,"categorySlug":%q,"variants":[{"sku":"%s-%d","price":{"amount":%q,"currencyCode":"USD"},"weightGrams":1}]}`+"\n",
			i, i, maker, s.category, maker, i, price)
	}
	input := func(upload string) vars {
		return vars{"i": map[string]any{"stagedUploadId": upload, "format": "JSONL", "idempotencyKey": id.New(id.Event)}}
	}
	alone := s.onboarded("INDIVIDUAL")
	alone.saves(plain("A thing of mine", s.category))
	if _, a := alone.ask(bulk, input(alone.uploads("feed.jsonl", "application/jsonl", feed.Bytes()))); text(a.at("bulkImport.userErrors.0.code")) != "NOT_PROFESSIONAL" {
		t.Errorf("an individual seller imports: %v %v", a.data, a.errors)
	}

	firm := s.onboarded("PROFESSIONAL")
	operation := text(firm.do(bulk, input(firm.uploads("feed.jsonl", "application/jsonl", feed.Bytes()))).at("bulkImport.operation.id"))
	end := firm.watch(`subscription ($id: ID!) { bulkOperationUpdated(id: $id) { status total processed succeeded failed } }`, vars{"id": operation}).
		until(func(a answer) bool { return strings.HasPrefix(text(a.at("bulkOperationUpdated.status")), "COMPLETED") })
	if got := fmt.Sprint(end.at("bulkOperationUpdated")); got != "map[failed:2 processed:40 status:COMPLETED_WITH_ERRORS succeeded:38 total:40]" {
		t.Errorf("the import ended as %s", got)
	}
	rows := firm.do(`query ($id: ID!) { bulkOperation(id: $id) { rowErrors { nodes { row externalId errors { code field } } } } }`, vars{"id": operation})
	if got := fmt.Sprint(rows.at("bulkOperation.rowErrors.nodes")); got != "[map[errors:[map[code:INVALID field:[variants 0 price]]] externalId:7 row:8] map[errors:[map[code:INVALID field:[variants 0 price]]] externalId:30 row:31]]" {
		t.Errorf("of the rows it says %s", got)
	}
	s.guest().until(`query ($b: [String!]) { products(filter: {brand: $b}, first: 1) { totalCount } }`, vars{"b": []string{maker}}, func(a answer) bool {
		return number(a.at("products.totalCount")) == 38
	})
}

// ordersGoForward tries in every state of an order what the graph can do to one: to cancel it, and to send its goods.
func ordersGoForward(t *testing.T, s *testShop) {
	lamp := s.sell("Restless Lamp", "9.00", 1, 9).variants[0]
	ann := s.buyer()
	tries := func(order, state, wantShip, wantCancel string) {
		t.Helper()
		ann.until(orderOf, vars{"id": order}, func(a answer) bool { return text(a.at("order.status")) == state })
		if wantShip != "" {
			if got := s.ships(order); got != wantShip {
				t.Errorf("sending what is %s: %s, want %s", state, got, wantShip)
			}
		}
		if got := ann.cancel(order); got != wantCancel {
			t.Errorf("cancelling what is %s: %s, want %s", state, got, wantCancel)
		}
	}
	unpaid := s.pending(ann, lamp, "0044")
	tries(unpaid, "CREATED", "WRONG_STATE", "CANCELLED")
	tries(unpaid, "CANCELLED", "WRONG_STATE", "CANCELLED")
	regretted := ann.placed(lamp, 1)
	tries(regretted, "PLACED", "", "CANCELLED")
	tries(regretted, "CANCELLED", "WRONG_STATE", "CANCELLED")
	kept := ann.placed(lamp, 1)
	if got := s.ships(kept); got != "PACKED" {
		t.Fatalf("sending what is placed: %s", got)
	}
	if got := ann.cancel(kept); got != "NOT_CANCELLABLE" {
		t.Errorf("cancelling what is packed: %s", got)
	}
	tries(kept, "DELIVERED", "ALREADY_SHIPPED", "NOT_CANCELLABLE")
	for order, state := range map[string]string{unpaid: "CANCELLED", regretted: "CANCELLED", kept: "DELIVERED"} {
		if got := ann.do(orderOf, vars{"id": order}); text(got.at("order.status")) != state {
			t.Errorf("%v, want %s", got.data, state)
		}
	}
}

// ships tries to send what is in an order, and says in a word what came of it.
func (s *testShop) ships(order string) string {
	s.t.Helper()
	line := s.seller.do(`query ($id: ID!) { order(id: $id) { lines { id } } }`, vars{"id": order}).at("order.lines.0.id")
	_, a := s.seller.ask(`mutation ($i: ShipmentCreateInput!) { shipmentCreate(input: $i) { shipment { status } userErrors { code } } }`, vars{"i": map[string]any{
		"orderId": order, "warehouseId": s.warehouses[0], "courier": "kite", "lines": []any{map[string]any{"orderLineId": line, "quantity": 1}}, "idempotencyKey": id.New(id.Event)}})
	if code := text(a.at("shipmentCreate.userErrors.0.code")); code != "" {
		return code
	}
	return text(a.at("shipmentCreate.shipment.status"))
}
