package main

import (
	"context"
	"net/http"
	"strings"

	"github.com/souk-shop/souk/internal/call"
)

// A part is something souk can run, alone or beside the others.
type part struct {
	name  string
	start func(context.Context, *env) (*service, error)
}

// parts is the shop: every subgraph, and the gateway in front. Add a line, get a subgraph.
func parts() []part {
	return []part{
		{"accounts", startAccounts},
		{"cart", startCart},
		{"catalog", startCatalog},
		{"flashsale", startFlashSale},
		{"inventory", startInventory},
		{"logistics", startLogistics},
		{"node", startNode},
		{"orders", startOrders},
		{"payments", startPayments},
		{"reviews", startReviews},
		{"search", startSearch},
		{"gateway", startGateway},
	}
}

// A service is a part that is ready to run.
type service struct {
	handler http.Handler                  // what the part serves
	private http.Handler                  // what it shows to operators alone; nil for nothing
	calls   []call.Endpoint               // what it answers on the bus
	work    []func(context.Context) error // relays, consumers, sweepers: until ctx ends
	drain   func(context.Context) error   // ends what would never end by itself, before the handler is stopped; nil for nothing
}

func partNames() string {
	all := parts()
	names := make([]string, len(all))
	for i, p := range all {
		names[i] = p.name
	}
	return strings.Join(names, ", ")
}

func partNamed(name string) (part, bool) {
	for _, p := range parts() {
		if p.name == name {
			return p, true
		}
	}
	return part{}, false
}
