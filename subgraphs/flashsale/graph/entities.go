package graph

import (
	"context"

	"github.com/souk-shop/souk/dataloaders"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/flashsale"
	"github.com/souk-shop/souk/subgraphs/flashsale/internal/gen"
)

func (r *entity) FindManyFlashSaleByIDs(ctx context.Context, keys []*gen.FlashSaleByIDsInput) ([]*flashsale.Sale, error) {
	ids := dataloaders.Keys(keys, func(k *gen.FlashSaleByIDsInput) string { return k.ID })
	found, err := r.sales.SalesByID(ctx, ids)
	return dataloaders.InOrder(ids, found, flashsale.Sale.Key), err
}

func (r *entity) FindManyFlashSaleBookingByIDs(ctx context.Context, keys []*gen.FlashSaleBookingByIDsInput) ([]*flashsale.Booking, error) {
	ids := dataloaders.Keys(keys, func(k *gen.FlashSaleBookingByIDsInput) string { return k.ID })
	found, err := r.sales.Bookings(ctx, viewer.From(ctx), ids)
	return dataloaders.InOrder(ids, found, func(b flashsale.Booking) string { return b.ID }), err
}

func (r *entity) FindManyFlashSaleTicketByIDs(ctx context.Context, keys []*gen.FlashSaleTicketByIDsInput) ([]*flashsale.Turn, error) {
	ids := dataloaders.Keys(keys, func(k *gen.FlashSaleTicketByIDsInput) string { return k.ID })
	found, err := r.sales.Turns(ctx, viewer.From(ctx), ids)
	return dataloaders.InOrder(ids, found, func(is flashsale.Turn) string { return is.ID }), err
}

// Variants live elsewhere: whoever asks knows that they exist.
func (r *entity) FindManyProductVariantByIDs(_ context.Context, keys []*gen.ProductVariantByIDsInput) ([]*gen.ProductVariant, error) {
	return dataloaders.Keys(keys, func(k *gen.ProductVariantByIDsInput) *gen.ProductVariant {
		if !id.Is(id.Variant, k.ID) {
			return nil
		}
		return &gen.ProductVariant{ID: k.ID}
	}), nil
}
