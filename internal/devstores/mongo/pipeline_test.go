package mongo_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
)

func TestPipelines(t *testing.T) {
	c := setup(t)
	insert(t, c,
		M{"_id": 1, "cat": "a", "price": 10, "tags": A{"x", "y"}, "brand": "b1"},
		M{"_id": 2, "cat": "b", "price": 20, "tags": A{"x"}, "brand": "b2"},
		M{"_id": 3, "cat": "a", "price": 30.5, "tags": A{}},
	)
	insert(t, c.Database().Collection("brands"), M{"_id": "b1", "name": "One"}, M{"_id": "b2", "name": "Two"})
	stage := func(name string, v any) D { return D{{Key: name, Value: v}} }
	byID := stage("$sort", M{"_id": 1})
	one, two, three := int32(1), int32(2), int32(3)
	for _, test := range []struct {
		name     string
		pipeline []D
		want     []M
		code     int
	}{
		{name: "$match $project", pipeline: []D{stage("$match", M{"cat": "b"}), stage("$project", M{"price": 1})}, want: []M{{"_id": two, "price": int32(20)}}},
		{name: "$sort $skip $limit", pipeline: []D{stage("$sort", M{"price": -1}), stage("$skip", 1), stage("$limit", 1), stage("$project", M{"_id": 1})}, want: []M{{"_id": two}}},
		{name: "$limit before $match", pipeline: []D{stage("$limit", 2), stage("$match", M{"cat": "a"}), stage("$project", M{"_id": 1})}, want: []M{{"_id": one}}},
		{name: "$limit before $skip", pipeline: []D{stage("$limit", 2), stage("$skip", 1), stage("$project", M{"_id": 1})}, want: []M{{"_id": two}}},
		{name: "$group", pipeline: []D{stage("$group", M{"_id": "$cat", "n": M{"$sum": 1}, "total": M{"$sum": "$price"}, "least": M{"$min": "$price"},
			"most": M{"$max": "$price"}, "first": M{"$first": "$_id"}, "ids": M{"$push": "$_id"}, "mean": M{"$avg": "$price"}}), byID}, want: []M{
			{"_id": "a", "n": two, "total": 40.5, "least": int32(10), "most": 30.5, "first": one, "ids": A{one, three}, "mean": 20.25},
			{"_id": "b", "n": one, "total": int32(20), "least": int32(20), "most": int32(20), "first": two, "ids": A{two}, "mean": 20.0}}},
		{name: "$group of everything", pipeline: []D{stage("$group", M{"_id": nil, "tags": M{"$addToSet": "$cat"}, "last": M{"$last": "$_id"}})}, want: []M{{"_id": nil, "tags": A{"a", "b"}, "last": three}}},
		{name: "$unwind and count", pipeline: []D{stage("$unwind", "$tags"), stage("$group", M{"_id": "$tags", "n": M{"$sum": 1}}), byID}, want: []M{{"_id": "x", "n": two}, {"_id": "y", "n": one}}},
		{name: "$unwind keeps", pipeline: []D{stage("$unwind", M{"path": "$tags", "preserveNullAndEmptyArrays": true}), stage("$count", "n")}, want: []M{{"n": int32(4)}}},
		{name: "$count", pipeline: []D{stage("$match", M{"price": M{"$gt": 15}}), stage("$count", "n")}, want: []M{{"n": two}}},
		{name: "$count of nothing", pipeline: []D{stage("$match", M{"price": 0}), stage("$count", "n")}},
		{name: "$lookup", pipeline: []D{stage("$match", M{"_id": 1}), stage("$lookup", M{"from": "brands", "localField": "brand", "foreignField": "_id", "as": "brand"}), stage("$project", M{"brand": 1})},
			want: []M{{"_id": one, "brand": A{M{"_id": "b1", "name": "One"}}}}},
		{name: "$lookup of nothing", pipeline: []D{stage("$match", M{"_id": 3}), stage("$lookup", M{"from": "brands", "localField": "brand", "foreignField": "_id", "as": "found"}), stage("$project", M{"found": 1})},
			want: []M{{"_id": three, "found": A{}}}},
		{name: "$set and $unset", pipeline: []D{stage("$match", M{"_id": 1}), stage("$set", M{"double": M{"$multiply": A{"$price", 2}}}), stage("$unset", A{"tags", "brand", "cat"})},
			want: []M{{"_id": one, "price": int32(10), "double": int32(20)}}},
		{name: "$replaceRoot", pipeline: []D{stage("$match", M{"_id": 1}), stage("$replaceRoot", M{"newRoot": M{"id": "$_id", "none": "$none"}})}, want: []M{{"id": one}}},
		{name: "expressions", pipeline: []D{stage("$match", M{"_id": 1}), stage("$project", M{"_id": 0,
			"cond":   M{"$cond": A{M{"$gt": A{"$price", 5}}, "dear", "cheap"}},
			"if":     M{"$ifNull": A{"$none", "nothing"}},
			"in":     M{"$in": A{"x", "$tags"}},
			"size":   M{"$size": "$tags"},
			"filter": M{"$filter": M{"input": "$tags", "as": "t", "cond": M{"$ne": A{"$$t", "x"}}}},
			"map":    M{"$map": M{"input": "$tags", "as": "t", "in": M{"$toUpper": "$$t"}}},
			"max":    M{"$max": A{"$price", 3}},
			"merged": M{"$mergeObjects": A{M{"a": 1}, M{"a": 2, "b": 3}}},
			"sub":    M{"$subtract": A{"$price", 4}},
			"div":    M{"$divide": A{"$price", 4}},
		})}, want: []M{{"cond": "dear", "if": "nothing", "in": true, "size": two, "filter": A{"y"}, "map": A{"X", "Y"}, "max": int32(10),
			"merged": M{"a": two, "b": three}, "sub": int32(6), "div": 2.5}}},
		{name: "unknown stage", pipeline: []D{stage("$facet", M{})}, code: 40324},
		{name: "change stream", pipeline: []D{stage("$changeStream", M{})}, code: 40324},
		{name: "unknown accumulator", pipeline: []D{stage("$group", M{"_id": 1, "a": M{"$stdDevPop": "$x"}})}, code: 15952},
		{name: "unknown expression", pipeline: []D{stage("$project", M{"a": M{"$zip": "$x"}})}, code: 168},
		{name: "$group without _id", pipeline: []D{stage("$group", M{"n": M{"$sum": 1}})}, code: 15955},
		{name: "$limit of nothing", pipeline: []D{stage("$limit", 0)}, code: 15958},
		{name: "$lookup with a pipeline", pipeline: []D{stage("$lookup", M{"from": "brands", "pipeline": A{}, "as": "x"})}, code: 238},
		{name: "division by zero", pipeline: []D{stage("$project", M{"a": M{"$divide": A{1, 0}}})}, code: 2},
		{name: "undefined variable", pipeline: []D{stage("$project", M{"a": "$$what"})}, code: 17276},
	} {
		t.Run(test.name, func(t *testing.T) {
			cursor, err := c.Aggregate(t.Context(), driver.Pipeline(test.pipeline))
			if test.code != 0 {
				wantCode(t, err, test.code)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []M
			if err := cursor.All(t.Context(), &got); err != nil {
				t.Fatal(err)
			}
			for i := range got {
				got[i] = plain(got[i]).(M)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestDistinctAndCounts(t *testing.T) {
	c := setup(t)
	insert(t, c, shelf...)
	var tags []string
	if err := c.Distinct(t.Context(), "tags", M{}).Decode(&tags); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"android", "new"}, tags); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	var skus []string
	if err := c.Distinct(t.Context(), "variants.sku", M{"tags": "new"}).Decode(&skus); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"s24-128", "s24-256"}, skus); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if n := must[int64](t)(c.EstimatedDocumentCount(t.Context())); n != 5 {
		t.Errorf("estimated %d", n)
	}
}
