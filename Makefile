# One word for each thing one does with this repository; `make help` lists them.
# Works on a clean checkout with Rust and a C compiler; `make test` installs the rest where it may.

CARGO  ?= cargo
PREFIX ?= /usr/local
BINARY := $(or $(CARGO_TARGET_DIR),target)/release/mantisdb

.DEFAULT_GOAL := help
.PHONY: help run run-api test-api test build build-rust bench bench-peers gate lint fmt openapi install clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## build and start the server on http://127.0.0.1:8080, data in ./data; ARGS="--port 9000"
	$(CARGO) run --release --package mantisdb --bin mantisdb -- serve $(ARGS)

run-api: ## start the example of a server inside a program of one's own
	$(CARGO) run --release --package mantisdb --example rest_api_server

test-api: ## the tests of the HTTP front end, over real sockets
	$(CARGO) test --package mantis-http

test: ## everything that CI runs
	$(CARGO) xtask prepare
	$(CARGO) xtask ci

build: build-rust ## everything that ships

build-rust: ## the optimised binary, linked as ./mantisdb and ./mantisdb-rust; VERSION=1.0.0
	$(if $(VERSION),MANTIS_VERSION=$(VERSION) )$(CARGO) build --release --package mantisdb
	ln -sfn $(BINARY) mantisdb
	ln -sfn $(BINARY) mantisdb-rust

bench: ## the micro benchmarks (on an idle machine)
	$(CARGO) bench --workspace

bench-peers: ## beside fjall and RocksDB (on an idle machine, half an hour); ARGS="--only put-random"
	$(CARGO) xtask bench peers $(ARGS)

gate: ## the longer gate: hours, as root
	$(CARGO) xtask prepare
	$(CARGO) xtask gate

lint: ## format, house rules and clippy, without building tests
	$(CARGO) xtask ci fmt tidy clippy

fmt: ## format the source
	$(CARGO) fmt --all

openapi: ## write openapi/openapi.json from the code
	$(CARGO) xtask openapi

install: build-rust ## copy the binary to $(PREFIX)/bin; PREFIX and DESTDIR as usual
	install -D -m 0755 $(BINARY) $(DESTDIR)$(PREFIX)/bin/mantisdb

clean: ## remove what was built; ./data stays
	$(CARGO) clean
	rm -f mantisdb mantisdb-rust
