# Every target sets up .venv by itself; nothing but Python >= 3.12 is needed before it.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
FRESH := $(VENV)/fresh
COMPILED := $(VENV)/compiled

.PHONY: demo test lint docs bench calibrate clean

# Compiles what it calls, which takes less time than all kernels.
demo: $(FRESH)
	$(BIN)/python -m bayesmtl.demo

# In two processes with one thread for linear algebra each, as two cores are what there is at least.
# Calibration, and samplers compared with each other, take longer than all tests: `make calibrate`.
test: $(COMPILED)
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -m "not calibration" -n 2 --dist loadfile

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Into site/, without network once .venv is there; a warning, as of a broken link, is an error.
docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

bench: $(COMPILED)
	$(BIN)/python -m benchmarks --out benchmarks/RESULTS.md

calibrate: $(COMPILED)
	$(BIN)/python -m pytest -m calibration

clean:
	rm -rf $(VENV) out site build dist .pytest_cache .mypy_cache .ruff_cache
	find bayesmtl tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp is written last, so that an interrupted installation starts again. Commands of
# pyenv exist for versions that are not installed, hence each candidate is run, not just found.
$(STAMP): pyproject.toml
	@if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
	    python=; \
	    for candidate in $$(type -aP python3.13 python3.12 python3); do \
	        if "$$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 12))' \
	            >/dev/null 2>&1; then python=$$candidate; break; fi; \
	    done; \
	    if [ -z "$$python" ]; then \
	        echo "No Python >= 3.12 with venv was found on the path: install one, e.g. \`pyenv install 3.13\`" >&2; \
	        exit 1; \
	    fi; \
	    echo "Setting up $(VENV) with $$("$$python" --version)"; \
	    "$$python" -m venv --clear $(VENV); \
	fi
	@rm -f $@
	@echo "Installing into $(VENV); the first time this takes minutes (PyTorch is large)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[gp,dev,docs]'
	@touch $@

# Numba notices a changed source, but not a changed function that the source calls: when any
# kernel has changed, all are compiled again.
$(FRESH): $(STAMP) $(shell grep -rlE --include='*.py' 'numba.njit|numerics.jit import' bayesmtl)
	@find bayesmtl -name '*.nb[ci]' -delete
	@touch $@

$(COMPILED): $(FRESH)
	@echo "Compiling the kernels"
	@$(BIN)/python -m bayesmtl.warmup
	@touch $@
