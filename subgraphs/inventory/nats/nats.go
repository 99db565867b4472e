// Package nats lets the inventory hear of goods, answer the other subgraphs and tell who watches.
package nats

import (
	"context"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/souk-shop/souk/events"
	"github.com/souk-shop/souk/internal/call"
	"github.com/souk-shop/souk/internal/outbox"
	"github.com/souk-shop/souk/subgraphs/inventory"
	"github.com/souk-shop/souk/subgraphs/inventory/postgres"
)

// Calls are what the inventory answers.
func Calls(inv *inventory.Inventory) []call.Endpoint {
	return []call.Endpoint{
		events.Availability.Handle(inv.Availability),
		events.HoldStock.Handle(inv.Hold),
		events.CommitStock.Handle(inv.Commit),
		events.ReleaseStock.Handle(inv.Release),
		events.Restock.Handle(inv.Restock),
		events.MoveToPool.Handle(inv.MoveToPool),
		events.MoveFromPool.Handle(inv.MoveFromPool),
	}
}

// Goods notes whose goods are whose, as the catalogue tells.
func Goods(pool *pgxpool.Pool, js jetstream.JetStream, log *slog.Logger) func(context.Context) error {
	consumer := outbox.Consumer{Name: "inventory-goods", Subjects: []string{events.SubjectProductSaved}}
	return outbox.Consume(pool, js, consumer, func(ctx context.Context, tx pgx.Tx, e outbox.Received) error {
		product, err := outbox.Decode[events.ProductSaved](e)
		if err != nil {
			return err
		}
		return postgres.SaveItems(ctx, tx, product)
	}, log)
}

// A Catalog asks the catalogue. It is an inventory.Catalog.
type Catalog struct{ By call.Carrier }

// Items finds what is known of variants.
func (c Catalog) Items(ctx context.Context, variantIDs []string) ([]inventory.Item, error) {
	reply, err := events.VariantsByID.Do(ctx, c.By, events.VariantsRequest{IDs: variantIDs})
	if err != nil {
		return nil, err
	}
	items := make([]inventory.Item, len(reply.Variants))
	for i, v := range reply.Variants {
		items[i] = inventory.Item{VariantID: v.ID, ProductID: v.ProductID, SellerID: v.SellerID, SKU: v.SKU}
	}
	return items, nil
}

// Sweep ends holds whose time is up, until the context ends.
func Sweep(inv *inventory.Inventory, log *slog.Logger) func(context.Context) error {
	return func(ctx context.Context) error {
		return inv.Sweep(ctx, func(err error) { log.Error("inventory: holds cannot be ended", "error", err) })
	}
}

// Watch passes on to those who watch stock what any process has changed, until the context ends.
func Watch(nc *nats.Conn, inv *inventory.Inventory, log *slog.Logger) func(context.Context) error {
	return outbox.Follow[events.StockChanged](nc, events.SubjectStockChanged, inv, log)
}
