# souk: `make` alone prints this list.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help dev test shake check gen bench chaos build deps deps-node deps-redis

SUBGRAPHS := $(notdir $(wildcard subgraphs/*))
TOOL := go tool -modfile=tools.mod
# Every test that wants PostgreSQL gets a database of its own from this one server.
WITH_POSTGRES := go run ./internal/pgtest/withpg

help: ## print this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

dev: deps build ## run the whole shop at http://127.0.0.1:4000 with something to buy; Ctrl-C stops it
	@bin/souk dev --demo --data tmp/dev

test: deps deps-node deps-redis ## run every test, with the race detector
	@cd schema && node --test
	@$(WITH_POSTGRES) go test -race -timeout 15m ./...

shake: deps deps-redis ## run tests ten times with goroutines delayed at random; SHAKE="-run TestAnswer ./gateway"
	@$(WITH_POSTGRES) go run ./internal/shake -count=10 $(or $(SHAKE),$(error say which tests: make shake SHAKE="-run TestAnswer ./gateway"))

check: deps-node ## what a review would find: stale generated code, formatting, vet, staticcheck, import rules
	@scripts/fresh.sh $(SUBGRAPHS)
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); echo 'run gofmt -w on these'; exit 1; }
	@go mod tidy -diff
	@go vet ./...
	@$(TOOL) staticcheck $$(go list ./... | grep -v /internal/gen)
	@go test -run TestArchitecture .
	@echo 'check: fine'

gen: deps-node ## write the supergraph, the SQL code and the GraphQL code anew
	@scripts/generate.sh $(SUBGRAPHS)

bench: deps build ## measure the shop and print a table; BENCH=--json for machines
	@bin/souk bench $(BENCH)

chaos: deps build ## kill everything under a flash sale and check the books; CHAOS="--seed 1 --minutes 2"
	@bin/souk chaos $(CHAOS)

build: ## compile bin/souk
	@go build -o bin/souk ./cmd/souk

deps:
	@scripts/deps.sh go postgres

deps-redis:
	@scripts/deps.sh redis

deps-node:
	@scripts/deps.sh node
	@test schema/node_modules/.package-lock.json -nt schema/package-lock.json 2>/dev/null || (cd schema && npm ci --silent --no-audit --no-fund)
