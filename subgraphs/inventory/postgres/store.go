// Package postgres keeps stock in PostgreSQL. Its constraints hold whatever the code does: see the migrations.
package postgres

import (
	"context"
	"embed"
	"errors"
	"slices"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/forget"
	"github.com/souk-shop/souk/internal/id"
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
	pool    *pgxpool.Pool
	q       *db.Queries
	guesses *lru.Cache[string, *guess] // by variant
	guessed *prometheus.CounterVec     // by outcome

	forgotten forget.Round // of answers to holds
}

var _ inventory.Store = (*Store)(nil)

// NewStore returns the store behind a pool whose schema is migrated.
func NewStore(pool *pgxpool.Pool) *Store {
	remembered, err := lru.New[string, *guess](guesses)
	if err != nil {
		panic(err) // of a negative size alone
	}
	return &Store{pool: pool, q: db.New(pool), guesses: remembered, guessed: newGuessed()}
}

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

// What is at the next seqs of a variant's ledger, of which none is left out.
const movementsOf = `
	SELECT variant_id, seq, at, kind, quantity, warehouse_id, on_hand_after, held_after,
	       coalesce(reservation_id, ''), coalesce(order_id, ''), coalesce(pool_id, ''), coalesce(reason, ''), coalesce(idempotency_key, '')
	FROM movements WHERE variant_id = $1 AND seq > $2 AND seq <= $2 + $3
	UNION ALL
	SELECT variant_id, seq, at, 'HOLD', quantity, warehouse_id, on_hand_after, held_after, reservation_id, order_id, '', '', key
	FROM sheet_lines WHERE variant_id = $1 AND seq > $2 AND seq <= $2 + $3 AND first_seq <= $2 + $3
	  AND first_seq >= coalesce((SELECT max(first_seq) FROM sheets WHERE variant_id = $1 AND first_seq <= $2 + 1), 0)
	ORDER BY seq`

// Movements lists a variant's ledger behind a seq.
func (s *Store) Movements(ctx context.Context, variantID string, afterSeq int64, first int) ([]inventory.Movement, error) {
	rows, err := s.pool.Query(ctx, movementsOf, variantID, afterSeq, int64(first))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[inventory.Movement])
}

// Reservations with their lines, and how they ended if they did. The last of it is for sheets of hundreds of holds, of which it
// looks at those asked for.
const reservationsByID = `
	SELECT r.id || r.tail, s.order_ids[nth], s.account_ids[nth], coalesce(e.status, 'HELD'), s.at, coalesce(e.at, s.at), s.expires_at[nth],
	       s.variant_id, s.warehouse_ids[s.places[nth]], s.quantities[nth]
	FROM unnest($1::text[], $2::text[]) AS r (id, tail)
	JOIN sheets s ON s.id = r.id
	LEFT JOIN endings e ON e.reservation_id = r.id || r.tail
	CROSS JOIN LATERAL unnest(array_positions(s.tails, r.tail)) AS nth
	ORDER BY 1, 8, 9`

// ReservationsByID finds reservations with their lines.
func (s *Store) ReservationsByID(ctx context.Context, ids []string) ([]inventory.Reservation, error) {
	ranges, tails := split(ids)
	rows, err := s.pool.Query(ctx, reservationsByID, ranges, tails)
	if err != nil {
		return nil, err
	}
	var found []inventory.Reservation
	var r inventory.Reservation
	var l inventory.Line
	_, err = pgx.ForEachRow(rows, []any{&r.ID, &r.OrderID, &r.AccountID, &r.Status, &r.CreatedAt, &r.UpdatedAt, &r.ExpiresAt, &l.VariantID, &l.WarehouseID, &l.Quantity}, func() error {
		if n := len(found); n == 0 || found[n-1].ID != r.ID {
			found = append(found, r)
		}
		of := &found[len(found)-1]
		of.Lines = append(of.Lines, l)
		return nil
	})
	return found, err
}

// split returns the ranges of ids and the tails, each id once.
func split(ids []string) (ranges, tails []string) {
	for _, whole := range slices.Compact(slices.Sorted(slices.Values(ids))) {
		of, tail := id.Split(whole)
		ranges, tails = append(ranges, of), append(tails, tail)
	}
	return ranges, tails
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
	err = outbox.InTx(ctx, s.pool, func(ctx context.Context, tx pgx.Tx) error {
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
