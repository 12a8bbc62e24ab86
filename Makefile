# Two commands do everything on a fresh machine: `make demo` (needs Python) and `make test` (needs Node besides).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Analysers of the contracts, whose needs are not those of the program.
ANALYSIS := .venv-analysis
UV := 0.13.9
# The program itself: its npm front exits with 0 when tests fail.
FORGE = $(wildcard node_modules/@foundry-rs/forge-*/bin/forge)

# The checks that a change must never lose; `make mutations` tries all of them.
DECISIVE := "proof of a seat" "one vote" "phase of an intake" "phase of a ballot" "proposer" "commitment" \
	"deadline of an action" "deadline of a push" "claims chained"

.PHONY: help setup setup-run setup-dev setup-node setup-network demo test lint typecheck unit contracts mutations mutants analysis symbolic invariants proofs coverage network-test network-anvil network-geth clef bench fuzz lock clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: setup-dev setup-node ## Install everything for development into .venv/ and node_modules/

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Flare needs Python 3.11 or newer; set PYTHON=…"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q uv==$(UV)

$(VENV)/.run: requirements/run.lock pyproject.toml | $(BIN)/uv
	$(BIN)/uv pip install -q --compile-bytecode --python $(BIN)/python --require-hashes -r requirements/run.lock
	$(BIN)/uv pip install -q --python $(BIN)/python --no-deps -e .
	@touch $@

$(VENV)/.dev: requirements/dev.lock pyproject.toml | $(BIN)/uv
	$(BIN)/uv pip install -q --compile-bytecode --python $(BIN)/python --require-hashes -r requirements/dev.lock
	$(BIN)/uv pip install -q --python $(BIN)/python --no-deps -e .
	@touch $@ $(VENV)/.run

$(ANALYSIS)/.ready: requirements/analysis.lock | $(BIN)/uv
	$(PYTHON) -m venv $(ANALYSIS)
	$(BIN)/uv pip install -q --python $(ANALYSIS)/bin/python --require-hashes -r requirements/analysis.lock
	@touch $@

setup-run: $(VENV)/.run
setup-dev: $(VENV)/.dev

node_modules/.ready: package-lock.json
	@command -v npm >/dev/null || { echo "The contract tests need Node.js (npm) on the PATH."; exit 1; }
	npm ci --silent --no-audit --no-fund
	@touch $@

setup-node: node_modules/.ready

setup-network: ## Build Kubo and geth (needs Go; minutes, once; kept outside the checkout)
	@scripts/install_kubo.sh
	@scripts/install_geth.sh

demo: setup-run ## Run federated learning end to end on the embedded chain
	$(BIN)/flare demo

test: setup lint contracts unit ## Run every check and test

lint: setup-dev setup-node
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(FORGE) fmt --check
	node_modules/.bin/solhint --max-warnings 0 'contracts/**/*.sol'

contracts: setup ## Compile, test and measure the contracts
	$(BIN)/python scripts/compile.py --check
	$(FORGE) test
	$(BIN)/python scripts/check_snapshots.py
	$(BIN)/python scripts/run_invariants.py --calls 10000
	$(BIN)/python scripts/forge_coverage.py --lines 98 --branches 95
	$(BIN)/python scripts/mutate_checks.py --only $(DECISIVE)

mutations: setup ## Remove every check of the contracts, one at a time (half an hour)
	$(BIN)/python scripts/mutate_checks.py --full

mutants: setup ## Sample 320 small changes of the contracts; 90 % must make a test fail (an hour; resumable)
	$(BIN)/python scripts/run_mutants.py

analysis: setup-node $(ANALYSIS)/.ready ## Run slither over the contracts; fail on a finding of medium or higher
	PATH="$(dir $(abspath $(FORGE))):$$PATH" FOUNDRY_PROFILE=fast FOUNDRY_DENY=never FOUNDRY_TEST=none \
		FOUNDRY_OUT=out/analysis FOUNDRY_CACHE_PATH=cache/analysis \
		$(ANALYSIS)/bin/slither . --foundry-out-directory out/analysis --filter-paths 'node_modules|tests' --fail-medium \
		--exclude-low --exclude-informational --exclude-optimization

symbolic: setup-node $(ANALYSIS)/.ready ## Prove by halmos what holds of packed words, threshold, quorum and tally (two minutes)
	PATH="$(dir $(abspath $(FORGE))):$$PATH" FOUNDRY_PROFILE=fast FOUNDRY_SRC=contracts/types \
		FOUNDRY_TEST=tests/contracts/symbolic FOUNDRY_OUT=out/symbolic FOUNDRY_CACHE_PATH=cache/symbolic \
		$(ANALYSIS)/bin/halmos --forge-build-out out/symbolic --solver-timeout-assertion 120s

invariants: setup ## A million calls of a campaign against the rules of rounds (an hour and a half; resumable)
	$(BIN)/python scripts/run_invariants.py

proofs: setup ## Twelve thousand altered proofs and all published vectors against the verifier on anvil (two minutes)
	$(BIN)/python -m pytest -n 0 -m slow tests/integration/anvil/test_ecvrf_on_anvil.py

coverage: setup ## Fail below 98 % of the contracts' lines or 95 % of their branches
	$(BIN)/python scripts/forge_coverage.py --lines 98 --branches 95

unit: setup ## Python tests with coverage
	$(BIN)/python -m pytest -n 2 --cov --cov-report=term:skip-covered --cov-fail-under=90

network-test: setup setup-network ## 8 worker processes for 5 rounds on anvil and on geth, with Kubo; audited; drills
	$(MAKE) --no-print-directory -j 2 network-anvil network-geth
	FLARE_REQUIRE_NETWORK=1 $(BIN)/python -m pytest -n 2 -m slow tests/integration/network

clef: setup ## Build Clef (needs Go; minutes, once) and have it sign
	@scripts/install_clef.sh
	$(BIN)/python -m pytest -n 0 tests/integration/signer/test_clef.py

# Both at once: their workers mostly wait for blocks. With FedAvg every round that the network carries ends FINALIZED; other rules may
# find that a round's updates make no better model, which is no fault of the network.
network-anvil network-geth: network-%:
	@rm -rf devnet/$*
	@$(BIN)/flare devnet up --chain $* --workers 8 --rounds 5 --aggregation fedavg --keep --folder devnet/$* && \
	$(BIN)/flare audit --rpc "$$($(BIN)/flare devnet where --folder devnet/$* rpc)" \
		--ipfs "$$($(BIN)/flare devnet where --folder devnet/$* ipfs)" --deployments devnet/$*/deployments; \
	code=$$?; $(BIN)/flare devnet down --folder devnet/$*; exit $$code

bench: setup ## Run every benchmark in its quick form
	@for bench in scripts/bench/*.py; do case $$bench in */_*) ;; *) $(BIN)/python $$bench --quick || exit 1;; esac; done

fuzz: setup-dev ## Fuzz every decoder of foreign bytes (SECONDS=60; Linux, Python 3.11 to 3.13)
	$(BIN)/uv pip install -q --python $(BIN)/python --require-hashes -r requirements/fuzz.lock
	$(BIN)/python scripts/fuzz_decoders.py --seconds $(or $(SECONDS),60)

lock: $(BIN)/uv ## Pin the dependencies anew
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --prerelease if-necessary-or-explicit --generate-hashes --no-header pyproject.toml --extra train --extra compile -o requirements/run.lock
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --prerelease if-necessary-or-explicit --generate-hashes --no-header pyproject.toml --all-extras --group dev -o requirements/dev.lock
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header requirements/analysis.in -o requirements/analysis.lock
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header requirements/fuzz.in -o requirements/fuzz.lock

clean:
	rm -rf $(VENV) node_modules out cache .coverage* .mypy_cache .ruff_cache .pytest_cache
