// Package graph shows the nodes as a GraphQL subgraph: stubs that the subgraphs which own them fill in.
package graph

//go:generate go tool gqlgen generate

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/99designs/gqlgen/graphql"

	"github.com/souk-shop/souk/internal/subgraph"
	"github.com/souk-shop/souk/subgraphs/node"
	"github.com/souk-shop/souk/subgraphs/node/internal/gen"
)

// Handler serves the subgraph.
func Handler(log *slog.Logger) http.Handler {
	return subgraph.Server(gen.NewExecutableSchema(gen.Config{Resolvers: &resolver{}}), log)
}

type (
	resolver struct{}
	query    struct{}
)

func (*resolver) Query() gen.QueryResolver { return query{} }

func (query) Node(_ context.Context, id string) (gen.Node, error) {
	name, err := node.TypeOf(id, "id")
	if err != nil {
		return nil, err
	}
	return stub(name, id)
}

// Nodes answers with null and an error in the place of each id that is malformed, and with the others.
func (query) Nodes(ctx context.Context, ids []string) ([]gen.Node, error) {
	named, err := node.TypesOf(ids)
	if err != nil {
		return nil, err
	}
	nodes := make([]gen.Node, len(named))
	for i, n := range named {
		err := n.Err
		if err == nil {
			nodes[i], err = stub(n.Type, n.ID)
		}
		if err != nil {
			graphql.AddError(graphql.WithPathContext(ctx, graphql.NewPathWithIndex(i)), err)
		}
	}
	return nodes, nil
}

// stub returns all that is known here of a thing.
func stub(typename, id string) (gen.Node, error) {
	switch typename {
	case "Account":
		return gen.Account{ID: id}, nil
	case "Seller":
		return gen.Seller{ID: id}, nil
	case "Product":
		return gen.Product{ID: id}, nil
	case "ProductVariant":
		return gen.ProductVariant{ID: id}, nil
	case "Category":
		return gen.Category{ID: id}, nil
	case "BulkOperation":
		return gen.BulkOperation{ID: id}, nil
	case "Warehouse":
		return gen.Warehouse{ID: id}, nil
	case "Reservation":
		return gen.Reservation{ID: id}, nil
	case "Cart":
		return gen.Cart{ID: id}, nil
	case "Order":
		return gen.Order{ID: id}, nil
	case "Payment":
		return gen.Payment{ID: id}, nil
	case "PaymentMethod":
		return gen.PaymentMethod{ID: id}, nil
	case "Review":
		return gen.Review{ID: id}, nil
	case "Shipment":
		return gen.Shipment{ID: id}, nil
	case "FlashSale":
		return gen.FlashSale{ID: id}, nil
	case "FlashSaleBooking":
		return gen.FlashSaleBooking{ID: id}, nil
	}
	return nil, fmt.Errorf("no stub of %s", typename)
}
