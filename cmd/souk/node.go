package main

import (
	"context"

	"github.com/souk-shop/souk/subgraphs/node/graph"
)

func startNode(_ context.Context, e *env) (*service, error) {
	healthy := func(context.Context) error { return nil } // it leans on nothing
	return &service{handler: e.mount(graph.Handler(e.log), healthy)}, nil
}
