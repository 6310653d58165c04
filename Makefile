# The verbs that people, hooks and continuous integration use. The environment, .venv, is made when one first needs it.
#
#   make run PORT=8700        another port for the sandbox
#   make test ARGS='-k spool' options for pytest
#   make PYTHON=python3.13    another Python than python3

PYTHON ?= python3
VENV := .venv
# Modules, not the scripts beside them: those hold the path at which the environment was made.
RUN := $(VENV)/bin/python -m
# One more than there are cores: a quarter of the tests' time is waiting, for a disk, a deadline, a child's end.
WORKERS ?= $(shell echo $$(($$(nproc) + 1)))
UV ?= $(firstword $(wildcard $(VENV)/bin/uv) uv)

# Written last, so that a set-up which was cut off does not count; `venv --clear` takes them away again.
LOCKED := $(VENV)/.locked
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help run test check torture fmt bench bench-check docs build deb lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

run: $(READY) ## Run the agent beside a small Acusight on port 8600; ONCE=1 makes a bounded tour of it
	@$(RUN) agent demo $(if $(filter-out 0,$(ONCE)),--once) $(if $(PORT),--port $(PORT))

test: $(READY) ## Run the tests
	@$(RUN) pytest -n $(WORKERS) $(ARGS)

check: $(READY) ## Check style, format and types, and run the tests
	@$(RUN) ruff check .
	@$(RUN) ruff format --check .
	@$(RUN) mypy
	@$(RUN) pytest -n $(WORKERS) $(ARGS)

torture: $(READY) ## Everything at once for minutes: kills, outages, full disks; ARGS='--minutes 10 --seed 7'
	@$(VENV)/bin/python tests/faults/torture.py $(ARGS)

fmt: $(READY) ## Format the code, and mend what can be mended
	@$(RUN) ruff check --fix-only --quiet .
	@$(RUN) ruff format .

bench: $(READY) ## Measure the agent beside curl, rclone and others; ARGS=--quick, --full or --save
	@$(VENV)/bin/python benchmarks/table.py $(ARGS)

bench-check: $(READY) ## Measure anew, and tell which ratios are worse than those in docs/performance.json
	@$(VENV)/bin/python benchmarks/table.py --check $(ARGS)

docs: $(READY) ## Write the pages in docs/reference that are made from the code
	@$(VENV)/bin/python docs/generate.py

build: $(READY) ## Build wheel and source archive into dist/
	@$(RUN) hatchling build --clean

deb: $(READY) ## Build the Debian package into dist/; needs dpkg-deb
	@command -v dpkg-deb >/dev/null || { echo "'make deb' needs dpkg-deb: build it on Debian or Ubuntu" >&2; exit 1; }
	@$(VENV)/bin/python packaging/deb/build.py

lock: ## Choose the versions anew where pyproject.toml asks for it; needs uv
	@command -v $(UV) >/dev/null || { echo "'make lock' needs uv: pip install uv" >&2; exit 1; }
	@printf '%s\n' '-e .[camera,page,sandbox]' | $(UV) pip compile --quiet --universal --python-version 3.11 \
	  --generate-hashes --no-annotate --group dev --no-emit-package acusight-agent \
	  --custom-compile-command 'make lock' --output-file requirements.lock - >/dev/null

clean: ## Remove the environment and all else that can be made again; ./captures stays
	@rm -rf $(VENV) build dist .demo .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(LOCKED): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "Python 3.11 or newer is needed and '$(PYTHON)' is not: install it, or name it: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "'$(PYTHON)' cannot make environments. On Debian and Ubuntu: apt install python3-venv; else install a whole Python" >&2; exit 1; }
	@echo "Making the environment in $(VENV): once, a minute or so ..."
	@$(PYTHON) -m venv --clear $(VENV)
	@# The lock is whole, so nothing beyond it is looked up. OpenCV and NumPy take an hour to compile on a small board:
	@# where there is no wheel, fail at once.
	@$(RUN) pip install --quiet --disable-pip-version-check --only-binary numpy,opencv-python-headless \
	  --no-deps --require-hashes --requirement requirements.lock
	@touch $@

$(READY): $(LOCKED) pyproject.toml
	@$(RUN) pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
