package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"go.mongodb.org/mongo-driver/v2/bson"
	"golang.org/x/sync/errgroup"

	"github.com/souk-shop/souk/clients/mongo"
	"github.com/souk-shop/souk/internal/id"
)

// bytesKept is what the tables in each schema of PostgreSQL take on disk, and the catalogue's documents as they are stored. Outboxes, inboxes
// and queues are left out: what is in them goes again, within a week at the latest.
func (s *testShop) bytesKept() map[string]int {
	s.t.Helper()
	kept := map[string]int{}
	at, err := s.config.postgresURL("orders")
	if err != nil {
		s.t.Fatal(err)
	}
	conn, err := pgx.Connect(s.t.Context(), at)
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close(s.t.Context())
	rows, err := conn.Query(s.t.Context(), `SELECT schemaname, sum(pg_total_relation_size(relid)) FROM pg_stat_user_tables
		WHERE relname NOT IN ('outbox', 'inbox') AND relname NOT LIKE 'river%' GROUP BY 1`)
	if err != nil {
		s.t.Fatal(err)
	}
	var name string
	var size int
	if _, err := pgx.ForEachRow(rows, []any{&name, &size}, func() error { kept[name] = size; return nil }); err != nil {
		s.t.Fatal(err)
	}
	db, err := mongo.Open(s.t.Context(), s.config.get("SOUK_MONGO_URL"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer db.Client().Disconnect(context.WithoutCancel(s.t.Context()))
	collections, err := db.ListCollectionNames(s.t.Context(), bson.D{})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, c := range collections {
		all, err := db.Collection(c).Find(s.t.Context(), bson.D{})
		if err != nil {
			s.t.Fatal(err)
		}
		for all.Next(s.t.Context()) {
			kept["catalogue"] += len(all.Current)
		}
		if err := all.Err(); err != nil {
			s.t.Fatal(err)
		}
	}
	return kept
}

// bytesOf puts goods of ordinary size on offer, stocks them and sells some, and compares what each takes in the stores with what a
// hundred million of them were planned with.
func bytesOf(t *testing.T, s *testShop) {
	const products, variants, first, orders = 100, 2, 30, 50
	grew := func(do func()) map[string]int {
		before := s.bytesKept()
		do()
		after := s.bytesKept()
		for name := range after {
			after[name] -= before[name]
		}
		return after
	}
	within := func(what string, bytes, most int) {
		t.Helper()
		if bytes > most || bytes < 200 {
			t.Errorf("%s takes %d bytes, at most %d are planned", what, bytes, most)
		}
		t.Logf("%s takes %d bytes", what, bytes)
	}

	var goods []string
	catalogue := grew(func() { goods = s.feed(products, variants) })
	within("a product", catalogue["catalogue"]/products, 100_000)
	stock := grew(func() {
		for from := 0; from < len(goods); from += 50 {
			var changes []map[string]any
			for _, v := range goods[from : from+50] {
				for _, w := range s.warehouses {
					changes = append(changes, map[string]any{"variantId": v, "warehouseId": w, "delta": 10})
				}
			}
			s.seller.do(`mutation ($i: StockAdjustInput!) { stockAdjust(input: $i) { userErrors { code message field } } }`,
				vars{"i": map[string]any{"changes": changes, "reason": "delivery", "idempotencyKey": id.New(id.Event)}})
		}
	})
	within("a variant, with its product and its stock in two warehouses", stock["inventory"]/len(goods)+catalogue["catalogue"]/len(goods), 10_000)

	ann := s.buyer()
	method := ann.card("4242")
	sell := func(goods, others []string) {
		made := make([]string, len(goods))
		var g errgroup.Group
		g.SetLimit(8)
		for i := range made {
			g.Go(func() error {
				cartID, _ := s.guest().cart(goods[i], 2)
				s.guest().do(cartAdd, vars{"i": map[string]any{"cartId": cartID, "lines": []any{map[string]any{"variantId": others[i], "quantity": 1}}}})
				got := ann.do(checkout, vars{"i": ann.input(cartID, "30.00", method)})
				made[i] = text(got.at("checkoutComplete.result.order.id"))
				return nil
			})
		}
		_ = g.Wait()
		for _, o := range made {
			s.settled(o)
		}
	}
	sell(goods[:first], goods[first:]) // each table and index begins with a page or two, however little is in it
	sold := grew(func() { sell(goods[first:first+orders], goods[first+orders:]) })
	whole := 0
	for _, schema := range []string{"orders", "payments", "inventory"} {
		whole += sold[schema]
	}
	within("an order of two lines, with its steps, its payment and the ledgers of its units and its money", whole/orders, 25_000)
}

// feed imports products of ordinary size, waits until they are in, and returns their variants.
func (s *testShop) feed(products, variants int) (ids []string) {
	s.t.Helper()
	maker := rare("Maker")
	var feed bytes.Buffer
	for i := range products {
		var offered []string
		for v := range variants {
			offered = append(offered, fmt.Sprintf(`{"sku":"%s-%d-%d","price":{"amount":"10.00","currencyCode":"USD"},"options":[{"name":"Size","value":"%d"}],"weightGrams":300}`, maker, i, v, v))
		}
		var known []string
		for _, key := range []string{"material", "colour", "width", "height", "depth", "origin", "care", "warranty"} {
			known = append(known, fmt.Sprintf(`{"key":%q,"value":"%s of the usual kind %d"}`, key, key, i))
		}
		fmt.Fprintf(&feed, `{"externalId":"%s-%d","title":"Thing %d of the bazaar, as it is sold everywhere","description":%q,"brand":%q,"categorySlug":%q,"attributes":[%s],`+
			`"imageUrls":["https://pictures.example/things/%d/front.jpg","https://pictures.example/things/%d/back.jpg"],"variants":[%s]}`+"\n",
			maker, i, i, strings.Repeat("A fine thing, well made, with a story to tell. ", 20), maker, s.category, strings.Join(known, ","), i, i, strings.Join(offered, ","))
	}
	operation := text(s.seller.do(`mutation ($i: BulkImportInput!) { bulkImport(input: $i) { operation { id } userErrors { code } } }`, vars{"i": map[string]any{
		"stagedUploadId": s.seller.uploads("feed.jsonl", "application/jsonl", feed.Bytes()), "format": "JSONL", "idempotencyKey": id.New(id.Event)}}).at("bulkImport.operation.id"))
	s.seller.until(`query ($id: ID!) { bulkOperation(id: $id) { status } }`, vars{"id": operation}, func(a answer) bool { return text(a.at("bulkOperation.status")) == "COMPLETED" })
	const page = `query ($b: [String!], $after: String) { products(filter: {brand: $b}, first: 100, after: $after) { totalCount nodes { variants { nodes { id } } } pageInfo { endCursor hasNextPage } } }`
	found := vars{"b": []string{maker}}
	s.guest().until(page, found, func(a answer) bool { return number(a.at("products.totalCount")) == products })
	for more := true; more && len(ids) < products*variants; {
		got := s.guest().do(page, found)
		for _, p := range list(got.at("products.nodes")) {
			for _, v := range list(walk(p, "variants.nodes")) {
				ids = append(ids, text(walk(v, "id")))
			}
		}
		found["after"], more = got.at("products.pageInfo.endCursor"), got.at("products.pageInfo.hasNextPage") == true
	}
	return ids
}
