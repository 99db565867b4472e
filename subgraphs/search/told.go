package search

import (
	"cmp"
	"maps"
	"slices"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/money"
)

// Versions is what was said of one thing, by version. The highest holds; the others may be forgotten.
type Versions[T any] map[int64]T

// Latest returns what holds.
func (v Versions[T]) Latest() (said T) {
	if len(v) > 0 {
		said = v[slices.Max(slices.Collect(maps.Keys(v)))]
	}
	return said
}

// Outdated returns the versions that do not hold any more.
func (v Versions[T]) Outdated() []int64 {
	all := slices.Sorted(maps.Keys(v))
	return all[:max(0, len(all)-1)]
}

// Told is what the index was told of one product. It can be put together from pieces in any order, on any number of
// machines at once, and any piece may come twice: each is kept under its version, and nothing is ever overwritten.
type Told struct {
	Product Versions[events.ProductSaved]            `json:"product,omitempty"`
	Rating  Versions[events.RatingChanged]           `json:"rating,omitempty"`
	Stock   map[string]Versions[events.StockChanged] `json:"stock,omitempty"` // by variant
}

// News is what the index shall be told, by product.
type News map[string]Told

// Saved adds that a product was saved. Of one that is not for sale only that is remembered, so that an older event
// cannot bring it back.
func (n News) Saved(e events.ProductSaved) {
	if e.Status != active {
		e = events.ProductSaved{At: e.At, ProductID: e.ProductID, Version: e.Version, Status: e.Status}
	}
	t := n[e.ProductID]
	t.Product = latest(t.Product, int64(e.Version), e)
	n[e.ProductID] = t
}

// Rated adds that a product's rating changed.
func (n News) Rated(e events.RatingChanged) {
	t := n[e.ProductID]
	t.Rating = latest(t.Rating, e.Version, e)
	n[e.ProductID] = t
}

// Stocked adds that the stock of a variant changed.
func (n News) Stocked(e events.StockChanged) {
	t := n[e.ProductID]
	if t.Stock == nil {
		t.Stock = map[string]Versions[events.StockChanged]{}
	}
	t.Stock[e.VariantID] = latest(t.Stock[e.VariantID], e.Seq, e)
	n[e.ProductID] = t
}

// latest adds a version, unless a later one is there already.
func latest[T any](v Versions[T], version int64, said T) Versions[T] {
	for known := range v {
		if known >= version {
			return v
		}
	}
	return Versions[T]{version: said}
}

const active = "ACTIVE"

// Listing returns the product as customers can find it; ok is false while they cannot.
func (t Told) Listing() (l Listing, ok bool) {
	p := t.Product.Latest()
	if p.Status != active || len(p.Variants) == 0 {
		return Listing{}, false
	}
	l = Listing{
		Card:        Card{ID: p.ProductID, Slug: p.Slug, Title: p.Title, Brand: p.Brand, Thumbnail: p.Thumbnail},
		Description: p.Description, SellerID: p.SellerID, Attributes: p.Attributes, CreatedAt: p.CreatedAt,
	}
	for _, c := range p.Categories {
		l.Categories = append(l.Categories, Category(c))
	}
	for _, v := range p.Variants {
		l.SKUs = append(l.SKUs, v.SKU)
		l.Prices = append(l.Prices, v.Price)
		if v.Title != "" && v.Title != p.Title {
			l.Variants = append(l.Variants, v.Title)
		}
		l.InStock = l.InStock || t.Stock[v.ID].Latest().Available > 0
	}
	l.PriceRange = span(l.Prices)
	rating := t.Rating.Latest()
	l.Rating, l.RatingCount = rating.Average, rating.Count
	return l, true
}

// span returns the cheapest and the dearest; all variants of a product have one currency.
func span(prices []money.Money) PriceRange {
	byAmount := func(a, b money.Money) int { return cmp.Compare(a.Amount, b.Amount) }
	return PriceRange{Min: slices.MinFunc(prices, byAmount), Max: slices.MaxFunc(prices, byAmount)}
}
