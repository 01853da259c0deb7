# make setup  a virtual environment with the locked versions
# make demo   the whole idea in one sweep, from nothing
# make reference   the committed records as leaderboard, tables and figures
# make check  formatting, lint, types, import contracts, quick tests: under a minute
# make test   the same with all tests
# make site   documentation and board as a static site in build/site
# make test-portable  what decides, traces or times, as other processors would run it

PYTHON ?= python3
BIN := .venv/bin
# Small enough for a quarter of an hour on two cores; 0 measures the whole test sets.
DEMO_LIMIT ?= 200
SWEEP := model=dvt_fashion,minilm_exits workload=clean,same hardware=cpu_1t,cpu_2t

.PHONY: setup demo reference site lint quick check test test-portable format clean

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

setup: .venv/installed

demo: .venv/installed
	$(BIN)/exitbench run -m $(SWEEP) limit=$(DEMO_LIMIT)
	$(BIN)/exitbench leaderboard
	$(BIN)/exitbench plots

# The main table, its card, the table of what the clock confirms, and the figures: all from the committed records.
REFERENCE := results/reference/records
reference: .venv/installed
	$(BIN)/exitbench leaderboard --records $(REFERENCE) --out results/reference/leaderboard.csv
	$(BIN)/exitbench leaderboard --records $(REFERENCE) --where "n==100" --out results/reference/main.csv
	$(BIN)/exitbench leaderboard --records $(REFERENCE) --table realized --out results/reference/realized.csv
	$(BIN)/exitbench leaderboard --records $(REFERENCE) --table card --out results/reference/card.csv
	$(BIN)/exitbench plots --records $(REFERENCE) --out results/reference/figures

# Offline; a broken link is an error. The board shows all committed records.
site: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	$(BIN)/python docs/site/build.py build/site
	$(BIN)/exitbench site --records $(wildcard results/*/records) --out build/site/board

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright --pythonpath $(BIN)/python --level error
	$(BIN)/lint-imports --no-cache

# The rooms whose tests decide on numbers and need no model, process or browser of their own; beside the type checker.
QUICK := tests/records tests/policies tests/cost/test_matrix_products.py tests/attacks/test_objectives.py
quick: .venv/installed
	$(BIN)/python -m pytest $(QUICK) --ignore=tests/records/site

check: .venv/installed
	$(MAKE) --jobs=2 lint quick

test: lint
	$(BIN)/python -m pytest

# PORTABLE=--quick runs the two combinations of settings that differ most.
test-portable: .venv/installed
	$(BIN)/python tests/support/portable.py $(PORTABLE)

format: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv plots/out .pytest_cache .ruff_cache
