# Recipes for people who work on runkon. `make help` prints them.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: help dev check lint types layers test fast update bench wheel fuzz crash clean

help:  ## print every recipe
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

dev:  ## a virtual environment with runkon editable and all development tools
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable '.[dev]'

check: lint types layers test  ## what CI runs

lint:  ## style, and formatting as CI wants it
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types:  ## mypy, strict
	$(BIN)/mypy

layers:  ## which folder may import which
	$(BIN)/lint-imports

test:  ## the full test suite
	$(BIN)/python -m pytest -n auto

fast:  ## unit and conformance tests only
	$(BIN)/python -m pytest -n auto tests/unit tests/conformance

update:  ## rewrite the expectations of conformance cases, for review in the diff
	RUNKON_UPDATE=1 $(BIN)/python -m pytest -n0 tests/conformance

bench:  ## ratios to yardsticks measured in the same round
	$(BIN)/python -m benchmarks

wheel:  ## build wheel and sdist into dist/
	$(BIN)/python -m build

fuzz:  ## an hour of random programs and random bytes
	$(BIN)/python -m tests.property.fuzz --minutes 60

crash:  ## thousands of kills at every place and from outside, each resumed and compared; KILLS=5000 SEED=1
	$(BIN)/python -m tests.crash --kills $(or $(KILLS),5000) --seed $(or $(SEED),1) --battles 100

clean:  ## remove what can be made again
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
