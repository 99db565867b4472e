package typesense

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/money"
	"github.com/souk-shop/souk/subgraphs/search"
)

// A document is what the engine keeps of a product, numbers as they are written.
type document map[string]any

// patch returns what has to change so that the document says what it was told, nil when it does.
func (d document) patch() (document, error) {
	id, _ := d["id"].(string)
	told, err := recode[search.Told](d["said"])
	if err != nil {
		return nil, fmt.Errorf("what document %s was told: %w", id, err)
	}
	listing, live := told.Listing()
	want := document{"live": false}
	if live {
		if want, err = recode[document](fields(listing)); err != nil {
			return nil, err
		}
	}
	change := document{}
	for name, is := range d {
		if _, wanted := want[name]; !wanted && is != nil && name != "id" && name != "said" {
			change[name] = nil
		}
	}
	for name, shall := range want {
		if !reflect.DeepEqual(d[name], shall) {
			change[name] = shall
		}
	}
	if forget := outdated(told); forget != nil {
		change["said"] = forget
	}
	if len(change) == 0 {
		return nil, nil
	}
	change["id"] = id
	return change, nil
}

// outdated forgets the versions that do not hold any more.
func outdated(t search.Told) document {
	forget := document{}
	if old := nulls(t.Product.Outdated()); old != nil {
		forget["product"] = old
	}
	if old := nulls(t.Rating.Outdated()); old != nil {
		forget["rating"] = old
	}
	stock := document{}
	for variant, versions := range t.Stock {
		if old := nulls(versions.Outdated()); old != nil {
			stock[variant] = old
		}
	}
	if len(stock) > 0 {
		forget["stock"] = stock
	}
	if len(forget) == 0 {
		return nil
	}
	return forget
}

func nulls(versions []int64) document {
	if len(versions) == 0 {
		return nil
	}
	d := document{}
	for _, v := range versions {
		d[strconv.FormatInt(v, 10)] = nil
	}
	return d
}

// recode turns one shape of JSON into another.
func recode[T any](v any) (out T, err error) {
	b, err := json.Marshal(v)
	if err != nil {
		return out, err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	return out, d.Decode(&out)
}

// fields is what a listing is found by and shown with.
func fields(l search.Listing) map[string]any {
	f := map[string]any{
		"live": true, "slug": l.Slug, "title": l.Title, "brand": l.Brand, "thumbnail": l.Thumbnail, "description": l.Description,
		"currency": l.PriceRange.Min.Currency, "price_min": l.PriceRange.Min.Amount, "price_max": l.PriceRange.Max.Amount,
		"created_at": l.CreatedAt.UnixMicro(), "ord": ord(l.ID), "in_stock": l.InStock,
		"rating": hundredths(l.Rating), "rating_count": l.RatingCount, "stars": int(l.Rating),
		"skus": l.SKUs, "variants": l.Variants,
	}
	facts := []string{fact("seller", l.SellerID), fact("title", l.Title)}
	for _, sku := range l.SKUs {
		facts = append(facts, fact("sku", sku))
	}
	if l.Brand != "" {
		facts = append(facts, fact("brand", l.Brand))
	}
	var names, categories []string
	for _, c := range l.Categories {
		facts = append(facts, fact("category", c.Slug))
		names = append(names, c.Name)
		categories = append(categories, lines(c.Name, c.Slug, c.ID))
	}
	var texts, attributes []string
	for _, a := range l.Attributes {
		facts = append(facts, fact("attribute", a.Key, a.Value))
		texts = append(texts, strings.TrimSpace(a.Value+" "+a.Unit))
		if counted := lines(a.Key, a.Value, a.Label, a.Unit); len(counted) <= longestFacet {
			attributes = append(attributes, counted)
		}
	}
	var amounts []int64
	var bands []string
	seen := map[search.Band]bool{}
	for _, p := range l.Prices {
		amounts = append(amounts, p.Amount)
		if b := search.BandOf(p); !seen[b] {
			seen[b] = true
			bands = append(bands, lines(p.Currency, strconv.FormatInt(b.From, 10), strconv.FormatInt(b.To, 10)))
		}
	}
	f["facts"], f["prices"], f["price_bands"] = facts, amounts, bands
	f["category_names"], f["categories"] = names, categories
	f["attribute_texts"], f["attributes"] = texts, attributes
	for name, v := range f { // what is empty is left out
		if rv := reflect.ValueOf(v); (rv.Kind() == reflect.Slice || rv.Kind() == reflect.String) && rv.Len() == 0 {
			delete(f, name)
		}
	}
	return f
}

func hundredths(stars float64) int { return int(math.Round(stars * 100)) }

// ord orders products that are equal otherwise.
func ord(productID string) int64 {
	sum := sha256.Sum256([]byte(productID))
	var n int64
	for _, b := range sum[:8] {
		n = n<<8 | int64(b)
	}
	return n & math.MaxInt64
}

// fact is one word for something that holds of a product, which a filter can ask for. Hashed, it is the same for large and
// small letters, different for all else, whatever signs are in it ("C" and "C++", "5.5" and "55"), and cannot be read by the
// engine as anything but a word.
func fact(kind string, parts ...string) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q", kind)
	for _, p := range parts {
		fmt.Fprintf(h, "%q", strings.ToLower(strings.TrimSpace(p)))
	}
	return hex.EncodeToString(h.Sum(nil)[:12])
}

// longestFacet is how much of a value the engine counts by; longer ones nobody narrows a search by.
const longestFacet = 250

// lines puts several things into one value that is counted: the attributes of all families in one field, for a field to
// each of the keys that sellers make up would be one without bound. The engine takes a line's end for the end of a word.
func lines(parts ...string) string {
	return strings.Join(each(parts, func(p string) string { return strings.Join(strings.Fields(p), " ") }), "\n")
}

// parts takes a counted value apart again.
func parts(value string, n int) []string {
	p := strings.Split(value, "\n")
	for len(p) < n {
		p = append(p, "")
	}
	return p
}

func (d document) text(name string) string { s, _ := d[name].(string); return s }

func (d document) number(name string) int64 {
	switch n := d[name].(type) {
	case float64: // below 2^53, all but ord
		return int64(n)
	case json.Number:
		i, _ := n.Int64()
		return i
	}
	return 0
}

func (d document) card() search.Card {
	price := func(name string) money.Money {
		return money.Money{Amount: d.number(name), Currency: d.text("currency")}
	}
	return search.Card{
		ID: d.text("id"), Slug: d.text("slug"), Title: d.text("title"), Brand: d.text("brand"), Thumbnail: d.text("thumbnail"),
		PriceRange: search.PriceRange{Min: price("price_min"), Max: price("price_max")},
	}
}

func category(value string) search.Category {
	p := parts(value, 3)
	return search.Category{Name: p[0], Slug: p[1], ID: p[2]}
}

func attribute(value string) events.Attribute {
	p := parts(value, 4)
	return events.Attribute{Key: p[0], Value: p[1], Label: p[2], Unit: p[3]}
}
