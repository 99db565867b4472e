package graph

import (
	"context"

	"github.com/souk-shop/souk/internal/page"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/inventory"
	"github.com/souk-shop/souk/subgraphs/inventory/internal/gen"
)

func (q *query) Warehouses(ctx context.Context) ([]inventory.Warehouse, error) {
	return q.inventory.Warehouses(ctx)
}

func (m *mutation) WarehouseSave(ctx context.Context, in gen.WarehouseSaveInput) (*gen.WarehousePayload, error) {
	w, err := m.inventory.SaveWarehouse(ctx, viewer.From(ctx), inventory.Warehouse{
		Code: in.Code, Name: in.Name, Pincode: in.Pincode, Country: in.Country, Latitude: in.Latitude, Longitude: in.Longitude,
	})
	if err != nil {
		errs, err := userErrors(err)
		return &gen.WarehousePayload{UserErrors: errs}, err
	}
	return &gen.WarehousePayload{Warehouse: &w, UserErrors: []gen.InventoryUserError{}}, nil
}

const usualLevels = 50 // as the schema says

func (*warehouse) Levels(ctx context.Context, w *inventory.Warehouse, first *int, after *string) (*gen.StockLevelConnection, error) {
	n, err := page.Size(first, usualLevels)
	if err != nil {
		return nil, err
	}
	q := inventory.LevelsQuery{WarehouseID: w.ID, First: n}
	if after != nil {
		q.After = *after
	}
	p, err := load(ctx).LevelsIn.Load(ctx, q)
	if err != nil {
		return nil, err
	}
	return &gen.StockLevelConnection{Nodes: p.Levels, PageInfo: &p.Info}, nil
}
