# `make mnist` and `make test` are enough on a fresh machine with Python 3.11 to 3.13 and pip.
# TRAINKIT_DATA, where it is set, names the folder with mnist.npz and boston_housing.npz.

VENV ?= .venv
BIN := $(VENV)/bin
# The first that runs: a shim may be found and yet have no Python behind it.
FIND_PYTHON := for p in python3.11 python3.12 python3.13 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && \
	echo $$p && break; done
PYTHON ?= $(shell $(FIND_PYTHON))
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --progress-bar off -q
# Two processes share the files of the tests, in the order of tests/conftest.py; the tests of a file share its
# compiled programs.
SIDE_BY_SIDE := -n 2 --dist loadfile --no-loadscope-reorder
# LOWEST=1 installs the lowest versions that pyproject.toml names, instead of the newest.
LOWEST ?=
ifneq ($(LOWEST),)
INSTALL += -c $(VENV)/lowest.txt
LOWEST_FILE := $(VENV)/lowest.txt
endif

.PHONY: help mnist boston test test-quick test-conformance test-faults test-lowest
.PHONY: lint format types check bench bench-quick docs scaling clean

help:
	@echo "make mnist         install, then train MNIST"
	@echo "make boston        install, then train Boston housing"
	@echo "make test          install, then run all tests"
	@echo "make test-quick    all but the tests that take more than a few seconds"
	@echo "make test-faults   full disks, lost power, kills, damaged files"
	@echo "make test-lowest   all tests with the lowest versions that pyproject.toml names"
	@echo "make check         lint, types and tests: what .ci/run runs"
	@echo "make format        put all files into the project's form"
	@echo "make docs          build the documentation: docs/_build/html/index.html"
	@echo "make bench-quick   a part of it, in ten minutes"
	@echo "make bench         install the peers, then measure throughput against them"

mnist boston: $(VENV)/.installed
	$(BIN)/python -m trainkit task=$@

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest $(SIDE_BY_SIDE)

test-quick: $(VENV)/.installed-dev
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) -m "not slow"

test-conformance: $(VENV)/.installed-dev
	TRAINKIT_CONFORMANCE_PART=1/1 $(BIN)/python -m pytest tests/conformance
	TRAINKIT_CONFORMANCE_PART=1/1 $(BIN)/python -m pytest -m in_parts

test-faults: $(VENV)/.installed-dev
	$(BIN)/python -m pytest tests/faults tests/laws/test_saving.py tests/laws/test_checkpoint_format.py \
		tests/laws/test_nonfinite.py tests/command/test_verify_resume.py

test-lowest:
	$(MAKE) VENV=.venv-lowest LOWEST=1 test

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.installed-dev
	$(BIN)/mypy

check: lint types test

docs: $(VENV)/.installed-dev
	$(BIN)/python -m sphinx -q -W -b html docs docs/_build/html

bench: $(VENV)/.installed-bench
	$(BIN)/python -m benchmarks.throughput

bench-quick: $(VENV)/.installed-bench
	mkdir -p build/quick
	$(BIN)/python -m benchmarks.throughput --rows mnist,boston_val --rounds 1 --output build/quick
	$(BIN)/python -m benchmarks.drop_in --rounds 1
	$(BIN)/python -m benchmarks.models --rows lstm,embeddings,gru --rounds 1 --output build/quick/models.json

scaling: $(VENV)/.installed
	$(BIN)/python -m benchmarks.scaling

# Each stamp is as old as the last installation, so only a changed pyproject.toml installs again.
$(VENV)/.installed: pyproject.toml $(LOWEST_FILE) | $(BIN)/python
	$(INSTALL) -e .
	@touch $@

$(VENV)/.installed-%: pyproject.toml $(LOWEST_FILE) | $(BIN)/python
	$(INSTALL) -e '.[$*]'
	@touch $@ $(VENV)/.installed

$(VENV)/lowest.txt: pyproject.toml tests/support/lowest.py | $(BIN)/python
	$(BIN)/python tests/support/lowest.py > $@

# Some systems ship Python without ensurepip: then the system's pip puts one into the new environment.
$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "No Python 3.11, 3.12 or 3.13 was found. Install one, or name it:" \
		"make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 2; }
	@echo "Creating $(VENV) with $(PYTHON); the first installation takes some minutes."
	$(PYTHON) -m venv $(VENV) || { \
		$(PYTHON) -m venv --clear --without-pip $(VENV) && \
		$(PYTHON) -m pip --python $(BIN)/python install -q pip; \
	} || { rm -rf $(VENV); exit 1; }

clean:
	rm -rf $(VENV) .venv-lowest build dist .pytest_cache .mypy_cache .ruff_cache
