# Two commands a person needs: make demo, make test. Both prepare .venv when it is absent.
# PYTHON=… chooses the interpreter (3.11 or newer); TEST_ARGS=… is handed to pytest, TEST_WORKERS=…
# how many tests run at once.

SHELL := /bin/sh
.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.oms-sync-installed
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
UV ?= uv
# one more than there are processors: many tests wait for processes and answers, not for a processor
TEST_WORKERS ?= $(shell $(PYTHON) -c 'import os; print((os.cpu_count() or 1) + 1)')
SOAK_SECONDS ?= 1800
SOAK_SEED ?= 1
CODE := oms_sync connectors mappings tests

.PHONY: help venv demo test coverage check format bench soak lock clean

help:
	@echo "make demo    watch the hub work against look-alike channels; needs no credentials (DEMO_ARGS=\"--faults heavy\")"
	@echo "make test    every test, on SQLite and PostgreSQL"
	@echo "make check   formatting, lint, types, import contracts"
	@echo "make venv    prepare .venv only        make format  apply the formatting"
	@echo "make bench   print the benchmarks as JSON    make soak    a long run under faults"
	@echo "make coverage  the tests again, with what they leave untouched"
	@echo "make lock    renew both requirements locks (needs uv)    make clean   remove caches and builds"

venv: $(STAMP)

# pip first: it honours the index configured on the machine. uv only where Python has no pip of its own.
$(STAMP): requirements-dev.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11 or newer found; install one or say make PYTHON=/path/to/python3" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) 2>/dev/null || $(PYTHON) -m venv --clear --without-pip $(VENV)
	@if $(BIN)/python -c 'import pip' 2>/dev/null; then \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . ; \
	elif command -v $(UV) >/dev/null 2>&1; then \
		VIRTUAL_ENV=$(CURDIR)/$(VENV) $(UV) pip install --quiet --require-hashes -r requirements-dev.lock && \
		VIRTUAL_ENV=$(CURDIR)/$(VENV) $(UV) pip install --quiet --no-deps --no-build-isolation -e . ; \
	else \
		echo "make: $(PYTHON) has no ensurepip and there is no uv; install the python3-venv package or uv, then try again" >&2; exit 1; \
	fi
	@touch $@

demo: $(STAMP)
	@$(BIN)/oms-sync demo $(DEMO_ARGS)

# PostgreSQL is part of the suite: initdb from the machine or, without one, from a test wheel.
test: $(STAMP)
	$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist worksteal $(TEST_ARGS)

coverage: $(STAMP)
	$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist worksteal --cov --cov-report=term $(TEST_ARGS)

check: $(STAMP)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(STAMP)
	$(BIN)/ruff check --fix-only $(CODE)
	$(BIN)/ruff format $(CODE)

bench: $(STAMP)
	@$(BIN)/python tests/bench/bench.py

# The whole hub under heavy faults for long; ends non-zero unless the closing statement is clean.
soak: $(STAMP)
	@$(BIN)/oms-sync demo --seconds $(SOAK_SECONDS) --seed $(SOAK_SEED) --faults heavy --json

lock:
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url \
		--no-emit-find-links --custom-compile-command "make lock" --extra postgres pyproject.toml -o requirements.lock
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url \
		--no-emit-find-links --custom-compile-command "make lock" --extra postgres --group dev \
		--constraint requirements.lock pyproject.toml -o requirements-dev.lock

clean:
	rm -rf build dist htmlcov .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +
