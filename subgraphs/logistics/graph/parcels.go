package graph

import (
	"context"

	"github.com/souk-shop/souk/dataloaders"
	"github.com/souk-shop/souk/internal/optional"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/logistics"
	"github.com/souk-shop/souk/subgraphs/logistics/internal/gen"
)

func (r *entity) FindManyShipmentByIDs(ctx context.Context, keys []*gen.ShipmentByIDsInput) ([]*logistics.Shipment, error) {
	ids := dataloaders.Keys(keys, func(k *gen.ShipmentByIDsInput) string { return k.ID })
	found, err := r.logistics.ShipmentsByID(ctx, ids)
	return dataloaders.InOrder(ids, visible(viewer.From(ctx), found), logistics.Shipment.Key), err
}

// Orders and variants live elsewhere: whoever asks knows that they exist.
func (r *entity) FindManyOrderByIDs(_ context.Context, keys []*gen.OrderByIDsInput) ([]*gen.Order, error) {
	return dataloaders.Keys(keys, func(k *gen.OrderByIDsInput) *gen.Order { return &gen.Order{ID: k.ID} }), nil
}

// What an estimate requires is filled in from the representation after this returns.
func (r *entity) FindManyProductVariantByIDs(_ context.Context, keys []*gen.ProductVariantByIDsInput) ([]*gen.ProductVariant, error) {
	return dataloaders.Keys(keys, func(k *gen.ProductVariantByIDsInput) *gen.ProductVariant { return &gen.ProductVariant{ID: k.ID} }), nil
}

func (v *variant) DeliveryEstimate(ctx context.Context, of *gen.ProductVariant, pincode, country *string) (*logistics.Estimate, error) {
	d, err := load(ctx).Desktop.Load(ctx, destinationOf(pincode, country))
	if err != nil {
		return nil, err
	}
	return d[0].Estimate(logistics.Parcel{WeightGrams: of.WeightGrams, WarehouseIDs: of.StockedWarehouseIds}), nil
}

func (q *query) Serviceability(ctx context.Context, pincode string, country *string) (*logistics.Serviceability, error) {
	s, err := q.logistics.Reach(ctx, viewer.From(ctx), pincode, country)
	if err != nil {
		return nil, err
	}
	return &s, nil
}

func (m *mutation) ShipmentCreate(ctx context.Context, in gen.ShipmentCreateInput) (*gen.ShipmentPayload, error) {
	d := logistics.Dispatch{OrderID: in.OrderID, WarehouseID: in.WarehouseID, Courier: in.Courier, TrackingNumber: optional.Text(in.TrackingNumber), Key: in.IdempotencyKey}
	for _, l := range in.Lines {
		d.Lines = append(d.Lines, logistics.DispatchLine{OrderLineID: l.OrderLineID, Quantity: l.Quantity})
	}
	return payload(m.logistics.Ship(ctx, viewer.From(ctx), d))
}

func (m *mutation) ShipmentEventReport(ctx context.Context, in gen.ShipmentEventInput) (*gen.ShipmentPayload, error) {
	return payload(m.logistics.Report(ctx, viewer.From(ctx), in.ShipmentID, logistics.Event{
		ID: in.EventID, At: in.At, Status: in.Status, Location: optional.Text(in.Location), Note: optional.Text(in.Note),
	}))
}

func (o *order) Shipments(ctx context.Context, of *gen.Order) ([]logistics.Shipment, error) {
	found, err := load(ctx).Shipments.Load(ctx, of.ID)
	return visible(viewer.From(ctx), found), err
}

func visible(who viewer.Viewer, found []logistics.Shipment) []logistics.Shipment {
	seen := []logistics.Shipment{}
	for _, s := range found {
		if s.VisibleTo(who) {
			seen = append(seen, s)
		}
	}
	return seen
}

func (estimate) From(_ context.Context, e *logistics.Estimate) (*gen.Warehouse, error) {
	return &gen.Warehouse{ID: e.WarehouseID}, nil
}

func (shipment) Lines(_ context.Context, s *logistics.Shipment) ([]gen.ShipmentLine, error) {
	out := make([]gen.ShipmentLine, len(s.Lines))
	for i, l := range s.Lines {
		out[i] = gen.ShipmentLine{OrderLine: &gen.OrderLine{ID: l.OrderLineID}, Quantity: l.Quantity}
	}
	return out, nil
}

func (shipment) TrackingNumber(_ context.Context, s *logistics.Shipment) (*string, error) {
	return optional.Of(s.TrackingNumber), nil
}

func (shipmentEvent) Location(_ context.Context, e *logistics.Event) (*string, error) {
	return optional.Of(e.Location), nil
}

func (shipmentEvent) Note(_ context.Context, e *logistics.Event) (*string, error) {
	return optional.Of(e.Note), nil
}
