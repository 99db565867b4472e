package mongo_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// shelf is a small catalogue whose families differ in their attributes, as real ones do.
var shelf = []any{
	M{"_id": "phone", "name": "Galaxy S24", "price": 800, "tags": A{"android", "new"}, "rating": 4.5,
		"attributes": M{"ram": 8, "colour": "black"},
		"variants":   A{M{"sku": "s24-128", "price": 800, "stock": 5}, M{"sku": "s24-256", "price": 900, "stock": 0}}},
	M{"_id": "budget", "name": "galaxy a05", "price": int64(120), "tags": A{"android"}, "rating": nil,
		"attributes": M{"ram": 4, "colour": "blue"}, "variants": A{M{"sku": "a05", "price": 120, "stock": 40}}},
	M{"_id": "shirt", "name": "Linen shirt", "price": 35.5, "tags": A{}, "attributes": M{"size": "M", "colour": "white"},
		"variants": A{M{"sku": "shirt-m", "price": 35.5, "stock": 3}, M{"sku": "shirt-l", "stock": 9}}},
	M{"_id": "book", "name": "The Go Book", "price": 40, "rating": 5, "attributes": M{"pages": 380},
		"listed": time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)},
	M{"_id": "gift", "name": "Gift card", "rating": "unrated", "tags": "new"},
}

var filters = []struct {
	name   string
	filter any
	want   string // ids in insertion order
}{
	{"everything", D{}, "phone budget shirt book gift"},
	{"equality", M{"name": "Gift card"}, "gift"},
	{"number across types", M{"price": 120.0}, "budget"},
	{"nested path", M{"attributes.colour": "blue"}, "budget"},
	{"two conditions", M{"attributes.colour": "black", "price": 800}, "phone"},
	{"null matches missing", M{"rating": nil}, "budget shirt"},
	{"array contains", M{"tags": "new"}, "phone gift"},
	{"whole array", M{"tags": A{"android", "new"}}, "phone"},
	{"empty array", M{"tags": A{}}, "shirt"},
	{"array position", M{"tags.0": "android"}, "phone budget"},
	{"path through array", M{"variants.sku": "s24-256"}, "phone"},
	{"conditions met by different elements", M{"variants.sku": "s24-128", "variants.stock": 0}, "phone"},
	{"a value and a range met by different elements", M{"variants.sku": "s24-128", "variants.stock": M{"$lt": 1}}, "phone"},
	{"$elemMatch needs one element", M{"variants": M{"$elemMatch": M{"sku": "s24-128", "stock": 0}}}, ""},
	{"$elemMatch", M{"variants": M{"$elemMatch": M{"price": M{"$lt": 200}, "stock": M{"$gt": 5}}}}, "budget"},
	{"$elemMatch on values", M{"tags": M{"$elemMatch": M{"$regex": "^and"}}}, "phone budget"},
	{"$elemMatch with $or", M{"variants": M{"$elemMatch": M{"$or": A{M{"sku": "a05"}, M{"stock": 9}}}}}, "budget shirt"},
	{"$gt", M{"price": M{"$gt": 100}}, "phone budget"},
	{"range", M{"price": M{"$gte": 35.5, "$lt": 120}}, "shirt book"},
	{"bounds met by different elements", M{"variants.price": M{"$gt": 850, "$lt": 810}}, "phone"},
	{"bounds met by one element", M{"variants": M{"$elemMatch": M{"price": M{"$gt": 850, "$lt": 810}}}}, ""},
	{"a range stays in its type", M{"rating": M{"$gte": 4}}, "phone book"},
	{"a range over strings", M{"rating": M{"$gte": ""}}, "gift"},
	{"a range over dates", M{"listed": M{"$lt": time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)}}, "book"},
	{"$in", M{"_id": M{"$in": A{"gift", "phone", "none"}}}, "phone gift"},
	{"$in with null", M{"rating": M{"$in": A{nil, 5}}}, "budget shirt book"},
	{"$in with pattern", M{"name": M{"$in": A{bson.Regex{Pattern: "^Gift"}, "The Go Book"}}}, "book gift"},
	{"$in nothing", M{"_id": M{"$in": A{}}}, ""},
	{"$nin", M{"_id": M{"$nin": A{"gift", "phone"}}}, "budget shirt book"},
	{"$nin with pattern", M{"name": M{"$nin": A{bson.Regex{Pattern: "galaxy", Options: "i"}}}}, "shirt book gift"},
	{"$ne", M{"tags": M{"$ne": "new"}}, "budget shirt book"},
	{"$not", M{"price": M{"$not": M{"$gt": 100}}}, "shirt book gift"},
	{"$not pattern", M{"name": M{"$not": bson.Regex{Pattern: "galaxy", Options: "i"}}}, "shirt book gift"},
	{"$exists", M{"attributes.ram": M{"$exists": true}}, "phone budget"},
	{"$exists false", M{"tags": M{"$exists": false}}, "book"},
	{"$exists of null", M{"rating": M{"$exists": true}}, "phone budget book gift"},
	{"$type", M{"rating": M{"$type": "string"}}, "gift"},
	{"$type number", M{"price": M{"$type": "number"}}, "phone budget shirt book"},
	{"$size", M{"variants": M{"$size": 2}}, "phone shirt"},
	{"$all", M{"tags": M{"$all": A{"new", "android"}}}, "phone"},
	{"$mod", M{"price": M{"$mod": A{400, 0}}}, "phone"},
	{"$regex", M{"name": M{"$regex": "^galaxy", "$options": "i"}}, "phone budget"},
	{"pattern literal", M{"name": bson.Regex{Pattern: "book$", Options: "i"}}, "book"},
	{"$and", M{"$and": A{M{"tags": "android"}, M{"tags": "new"}}}, "phone"},
	{"$or", M{"$or": A{M{"price": 40}, M{"attributes.size": "M"}}}, "shirt book"},
	{"$nor", M{"$nor": A{M{"price": M{"$gt": 100}}, M{"tags": "new"}}}, "shirt book"},
	{"$or beside a field", M{"tags": "android", "$or": A{M{"price": M{"$lt": 200}}, M{"rating": M{"$gt": 4.9}}}}, "budget"},
	{"$expr", M{"$expr": M{"$gt": A{"$price", "$attributes.pages"}}}, "phone budget shirt"},
	{"$comment is ignored", M{"_id": "gift", "$comment": "why"}, "gift"},
	{"document equality", M{"attributes": D{{Key: "pages", Value: 380}}}, "book"},
}

// TestFilters asks every question three times: without indexes, with one on each path, and through compound ones.
// An index may change how documents are found, never which.
func TestFilters(t *testing.T) {
	client := connect(t, start(t, t.TempDir()).URL())
	plain := client.Database("shop").Collection("plain")
	single := client.Database("shop").Collection("single")
	compound := client.Database("shop").Collection("compound")
	for _, c := range []*driver.Collection{plain, single, compound} {
		insert(t, c, shelf...)
	}
	for _, path := range []string{"name", "price", "tags", "rating", "listed", "attributes.colour", "attributes.ram", "variants.sku", "variants.price", "variants.stock", "tags.0"} {
		index(t, single, D{{Key: path, Value: 1}})
	}
	index(t, compound, D{{Key: "tags", Value: -1}, {Key: "price", Value: 1}, {Key: "name", Value: -1}})
	index(t, compound, D{{Key: "variants.sku", Value: 1}, {Key: "variants.stock", Value: -1}})
	index(t, compound, D{{Key: "rating", Value: -1}, {Key: "_id", Value: 1}})
	index(t, compound, D{{Key: "price", Value: -1}})
	index(t, compound, D{{Key: "name", Value: 1}}, options.Index().SetSparse(true))

	for _, test := range filters {
		t.Run(test.name, func(t *testing.T) {
			for _, c := range []*driver.Collection{plain, single, compound} {
				if got := ids(t, c, test.filter); got != test.want {
					t.Errorf("%s: got %q, want %q", c.Name(), got, test.want)
				}
				if n := must[int64](t)(c.CountDocuments(t.Context(), test.filter)); int(n) != len(words(test.want)) {
					t.Errorf("%s: counted %d", c.Name(), n)
				}
			}
		})
	}
}

// ids names the documents a filter selects, in insertion order whatever index served it.
func ids(t *testing.T, c *driver.Collection, filter any, opts ...options.Lister[options.FindOptions]) string {
	t.Helper()
	found := list(t, c, filter, opts...)
	if len(opts) == 0 {
		slices.SortFunc(found, func(a, b string) int { return place(a) - place(b) })
	}
	return join(found)
}

func place(id string) int {
	return slices.IndexFunc(shelf, func(doc any) bool { return doc.(M)["_id"] == id })
}

func list(t *testing.T, c *driver.Collection, filter any, opts ...options.Lister[options.FindOptions]) []string {
	t.Helper()
	cursor, err := c.Find(t.Context(), filter, opts...)
	if err != nil {
		t.Fatal(err)
	}
	var docs []struct {
		ID any `bson:"_id"`
	}
	if err := cursor.All(t.Context(), &docs); err != nil {
		t.Fatal(err)
	}
	out := make([]string, len(docs))
	for i, doc := range docs {
		out[i] = fmt.Sprint(doc.ID)
	}
	return out
}

func index(t testing.TB, c *driver.Collection, keys D, opts ...*options.IndexOptionsBuilder) string {
	t.Helper()
	model := driver.IndexModel{Keys: keys}
	if len(opts) > 0 {
		model.Options = opts[0]
	}
	return must[string](t)(c.Indexes().CreateOne(t.Context(), model))
}

func TestBadFiltersAreRefused(t *testing.T) {
	c := setup(t) // empty: a filter is checked whether or not a document would reach the fault
	for _, test := range []struct {
		filter any
		code   int
	}{
		{M{"a": M{"$foo": 1}}, 2},
		{M{"$foo": A{}}, 2},
		{M{"$or": A{}}, 2},
		{M{"$and": M{}}, 2},
		{M{"a": M{"$in": 1}}, 2},
		{M{"a": M{"$in": A{M{"$gt": 1}}}}, 2},
		{M{"a": M{"$regex": "("}}, 2},
		{M{"a": M{"$regex": 5}}, 2},
		{M{"a": M{"$options": "i"}}, 2},
		{M{"a": M{"$not": 5}}, 2},
		{M{"a": M{"$elemMatch": 5}}, 2},
		{M{"": 1}, 2},
		{M{"$where": "true"}, 238},
		{M{"$text": M{"$search": "x"}}, 238},
		{M{"a": M{"$near": A{1, 2}}}, 238},
		{M{"a": M{"$all": A{M{"$elemMatch": M{}}}}}, 238},
		{M{"a": M{"$regex": "x", "$options": "x"}}, 238},
		{M{"a": bson.MinKey{}}, 238},
		{M{"a": M{"$in with patterns": A{}}}, 2},
	} {
		_, err := c.Find(t.Context(), test.filter)
		if err == nil {
			t.Errorf("%v was accepted", test.filter)
			continue
		}
		wantCode(t, err, test.code)
	}
}
