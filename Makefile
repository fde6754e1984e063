# SPDX-License-Identifier: GPL-2.0-only
# `make fuzz` sets everything up and fuzzes for a minute; `make test` sets up and runs all tests.

PYTHON ?= python3
TIME ?= 60
BUGS ?= # options of `zsfuzz bench bugs`, such as --bug NAME --strategy blind
VENV := .venv
BIN := $(VENV)/bin
READY := .stamps/ready

export PYTHON

.PHONY: fuzz test bench lint format setup kernels test-kernels test-packages clean

fuzz: kernels
	@$(BIN)/zsfuzz run --time $(TIME)

test: test-kernels test-packages
	@$(BIN)/pytest

bench: kernels
	@$(BIN)/zsfuzz bench speed
	@mkdir -p zsfuzz-out
	@$(BIN)/zsfuzz bench bugs --json zsfuzz-out/bugs.json --plot zsfuzz-out/bugs.svg $(BUGS)

lint: setup
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

format: setup
	@$(BIN)/ruff format
	@$(BIN)/ruff check --fix

setup: $(READY)

# What is in the cache takes a second.
kernels: setup
	@$(BIN)/zsfuzz kernel build --design zspage --flavour plain --flavour kasan >/dev/null

test-kernels: kernels
	@$(BIN)/zsfuzz kernel build --design stock --flavour plain >/dev/null
	@$(BIN)/zsfuzz kernel build --design zspage --flavour lockdep >/dev/null
	@$(BIN)/zsfuzz kernel build --design zpdesc --flavour plain >/dev/null
	@$(BIN)/zsfuzz kernel build --design stock --flavour plain --variant selftests >/dev/null
	@$(BIN)/zsfuzz kernel build --design zspage --flavour plain --variant selftests >/dev/null
	@$(BIN)/zsfuzz kernel build --design zspage --flavour plain --variant selftests --variant gcov >/dev/null

# A browser and genhtml; without them some tests are skipped.
test-packages:
	@tools/install-packages --for-tests

# Again whenever what it depends on has changed.
$(READY): pyproject.toml Makefile tools/install-packages
	@tools/install-packages
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is older than 3.11; run: make PYTHON=python3.11" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing Python packages into $(VENV)" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[fast,plots,test]'
	@mkdir -p $(@D) && touch $@

clean:
	rm -rf $(VENV) .stamps build .mypy_cache .pytest_cache .ruff_cache
	find fuzz reference tools tests -name __pycache__ -prune -exec rm -rf {} +
	@echo "built kernels stay in the cache; see: zsfuzz kernel list" >&2
