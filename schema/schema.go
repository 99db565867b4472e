// Package schema is the graph: the public contract of every subgraph, and what they compose to.
package schema

import "embed"

// Files holds the subgraphs' schemas as they are written.
//
//go:embed *.graphqls
var Files embed.FS

// Supergraph is what the subgraphs compose to: what the gateway serves.
//
//go:embed supergraph.graphql
var Supergraph string
