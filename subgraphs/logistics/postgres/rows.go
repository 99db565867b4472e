package postgres

import (
	"context"
	"time"

	"github.com/souk-shop/souk/subgraphs/logistics"
	"github.com/souk-shop/souk/subgraphs/logistics/postgres/internal/db"
)

// whole reads what is in parcels and what happened to them, in two questions, and keeps the parcels' order.
func whole(ctx context.Context, q *db.Queries, rows []db.Shipment) ([]logistics.Shipment, error) {
	ids := make([]string, len(rows))
	out := make([]logistics.Shipment, len(rows))
	at := make(map[string]*logistics.Shipment, len(rows))
	for i, r := range rows {
		ids[i], out[i] = r.ID, shipment(r)
		at[r.ID] = &out[i]
	}
	lines, err := q.LinesOf(ctx, ids)
	if err != nil {
		return nil, err
	}
	for _, l := range lines {
		s := at[l.ShipmentID]
		s.Lines = append(s.Lines, logistics.Line{OrderLineID: l.OrderLineID, Ordered: int(l.Ordered), Quantity: int(l.Quantity)})
	}
	happened, err := q.EventsOf(ctx, ids)
	if err != nil {
		return nil, err
	}
	for _, e := range happened {
		s := at[e.ShipmentID]
		s.Events = append(s.Events, logistics.Event{ID: e.EventID, At: e.At.UTC(), Status: logistics.Status(e.Status), Location: e.Location, Note: e.Note})
	}
	return out, nil
}

func one(ctx context.Context, q *db.Queries, row db.Shipment) (logistics.Shipment, error) {
	found, err := whole(ctx, q, []db.Shipment{row})
	if err != nil {
		return logistics.Shipment{}, err
	}
	return found[0], nil
}

func shipment(r db.Shipment) logistics.Shipment {
	return logistics.Shipment{
		ID: r.ID, OrderID: r.OrderID, AccountID: r.AccountID, SellerIDs: r.SellerIds, WarehouseID: r.WarehouseID, Courier: r.Courier,
		TrackingNumber: r.TrackingNumber, Status: logistics.Status(r.Status), Version: int(r.Version), Eta: utc(r.Eta), CreatedAt: r.CreatedAt.UTC(),
	}
}

func eventRow(shipmentID string, e logistics.Event) db.InsertEventParams {
	return db.InsertEventParams{ShipmentID: shipmentID, EventID: e.ID, At: e.At, Status: string(e.Status), Location: e.Location, Note: e.Note}
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	u := t.UTC()
	return &u
}
