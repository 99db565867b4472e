package graph

import (
	"context"

	"github.com/souk-shop/souk/dataloaders"
	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/inventory"
	"github.com/souk-shop/souk/subgraphs/inventory/internal/gen"
)

func (r *entity) FindManyWarehouseByIDs(ctx context.Context, keys []*gen.WarehouseByIDsInput) ([]*inventory.Warehouse, error) {
	ids := dataloaders.Keys(keys, func(k *gen.WarehouseByIDsInput) string { return k.ID })
	found, err := r.inventory.WarehousesByID(ctx, ids)
	return dataloaders.InOrder(ids, found, inventory.Warehouse.Key), err
}

func (r *entity) FindManyReservationByIDs(ctx context.Context, keys []*gen.ReservationByIDsInput) ([]*inventory.Reservation, error) {
	ids := dataloaders.Keys(keys, func(k *gen.ReservationByIDsInput) string { return k.ID })
	found, err := r.inventory.Reservations(ctx, viewer.From(ctx), ids)
	return dataloaders.InOrder(ids, found, inventory.Reservation.Key), err
}

// Products and variants live elsewhere: whoever asks knows that they exist.
func (r *entity) FindManyProductByIDs(_ context.Context, keys []*gen.ProductByIDsInput) ([]*gen.Product, error) {
	return dataloaders.Keys(keys, func(k *gen.ProductByIDsInput) *gen.Product {
		if !id.Is(id.Product, k.ID) {
			return nil
		}
		return &gen.Product{ID: k.ID}
	}), nil
}

func (r *entity) FindManyProductVariantByIDs(_ context.Context, keys []*gen.ProductVariantByIDsInput) ([]*gen.ProductVariant, error) {
	return dataloaders.Keys(keys, func(k *gen.ProductVariantByIDsInput) *gen.ProductVariant {
		if !id.Is(id.Variant, k.ID) {
			return nil
		}
		return &gen.ProductVariant{ID: k.ID}
	}), nil
}
