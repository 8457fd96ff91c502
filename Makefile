# Two commands do everything on a machine with Python >= 3.11 and make: `make app` and `make test`.
.DEFAULT_GOAL := help
.PHONY: help app test check bench approve sums venv dev lint format types contracts quick-tests all-tests litellm-tests chromium clean

VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8501
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Compiled modules are kept, whatever the shell says: tests start some hundred Pythons.
unexport PYTHONDONTWRITEBYTECODE
PYTEST := NUMBA_NUM_THREADS=2 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q --durations=20
# A worker more than there are cores, at most four: tests wait for pages, other processes and the disk. Each has one thread
# of BLAS' and torch's own, and a share of the files, so that few are set up twice.
PROCESSES ?= $(shell cores=$$(getconf _NPROCESSORS_ONLN); echo $$((cores < 3 ? cores + 1 : 4)))
WORKERS := -n $(PROCESSES) --dist worksteal
OTHERS := $(VENV)/others/.installed
STATIC := together-lint together-types together-contracts

help:
	@echo "make app      install what is missing, prepare the data, serve http://localhost:$(PORT) (PORT=n for another)"
	@echo "make test     everything: lint, format, types, import contracts, unit, page and browser tests"
	@echo "make check    the quick part of it: no slow test, no browser"
	@echo "make audit    known holes in the versions that an image installs"
	@echo "make bench    speed on this machine, into docs/benchmarks.md (BENCH=\"frontier knn\" for some of it)"
	@echo "make approve  take what every page looks like now as approved (look at test-results/look first)"
	@echo "make sums     take the files of data/ as they are now as those that ship (data/SHA256SUMS)"
	@echo "make format   rewrite the code the way 'make check' wants it"
	@echo "make venv     only install, into $(VENV)"
	@echo "make clean    remove $(VENV) and caches; data/ is kept"

app: venv
	@$(BIN)/carrot setup
	@$(BIN)/carrot app --port $(PORT)

# First everything is installed, then the tests run beside the rest.
test: dev chromium $(VENV)/litellm/.installed
	@$(MAKE) --no-print-directory -j2 all-tests $(STATIC) together-litellm-tests

check: dev
	@$(MAKE) --no-print-directory -j2 quick-tests $(STATIC)

# Stamps: nothing is installed again until requirements.txt or pyproject.toml changes.
venv: $(VENV)/.installed
dev: venv $(VENV)/.dev

$(VENV)/.created:
	@python=$$(PYTHON="$(PYTHON)" scripts/find-python) && echo "Creating $(VENV) with $$python" && \
		"$$python" -m venv $(VENV) && touch $@

$(VENV)/.installed: $(VENV)/.created requirements.txt pyproject.toml
	@echo "Installing into $(VENV); the first time takes some minutes ..."
	$(PIP) install -r requirements.txt
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

# What a target says, in one piece at its end, where other targets run beside it.
together-%: dev
	@output=$$($(MAKE) --no-print-directory $* 2>&1); code=$$?; echo "$$output"; exit $$code

quick-tests: dev
	$(PYTEST) -m "not slow and not browser" $(WORKERS)

# Browser tests on the same server are one worker's, so that it starts once. What a crowded machine made late has a
# second try, which the summary tells.
all-tests: dev
	$(PYTEST) --ignore=tests/browser $(WORKERS)
	$(PYTEST) tests/browser -n 2 --dist loadfile --reruns 1

# Some by name, or all: docs/benchmarks.md and its JSON.
bench: dev $(if $(BENCH),$(if $(filter others,$(BENCH)),$(OTHERS)),$(OTHERS))
	$(BIN)/carrot bench record $(BENCH)

# RouteLLM and LLMRouter, which `carrot bench others` times, on top of the first environment's packages. What they ask for
# but do not need to answer a prompt is left out: pip finds no versions of all of it that fit together.
$(OTHERS): $(VENV)/.dev
	$(BIN)/python -m venv --clear --without-pip $(VENV)/others
	@$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > \
		"$$($(VENV)/others/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/beneath.pth"
	$(PIP) --python $(VENV)/others/bin/python install -q litellm openai datasets peft torch-geometric
	$(PIP) --python $(VENV)/others/bin/python install -q --no-deps routellm==0.2.0 llmrouter-lib==0.4.0
	@touch $@

# Pictures that look as approved stay as they are. When a page is meant to look different: `make test`, look, approve.
approve: dev chromium
	CARROT_APPROVE=1 $(PYTEST) tests/browser/test_look.py

# What ships as it is meant to be, by which `carrot doctor` tells what is damaged.
sums: venv
	$(BIN)/python -c "from carrot_core.paths import *; shipped(SUMS).write_text(sums_of_shipped())"

# PyTorch without CUDA has a version of its own there, which the index does not know: it is asked about without it.
audit: $(VENV)/audit/.installed
	sed -E 's/(\+cpu)? --hash.*//; /^-/d' deploy/requirements.lock > $(VENV)/audit/versions.txt
	$(VENV)/audit/bin/pip-audit --strict --disable-pip --no-deps -r $(VENV)/audit/versions.txt

$(VENV)/audit/.installed: $(VENV)/.created
	$(BIN)/python -m venv --clear $(VENV)/audit
	$(PIP) --python $(VENV)/audit/bin/python install -q 'pip-audit>=2.9,<3'
	@touch $@

# LiteLLM holds other libraries back, so it has an environment of its own, on top of the first one's packages.
litellm-tests: $(VENV)/litellm/.installed
	OMP_NUM_THREADS=1 $(VENV)/litellm/bin/python -m pytest -q --durations=20 tests/gateways/test_litellm.py

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
