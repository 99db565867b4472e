package feeds

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
)

// A Mapping says what the fields of somebody's feed mean.
//
// Every value is a template: text with fields of the record in braces, such as "{brand} {name}". A path goes down with dots,
// {details.weight} or {images.0}; {weight|250} is 250 where a record has no weight; {#} names a record by its content, {#name,brand}
// by these fields alone, the same at every reading.
type Mapping struct {
	ExternalID   template      `yaml:"externalId"` // {#} without it
	Title        template      `yaml:"title"`
	Description  template      `yaml:"description"`
	Brand        template      `yaml:"brand"`
	CategoryPath templates     `yaml:"categoryPath"` // a field that is a list, or text with > between the names, is several
	ImageURLs    templates     `yaml:"imageUrls"`    // a field that is a list is several
	Status       template      `yaml:"status"`
	Attributes   []attribute   `yaml:"attributes"`
	Variants     variantFields `yaml:"variants"`
}

// variantFields says what a variant is made of.
type variantFields struct {
	Each           string        `yaml:"each"` // the record's list of variants; their fields go before the record's. Without it a record is one variant.
	SKU            template      `yaml:"sku"`  // the externalId without it
	Price          template      `yaml:"price"`
	CompareAtPrice template      `yaml:"compareAtPrice"`
	Currency       template      `yaml:"currency"`
	WeightGrams    template      `yaml:"weightGrams"`
	Options        []optionField `yaml:"options"`
}

type optionField struct {
	Name  string   `yaml:"name"`
	Value template `yaml:"value"`
}

// An attribute may be only a part of a field: what a regular expression finds there, or what is in its parentheses.
type attribute struct {
	Key   string   `yaml:"key"`
	Value template `yaml:"value"`
	Unit  string   `yaml:"unit"`
	Match *pattern `yaml:"match"`
}

// ReadMapping reads a mapping in YAML.
func ReadMapping(text []byte) (*Mapping, error) {
	var m Mapping
	if err := yaml.UnmarshalWithOptions(text, &m, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("the mapping cannot be read: %w", err)
	}
	for what, t := range map[string]template{
		"title": m.Title, "variants.price": m.Variants.Price, "variants.currency": m.Variants.Currency, "variants.weightGrams": m.Variants.WeightGrams,
	} {
		if len(t) == 0 {
			return nil, fmt.Errorf("the mapping does not say what %s is", what)
		}
	}
	if len(m.CategoryPath) == 0 {
		return nil, errors.New("the mapping does not say what categoryPath is")
	}
	return &m, nil
}

// product makes a product of a record.
func (m *Mapping) product(fields map[string]any) (Product, []Problem) {
	in := scope{fields}
	var problems []Problem
	need := func(field string, s string) string {
		if s == "" {
			problems = append(problems, Problem{field, absent})
		}
		return s
	}
	p := Product{
		ExternalID: m.ExternalID.text(in), Title: need("title", m.Title.text(in)), Description: m.Description.text(in),
		Brand: m.Brand.text(in), Status: strings.ToUpper(m.Status.text(in)), ImageURLs: m.ImageURLs.list(in),
	}
	for _, names := range m.CategoryPath.list(in) {
		for name := range strings.SplitSeq(names, ">") {
			if name = strings.TrimSpace(name); name != "" {
				p.CategoryPath = append(p.CategoryPath, name)
			}
		}
	}
	if len(p.CategoryPath) == 0 {
		problems = append(problems, Problem{"categoryPath", absent})
	}
	for _, a := range m.Attributes {
		if value := a.of(in); value != "" {
			p.Attributes = append(p.Attributes, Attribute{a.Key, value, a.Unit})
		}
	}
	each := []scope{in}
	if m.Variants.Each != "" {
		each = nil
		list, _ := in.find(m.Variants.Each).([]any)
		for _, one := range list {
			if fields, ok := one.(map[string]any); ok {
				each = append(each, append(scope{fields}, in...))
			}
		}
		if len(each) == 0 {
			problems = append(problems, Problem{"variants", "the record has none in " + m.Variants.Each})
		}
	}
	for i, in := range each {
		v, wrong := m.Variants.variant(in)
		for _, w := range wrong {
			problems = append(problems, Problem{fmt.Sprintf("variants.%d.%s", i, w.Field), w.Message})
		}
		p.Variants = append(p.Variants, v)
	}
	return p, problems
}

func (f variantFields) variant(in scope) (v Variant, problems []Problem) {
	v.SKU = f.SKU.text(in)
	currency := strings.ToUpper(f.Currency.text(in))
	v.Price = Money{amount(f.Price.text(in)), currency}
	if v.Price.Amount == "" {
		problems = append(problems, Problem{"price", absent})
	}
	if before := amount(f.CompareAtPrice.text(in)); before != "" && before != v.Price.Amount {
		v.CompareAtPrice = &Money{before, currency}
	}
	weight := f.WeightGrams.text(in)
	grams, err := strconv.ParseFloat(weight, 64)
	if err != nil {
		problems = append(problems, Problem{"weightGrams", fmt.Sprintf("%.40q is not a number of grams", weight)})
	}
	v.WeightGrams = int(grams)
	for _, o := range f.Options {
		if value := o.Value.text(in); value != "" {
			v.Options = append(v.Options, Option{o.Name, value})
		}
	}
	return v, problems
}

var thousands = regexp.MustCompile(`,(\d{3})`)

// amount takes off what people write around numbers: $1,299.00 is 1299.00. Whether the rest is a number, the shop says.
func amount(s string) Amount {
	s = strings.TrimFunc(s, func(r rune) bool { return strings.ContainsRune(" $€£₹\u00a0", r) })
	return Amount(thousands.ReplaceAllString(s, "$1"))
}

func (a attribute) of(in scope) string {
	value := a.Value.text(in)
	if a.Match == nil {
		return value
	}
	found := a.Match.FindStringSubmatch(value)
	if len(found) == 0 {
		return ""
	}
	return found[len(found)-1]
}

// A pattern is a regular expression in YAML.
type pattern struct{ *regexp.Regexp }

// UnmarshalYAML compiles it.
func (p *pattern) UnmarshalYAML(read func(any) error) (err error) {
	var s string
	if err := read(&s); err != nil {
		return err
	}
	p.Regexp, err = regexp.Compile(s)
	return err
}

// ownColumns reads a record of CSV whose columns are named as the shop names them; see the format of bulk imports.
func ownColumns(fields map[string]any) (Product, []Problem) {
	m := Mapping{
		ExternalID: "{externalId}", Title: "{title}", Description: "{description}", Brand: "{brand}", Status: "{status}",
		CategoryPath: templates{"{categoryPath}"},
		Variants:     variantFields{SKU: "{sku}", Price: "{price}", CompareAtPrice: "{compareAtPrice}", Currency: "{currency}", WeightGrams: "{weightGrams}"},
	}
	for _, name := range sortedKeys(fields) {
		kind, rest, _ := strings.Cut(name, ":")
		switch {
		case kind == "option" && rest != "":
			m.Variants.Options = append(m.Variants.Options, optionField{rest, template("{" + name + "}")})
		case kind == "attribute" && rest != "":
			key, unit, _ := strings.Cut(rest, ":")
			m.Attributes = append(m.Attributes, attribute{Key: key, Value: template("{" + name + "}"), Unit: unit})
		}
	}
	p, problems := m.product(fields)
	if p.CategorySlug = template("{categorySlug}").text(scope{fields}); p.CategorySlug != "" {
		problems = without(problems, "categoryPath")
	}
	p.ImageURLs = strings.Fields(template("{imageUrls}").text(scope{fields}))
	return p, problems
}

func without(problems []Problem, field string) (left []Problem) {
	for _, p := range problems {
		if p.Field != field {
			left = append(left, p)
		}
	}
	return left
}
