package mongo_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

func TestProjections(t *testing.T) {
	c := setup(t)
	insert(t, c, D{{Key: "_id", Value: 1}, {Key: "name", Value: "x"}, {Key: "at", Value: D{{Key: "a", Value: 1}, {Key: "b", Value: 2}}},
		{Key: "v", Value: A{D{{Key: "s", Value: "a"}, {Key: "n", Value: 1}}, D{{Key: "s", Value: "b"}, {Key: "n", Value: 2}}, "odd"}}, {Key: "t", Value: A{1, 2, 3, 4}}})
	v := A{M{"s": "a", "n": int32(1)}, M{"s": "b", "n": int32(2)}, "odd"}
	tags := func(ns ...int32) A {
		out := A{}
		for _, n := range ns {
			out = append(out, n)
		}
		return out
	}
	for _, test := range []struct {
		name       string
		projection any
		want       M
		code       int
	}{
		{name: "include", projection: M{"name": 1}, want: M{"_id": int32(1), "name": "x"}},
		{name: "without id", projection: M{"name": true, "_id": false}, want: M{"name": "x"}},
		{name: "only id", projection: M{"_id": 1}, want: M{"_id": int32(1)}},
		{name: "missing field", projection: M{"none": 1}, want: M{"_id": int32(1)}},
		{name: "nested", projection: M{"at.b": 1}, want: M{"_id": int32(1), "at": M{"b": int32(2)}}},
		{name: "nested written as a document", projection: M{"at": M{"b": 1}, "_id": 0}, want: M{"at": M{"b": int32(2)}}},
		{name: "into an array", projection: M{"v.s": 1, "_id": 0}, want: M{"v": A{M{"s": "a"}, M{"s": "b"}}}},
		{name: "exclude", projection: M{"at": 0, "v": 0, "t": 0}, want: M{"_id": int32(1), "name": "x"}},
		{name: "exclude in an array", projection: M{"at": 0, "v.n": 0, "t": 0, "name": 0, "_id": 0}, want: M{"v": A{M{"s": "a"}, M{"s": "b"}, "odd"}}},
		{name: "$slice keeps the rest", projection: M{"t": M{"$slice": 2}, "at": 0}, want: M{"_id": int32(1), "name": "x", "v": v, "t": tags(1, 2)}},
		{name: "$slice from the end", projection: M{"_id": 0, "name": 1, "t": M{"$slice": -1}}, want: M{"name": "x", "t": tags(4)}},
		{name: "$slice with skip", projection: M{"_id": 0, "name": 1, "t": M{"$slice": A{1, 2}}}, want: M{"name": "x", "t": tags(2, 3)}},
		{name: "$elemMatch", projection: M{"_id": 0, "v": M{"$elemMatch": M{"n": M{"$gt": 1}}}}, want: M{"v": A{M{"s": "b", "n": int32(2)}}}},
		{name: "$elemMatch of nothing", projection: M{"v": M{"$elemMatch": M{"n": 7}}}, want: M{"_id": int32(1)}},
		{name: "computed", projection: M{"_id": 0, "label": M{"$concat": A{"$name", "!"}}, "first": M{"$arrayElemAt": A{"$t", 0}}}, want: M{"label": "x!", "first": int32(1)}},
		{name: "mixed", projection: M{"name": 1, "at": 0}, code: 31254},
		{name: "collision", projection: D{{Key: "at", Value: 1}, {Key: "at.b", Value: 1}}, code: 31249},
		{name: "positional", projection: M{"v.$": 1}, code: 238},
		{name: "unknown expression", projection: M{"a": M{"$frobnicate": 1}}, code: 168},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got M
			err := c.FindOne(t.Context(), M{}, options.FindOne().SetProjection(test.projection)).Decode(&got)
			if test.code != 0 {
				wantCode(t, err, test.code)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, plain(got)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}
