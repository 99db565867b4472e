package mongo_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

var updates = []struct {
	name    string
	before  M
	filter  M // beside the _id
	update  any
	filters []any // arrayFilters
	want    M     // without the _id; nil if refused
	code    int
}{
	{name: "$set", before: M{"a": 1}, update: M{"$set": M{"b": 2}}, want: M{"a": int32(1), "b": int32(2)}},
	{name: "$set nested", before: M{"a": M{"x": 1}}, update: M{"$set": M{"a.y": 2}}, want: M{"a": M{"x": int32(1), "y": int32(2)}}},
	{name: "$set makes parents", before: M{}, update: M{"$set": M{"a.b.c": 1}}, want: M{"a": M{"b": M{"c": int32(1)}}}},
	{name: "$set array element", before: M{"a": A{1, 2}}, update: M{"$set": M{"a.1": 9}}, want: M{"a": A{int32(1), int32(9)}}},
	{name: "$unset", before: M{"a": 1, "b": 2}, update: M{"$unset": M{"a": ""}}, want: M{"b": int32(2)}},
	{name: "$rename", before: M{"a": 1}, update: M{"$rename": M{"a": "b"}}, want: M{"b": int32(1)}},
	{name: "$inc", before: M{"a": 1}, update: M{"$inc": M{"a": 2, "b": -1}}, want: M{"a": int32(3), "b": int32(-1)}},
	{name: "$inc widens int32", before: M{"a": int32(1<<31 - 1)}, update: M{"$inc": M{"a": 1}}, want: M{"a": int64(1 << 31)}},
	{name: "$inc with a double", before: M{"a": 1}, update: M{"$inc": M{"a": 0.5}}, want: M{"a": 1.5}},
	{name: "$inc overflow", before: M{"a": int64(1<<63 - 1)}, update: M{"$inc": M{"a": 1}}, code: 2},
	{name: "$inc of a string", before: M{"a": "x"}, update: M{"$inc": M{"a": 1}}, code: 14},
	{name: "$mul", before: M{"a": 3}, update: M{"$mul": M{"a": 4}}, want: M{"a": int32(12)}},
	{name: "$mul overflow", before: M{"a": int64(1 << 62)}, update: M{"$mul": M{"a": 2}}, code: 2},
	{name: "$min and $max", before: M{"a": 5, "b": 5}, update: M{"$min": M{"a": 3}, "$max": M{"b": 3}}, want: M{"a": int32(3), "b": int32(5)}},
	{name: "$push", before: M{"a": A{1}}, update: M{"$push": M{"a": 2}}, want: M{"a": A{int32(1), int32(2)}}},
	{name: "$push makes an array", before: M{}, update: M{"$push": M{"outbox": M{"seq": 1}}}, want: M{"outbox": A{M{"seq": int32(1)}}}},
	{name: "$push $each $slice", before: M{"a": A{1, 2}}, update: M{"$push": M{"a": M{"$each": A{3, 4}, "$slice": -3}}}, want: M{"a": A{int32(2), int32(3), int32(4)}}},
	{name: "$push $sort", before: M{"a": A{3}}, update: M{"$push": M{"a": M{"$each": A{1, 2}, "$sort": 1}}}, want: M{"a": A{int32(1), int32(2), int32(3)}}},
	{name: "$push to a number", before: M{"a": 1}, update: M{"$push": M{"a": 2}}, code: 2},
	{name: "$addToSet", before: M{"a": A{1}}, update: M{"$addToSet": M{"a": M{"$each": A{1, 2}}}}, want: M{"a": A{int32(1), int32(2)}}},
	{name: "$pop", before: M{"a": A{1, 2}}, update: M{"$pop": M{"a": -1}}, want: M{"a": A{int32(2)}}},
	{name: "$pull value", before: M{"a": A{1, 2, 1}}, update: M{"$pull": M{"a": 1}}, want: M{"a": A{int32(2)}}},
	{name: "$pull by query", before: M{"outbox": A{M{"seq": 1}, M{"seq": 2}}}, update: M{"$pull": M{"outbox": M{"seq": M{"$lte": 1}}}}, want: M{"outbox": A{M{"seq": int32(2)}}}},
	{name: "$pull by pattern", before: M{"a": A{"red", "blue"}}, update: M{"$pull": M{"a": M{"$regex": "^r"}}}, want: M{"a": A{"blue"}}},
	{name: "$pullAll", before: M{"a": A{1, 2, 3}}, update: M{"$pullAll": M{"a": A{1, 3}}}, want: M{"a": A{int32(2)}}},
	{name: "$setOnInsert changes nothing", before: M{"a": 1}, update: M{"$setOnInsert": M{"a": 2}}, want: M{"a": int32(1)}},
	{name: "positional", before: M{"v": A{M{"s": "a", "n": 1}, M{"s": "b", "n": 1}}}, filter: M{"v.s": "b"}, update: M{"$set": M{"v.$.n": 9}},
		want: M{"v": A{M{"s": "a", "n": int32(1)}, M{"s": "b", "n": int32(9)}}}},
	{name: "positional by $elemMatch", before: M{"v": A{M{"s": "a", "n": 1}, M{"s": "a", "n": 2}}}, filter: M{"v": M{"$elemMatch": M{"s": "a", "n": 2}}},
		update: M{"$inc": M{"v.$.n": 5}}, want: M{"v": A{M{"s": "a", "n": int32(1)}, M{"s": "a", "n": int32(7)}}}},
	{name: "positional without a match", before: M{"v": A{1}}, update: M{"$set": M{"v.$": 2}}, code: 2},
	{name: "all elements", before: M{"v": A{M{"n": 1}, M{"n": 2}}}, update: M{"$inc": M{"v.$[].n": 1}}, want: M{"v": A{M{"n": int32(2)}, M{"n": int32(3)}}}},
	{name: "array filters", before: M{"v": A{M{"n": 1, "s": A{1, 5}}, M{"n": 2, "s": A{6}}}}, update: M{"$set": M{"v.$[big].s.$[x]": 0}},
		filters: []any{M{"big.n": M{"$lt": 2}}, M{"x": M{"$gt": 4}}}, want: M{"v": A{M{"n": int32(1), "s": A{int32(1), int32(0)}}, M{"n": int32(2), "s": A{int32(6)}}}}},
	{name: "array filter missing", before: M{"v": A{1}}, update: M{"$set": M{"v.$[x]": 1}}, code: 2},
	{name: "the id stays", before: M{"a": 1}, update: M{"$set": M{"_id": "other"}}, code: 66},
	{name: "conflict", before: M{}, update: M{"$set": M{"a.b": 1}, "$inc": M{"a": 1}}, code: 40},
	{name: "path through a number", before: M{"a": 1}, update: M{"$set": M{"a.b": 1}}, code: 28},
	{name: "unknown operator", before: M{}, update: M{"$frobnicate": M{"a": 1}}, code: 9},
	{name: "backfill without end", before: M{"a": A{}}, update: M{"$set": M{"a.2000000000": 1}}, code: 2},
	{name: "long path", before: M{}, update: M{"$set": M{longPath: 1}}, code: 15},
}

var longPath = func() string {
	path := "a"
	for range 300 {
		path += ".a"
	}
	return path
}()

func TestUpdates(t *testing.T) {
	c := setup(t)
	for _, test := range updates {
		t.Run(test.name, func(t *testing.T) {
			before := M{"_id": test.name}
			for k, v := range test.before {
				before[k] = v
			}
			insert(t, c, before)
			filter := M{"_id": test.name}
			for k, v := range test.filter {
				filter[k] = v
			}
			opts := options.UpdateOne()
			if test.filters != nil {
				opts.SetArrayFilters(test.filters)
			}
			_, err := c.UpdateOne(t.Context(), filter, test.update, opts)
			if test.code != 0 {
				wantCode(t, err, test.code)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, get(t, c, test.name)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// get is a document without its id, with documents inside as maps.
func get(t *testing.T, c *driver.Collection, id any) M {
	t.Helper()
	var doc M
	if err := c.FindOne(t.Context(), M{"_id": id}).Decode(&doc); err != nil {
		t.Fatal(err)
	}
	delete(doc, "_id")
	return plain(doc).(M)
}

func plain(v any) any {
	switch x := v.(type) {
	case M:
		for k, e := range x {
			x[k] = plain(e)
		}
	case D:
		m := M{}
		for _, e := range x {
			m[e.Key] = plain(e.Value)
		}
		return m
	case A:
		for i, e := range x {
			x[i] = plain(e)
		}
	}
	return v
}

func TestReplace(t *testing.T) {
	c := setup(t)
	insert(t, c, M{"_id": 1, "a": 1, "b": 2})
	result := must[*driver.UpdateResult](t)(c.ReplaceOne(t.Context(), M{"_id": 1}, M{"c": 3}))
	if result.MatchedCount != 1 || result.ModifiedCount != 1 {
		t.Errorf("%+v", result)
	}
	if diff := cmp.Diff(M{"c": int32(3)}, get(t, c, 1)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	result = must[*driver.UpdateResult](t)(c.ReplaceOne(t.Context(), M{"_id": 1}, M{"c": 3}))
	if result.MatchedCount != 1 || result.ModifiedCount != 0 {
		t.Errorf("the same again: %+v", result)
	}
	_, err := c.ReplaceOne(t.Context(), M{"_id": 1}, M{"_id": 2})
	wantCode(t, err, 66)
}

func TestUpsertTakesTheConstantsOfTheFilter(t *testing.T) {
	c := setup(t)
	must[*driver.UpdateResult](t)(c.UpdateOne(t.Context(),
		M{"_id": "x", "seller.id": "s1", "version": M{"$lt": 5}, "name": bson.Regex{Pattern: "^a"}, "kind": M{"$in": A{"one"}}},
		M{"$inc": M{"version": 1}}, options.UpdateOne().SetUpsert(true)))
	want := M{"seller": M{"id": "s1"}, "version": int32(1), "kind": "one"}
	if diff := cmp.Diff(want, get(t, c, "x")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	// The optimistic save of a version that has moved on must not make a second product.
	_, err := c.UpdateOne(t.Context(), M{"_id": "x", "version": 7}, M{"$set": M{"a": 1}}, options.UpdateOne().SetUpsert(true))
	if !driver.IsDuplicateKeyError(err) {
		t.Errorf("got %v", err)
	}
}

func TestFindOneAndModify(t *testing.T) {
	c := setup(t)
	insert(t, c, M{"_id": 1, "n": 10, "job": "a"}, M{"_id": 2, "n": 20, "job": "b"})
	var doc M
	decode := func(r *driver.SingleResult) M {
		t.Helper()
		doc = nil
		if err := r.Decode(&doc); err != nil {
			t.Fatal(err)
		}
		return doc
	}
	before := decode(c.FindOneAndUpdate(t.Context(), M{}, M{"$inc": M{"n": 1}}, options.FindOneAndUpdate().SetSort(M{"n": -1})))
	if before["_id"] != int32(2) || before["n"] != int32(20) {
		t.Errorf("before: %v", before)
	}
	after := decode(c.FindOneAndUpdate(t.Context(), M{"_id": 2}, M{"$inc": M{"n": 1}},
		options.FindOneAndUpdate().SetReturnDocument(options.After).SetProjection(M{"n": 1, "_id": 0})))
	if diff := cmp.Diff(M{"n": int32(22)}, after); diff != "" {
		t.Errorf("after (-want +got)\n%s", diff)
	}
	made := decode(c.FindOneAndReplace(t.Context(), M{"_id": 3}, M{"n": 1},
		options.FindOneAndReplace().SetUpsert(true).SetReturnDocument(options.After)))
	if made["_id"] != int32(3) {
		t.Errorf("upserted: %v", made)
	}
	if err := c.FindOneAndUpdate(t.Context(), M{"_id": 4}, M{"$set": M{"a": 1}}).Err(); err != driver.ErrNoDocuments {
		t.Errorf("nothing to update: %v", err)
	}
	if gone := decode(c.FindOneAndDelete(t.Context(), M{"_id": 1})); gone["job"] != "a" {
		t.Errorf("deleted: %v", gone)
	}
	if err := c.FindOneAndDelete(t.Context(), M{"_id": 1}).Err(); err != driver.ErrNoDocuments {
		t.Errorf("nothing to delete: %v", err)
	}
	index(t, c, D{{Key: "job", Value: 1}}, options.Index().SetUnique(true).SetSparse(true))
	err := c.FindOneAndUpdate(t.Context(), M{"_id": 3}, M{"$set": M{"job": "b"}}).Err()
	if !driver.IsDuplicateKeyError(err) {
		t.Errorf("a taken job: %v", err)
	}
}
