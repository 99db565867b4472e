package feed

import (
	"bytes"
	"encoding/csv"
	"errors"
	"hash/maphash"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/money"
	"github.com/souk-shop/souk/subgraphs/catalog"
)

// records puts lines together to records: a quoted cell may go over several lines.
type records struct {
	lines  *lines
	behind []line // lines that were read too far
	number int    // of the last record, the header not counted
}

func newRecords(r io.Reader) *records { return &records{lines: newLines(r)} }

func (r *records) line() (line, error) {
	if len(r.behind) > 0 {
		l := r.behind[0]
		r.behind = r.behind[1:]
		return l, nil
	}
	return r.lines.next()
}

// next reads a record. A quote that nobody closes within what a row may be spoils its own line only.
func (r *records) next() (line, error) {
	first, err := r.line()
	for err == nil && first.blank() {
		first, err = r.line()
	}
	if err != nil {
		return line{}, err
	}
	r.number++
	whole := line{number: r.number, text: first.text, tooLong: first.tooLong}
	var more []line
	for open := odd(first.text); open && !whole.tooLong; {
		l, err := r.line()
		if err != nil && err != io.EOF {
			return line{}, err
		}
		if err == nil {
			more = append(more, l)
		}
		if err == io.EOF || l.tooLong || len(whole.text)+1+len(l.text) > longestRow {
			r.behind = append(more, r.behind...)
			return line{number: r.number, text: first.text}, nil
		}
		whole.text = append(append(whole.text, '\n'), l.text...)
		open = open != odd(l.text)
	}
	return whole, nil
}

func odd(text []byte) bool { return bytes.Count(text, []byte(`"`))%2 == 1 }

// cells splits a record.
func cells(record []byte, lazy bool) ([]string, error) {
	r := csv.NewReader(bytes.NewReader(record))
	r.FieldsPerRecord, r.LazyQuotes, r.TrimLeadingSpace = -1, lazy, true
	return r.Read()
}

// A header says what is in which cell.
type header struct {
	width      int
	at         map[string]int // columns of fixed names
	options    []named
	attributes []named
}

type named struct {
	at         int
	name, unit string
}

var (
	columns = []string{
		"externalId", "title", "description", "categorySlug", "categoryPath", "brand", "status", "imageUrls",
		"sku", "price", "compareAtPrice", "currency", "weightGrams",
	}
	needed = []string{"externalId", "title", "sku", "price", "currency", "weightGrams"}
)

// header reads the first record; without a good one nothing of the feed can be read.
func (r *records) header() (header, error) {
	h := header{at: map[string]int{}}
	l, err := r.next()
	if err == io.EOF {
		return h, broken("the feed is empty: it has no header line")
	}
	if err != nil {
		return h, err
	}
	r.number = 0
	names, err := cells(l.text, false)
	if err != nil || l.fault() != nil {
		return h, broken("the header line cannot be read")
	}
	h.width = len(names)
	seen := map[string]bool{}
	for i, name := range names {
		name = strings.TrimSpace(name)
		kind, rest, _ := strings.Cut(name, ":")
		fixed := slices.IndexFunc(columns, func(c string) bool { return strings.EqualFold(c, name) })
		switch {
		case seen[strings.ToLower(name)]:
			return h, broken("column %.60q is there twice", name)
		case fixed >= 0:
			h.at[columns[fixed]] = i
		case kind == "option" && rest != "":
			h.options = append(h.options, named{at: i, name: rest})
		case kind == "attribute" && rest != "":
			key, unit, _ := strings.Cut(rest, ":")
			h.attributes = append(h.attributes, named{i, key, unit})
		default:
			return h, broken("there is no column %.60q; columns are separated by commas", name)
		}
		seen[strings.ToLower(name)] = true
	}
	for _, name := range needed {
		if _, ok := h.at[name]; !ok {
			return h, broken("column %s is missing", name)
		}
	}
	_, slug := h.at["categorySlug"]
	_, path := h.at["categoryPath"]
	if !slug && !path {
		return h, broken("column categorySlug or categoryPath is missing")
	}
	return h, nil
}

// A row is one line of data.
type row struct {
	number int
	bytes  int
	cells  []string
	fault  *fault.Error
}

func (h header) cell(r row, name string) string {
	if i, ok := h.at[name]; ok && i < len(r.cells) {
		return strings.TrimSpace(r.cells[i])
	}
	return ""
}

func (h header) row(l line) row {
	r := row{number: l.number, bytes: len(l.text), fault: l.fault()}
	if r.fault != nil {
		return r
	}
	var err error
	var why *csv.ParseError
	if r.cells, err = cells(l.text, false); errors.As(err, &why) {
		r.fault = broken("the row is not CSV: %v", why.Err)
		r.cells, _ = cells(l.text, true) // perhaps enough to know whose it is
	} else if len(r.cells) != h.width {
		r.fault = broken("the row has %d cells, the header has %d", len(r.cells), h.width)
	}
	return r
}

const keptVariants = 101 // of one product: one more than it may have, so that it is refused

func csvItems(r io.Reader) iter.Seq2[catalog.FeedItem, error] {
	return func(yield func(catalog.FeedItem, error) bool) {
		records := newRecords(r)
		h, err := records.header()
		if err != nil {
			yield(catalog.FeedItem{}, err)
			return
		}
		g := group{header: h, seed: maphash.MakeSeed(), seen: map[uint64]struct{}{}}
		for {
			l, err := records.next()
			if err == io.EOF {
				break
			}
			if err != nil {
				yield(catalog.FeedItem{}, err)
				return
			}
			next := h.row(l)
			if !g.takes(next) && !yield(g.item(), nil) {
				return
			}
			g.add(next)
		}
		if len(g.rows) > 0 {
			yield(g.item(), nil)
		}
	}
}

// A group is the rows of one product, as they come.
type group struct {
	header
	rows       []row // the first of them
	numbers    []int // of all
	bytes      int
	externalID string

	seed maphash.Seed
	seen map[uint64]struct{} // products that were there before, a few bytes each
}

// takes tells whether a row goes on with the group, or begins it.
func (g *group) takes(r row) bool {
	whose := g.cell(r, "externalId")
	return len(g.rows) == 0 || whose != "" && whose == g.externalID
}

func (g *group) add(r row) {
	g.externalID = g.cell(r, "externalId")
	g.numbers, g.bytes = append(g.numbers, r.number), g.bytes+r.bytes
	if len(g.rows) < keptVariants {
		g.rows = append(g.rows, r)
	}
}

// item returns the group as a product, and begins anew.
func (g *group) item() catalog.FeedItem {
	first := g.rows[0]
	item := catalog.FeedItem{Rows: g.numbers, ExternalID: g.externalID, Bytes: g.bytes}
	in := catalog.ProductInput{
		ExternalID: g.externalID, Title: g.cell(first, "title"), Description: g.cell(first, "description"),
		CategorySlug: g.cell(first, "categorySlug"), Brand: g.cell(first, "brand"),
		Status: catalog.Status(strings.ToUpper(g.cell(first, "status"))), ImageURLs: strings.Fields(g.cell(first, "imageUrls")),
	}
	if in.Status == "" {
		in.Status = catalog.Active
	}
	if path := g.cell(first, "categoryPath"); path != "" {
		in.CategoryPath = strings.Split(path, ">")
	}
	if first.fault == nil {
		for _, a := range g.attributes {
			if v := strings.TrimSpace(first.cells[a.at]); v != "" {
				in.Attributes = append(in.Attributes, catalog.AttributeInput{Key: a.name, Value: v, Unit: a.unit})
			}
		}
	}
	for i, r := range g.rows {
		path := []string{"variants", strconv.Itoa(i)}
		if r.fault != nil {
			item.Faults.Add(r.fault, path...)
			continue
		}
		in.Variants = append(in.Variants, g.variant(r, path, &item.Faults))
		if name := g.differs(first, r); name != "" {
			item.Faults.Add(broken("%s differs from the first row of this product", name), append(path, name)...)
		}
	}
	if g.externalID == "" && len(item.Faults) == 0 {
		item.Faults.Add(broken("externalId is missing"), "externalId")
	}
	if g.externalID != "" {
		h := maphash.String(g.seed, g.externalID)
		if _, again := g.seen[h]; again {
			item.Faults.Add(broken("this product was there before: its rows must stand together"), "externalId")
		}
		g.seen[h] = struct{}{}
	}
	item.Input = in
	g.rows, g.numbers, g.bytes, g.externalID = nil, nil, 0, ""
	return item
}

// differs names something that a row says of its product otherwise than the first row does, "" when there is nothing.
func (g *group) differs(first, r row) string {
	if first.fault != nil {
		return ""
	}
	for _, name := range columns[1:8] {
		if v := g.cell(r, name); v != "" && v != g.cell(first, name) {
			return name
		}
	}
	for _, a := range g.attributes {
		if v := strings.TrimSpace(r.cells[a.at]); v != "" && v != strings.TrimSpace(first.cells[a.at]) {
			return "attribute:" + a.name
		}
	}
	return ""
}

func (g *group) variant(r row, path []string, faults *catalog.Faults) catalog.VariantInput {
	v := catalog.VariantInput{SKU: g.cell(r, "sku"), Price: g.money(r, "price", path, faults)}
	if g.cell(r, "compareAtPrice") != "" {
		before := g.money(r, "compareAtPrice", path, faults)
		v.CompareAtPrice = &before
	}
	var err error
	if v.WeightGrams, err = strconv.Atoi(g.cell(r, "weightGrams")); err != nil {
		faults.Add(broken("%.40q is not a whole number of grams", g.cell(r, "weightGrams")), append(path, "weightGrams")...)
	}
	for _, o := range g.options {
		if value := strings.TrimSpace(r.cells[o.at]); value != "" {
			v.Options = append(v.Options, catalog.Option{Name: o.name, Value: value})
		}
	}
	return v
}

func (g *group) money(r row, name string, path []string, faults *catalog.Faults) money.Input {
	d, ok := exact(g.cell(r, name))
	if !ok {
		faults.Add(broken("%.40q is not an amount such as 19.90", g.cell(r, name)), append(slices.Clone(path), name)...)
	}
	return money.Input{Amount: d, CurrencyCode: strings.ToUpper(g.cell(r, "currency"))}
}
