# `make help` lists what there is.

CARGO ?= cargo
RUSTUP ?= rustup
NODE ?= node
NPM ?= npm
TARGET_DIR := $(abspath $(or $(CARGO_TARGET_DIR),target))
# The browser of the tests.
CHROMIUM ?= /usr/bin/chromium
# The native program as `unit` builds it: another selection of packages has other features, and all would be built twice.
PROGRAM := $(CARGO) test --locked --release --no-run --test native
WASM_MODULE := $(TARGET_DIR)/wasm32-unknown-unknown/release-wasm/zk_replica_wasm.wasm
# One module for each mode: whoever uses one does not download the other.
WASM_BUILD := $(CARGO) build --locked --profile release-wasm -p zk-replica-wasm --target wasm32-unknown-unknown --no-default-features
BINDGEN := $(TARGET_DIR)/release/zk-replica-bindgen
WASM_TARGETS := wasm32-unknown-unknown wasm32v1-none wasm32-wasip1

# Data with known results, beside the checkout.
VECTORS ?= ../shared/vectors
RECORDING := ../shared/vectors/recorded-chain
# What `make replay` verifies: a stream file and, beside it, the files that describe its chain.
STREAM ?= $(RECORDING)/data-stream.bin.gz
GENESIS ?= $(dir $(STREAM))genesis-allocs.json
CHAIN ?= $(dir $(STREAM))chainspec.json

.PHONY: help setup chromium demo replay test check lint doc unit clients conformance portable wasm page browser bench deny clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

setup: ## Install the rustup targets and components that builds need
	@command -v $(RUSTUP) >/dev/null || { echo "rustup is missing: https://rustup.rs installs it"; exit 1; }
	@command -v $(NODE) >/dev/null || { echo "Node.js is missing: https://nodejs.org, version 20 or newer"; exit 1; }
	@$(RUSTUP) show active-toolchain >/dev/null 2>&1 || $(RUSTUP) toolchain install
	@$(RUSTUP) --quiet component add clippy rustfmt
	@$(RUSTUP) --quiet target add $(WASM_TARGETS)

# Without the page, `cargo run --release -p zk-replica -- demo` does.
demo: page ## A main node with traffic, a replica that verifies it and serves Web3, and a page that does the same in a tab
	@exec $(CARGO) run --locked --release -p zk-replica -- demo --page www/dist

replay: ## Verify the recorded chain, or the one that STREAM= names
	@if [ ! -e "$(STREAM)" ]; then \
		echo "there is no recording at $(STREAM)"; \
		echo "name one: make replay STREAM=path/to/data-stream.bin (with genesis-allocs.json and chainspec.json beside it,"; \
		echo "or with GENESIS= and CHAIN=)"; \
		exit 1; \
	fi
	$(CARGO) run --locked --release -p zk-replica -- replay --stream "$(STREAM)" --genesis "$(GENESIS)" --chain "$(CHAIN)"

test: setup lint doc unit clients portable browser ## Everything: format, lints, documentation, all tests, clients, wasm, page

check: lint ## The same as lint

lint: setup
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --release --all-targets -- -D warnings

doc: setup
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --release --no-deps -p zk-replica-poseidon -p zk-replica-core -p zk-replica

unit: setup ## Tests on this machine
	$(CARGO) test --locked --release

clients: setup ## ethers, viem and web3.js against a replica that follows a devnet
	$(PROGRAM)
	cd tests/clients && $(NPM) ci --no-audit --no-fund --loglevel=error
	@# Libraries leave timers and sockets behind.
	ZK_REPLICA="$(TARGET_DIR)/release/zk-replica" $(NODE) --test --test-force-exit --test-reporter=spec tests/clients/http.test.mjs

conformance: setup ## Published vectors with known results: all, or those that VECTORS= names
	$(CARGO) run --locked --release -p zk-replica-tests --bin conformance -- $(VECTORS)

# The tests in wasm are built with overflow checks and debug assertions, those on this machine as they are shipped.
portable: export CARGO_TARGET_WASM32_WASIP1_RUNNER := $(NODE) --no-warnings $(CURDIR)/tests/portable/wasi.mjs
portable: setup ## The core as wasm: its own tests, and a module that imports nothing
	$(CARGO) test --locked -p zk-replica-core -p zk-replica-poseidon --lib --target wasm32-wasip1
	CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS="-C target-feature=+simd128" \
		$(CARGO) test --locked -p zk-replica-poseidon --lib --target wasm32-wasip1
	$(CARGO) check --locked --release -p zk-replica-core --target wasm32-unknown-unknown
	$(CARGO) build --locked --release -p zk-replica-portable --target wasm32v1-none
	PORTABLE_WASM="$(TARGET_DIR)/wasm32v1-none/release/zk_replica_portable.wasm" \
		$(NODE) --test tests/portable/portable.test.mjs

wasm: setup ## The npm package, in wasm/npm/dist
	$(CARGO) build --locked --release -p zk-replica-bindgen
	$(WASM_BUILD) --features light
	"$(BINDGEN)" "$(WASM_MODULE)" wasm/npm/build/light
	$(WASM_BUILD) --features full
	"$(BINDGEN)" "$(WASM_MODULE)" wasm/npm/build/full
	cd wasm/npm && $(NPM) ci --no-audit --no-fund --loglevel=error
	cd wasm/npm && $(NODE) build.mjs

page: wasm ## The page, in www/dist
	cd www && $(NPM) ci --no-audit --no-fund --loglevel=error && $(NPM) run --silent build

# As Debian has it, without what it recommends; root may install it.
chromium:
	@command -v "$(CHROMIUM)" >/dev/null || \
		{ [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && \
			DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium >/dev/null; } || \
		{ echo "Chromium is missing: apt-get install --no-install-recommends chromium, or name it: CHROMIUM="; exit 1; }

browser: page chromium ## The npm package and the page in Chromium, and the package in Node
	$(PROGRAM)
	cd www && $(NPM) run --silent check && $(NPM) test --silent
	cd tests/clients && $(NPM) ci --no-audit --no-fund --loglevel=error
	cd tests/browser && $(NPM) ci --no-audit --no-fund --loglevel=error
	ZK_REPLICA="$(TARGET_DIR)/release/zk-replica" CHROMIUM="$(CHROMIUM)" \
		$(NODE) --test --test-concurrency=2 --test-reporter=spec tests/browser/*.test.mjs

# Plonky2 uses features of the compiler that are not stable: opened for that crate alone.
bench: wasm ## Benchmarks beside their peers
	$(CARGO) build --locked --release -p zk-replica
	RUSTC_BOOTSTRAP=plonky2_field $(CARGO) bench --locked -p zk-replica-bench
	cd tests/browser && $(NPM) ci --no-audit --no-fund --loglevel=error
	ZK_REPLICA="$(TARGET_DIR)/release/zk-replica" CHROMIUM="$(CHROMIUM)" $(NODE) tests/browser/bench.mjs
	$(WASM_BUILD) --features full
	"$(BINDGEN)" "$(WASM_MODULE)" wasm/npm/build/names names
	$(NODE) tests/bench/wasm.mjs "$(TARGET_DIR)/release/zk-replica" wasm/npm/dist wasm/npm/build/names

deny: ## Licences, sources and duplicate versions of all dependencies
	@command -v cargo-deny >/dev/null || $(CARGO) install --locked cargo-deny
	$(CARGO) deny --all-features check bans licenses sources

clean: ## Remove everything that was built
	$(CARGO) clean
