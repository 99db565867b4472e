#!/usr/bin/env bash
# Fails when what machines write is not what they would write now.
set -euo pipefail
cd "$(dirname "$0")/.."

generated=(schema/supergraph.graphql 'subgraphs/*/internal/gen' 'subgraphs/*/postgres/internal/db')
before=$(git ls-files -s -- "${generated[@]}"; git diff -- "${generated[@]}" | sha256sum)
scripts/generate.sh "$@"
after=$(git ls-files -s -- "${generated[@]}"; git diff -- "${generated[@]}" | sha256sum)
if [ "$before" != "$after" ] || [ -n "$(git ls-files --others --exclude-standard -- "${generated[@]}")" ]; then
	git --no-pager diff --stat -- "${generated[@]}"
	echo "generated code is stale: run make gen" >&2
	exit 1
fi
