package mongo

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/256dpi/lungo/bsonkit"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/bson/primitive"
	"pgregory.net/rapid"
)

// scalars meet and collide: numbers of all types, strings that are prefixes of one another.
var scalars = rapid.SampledFrom([]any{
	nil, true, false, int32(0), int32(1), int64(1), 1.0, 1.5, int32(-1), int32(2), int64(1 << 53), int64(1<<53 + 1),
	int64(1<<63 - 1), float64(1 << 63), decimal128("1"), decimal128("1.5"), decimal128("-0.1"), -0.1, "", "a", "a\x00", "ab", "b",
	primitive.DateTime(5), primitive.DateTime(-5), primitive.ObjectID{1}, primitive.Binary{Data: []byte{1}}, primitive.Binary{Data: []byte{1, 2}},
	primitive.Timestamp{T: 1, I: 2}, primitive.Regex{Pattern: "a"},
})

func decimal128(s string) primitive.Decimal128 {
	d, err := primitive.ParseDecimal128(s)
	if err != nil {
		panic(err)
	}
	return d
}

// few are values that documents and filters are likely to share.
var few = rapid.SampledFrom([]any{nil, int32(1), 1.0, int64(2), int32(3), "a", "b", bson.A{}})

// shapes are documents with arrays of documents, as variants are, over the few.
func shapes(depth int) *rapid.Generator[any] {
	if depth == 0 {
		return few
	}
	inner := shapes(depth - 1)
	return rapid.OneOf(few, few,
		rapid.Map(rapid.SliceOfN(inner, 1, 3), func(vs []any) any { return bson.A(vs) }),
		rapid.Map(documents(inner), func(d bson.D) any { return d }))
}

var names = rapid.SampledFrom([]string{"a", "b", "c"})

// values nest documents and arrays over the scalars.
func values(depth int) *rapid.Generator[any] {
	if depth == 0 {
		return scalars
	}
	inner := values(depth - 1)
	return rapid.OneOf(scalars, scalars,
		rapid.Map(rapid.SliceOfN(inner, 0, 3), func(vs []any) any { return bson.A(vs) }),
		rapid.Map(documents(inner), func(d bson.D) any { return d }))
}

func documents(value *rapid.Generator[any]) *rapid.Generator[bson.D] {
	return rapid.Custom(func(t *rapid.T) bson.D {
		doc := bson.D{}
		for _, name := range rapid.SliceOfNDistinct(names, 0, 3, rapid.ID).Draw(t, "fields") {
			doc = append(doc, bson.E{Key: name, Value: value.Draw(t, name)})
		}
		return doc
	})
}

var allPaths = rapid.SampledFrom([]string{"a", "a", "b", "a.a", "a.a", "a.b", "a.b", "b.a", "a.0", "a.b.c", "_id"})

// filterDocs are valid filters over the paths.
func filterDocs(paths *rapid.Generator[string], depth int) *rapid.Generator[bson.D] {
	return rapid.Custom(func(t *rapid.T) bson.D {
		filter := bson.D{}
		for range rapid.SampledFrom([]int{0, 1, 1, 2, 2}).Draw(t, "conditions") {
			if depth > 0 && rapid.IntRange(0, 4).Draw(t, "logical") == 0 {
				branches := rapid.SliceOfN(filterDocs(paths, depth-1), 1, 2).Draw(t, "branches")
				array := bson.A{}
				for _, b := range branches {
					array = append(array, b)
				}
				filter = append(filter, bson.E{Key: rapid.SampledFrom([]string{"$and", "$or", "$nor"}).Draw(t, "operator"), Value: array})
				continue
			}
			filter = append(filter, bson.E{Key: paths.Draw(t, "path"), Value: conditions(paths, depth).Draw(t, "condition")})
		}
		return filter
	})
}

// typicalFilters ask for small numbers in two paths at once, which arrays may meet by different elements.
func typicalFilters(paths *rapid.Generator[string]) *rapid.Generator[bson.D] {
	small := rapid.Int32Range(0, 4)
	return rapid.Custom(func(t *rapid.T) bson.D {
		filter := bson.D{}
		for _, path := range rapid.SliceOfNDistinct(paths, 1, 2, rapid.ID).Draw(t, "paths") {
			n := small.Draw(t, "n")
			condition := rapid.SampledFrom([]any{n, bson.D{{Key: "$gt", Value: n}}, bson.D{{Key: "$lte", Value: n}},
				bson.D{{Key: "$gte", Value: n}, {Key: "$lte", Value: small.Draw(t, "m")}}, bson.D{{Key: "$in", Value: bson.A{n, small.Draw(t, "m")}}}}).Draw(t, "condition")
			filter = append(filter, bson.E{Key: path, Value: condition})
		}
		return filter
	})
}

func eitherOf(filters *rapid.Generator[bson.D]) *rapid.Generator[bson.D] {
	return rapid.Custom(func(t *rapid.T) bson.D {
		either := bson.E{Key: "$or", Value: bson.A{filters.Draw(t, "one"), filters.Draw(t, "other")}}
		return append(rapid.OneOf(filters, rapid.Just(bson.D{})).Draw(t, "and"), either)
	})
}

// variantDocs are products with variants in them.
func variantDocs() *rapid.Generator[bson.D] {
	small := rapid.Map(rapid.Int32Range(0, 4), func(n int32) any { return n })
	variants := rapid.Map(rapid.SliceOfN(rapid.Map(documents(small), func(d bson.D) any { return d }), 0, 3), func(vs []any) any { return bson.A(vs) })
	numbers := rapid.Map(rapid.SliceOfN(small, 0, 3), func(vs []any) any { return bson.A(vs) })
	return documents(rapid.OneOf(variants, numbers, small))
}

func conditions(paths *rapid.Generator[string], depth int) *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		operators := bson.D{}
		for range rapid.IntRange(1, 2).Draw(t, "operators") {
			operator := rapid.SampledFrom([]string{"", "", "$eq", "$gt", "$gte", "$lt", "$lte", "$ne", "$in", "$nin", "$exists", "$elemMatch", "$regex", "$size", "$not"}).Draw(t, "operator")
			var v any
			switch operator {
			case "":
				return shapes(1).Draw(t, "value")
			case "$in", "$nin":
				v = bson.A(rapid.SliceOfN(shapes(1), 0, 3).Draw(t, "values"))
			case "$exists":
				v = rapid.Bool().Draw(t, "exists")
			case "$elemMatch":
				if depth == 0 {
					continue
				}
				v = filterDocs(paths, depth-1).Draw(t, "element")
			case "$regex":
				v = "^a"
			case "$size":
				v = int32(1)
			case "$not":
				v = bson.D{{Key: "$gt", Value: few.Draw(t, "value")}}
			default:
				v = shapes(1).Draw(t, "value")
			}
			operators = append(operators, bson.E{Key: operator, Value: v})
		}
		if len(operators) == 0 {
			return nil
		}
		return operators
	})
}

func patterns(paths *rapid.Generator[string], least int) *rapid.Generator[bson.D] {
	return rapid.Custom(func(t *rapid.T) bson.D {
		pattern := bson.D{}
		for _, path := range rapid.SliceOfNDistinct(paths, least, 2, rapid.ID).Draw(t, "paths") {
			pattern = append(pattern, bson.E{Key: path, Value: rapid.SampledFrom([]int32{1, -1}).Draw(t, "direction")})
		}
		return pattern
	})
}

func testServer(t *testing.T) *Server {
	t.Helper()
	s, err := Open(t.Context(), Config{Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestIndexesNeverChangeAnswers compares random questions to a random collection with and without random indexes,
// through random updates.
func TestIndexesNeverChangeAnswers(t *testing.T) {
	s := testServer(t)
	round := 0
	rapid.Check(t, func(t *rapid.T) {
		round++
		collections := []string{fmt.Sprint("plain-", round), fmt.Sprint("indexed-", round)}
		run := func(collection string, args bson.D) bson.D {
			r := &request{server: s, name: args[0].Key, database: "random", args: append(bson.D{{Key: args[0].Key, Value: collection}}, args[1:]...)}
			return r.answer()
		}
		// A round stays on a few paths, so that indexes, filters and sorts meet.
		paths := rapid.SampledFrom(rapid.SliceOfNDistinct(allPaths, 2, 3, rapid.ID).Draw(t, "paths"))
		var specs bson.A
		for i, pattern := range rapid.SliceOfN(patterns(paths, 2), 1, 2).Draw(t, "indexes") {
			spec := bson.D{{Key: "key", Value: pattern}, {Key: "name", Value: fmt.Sprint("ix", i)}}
			switch rapid.IntRange(0, 3).Draw(t, "kind") {
			case 1:
				spec = append(spec, bson.E{Key: "sparse", Value: true})
			case 2:
				spec = append(spec, bson.E{Key: "partialFilterExpression", Value: bson.D{{Key: "b", Value: bson.D{{Key: "$gte", Value: int32(1)}}}}})
			}
			specs = append(specs, spec)
		}
		run(collections[1], bson.D{{Key: "createIndexes"}, {Key: "indexes", Value: specs}})

		stored := bson.A{}
		for i, doc := range rapid.SliceOfN(rapid.OneOf(documents(shapes(2)), variantDocs()), 1, 8).Draw(t, "documents") {
			stored = append(stored, append(bson.D{{Key: "_id", Value: int32(i)}}, doc...))
		}
		// Parallel arrays are refused where a compound index would need both; both collections keep what both took.
		indexed := run(collections[1], bson.D{{Key: "insert"}, {Key: "documents", Value: stored}, {Key: "ordered", Value: false}})
		if refused, ok := lookup(indexed, "writeErrors").(bson.A); ok {
			for i := len(refused) - 1; i >= 0; i-- {
				at, _ := toInt64(lookup(refused[i].(bson.D), "index"))
				stored = slices.Delete(stored, int(at), int(at)+1)
			}
		}
		if len(stored) > 0 {
			run(collections[0], bson.D{{Key: "insert"}, {Key: "documents", Value: stored}})
		}
		for range 6 {
			filter := rapid.OneOf(filterDocs(paths, 2), typicalFilters(paths), eitherOf(typicalFilters(paths))).Draw(t, "filter")
			find := bson.D{{Key: "find"}, {Key: "filter", Value: filter}}
			sorted := rapid.Bool().Draw(t, "sorted")
			if sorted { // by _id in the end, so that the answer has one order
				order := append(without(patterns(paths, 0).Draw(t, "sort"), "_id"), bson.E{Key: "_id", Value: int32(1)})
				find = append(find, bson.E{Key: "sort", Value: order}, bson.E{Key: "limit", Value: rapid.SampledFrom([]int32{0, 2}).Draw(t, "limit")})
			}
			plain, indexed := shown(run(collections[0], find), sorted), shown(run(collections[1], find), sorted)
			if plain != indexed {
				t.Fatalf("%v\nplain   %s\nindexed %s", find, plain, indexed)
			}
			update := bson.D{{Key: "update"}, {Key: "updates", Value: bson.A{bson.D{
				{Key: "q", Value: bson.D{{Key: "_id", Value: int32(rapid.IntRange(0, 7).Draw(t, "id"))}}},
				{Key: "u", Value: bson.D{{Key: "$set", Value: bson.D{{Key: names.Draw(t, "field"), Value: shapes(2).Draw(t, "value")}}}}},
			}}}}
			if answer := run(collections[1], update); lookup(answer, "writeErrors") == nil {
				run(collections[0], update)
			}
		}
	})
}

// shown is what an answer says, whatever collection said it and, unless it is sorted, in whatever order.
func shown(answer bson.D, sorted bool) string {
	cursor, _ := lookup(answer, "cursor").(bson.D)
	batch, _ := lookup(cursor, "firstBatch").([]bson.Raw)
	lines := make([]string, len(batch))
	for i, raw := range batch {
		lines[i] = raw.String()
	}
	if !sorted {
		slices.Sort(lines)
	}
	return fmt.Sprint(lookup(answer, "ok"), lookup(answer, "errmsg"), strings.Join(lines, "\n"))
}

// TestKeysOrderAsValuesDo holds the byte order of keys against the kit's comparison, in both directions.
func TestKeysOrderAsValuesDo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := values(2).Draw(t, "a"), values(2).Draw(t, "b")
		want := bsonkit.Compare(a, b)
		if got := strings.Compare(string(appendKey(nil, a, false)), string(appendKey(nil, b, false))); got != want {
			t.Fatalf("%#v and %#v compare %d, their keys %d", a, b, want, got)
		}
		if got := strings.Compare(string(appendKey(nil, a, true)), string(appendKey(nil, b, true))); got != -want {
			t.Fatalf("%#v and %#v compare %d, their descending keys %d", a, b, want, got)
		}
	})
}

// TestCodecIsTheDriversOwn holds our BSON against the library's.
func TestCodecIsTheDriversOwn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		doc := documents(values(3)).Draw(t, "document")
		raw, err := encode(doc)
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := bson.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		if string(raw) != string(theirs) {
			t.Fatalf("%v\nours   %x\ntheirs %x", doc, raw, theirs)
		}
		again, err := decode(raw)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := encode(again); err != nil || string(back) != string(raw) {
			t.Fatalf("%v came back as %v, %v", doc, again, err)
		}
	})
}

// TestNoCommandPanics throws operators at places where they may or may not belong.
func TestNoCommandPanics(t *testing.T) {
	s := testServer(t)
	keys := rapid.SampledFrom(slices.Concat([]string{"a", "a.b", "a.$", "a.$[]", "a.$[x]", "", ".", "a.", "_id", "x", "if", "then", "else", "input", "as", "in", "cond",
		"$each", "$slice", "$sort", "$position", "$options", "$comment", "key", "name", "unique", "path", "newRoot", "from", "localField", "foreignField"},
		operatorNames()))
	var wild func(depth int) *rapid.Generator[any]
	wild = func(depth int) *rapid.Generator[any] {
		texts := rapid.SampledFrom([]any{"$a", "$$ROOT", "$", "$$", "$$a.b", "$a..b"})
		if depth == 0 {
			return rapid.OneOf(scalars, texts)
		}
		inner := wild(depth - 1)
		return rapid.OneOf(scalars, texts,
			rapid.Map(rapid.SliceOfN(inner, 0, 3), func(vs []any) any { return bson.A(vs) }),
			rapid.Custom(func(t *rapid.T) any {
				doc := bson.D{}
				for range rapid.IntRange(0, 2).Draw(t, "fields") {
					doc = append(doc, bson.E{Key: keys.Draw(t, "key"), Value: inner.Draw(t, "value")})
				}
				return doc
			}))
	}
	raw, err := encode(bson.D{{Key: "_id", Value: int32(1)}, {Key: "a", Value: bson.A{int32(1), bson.D{{Key: "b", Value: "x"}}}}, {Key: "x", Value: 1.5}})
	if err != nil {
		t.Fatal(err)
	}
	commandNames := make([]string, 0, len(commands))
	for name := range commands {
		commandNames = append(commandNames, name)
	}
	slices.Sort(commandNames)
	c := &connection{server: s}
	send := func(doc bson.D, statements map[string][]bson.Raw) bson.D {
		command, err := encode(doc)
		if err != nil {
			return nil
		}
		return c.answer(&message{kind: opMsg, command: command, sequences: statements})
	}
	rapid.Check(t, func(t *rapid.T) {
		send(bson.D{{Key: "insert", Value: "c"}, {Key: "$db", Value: "wild"}}, map[string][]bson.Raw{"documents": {raw}})
		name := rapid.SampledFrom(commandNames).Draw(t, "command")
		doc := bson.D{{Key: name, Value: "c"}, {Key: "$db", Value: "wild"}}
		for _, option := range commands[name].options {
			switch option {
			case "updates", "deletes":
				doc = append(doc, bson.E{Key: option, Value: bson.A{bson.D{{Key: "q", Value: wild(2).Draw(t, "q")}, {Key: "u", Value: wild(3).Draw(t, "u")},
					{Key: "upsert", Value: rapid.Bool().Draw(t, "upsert")}, {Key: "arrayFilters", Value: bson.A{wild(2).Draw(t, "arrayFilter")}}}}})
			case "pipeline":
				doc = append(doc, bson.E{Key: option, Value: bson.A{bson.D{{Key: keys.Draw(t, "stage"), Value: wild(3).Draw(t, "spec")}}}})
			default:
				if rapid.Bool().Draw(t, option) {
					doc = append(doc, bson.E{Key: option, Value: wild(3).Draw(t, option)})
				}
			}
		}
		answer := send(doc, nil)
		if text, _ := lookup(answer, "errmsg").(string); strings.Contains(text, "failed on this command") {
			t.Fatalf("%v: %s", doc, text)
		}
	})
}

func operatorNames() []string {
	var all []string
	for name := range expressions {
		all = append(all, name)
	}
	for name := range specialExpressions {
		all = append(all, name)
	}
	for name := range accumulators {
		all = append(all, name)
	}
	for name := range stageKinds {
		all = append(all, name)
	}
	all = append(all, "$set", "$unset", "$rename", "$inc", "$mul", "$push", "$pull", "$addToSet", "$pop", "$bit", "$currentDate", "$setOnInsert", "$pullAll",
		"$gt", "$lt", "$regex", "$elemMatch", "$all", "$size", "$type", "$mod", "$exists", "$nin", "$jsonSchema", "$expr", "$bitsAllSet", "$nor")
	slices.Sort(all)
	return slices.Compact(all)
}
