package catalog

import (
	"context"
	"slices"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/fault"
)

// Untold returns what others have yet to be told of, up to a limit, the longest waiting first: each product as it is
// now, under the id of its last event. Whoever tells it calls Told afterwards; telling one twice does no harm.
func (c *Catalog) Untold(ctx context.Context, limit int) ([]Untold, []events.ProductSaved, error) {
	waiting, err := c.store.Untold(ctx, limit)
	if err != nil || len(waiting) == 0 {
		return nil, nil, err
	}
	var ids []string
	for _, u := range waiting {
		ids = append(ids, u.Product.CategoryPath...)
	}
	slices.Sort(ids)
	categories, err := c.CategoriesByID(ctx, slices.Compact(ids))
	if err != nil {
		return nil, nil, err
	}
	byID := map[string]Category{}
	for _, cat := range categories {
		byID[cat.ID] = cat
	}
	said := make([]events.ProductSaved, len(waiting))
	for i, u := range waiting {
		said[i] = u.Product.saved(byID)
	}
	return waiting, said, nil
}

// Told notes that others were told.
func (c *Catalog) Told(ctx context.Context, told []Untold) error { return c.store.Told(ctx, told) }

// Changed is readable when this process has something new to tell.
func (c *Catalog) Changed() <-chan struct{} { return c.store.Changed() }

// saved is what others are told of the product.
func (p Product) saved(categories map[string]Category) events.ProductSaved {
	e := events.ProductSaved{
		At: events.At{At: p.UpdatedAt}, ProductID: p.ID, Version: p.Version, Status: string(p.Status), SellerID: p.SellerID,
		Slug: p.Slug, Title: p.Title, Description: p.Description, Brand: p.Brand, CreatedAt: p.CreatedAt,
		Categories: []events.Category{}, Attributes: []events.Attribute{}, Variants: []events.Variant{},
	}
	for _, id := range p.CategoryPath {
		c := categories[id]
		e.Categories = append(e.Categories, events.Category{ID: id, Slug: c.Slug, Name: c.Name})
	}
	for _, a := range p.Attributes {
		e.Attributes = append(e.Attributes, events.Attribute{Key: a.Key, Label: a.Label(), Value: a.Value, Unit: a.Unit})
	}
	for _, v := range p.Variants {
		e.Variants = append(e.Variants, v.said())
	}
	if first := p.Thumbnail(); first != nil {
		e.Thumbnail = *first
	}
	return e
}

func (v Variant) said() events.Variant {
	return events.Variant{ID: v.ID, SKU: v.SKU, Title: v.Title(), Price: v.Price, WeightGrams: v.WeightGrams}
}

const mostAsked = 500 // variants in one call

// Offers answers other subgraphs' question for variants.
func (c *Catalog) Offers(ctx context.Context, r events.VariantsRequest) (events.VariantsReply, error) {
	reply := events.VariantsReply{Variants: []events.VariantInfo{}}
	if len(r.IDs) > mostAsked {
		return reply, fault.New(fault.Invalid, "TOO_LARGE", "at most 500 variants at once").At("ids")
	}
	found, err := c.store.ProductsByVariant(ctx, r.IDs)
	if err != nil {
		return reply, err
	}
	asked := map[string]bool{}
	for _, id := range r.IDs {
		asked[id] = true
	}
	for _, p := range found {
		for _, v := range variants([]Product{p}, func(v Variant, _ bool) bool { return asked[v.ID] }) {
			onOffer := slices.ContainsFunc(p.Variants, func(o Variant) bool { return o.ID == v.ID })
			reply.Variants = append(reply.Variants, events.VariantInfo{
				Variant: v.said(), ProductID: p.ID, ProductTitle: p.Title, SellerID: p.SellerID, ForSale: p.Status == Active && onOffer,
			})
		}
	}
	return reply, nil
}
