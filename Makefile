# make run    builds and starts a whole network here: 6 nodes, S3 gateway, console
# make test   installs what the tests need and runs them all
# make help   lists the rest

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

export CGO_ENABLED ?= 0
GO ?= go
GOFLAGS_BUILD := -trimpath
FUZZTIME ?= 20s
BENCHTIME ?= 1s

.PHONY: help build run setup test vet short race bench bench-go fuzz golden soak clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

build: ## build bin/cairn and bin/storagenode
	$(GO) build $(GOFLAGS_BUILD) -o bin/ ./cmd/cairn ./cmd/storagenode

run: build ## build and start a whole network on this machine (data in cairn-data/)
	exec bin/cairn up $(ARGS)

setup: ## install the tools the tests use, and fetch the Go modules
	@scripts/setup

test: setup vet ## everything: setup, vet, format, all tests with the real S3 clients
	$(GO) test -timeout 15m ./...

vet: ## go vet and gofmt
	$(GO) vet ./...
	@unformatted=$$(gofmt -l $$(git ls-files --cached --others --exclude-standard '*.go')); \
	if [ -n "$$unformatted" ]; then echo "not gofmt'ed:"; echo "$$unformatted"; exit 1; fi

short: ## the tests that take seconds
	$(GO) test -short ./...

race: ## the short tests under the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race -short ./...

# ENDPOINT, ACCESS_KEY and SECRET_KEY measure another server instead; JSON=FILE
# keeps the figures.
bench: ## speed and cost of a whole network through an S3 client (docs/performance.md)
	$(GO) test ./e2e/bench -run '^TestBench$$' -count 1 -timeout 15m -v -args -measure $(if $(JSON),-json $(abspath $(JSON))) $(ARGS)

bench-go: ## every Go benchmark
	$(GO) test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) ./...

fuzz: ## every fuzz target for FUZZTIME each
	@scripts/fuzz $(FUZZTIME)

# Vectors of formats are not rewritten here: they never change.
golden: ## rewrite scenarios and other expected outputs; read the diff afterwards
	$(GO) test ./cmd/... -run Scenarios -update
	$(GO) test ./gateway/s3api -update

soak: ## the long crash and recovery tests
	CAIRN_SOAK=1 $(GO) test -timeout 2h -count 1 -v ./e2e/process

clean: ## remove what was built (never data)
	rm -rf bin
