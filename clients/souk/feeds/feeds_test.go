package feeds

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const mapping = `
externalId: "x-{id}"
title: "{brand} {name}"
description: "{about.long|nothing is known}"
brand: "{brand}"
categoryPath: "{shelves}"
imageUrls: "{pictures}"
attributes:
  - {key: made_in, value: "{about.origin}"}
  - {key: memory, value: "{name}", match: '(\d+) ?GB', unit: GB}
variants: {price: "{price}", currency: USD, weightGrams: "{weight|250}"}
`

func TestMapping(t *testing.T) {
	plain := Product{
		ExternalID: "x-1", Title: "Acme Lamp", Description: "nothing is known", Brand: "Acme", CategoryPath: []string{"Home", "Lamps"},
		Variants: []Variant{{SKU: "x-1", Price: Money{"9.50", "USD"}, WeightGrams: 250}},
	}
	with := func(change func(*Product)) Product {
		p := plain
		p.Variants = []Variant{plain.Variants[0]}
		change(&p)
		return p
	}
	for name, test := range map[string]struct {
		mapping, record string
		want            Product
		problems        []Problem
	}{
		"plain": {mapping, `{"id": 1, "name": "Lamp", "brand": "Acme", "shelves": ["Home", "Lamps"], "price": "9.50"}`, plain, nil},
		"numbers stay as they are written": {
			mapping, `{"id": 1, "name": "Lamp", "brand": "Acme", "shelves": ["Home", "Lamps"], "price": 9.50}`, plain, nil,
		},
		"paths, lists and parts": {
			mapping, `{"id": 1, "name": "Phone 64GB", "brand": "Acme", "shelves": "Home > Lamps", "price": "$1,299.00", "weight": 300,
				"pictures": ["https://a.test/1", "https://a.test/2"], "about": {"long": "Long.", "origin": "Peru"}}`,
			with(func(p *Product) {
				p.Title, p.Description, p.ImageURLs = "Acme Phone 64GB", "Long.", []string{"https://a.test/1", "https://a.test/2"}
				p.Attributes = []Attribute{{"made_in", "Peru", ""}, {"memory", "64", "GB"}}
				p.Variants[0].Price.Amount, p.Variants[0].WeightGrams = "1299.00", 300
			}), nil,
		},
		"what is missing is told at once": {
			mapping, `{"id": 1, "shelves": [], "weight": "heavy"}`,
			with(func(p *Product) {
				p.Title, p.Brand, p.CategoryPath = "", "", nil
				p.Variants[0].Price.Amount, p.Variants[0].WeightGrams = "", 0
			}),
			[]Problem{
				{"title", "the record does not have it"}, {"categoryPath", "the record does not have it"},
				{"variants.0.price", "the record does not have it"}, {"variants.0.weightGrams", `"heavy" is not a number of grams`},
			},
		},
		"variants in a list": {
			strings.Replace(mapping, "variants: {price", `variants: {each: sizes, sku: "{id}-{size}", options: [{name: Size, value: "{size}"}], price`, 1),
			`{"id": 1, "name": "Lamp", "brand": "Acme", "shelves": ["Home", "Lamps"], "price": 5, "sizes": [{"size": "S"}, {"size": "L", "price": 7}]}`,
			with(func(p *Product) {
				p.Variants = []Variant{
					{SKU: "1-S", Price: Money{"5", "USD"}, Options: []Option{{"Size", "S"}}, WeightGrams: 250},
					{SKU: "1-L", Price: Money{"7", "USD"}, Options: []Option{{"Size", "L"}}, WeightGrams: 250},
				}
			}), nil,
		},
		"the shop's own fields need no mapping": {
			"", `{"externalId": "x-1", "title": "Acme Lamp", "description": "nothing is known", "brand": "Acme", "categoryPath": ["Home", "Lamps"],
				"variants": [{"sku": "x-1", "price": {"amount": 9.50, "currencyCode": "USD"}, "weightGrams": 250}]}`, plain, nil,
		},
		"a field that the shop does not know": {"", `{"externalId": "x-1", "colour": "red"}`, Product{ExternalID: "x-1"}, []Problem{{"", `unknown field "colour"`}}},
	} {
		t.Run(name, func(t *testing.T) {
			var m *Mapping
			if test.mapping != "" {
				var err error
				if m, err = ReadMapping([]byte(test.mapping)); err != nil {
					t.Fatal(err)
				}
			}
			items := read(t, test.record, JSONL, m)
			if diff := cmp.Diff(test.problems, items[0].Problems); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(test.want, items[0].Product); diff != "" && test.mapping != "" {
				t.Error(diff)
			}
		})
	}
}

func read(t *testing.T, feed string, format Format, m *Mapping) (items []Item) {
	t.Helper()
	if format == JSONL {
		feed = strings.ReplaceAll(feed, "\n", " ")
	}
	for item, err := range Read(strings.NewReader(feed), format, m) {
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, item)
	}
	return items
}

func TestMappingsThatSayNothing(t *testing.T) {
	for name, text := range map[string]string{
		"no title":        strings.Replace(mapping, "title:", "description2:", 1),
		"no price":        strings.Replace(mapping, `price: "{price}", `, "", 1),
		"a field unknown": mapping + "colour: red\n",
		"an open brace":   strings.Replace(mapping, `"{brand}"`, `"{brand"`, 1),
		"a wrong regexp":  strings.Replace(mapping, `(\d+)`, `(\d+`, 1),
		"not YAML":        "title: [",
	} {
		if _, err := ReadMapping([]byte(text)); err == nil {
			t.Errorf("%s is taken for a mapping", name)
		}
	}
}

// One name from content, whatever stands around the record and in which order its fields come.
func TestFingerprints(t *testing.T) {
	m, err := ReadMapping([]byte(strings.Replace(mapping, `"x-{id}"`, `"x-{#name,brand}"`, 1)))
	if err != nil {
		t.Fatal(err)
	}
	one := read(t, `{"name": "Lamp", "brand": "Acme", "price": 1}`, JSONL, m)
	other := read(t, `{"price": 2, "brand": "Acme", "name": "Lamp"}`, JSONL, m)
	another := read(t, `{"price": 2, "brand": "Acme", "name": "Lamps"}`, JSONL, m)
	if one[0].ExternalID != other[0].ExternalID || one[0].ExternalID == another[0].ExternalID || len(one[0].ExternalID) != len("x-")+16 {
		t.Errorf("%s, %s, %s", one[0].ExternalID, other[0].ExternalID, another[0].ExternalID)
	}
}

// What is broken spoils itself alone.
func TestBrokenFeeds(t *testing.T) {
	type row struct {
		Row, Rows, Repeated int
		ExternalID          string
		Wrong               bool
	}
	const own = `{"externalId": "%", "title": "T", "categoryPath": ["C"], "variants": []}`
	record := func(id string) string { return strings.Replace(own, "%", id, 1) }
	good := func(n int, id string) row { return row{Row: n, Rows: 1, ExternalID: id} }
	wrong := func(n int) row { return row{Row: n, Rows: 1, Wrong: true} }
	for name, test := range map[string]struct {
		format Format
		feed   string
		want   []row
	}{
		"lines": {
			JSONL, record("a") + "\n\n{\"title\": \n[1]\nnull\n" + record("b") + " " + record("c") + "\n\xff\n" + record("d"),
			[]row{good(1, "a"), wrong(3), wrong(4), wrong(5), wrong(6), wrong(7), good(8, "d")},
		},
		"a line that never ends": {
			JSONL, record("a") + "\n" + strings.Repeat("x", longestRecord+1) + "\n" + record("b"), []row{good(1, "a"), wrong(2), good(3, "b")},
		},
		"an array on one line": {JSON, "[" + record("a") + "," + record("b") + `, {"title": }, 7, "text", ` + record("c") + "]", []row{good(1, "a"), good(2, "b"), wrong(3), wrong(4), wrong(5), good(6, "c")}},
		"a quote that is never closed": {
			JSON, "[\n  " + record("a") + ",\n  {\"title\": \"open},\n  " + record("b") + "\n]", []row{good(1, "a"), wrong(2), good(3, "b")},
		},
		"a bracket that is never closed": {
			JSON, "[\n  " + record("a") + ",\n  {\"title\": [1, {},\n  " + record("b") + ",\n  " + record("c") + "\n]", []row{good(1, "a"), wrong(2), good(3, "b"), good(4, "c")},
		},
		"an array that is cut off": {JSON, "[" + record("a") + `, {"title": "T`, []row{good(1, "a"), wrong(2)}},
		"brackets out of place":    {JSON, "[}, " + record("a") + "}]", []row{wrong(1), good(2, "a"), wrong(3)}},
		"an empty array":           {JSON, " [ ] ", nil},
		"a byte order mark":        {JSON, "\ufeff[" + record("a") + "]", []row{good(1, "a")}},
		"the same again": {
			JSONL, strings.Join([]string{record("a"), record("a"), record("b"), record("a"), strings.Replace(record("b"), `"T"`, `"U"`, 1)}, "\n"),
			[]row{{1, 2, 1, "a", false}, good(3, "b"), {4, 1, 1, "a", false}, {5, 1, 0, "b", true}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got []row
			for item, err := range Read(strings.NewReader(test.feed), test.format, nil) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, row{item.Row, item.Rows, item.Repeated, item.ExternalID, len(item.Problems) > 0})
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCSV(t *testing.T) {
	const feed = `externalId,title,description,categoryPath,brand,sku,price,currency,weightGrams,option:Size,attribute:screen_size:in
a,Shirt,"Two
lines, and a ""quote""",Clothing > Shirts,Acme,a-s,10.00,USD,300,S,
a,Shirt,,,,a-m,11.00,USD,300,M,
b,Set,Plain,Electronics,Acme,b,99,USD,5000,,43
c,"never closed,Plain,Electronics,Acme,c,99,USD,5000,,43
d,Too,few
e,Last,Plain,Electronics,Acme,e,1,USD,1,,`
	items := read(t, feed, CSV, nil)
	shirt := Product{
		ExternalID: "a", Title: "Shirt", Description: "Two\nlines, and a \"quote\"", Brand: "Acme", CategoryPath: []string{"Clothing", "Shirts"},
		Variants: []Variant{
			{SKU: "a-s", Price: Money{"10.00", "USD"}, Options: []Option{{"Size", "S"}}, WeightGrams: 300},
			{SKU: "a-m", Price: Money{"11.00", "USD"}, Options: []Option{{"Size", "M"}}, WeightGrams: 300},
		},
	}
	if diff := cmp.Diff(shirt, items[0].Product, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
	var rows []int
	var wrong []bool
	for _, item := range items {
		rows, wrong = append(rows, item.Row), append(wrong, len(item.Problems) > 0)
	}
	if diff := cmp.Diff([]int{1, 3, 4, 5, 6}, rows); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]bool{false, false, true, true, false}, wrong); diff != "" {
		t.Errorf("%s\n%v", diff, items)
	}
	if diff := cmp.Diff([]Attribute{{"screen_size", "43", "in"}}, items[1].Product.Attributes); diff != "" {
		t.Error(diff)
	}
}

func TestFeedsThatAreNone(t *testing.T) {
	for name, test := range map[string]struct {
		format Format
		feed   string
	}{"an object": {JSON, `{"title": "T"}`}, "nothing": {JSON, ""}, "no header": {CSV, ""}} {
		failed := false
		for _, err := range Read(strings.NewReader(test.feed), test.format, nil) {
			failed = failed || err != nil
		}
		if !failed {
			t.Errorf("%s is taken for a feed", name)
		}
	}
}

// The mapping that is shipped fits the shape it says.
func TestPhones(t *testing.T) {
	text, err := os.ReadFile("../../../demo/mappings/phones.yml")
	if err != nil {
		t.Fatal(err)
	}
	m, err := ReadMapping(text)
	if err != nil {
		t.Fatal(err)
	}
	items := read(t, `{"name": "Acme - Phone One with 32GB Memory - Rose Gold", "description": "A phone.", "brand": "Acme",
		"categories": ["Cell Phones", "Unlocked Cell Phones"], "price": 199.99, "image": "https://pictures.test/1.jpg", "popularity": 12}`, JSONL, m)
	p := items[0].Product
	if len(items[0].Problems) > 0 || len(p.CategoryPath) != 2 || p.Variants[0].Price != (Money{"199.99", "USD"}) || len(p.Attributes) != 3 {
		t.Errorf("%+v", items[0])
	}
}

// Whatever the bytes are, reading ends, and rows rise.
func FuzzRead(f *testing.F) {
	for _, feed := range []string{`[{"a":1},{]`, "[\n  {\"a\n  {}\n]", "a,b\n\"1,2\n3,4", "{}\n[]"} {
		f.Add(feed)
	}
	f.Fuzz(func(t *testing.T, feed string) {
		for _, format := range []Format{JSON, JSONL, CSV} {
			last := 0
			for item, err := range Read(strings.NewReader(feed), format, nil) {
				if err != nil {
					break
				}
				if item.Row < 1 || item.Rows < 1 {
					t.Fatalf("row %d of %d rows", item.Row, item.Rows)
				}
				last = max(last, item.Row)
			}
			if last > len(feed) {
				t.Fatalf("%d rows in %d bytes", last, len(feed))
			}
		}
	})
}
