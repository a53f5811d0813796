# Few words: install, phi1, tiny, test, lint, fix, docs.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PLUGINS := $(sort $(wildcard plugins/textbookgen-*))
EDITABLE := $(foreach plugin,$(PLUGINS),-e $(plugin))

.PHONY: install phi1 tiny test lint fix docs clean

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml constraints.txt $(wildcard plugins/*/pyproject.toml)
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "textbookgen needs Python 3.11 or newer; say which with PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --progress-bar off --constraint constraints.txt --group dev -e . $(EDITABLE)
	touch $@

phi1: install
	$(BIN)/textbookgen recipe run recipes/phi1.toml

tiny: install
	$(BIN)/textbookgen recipe run recipes/tiny.toml

test: install
	$(BIN)/python -m pytest -n 2

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(MAKE) docs

docs: install
	$(BIN)/cog -r $(filter-out docs/api-reference.md,$(wildcard docs/*.md))
	$(BIN)/python docs/reference.py

clean:
	rm -rf $(VENV) work
