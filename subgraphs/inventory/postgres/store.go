// Package postgres keeps stock in PostgreSQL. Its constraints hold whatever the code does: see the migrations.
package postgres

import (
	"context"
	"embed"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/optional"
	"github.com/souk-shop/souk/internal/outbox"
	"github.com/souk-shop/souk/subgraphs/inventory"
	"github.com/souk-shop/souk/subgraphs/inventory/postgres/internal/db"
)

// Migrations make the schema.
//
//go:embed migrations/*.sql
var Migrations embed.FS

// A Store is the inventory's tables.
type Store struct {
	pool *pgxpool.Pool
	q    *db.Queries
}

var _ inventory.Store = (*Store)(nil)

// NewStore returns the store behind a pool whose schema is migrated.
func NewStore(pool *pgxpool.Pool) *Store { return &Store{pool, db.New(pool)} }

// StockOf finds the stock of variants.
func (s *Store) StockOf(ctx context.Context, variantIDs []string) ([]inventory.Stock, error) {
	rows, err := s.q.StockOf(ctx, variantIDs)
	return each(rows, func(r db.StockOfRow) inventory.Stock { return stock(r.Stock, r.ProductID) }), err
}

// LevelsOf finds the levels of variants.
func (s *Store) LevelsOf(ctx context.Context, variantIDs []string) (map[string][]inventory.Level, error) {
	rows, err := s.q.LevelsOf(ctx, variantIDs)
	return group(rows, level, func(l inventory.Level) string { return l.VariantID }), err
}

// InStock returns those of the products that have a variant which can be had.
func (s *Store) InStock(ctx context.Context, productIDs []string) ([]string, error) {
	return s.q.InStock(ctx, productIDs)
}

// LevelsIn lists the levels of each warehouse behind a variant.
func (s *Store) LevelsIn(ctx context.Context, warehouseIDs []string, sellerID, after string, first int) (map[string][]inventory.Level, error) {
	var rows []db.Level
	var err error
	if sellerID == "" {
		rows, err = s.q.LevelsIn(ctx, db.LevelsInParams{WarehouseIds: warehouseIDs, After: after, First: int32(first)})
	} else {
		rows, err = s.q.LevelsOfSellerIn(ctx, db.LevelsOfSellerInParams{
			WarehouseIds: warehouseIDs, SellerID: sellerID, After: after, First: int32(first),
		})
	}
	return group(rows, level, func(l inventory.Level) string { return l.WarehouseID }), err
}

// Movements lists a variant's ledger behind a seq.
func (s *Store) Movements(ctx context.Context, variantID string, afterSeq int64, first int) ([]inventory.Movement, error) {
	rows, err := s.q.Movements(ctx, db.MovementsParams{VariantID: variantID, AfterSeq: afterSeq, First: int32(first)})
	return each(rows, movement), err
}

// ReservationsByID finds reservations with their lines.
func (s *Store) ReservationsByID(ctx context.Context, ids []string) ([]inventory.Reservation, error) {
	rows, err := s.q.ReservationsByID(ctx, ids)
	var found []inventory.Reservation
	for _, r := range rows {
		if n := len(found); n == 0 || found[n-1].ID != r.Reservation.ID {
			found = append(found, reservation(r.Reservation))
		}
		of := &found[len(found)-1]
		l := r.ReservationLine
		of.Lines = append(of.Lines, inventory.Line{VariantID: l.VariantID, WarehouseID: l.WarehouseID, Quantity: int(l.Quantity)})
	}
	return found, err
}

// NextExpiry returns when the next hold runs out.
func (s *Store) NextExpiry(ctx context.Context) (time.Time, bool, error) {
	at, err := s.q.NextExpiry(ctx)
	if errors.Is(err, pgx.ErrNoRows) {
		return time.Time{}, false, nil
	}
	return at, err == nil, err
}

// Warehouses lists all warehouses by code.
func (s *Store) Warehouses(ctx context.Context) ([]inventory.Warehouse, error) {
	rows, err := s.q.Warehouses(ctx)
	return each(rows, warehouse), err
}

// WarehousesByID finds warehouses.
func (s *Store) WarehousesByID(ctx context.Context, ids []string) ([]inventory.Warehouse, error) {
	rows, err := s.q.WarehousesByID(ctx, ids)
	return each(rows, warehouse), err
}

// SaveWarehouse opens the warehouse, or changes the one with its code, and tells of it; saving it as it is changes nothing.
func (s *Store) SaveWarehouse(ctx context.Context, w inventory.Warehouse, at time.Time) (saved inventory.Warehouse, err error) {
	err = outbox.InTx(ctx, s.pool, func(tx pgx.Tx) error {
		q := s.q.WithTx(tx)
		row, err := q.SaveWarehouse(ctx, db.SaveWarehouseParams{
			ID: w.ID, Code: w.Code, Name: w.Name, Pincode: w.Pincode, Country: w.Country,
			Latitude: w.Latitude, Longitude: w.Longitude, UpdatedAt: at,
		})
		if errors.Is(err, pgx.ErrNoRows) {
			row, err = q.WarehouseByCode(ctx, w.Code)
			saved = warehouse(row)
			return err
		}
		if err != nil {
			return err
		}
		saved = warehouse(row)
		event := saved.Saved()
		event.At.At = at
		return outbox.Record(ctx, tx, outbox.Event{Subject: events.SubjectWarehouseSaved, Payload: event})
	})
	return saved, err
}

// ItemsByID finds what is known of variants.
func (s *Store) ItemsByID(ctx context.Context, variantIDs []string) ([]inventory.Item, error) {
	rows, err := s.q.ItemsByID(ctx, variantIDs)
	return each(rows, item), err
}

// AddItems remembers items that are not known yet.
func (s *Store) AddItems(ctx context.Context, items []inventory.Item) error {
	var p db.AddItemsParams
	for _, i := range items {
		p.VariantIds, p.ProductIds = append(p.VariantIds, i.VariantID), append(p.ProductIds, i.ProductID)
		p.SellerIds, p.Skus = append(p.SellerIds, i.SellerID), append(p.Skus, i.SKU)
	}
	return s.q.AddItems(ctx, p)
}

// SaveItems remembers the variants of a product, in the transaction that handles the news of it.
func SaveItems(ctx context.Context, tx pgx.Tx, p events.ProductSaved) error {
	ids, skus := make([]string, len(p.Variants)), make([]string, len(p.Variants))
	for i, v := range p.Variants {
		ids[i], skus[i] = v.ID, v.SKU
	}
	q := db.New(tx)
	err := q.SaveItems(ctx, db.SaveItemsParams{
		VariantIds: ids, ProductID: p.ProductID, SellerID: p.SellerID, Skus: skus, Version: int32(p.Version),
	})
	if err != nil {
		return err
	}
	return q.UnlistItems(ctx, db.UnlistItemsParams{ProductID: p.ProductID, Version: int32(p.Version), VariantIds: ids})
}

func stock(r db.Stock, productID string) inventory.Stock {
	return inventory.Stock{VariantID: r.VariantID, ProductID: productID, Seq: r.Seq, OnHand: int(r.OnHand), Held: int(r.Held)}
}

func level(r db.Level) inventory.Level {
	return inventory.Level{VariantID: r.VariantID, WarehouseID: r.WarehouseID, OnHand: int(r.OnHand), Held: int(r.Held)}
}

func movement(r db.Ledger) inventory.Movement {
	return inventory.Movement{
		VariantID: r.VariantID, Seq: r.Seq, At: r.At, Kind: inventory.Kind(r.Kind), Quantity: int(r.Quantity),
		WarehouseID: r.WarehouseID, OnHandAfter: int(r.OnHandAfter), HeldAfter: int(r.HeldAfter),
		ReservationID: optional.Text(r.ReservationID), OrderID: optional.Text(r.OrderID), PoolID: optional.Text(r.PoolID), Reason: optional.Text(r.Reason), IdempotencyKey: optional.Text(r.IdempotencyKey),
	}
}

func reservation(r db.Reservation) inventory.Reservation {
	return inventory.Reservation{
		ID: r.ID, Status: inventory.Status(r.Status), OrderID: r.OrderID, AccountID: r.AccountID,
		CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt, ExpiresAt: r.ExpiresAt,
	}
}

func warehouse(r db.Warehouse) inventory.Warehouse {
	return inventory.Warehouse{
		ID: r.ID, Code: r.Code, Name: r.Name, Pincode: r.Pincode, Country: r.Country,
		Latitude: r.Latitude, Longitude: r.Longitude, Version: int(r.Version),
	}
}

func item(r db.Item) inventory.Item {
	return inventory.Item{VariantID: r.VariantID, ProductID: r.ProductID, SellerID: r.SellerID, SKU: r.Sku}
}

func each[From, To any](rows []From, convert func(From) To) []To {
	out := make([]To, len(rows))
	for i, r := range rows {
		out[i] = convert(r)
	}
	return out
}

func group[From, To any](rows []From, convert func(From) To, key func(To) string) map[string][]To {
	out := map[string][]To{}
	for _, r := range rows {
		to := convert(r)
		out[key(to)] = append(out[key(to)], to)
	}
	return out
}
