# Everything a checkout needs: each target makes its own environment first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: bench check clean demo format help test trust

help: ## Say what there is.
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "guanxi needs Python 3.11 or later: make PYTHON=/path/to/python3" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing guanxi and its libraries into $(VENV) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(READY) ## A running server with the telecom sample tenant.
	@exec $(BIN)/guanxi demo

test: $(READY) ## The test suite, in parallel, on the embedded PostgreSQL.
	@$(BIN)/python -m pytest -q -n 2 --dist loadgroup

trust: $(READY) ## The promises of docs/security.md in full, and a table of what was reached (takes long).
	@GUANXI_TRUST=1 $(BIN)/python -m pytest tests/trust -v -n 2 --dist loadgroup --timeout 1800

check: $(READY) ## Style, types and import rules.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/pyright
	@$(BIN)/lint-imports

bench: $(READY) ## Workloads as ratios to a hand-written handler, and beside peers.
	@$(BIN)/python -m benchmarks

format: $(READY) ## Put the code into shape.
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

clean: ## Remove the environment and caches.
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
