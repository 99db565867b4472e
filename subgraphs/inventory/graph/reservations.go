package graph

import (
	"context"

	"github.com/souk-shop/souk/internal/id"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/inventory"
	"github.com/souk-shop/souk/subgraphs/inventory/internal/gen"
)

func (q *query) Reservation(ctx context.Context, reservationID string) (*inventory.Reservation, error) {
	if err := id.Check(id.Reservation, reservationID, "id"); err != nil {
		return nil, err
	}
	found, err := q.inventory.Reservations(ctx, viewer.From(ctx), []string{reservationID})
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

func (*reservation) Account(_ context.Context, r *inventory.Reservation) (*gen.Account, error) {
	return &gen.Account{ID: r.AccountID}, nil
}

func (*line) Variant(_ context.Context, l *inventory.Line) (*gen.ProductVariant, error) {
	return &gen.ProductVariant{ID: l.VariantID}, nil
}

func (*line) Warehouse(ctx context.Context, l *inventory.Line) (*inventory.Warehouse, error) {
	return load(ctx).Warehouse.Load(ctx, l.WarehouseID)
}
