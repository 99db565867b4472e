package catalog

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/money"
	"github.com/souk-shop/souk/internal/page"
	"github.com/souk-shop/souk/internal/viewer"
)

// A Product is goods on offer, in one or more variants. It is one document: whatever changes, changes at once.
type Product struct {
	ID           string
	Slug         string // given once, so that links last
	SellerID     string
	ExternalID   string // the seller's own id, "" for none
	Version      int    // rises by one with every change
	Status       Status
	Title        string
	Description  string
	Brand        string
	CategoryPath []string // ids from the top of the tree down to the product's own category
	Attributes   []Attribute
	Variants     []Variant
	Retired      []Variant // what was on offer once: orders still name them
	Linked       []Media   // pictures that were on the web already
	Attached     []Media   // pictures that were uploaded
	CreatedAt    time.Time
	UpdatedAt    time.Time
	PublishedAt  *time.Time // when it was first on offer
}

// Status says whether a product can be bought.
type Status string

// The states of a product.
const (
	Draft    Status = "DRAFT"
	Active   Status = "ACTIVE"
	Archived Status = "ARCHIVED"
)

// An Attribute is something known of a product; which ones there are differs by family.
type Attribute struct{ Key, Value, Unit string }

// Label returns the key for people: screen_size is Screen size.
func (a Attribute) Label() string {
	words := strings.TrimSpace(strings.ReplaceAll(a.Key, "_", " "))
	first, size := utf8.DecodeRuneInString(words)
	return string(unicode.ToUpper(first)) + words[size:]
}

// A Variant is what exactly can be bought: one SKU.
type Variant struct {
	ID          string
	SKU         string
	Price       money.Money
	CompareAt   *money.Money
	Options     []Option // one for every option of the product, in the product's order
	WeightGrams int
}

// An Option is a variant's value for something that variants can be chosen by.
type Option struct{ Name, Value string }

// Title returns the options in words, "" for a product that has none.
func (v Variant) Title() string {
	values := make([]string, len(v.Options))
	for i, o := range v.Options {
		values[i] = o.Value
	}
	return strings.Join(values, " / ")
}

// A MediaKind says what a medium is.
type MediaKind string

// Image is a picture.
const Image MediaKind = "IMAGE"

// A Media is a picture somewhere on the web, at an address that never changes.
type Media struct {
	ID       string
	Kind     MediaKind
	Alt      string
	URL      string
	UploadID string // "" for one that was on the web already
}

// A Choice is something that variants can be chosen by, with every value that some variant has.
type Choice struct {
	Name   string
	Values []string
}

// A PriceRange goes from the cheapest variant to the dearest.
type PriceRange struct{ Min, Max money.Money }

// A ProductVariant is a variant with what it is a variant of.
type ProductVariant struct {
	Variant
	Product *Product
}

// IsEntity lets other subgraphs refer to products.
func (Product) IsEntity() {}

// IsEntity lets other subgraphs refer to variants.
func (ProductVariant) IsEntity() {}

// Key returns the product's id.
func (p Product) Key() string { return p.ID }

// Address returns the product's slug.
func (p Product) Address() string { return p.Slug }

// Key returns the variant's id.
func (v ProductVariant) Key() string { return v.ID }

// Code returns the variant's SKU.
func (v ProductVariant) Code() string { return v.SKU }

// CategoryID returns the category the product itself is in.
func (p Product) CategoryID() string {
	if len(p.CategoryPath) == 0 {
		return ""
	}
	return p.CategoryPath[len(p.CategoryPath)-1]
}

// Media returns the product's pictures, the first one first.
func (p Product) Media() []Media {
	all := slices.Concat(p.Linked, p.Attached)
	for i := range all {
		all[i].Alt = p.Title
	}
	return all
}

// Thumbnail returns the address of the first picture, or nil.
func (p Product) Thumbnail() *string {
	for _, m := range p.Media() {
		return &m.URL
	}
	return nil
}

// Image returns the picture that shows the variant best, or nil.
func (v ProductVariant) Image() *Media {
	for _, m := range v.Product.Media() {
		return &m
	}
	return nil
}

// PriceRange returns what the cheapest and the dearest variant cost; a product has one currency.
func (p Product) PriceRange() PriceRange {
	var r PriceRange
	for i, v := range p.Variants {
		if i == 0 || v.Price.Amount < r.Min.Amount {
			r.Min = v.Price
		}
		if i == 0 || v.Price.Amount > r.Max.Amount {
			r.Max = v.Price
		}
	}
	return r
}

// Options returns what the variants can be chosen by, names and values in the order in which variants bring them.
func (p Product) Options() []Choice {
	var all []Choice
	for _, v := range p.Variants {
		for _, o := range v.Options {
			i := slices.IndexFunc(all, func(c Choice) bool { return c.Name == o.Name })
			if i < 0 {
				i, all = len(all), append(all, Choice{Name: o.Name})
			}
			if !slices.Contains(all[i].Values, o.Value) {
				all[i].Values = append(all[i].Values, o.Value)
			}
		}
	}
	return all
}

// VariantWith returns the variant that has exactly these options, or nil.
func (p *Product) VariantWith(options []Option) *ProductVariant {
	for _, v := range p.Variants {
		if len(v.Options) == len(options) && !slices.ContainsFunc(v.Options, func(o Option) bool { return !slices.Contains(options, o) }) {
			return &ProductVariant{v, p}
		}
	}
	return nil
}

// variantCursor remembers the place too, for a variant that went meanwhile.
type variantCursor struct {
	ID    string `json:"i"`
	Place int    `json:"p"`
}

// VariantsAfter returns a page of the variants on offer.
func (p *Product) VariantsAfter(first int, after *string) ([]ProductVariant, page.Info, error) {
	start := 0
	if after != nil {
		var c variantCursor
		if err := page.Decode(after, &c); err != nil {
			return nil, page.Info{}, err
		}
		start = slices.IndexFunc(p.Variants, func(v Variant) bool { return v.ID == c.ID }) + 1
		if start == 0 {
			start = min(max(c.Place, 0), len(p.Variants))
		}
	}
	var rows []ProductVariant
	for _, v := range p.Variants[start:min(len(p.Variants), start+first+1)] {
		rows = append(rows, ProductVariant{v, p})
	}
	rows, info := page.Cut(rows, first, after, func(v ProductVariant) string {
		place := slices.IndexFunc(p.Variants, func(o Variant) bool { return o.ID == v.ID })
		return page.Encode(variantCursor{v.ID, place})
	})
	return rows, info, nil
}

// same tells whether nothing but the version and the time of change differs.
func (p Product) same(o Product) bool {
	o.Version, o.UpdatedAt = p.Version, p.UpdatedAt
	return reflect.DeepEqual(p.tidy(), o.tidy())
}

// tidy has nil for every empty list, so that products can be compared.
func (p Product) tidy() Product {
	p.CategoryPath, p.Attributes = unlessNone(p.CategoryPath), unlessNone(p.Attributes)
	p.Linked, p.Attached = unlessNone(p.Linked), unlessNone(p.Attached)
	for _, vs := range []*[]Variant{&p.Variants, &p.Retired} {
		*vs = unlessNone(slices.Clone(*vs))
		for i := range *vs {
			(*vs)[i].Options = unlessNone((*vs)[i].Options)
		}
	}
	return p
}

func unlessNone[T any](s []T) []T {
	if len(s) == 0 {
		return nil
	}
	return s
}

// listedFor tells whether the viewer finds the product in the shop: drafts and archived ones are for their seller and staff.
func (p Product) listedFor(who viewer.Viewer) bool {
	return p.Status == Active || p.KeptBy(who)
}

// namedFor tells whether the product is shown where something else names it, such as an order: whatever was once on offer is.
func (p Product) namedFor(who viewer.Viewer) bool {
	return p.PublishedAt != nil || p.KeptBy(who)
}

// KeptBy tells whether the viewer is the product's seller or staff.
func (p Product) KeptBy(who viewer.Viewer) bool { return who.Sells(p.SellerID) || who.Staff() }

// Find returns the product with an id or a slug, exactly one of which is given, or nil when the viewer finds none.
func (c *Catalog) Find(ctx context.Context, who viewer.Viewer, productID, slug *string) (*Product, error) {
	var found []Product
	var err error
	switch {
	case (productID == nil) == (slug == nil):
		return nil, fault.New(fault.Invalid, "INVALID", "give either id or slug")
	case productID != nil:
		if err := id.Check(id.Product, *productID, "id"); err != nil {
			return nil, err
		}
		found, err = c.store.ProductsByID(ctx, []string{*productID})
	default:
		found, err = c.store.ProductsBySlug(ctx, []string{*slug})
	}
	if err != nil || len(found) == 0 || !found[0].listedFor(who) {
		return nil, err
	}
	return &found[0], nil
}

// ProductsByID returns the products that something the viewer sees may name.
func (c *Catalog) ProductsByID(ctx context.Context, who viewer.Viewer, ids []string) ([]Product, error) {
	found, err := c.store.ProductsByID(ctx, ids)
	return named(found, who), err
}

// ProductsBySlug returns the products that something the viewer sees may name.
func (c *Catalog) ProductsBySlug(ctx context.Context, who viewer.Viewer, slugs []string) ([]Product, error) {
	found, err := c.store.ProductsBySlug(ctx, slugs)
	return named(found, who), err
}

// VariantsByID returns the variants that something the viewer sees may name, those no longer on offer too.
func (c *Catalog) VariantsByID(ctx context.Context, who viewer.Viewer, ids []string) ([]ProductVariant, error) {
	found, err := c.store.ProductsByVariant(ctx, ids)
	return variants(named(found, who), func(v Variant, _ bool) bool { return slices.Contains(ids, v.ID) }), err
}

// VariantsBySKU returns the variants on offer that something the viewer sees may name.
func (c *Catalog) VariantsBySKU(ctx context.Context, who viewer.Viewer, skus []string) ([]ProductVariant, error) {
	found, err := c.store.ProductsBySKU(ctx, skus)
	return variants(named(found, who), func(v Variant, retired bool) bool { return !retired && slices.Contains(skus, v.SKU) }), err
}

func named(found []Product, who viewer.Viewer) []Product {
	return slices.DeleteFunc(found, func(p Product) bool { return !p.namedFor(who) })
}

// variants picks variants out of products.
func variants(of []Product, wanted func(v Variant, retired bool) bool) []ProductVariant {
	var out []ProductVariant
	for i := range of {
		p := &of[i]
		for _, v := range p.Variants {
			if wanted(v, false) {
				out = append(out, ProductVariant{v, p})
			}
		}
		for _, v := range p.Retired {
			if wanted(v, true) {
				out = append(out, ProductVariant{v, p})
			}
		}
	}
	return out
}
