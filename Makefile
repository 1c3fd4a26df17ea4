# Needs Python 3.10 or later with pip, and make. PYTHON=python3.12 chooses another Python, VENV another place.

PYTHON ?= python3
VENV ?= .venv

BIN := $(abspath $(VENV))/bin
INSTALLED := $(VENV)/.installed
SOURCES := pyproject.toml constraints.txt README.md LICENSE $(shell find arzip models corpora -name '*.py' -o -name '*.safetensors' -o -name '*.json')

.DEFAULT_GOAL := help
.PHONY: help demo test check lint format wheel clean

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "%-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(INSTALLED) ## Compress a real file, restore it, compare; sizes beside gzip and xz
	$(BIN)/python scripts/demo.py

test: check ## Build the wheel, install it, check the sources and run the tests against the wheel
	cd tests && $(BIN)/python -m pytest -q

check: lint
lint: $(INSTALLED) ## Style, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict arzip

format: $(INSTALLED) ## Put the sources into the one form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

wheel: $(INSTALLED) ## Build dist/arzip-*.tar.gz and dist/arzip-*.whl
	@ls -l dist

clean: ## Remove what the other targets made
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache
	find arzip tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("arzip needs Python 3.10 or later" if sys.version_info < (3, 10) else 0)'
	$(PYTHON) -m venv $(VENV)

# The wheel is made from the sdist, so that both are complete; the same version must be uninstalled to be replaced.
$(INSTALLED): $(SOURCES) | $(VENV)/bin/python
	rm -rf dist
	$(BIN)/python -m pip install --quiet --constraint constraints.txt build hatchling
	$(BIN)/python -m build --no-isolation > $(VENV)/build.log || { cat $(VENV)/build.log; exit 1; }
	$(BIN)/python -m pip uninstall --quiet --yes arzip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt "$$(ls $(CURDIR)/dist/*.whl)[test]"
	touch $@
