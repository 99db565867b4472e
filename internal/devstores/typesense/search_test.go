package typesense

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

const shopSchema = `{"name":"shop","enable_nested_fields":true,"default_sorting_field":"rank","fields":[
	{"name":"name","type":"string","sort":true},
	{"name":"text","type":"string","optional":true},
	{"name":"tags","type":"string[]","optional":true,"facet":true},
	{"name":"brand","type":"string","facet":true,"optional":true,"sort":true},
	{"name":"price","type":"float","facet":true,"optional":true},
	{"name":"rank","type":"int32"},
	{"name":"big","type":"int64","optional":true},
	{"name":"sizes","type":"int32[]","optional":true,"facet":true},
	{"name":"sale","type":"bool","optional":true,"facet":true},
	{"name":"place","type":"geopoint","optional":true},
	{"name":"attributes","type":"object","optional":true,"facet":true},
	{"name":"offers","type":"object[]","optional":true}]}`

// shop is a server with a handful of products that differ in everything.
func shop(t *testing.T) caller {
	t.Helper()
	c := calls(t, open(t, t.TempDir()))
	c.ok("POST", "/collections", shopSchema)
	c.load("shop",
		`{"id":"1","name":"Samsung Galaxy S24","brand":"Samsung","price":799.5,"rank":90,"tags":["phone","android"],"sizes":[128,256],"sale":true,"big":9007199254740993,"place":[48.85,2.35],"attributes":{"color":"black","ram":8}}`,
		`{"id":"2","name":"Samsung Galaxy Buds","brand":"Samsung","price":149,"rank":70,"tags":["audio"],"sale":false,"place":[51.5,-0.12],"attributes":{"color":"white"},"offers":[{"seller":"Ann","price":140},{"seller":"Bob","price":150}]}`,
		`{"id":"3","name":"Apple iPhone 15","brand":"Apple","price":899,"rank":95,"tags":["phone","ios"],"sizes":[128],"place":[40.7,-74],"attributes":{"color":"black"}}`,
		`{"id":"4","name":"Phone Case for Samsung","brand":"Spigen","price":19.99,"rank":20,"tags":["phone case","accessory"],"text":"Fits the galaxy of phones"}`,
		`{"id":"5","name":"Running Shoes, Men","brand":"Nike (EU)","price":119,"rank":50,"tags":["sport"],"sizes":[42,43]}`,
		`{"id":"6","name":"Gift card","rank":5}`,
	)
	return c
}

func TestFilters(t *testing.T) {
	c := shop(t)
	for filter, want := range map[string]string{
		"brand:Samsung":                           "1 2",
		"brand:=samsung":                          "1 2",
		"brand:=`Nike (EU)`":                      "5",
		"brand:=Nike (EU)":                        "5",
		"brand:=Nike (EU) && price:>100":          "5",
		"name:=[`Running Shoes, Men`,Gift card]":  "5 6",
		"brand:!=Samsung":                         "3 5 4 6",
		"brand:!=[Samsung,Apple]":                 "5 4 6",
		"name:! samsung":                          "3 5 6",
		"tags:phone":                              "3 1 4",
		"tags:=phone":                             "3 1",
		"tags:=[phone,sport]":                     "3 1 5",
		"tags:=phone && tags:=ios":                "3",
		"tags:!=phone":                            "2 5 4 6",
		"tags:ph*":                                "3 1 4",
		"tags:=ph*":                               "3 1 4",
		"name:=Sam*":                              "1 2",
		"name:sam*":                               "1 2 4",
		"name:=samsung gal*":                      "1 2",
		"name:=galaxy*":                           "",
		"price:799.5":                             "1",
		"price:=[149,119]":                        "2 5",
		"price:!=149":                             "3 1 5 4 6",
		"price:[100..150]":                        "2 5",
		"price:[100..119, 899]":                   "3 5",
		"price:[<20, >800]":                       "3 4",
		"price:>=119&&price:<=149":                "2 5",
		"big:=9007199254740993":                   "1",
		"big:>9007199254740992":                   "1",
		"sizes:=128":                              "3 1",
		"sizes:>200":                              "1",
		"sizes:!=128":                             "2 5 4 6",
		"sale:true":                               "1",
		"sale:=[true,false]":                      "1 2",
		"sale:!=true":                             "3 2 5 4 6",
		"attributes.color:=black":                 "3 1",
		"attributes.ram:>4":                       "1",
		"offers.seller:=Bob":                      "2",
		"offers.price:<145":                       "2",
		"id:=[3,1]":                               "3 1",
		"id:!=[1,2,3]":                            "5 4 6",
		"id:*":                                    "3 1 2 5 4 6",
		"rank:>60 && (brand:Apple || price:<200)": "3 2",
		"(((rank:>94)))":                          "3",
		"rank:>94 || rank:<6 && brand:Apple":      "3",
		"place:(48.9, 2.3, 20 km)":                "1",
		"place:([51.4, -0.1], radius: 20 km)":     "2",
		"place:(51.4, -0.1, 10 mi)":               "2",
		"place:(45, 0, 55, 0, 55, 5, 45, 5)":      "1",
	} {
		a := c.search("shop", "q", "*", "filter_by", filter)
		if got := a.ids(); got != want || a.status != http.StatusOK {
			t.Errorf("%s: %q, not %q (%s)", filter, got, want, a.Message)
		}
	}
}

func TestBadParameters(t *testing.T) {
	c := shop(t)
	for _, tc := range []struct {
		status  int
		message string
		params  []string
	}{
		{400, "Could not parse the filter query: unbalanced parentheses.", []string{"q", "*", "filter_by", "(rank:>1"}},
		{400, "Could not parse the filter query: unbalanced parentheses.", []string{"q", "*", "filter_by", "rank:>1)"}},
		{400, "Could not parse the filter query: unbalanced `&&` operands.", []string{"q", "*", "filter_by", "rank:>1 &&"}},
		{400, "Could not parse the filter query.", []string{"q", "*", "filter_by", "name && rank:>1"}},
		{400, "Value of filter field `sale` must be `true` or `false`.", []string{"q", "*", "filter_by", "sale:maybe"}},
		{400, "Could not parse the filter query.", []string{"q", "*", "filter_by", "rank"}},
		{400, "Could not parse the filter query.", []string{"q", "*", "filter_by", "brand:=`open"}},
		{400, "Error with filter field `rank`: Not an int32.", []string{"q", "*", "filter_by", "rank:>12.5"}},
		{400, "Error with filter field `big`: Not an int64.", []string{"q", "*", "filter_by", "big:=99999999999999999999"}},
		{400, "Error with filter field `brand`: Filter value cannot be empty.", []string{"q", "*", "filter_by", "brand:="}},
		{400, "Could not find a filter field named `what` in the schema.", []string{"q", "*", "filter_by", "what:=1"}},
		{400, "Parameter `q` is required.", []string{"query_by", "name"}},
		{404, "Could not find a field named `what` in the schema.", []string{"q", "x", "query_by", "what"}},
		{400, "Field `price` should be a string or a string array.", []string{"q", "x", "query_by", "price"}},
		{400, "Number of weights in `query_by_weights` does not match number of `query_by` fields.", []string{"q", "x", "query_by", "name", "query_by_weights", "1,2"}},
		{404, "Could not find a field named `tags` in the schema for sorting.", []string{"q", "*", "sort_by", "tags:asc"}},
		{422, "Only upto 3 sort_by fields can be specified.", []string{"q", "*", "sort_by", "rank:asc,price:asc,big:asc,name:asc"}},
		{404, "Could not find a facet field named `name` in the schema.", []string{"q", "*", "facet_by", "name"}},
		{400, "Facet query must be in the `facet_field: value` format.", []string{"q", "*", "facet_by", "brand", "facet_query", "brand"}},
		{400, "Group by field `rank` should be a facet field.", []string{"q", "*", "group_by", "rank"}},
		{400, "Parameter `per_page` must be an unsigned integer.", []string{"q", "*", "per_page", "-1"}},
		{422, "Page must be an integer of value greater than 0.", []string{"q", "*", "page", "0"}},
		{422, "Only upto 5 hits can be fetched. Ensure that `page` and `per_page` parameters are within this range.", []string{"q", "*", "limit_hits", "5"}},
	} {
		a := c.search("shop", tc.params...)
		if a.status != tc.status || a.Message != tc.message {
			t.Errorf("%q: %d %s", tc.params, a.status, a.Message)
		}
	}
}

func TestQueries(t *testing.T) {
	c := shop(t)
	for _, tc := range []struct{ q, by, more, value, want string }{
		{"samsng galaxy", "name", "", "", "1 2"},
		{"smasung", "name", "", "", "1 2 4"}, // two letters swapped are one typo
		{"samsung", "name", "num_typos", "0", "1 2 4"},
		{"samsng", "name", "num_typos", "0", ""},
		{"samsng", "name", "typo_tokens_threshold", "0", ""},
		{"samsng", "name", "min_len_1typo", "7", ""},
		{"s25", "name", "", "", ""}, // too short for a typo
		{"galaxy", "name,text", "", "", "1 2 4"},
		{`"galaxy buds"`, "name", "", "", "2"},
		{`"buds galaxy"`, "name", "", "", ""},
		{`phone -"phone case"`, "name,tags", "", "", "3 1"},
		{"samsung -galaxy", "name", "", "", "4"},
		{"-samsung", "name", "", "", "3 5 6"},
		{"galaxy nonsenseword", "name", "", "", "1 2"},
		{"nonsenseword galaxy", "name", "", "", "1 2"},
		{"galaxy nonsenseword", "name", "drop_tokens_threshold", "0", ""},
		{"iph", "name", "", "", "3"},
		{"iph", "name", "prefix", "false", ""},
		{"gal", "name,text", "prefix", "false,true", "4"},
		{"i phone", "name", "", "", "3"}, // a space is a typo too
		{"giftcard", "name", "", "", "6"},
		{"giftcard", "name", "split_join_tokens", "off", ""},
		{"black", "attributes", "", "", "3 1"},
		{"bob", "offers.seller", "", "", "2"},
		{"", "name", "", "", "3 1 2 5 4 6"},
		{"!!!", "name", "", "", "3 1 2 5 4 6"},
	} {
		a := c.search("shop", "q", tc.q, "query_by", tc.by, tc.more, tc.value)
		if got := a.ids(); got != tc.want || a.status != http.StatusOK {
			t.Errorf("%s in %s, %s=%s: %q, not %q %s", tc.q, tc.by, tc.more, tc.value, got, tc.want, a.Message)
		}
	}
}

func TestSorts(t *testing.T) {
	c := shop(t)
	for sort, want := range map[string]string{
		"price:asc":                           "4 5 2 1 3 6",
		"price:desc":                          "3 1 2 5 4 6",
		"price(missing_values: first):desc":   "6 3 1 2 5 4",
		"brand:asc,rank:desc":                 "3 5 1 2 4 6",
		"brand:desc,rank:asc":                 "6 4 2 1 5 3",
		"brand(missing_values: last):desc":    "4 2 1 5 3 6",
		"name:asc":                            "3 6 4 5 2 1",
		"sale:desc,rank:asc":                  "1 2 6 4 5 3",
		"_eval(brand:Samsung):desc,price:asc": "2 1 4 5 3 6",
		"_eval([(brand:Apple):3,(brand:Samsung):2]):desc,rank:desc": "3 1 2 5 4 6",
		"place(48.85,2.35):asc": "1 2 3 6 5 4",
		"_seq_id:asc":           "1 2 3 4 5 6",
	} {
		a := c.search("shop", "q", "*", "sort_by", sort)
		if got := a.ids(); got != want || a.status != http.StatusOK {
			t.Errorf("%s: %q, not %q %s", sort, got, want, a.Message)
		}
	}
	near := c.search("shop", "q", "*", "sort_by", "place(48.85,2.35):asc")
	if d := near.Hits[1].Distance["place"]; d < 330_000 || d > 350_000 {
		t.Errorf("Paris to London is %d m", d)
	}
}

func TestFacets(t *testing.T) {
	c := shop(t)
	facets := func(pairs ...string) string {
		a := c.search("shop", append([]string{"q", "*"}, pairs...)...)
		var out []string
		for _, f := range a.Facets {
			for _, v := range f.Counts {
				out = append(out, fmt.Sprintf("%s=%d", v.Highlighted, v.Count))
			}
		}
		return strings.Join(out, " ") + a.Message
	}
	for _, tc := range []struct {
		want   string
		params []string
	}{
		{"Samsung=2 Apple=1 Spigen=1 Nike (EU)=1", []string{"facet_by", "brand", "filter_by", "price:>0"}},
		{"Apple=1 Nike (EU)=1 Samsung=2 Spigen=1", []string{"facet_by", "brand(sort_by: _alpha:asc)"}},
		{"Apple=1 Samsung=2", []string{"facet_by", "brand(sort_by: rank:desc)", "max_facet_values", "2"}},
		{"black=2 white=1", []string{"facet_by", "attributes.color"}},
		{"black=2 white=1 8=1", []string{"facet_by", "attributes.*"}},
		{"low=3 high=2", []string{"facet_by", "price(low:[0, 150], high:[150, ])"}},
		{"<mark>phone</mark>=2 <mark>phone</mark> case=1", []string{"facet_by", "tags", "facet_query", "tags:phone"}},
		{"<mark>phone</mark>=2 <mark>phone</mark> case=1", []string{"facet_by", "tags", "facet_query", "tags:phoen"}},
		{"<mark>phone</mark> <mark>ca</mark>se=1", []string{"facet_by", "tags", "facet_query", "tags:phone ca"}},
		{"128=2 43=1 42=1 256=1", []string{"facet_by", "sizes"}},
	} {
		if got := facets(tc.params...); got != tc.want {
			t.Errorf("%q: %s, not %s", tc.params, got, tc.want)
		}
	}
	a := c.search("shop", "q", "samsung", "query_by", "name", "facet_by", "price")
	if s := a.Facets[0].Stats; s["min"] > 19.991 || s["max"] != 799.5 || s["total_values"] != 3 || s["sum"] < 968 || s["sum"] > 969 {
		t.Errorf("stats %v", s)
	}
}

func TestGroups(t *testing.T) {
	c := shop(t)
	a := c.search("shop", "q", "*", "group_by", "brand", "group_limit", "1", "facet_by", "sale")
	var got []string
	for _, g := range a.Groups {
		got = append(got, fmt.Sprint(g.Key, g.Found))
	}
	if s := strings.Join(got, " "); s != "[Apple] 1 [Samsung] 2 [Nike (EU)] 1 [Spigen] 1 [] 1" || a.Found != 5 {
		t.Errorf("%d groups: %s", a.Found, s)
	}
	if page2 := c.search("shop", "q", "*", "group_by", "brand", "per_page", "2", "page", "2"); len(page2.Groups) != 2 || page2.Groups[0].Key[0] != "Nike (EU)" {
		t.Errorf("page 2: %s", page2.body)
	}
}

func TestHighlights(t *testing.T) {
	c := shop(t)
	long := strings.Repeat("word ", 40) + "needle in " + strings.Repeat("hay ", 40)
	c.load("shop", fmt.Sprintf(`{"id":"7","name":"Long","rank":1,"text":%q,"tags":["first needle","nothing"],"attributes":{"note":"needle"}}`, long))
	a := c.search("shop", "q", "needle", "query_by", "text,tags,attributes.note", "highlight_affix_num_tokens", "2", "highlight_full_fields", "tags")
	got := fmt.Sprint(a.Hits[0].Highlight)
	want := "map[attributes:map[note:map[matched_tokens:[needle] snippet:<mark>needle</mark>]] " +
		"tags:[map[matched_tokens:[needle] snippet:first <mark>needle</mark> value:first <mark>needle</mark>] map[matched_tokens:[] snippet:nothing]] " +
		"text:map[matched_tokens:[needle] snippet:word word <mark>needle</mark> in hay]]"
	if got != want {
		t.Errorf("highlight\n%s, not\n%s", got, want)
	}
	if old := fmt.Sprint(a.Hits[0].Highlights); !strings.Contains(old, "indices:[0]") || !strings.Contains(old, "snippets:[first <mark>needle</mark>]") {
		t.Errorf("highlights %s", old)
	}
	if none := c.search("shop", "q", "needle", "query_by", "text", "highlight_fields", "none"); len(none.Hits[0].Highlight) > 0 {
		t.Errorf("highlights nobody asked for: %s", none.body)
	}
}

func TestProjection(t *testing.T) {
	c := shop(t)
	for _, tc := range []struct{ include, exclude, want string }{
		{"id,name", "", "map[id:2 name:Samsung Galaxy Buds]"},
		{"id,attributes.color,offers.seller", "", "map[attributes:map[color:white] id:2 offers:[map[seller:Ann] map[seller:Bob]]]"},
		{"id,off*", "offers.seller", "map[id:2 offers:[map[price:140] map[price:150]]]"},
		{"", "name,brand,price,rank,tags,sale,place,offers", "map[attributes:map[color:white] id:2]"},
	} {
		a := c.search("shop", "q", "*", "filter_by", "id:2", "include_fields", tc.include, "exclude_fields", tc.exclude)
		if got := fmt.Sprint(a.Hits[0].Document); got != tc.want {
			t.Errorf("include %q, exclude %q: %s", tc.include, tc.exclude, got)
		}
	}
}

func TestPagesOfAUnion(t *testing.T) {
	c := shop(t)
	ids := func(page int) string {
		v := c.ok("POST", fmt.Sprintf("/multi_search?query_by=name&per_page=2&page=%d", page),
			`{"union":true,"searches":[{"collection":"shop","q":"samsung"},{"collection":"shop","q":"iphone"},{"collection":"shop","q":"galaxy"}]}`)
		var out []string
		for _, h := range v["hits"].([]any) {
			out = append(out, h.(map[string]any)["document"].(map[string]any)["id"].(string))
		}
		return strings.Join(out, " ")
	}
	if one, two := ids(1), ids(2); one != "3 1" || two != "2 4" {
		t.Errorf("pages %q and %q", one, two)
	}
}

// TestPrefixCandidates: of many words with a prefix, the most popular ones are considered, four by default.
func TestPrefixCandidates(t *testing.T) {
	c := calls(t, open(t, t.TempDir()))
	c.ok("POST", "/collections", `{"name":"w","default_sorting_field":"rank","fields":[{"name":"name","type":"string"},{"name":"rank","type":"int32"}]}`)
	var lines []string
	for i, w := range strings.Fields("apple apron apart april apex apply") {
		lines = append(lines, fmt.Sprintf(`{"id":%q,"name":%q,"rank":%d}`, w, w, i))
	}
	c.load("w", lines...)
	if got := c.search("w", "q", "ap", "query_by", "name").ids(); got != "apply apex april apart" {
		t.Errorf("the top four are %q", got)
	}
	if got := c.search("w", "q", "ap", "query_by", "name", "max_candidates", "10").Found; got != 6 {
		t.Errorf("of ten candidates, %d found", got)
	}
}
