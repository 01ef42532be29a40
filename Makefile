# Two commands: `make demo` and `make test`. Each sets up what it needs in .venv, once: what needs more has all that is
# needed for less.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Python compiles what is imported when it is; most of what comes along never is.
INSTALL := $(BIN)/pip install --quiet --no-compile --disable-pip-version-check
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
	$(INSTALL) .
	@touch $@

$(VENV)/tested-with: $(BIN)/python setup.cfg pyproject.toml $(SOURCES)
	$(INSTALL) '.[test,strongswan]'
	@touch $(VENV)/installed $@

$(VENV)/benched-with: $(BIN)/python setup.cfg pyproject.toml $(SOURCES)
	$(INSTALL) '.[test,bench]'
	@touch $(VENV)/installed $@

$(VENV)/linted-with: $(BIN)/python setup.cfg pyproject.toml $(SOURCES)
	$(INSTALL) '.[test,strongswan,lint]'
	@touch $(VENV)/installed $(VENV)/tested-with $@
