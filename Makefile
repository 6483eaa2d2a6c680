# For newcomers: `make demo`, `make test` and `make docs`. Each makes its own environment from nothing.

PYTHON ?= python3
BIN := .venv/bin
# small networks are fastest on one thread, and two test processes share two cores
export OMP_NUM_THREADS ?= 1

.PHONY: demo test check docs fuzz package lint format types clean

demo: .venv/installed
	$(BIN)/python examples/quickstart.py

# all checks that a change must pass; CI runs this
test: lint types
	$(BIN)/python -m pytest -n 2

check: test docs

# build the site and run its examples and notebooks; any warning is an error
docs: .venv/docs-installed
	$(BIN)/sphinx-build -W --keep-going -n -q -b html docs docs/_build/html
	$(BIN)/python docs/check_links.py docs/_build/html
	@echo "open docs/_build/html/index.html"

# fit on five thousand random inputs; about five minutes
fuzz: .venv/installed
	SKDANN_FUZZ=5000 $(BIN)/python -m pytest -q tests/test_fuzz.py

# build the package, install it into an empty environment, run the first example of the README
package:
	PYTHON=$(PYTHON) .ci/package

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/installed
	$(BIN)/mypy

format: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# torch first and pinned: on Linux an unpinned torch brings gigabytes of GPU libraries
.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[test]"
	touch $@

.venv/docs-installed: .venv/installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[docs]"
	touch $@

clean:
	rm -rf .venv build dist docs/_build docs/_made docs/api docs/auto_examples docs/notebooks
