package feed

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"strconv"
	"strings"

	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/money"
	"github.com/souk-shop/souk/subgraphs/catalog"
)

// jsonProduct is ProductSaveInput as JSON.
type jsonProduct struct {
	ID           string   `json:"id"`
	ExternalID   string   `json:"externalId"`
	Title        string   `json:"title"`
	Description  string   `json:"description"`
	CategorySlug string   `json:"categorySlug"`
	CategoryPath []string `json:"categoryPath"`
	Brand        string   `json:"brand"`
	Attributes   []struct {
		Key   string `json:"key"`
		Value string `json:"value"`
		Unit  string `json:"unit"`
	} `json:"attributes"`
	Variants  []jsonVariant `json:"variants"`
	ImageURLs []string      `json:"imageUrls"`
	Status    string        `json:"status"`
	IfVersion *int          `json:"ifVersion"`
}

type jsonVariant struct {
	ID             string     `json:"id"`
	SKU            string     `json:"sku"`
	Price          jsonMoney  `json:"price"`
	CompareAtPrice *jsonMoney `json:"compareAtPrice"`
	Options        []struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	} `json:"options"`
	WeightGrams int `json:"weightGrams"`
}

type jsonMoney struct {
	Amount       amount `json:"amount"`
	CurrencyCode string `json:"currencyCode"`
}

// An amount may be a string or a number: as text, both are exact.
type amount string

// UnmarshalJSON keeps the text.
func (a *amount) UnmarshalJSON(b []byte) error {
	*a = amount(strings.Trim(string(b), `"`))
	return nil
}

func jsonItems(r io.Reader) iter.Seq2[catalog.FeedItem, error] {
	return func(yield func(catalog.FeedItem, error) bool) {
		rows, first := newLines(r), true
		for {
			l, err := rows.next()
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(catalog.FeedItem{}, err)
				return
			}
			if l.blank() {
				continue
			}
			if first && bytes.HasPrefix(bytes.TrimSpace(l.text), []byte("[")) {
				yield(catalog.FeedItem{}, broken("a JSONL feed has one object a line, not an array around all"))
				return
			}
			first = false
			if !yield(jsonItem(l), nil) {
				return
			}
		}
	}
}

func jsonItem(l line) catalog.FeedItem {
	item := catalog.FeedItem{Rows: []int{l.number}, Bytes: len(l.text)}
	if f := l.fault(); f != nil {
		item.Faults.Add(f)
		return item
	}
	var p jsonProduct
	if err := decode(l.text, &p); err != nil {
		item.ExternalID = whose(l.text)
		item.Faults = catalog.Faults{err}
		return item
	}
	item.ExternalID = p.ExternalID
	item.Input = p.input(&item.Faults)
	return item
}

// whose finds the externalId of a broken row, if it stands before what is broken.
func whose(text []byte) (externalID string) {
	d := json.NewDecoder(bytes.NewReader(text))
	if _, err := d.Token(); err != nil {
		return ""
	}
	for {
		key, err := d.Token()
		var value json.RawMessage
		if err != nil || d.Decode(&value) != nil {
			return ""
		}
		if key == "externalId" && json.Unmarshal(value, &externalID) == nil {
			return externalID
		}
	}
}

// decode reads one object and nothing else, with no field that nobody would look at.
func decode(text []byte, p *jsonProduct) *fault.Error {
	if !bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		return broken("the row is not a JSON object")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	err := d.Decode(p)
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &kind):
		return broken("%s is not %s", kind.Value, wanted(kind)).At(strings.Split(kind.Field, ".")...)
	case err != nil && strings.HasPrefix(err.Error(), "json: unknown field "):
		name, _ := strconv.Unquote(strings.TrimPrefix(err.Error(), "json: unknown field "))
		return broken("a product has no field %.60q", name)
	case err != nil:
		return broken("the row is not JSON: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := d.Token(); err != io.EOF {
		return broken("the row has more than one JSON object")
	}
	return nil
}

func wanted(e *json.UnmarshalTypeError) string {
	switch e.Type.Kind().String() {
	case "slice":
		return "a list"
	case "struct":
		return "an object"
	case "int":
		return "a whole number"
	}
	return "text"
}

func (p jsonProduct) input(faults *catalog.Faults) catalog.ProductInput {
	in := catalog.ProductInput{
		ID: p.ID, ExternalID: p.ExternalID, Title: p.Title, Description: p.Description, CategorySlug: p.CategorySlug,
		CategoryPath: p.CategoryPath, Brand: p.Brand, ImageURLs: p.ImageURLs, Status: catalog.Status(p.Status), IfVersion: p.IfVersion,
	}
	if in.Status == "" {
		in.Status = catalog.Active
	}
	for _, a := range p.Attributes {
		in.Attributes = append(in.Attributes, catalog.AttributeInput(a))
	}
	for i, v := range p.Variants {
		path := []string{"variants", strconv.Itoa(i)}
		out := catalog.VariantInput{ID: v.ID, SKU: v.SKU, WeightGrams: v.WeightGrams, Price: v.Price.input(faults, append(path, "price")...)}
		if v.CompareAtPrice != nil {
			before := v.CompareAtPrice.input(faults, append(path, "compareAtPrice")...)
			out.CompareAtPrice = &before
		}
		for _, o := range v.Options {
			out.Options = append(out.Options, catalog.Option(o))
		}
		in.Variants = append(in.Variants, out)
	}
	return in
}

func (m jsonMoney) input(faults *catalog.Faults, path ...string) money.Input {
	d, ok := exact(string(m.Amount))
	if !ok {
		faults.Add(broken("%.40q is not an amount such as \"19.90\"", string(m.Amount)), append(path, "amount")...)
	}
	return money.Input{Amount: d, CurrencyCode: m.CurrencyCode}
}
