# Two commands: `make demo` and `make test`. Each sets up what it needs in .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := $(shell find seckex twisted_plugins -name '*.py' -o -name '*.toml' -path 'seckex/*')

.PHONY: demo test lint types coverage bench soak clean

demo: $(VENV)/installed
	$(BIN)/seckex demo $(DEMO)

test: $(VENV)/tested-with
	$(BIN)/python -m tests $(TESTS)

lint: $(VENV)/linted-with
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/linted-with
	$(BIN)/mypy

coverage: $(VENV)/linted-with
	$(BIN)/python -m tests --coverage

bench: $(VENV)/benched-with
	$(BIN)/python -m benchmarks $(BENCH)

soak: $(VENV)/tested-with
	$(BIN)/python -m tests.soak $(SOAK)

clean:
	rm -rf $(VENV) build *.egg-info _trial_temp* .coverage*

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(BIN)/python setup.cfg pyproject.toml $(SOURCES)
	$(BIN)/pip install --quiet --disable-pip-version-check .
	@touch $@

$(VENV)/tested-with: $(VENV)/installed
	$(BIN)/pip install --quiet --disable-pip-version-check '.[test,strongswan]'
	@touch $@

$(VENV)/benched-with: $(VENV)/tested-with
	$(BIN)/pip install --quiet --disable-pip-version-check '.[test,bench]'
	@touch $@

$(VENV)/linted-with: $(VENV)/tested-with
	$(BIN)/pip install --quiet --disable-pip-version-check '.[test,strongswan,lint]'
	@touch $@
