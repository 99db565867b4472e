package feed_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/money"
	"github.com/souk-shop/souk/subgraphs/catalog"
	"github.com/souk-shop/souk/subgraphs/catalog/feed"
)

// read returns every item as a line: rows, whose, and what is wrong with it.
func read(t *testing.T, f catalog.Format, text string) (lines []string, items []catalog.FeedItem) {
	t.Helper()
	rows := 0
	for item, err := range (feed.Reader{}).Items(f, strings.NewReader(text)) {
		if err != nil {
			var refused *fault.Error
			if !errors.As(err, &refused) {
				t.Fatal(err)
			}
			return append(lines, "feed: "+refused.Message), nil
		}
		line := fmt.Sprintf("%v %s", item.Rows, item.ExternalID)
		for _, f := range item.Faults {
			line += fmt.Sprintf(" | %s %v", f.Message, f.Field)
		}
		lines, items = append(lines, line), append(items, item)
		rows += len(item.Rows)
	}
	if n, err := (feed.Reader{}).Count(f, strings.NewReader(text)); err != nil || n != rows {
		t.Errorf("counted %d rows (%v), read %d", n, err, rows)
	}
	return lines, items
}

func usd(cents int64) money.Input {
	return money.Input{Amount: money.Money{Amount: cents, Currency: "USD"}.Decimal(), CurrencyCode: "USD"}
}

func TestJSONL(t *testing.T) {
	_, items := read(t, catalog.JSONL, "\xef\xbb\xbf"+`{"id": "prod_1", "externalId": "a", "title": "T", "description": "D", "categorySlug": "c", "brand": "B", "status": "DRAFT", "ifVersion": 3, `+
		`"attributes": [{"key": "k", "value": "v", "unit": "u"}], "imageUrls": ["https://x.test"], "variants": [{"id": "var_1", "sku": "S", "price": {"amount": "19.90", "currencyCode": "USD"}, `+
		`"compareAtPrice": {"amount": 29.9, "currencyCode": "USD"}, "options": [{"name": "Size", "value": "S"}], "weightGrams": 5}]}`+"\r\n\r\n"+
		`{"categoryPath": ["A", "B"]}`)
	three, before := 3, usd(2990)
	want := []catalog.ProductInput{
		{ID: "prod_1", ExternalID: "a", Title: "T", Description: "D", CategorySlug: "c", Brand: "B", Status: catalog.Draft, IfVersion: &three,
			Attributes: []catalog.AttributeInput{{Key: "k", Value: "v", Unit: "u"}}, ImageURLs: []string{"https://x.test"},
			Variants: []catalog.VariantInput{{ID: "var_1", SKU: "S", Price: usd(1990), CompareAtPrice: &before, Options: []catalog.Option{{Name: "Size", Value: "S"}}, WeightGrams: 5}}},
		{CategoryPath: []string{"A", "B"}, Status: catalog.Active},
	}
	for i, item := range items {
		if diff := cmp.Diff(want[i], item.Input); diff != "" || len(item.Faults) > 0 || item.Rows[0] != 1+2*i {
			t.Errorf("%v %v\n%s", item.Rows, item.Faults, diff)
		}
	}
}

func TestBrokenJSONL(t *testing.T) {
	long := `{"externalId": "` + strings.Repeat("x", 1<<20) + `"}`
	for text, want := range map[string][]string{
		"":                                   nil,
		"\n \n":                              nil,
		`[{"title": "T"}]`:                   {"feed: a JSONL feed has one object a line, not an array around all"},
		"\xff\xfe{\x00":                      {"feed: the feed is UTF-16; save it as UTF-8"},
		"{}\n{\"title\": \"\xff\"}\n{}":      {"[1] ", "[2]  | the row is not UTF-8 []", "[3] "},
		"{}\n" + long + "\n{}\n" + long:      {"[1] ", "[2]  | a row has at most 1 MB []", "[3] ", "[4]  | a row has at most 1 MB []"},
		`{"externalId": "a", "title": "T"`:   {"[1] a | the row is not JSON: unexpected EOF []"},
		`{"externalId": "a"} {}`:             {"[1] a | the row has more than one JSON object []"},
		`"text"`:                             {"[1]  | the row is not a JSON object []"},
		"null":                               {"[1]  | the row is not a JSON object []"},
		`{"externalId": "a", "colour": "x"}`: {`[1] a | a product has no field "colour" []`},
		`{"externalId": "a", "title": 5}`:    {"[1] a | number is not text [title]"},
		`{"variants": {}}`:                   {"[1]  | object is not a list [variants]"},
		`{"externalId": "a", "variants": [{"weightGrams": 1.5}]}`:                    {"[1] a | number 1.5 is not a whole number [variants weightGrams]"},
		`{"variants": [{"price": {"amount": "1e3"}}]}`:                               {`[1]  | "1e3" is not an amount such as "19.90" [variants 0 price amount]`},
		`{"variants": [{"price": {"amount": 1}, "compareAtPrice": {"amount": []}}]}`: {`[1]  | "[]" is not an amount such as "19.90" [variants 0 compareAtPrice amount]`},
	} {
		if got, _ := read(t, catalog.JSONL, text); !cmp.Equal(got, want) {
			t.Errorf("%.60q: %q, want %q", text, got, want)
		}
	}
}

const head = "externalId,title,description,categoryPath,brand,status,imageUrls,sku,price,compareAtPrice,currency,weightGrams,option:Size,attribute:fabric,attribute:width:cm\n"

func TestCSV(t *testing.T) {
	_, items := read(t, catalog.CSV, "\xef\xbb\xbf"+strings.ReplaceAll(head+
		`a,"Shirt, ""blue""","Two`+"\n"+`lines",Clothes > Shirts,Acme,draft,https://x.test/1 https://x.test/2,S,19.90,29.90,usd,200,S,Linen,50`+"\n"+
		`a,,,,,,,M,19.90,,USD,210,M,,`+"\n\n"+
		`b,Hat,,Clothes > Hats,,,,HAT,5,,USD,80,,,`+"\n", "\n", "\r\n"))
	before := usd(2990)
	five := usd(500)
	five.Amount = five.Amount.Truncate(0)
	want := []catalog.FeedItem{
		{Rows: []int{1, 2}, ExternalID: "a", Input: catalog.ProductInput{
			ExternalID: "a", Title: `Shirt, "blue"`, Description: "Two\nlines", CategoryPath: []string{"Clothes ", " Shirts"}, Brand: "Acme", Status: catalog.Draft,
			Attributes: []catalog.AttributeInput{{Key: "fabric", Value: "Linen"}, {Key: "width", Value: "50", Unit: "cm"}},
			ImageURLs:  []string{"https://x.test/1", "https://x.test/2"},
			Variants: []catalog.VariantInput{
				{SKU: "S", Price: usd(1990), CompareAtPrice: &before, Options: []catalog.Option{{Name: "Size", Value: "S"}}, WeightGrams: 200},
				{SKU: "M", Price: usd(1990), Options: []catalog.Option{{Name: "Size", Value: "M"}}, WeightGrams: 210},
			}}},
		{Rows: []int{3}, ExternalID: "b", Input: catalog.ProductInput{
			ExternalID: "b", Title: "Hat", CategoryPath: []string{"Clothes ", " Hats"}, Status: catalog.Active, ImageURLs: []string{},
			Variants: []catalog.VariantInput{{SKU: "HAT", Price: five, WeightGrams: 80}}}},
	}
	for i := range items {
		items[i].Bytes = 0
	}
	if diff := cmp.Diff(want, items); diff != "" {
		t.Error(diff)
	}
}

func TestBrokenCSV(t *testing.T) {
	const short = "externalId,title,categorySlug,sku,price,currency,weightGrams\n"
	for text, want := range map[string][]string{
		"":                       {"feed: the feed is empty: it has no header line"},
		"title,sku\n":            {"feed: column externalId is missing"},
		"externalId;title;sku\n": {`feed: there is no column "externalId;title;sku"; columns are separated by commas`},
		strings.ReplaceAll(short, "title", "sku"):      {`feed: column "sku" is there twice`},
		strings.ReplaceAll(short, ",categorySlug", ""): {"feed: column categorySlug or categoryPath is missing"},
		short: nil,
		short + "a,T,c,S,1,USD,5\nb,T,c,S\nc,T,c,S,x,USD,5.5\n,T,c,S,1,USD,5\n": {
			"[1] a", "[2] b | the row has 4 cells, the header has 7 [variants 0]",
			`[3] c | "x" is not an amount such as 19.90 [variants 0 price] | "5.5" is not a whole number of grams [variants 0 weightGrams]`,
			"[4]  | externalId is missing [externalId]"},
		// A broken row spoils the product it belongs to, which would otherwise lose a variant, and no other.
		short + "a,T,c,S,1,USD,5\na,T,c,\"M\"x,1,USD,5\nb,T,c,B,1,USD,5\n": {
			"[1 2] a | the row is not CSV: extraneous or missing \" in quoted-field [variants 1]", "[3] b"},
		short + "a,T,c,S,1,USD,5\na,Other,c,M,1,USD,5\n": {"[1 2] a | title differs from the first row of this product [variants 1 title]"},
		short + "a,T,c,S,1,USD,5\nb,T,c,B,1,USD,5\na,T,c,M,1,USD,5\n": {
			"[1] a", "[2] b", "[3] a | this product was there before: its rows must stand together [externalId]"},
		// A quote that nobody closes spoils its own line.
		short + "a,T,c,S,1,USD,5\nb,\"T,c,B,1,USD,5\nc,T,c,C,1,USD,5\n": {
			"[1] a", "[2] b | the row is not CSV: extraneous or missing \" in quoted-field [variants 0]", "[3] c"},
		short + "a,\xff,c,S,1,USD,5\n":                                  {"[1]  | the row is not UTF-8 [variants 0]"},
		short + "a," + strings.Repeat("x", 1<<20) + "\nb,T,c,B,1,USD,5": {"[1]  | a row has at most 1 MB [variants 0]", "[2] b"},
	} {
		if got, _ := read(t, catalog.CSV, text); !cmp.Equal(got, want) {
			t.Errorf("%.150q:\n got %q\nwant %q", text, got, want)
		}
	}
}

// endless is a row that never ends: how much of it is read shows how much of it is kept.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	if e.read > 64<<20 {
		return 0, io.EOF
	}
	for i := range p {
		p[i] = 'x'
	}
	e.read += len(p)
	return len(p), nil
}

func TestEndlessRow(t *testing.T) {
	for _, f := range []catalog.Format{catalog.JSONL, catalog.CSV} {
		for item, err := range (feed.Reader{}).Items(f, &endless{}) {
			if err == nil && item.Bytes > 2<<20 {
				t.Errorf("%s: %d bytes of a row were kept", f, item.Bytes)
			}
		}
	}
}

func FuzzFeeds(f *testing.F) {
	f.Add(`{"externalId": "a", "variants": [{"price": {"amount": "1"}}]}`)
	f.Add(head + "a,\"T\n,c")
	f.Fuzz(func(t *testing.T, text string) {
		for _, format := range []catalog.Format{catalog.JSONL, catalog.CSV} {
			last, rows := 0, 0
			for item, err := range (feed.Reader{}).Items(format, strings.NewReader(text)) {
				if err != nil {
					return
				}
				for _, row := range item.Rows {
					if row <= last {
						t.Fatalf("%s: row %d behind row %d", format, row, last)
					}
					last, rows = row, rows+1
				}
			}
			if n, err := (feed.Reader{}).Count(format, strings.NewReader(text)); err != nil || n != rows {
				t.Fatalf("%s: counted %d (%v), read %d", format, n, err, rows)
			}
		}
	})
}
