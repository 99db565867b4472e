package inventory

import (
	"context"

	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/viewer"
)

// A Catalog knows whose goods are whose. It is asked about variants whose product we have not heard of yet.
type Catalog interface {
	// Items finds what is known of variants; unknown ones are left out.
	Items(ctx context.Context, variantIDs []string) ([]Item, error)
}

// Mine tells which of the variants are the viewer's to see into and to move: a seller's own, and any that exist for staff.
func (inv *Inventory) Mine(ctx context.Context, who viewer.Viewer, variantIDs []string) (map[string]bool, error) {
	mine := make(map[string]bool, len(variantIDs))
	if who.SellerID == "" && !who.Staff() {
		return mine, nil
	}
	items, err := inv.items(ctx, variantIDs)
	for _, i := range items {
		mine[i.VariantID] = who.Staff() || who.Sells(i.SellerID)
	}
	return mine, err
}

const mostAsked = 500 // variants in one question to the catalogue

// items finds what is known of variants here, else in the catalogue.
func (inv *Inventory) items(ctx context.Context, variantIDs []string) ([]Item, error) {
	known, err := inv.store.ItemsByID(ctx, variantIDs)
	if err != nil || len(known) == len(variantIDs) {
		return known, err
	}
	isKnown := make(map[string]bool, len(known))
	for _, i := range known {
		isKnown[i.VariantID] = true
	}
	var unknown []string
	for _, v := range variantIDs {
		if !isKnown[v] && id.Is(id.Variant, v) {
			unknown = append(unknown, v)
		}
	}
	for len(unknown) > 0 {
		n := min(len(unknown), mostAsked)
		asked, err := inv.catalog.Items(ctx, unknown[:n])
		if err != nil {
			return nil, err
		}
		if err := inv.store.AddItems(ctx, asked); err != nil {
			return nil, err
		}
		known, unknown = append(known, asked...), unknown[n:]
	}
	return known, nil
}
