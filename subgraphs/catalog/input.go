package catalog

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/money"
)

// A ProductInput is a product as its seller wants it, not yet checked. Feeds and single saves both end here.
type ProductInput struct {
	ID           string // "" to go by ExternalID
	ExternalID   string
	Title        string
	Description  string
	CategorySlug string
	CategoryPath []string // in feeds, instead of the slug
	Brand        string
	Attributes   []AttributeInput
	Variants     []VariantInput
	ImageURLs    []string
	Status       Status
	IfVersion    *int
}

// An AttributeInput is an attribute, not yet checked.
type AttributeInput struct{ Key, Value, Unit string }

// A VariantInput is a variant, not yet checked.
type VariantInput struct {
	ID             string // "" to go by SKU
	SKU            string
	Price          money.Input
	CompareAtPrice *money.Input
	Options        []Option
	WeightGrams    int
}

// How much a product may be. An event tells all of it, which bounds its texts together.
const (
	longestTitle       = 255
	longestDescription = 10_000
	longestBrand       = 120
	longestExternalID  = 128
	longestSKU         = 64
	longestAttribute   = 500
	longestUnit        = 32
	longestOption      = 100
	longestURL         = 2_000
	mostText           = 128 << 10 // bytes
	mostAttributes     = 100
	mostVariants       = 100
	mostOptions        = 5
	mostPictures       = 100
	mostRetired        = 1_000
	mostGrams          = 1_000_000
	dearest            = money.Max / 100_000 // a cart of 100 lines of 999 of it still adds up
)

var attributeKey = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)

// checked is an input that breaks no rule, with its texts trimmed and its amounts exact. What a variant is to be called
// is known once the product it belongs to is.
type checked struct {
	ProductInput
	attributes []Attribute
	variants   []Variant // their ids are those the input names, "" without
	pictures   []string
}

// check looks at everything that can be told from the input alone, and tells all that is wrong at once.
func (in ProductInput) check() (checked, error) {
	c := checked{ProductInput: in}
	c.Title, c.Brand = spaced(in.Title), spaced(in.Brand)
	c.Description = strings.TrimSpace(in.Description)
	c.ExternalID, c.CategorySlug = strings.TrimSpace(in.ExternalID), strings.TrimSpace(in.CategorySlug)

	var faults Faults
	faults.text("a title", c.Title, 1, longestTitle, "title")
	faults.text("a description", c.Description, 0, longestDescription, "description")
	faults.text("a brand", c.Brand, 0, longestBrand, "brand")
	faults.text("an external id", c.ExternalID, 0, longestExternalID, "externalId")
	if in.ID != "" {
		faults.AddErr(id.Check(id.Product, in.ID, "id"))
	}
	if !slices.Contains([]Status{Draft, Active, Archived}, in.Status) {
		faults.Add(invalid("a status is DRAFT, ACTIVE or ARCHIVED"), "status")
	}
	switch {
	case c.CategorySlug == "" && len(in.CategoryPath) == 0:
		faults.Add(invalid("say which category it belongs to"), "categorySlug")
	case c.CategorySlug != "" && len(in.CategoryPath) > 0:
		faults.Add(invalid("give categorySlug or categoryPath, not both"), "categoryPath")
	case len(in.CategoryPath) > 0:
		faults.AddErr(under(checkPath(in.CategoryPath).Err(), "categoryPath"))
	}
	c.attributes = faults.attributes(in.Attributes)
	c.variants = faults.variants(in.Variants)
	c.pictures = faults.pictures(in.ImageURLs)
	if n := c.bytes(); n > mostText {
		faults.Add(ErrTooLarge.Says("all texts of a product together are at most %d KB", mostText>>10))
	}
	return c, faults.Err()
}

func (fs *Faults) text(what, s string, least, most int, path ...string) {
	n := utf8.RuneCountInString(s)
	switch {
	case !utf8.ValidString(s) || strings.ContainsRune(s, 0):
		fs.Add(invalid("%s is text, not bytes", what), path...)
	case n < least && n == 0:
		fs.Add(invalid("%s is missing", what), path...)
	case n < least || n > most:
		fs.Add(invalid("%s has at most %d characters", what, most), path...)
	}
}

func (fs *Faults) attributes(in []AttributeInput) []Attribute {
	if len(in) > mostAttributes {
		fs.Add(ErrTooLarge.Says("a product has at most %d attributes", mostAttributes), "attributes")
		return nil
	}
	out := make([]Attribute, len(in))
	seen := map[string]bool{}
	for i, a := range in {
		out[i] = Attribute{strings.TrimSpace(a.Key), spaced(a.Value), strings.TrimSpace(a.Unit)}
		switch key := out[i].Key; {
		case !attributeKey.MatchString(key):
			fs.Add(invalid("an attribute's key is lower case letters, digits and underscores, at most 64, a letter first"), "attributes", at(i), "key")
		case seen[key]:
			fs.Add(invalid("attribute %s is given twice", key), "attributes", at(i), "key")
		}
		seen[out[i].Key] = true
		fs.text("an attribute's value", out[i].Value, 1, longestAttribute, "attributes", at(i), "value")
		fs.text("a unit", out[i].Unit, 0, longestUnit, "attributes", at(i), "unit")
	}
	return out
}

func (fs *Faults) variants(in []VariantInput) []Variant {
	switch {
	case len(in) == 0:
		fs.Add(invalid("a product has at least one variant"), "variants")
	case len(in) > mostVariants:
		fs.Add(ErrTooLarge.Says("a product has at most %d variants", mostVariants), "variants")
		return nil
	}
	out := make([]Variant, len(in))
	ids, skus, combinations := map[string]bool{}, map[string]bool{}, map[string]bool{}
	currency := ""
	for i, v := range in {
		path := func(field ...string) []string { return append([]string{"variants", at(i)}, field...) }
		out[i] = fs.variant(v, path)
		if v.ID != "" && ids[v.ID] {
			fs.Add(invalid("two variants with one id"), path("id")...)
		}
		ids[v.ID] = true
		if sku := out[i].SKU; sku != "" && skus[sku] {
			fs.Add(invalid("two variants with SKU %s", sku), path("sku")...)
		}
		skus[out[i].SKU] = true
		if currency == "" {
			currency = out[i].Price.Currency
		} else if c := out[i].Price.Currency; c != "" && c != currency {
			fs.Add(invalid("a product has one currency: %s and %s are two", currency, c), path("price", "currencyCode")...)
		}
		ordered, ok := inOrder(out[i].Options, out[0].Options)
		if !ok {
			fs.Add(invalid("every variant has a value for the same options"), path("options")...)
			continue
		}
		out[i].Options = ordered
		combination := out[i].combination()
		if combinations[combination] {
			fs.Add(invalid("each variant has another combination of options"), path("options")...)
		}
		combinations[combination] = true
	}
	return out
}

func (fs *Faults) variant(v VariantInput, path func(...string) []string) Variant {
	out := Variant{ID: v.ID, SKU: strings.TrimSpace(v.SKU), WeightGrams: v.WeightGrams}
	if v.ID != "" {
		fs.AddErr(id.Check(id.Variant, v.ID, path("id")...))
	}
	fs.text("a SKU", out.SKU, 1, longestSKU, path("sku")...)
	price, err := v.Price.Money(path("price")...)
	switch {
	case err != nil:
		fs.AddErr(err)
	case price.Amount <= 0:
		fs.Add(invalid("a price is above zero"), path("price")...)
	case price.Amount > dearest:
		fs.Add(invalid("a price is at most %s", money.Money{Amount: dearest, Currency: price.Currency}), path("price")...)
	default:
		out.Price = price
	}
	if v.CompareAtPrice != nil {
		before, err := v.CompareAtPrice.Money(path("compareAtPrice")...)
		switch {
		case err != nil:
			fs.AddErr(err)
		case out.Price.Amount > 0 && (before.Currency != out.Price.Currency || before.Amount <= out.Price.Amount):
			fs.Add(invalid("what it cost before is above the price, in the same currency"), path("compareAtPrice")...)
		default:
			out.CompareAt = &before
		}
	}
	if v.WeightGrams < 1 || v.WeightGrams > mostGrams {
		fs.Add(invalid("a weight is 1 to 1,000,000 grams"), path("weightGrams")...)
	}
	if len(v.Options) > mostOptions {
		fs.Add(ErrTooLarge.Says("a variant has at most %d options", mostOptions), path("options")...)
		return out
	}
	names := map[string]bool{}
	for i, o := range v.Options {
		o = Option{spaced(o.Name), spaced(o.Value)}
		fs.text("an option's name", o.Name, 1, longestOption, path("options", at(i), "name")...)
		fs.text("an option's value", o.Value, 1, longestOption, path("options", at(i), "value")...)
		if names[o.Name] {
			fs.Add(invalid("option %s is given twice", o.Name), path("options", at(i), "name")...)
		}
		names[o.Name] = true
		out.Options = append(out.Options, o)
	}
	return out
}

// inOrder returns options in the order of a model's names, or false when the names differ.
func inOrder(options, model []Option) ([]Option, bool) {
	if len(options) != len(model) {
		return options, false
	}
	out := make([]Option, 0, len(model))
	for _, m := range model {
		i := slices.IndexFunc(options, func(o Option) bool { return o.Name == m.Name })
		if i < 0 {
			return options, false
		}
		out = append(out, options[i])
	}
	return out, true
}

func (v Variant) combination() string {
	values := make([]string, len(v.Options))
	for i, o := range v.Options {
		values[i] = o.Value
	}
	return strings.Join(values, "\x00")
}

func (fs *Faults) pictures(in []string) []string {
	if len(in) > mostPictures {
		fs.Add(ErrTooLarge.Says("a product has at most %d pictures from the web", mostPictures), "imageUrls")
		return nil
	}
	var out []string
	for i, s := range in {
		s = strings.TrimSpace(s)
		u, err := url.Parse(s)
		if err != nil || len(s) > longestURL || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
			fs.Add(invalid("a picture's address is an absolute http or https URL of at most %d characters", longestURL), "imageUrls", at(i))
			continue
		}
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

func (c checked) bytes() int {
	n := len(c.Title) + len(c.Description) + len(c.Brand)
	for _, a := range c.attributes {
		n += len(a.Key)*2 + len(a.Value) + len(a.Unit)
	}
	for _, v := range c.variants {
		n += len(v.SKU) + len(v.Title())
	}
	return n
}
