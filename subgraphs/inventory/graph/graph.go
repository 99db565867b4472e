// Package graph shows the inventory as a GraphQL subgraph.
package graph

//go:generate go tool gqlgen generate

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/souk-shop/souk/dataloaders"
	"github.com/souk-shop/souk/internal/fault"
	"github.com/souk-shop/souk/internal/subgraph"
	"github.com/souk-shop/souk/internal/viewer"
	"github.com/souk-shop/souk/subgraphs/inventory"
	"github.com/souk-shop/souk/subgraphs/inventory/internal/gen"
)

// Handler serves the subgraph.
func Handler(inv *inventory.Inventory, log *slog.Logger) http.Handler {
	srv := subgraph.Server(gen.NewExecutableSchema(gen.Config{Resolvers: &resolver{inv}}), log)
	srv.AroundResponses(dataloaders.Fresh(func() loaders { return fresh(inv) }))
	return srv
}

type loaders struct {
	Stock     *dataloaders.One[string, inventory.Stock]
	Levels    *dataloaders.Many[string, inventory.Level]
	StockedIn *dataloaders.Many[string, string]
	InStock   *dataloaders.One[string, string]
	Warehouse *dataloaders.One[string, inventory.Warehouse]
	LevelsIn  *dataloaders.One[inventory.LevelsQuery, inventory.LevelPage]
}

func fresh(inv *inventory.Inventory) loaders {
	return loaders{
		Stock: dataloaders.ByKey(inv.StockOf, inventory.Stock.Key),
		Levels: dataloaders.Listing(func(ctx context.Context, variantIDs []string) (map[string][]inventory.Level, error) {
			return inv.LevelsOf(ctx, viewer.From(ctx), variantIDs)
		}),
		StockedIn: dataloaders.Listing(inv.StockedIn),
		InStock:   dataloaders.ByKey(inv.InStock, func(productID string) string { return productID }),
		Warehouse: dataloaders.ByKey(inv.WarehousesByID, inventory.Warehouse.Key),
		LevelsIn: dataloaders.ByKey(func(ctx context.Context, queries []inventory.LevelsQuery) ([]inventory.LevelPage, error) {
			return inv.LevelsIn(ctx, viewer.From(ctx), queries)
		}, inventory.LevelPage.Key),
	}
}

func load(ctx context.Context) loaders { return dataloaders.From[loaders](ctx) }

type resolver struct{ inventory *inventory.Inventory }

type (
	query        struct{ *resolver }
	mutation     struct{ *resolver }
	subscription struct{ *resolver }
	entity       struct{ *resolver }
	product      struct{ *resolver }
	variant      struct{ *resolver }
	level        struct{ *resolver }
	warehouse    struct{ *resolver }
	movement     struct{ *resolver }
	reservation  struct{ *resolver }
	line         struct{ *resolver }
)

func (r *resolver) Query() gen.QueryResolver                     { return &query{r} }
func (r *resolver) Mutation() gen.MutationResolver               { return &mutation{r} }
func (r *resolver) Subscription() gen.SubscriptionResolver       { return &subscription{r} }
func (r *resolver) Entity() gen.EntityResolver                   { return &entity{r} }
func (r *resolver) Product() gen.ProductResolver                 { return &product{r} }
func (r *resolver) ProductVariant() gen.ProductVariantResolver   { return &variant{r} }
func (r *resolver) StockLevel() gen.StockLevelResolver           { return &level{r} }
func (r *resolver) Warehouse() gen.WarehouseResolver             { return &warehouse{r} }
func (r *resolver) StockMovement() gen.StockMovementResolver     { return &movement{r} }
func (r *resolver) Reservation() gen.ReservationResolver         { return &reservation{r} }
func (r *resolver) ReservationLine() gen.ReservationLineResolver { return &line{r} }

func userErrors(err error) ([]gen.InventoryUserError, error) {
	return subgraph.UserErrors(err, func(e *fault.Error) gen.InventoryUserError {
		return gen.InventoryUserError{Code: subgraph.Code[gen.InventoryErrorCode](e), Message: e.Message, Field: e.Field}
	})
}
