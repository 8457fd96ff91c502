# Two commands do everything on a machine with Python >= 3.11 and make: `make app` and `make test`.
.NOTPARALLEL:
.DEFAULT_GOAL := help
.PHONY: help app test check approve venv dev lint format types contracts quick-tests all-tests litellm-tests chromium clean

VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8501
PIP := $(BIN)/python -m pip --disable-pip-version-check
PYTEST := NUMBA_NUM_THREADS=2 $(BIN)/python -m pytest -q
# One worker a core, each with one thread of BLAS' and torch's own.
WORKERS := -n auto --maxprocesses 4

help:
	@echo "make app      install what is missing, prepare the data, serve http://localhost:$(PORT) (PORT=n for another)"
	@echo "make test     everything: lint, format, types, import contracts, unit, page and browser tests"
	@echo "make check    the quick part of it: no slow test, no browser"
	@echo "make approve  take what every page looks like now as approved (look at test-results/look first)"
	@echo "make format   rewrite the code the way 'make check' wants it"
	@echo "make venv     only install, into $(VENV)"
	@echo "make clean    remove $(VENV) and caches; data/ is kept"

app: venv
	@$(BIN)/carrot setup
	@$(BIN)/carrot app --port $(PORT)

test: dev lint types contracts chromium all-tests litellm-tests

check: dev lint types contracts quick-tests

# Stamps: nothing is installed again until requirements.txt or pyproject.toml changes.
venv: $(VENV)/.installed
dev: venv $(VENV)/.dev

$(VENV)/.created:
	@python=$$(PYTHON="$(PYTHON)" scripts/find-python) && echo "Creating $(VENV) with $$python" && \
		"$$python" -m venv $(VENV) && touch $@

$(VENV)/.installed: $(VENV)/.created requirements.txt pyproject.toml
	@echo "Installing into $(VENV); the first time takes some minutes ..."
	$(PIP) install -r requirements.txt
	$(PIP) install -q --no-deps -e .
	@$(BIN)/python -c "from carrot_core.dashboard.components import install_plotly_js as copy; copy()"
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(PIP) install -q -e '.[dev]'
	@touch $@

lint: dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: dev
	$(BIN)/mypy

contracts: dev
	$(BIN)/lint-imports

quick-tests: dev
	OMP_NUM_THREADS=1 $(PYTEST) -m "not slow and not browser" $(WORKERS)

# Quick ones first, so that a plain mistake shows in seconds; the browser has the machine to itself.
all-tests: quick-tests
	OMP_NUM_THREADS=1 $(PYTEST) -m "slow and not browser" $(WORKERS)
	OMP_NUM_THREADS=2 $(PYTEST) -m browser

# Pictures that look as approved stay as they are. When a page is meant to look different: `make test`, look, approve.
approve: dev chromium
	CARROT_APPROVE=1 $(PYTEST) tests/browser/test_look.py

# LiteLLM holds other libraries back, so it has an environment of its own, on top of the first one's packages.
litellm-tests: $(VENV)/litellm/.installed
	OMP_NUM_THREADS=2 $(VENV)/litellm/bin/python -m pytest -q tests/gateways/test_litellm.py

$(VENV)/litellm/.installed: $(VENV)/.dev
	$(BIN)/python -m venv --clear --without-pip $(VENV)/litellm
	@$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > \
		"$$($(VENV)/litellm/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/beneath.pth"
	$(PIP) --python $(VENV)/litellm/bin/python install -q -e '.[litellm]'
	@touch $@

chromium: dev
	@scripts/ensure-chromium

clean:
	rm -rf $(VENV) carrot_core/dashboard/components/plotly.min.js .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
