.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin

INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt

.venv/runs: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(INSTALL) -e '.[torch]'
	touch $@

.venv/installed: .venv/runs
	$(INSTALL) -e '.[torch,zoo,dev,docs]'
	touch $@

help:  ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

setup: .venv/installed  ## create .venv and install everything

demo: .venv/runs  ## train, prune, quantize, compile, verify and measure a ResNet-20 on real digits
	$(BIN)/openwork demo --out out/demo

system:  ## install what pip cannot: gcc, with which kernels are sanitized
	command -v gcc >/dev/null || { apt-get update && apt-get install -y gcc libc6-dev; }

test: system setup  ## run every test
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto

check: setup  ## format, lint, types, floors
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup  ## ResNet-50 against onnxruntime (and OpenVINO when installed), interleaved
	$(BIN)/python -m bench.cpu

docs: setup  ## build the documentation into site/
	$(BIN)/mkdocs build --strict

.PHONY: help setup system demo test check bench docs
