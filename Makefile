# One command each. Everything installs into .venv from requirements.lock, nothing elsewhere.
#   make run                      the whole chain on five simulated years of ES
#   make run DATA=bars.parquet    the same on your own bars       (of ES; SYMBOL=BTCUSDT for another)
#   make run SYMBOL=ES            again, on the bars it had last
#   make ui                       Dagster and MLflow pages together, Ctrl-C stops both
#   make test                     lint, types, architecture and the tests that take seconds
#   make test-all                 every test, as before each release
#   make test-pythons             the wheel on Python 3.12 and 3.13, without torch

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin

.PHONY: run ui test test-all test-pythons lint format setup clean

run: $(VENV)/.ready
	@$(BIN)/vpoc run $(if $(DATA),--data "$(DATA)") $(if $(SYMBOL),--symbol $(SYMBOL))

ui: $(VENV)/.ready
	@$(BIN)/vpoc ui

test: lint
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder -m "not slow"

test-all: lint
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

test-pythons: $(VENV)/.ready
	.ci/pythons

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.ready
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

setup: $(VENV)/.ready

# The stamp is made last, so that an interrupted set-up starts again.
$(VENV)/.ready: requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 is needed: install it, or name it with PYTHON=/path/to/python3.11"; exit 2; }
	@echo "Setting up .venv from requirements.lock (a few minutes, once) ..."
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache .hypothesis build *.egg-info
