# Everything runs in .venv, which is created from PyPI alone with the newest installed Python.
PYTHON ?= $(shell tools/find_python 3.13 3.12 3.11)
VENV := .venv
BIN := $(VENV)/bin
# Where this is set, each run of the program would compile its modules again, for 0.2 s; an installed one is compiled once.
unexport PYTHONDONTWRITEBYTECODE
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check
DEMO := $(CURDIR)/build/demo
# Sphinx is kept out of .venv, so that the tests need not wait for its installation; documenteer needs Python 3.12.
DOCS_VENV := .venv-docs
DOCS_PYTHON ?= $(shell tools/find_python 3.13 3.12)

# make test-env: the file in tests/envs, the Python versions that it supports, and the tests to run.
ENV ?= newest
ENV_PYTHONS ?= $(shell sed -n 's/^# python: //p' tests/envs/$(ENV).txt)
ENV_VENV = .venv-$(ENV)-$(firstword $(ENV_PYTHONS))
TESTS ?= tests
# Without it, each property is tried with fewer examples.
THOROUGH := --hypothesis-profile thorough

.PHONY: demo demo-down test environment test-env browser screenshots screens bench docs faults kill race truth lint man schemas clean help

help:
	@echo "make demo     run the product tour in a playground"
	@echo "make demo-down   stop the playground of the tour"
	@echo "make test     run the tests"
	@echo "make test-env ENV=rubin-env-12   run the tests with the versions in tests/envs/rubin-env-12.txt"
	@echo "make environment ENV=rubin-env-12   only create that environment"
	@echo "make browser  install Chromium, which the tests of the page need, from Debian's packages"
	@echo "make screenshots   write the pictures of the page in docs/"
	@echo "make screens  write the snapshots and pictures of terminal screens"
	@echo "make lint     run ruff, mypy --strict and import-linter"
	@echo "make docs     build the documentation in build/docs, with warnings as errors"
	@echo "make faults   show the message for each fault of Rucio, the network and the database"
	@echo "make kill     kill an apply at 50 random moments on each database, and compare the end states"
	@echo "make bench    measure diff and apply as ratios to the same work by hand"
	@echo "make truth    break a repository in each known way, and show whether a diff notices it"
	@echo "make race     start two applies at the same time, 20 times"
	@echo "make man      write a man page for each command to build/man"
	@echo "make schemas  regenerate schemas/"
	@echo "make clean    remove everything that make created"

$(VENV)/.made: pyproject.toml tests/envs/newest.txt
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python $(PIP_INSTALL) -e '.[test,lint]' -c tests/envs/newest.txt
	touch $@

demo: $(VENV)/.made
	$(BIN)/python -m reconciler.playground.demo $(DEMO)

demo-down:
	test ! -x $(BIN)/reconcile || $(BIN)/reconcile playground down $(DEMO)

# More workers than cores, because tests wait half of their time. A class shares one playground, so it stays with one worker.
test: $(VENV)/.made browser
	$(BIN)/python -m pytest $(THOROUGH) -n 4 -m "not slow" tests
	$(BIN)/python -m pytest $(THOROUGH) -n 5 --dist loadscope --no-loadscope-reorder -m slow tests

browser:
	@tools/install_browser

screenshots: $(VENV)/.made browser
	RECONCILE_SCREENSHOTS=$(CURDIR)/docs/images $(BIN)/python -m pytest -q -k pictures tests/acceptance/test_page_of_a_playground.py

screens: $(VENV)/.made
	RECONCILE_SCREENS=1 $(BIN)/python -m pytest -q -k snapshot tests/acceptance/test_screens.py

$(ENV_VENV)/.made: pyproject.toml tests/envs/$(ENV).txt
	python=$$(tools/find_python $(ENV_PYTHONS)) && $$python -m venv --clear $(ENV_VENV)
	$(ENV_VENV)/bin/python $(PIP_INSTALL) -e '.[test]' -c tests/envs/$(ENV).txt
	touch $@

environment: $(ENV_VENV)/.made

test-env: environment
	$(ENV_VENV)/bin/python -m pytest $(THOROUGH) -n 4 $(TESTS)

lint: $(VENV)/.made
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(DOCS_VENV)/.made: pyproject.toml
	$(DOCS_PYTHON) -m venv --clear $(DOCS_VENV)
	$(DOCS_VENV)/bin/python $(PIP_INSTALL) -e '.[docs]'
	touch $@

# Its commands are run by the tests: tests/acceptance/test_docs.py.
docs: $(DOCS_VENV)/.made
	$(DOCS_VENV)/bin/python -m sphinx -W --keep-going -n -q -b html docs build/docs
	@echo "build/docs/index.html"

faults: $(VENV)/.made
	$(BIN)/python tests/faults.py

kill: $(VENV)/.made
	$(BIN)/python tests/kill.py 50
	$(BIN)/python tests/kill.py 50 --zips

# The first run builds its worlds below build/scale, which takes about ten minutes.
bench: $(VENV)/.made
	mkdir -p build/scale
	$(BIN)/python tests/scale/bench.py build/scale

truth: $(VENV)/.made
	$(BIN)/python tests/truth.py

race: $(VENV)/.made
	$(BIN)/python tests/race.py 20

man: $(VENV)/.made
	$(BIN)/python tools/write_man_pages.py build/man

schemas: $(VENV)/.made
	$(BIN)/python tools/write_schemas.py

clean:
	test ! -d $(DEMO) || ! test -x $(BIN)/reconcile || $(BIN)/reconcile playground down $(DEMO)
	rm -rf $(VENV) .venv-* build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
