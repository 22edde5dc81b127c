# make demo   environment, then the bundled sample analyzed and shown
# make test   environment, then linters, types and tests
# The rest: make help

PYTHON ?= python3
VENV := .venv
ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif
STAMP := $(VENV)/.installed
# A real X display where there is one; a virtual one where xvfb is at hand; else Qt's own offscreen drawing.
DISPLAYED := $(if $(DISPLAY)$(WAYLAND_DISPLAY),,$(if $(shell command -v xvfb-run),xvfb-run -a -s "-screen 0 1600x1000x24",env QT_QPA_PLATFORM=offscreen))

.PHONY: help env system demo test test-all lint bench sample screenshots constraints clean

help:
	@echo "make demo         analyze the bundled sample and show it"
	@echo "make test         linters, types, quick tests (under a virtual display)"
	@echo "make test-all     slow and GPU tests too"
	@echo "make bench        the figures of the docs, on the development data"
	@echo "make sample       render sample_data anew"
	@echo "make screenshots  draw the pictures of README and docs anew"
	@echo "make constraints  resolve dependencies anew"

env: system $(STAMP)

system:
	@sh .ci/system-packages

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Leukoscope needs Python 3.11 or newer: make PYTHON=python3.12 ...") if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/python -m uv pip install --quiet --compile-bytecode --python $(BIN)/python -c constraints.txt -e '.[all]' --group dev
	@touch $@

demo: env
	$(BIN)/leukoscope demo

test: env lint
	$(DISPLAYED) $(BIN)/python -m pytest -m "not slow and not gpu"

test-all: env lint
	$(DISPLAYED) $(BIN)/python -m pytest

lint: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: env
	$(BIN)/python benchmarks/segmentation.py
	$(BIN)/python benchmarks/classification.py
	$(BIN)/python benchmarks/fields.py
	$(BIN)/python benchmarks/prevalence.py
	$(BIN)/python benchmarks/retrain.py
	$(BIN)/python benchmarks/kills.py 1000
	$(DISPLAYED) $(BIN)/python benchmarks/gallery.py
	$(DISPLAYED) $(BIN)/python benchmarks/relabel.py

sample: env
	$(BIN)/python sample_data/make_sample.py

screenshots: env
	$(BIN)/leukoscope demo --no-show
	$(DISPLAYED) $(BIN)/python -m leukoscope.ui.screenshot --case leukoscope-demo/sample_smear.leuko --out docs/images/viewer.png
	$(DISPLAYED) $(BIN)/python -m leukoscope.ui.screenshot --case leukoscope-demo/sample_smear.leuko --dock cells --out docs/images/gallery.png
	$(DISPLAYED) $(BIN)/python -m leukoscope.ui.screenshot --case leukoscope-demo/sample_smear.leuko --dock outlines --field 60 --out docs/images/outlines.png
	$(DISPLAYED) $(BIN)/python -m leukoscope.ui.screenshot_review --case leukoscope-demo/sample_smear.leuko --out docs/images
	$(DISPLAYED) $(BIN)/python -m leukoscope.ui.screenshot_retrain --case leukoscope-demo/sample_smear.leuko --out docs/images
	$(BIN)/python benchmarks/raster.py

constraints:
	$(BIN)/python -m uv pip compile --quiet --no-header --no-annotate --no-emit-index-url --all-extras --group dev \
		--upgrade pyproject.toml -o constraints.txt

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
