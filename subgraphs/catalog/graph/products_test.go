package graph_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/viewer"
)

func TestProduct(t *testing.T) {
	s := setup(t)
	productID := s.saved(s.ann, shirt(
		with(variant("S-RED", "19.99", "Size", "S", "Colour", "Red"), "compareAtPrice", usd("29.99")),
		variant("M-RED", "24.00", "Colour", "Red", "Size", "M")))
	const query = `query ($id: ID, $slug: String) { product(id: $id, slug: $slug) {
		slug title description brand status version externalId category { slug name productCount parent { id } ancestors { id } } seller { id }
		attributes { key label value unit } options { name values } media(first: 1) { kind alt url } thumbnail
		priceRange { min { amount currencyCode } max { amount } } createdAt updatedAt
		variants(first: 1) { nodes { sku title price { amount } compareAtPrice { amount } options { name value } image { url } weightGrams product { slug } }
			pageInfo { hasNextPage hasPreviousPage } }
		variantByOptions(options: [{name: "Size", value: "M"}, {name: "Colour", value: "Red"}]) { sku compareAtPrice { amount } }
		none: variantByOptions(options: [{name: "Size", value: "M"}]) { sku } } }`
	page := func(externalID string) string {
		return `{"product": {"slug": "linen-shirt", "title": "Linen Shirt", "description": "Light.", "brand": "Acme", "status": "ACTIVE", "version": 1,
		"externalId": ` + externalID + `, "category": {"slug": "shirts", "name": "Shirts", "productCount": 1, "parent": null, "ancestors": []}, "seller": {"id": "` + s.ann.SellerID + `"},
		"attributes": [{"key": "fabric", "label": "Fabric", "value": "Linen", "unit": null}, {"key": "fabric_weight", "label": "Fabric weight", "value": "180", "unit": "g/m²"}],
		"options": [{"name": "Size", "values": ["S", "M"]}, {"name": "Colour", "values": ["Red"]}],
		"media": [{"kind": "IMAGE", "alt": "Linen Shirt", "url": "https://img.test/front.png"}], "thumbnail": "https://img.test/front.png",
		"priceRange": {"min": {"amount": "19.99", "currencyCode": "USD"}, "max": {"amount": "24.00"}},
		"createdAt": "2026-11-21T10:00:00Z", "updatedAt": "2026-11-21T10:00:00Z",
		"variants": {"nodes": [{"sku": "S-RED", "title": "S / Red", "price": {"amount": "19.99"}, "compareAtPrice": {"amount": "29.99"},
			"options": [{"name": "Size", "value": "S"}, {"name": "Colour", "value": "Red"}], "image": {"url": "https://img.test/front.png"}, "weightGrams": 200, "product": {"slug": "linen-shirt"}}],
			"pageInfo": {"hasNextPage": true, "hasPreviousPage": false}},
		"variantByOptions": {"sku": "M-RED", "compareAtPrice": null}, "none": null}}`
	}
	want(t, s.serve(s.ann, query, obj{"id": productID}), page(`"shirt-1"`))
	want(t, s.serve(viewer.Viewer{}, query, obj{"slug": "linen-shirt"}), page("null"))

	want(t, s.serve(viewer.Viewer{}, query, obj{"id": id.New(id.Product)}), `{"product": null}`)
	wantError(t, s.serve(viewer.Viewer{}, query, obj{"id": "prod_1"}), "INVALID_ID")
	wantError(t, s.serve(viewer.Viewer{}, query, nil), "INVALID")
	wantError(t, s.serve(viewer.Viewer{}, query, obj{"id": productID, "slug": "linen-shirt"}), "INVALID")
}

func TestVariantPages(t *testing.T) {
	s := setup(t)
	var all []obj
	for _, size := range []string{"S", "M", "L", "XL", "XXL"} {
		all = append(all, variant(size, "9.00", "Size", size))
	}
	productID := s.saved(s.ann, shirt(all...))
	const query = `query ($id: ID, $after: String) { product(id: $id) { variants(first: 2, after: $after) { nodes { sku } pageInfo { hasNextPage endCursor } } } }`
	var got []string
	for vars := (obj{"id": productID}); ; {
		page := dig(s.serve(s.ann, query, vars), "data", "product", "variants")
		for _, n := range dig(page, "nodes").([]any) {
			got = append(got, dig(n, "sku").(string))
		}
		if dig(page, "pageInfo", "hasNextPage") == false {
			break
		}
		vars["after"] = dig(page, "pageInfo", "endCursor")
	}
	if diff := cmp.Diff([]string{"S", "M", "L", "XL", "XXL"}, got); diff != "" {
		t.Error(diff)
	}
	wantError(t, s.serve(s.ann, query, obj{"id": productID, "after": "§"}), "INVALID_CURSOR")
	wantError(t, s.serve(s.ann, `query ($id: ID) { product(id: $id) { media(first: 0) { id } } }`, obj{"id": productID}), "INVALID_FIRST")
}

func TestSavingAgain(t *testing.T) {
	s := setup(t)
	input := shirt(variant("S", "9.00", "Size", "S"), variant("M", "9.00", "Size", "M"))
	first, _ := s.save(s.ann, input)
	again, _ := s.save(s.ann, input)
	if diff := cmp.Diff(first, again); diff != "" {
		t.Errorf("the same input twice changes something:\n%s", diff)
	}
	byID, _ := s.save(s.ann, with(input, "id", first["id"], "externalId", nil))
	if diff := cmp.Diff(first, byID); diff != "" {
		t.Errorf("the same input by id changes something:\n%s", diff)
	}

	// A variant keeps its id by SKU, another SKU is another variant, and one that is named by id may change its SKU.
	skus := func(p obj) map[string]any {
		out := map[string]any{}
		for _, n := range dig(p, "variants", "nodes").([]any) {
			out[dig(n, "sku").(string)] = dig(n, "id")
		}
		return out
	}
	before := skus(first)
	changed, errs := s.save(s.ann, with(input, "title", "New name", "variants", []obj{
		with(variant("SMALL", "9.00", "Size", "S"), "id", before["S"]), variant("L", "9.00", "Size", "L")}))
	if after := skus(changed); len(errs) > 0 || len(after) != 2 || after["SMALL"] != before["S"] || after["L"] == before["M"] {
		t.Errorf("%v became %v, %v", before, after, errs)
	}
	if changed["version"] != 2.0 || changed["slug"] != first["slug"] || changed["id"] != first["id"] {
		t.Errorf("%v became %v", first, changed)
	}
	back, _ := s.save(s.ann, input)
	if after := skus(back); after["M"] != before["M"] {
		t.Errorf("M was %v, came back as %v", before["M"], after["M"])
	}
}

func TestWhatCannotBeSaved(t *testing.T) {
	s := setup(t)
	input := shirt(variant("S", "9.00", "Size", "S"))
	productID := s.saved(s.ann, input)
	for name, c := range map[string]struct {
		who   viewer.Viewer
		input obj
		want  []string
	}{
		"another's":            {s.bob, with(input, "id", productID), []string{"NOT_OWNER id"}},
		"unknown":              {s.ann, with(input, "id", id.New(id.Product)), []string{"NOT_FOUND id"}},
		"malformed":            {s.ann, with(input, "id", "prod_1"), []string{"INVALID id"}},
		"stale":                {s.ann, with(input, "ifVersion", 7, "title", "T"), []string{"STALE_VERSION ifVersion"}},
		"a version of nothing": {s.ann, with(input, "ifVersion", 1, "externalId", "new"), []string{"STALE_VERSION ifVersion"}},
		"another's SKU":        {s.bob, input, []string{"SKU_TAKEN variants 0 sku"}},
		"one's own other SKU":  {s.ann, with(input, "externalId", "shirt-2"), []string{"SKU_TAKEN variants 0 sku"}},
		"unknown category":     {s.ann, with(input, "categorySlug", "trousers"), []string{"NOT_FOUND categorySlug"}},
		"another product's variant": {s.ann, with(input, "variants", []obj{with(variant("S", "9.00", "Size", "S"), "id", id.New(id.Variant))}),
			[]string{"NOT_FOUND variants 0 id"}},
		"everything wrong at once": {s.ann, obj{
			"title": " ", "description": strings.Repeat("x", 10_001), "categorySlug": "shirts", "attributes": []obj{{"key": "Ä", "value": ""}, {"key": "a", "value": "1"}, {"key": "a", "value": "2"}},
			"variants": []obj{
				{"sku": "A", "price": usd("0"), "weightGrams": 0},
				{"sku": "A", "price": obj{"amount": "1", "currencyCode": "EUR"}, "compareAtPrice": obj{"amount": "1.00", "currencyCode": "EUR"}, "weightGrams": 1_000_001},
				{"sku": "", "price": usd("1.001"), "weightGrams": 1, "options": []obj{{"name": "Size", "value": "S"}}},
				{"sku": "D", "price": obj{"amount": "1", "currencyCode": "JPY"}, "weightGrams": 1},
			},
		}, []string{
			"INVALID title", "INVALID description", "INVALID attributes 0 key", "INVALID attributes 0 value", "INVALID attributes 2 key",
			"INVALID variants 0 price", "INVALID variants 0 weightGrams",
			"INVALID variants 1 compareAtPrice", "INVALID variants 1 weightGrams", "INVALID variants 1 sku", "INVALID variants 1 options",
			"INVALID variants 2 sku", "INVALID variants 2 price", "INVALID variants 2 options",
			"INVALID variants 3 price currencyCode", "INVALID variants 3 options",
		}},
	} {
		_, errs := s.save(c.who, c.input)
		t.Run(name, func(t *testing.T) { refused(t, errs, c.want...) })
	}
	if p, _ := s.save(s.ann, input); p["version"] != 1.0 {
		t.Errorf("refusals changed the product: %v", p)
	}
	wantError(t, s.serve(viewer.Viewer{AccountID: id.New(id.Account)}, save, obj{"input": input}), "FORBIDDEN")
	wantError(t, s.serve(viewer.Viewer{}, save, obj{"input": input}), "UNAUTHENTICATED")
}

// An input without id and externalId names no product, and yet the same one twice adds one.
func TestSavingAgainWithoutAnID(t *testing.T) {
	s := setup(t)
	input := with(shirt(variant("S", "9.00")), "externalId", nil)
	first := s.saved(s.ann, input)
	if second := s.saved(s.ann, input); second != first {
		t.Errorf("%s and %s", first, second)
	}
	_, errs := s.save(s.ann, with(input, "title", "Other"))
	refused(t, errs, "SKU_TAKEN variants 0 sku")
	_, errs = s.save(s.bob, input)
	refused(t, errs, "SKU_TAKEN variants 0 sku")
}

func TestSlugs(t *testing.T) {
	s := setup(t)
	slugs := map[any]bool{}
	for i := range 4 {
		p, errs := s.save(s.ann, with(shirt(variant(string(rune('A'+i)), "9.00")), "externalId", string(rune('A'+i))))
		if len(errs) > 0 || slugs[p["slug"]] || !strings.HasPrefix(p["slug"].(string), "linen-shirt") {
			t.Errorf("%v %v", p, errs)
		}
		slugs[p["slug"]] = true
	}
}

func TestManyAddOneProduct(t *testing.T) {
	s := setup(t)
	input := shirt(variant("S", "9.00", "Size", "S"))
	ids := make([]string, 12)
	var all sync.WaitGroup
	for i := range ids {
		all.Go(func() {
			p, errs := s.save(s.ann, input)
			if len(errs) > 0 {
				t.Errorf("%v", errs)
				return
			}
			ids[i], _ = p["id"].(string)
		})
	}
	all.Wait()
	for _, got := range ids {
		if got != ids[0] {
			t.Errorf("%s and %s", ids[0], got)
		}
	}
}

// Of many changes to one version one is made, and the others are told that they are late.
func TestManyChangeOneVersion(t *testing.T) {
	s := setup(t)
	input := shirt(variant("S", "9.00"))
	productID := s.saved(s.ann, input)
	var mu sync.Mutex
	made := 0
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			p, errs := s.save(s.ann, with(input, "id", productID, "ifVersion", 1, "title", "Title "+string(rune('A'+i))))
			mu.Lock()
			defer mu.Unlock()
			if len(errs) == 0 && p["version"] == 2.0 {
				made++
			} else if dig(errs, 0, "code") != "STALE_VERSION" {
				t.Errorf("%v %v", p, errs)
			}
		})
	}
	all.Wait()
	if made != 1 {
		t.Errorf("%d changes of one version were made", made)
	}
}

// Changes that ask for no version are all made, one after the other.
func TestManyChangeOneProduct(t *testing.T) {
	s := setup(t)
	productID := s.saved(s.ann, shirt(variant("S", "9.00")))
	const writers = 12
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			if _, errs := s.save(s.ann, with(shirt(variant("S", "9.00")), "id", productID, "title", "Title "+string(rune('A'+i)))); len(errs) > 0 {
				t.Errorf("%v", errs)
			}
		})
	}
	all.Wait()
	want(t, s.serve(s.ann, `query ($id: ID) { product(id: $id) { version } }`, obj{"id": productID}), `{"product": {"version": 13}}`)
}

func TestWhoSeesWhat(t *testing.T) {
	s := setup(t)
	draft := s.saved(s.ann, with(shirt(variant("D", "9.00")), "externalId", "d", "status", "DRAFT"))
	gone := s.saved(s.ann, with(shirt(variant("A", "9.00")), "externalId", "a"))
	const archive = `mutation ($id: ID!) { productArchive(input: {id: $id}) { product { status version } userErrors { code field } } }`
	want(t, s.serve(s.bob, archive, obj{"id": gone}), `{"productArchive": {"product": null, "userErrors": [{"code": "NOT_OWNER", "field": ["input", "id"]}]}}`)
	want(t, s.serve(s.ann, archive, obj{"id": "x"}), `{"productArchive": {"product": null, "userErrors": [{"code": "INVALID", "field": ["input", "id"]}]}}`)
	for range 2 {
		want(t, s.serve(s.ann, archive, obj{"id": gone}), `{"productArchive": {"product": {"status": "ARCHIVED", "version": 2}, "userErrors": []}}`)
	}
	guest := viewer.Viewer{}
	const product = `query ($id: ID) { product(id: $id) { status } }`
	const entities = `query ($r: [_Any!]!) { _entities(representations: $r) { ... on Product { status } ... on ProductVariant { sku product { status } } } }`
	for _, c := range []struct {
		who           viewer.Viewer
		id            string
		status        string
		listed, named bool
	}{
		{s.ann, draft, "DRAFT", true, true}, {s.staff, draft, "DRAFT", true, true}, {s.bob, draft, "DRAFT", false, false}, {guest, draft, "DRAFT", false, false},
		{s.ann, gone, "ARCHIVED", true, true}, {s.staff, gone, "ARCHIVED", true, true}, {s.bob, gone, "ARCHIVED", false, true}, {guest, gone, "ARCHIVED", false, true},
	} {
		shown := func(yes bool) string {
			if yes {
				return `{"status": "` + c.status + `"}`
			}
			return "null"
		}
		want(t, s.serve(c.who, product, obj{"id": c.id}), `{"product": `+shown(c.listed)+`}`)
		want(t, s.serve(c.who, entities, obj{"r": []obj{{"__typename": "Product", "id": c.id}}}), `{"_entities": [`+shown(c.named)+`]}`)
	}
	// A variant that is no longer on offer is still what an order line names.
	p, _ := s.save(s.ann, with(shirt(variant("OLD", "9.00")), "externalId", "v"))
	old := dig(p, "variants", "nodes", 0, "id")
	s.saved(s.ann, with(shirt(variant("NEW", "9.00")), "externalId", "v"))
	want(t, s.serve(guest, entities, obj{"r": []obj{{"__typename": "ProductVariant", "id": old}, {"__typename": "ProductVariant", "id": "var_1"}}}),
		`{"_entities": [{"sku": "OLD", "product": {"status": "ACTIVE"}}, null]}`)
	want(t, s.serve(guest, entities, obj{"r": []obj{{"__typename": "ProductVariant", "sku": "OLD"}, {"__typename": "ProductVariant", "sku": "NEW"}}}),
		`{"_entities": [null, {"sku": "NEW", "product": {"status": "ACTIVE"}}]}`)
	want(t, s.serve(guest, entities, obj{"r": []obj{{"__typename": "Product", "slug": "no"}, {"__typename": "Product", "slug": p["slug"]}}}),
		`{"_entities": [null, {"status": "ACTIVE"}]}`)
}

// Lists within lists multiply: 50 variants, the product of each with its 50 variants, and again.
func TestAnAnswerHasAnEnd(t *testing.T) {
	s := setup(t)
	variants := make([]obj, 50)
	for i := range variants {
		variants[i] = variant(fmt.Sprint("SHIRT-", i), "9.00", "Size", fmt.Sprint(i))
	}
	productID := s.saved(s.ann, shirt(variants...))
	ask := func(levels int) map[string]any {
		query := "query ($id: ID!) { product(id: $id) {" + strings.Repeat(" variants { nodes { product {", levels) + " id " + strings.Repeat("} } }", levels) + "} }"
		return s.serve(viewer.Viewer{}, query, obj{"id": productID})
	}
	if answer := ask(2); answer["errors"] != nil {
		t.Error(answer["errors"])
	}
	answer := ask(3)
	if answer["data"] != nil { // not printed: it would be 125,000 products
		t.Fatal("there is an answer all the same")
	}
	wantError(t, answer, "OPERATION_TOO_LARGE")
}
