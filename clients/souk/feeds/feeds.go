// Package feeds reads the feeds that sellers have, as JSON arrays, JSON lines or CSV, as products that the shop takes.
//
// A feed is read record by record, so that it is never whole in memory. What is wrong with a record is told of that record, and
// the next one is read.
package feeds

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"path/filepath"
	"strings"
)

// A Format is how a feed is written.
type Format string

// The formats of feeds.
const (
	JSON  Format = "json"  // an array of objects
	JSONL Format = "jsonl" // one object a line
	CSV   Format = "csv"   // a header line, then one variant a line
)

// FormatOf tells a format from a file's name.
func FormatOf(filename string) (Format, error) {
	switch ext := strings.ToLower(filepath.Ext(filename)); ext {
	case ".json":
		return JSON, nil
	case ".jsonl", ".ndjson":
		return JSONL, nil
	case ".csv":
		return CSV, nil
	default:
		return "", fmt.Errorf("%s ends neither in .json nor in .jsonl nor in .csv", filename)
	}
}

// A Product is a product as the shop takes it in a feed.
type Product struct {
	ExternalID   string      `json:"externalId"`
	Title        string      `json:"title"`
	Description  string      `json:"description"`
	CategorySlug string      `json:"categorySlug,omitempty"`
	CategoryPath []string    `json:"categoryPath,omitempty"`
	Brand        string      `json:"brand,omitempty"`
	Attributes   []Attribute `json:"attributes,omitempty"`
	Variants     []Variant   `json:"variants"`
	ImageURLs    []string    `json:"imageUrls,omitempty"`
	Status       string      `json:"status,omitempty"`
}

// An Attribute is something known of a product.
type Attribute struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	Unit  string `json:"unit,omitempty"`
}

// A Variant is what exactly can be bought.
type Variant struct {
	SKU            string   `json:"sku"`
	Price          Money    `json:"price"`
	CompareAtPrice *Money   `json:"compareAtPrice,omitempty"`
	Options        []Option `json:"options,omitempty"`
	WeightGrams    int      `json:"weightGrams"`
}

// An Option is a choice that a variant stands for.
type Option struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Money is an amount in the currency's major unit.
type Money struct {
	Amount       Amount `json:"amount"`
	CurrencyCode string `json:"currencyCode"`
}

// An Amount is a decimal number as text, so that it stays exact. It may be written as a number.
type Amount string

// UnmarshalJSON keeps the text.
func (a *Amount) UnmarshalJSON(b []byte) error {
	*a = Amount(strings.Trim(string(b), `"`))
	return nil
}

// A Problem is something wrong with a record.
type Problem struct {
	Field   string // "" when no one field is to blame
	Message string
}

// An Item is a product of a feed, or why a record is none.
type Item struct {
	Row        int // of its first record, from 1: the line in JSON lines, the element in JSON, the line of data in CSV
	Rows       int // how many records it is made of
	Repeated   int // how many of those said nothing new
	ExternalID string
	Product    Product
	Problems   []Problem
}

// A record is an object of a feed, not yet a product.
type record struct {
	row    int
	fields map[string]any
	text   []byte // as it was read
	err    error
}

// Read reads a feed. With a mapping it tells what the fields mean; without one they mean what the shop says. The error ends it.
//
// Records of one externalId that stand together are variants of one product. One that comes again later must be the same.
func Read(r io.Reader, format Format, m *Mapping) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		g := grouping{seen: map[string]sighting{}}
		for rec, err := range records(r, format) {
			if err != nil {
				if last, ok := g.end(); !ok || yield(last, nil) {
					yield(Item{}, err)
				}
				return
			}
			for _, item := range g.add(item(rec, format, m)) {
				if !yield(item, nil) {
					return
				}
			}
		}
		if last, ok := g.end(); ok {
			yield(last, nil)
		}
	}
}

func records(r io.Reader, format Format) iter.Seq2[record, error] {
	switch format {
	case CSV:
		return csvRecords(r)
	case JSONL:
		return lineRecords(r)
	default:
		return arrayRecords(r)
	}
}

func item(rec record, format Format, m *Mapping) Item {
	it := Item{Row: rec.row, Rows: 1}
	if rec.err != nil {
		it.Problems = []Problem{{Message: rec.err.Error()}}
		return it
	}
	switch {
	case m != nil:
		it.Product, it.Problems = m.product(rec.fields)
	case format == CSV:
		it.Product, it.Problems = ownColumns(rec.fields)
	default:
		it.Product, it.Problems = ownFields(rec.text)
	}
	if it.Product.ExternalID = strings.TrimSpace(it.Product.ExternalID); it.Product.ExternalID == "" {
		it.Product.ExternalID = fingerprint(rec.fields)
	}
	it.ExternalID = it.Product.ExternalID
	for i := range it.Product.Variants {
		if v := &it.Product.Variants[i]; v.SKU == "" {
			v.SKU = it.ExternalID
			if i > 0 {
				v.SKU = fmt.Sprintf("%s-%d", it.ExternalID, i+1)
			}
		}
	}
	return it
}

// fingerprint names a record by its content: the same today and tomorrow, whatever stands around it.
func fingerprint(value any) string {
	text, _ := json.Marshal(value) // maps in order of their keys
	sum := sha256.Sum256(text)
	return fmt.Sprintf("%x", sum[:8])
}

// ownFields reads a record that is written as the shop wants it.
func ownFields(text []byte) (p Product, problems []Problem) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return p, []Problem{{Message: strings.TrimPrefix(err.Error(), "json: ")}}
	}
	return p, nil
}

// A grouping puts records of one product together.
type grouping struct {
	current *Item
	seen    map[string]sighting // by externalId
}

type sighting struct {
	row  int
	hash [16]byte
}

// add takes the next record, and returns what is complete by now.
func (g *grouping) add(next Item) (done []Item) {
	if g.current != nil && next.ExternalID == g.current.ExternalID && len(missing(next.Problems)) == len(next.Problems) {
		problem := g.current.merge(next.Product)
		if problem == nil {
			return nil
		}
		next.Problems = []Problem{*problem}
		return []Item{next}
	}
	if last, ok := g.end(); ok {
		done = append(done, last)
	}
	if len(next.Problems) > 0 {
		return append(done, next)
	}
	g.current = &next
	return done
}

const absent = "the record does not have it"

// missing returns those problems that a first record of the same product makes up for.
func missing(problems []Problem) (some []Problem) {
	for _, p := range problems {
		if p.Message == absent && (p.Field == "title" || p.Field == "categoryPath") {
			some = append(some, p)
		}
	}
	return some
}

// merge adds variants of the same product that stand in a record of their own.
func (it *Item) merge(more Product) *Problem {
	if more.Title != "" && more.Title != it.Product.Title {
		return &Problem{"externalId", fmt.Sprintf("row %d says otherwise of %s: its title differs", it.Row, it.ExternalID)}
	}
	repeated := true
	variants := it.Product.Variants
	for _, v := range more.Variants {
		same, known := false, false
		for _, have := range variants {
			if have.SKU == v.SKU {
				known, same = true, fingerprint(have) == fingerprint(v)
			}
		}
		if known && !same {
			return &Problem{"sku", fmt.Sprintf("SKU %s is in row %d already, with something else", v.SKU, it.Row)}
		}
		if !known {
			repeated = false
			variants = append(variants, v)
		}
	}
	it.Product.Variants = variants
	it.Rows++
	if repeated {
		it.Repeated++
	}
	return nil
}

// end completes the product at hand; false when there is none, or one that is known already.
func (g *grouping) end() (Item, bool) {
	if g.current == nil {
		return Item{}, false
	}
	it := *g.current
	g.current = nil
	text, _ := json.Marshal(it.Product)
	sum := sha256.Sum256(text)
	now := sighting{it.Row, [16]byte(sum[:16])}
	before, again := g.seen[it.ExternalID]
	switch {
	case !again:
		g.seen[it.ExternalID] = now
	case before.hash == now.hash:
		it.Repeated = it.Rows
	default:
		it.Problems = []Problem{{"externalId", fmt.Sprintf("%s is in row %d already, with something else", it.ExternalID, before.row)}}
	}
	return it, true
}
