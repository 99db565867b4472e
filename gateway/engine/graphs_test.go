package engine

import (
	"fmt"
	"strings"
	"testing"
)

// find answers entities of a type from rows, by the key field.
func find(key string, rows ...object) func(object) object {
	return func(rep object) object {
		for _, r := range rows {
			if r[key] == rep[key] {
				return clone(r)
			}
		}
		return nil
	}
}

func clone(o object) object {
	c := object{}
	for k, v := range o {
		c[k] = v
	}
	return c
}

func value(v any) resolver { return func(object, map[string]any) any { return v } }

var graphs = []graph{
	{"interface-object", func(t testing.TB) []*service {
		media := newService(t, "interface-object", "media")
		book := object{"__typename": "Book", "id": "b1", "title": "Emma", "pages": 474}
		film := object{"__typename": "Film", "id": "f1", "title": "Alien", "minutes": 117}
		media.fields["Query.media"] = value([]object{book, film})
		media.fields["Query.book"] = value(book)
		for _, typ := range []string{"Media", "Book", "Film"} {
			media.entities[typ] = find("id", book, film)
		}
		ratings := newService(t, "interface-object", "ratings")
		ratings.fields["Query.best"] = value(object{"id": "f1", "stars": 4})
		ratings.entities["Media"] = find("id",
			object{"id": "b1", "stars": 5, "reviews": []object{{"text": "clueless", "about": object{"id": "b1"}}}},
			object{"id": "f1", "stars": 4, "reviews": []object{{"text": "scary", "about": object{"id": "f1"}}}})
		lending := newService(t, "interface-object", "lending")
		lending.entities["Media"] = func(rep object) object {
			return object{"id": rep["id"], "shelf": "shelf " + rep["title"].(string)[:1]}
		}
		return []*service{media, ratings, lending}
	}, []query{
		{"fields", `{ media { __typename id title stars } }`, ""},
		{"concrete", `{ book(id: "b1") { title stars shelf } }`, ""},
		{"from-the-object", `{ best { __typename stars title ... on Film { minutes } } }`, ""},
		{"round-trip", `{ media { stars reviews { text about { id title ... on Book { pages } } } } }`, ""},
		{"requires", `{ best { shelf } }`, ""},
	}},
	{"requires", func(t testing.TB) []*service {
		catalog := newService(t, "requires", "catalog")
		box := object{"id": "1", "price": 10, "packaging": object{"__typename": "Box", "width": 2, "height": 3}, "maker": object{"name": "Ada", "country": "FR"},
			"keepers": []object{{"__typename": "Person", "name": "Bob", "age": 40}, {"__typename": "Robot", "name": "R2", "model": "D2", "parts": []object{{"__typename": "Box", "width": 1, "height": 1}, {"__typename": "Tube", "length": 4}}}}}
		tube := object{"id": "2", "price": 20, "packaging": object{"__typename": "Tube", "length": 9}, "maker": nil, "keepers": []object{}}
		catalog.fields["Query.products"] = value([]object{box, tube})
		catalog.fields["Query.product"] = value(box)
		catalog.fields["Product.price"] = func(p object, args map[string]any) any {
			if args["currency"] == "INR" {
				return p["price"].(int) * 90
			}
			return p["price"]
		}
		catalog.entities["Product"] = find("id", box, tube)
		shipping := newService(t, "requires", "shipping")
		shipping.entities["Product"] = clone
		shipping.fields["Product.estimate"] = func(p object, args map[string]any) any {
			size := 0.0
			switch b := p["packaging"].(object); b["__typename"] {
			case "Box":
				size = b["width"].(float64) * b["height"].(float64)
			case "Tube":
				size = b["length"].(float64)
			}
			if args["express"] == true {
				size *= 2
			}
			return size + p["price"].(float64)
		}
		shipping.fields["Product.customs"] = func(p object, _ map[string]any) any {
			if m, ok := p["maker"].(object); ok {
				return "from " + m["country"].(string)
			}
			return nil
		}
		shipping.fields["Product.label"] = func(p object, _ map[string]any) any {
			var words []string
			for _, k := range p["keepers"].([]any) {
				k := k.(object)
				words = append(words, fmt.Sprint(k["__typename"], " ", k["name"]))
				if parts, ok := k["parts"].([]any); ok {
					words = append(words, fmt.Sprint(k["model"], " of ", parts))
				}
			}
			return strings.Join(words, ", ")
		}
		return []*service{catalog, shipping}
	}, []query{
		{"argument-and-fragments", `{ products { id estimate } }`, ""},
		{"own-argument", `query ($c: Currency! = INR) { product(id: "1") { price(currency: $c) euros: price(currency: EUR) estimate(express: true) } }`, ""},
		{"null-object", `{ products { id customs } }`, ""},
		{"interface-in-a-list", `{ products { label } }`, ""},
		{"beside-the-clients-own", `{ product(id: "1") { label packaging { kind: __typename ... on Box { height } } estimate keepers { name ... on Person { age } } } }`, ""},
		{"twice", `{ products { normal: estimate express: estimate(express: true) } }`, ""},
	}},
	{"provides", func(t testing.TB) []*service {
		feed := newService(t, "provides", "feed")
		photo := object{"__typename": "Photo", "id": "p1", "caption": "sunset", "by": object{"id": "a1", "name": "Ada"}}
		note := object{"__typename": "Note", "id": "n1"}
		for _, root := range []string{"feed", "posts"} {
			feed.fields["Query."+root] = value([]object{photo, note})
		}
		feed.fields["Query.top"] = value(photo)
		texts := newService(t, "provides", "texts")
		texts.entities["Photo"] = find("id", object{"id": "p1", "caption": "sunset", "by": object{"id": "a1", "name": "Ada"}})
		texts.entities["Note"] = find("id", object{"id": "n1", "caption": "remember"})
		texts.entities["Author"] = find("id", object{"id": "a1", "name": "Ada"})
		return []*service{feed, texts}
	}, []query{
		{"interface", `{ feed { id caption } }`, ""},
		{"interface-one-type", `{ feed { id ... on Photo { caption } } }`, ""},
		{"interface-unprovided", `{ posts { id caption } }`, ""},
		{"union", `{ top { ... on Photo { caption by { name } } ... on Note { caption } } }`, ""},
	}},
	{"override", func(t testing.TB) []*service {
		old := newService(t, "override", "old")
		old.fields["Query.items"] = value([]object{{"id": "1", "label": "one", "stock": -1}})
		old.entities["Item"] = find("id", object{"id": "1", "label": "one", "stock": -1})
		recent := newService(t, "override", "new")
		recent.entities["Item"] = find("id", object{"id": "1", "stock": 7, "reserved": 2})
		return []*service{old, recent}
	}, []query{
		{"moved", `{ items { label stock } }`, ""},
		{"stayed", `{ items { label } }`, ""},
	}},
	{"keys", func(t testing.TB) []*service {
		orders := newService(t, "keys", "orders")
		orders.fields["Query.orders"] = value([]object{
			{"id": "o1", "lines": []object{{"order": object{"id": "o1"}, "number": 1, "quantity": 2}, {"order": object{"id": "o1"}, "number": 2, "quantity": 1}}, "buyer": object{"email": "ada@souk.test"}},
			{"id": "o2", "lines": []object{}, "buyer": nil},
		})
		goods := newService(t, "keys", "goods")
		pen := object{"sku": "pen", "shop": object{"code": "s", "country": "IN"}, "ean": "111"}
		cup := object{"sku": "cup", "shop": object{"code": "s", "country": "FR"}, "ean": "222"}
		goods.entities["Line"] = func(rep object) object {
			item := pen
			if rep["number"].(float64) == 2 {
				item = cup
			}
			return object{"order": rep["order"], "number": rep["number"], "item": item}
		}
		goods.entities["Item"] = clone
		prices := newService(t, "keys", "prices")
		prices.entities["Item"] = func(rep object) object {
			p := clone(rep)
			p["price"] = map[any]int{"IN": 3, "FR": 5}[rep["shop"].(object)["country"]]
			return p
		}
		weights := newService(t, "keys", "weights")
		weights.entities["Item"] = find("ean", object{"ean": "111", "grams": 10}, object{"ean": "222", "grams": 300})
		people := newService(t, "keys", "people")
		ada := object{"email": "ada@souk.test", "id": "p1", "name": "Ada"}
		people.entities["Person"] = func(rep object) object { return clone(ada) }
		loyalty := newService(t, "keys", "loyalty")
		loyalty.entities["Person"] = find("id", object{"id": "p1", "points": 42})
		return []*service{orders, goods, prices, weights, people, loyalty}
	}, []query{
		{"nested-and-composite", `{ orders { id lines { number quantity item { sku price } } } }`, ""},
		{"other-key", `{ orders { lines { item { grams } } } }`, ""},
		{"both-keys", `{ orders { lines { item { price grams } } } }`, ""},
		{"by-way-of-another", `{ orders { buyer { points } } }`, ""},
		{"null-entity", `{ orders { id buyer { name } } }`, ""},
	}},
	{"provided-keys", func(t testing.TB) []*service {
		list := newService(t, "provided-keys", "list")
		list.fields["Query.featured"] = value([]object{{"id": "e1", "item": object{"sku": "pen", "ean": "111"}}, {"id": "e2", "item": nil}})
		list.fields["Query.entries"] = value([]object{{"id": "e1", "item": object{"sku": "pen"}}})
		goods := newService(t, "provided-keys", "goods")
		goods.entities["Item"] = func(object) object { return object{"sku": "pen", "ean": "111", "name": "Pen"} }
		weights := newService(t, "provided-keys", "weights")
		weights.entities["Item"] = find("ean", object{"ean": "111", "grams": 10})
		return []*service{list, goods, weights}
	}, []query{
		{"given", `{ featured { item { grams } } }`, ""},
		{"not-given", `{ entries { item { grams } } }`, ""},
	}},
	{"implicit-keys", func(t testing.TB) []*service {
		shelf := newService(t, "implicit-keys", "shelf")
		shelf.fields["Query.shelf"] = value([]object{{"sku": "pen", "maker": object{"code": "m"}, "place": 3}})
		goods := newService(t, "implicit-keys", "goods")
		goods.entities["Item"] = func(rep object) object {
			i := clone(rep)
			i["name"] = "Pen of " + rep["maker"].(object)["code"].(string)
			return i
		}
		return []*service{shelf, goods}
	}, []query{
		{"undeclared", `{ shelf { place name } }`, ""},
	}},
	{"inaccessible", func(t testing.TB) []*service {
		catalog := newService(t, "inaccessible", "catalog")
		live := object{"id": "1", "name": "pen", "cost": 2, "state": "LIVE", "owner": object{"__typename": "Shop", "name": "Souk"}}
		retired := object{"id": "2", "name": "cup", "cost": nil, "state": "LIVE", "owner": object{"__typename": "Agent", "badge": "007"}}
		catalog.fields["Query.products"] = value([]object{live, retired})
		catalog.entities["Product"] = find("id", live, retired)
		pricing := newService(t, "inaccessible", "pricing")
		pricing.entities["Product"] = func(rep object) object {
			p := clone(rep)
			if c, ok := rep["cost"].(float64); ok {
				p["price"] = c * 2
			}
			return p
		}
		return []*service{catalog, pricing}
	}, []query{
		{"needed-but-hidden", `{ products { name price } }`, ""},
		{"hidden-member", `{ products { owner { __typename ... on Shop { name } } } }`, ""},
	}},
	{"mutations", func(t testing.TB) []*service {
		var lines []string
		carts := newService(t, "mutations", "carts")
		cart := func() object { return object{"id": "c1", "lines": append([]string{}, lines...)} }
		carts.fields["Query.cart"] = func(object, map[string]any) any { return cart() }
		carts.fields["Mutation.add"] = func(_ object, args map[string]any) any {
			lines = append(lines, args["sku"].(string))
			return cart()
		}
		carts.fields["Mutation.clear"] = func(object, map[string]any) any {
			lines = nil
			return cart()
		}
		carts.entities["Cart"] = func(object) object { return cart() }
		orders := newService(t, "mutations", "orders")
		orders.fields["Mutation.place"] = func(_ object, args map[string]any) any {
			return object{"id": "o" + string(rune('0'+len(lines))), "cart": object{"id": args["cart"]}}
		}
		orders.entities["Cart"] = func(rep object) object { return object{"id": rep["id"], "total": 100 * len(lines)} }
		return []*service{carts, orders}
	}, []query{
		{"in-series", `mutation { a: add(sku: "pen") { lines } first: place(cart: "c1") { id } b: add(sku: "cup") { lines total } second: place(cart: "c1") { id cart { lines } } clear { lines } }`, ""},
	}},
	{"missing", func(t testing.TB) []*service {
		orders := newService(t, "missing", "orders")
		row := func(id string, buyer, seller, courier any) object {
			o := object{"id": id, "buyer": nil, "seller": object{"id": seller}, "courier": object{"code": courier}}
			if buyer != nil {
				o["buyer"] = object{"id": buyer}
			}
			return o
		}
		rows := []object{row("1", "b1", "s1", "c1"), row("2", nil, "s1", nil), row("3", "gone", "s1", "gone")}
		orders.fields["Query.orders"] = value(rows)
		orders.fields["Query.order"] = func(_ object, args map[string]any) any {
			if args["id"] == "lost" {
				return row("lost", "b1", "gone", "c1")
			}
			return nil
		}
		accounts := newService(t, "missing", "accounts")
		accounts.entities["Buyer"] = find("id", object{"id": "b1", "name": "Ada"})
		accounts.entities["Seller"] = find("id", object{"id": "s1", "name": "Souk"})
		accounts.entities["Courier"] = find("code", object{"code": "c1", "phone": "112"})
		return []*service{orders, accounts}
	}, []query{
		{"nullable", `{ orders { id buyer { id name } } }`, ""},
		{"not-null", `{ order(id: "lost") { id seller { name } } }`, ""},
		{"null-key", `{ orders { courier { code phone } } }`, ""},
		{"null-root", `{ order(id: "none") { id seller { name } } }`, ""},
	}},
	{"abstract", func(t testing.TB) []*service {
		search := newService(t, "abstract", "search")
		hits := []object{{"__typename": "Product", "id": "p1"}, {"__typename": "Article", "id": "a1", "text": "news"}, {"__typename": "Shop", "id": "s1"}, {"__typename": "Product", "id": "p1"}}
		search.fields["Query.search"] = value(hits)
		search.fields["Query.nodes"] = value(hits)
		for _, typ := range []string{"Product", "Shop"} {
			search.entities[typ] = clone
		}
		search.entities["Article"] = find("id", hits[1])
		catalog := newService(t, "abstract", "catalog")
		shop := object{"__typename": "Shop", "id": "s1", "name": "Souk"}
		catalog.entities["Product"] = find("id", object{"__typename": "Product", "id": "p1", "name": "pen", "related": []object{shop}})
		catalog.entities["Shop"] = find("id", shop)
		return []*service{search, catalog}
	}, []query{
		{"union", `{ search { __typename ... on Product { name } ... on Shop { name } ... on Article { text } } }`, ""},
		{"interface", `{ nodes { id ... on Product { name related { name ... on Shop { id } } } } }`, ""},
		{"shared-fields", `{ search { ... on Node { id } } nodes { __typename } }`, ""},
	}},
	{"intersections", func(t testing.TB) []*service {
		left := newService(t, "intersections", "left")
		left.fields["Query.find"] = func(_ object, args map[string]any) any {
			f, _ := args["filter"].(object)
			if f["text"] == "none" {
				return []object{}
			}
			return []object{{"id": "1", "mood": "SAD"}}
		}
		left.entities["Thing"] = find("id", object{"id": "1", "mood": "SAD"})
		right := newService(t, "intersections", "right")
		right.fields["Query.list"] = value([]object{{"id": "1", "temper": "ANGRY"}})
		right.entities["Thing"] = find("id", object{"id": "1", "temper": "ANGRY"})
		return []*service{left, right}
	}, []query{
		{"enum-union-in-answers", `{ find { id mood temper } }`, ""},
		{"input", `query ($f: Filter) { find(filter: $f, sort: NAME) { id } list(filter: {text: "x"}) { id } }`, `{"f":{"text":"none"}}`},
	}},
	{"shared", func(t testing.TB) []*service {
		a := newService(t, "shared", "a")
		a.fields["Query.me"] = value(object{"id": "1", "name": "Ada", "settings": object{"theme": "dark"}})
		a.fields["Query.a"] = value("A")
		b := newService(t, "shared", "b")
		b.fields["Query.me"] = value(object{"id": "1", "settings": object{"theme": "dark", "locale": "fr"}, "badges": []string{"early"}})
		b.fields["Query.b"] = value("B")
		return []*service{a, b}
	}, []query{
		{"one-suffices", `{ me { id settings { theme } } }`, ""},
		{"both-needed", `{ me { name badges settings { theme locale } } }`, ""},
		{"beside-others", `{ a me { id } b }`, ""},
		{"a-name-at-the-end", `{ me { settings { _: __typename } } }`, ""},
	}}, {"unions", func(t testing.TB) []*service {
		story := object{"__typename": "Story", "title": "Rain"}
		issue := func(items ...object) object {
			return object{"__typename": "Issue", "id": "1", "page": object{"items": items}}
		}
		press := newService(t, "unions", "press")
		printed := issue(story, object{"__typename": "Photo", "file": "rain.jpg"})
		press.fields["Query.press"], press.fields["Query.home"] = value(printed), value(issue(story))
		press.entities["Issue"] = find("id", printed)
		radio := newService(t, "unions", "radio")
		said := issue(story, object{"__typename": "Clip", "seconds": 40})
		said["onAir"] = said["page"]
		radio.fields["Query.radio"], radio.fields["Query.home"] = value(said), value(issue(story))
		radio.entities["Issue"] = find("id", said)
		return []*service{press, radio}
	}, []query{
		{"settled-by-the-root", `{ press { page { items { __typename ... on Story { title } ... on Photo { file } ... on Clip { seconds } } } } radio { page { items { ... on Clip { seconds } } } } }`, ""},
		{"settled-by-an-entity", `{ press { page { items { ... on Photo { file } ... on Clip { seconds } } } onAir { items { ... on Photo { file } ... on Clip { seconds } } } } }`, ""},
		{"of-one-subgraph-elsewhere", `{ press { page { items { ... on Clip { seconds } } } } _: __typename }`, ""},
		{"with-a-choice-of-nothing", `{ home { page { items { ... on Photo { file } } } } }`, ""},
		{"with-a-choice", `{ home { page { items { __typename ... on Story { title } ... on Photo { file } ... on Clip { seconds } } } } }`, ""},
	}},
}
