# For newcomers: `make demo`, `make test` and `make docs`. Each installs what it needs into .venv.

PYTHON ?= python3
BIN := .venv/bin
# -qq prints errors only
INSTALL := $(BIN)/python -m pip install -qq --constraint constraints.txt
# small networks are fastest on one thread, and two test processes share two cores
export OMP_NUM_THREADS ?= 1
export PIP_DISABLE_PIP_VERSION_CHECK ?= 1

.PHONY: demo test test-slow check docs fuzz package lint format types lock clean

demo: .venv/installed
	@echo "==> Training on the breast cancer data, five seeds of five systems: under a minute"
	$(BIN)/python examples/quickstart.py

test: lint types
	@echo "==> Running all but the slow tests in two processes: about four minutes"
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow" --cov

# tests that start, kill and restart processes, or train for long
test-slow: .venv/test-installed
	@echo "==> Running the slow tests in two processes: about two minutes"
	$(BIN)/python -m pytest -n 2 --dist worksteal -m slow

# all checks that a change must pass; CI runs them, too
check: test test-slow docs

# build the site and run its examples and notebooks; any warning is an error
docs: .venv/docs-installed
	@echo "==> Building the site, running its examples and notebooks: about two minutes"
	$(BIN)/sphinx-build -W --keep-going -n -b html docs docs/_build/html
	$(BIN)/python docs/check_links.py docs/_build/html
	@echo "open docs/_build/html/index.html"

# fit on five thousand random inputs; about five minutes
fuzz: .venv/test-installed
	SKDANN_FUZZ=5000 $(BIN)/python -m pytest -q tests/test_fuzz.py

# build the package, install it into an empty environment, run the first example of the README
package:
	PYTHON=$(PYTHON) .ci/package

lint: .venv/test-installed
	@echo "==> Linter and format"
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/test-installed
	@echo "==> Types: mypy says nothing for about a minute the first time"
	$(BIN)/mypy

format: .venv/test-installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# constraints.txt, from what pyproject.toml asks for
lock:
	PYTHON=$(PYTHON) .ci/lock

# torch first and pinned; the build backend as well, so that everything installed is pinned
.venv/installed: pyproject.toml constraints.txt
	@echo "==> Making the environment .venv"
	$(PYTHON) -m venv .venv
	@echo "==> Installing torch: 200 MB as a CPU build"
	$(INSTALL) torch hatchling hatch-fancy-pypi-readme editables
	@echo "==> Installing skdann with scikit-learn and matplotlib: 100 MB"
	$(INSTALL) --no-build-isolation --editable ".[plots]"
	@touch $@

.venv/test-installed: .venv/installed
	@echo "==> Installing what the tests need: 200 MB"
	$(INSTALL) --no-build-isolation --editable ".[test]"
	@touch $@

.venv/docs-installed: .venv/installed
	@echo "==> Installing what the site needs: 50 MB"
	$(INSTALL) --no-build-isolation --editable ".[docs]"
	@touch $@

clean:
	rm -rf .venv build dist docs/_build docs/_made docs/api docs/auto_examples docs/notebooks
