// Package postgres keeps places and parcels in PostgreSQL.
package postgres

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/money"
	"github.com/souk-shop/souk/internal/outbox"
	"github.com/souk-shop/souk/subgraphs/logistics"
	"github.com/souk-shop/souk/subgraphs/logistics/postgres/internal/db"
)

// Migrations make the schema.
//
//go:embed migrations/*.sql
var Migrations embed.FS

// A Store is the tables of logistics.
type Store struct {
	pool *pgxpool.Pool
	q    *db.Queries
}

var _ logistics.Store = (*Store)(nil)

// NewStore returns the store behind a pool whose schema is migrated.
func NewStore(pool *pgxpool.Pool) *Store { return &Store{pool, db.New(pool)} }

// Bring saves reference data; what is there already stays as it is.
func (s *Store) Bring(ctx context.Context, places []logistics.Place, couriers []logistics.Courier) error {
	b, err := json.Marshal(places)
	if err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		q := s.q.WithTx(tx)
		for _, c := range couriers {
			if err := q.SaveCourier(ctx, db.SaveCourierParams{
				Code: c.Code, Countries: c.Countries, KmPerDay: c.KmPerDay, Currency: c.Base.Currency,
				Base: c.Base.Amount, PerKg: c.PerKg.Amount, PerMm: c.PerMm.Amount,
			}); err != nil {
				return err
			}
		}
		return q.SavePlaces(ctx, b)
	})
}

// PlaceAt finds what is known of a postal code; nil when nobody knows anything near it.
func (s *Store) PlaceAt(ctx context.Context, country, pincode string) (*logistics.Place, error) {
	p, err := s.q.Place(ctx, db.PlaceParams{Country: country, Pincode: pincode})
	if err == nil {
		return &logistics.Place{Country: p.Country, Pincode: p.Pincode, City: p.City, Latitude: p.Latitude, Longitude: p.Longitude, COD: p.Cod}, nil
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return nil, err
	}
	a, err := s.q.Area(ctx, db.AreaParams{Country: country, Pincode: pincode})
	if err != nil || a.Known == 0 {
		return nil, err
	}
	return &logistics.Place{Country: country, Pincode: pincode, Latitude: a.Latitude, Longitude: a.Longitude, COD: a.Cod}, nil
}

// Warehouses lists where parcels start.
func (s *Store) Warehouses(ctx context.Context) ([]logistics.Warehouse, error) {
	rows, err := s.q.Warehouses(ctx)
	out := make([]logistics.Warehouse, len(rows))
	for i, r := range rows {
		out[i] = logistics.Warehouse{ID: r.ID, Country: r.Country, Latitude: r.Latitude, Longitude: r.Longitude}
	}
	return out, err
}

// Couriers lists who brings parcels.
func (s *Store) Couriers(ctx context.Context) ([]logistics.Courier, error) {
	rows, err := s.q.Couriers(ctx)
	out := make([]logistics.Courier, len(rows))
	for i, r := range rows {
		in := func(cents int64) money.Money { return money.Money{Amount: cents, Currency: r.Currency} }
		out[i] = logistics.Courier{Code: r.Code, Countries: r.Countries, KmPerDay: r.KmPerDay, Base: in(r.Base), PerKg: in(r.PerKg), PerMm: in(r.PerMm)}
	}
	return out, err
}

// SaveWarehouse keeps the newest news of a warehouse, in the transaction that handles it.
func SaveWarehouse(ctx context.Context, tx pgx.Tx, e events.WarehouseSaved) error {
	return db.New(tx).SaveWarehouse(ctx, db.SaveWarehouseParams{
		ID: e.WarehouseID, Version: int32(e.Version), Country: e.Country, Latitude: e.Latitude, Longitude: e.Longitude,
	})
}

// ShipmentsByID finds parcels, with what is in them and what happened to them.
func (s *Store) ShipmentsByID(ctx context.Context, ids []string) ([]logistics.Shipment, error) {
	return s.read(ctx, "id = ANY ($1)", ids)
}

// ShipmentsOfOrders finds the parcels of orders, oldest first.
func (s *Store) ShipmentsOfOrders(ctx context.Context, orderIDs []string) (map[string][]logistics.Shipment, error) {
	found, err := s.read(ctx, "order_id = ANY ($1)", orderIDs)
	of := make(map[string][]logistics.Shipment, len(orderIDs))
	for _, f := range found {
		of[f.OrderID] = append(of[f.OrderID], f)
	}
	return of, err
}

// Ship saves a parcel under its sender's key, or returns the one that the key names already.
func (s *Store) Ship(ctx context.Context, key logistics.Key, p logistics.Shipment) (saved logistics.Shipment, err error) {
	err = outbox.InTx(ctx, s.pool, func(ctx context.Context, tx pgx.Tx) error {
		q := s.q.WithTx(tx)
		decision, err := q.Decide(ctx, db.DecideParams{OrderID: p.OrderID, Decision: toShip})
		if err != nil {
			return err
		}
		if decision != toShip { // a key that named a parcel of it cannot be, then
			return logistics.ErrState
		}
		ours, err := q.InsertShipment(ctx, db.InsertShipmentParams{
			ID: p.ID, OrderID: p.OrderID, AccountID: p.AccountID, SellerIds: p.SellerIDs, WarehouseID: p.WarehouseID, Courier: p.Courier,
			TrackingNumber: p.TrackingNumber, Status: string(p.Status), Eta: p.Eta, CreatedAt: p.CreatedAt,
			Owner: key.Owner, Key: key.Value, InputHash: key.InputHash,
		})
		if err != nil {
			return err
		}
		if ours == 0 {
			saved, err = earlier(ctx, q, key)
			return err
		}
		for i, l := range p.Lines {
			err := q.TakeUnits(ctx, db.TakeUnitsParams{OrderLineID: l.OrderLineID, Ordered: int32(l.Ordered), Quantity: int32(l.Quantity)})
			if violates(err, "shipped_within_ordered") {
				return logistics.ErrShipped
			}
			if err != nil {
				return err
			}
			if err := q.InsertLine(ctx, db.InsertLineParams{ShipmentID: p.ID, Position: int32(i), OrderLineID: l.OrderLineID, Ordered: int32(l.Ordered), Quantity: int32(l.Quantity)}); err != nil {
				return err
			}
		}
		for _, e := range p.Events {
			if _, err := q.InsertEvent(ctx, eventRow(p.ID, e)); err != nil {
				return err
			}
		}
		saved = p
		return outbox.Record(ctx, tx, outbox.Event{Subject: events.SubjectShipmentChanged, Payload: p.Tell(p.CreatedAt)})
	})
	return saved, err
}

// What can be decided of an order.
const (
	toShip = "SHIP"
	toStop = "STOP"
)

// Stop decides that no parcel of an order is ever made up, unless one was; it tells which of the two stands.
func (s *Store) Stop(ctx context.Context, orderID string) (stopped bool, err error) {
	decision, err := s.q.Decide(ctx, db.DecideParams{OrderID: orderID, Decision: toStop})
	return decision == toStop, err
}

// UnderWay finds the parcels that have not come to an end.
func (s *Store) UnderWay(ctx context.Context) ([]logistics.Shipment, error) {
	return s.read(ctx, `id IN (
		SELECT id FROM shipments WHERE status NOT IN ('DELIVERED', 'RETURNED', 'LOST') AND created_at > now() - interval '90 days' ORDER BY created_at, id LIMIT 1000)`)
}

// Track notes the courier's id for a parcel.
func (s *Store) Track(ctx context.Context, shipmentID, number string) error {
	return s.q.SetTracking(ctx, db.SetTrackingParams{ID: shipmentID, TrackingNumber: number})
}

// earlier returns the parcel that the key names, unless it was asked for by other input.
func earlier(ctx context.Context, q *db.Queries, key logistics.Key) (logistics.Shipment, error) {
	row, err := q.ShipmentOfKey(ctx, db.ShipmentOfKeyParams{Owner: key.Owner, Key: key.Value})
	if err != nil {
		return logistics.Shipment{}, err
	}
	if !bytes.Equal(row.InputHash, key.InputHash) {
		return logistics.Shipment{}, logistics.ErrConflict
	}
	return one(ctx, q, row)
}

// Report locks the parcel, notes the event and runs the rule, unless the event was noted before; it tells of the change.
func (s *Store) Report(ctx context.Context, shipmentID string, e logistics.Event, rule func(*logistics.Shipment) error) (p logistics.Shipment, err error) {
	err = outbox.InTx(ctx, s.pool, func(ctx context.Context, tx pgx.Tx) error {
		q := s.q.WithTx(tx)
		row, err := q.LockShipment(ctx, shipmentID)
		if errors.Is(err, pgx.ErrNoRows) {
			return logistics.ErrNoShipment
		}
		if err != nil {
			return err
		}
		first, err := q.InsertEvent(ctx, eventRow(shipmentID, e))
		if err != nil {
			return err
		}
		if p, err = one(ctx, q, row); err != nil || first == 0 {
			return err
		}
		before := p.Status
		if err := rule(&p); err != nil || p.Status == before {
			return err
		}
		p.Version++
		if err := q.MoveShipment(ctx, db.MoveShipmentParams{ID: p.ID, Status: string(p.Status), Version: int32(p.Version)}); err != nil {
			return err
		}
		return outbox.Record(ctx, tx, outbox.Event{Subject: events.SubjectShipmentChanged, Payload: p.Tell(e.At)})
	})
	return p, err
}

func violates(err error, constraint string) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.ConstraintName == constraint
}
