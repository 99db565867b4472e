#!/usr/bin/env bash
# Writes everything that machines write: the supergraph, the SQL code, the GraphQL code of the subgraphs named.
set -euo pipefail
cd "$(dirname "$0")/.."

(cd schema && node compose.mjs)
go tool -modfile=tools.mod sqlc generate
gqlgen=$(mktemp -d)/gqlgen
trap 'rm -rf "$(dirname "$gqlgen")"' EXIT
go build -o "$gqlgen" github.com/99designs/gqlgen
for subgraph in "$@"; do
	(cd "subgraphs/$subgraph/graph" && "$gqlgen" generate --config gqlgen.yml)
done
