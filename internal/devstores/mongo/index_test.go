package mongo_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// plan is what explain says about a find.
type plan struct {
	Index    string
	Sort     bool // sorted in memory
	Backward bool
	Docs     int // documents read
}

func explain(t *testing.T, c *driver.Collection, find D) plan {
	t.Helper()
	var answer struct {
		QueryPlanner struct {
			WinningPlan stage
		}
		ExecutionStats struct{ TotalDocsExamined int }
	}
	command := D{{Key: "explain", Value: append(D{{Key: "find", Value: c.Name()}}, find...)}, {Key: "verbosity", Value: "executionStats"}}
	if err := c.Database().RunCommand(t.Context(), command).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	p := plan{Docs: answer.ExecutionStats.TotalDocsExamined}
	for s := &answer.QueryPlanner.WinningPlan; s != nil; s = s.InputStage {
		p.Sort = p.Sort || s.Stage == "SORT"
		if s.Stage == "IXSCAN" {
			p.Index, p.Backward = s.IndexName, s.Direction == "backward"
		}
	}
	return p
}

type stage struct {
	Stage      string
	IndexName  string
	Direction  string
	InputStage *stage
}

func TestQueriesUseIndexes(t *testing.T) {
	c := setup(t)
	index(t, c, D{{Key: "sku", Value: 1}}, options.Index().SetUnique(true))
	index(t, c, D{{Key: "category", Value: 1}, {Key: "price", Value: -1}, {Key: "_id", Value: 1}})
	index(t, c, D{{Key: "tags", Value: 1}})
	index(t, c, D{{Key: "note", Value: 1}}, options.Index().SetSparse(true))
	index(t, c, D{{Key: "rank", Value: 1}}, options.Index().SetPartialFilterExpression(M{"status": "active", "rank": M{"$exists": true}}))
	index(t, c, D{{Key: "queuedAt", Value: 1}}, options.Index().SetPartialFilterExpression(M{"queued": true}))
	docs := make([]any, 1000)
	for i := range docs {
		doc := M{"_id": i, "sku": fmt.Sprint("sku-", i), "category": i % 10, "price": i / 10, "tags": A{i % 7, "all"}, "status": "active", "rank": i}
		if i%100 == 0 {
			doc["note"] = i
			doc["status"] = "draft"
		}
		if i%250 == 0 {
			doc["queued"], doc["queuedAt"] = true, i
		}
		docs[i] = doc
	}
	insert(t, c, docs...)

	asked := func(filter M, sort D, limit int) D {
		return D{{Key: "filter", Value: filter}, {Key: "sort", Value: sort}, {Key: "limit", Value: limit}}
	}
	const compound = "category_1_price_-1__id_1"
	for _, test := range []struct {
		name string
		find D
		want plan
	}{
		{"nothing fits", asked(M{"other": 1}, nil, 0), plan{Docs: 1000}},
		{"by id", asked(M{"_id": 5}, nil, 0), plan{Index: "_id_", Docs: 1}},
		{"by ids", asked(M{"_id": M{"$in": A{5, 6, 5, 7000}}}, nil, 0), plan{Index: "_id_", Docs: 2}},
		{"ids beat a category", asked(M{"_id": M{"$in": A{5, 6}}, "category": 5}, nil, 0), plan{Index: "_id_", Docs: 2}},
		{"range of ids", asked(M{"_id": M{"$gte": 990, "$lt": 995}}, nil, 0), plan{Index: "_id_", Docs: 6}},
		{"page by id", asked(M{"_id": M{"$gt": 500}}, D{{Key: "_id", Value: 1}}, 10), plan{Index: "_id_", Docs: 11}},
		{"newest first", asked(M{}, D{{Key: "_id", Value: -1}}, 10), plan{Index: "_id_", Backward: true, Docs: 10}},
		{"unique", asked(M{"sku": "sku-5"}, nil, 0), plan{Index: "sku_1", Docs: 1}},
		{"prefix", asked(M{"category": 3}, nil, 0), plan{Index: compound, Docs: 100}},
		{"prefix and range", asked(M{"category": 3, "price": M{"$gt": 95}}, nil, 0), plan{Index: compound, Docs: 5}},
		{"prefix and order", asked(M{"category": 3}, D{{Key: "price", Value: -1}, {Key: "_id", Value: 1}}, 10), plan{Index: compound, Docs: 10}},
		{"prefix and reverse order", asked(M{"category": 3}, D{{Key: "price", Value: 1}, {Key: "_id", Value: -1}}, 10), plan{Index: compound, Backward: true, Docs: 10}},
		{"order the index does not have", asked(M{"category": 3}, D{{Key: "price", Value: 1}, {Key: "_id", Value: 1}}, 10), plan{Index: compound, Sort: true, Docs: 100}},
		{"$in and order by it", asked(M{"category": M{"$in": A{3, 1}}}, D{{Key: "category", Value: 1}, {Key: "price", Value: -1}}, 10), plan{Index: compound, Docs: 10}},
		{"$in and another order", asked(M{"category": M{"$in": A{3, 1}}}, D{{Key: "price", Value: -1}}, 10), plan{Index: compound, Sort: true, Docs: 200}},
		{"$and", asked(M{"$and": A{M{"category": 3}, M{"price": 4}}}, nil, 0), plan{Index: compound, Docs: 1}},
		{"the page after the last seen", asked(M{"category": 3, "$or": A{M{"price": M{"$lt": 50}}, M{"price": 50, "_id": M{"$gt": 503}}}},
			D{{Key: "price", Value: -1}, {Key: "_id", Value: 1}}, 10), plan{Index: compound, Docs: 11}},
		{"$or on one path", asked(M{"$or": A{M{"sku": "sku-1"}, M{"sku": M{"$in": A{"sku-2", "sku-3"}}}}}, nil, 0), plan{Index: "sku_1", Docs: 3}},
		{"$or on two paths", asked(M{"$or": A{M{"sku": "sku-1"}, M{"_id": 5}}}, nil, 0), plan{Docs: 1000}},
		{"array element", asked(M{"tags": 3}, nil, 0), plan{Index: "tags_1", Docs: 143}},
		{"array elements once", asked(M{"tags": M{"$in": A{3, "all"}}}, nil, 0), plan{Index: "tags_1", Docs: 1000}},
		{"an array does not order", asked(M{}, D{{Key: "tags", Value: 1}}, 0), plan{Sort: true, Docs: 1000}},
		{"sparse", asked(M{"note": M{"$gte": 500}}, nil, 0), plan{Index: "note_1", Docs: 5}},
		{"sparse is those that have it", asked(M{"note": M{"$exists": true}}, nil, 0), plan{Index: "note_1", Docs: 10}},
		{"sparse lacks null", asked(M{"note": nil}, nil, 0), plan{Docs: 1000}},
		{"sparse does not order", asked(M{}, D{{Key: "note", Value: 1}}, 0), plan{Sort: true, Docs: 1000}},
		{"partial", asked(M{"status": "active", "rank": 5}, nil, 0), plan{Index: "rank_1", Docs: 1}},
		{"partial and order", asked(M{"status": "active", "rank": M{"$exists": true}}, D{{Key: "rank", Value: 1}}, 3), plan{Index: "rank_1", Docs: 3}},
		{"partial is those it says", asked(M{"queued": true}, nil, 0), plan{Index: "queuedAt_1", Docs: 4}},
		{"partial does not hold all", asked(M{"rank": 5}, nil, 0), plan{Docs: 1000}},
		{"partial of another value", asked(M{"status": "draft", "rank": 5}, nil, 0), plan{Docs: 1000}},
		{"hint", append(asked(M{"category": 3, "sku": "sku-3"}, nil, 0), D{{Key: "hint", Value: compound}}...), plan{Index: compound, Docs: 100}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, explain(t, c, test.find)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestSortsAgreeWithAndWithoutIndexes(t *testing.T) {
	client := connect(t, start(t, t.TempDir()).URL())
	plain, indexed := client.Database("shop").Collection("plain"), client.Database("shop").Collection("indexed")
	insert(t, plain, shelf...)
	insert(t, indexed, shelf...)
	for _, keys := range []D{{{Key: "price", Value: 1}}, {{Key: "name", Value: -1}, {Key: "price", Value: 1}}, {{Key: "rating", Value: 1}, {Key: "_id", Value: 1}}} {
		index(t, indexed, keys)
	}
	for _, test := range []struct {
		sort D
		want string
	}{
		{D{{Key: "price", Value: 1}, {Key: "_id", Value: 1}}, "gift shirt book budget phone"},
		{D{{Key: "price", Value: -1}}, "phone budget book shirt gift"},
		{D{{Key: "name", Value: 1}}, "phone gift shirt book budget"},
		{D{{Key: "name", Value: -1}, {Key: "price", Value: 1}}, "budget book shirt gift phone"},
		{D{{Key: "rating", Value: 1}, {Key: "_id", Value: 1}}, "budget shirt phone book gift"},
		{D{{Key: "rating", Value: -1}, {Key: "_id", Value: -1}}, "gift book phone shirt budget"},
		{D{{Key: "variants.price", Value: 1}, {Key: "_id", Value: 1}}, "book gift shirt budget phone"},
		{D{{Key: "variants.price", Value: -1}, {Key: "_id", Value: 1}}, "phone budget shirt book gift"},
	} {
		for _, c := range []*driver.Collection{plain, indexed} {
			if got := join(list(t, c, M{}, options.Find().SetSort(test.sort))); got != test.want {
				t.Errorf("%v in %s: got %q, want %q", test.sort, c.Name(), got, test.want)
			}
		}
	}
}

func TestUniqueIndexes(t *testing.T) {
	c := setup(t)
	index(t, c, D{{Key: "sku", Value: 1}}, options.Index().SetUnique(true).SetSparse(true))
	index(t, c, D{{Key: "slug", Value: 1}}, options.Index().SetUnique(true).SetPartialFilterExpression(M{"live": true}))
	insert(t, c, M{"_id": 1}, M{"_id": 2}, M{"_id": 3, "sku": 5, "slug": "a", "live": true}, M{"_id": 4, "slug": "a"})
	for _, doc := range []M{{"sku": 5.0}, {"sku": int64(5)}, {"slug": "a", "live": true}} {
		if _, err := c.InsertOne(t.Context(), doc); !driver.IsDuplicateKeyError(err) {
			t.Errorf("%v: %v", doc, err)
		}
	}
	if _, err := c.UpdateOne(t.Context(), M{"_id": 4}, M{"$set": M{"live": true}}); !driver.IsDuplicateKeyError(err) {
		t.Errorf("entering a partial index: %v", err)
	}
	must[*driver.UpdateResult](t)(c.UpdateOne(t.Context(), M{"_id": 3}, M{"$set": M{"slug": "b"}}))
	must[*driver.UpdateResult](t)(c.UpdateOne(t.Context(), M{"_id": 4}, M{"$set": M{"live": true}}))
	must[*driver.UpdateResult](t)(c.UpdateOne(t.Context(), M{"_id": 4}, M{"$set": M{"name": "itself is no duplicate"}}))

	insert(t, c, M{"_id": 5, "twin": 1}, M{"_id": 6, "twin": 1})
	_, err := c.Indexes().CreateOne(t.Context(), driver.IndexModel{Keys: D{{Key: "twin", Value: 1}}, Options: options.Index().SetUnique(true)})
	wantCode(t, err, 11000)
	insert(t, c, M{"_id": 7, "a": A{1}, "b": 1})
	index(t, c, D{{Key: "a", Value: 1}, {Key: "b", Value: 1}})
	_, err = c.InsertOne(t.Context(), M{"a": A{1, 2}, "b": A{1, 2}})
	wantCode(t, err, 171)
}

func TestIndexesComeAndGo(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	c := connect(t, s.URL()).Database("shop").Collection("products")
	names := func(c *driver.Collection) []string {
		t.Helper()
		specs, err := c.Indexes().ListSpecifications(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, spec := range specs {
			out = append(out, spec.Name)
		}
		return out
	}
	index(t, c, D{{Key: "a", Value: 1}}, options.Index().SetUnique(true))
	index(t, c, D{{Key: "a", Value: 1}}, options.Index().SetUnique(true)) // the same again is nothing new
	index(t, c, D{{Key: "b.c", Value: -1}}, options.Index().SetName("named"))
	if diff := cmp.Diff([]string{"_id_", "a_1", "named"}, names(c)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	create := func(keys D, opts *options.IndexOptionsBuilder) error {
		_, err := c.Indexes().CreateOne(t.Context(), driver.IndexModel{Keys: keys, Options: opts})
		return err
	}
	wantCode(t, create(D{{Key: "a", Value: 1}}, options.Index()), 86)
	wantCode(t, create(D{{Key: "a", Value: 1}}, options.Index().SetName("other")), 85)
	wantCode(t, create(D{{Key: "a", Value: "text"}}, options.Index()), 238)
	wantCode(t, create(D{{Key: "a", Value: 1}}, options.Index().SetExpireAfterSeconds(5)), 238)
	wantCode(t, create(D{{Key: "z", Value: 1}}, options.Index().SetPartialFilterExpression(M{"a": M{"$ne": 1}})), 67)

	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	c = connect(t, start(t, dir).URL()).Database("shop").Collection("products")
	if diff := cmp.Diff([]string{"_id_", "a_1", "named"}, names(c)); diff != "" {
		t.Errorf("after a restart (-want +got)\n%s", diff)
	}
	if err := c.Indexes().DropOne(t.Context(), "named"); err != nil {
		t.Error(err)
	}
	wantCode(t, c.Indexes().DropOne(t.Context(), "named"), 27)
	wantCode(t, c.Indexes().DropOne(t.Context(), "_id_"), 72)
	if err := c.Indexes().DropAll(t.Context()); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"_id_"}, names(c)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
