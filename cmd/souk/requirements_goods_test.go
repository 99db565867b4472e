package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/schema"
)

// stock takes units into a warehouse, or out of it.
func (s *testShop) stock(variant, warehouse string, delta int) {
	s.t.Helper()
	s.seller.do(`mutation ($i: StockAdjustInput!) { stockAdjust(input: $i) { userErrors { code message field } } }`, vars{"i": map[string]any{
		"changes": []any{map[string]any{"variantId": variant, "warehouseId": warehouse, "delta": delta}}, "reason": "moved", "idempotencyKey": id.New(id.Event)}})
}

func warehousesGoods(t *testing.T, s *testShop) {
	code := "ANC-" + id.New(id.Warehouse)[24:]
	attic := text(s.staff.do(`mutation ($input: WarehouseSaveInput!) { warehouseSave(input: $input) { warehouse { id } userErrors { code message } } }`, vars{"input": map[string]any{
		"code": code, "name": "Anchorage", "pincode": "99501", "country": "US", "latitude": 61.22, "longitude": -149.9}}).at("warehouseSave.warehouse.id"))
	goods := s.sell("Frozen Lamp", "9.00", 5, 2).variants
	for i, v := range goods {
		s.stock(v, attic, i+1)
	}
	got := s.seller.do(`query ($id: ID!) { node(id: $id) { ... on ProductVariant { stock { available } stockLevels { onHand available warehouse { code pincode } } } } }`, vars{"id": goods[4]})
	levels := map[string]string{}
	for _, l := range list(got.at("node.stockLevels")) {
		levels[text(walk(l, "warehouse.code"))] = fmt.Sprint(walk(l, "warehouse.pincode"), " ", walk(l, "onHand"), " ", walk(l, "available"))
	}
	if number(got.at("node.stock.available")) != 7 || len(levels) != 2 || levels["MSP"] != "55425 2 2" || levels[code] != "99501 5 5" {
		t.Errorf("%v: %v", levels, got.data)
	}
	var held []string
	for after, more := any(nil), true; more && len(held) <= len(goods); {
		page := s.seller.do(`query ($id: ID!, $after: String) { node(id: $id) { ... on Warehouse { code levels(first: 2, after: $after) { nodes { onHand variant { id sku product { title } } } pageInfo { endCursor hasNextPage } } } } }`,
			vars{"id": attic, "after": after})
		for _, l := range list(page.at("node.levels.nodes")) {
			if text(walk(l, "variant.product.title")) != "Frozen Lamp" || text(walk(l, "variant.sku")) == "" {
				t.Errorf("%v", l)
			}
			held = append(held, fmt.Sprint(walk(l, "variant.id"), " ", walk(l, "onHand")))
		}
		after, more = page.at("node.levels.pageInfo.endCursor"), page.at("node.levels.pageInfo.hasNextPage") == true
	}
	var want []string
	for i, v := range goods {
		want = append(want, fmt.Sprint(v, " ", i+1))
	}
	slices.Sort(held)
	slices.Sort(want)
	if !slices.Equal(held, want) {
		t.Errorf("the warehouse holds %v, want %v", held, want)
	}
	if _, a := s.buyer().ask(`query ($id: ID!) { node(id: $id) { ... on ProductVariant { stockLevels { onHand } stock { available } } } }`, vars{"id": goods[4]}); a.code(0) != "FORBIDDEN node.stockLevels" || number(a.at("node.stock.available")) != 7 {
		t.Errorf("a buyer sees %v %v", a.data, a.errors)
	}
}

// cardNumber finds the numbers that noCardNumber tries, however they are written.
var cardNumber = regexp.MustCompile(`4000[ -]?0566[ -]?5566[ -]?5556|5105[ -]?1051[ -]?0510[ -]?5100`)

// noCardNumber tries to leave a card number where a token belongs, pays with a token, and looks through all that PostgreSQL keeps.
func noCardNumber(t *testing.T, s *testShop) {
	ann := s.buyer()
	for _, number := range []string{"4000056655665556", "4000 0566 5566 5556", "tok_5105105105105100", "5105-1051-0510-5100"} {
		status, body, err := ann.send(`mutation ($i: PaymentMethodAddInput!) { paymentMethodAdd(input: $i) { paymentMethod { id } userErrors { code field message } } }`, vars{"i": map[string]any{"token": number}})
		if err != nil || !bytes.Contains(body, []byte(`"paymentMethod":null`)) || !bytes.Contains(body, []byte(`"code":"INVALID","field":["input","token"]`)) || cardNumber.Match(body) {
			t.Errorf("%s: %d %s %v", number, status, body, err)
		}
	}
	ann.placed(s.sell("Charged Lamp", "5.00", 1, 1).variants[0], 1)
	at, err := s.config.postgresURL("payments")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	rows, err := conn.Query(t.Context(), `SELECT schemaname || '.' || tablename, query_to_xml(format('SELECT * FROM %I.%I', schemaname, tablename), true, true, '')::text
		FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`)
	if err != nil {
		t.Fatal(err)
	}
	var table, content string
	tokens := 0
	if _, err := pgx.ForEachRow(rows, []any{&table, &content}, func() error {
		if found := cardNumber.FindString(content); found != "" {
			t.Errorf("%s has %s", table, found)
		}
		tokens += strings.Count(content, "tok_4242")
		return nil
	}); err != nil || tokens == 0 {
		t.Errorf("the dump shows %d tokens, so it is not all there is: %v", tokens, err)
	}
	if field := regexp.MustCompile(`(?im)^\s+\w*(card_?number|\bpan|cvv|cvc|expiryMonth|expMonth)\w*[:(]`).FindString(schema.Supergraph); field != "" {
		t.Errorf("the schema has%s", field)
	}
}

func couriers(t *testing.T, s *testShop) {
	for place, want := range map[[2]string]string{
		{"55425", "US"}:  "true [camel caravan kite]",
		{"560001", "IN"}: "true [camel caravan kite]",
		{"M1 1AE", "GB"}: "true [caravan kite]",
		{"999999", "IN"}: "false []",
		{"00000", "US"}:  "false []",
	} {
		got := s.guest().do(`query ($p: String!, $c: CountryCode) { serviceability(pincode: $p, country: $c) { pincode serviceable couriers cod } }`, vars{"p": place[0], "c": place[1]})
		var names []string
		for _, c := range list(got.at("serviceability.couriers")) {
			names = append(names, text(c))
		}
		slices.Sort(names)
		if is := fmt.Sprint(got.at("serviceability.serviceable"), " ", names); is != want {
			t.Errorf("%v: %s, want %s", place, is, want)
		}
	}
}

const estimateOf = `query ($id: ID!, $pincode: String) { node(id: $id) { ... on ProductVariant { deliveryEstimate(pincode: $pincode, country: "US") { earliest latest courier cost { amount } from { id code } } } } }`

func nearestStocked(t *testing.T, s *testShop) {
	lamp := s.sell("Travelling Lamp", "9.00", 1, 0).variants[0]
	from := func(pincode string) string {
		return text(s.guest().do(estimateOf, vars{"id": lamp, "pincode": pincode}).at("node.deliveryEstimate.from.code"))
	}
	// The first that it comes from at all takes as long as logistics needs to hear of both warehouses.
	if got := from("55425"); got != "" {
		t.Errorf("what is nowhere comes from %s", got)
	}
	s.stock(lamp, s.warehouses[1], 2)
	s.guest().until(estimateOf, vars{"id": lamp, "pincode": "55425"}, func(a answer) bool { return text(a.at("node.deliveryEstimate.from.code")) == "LAX" })
	s.stock(lamp, s.warehouses[0], 2)
	s.guest().until(estimateOf, vars{"id": lamp, "pincode": "55425"}, func(a answer) bool { return text(a.at("node.deliveryEstimate.from.code")) == "MSP" })
	if got := from("90045"); got != "LAX" {
		t.Errorf("in Los Angeles it comes from %s", got)
	}
	s.stock(lamp, s.warehouses[1], -2)
	if got := from("90045"); got != "MSP" {
		t.Errorf("in Los Angeles, with none left there, it comes from %s", got)
	}
	whole := s.guest().do(estimateOf, vars{"id": lamp, "pincode": "90045"})
	earliest, latest := text(whole.at("node.deliveryEstimate.earliest")), text(whole.at("node.deliveryEstimate.latest"))
	if earliest == "" || latest < earliest || text(whole.at("node.deliveryEstimate.courier")) == "" {
		t.Errorf("%v", whole.data)
	}
}

func ownPincode(t *testing.T, s *testShop) {
	lamp := s.sell("Homely Lamp", "9.00", 1, 3).variants[0]
	ann := s.buyer() // in 55425
	said := func(c client, v vars) string { return fmt.Sprint(c.do(estimateOf, v).at("node.deliveryEstimate")) }
	ann.until(estimateOf, vars{"id": lamp}, func(a answer) bool { return a.at("node.deliveryEstimate") != nil })
	here, there := said(s.guest(), vars{"id": lamp, "pincode": "55425"}), said(s.guest(), vars{"id": lamp, "pincode": "90045"})
	if here == there {
		t.Fatalf("it is all the same: %s", here)
	}
	if got := said(ann.client, vars{"id": lamp}); got != here {
		t.Errorf("at home %s, want %s", got, here)
	}
	move := func(pincode string) {
		ann.do(`mutation ($i: AddressInput!) { addressSave(input: $i) { account { id } userErrors { code field } } }`, vars{"i": map[string]any{
			"name": "Ann", "line1": "2 Sunset Boulevard", "city": "Somewhere", "region": "CA", "pincode": pincode, "country": "US", "default": true}})
	}
	for range 3 {
		move("90045")
		if got := said(ann.client, vars{"id": lamp}); got != there {
			t.Errorf("after moving %s, want %s", got, there)
		}
		move("55425")
		if got := said(ann.client, vars{"id": lamp}); got != here {
			t.Errorf("after moving back %s, want %s", got, here)
		}
	}
	if got := s.guest().do(estimateOf, vars{"id": lamp}); got.at("node.deliveryEstimate") != nil {
		t.Errorf("a guest lives nowhere, and is told %v", got.data)
	}
}

func pictures(t *testing.T, s *testShop) {
	lamp := s.sell("Pictured Lamp", "9.00", 1, 0)
	picture := append([]byte("\x89PNG\r\n\x1a\n"), bytes.Repeat([]byte("souk"), 5000)...)
	got := s.seller.do(`mutation ($i: ProductMediaInput!) { productMediaAttach(input: $i) { product { media { kind url } } userErrors { code field } } }`,
		vars{"i": map[string]any{"productId": lamp.id, "stagedUploadIds": []string{s.seller.uploads("lamp.png", "image/png", picture)}}})
	at := text(got.at("productMediaAttach.product.media.0.url"))
	where, err := url.Parse(at)
	if err != nil || at == "" {
		t.Fatalf("%v: %v", got.data, err)
	}
	for part, b := range s.breakers {
		if where.Host == b.Addr().String() {
			t.Errorf("%s serves %s", part, at)
		}
	}
	res, err := http.Get(at)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); err != nil || !bytes.Equal(body, picture) {
		t.Errorf("%d bytes of %d, %v", len(body), len(picture), err)
	}
	if kept := res.Header.Get("Cache-Control"); kept != "public, max-age=31536000, immutable" || res.Header.Get("Content-Type") != "image/png" {
		t.Errorf("Cache-Control: %s, Content-Type: %s", kept, res.Header.Get("Content-Type"))
	}
	put, err := http.NewRequestWithContext(t.Context(), http.MethodPut, at, strings.NewReader("something else"))
	if err != nil {
		t.Fatal(err)
	}
	refused, err := http.DefaultClient.Do(put)
	if err != nil {
		t.Fatal(err)
	}
	refused.Body.Close()
	if refused.StatusCode < 400 {
		t.Errorf("the picture can be changed: %s", refused.Status)
	}
}

func missingScope(t *testing.T, s *testShop) {
	s.sell("Public Lamp", "9.00", 1, 1)
	status, a := s.buyer().ask(`{ warehouses { id } me { displayName } categoryTree { slug } }`, nil)
	if status != http.StatusOK || len(a.errors) != 1 || a.code(0) != "FORBIDDEN warehouses" || a.at("warehouses") != nil || text(a.at("me.displayName")) != "Ann" || text(a.at("categoryTree.0.slug")) == "" {
		t.Errorf("%d %v %v", status, a.data, a.errors)
	}
}

// partsAreClosed goes round the gateway, with nothing in hand and with a token that opens the gateway.
func partsAreClosed(t *testing.T, s *testShop) {
	asked := 0
	for part, b := range s.breakers {
		for who, token := range map[string]string{"nobody": "", "staff": s.staff.token} {
			status, body, err := client{t, "http://" + b.Addr().String(), token}.send(`{ __typename }`, nil)
			if err != nil || status != http.StatusUnauthorized || bytes.Contains(body, []byte(`"data":{`)) {
				t.Errorf("%s answers %s: %d %s %v", part, who, status, body, err)
			}
			asked++
		}
	}
	if asked < 2*10 {
		t.Errorf("only %d were asked", asked/2)
	}
}

func families(t *testing.T, s *testShop) {
	of := map[string][]map[string]any{
		"shirt":      {{"key": "fabric", "value": "Linen", "unit": nil}, {"key": "fit", "value": "Slim", "unit": nil}, {"key": "sleeve_length", "value": "62", "unit": "cm"}},
		"television": {{"key": "technology", "value": "OLED", "unit": nil}, {"key": "resolution", "value": "3840 × 2160", "unit": "px"}, {"key": "width", "value": "123.5", "unit": "cm"}, {"key": "weight", "value": "18.4", "unit": "kg"}},
	}
	for family, attributes := range of {
		in := plain("A "+family, s.category)
		in["attributes"] = attributes
		saved := s.seller.saves(in)
		got := s.guest().do(`query ($id: ID!) { product(id: $id) { title description attributes { key label value unit } variants { nodes { weightGrams } } } }`, vars{"id": saved.at("productSave.product.id")})
		if text(got.at("product.title")) != "A "+family || text(got.at("product.description")) != "A "+family+", as it is." || number(got.at("product.variants.nodes.0.weightGrams")) != 300 {
			t.Errorf("%v", got.data)
		}
		if n := len(list(got.at("product.attributes"))); n != len(attributes) {
			t.Errorf("a %s has %d attributes of %d", family, n, len(attributes))
		}
		for i, want := range attributes {
			has := walk(got.data, fmt.Sprintf("product.attributes.%d", i))
			for field, value := range want {
				if is := walk(has, field); is != value {
					t.Errorf("%s of a %s: %v, want %v", field, family, is, value)
				}
			}
			if text(walk(has, "label")) == "" {
				t.Errorf("no name for people: %v", has)
			}
		}
	}
}

// searchAlone looks for goods while stock and orders are down, and finds also what was put on offer meanwhile.
func searchAlone(t *testing.T, s *testShop) {
	word := rare("Steadfast")
	lamp := s.sell(word+" Lamp", "9.00", 1, 1)
	s.guest().until(searched, vars{"q": word}, func(a answer) bool { return text(a.at("products.nodes.0.id")) == lamp.id })
	for _, part := range []string{"inventory", "orders"} {
		s.breakers[part].take(true)
		defer s.breakers[part].take(false)
	}
	status, a := s.guest().ask(searched, vars{"q": word})
	if status != http.StatusOK || a.errors != nil || text(a.at("products.nodes.0.id")) != lamp.id || text(a.at("products.nodes.0.priceRange.min.amount")) != "9.00" {
		t.Errorf("%d %v %v", status, a.data, a.errors)
	}
	later := rare("Belated")
	late := s.sell(later+" Lamp", "9.00", 1, 0)
	s.guest().until(searched, vars{"q": later}, func(a answer) bool { return text(a.at("products.nodes.0.id")) == late.id })
}
