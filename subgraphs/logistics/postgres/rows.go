package postgres

import (
	"context"
	"time"

	"github.com/souk-shop/souk/internal/pipeline"
	"github.com/souk-shop/souk/subgraphs/logistics"
	"github.com/souk-shop/souk/subgraphs/logistics/postgres/internal/db"
)

// read finds parcels, oldest first, with what is in them and what happened to them, as of one moment: the newest event of a parcel
// says no other status than the parcel does.
func (s *Store) read(ctx context.Context, which string, args ...any) ([]logistics.Shipment, error) {
	var rows []db.Shipment
	var lines []db.ShipmentLine
	var happened []db.ShipmentEvent
	these := "(SELECT id FROM shipments WHERE " + which + ")"
	err := pipeline.Look(ctx, s.pool, func(p *pipeline.Pipeline) {
		pipeline.Rows(p, &rows, "SELECT * FROM shipments WHERE "+which+" ORDER BY created_at, id", args...)
		pipeline.Rows(p, &lines, "SELECT * FROM shipment_lines WHERE shipment_id IN "+these+" ORDER BY shipment_id, position", args...)
		pipeline.Rows(p, &happened, "SELECT * FROM shipment_events WHERE shipment_id IN "+these+" ORDER BY shipment_id, at, event_id", args...)
	})
	return whole(rows, lines, happened), err
}

// one adds what is in a parcel and what happened to it, which nobody changes meanwhile: its row is locked.
func one(ctx context.Context, q *db.Queries, row db.Shipment) (logistics.Shipment, error) {
	lines, err := q.LinesOf(ctx, row.ID)
	if err != nil {
		return logistics.Shipment{}, err
	}
	happened, err := q.EventsOf(ctx, row.ID)
	return whole([]db.Shipment{row}, lines, happened)[0], err
}

// whole puts parcels together, in their order.
func whole(rows []db.Shipment, lines []db.ShipmentLine, happened []db.ShipmentEvent) []logistics.Shipment {
	out := make([]logistics.Shipment, len(rows))
	at := make(map[string]*logistics.Shipment, len(rows))
	for i, r := range rows {
		out[i] = shipment(r)
		at[r.ID] = &out[i]
	}
	for _, l := range lines {
		s := at[l.ShipmentID]
		s.Lines = append(s.Lines, logistics.Line{OrderLineID: l.OrderLineID, Ordered: int(l.Ordered), Quantity: int(l.Quantity)})
	}
	for _, e := range happened {
		s := at[e.ShipmentID]
		s.Events = append(s.Events, logistics.Event{ID: e.EventID, At: e.At.UTC(), Status: logistics.Status(e.Status), Location: e.Location, Note: e.Note})
	}
	return out
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
