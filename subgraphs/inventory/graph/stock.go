package graph

import (
	"context"

	"github.com/souk-shop/souk/internal/optional"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/inventory"
	"github.com/souk-shop/souk/subgraphs/inventory/internal/gen"
)

func (*variant) Stock(ctx context.Context, of *gen.ProductVariant) (*inventory.Stock, error) {
	return load(ctx).Stock.Load(ctx, of.ID)
}

func (*variant) StockLevels(ctx context.Context, of *gen.ProductVariant) ([]inventory.Level, error) {
	return load(ctx).Levels.Load(ctx, of.ID)
}

func (*variant) StockedWarehouseIds(ctx context.Context, of *gen.ProductVariant) ([]string, error) {
	ids, err := load(ctx).StockedIn.Load(ctx, of.ID)
	return append([]string{}, ids...), err
}

func (*product) InStock(ctx context.Context, of *gen.Product) (*bool, error) {
	id, err := load(ctx).InStock.Load(ctx, of.ID)
	if err != nil {
		return nil, err
	}
	there := id != nil
	return &there, nil
}

func (*level) Variant(_ context.Context, l *inventory.Level) (*gen.ProductVariant, error) {
	return &gen.ProductVariant{ID: l.VariantID}, nil
}

func (*level) Warehouse(ctx context.Context, l *inventory.Level) (*inventory.Warehouse, error) {
	return load(ctx).Warehouse.Load(ctx, l.WarehouseID)
}

func (m *mutation) StockAdjust(ctx context.Context, in gen.StockAdjustInput) (*gen.StockPayload, error) {
	return moved(m.inventory.Adjust(ctx, viewer.From(ctx), in.Changes, in.Reason, in.IdempotencyKey))
}

func (m *mutation) StockSet(ctx context.Context, in gen.StockSetInput) (*gen.StockPayload, error) {
	count := inventory.Count{VariantID: in.VariantID, WarehouseID: in.WarehouseID, Quantity: in.Quantity, IfQuantity: in.IfQuantity}
	return moved(m.inventory.Set(ctx, viewer.From(ctx), count, in.IdempotencyKey))
}

func moved(variantIDs []string, err error) (*gen.StockPayload, error) {
	p := &gen.StockPayload{Variants: []gen.ProductVariant{}}
	if err == nil {
		for _, id := range variantIDs {
			p.Variants = append(p.Variants, gen.ProductVariant{ID: id})
		}
	}
	p.UserErrors, err = userErrors(err)
	return p, err
}

func (s *subscription) StockChanged(ctx context.Context, variantIDs []string) (<-chan *inventory.Update, error) {
	return s.inventory.Watch(ctx, variantIDs)
}

const usualHistory = 200 // as the schema says

func (q *query) StockHistory(ctx context.Context, variantID string, afterSeq, first *int) ([]inventory.Movement, error) {
	after, most := 0, usualHistory
	if afterSeq != nil {
		after = *afterSeq
	}
	if first != nil {
		most = *first
	}
	return q.inventory.History(ctx, viewer.From(ctx), variantID, int64(after), most)
}

func (*movement) Warehouse(ctx context.Context, m *inventory.Movement) (*inventory.Warehouse, error) {
	return load(ctx).Warehouse.Load(ctx, m.WarehouseID)
}

func (*movement) ReservationID(_ context.Context, m *inventory.Movement) (*string, error) {
	return optional.Of(m.ReservationID), nil
}

func (*movement) OrderID(_ context.Context, m *inventory.Movement) (*string, error) {
	return optional.Of(m.OrderID), nil
}

func (*movement) FlashSaleID(_ context.Context, m *inventory.Movement) (*string, error) {
	return optional.Of(m.PoolID), nil
}

func (*movement) Reason(_ context.Context, m *inventory.Movement) (*string, error) {
	return optional.Of(m.Reason), nil
}
