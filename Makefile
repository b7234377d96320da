# One verb per task. Every target sets up what it needs; `make demo` and `make test` are enough.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

PY := .venv/bin/python
BIN := $(CURDIR)/.venv/bin
STAMPS := .cache
RUST_SOURCES := $(shell find engine -name '*.rs' -o -name Cargo.toml) Cargo.toml Cargo.lock
CONSOLE_SOURCES := $(shell find console/src console/public -type f 2>/dev/null) $(wildcard console/*.json console/*.ts console/*.html)
ARGS ?=
export PATH := $(BIN):$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test lint wheel bench matrix measure-rollback flags replay cut-streams fuzz estimate mutants simulate simulate-health simulate-guards calibrate-guards rehearse-incidents docs clean setup check-tools browser replay-incidents bench-peers bench-decoding

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-17s %s\n", $$1, $$2}'

demo: setup ## Watch a whole migration on simulated clouds (ARGS="--exit" to stop at the end)
	@crossfade demo $(ARGS)

test: setup browser $(STAMPS)/flagd.stamp lint ## Run every test; brings its own services
	cargo test --quiet --workspace --profile ci
	pytest -q -n 2 tests --ignore=tests/e2e --ignore=tests/conformance --ignore=tests/console
	pytest -q tests/conformance
	pytest -q tests/e2e
	pytest -q tests/console
	npm --prefix console test --silent

lint: setup ## Format, lints, types, import rules, licences
	ruff check --quiet . && ruff format --quiet --check .
	mypy --no-error-summary
	PYTHONPATH=src lint-imports --no-logo >$(STAMPS)/imports.txt || { cat $(STAMPS)/imports.txt; exit 1; }
	cargo fmt --check
	cargo clippy --quiet --workspace --all-targets --profile ci -- -D warnings
	cargo deny --log-level error check licenses bans sources
	npm --prefix console run --silent typecheck

wheel: setup ## Build the wheel, optimised for what a training run did (minutes)
	tools/trained wheel

bench: setup ## Measure speed and memory beside nginx in the same run, of the gateway as the wheel has it
	tools/trained gateway
	$(PY) bench/gateway.py $(ARGS)

bench-peers: setup ## The same beside other gateways, installed by their own package clients
	tools/trained gateway
	$(PY) bench/peers.py $(ARGS)

bench-decoding: ## What decoding a stream costs beside reading it, by dialect
	cargo test --quiet --profile ci -p crossfade-core --test decoding -- --ignored --nocapture

matrix: setup ## Ask every upstream kind for everything with every SDK; write docs/reference/capabilities.md
	WRITE_MATRIX=1 pytest -q tests/e2e/test_capabilities.py

replay: setup ## Recorded answers as upstream, official SDKs as callers: the score (minutes; ARGS=FILE)
	$(PY) tests/e2e/recorded/replay.py $(or $(ARGS),../shared/data/provider-exchanges/exchanges.jsonl)

cut-streams: setup ## Ten thousand recorded streams cut at a random byte: none may look finished (minutes)
	$(PY) tests/e2e/recorded/cut.py ../shared/data/provider-exchanges/exchanges.jsonl $(ARGS)

measure-rollback: setup ## Three gateways under load: seconds to share zero, decision delay, the loop's cost (minutes)
	PYTHONPATH=tests/support $(PY) bench/rollback.py $(ARGS)

flags: setup ## A hundred thousand units through the OpenFeature SDK: the engine's arm each (ARGS=UNITS; minutes)
	CROSSFADE_UNITS=$(or $(ARGS),100000) $(PY) -m pytest -q tests/scenarios/migration/test_flags.py -k sdk_sees

simulate-guards: setup ## Reproduce the guards' sample-size tables (a minute)
	$(PY) -m crossfade.sim.canary.report tables $(ARGS)

calibrate-guards: setup ## 2,000 whole rollouts: false rollbacks, harm, incidents of both arms (minutes)
	$(PY) -m crossfade.sim.canary.report null $(ARGS)

rehearse-incidents: setup ## Each published incident in the candidate and in both sides (minutes)
	$(PY) -m crossfade migration rehearse bench/rehearsal/move.yaml --config bench/rehearsal/crossfade.yaml \
	  --incidents ../shared/data/incidents/incidents.json --all-incidents --at 5% --at 50% --in each \
	  --rate 10 --days 3 --requests 5000000 --sign-after 1m --mend-after 10m --approve-after 1m --quiet $(ARGS)

replay-incidents: setup ## Each published incident at one endpoint: errors, first tokens, the way back, as plots
	$(PY) -m crossfade sim incident ../shared/data/incidents/incidents.json --html incidents.html $(ARGS)

simulate: ## Ten thousand seeds of random faults and config changes against the invariants
	cargo test --quiet --profile ci -p crossfade-core --test scenarios ten_thousand_seeds -- --ignored --nocapture

mutants: ## Break the decide core on purpose, one way at a time: its tests must notice (minutes)
	$(PY) tools/mutants.py $(ARGS)

simulate-health: ## How fast the breaker sees an outage, and how often it errs, in virtual time
	cargo test --quiet --profile ci -p crossfade-core --test scenarios health_tables -- --ignored --nocapture

fuzz: ## Mutated answers, errors and requests against every decoder (ARGS=CASES, a million by default; minutes)
	FUZZ_CASES=$(or $(ARGS),1000000) CARGO_PROFILE_CI_OVERFLOW_CHECKS=true CARGO_PROFILE_CI_DEBUG_ASSERTIONS=true \
	  cargo test --quiet --profile ci --target-dir target/fuzz -p crossfade-core --test fuzz

estimate: setup ## How well prompts are estimated before the call, by model family (ARGS=--fit fits anew)
	$(PY) bench/counting/fit.py $(ARGS)

docs: setup ## Regenerate the reference pages and schemas
	$(PY) -m crossfade.config.generate
	$(PY) -m crossfade.app.reference

clean: ## Remove everything that was built
	rm -rf .venv .cache target dist console/node_modules tests/flagd/node_modules src/crossfade/console src/crossfade/_engine*.so src/crossfade/crossfade-gateway

setup: check-tools $(STAMPS)/python.stamp $(STAMPS)/engine.stamp $(STAMPS)/console.stamp

check-tools:
	@./tools/check-tools

browser:
	@./tools/ensure-browser

$(STAMPS)/python.stamp: requirements.lock
	@mkdir -p $(STAMPS)
	@[ -x $(PY) ] || python3 -m venv .venv
	$(PY) -m pip install --quiet --require-hashes -r requirements.lock
	@touch $@

$(STAMPS)/engine.stamp: $(STAMPS)/python.stamp pyproject.toml $(RUST_SOURCES)
	VIRTUAL_ENV=$(CURDIR)/.venv maturin develop --quiet --profile ci >$(STAMPS)/engine.txt 2>&1 || { cat $(STAMPS)/engine.txt; exit 1; }
	cargo build --quiet --profile ci -p crossfade-gateway
	install -m 755 target/ci/crossfade-gateway src/crossfade/
	@touch $@

$(STAMPS)/flagd.stamp: tests/flagd/package-lock.json
	@mkdir -p $(STAMPS)
	npm --prefix tests/flagd ci --silent --no-fund --no-audit
	@touch $@

$(STAMPS)/console.stamp: $(CONSOLE_SOURCES)
	@mkdir -p $(STAMPS)
	npm --prefix console ci --silent --no-fund --no-audit
	npm --prefix console run --silent build
	@touch $@
