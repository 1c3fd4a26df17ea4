# Needs Python 3.10 or later with pip, and make. PYTHON=python3.12 chooses another Python, VENV another place.

PYTHON ?= python3
VENV ?= .venv
# Processors that the wheel brings kernels for: native, all, or names (scripts/hatch_build.py).
KERNELS ?= native

BIN := $(abspath $(VENV))/bin
INSTALLED := $(VENV)/.installed
SOURCES := pyproject.toml constraints.txt README.md LICENSE docs/share/arzip.1 docs/share/arzip.magic $(shell find arzip models corpora -name '*.py' -o -name '*.safetensors*' -o -name '*.json' -o -name '*.ptx.gz')

.DEFAULT_GOAL := help
.PHONY: help demo test check lint format wheel clean bench bench-readme bench-micro torture fuzz ptx man docs picture slot-pack slot-rehearsal slot-land

# What the README's table is measured on: prose and a log, 1.1 MB; every level of arzip takes some minutes.
BENCH_FILES := canterbury/alice29.txt calgary/book1 loghub/HPC_2k.log
BENCH_CODECS := gzip:9,bzip2:9,xz:9e,zstd:3+22,brotli:11,lz4:0,ppmd:h16,kanzi:9,zpaq:5,arzip:1-9

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(INSTALLED) ## Compress a real file, restore it, compare; sizes beside gzip and xz
	$(BIN)/python scripts/demo.py

test: check ## Build the wheel, install it, check the sources and run the tests against the wheel
	cd tests && $(BIN)/python -m pytest -q -n auto --dist loadfile --no-loadscope-reorder --durations=25

check: lint
lint: $(INSTALLED) ## Style, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict --explicit-package-bases arzip scripts/slot scripts/hatch_build.py

format: $(INSTALLED) ## Put the sources into the one form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

wheel: $(INSTALLED) ## Build dist/arzip-*.tar.gz and dist/arzip-*.whl
	@ls -l dist

bench: $(INSTALLED) ## Measure arzip and others on real files (10 minutes): benchmarks/DATE-CPU.json, .md, .png
	@name=benchmarks/$$($(BIN)/python -c 'from arzip.bench.machine import slug; print(slug())') && \
	$(BIN)/arzip bench $(BENCH_FILES) --codecs $(BENCH_CODECS) --export json,md,png -o $$name && ls -l $$name*

bench-readme: $(INSTALLED) ## Write README.md's benchmark from the newest result in benchmarks/
	$(BIN)/python scripts/bench_readme.py

bench-micro: $(INSTALLED) ## Time the parts; kept in .benchmarks/, compared by: .venv/bin/pytest-benchmark compare
	$(BIN)/python -m pytest -q benchmarks/micro.py --benchmark-autosave --benchmark-columns=min,median,stddev,rounds

torture: $(INSTALLED) ## Damage, kills, full disks, closed pipes (15 minutes): the table of docs/TRUST.md
	cd tests && $(BIN)/python torture/torture.py

fuzz: $(INSTALLED) ## Fuzz each target for a minute, guided by coverage (pip install atheris)
	@for target in container salvage recompress model; do $(BIN)/python tests/fuzz/fuzz.py $$target 60 || exit 1; done

ptx: $(INSTALLED) ## Make the kernels for CUDA anew (arzip/engine/ptx), after a change of a kernel
	$(BIN)/python -m arzip.engine.build_ptx

man: $(INSTALLED) ## Make the manual page anew (docs/share/arzip.1), after a change of a command's texts
	$(BIN)/python scripts/man_page.py

docs: $(INSTALLED) ## Write the reference of the Python API, from the docstrings: site/arzip.html
	$(BIN)/python scripts/api_reference.py site

picture: $(INSTALLED) ## Draw the command at work: docs/command.svg
	$(BIN)/python scripts/picture.py

slot-pack: $(INSTALLED) ## Pack what a GPU slot needs (docs/SLOT.md): MIX=folder of the training mix -> slot/
	$(BIN)/python -m scripts.slot.pack $(MIX) -o slot

slot-rehearsal: $(INSTALLED) ## Pack, run and land on this CPU at toy size (some minutes)
	$(BIN)/python -m scripts.slot.rehearse

slot-land: $(INSTALLED) ## Models of what a slot brought, compared: EXPORT=its results MIX=.. CORPORA=.. -> landed/
	$(BIN)/python -m scripts.slot.land $(EXPORT) --mix $(MIX) --eval $(CORPORA) -o landed

clean: ## Remove what the other targets made
	rm -rf $(VENV) dist build site .mypy_cache .ruff_cache .pytest_cache
	find arzip tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("arzip needs Python 3.10 or later" if sys.version_info < (3, 10) else 0)'
	$(PYTHON) -m venv $(VENV)

# The wheel is made from the sdist, so that both are complete; the same version must be uninstalled to be replaced.
# pip fetches and unpacks what the tests need while the kernels are compiled.
$(INSTALLED): $(SOURCES) | $(VENV)/bin/python
	rm -rf dist
	$(BIN)/python -m pip install --quiet --constraint constraints.txt build hatchling constriction numba numpy safetensors
	$(BIN)/python scripts/requirements.py all test > $(VENV)/requirements.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt -r $(VENV)/requirements.txt & packages=$$!; \
	ARZIP_KERNEL_TARGETS=$(KERNELS) ARZIP_KERNEL_CACHE=$(CURDIR)/build/kernels $(BIN)/python -m build --no-isolation > $(VENV)/build.log || { cat $(VENV)/build.log; kill $$packages; exit 1; }; \
	wait $$packages
	$(BIN)/python -m pip uninstall --quiet --yes arzip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt "$$(ls $(CURDIR)/dist/*.whl)[all,test]"
	touch $@
