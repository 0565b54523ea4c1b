# Everything runs in .venv, which is made from PyPI alone.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
OLDEST := .venv-oldest
DEMO := $(CURDIR)/build/demo

.PHONY: demo test test-oldest bench faults kill race lint schemas clean help

help:
	@echo "make demo     tour of the product in an embedded world"
	@echo "make test     run the tests"
	@echo "make test-oldest  run them with the oldest middleware that is supported"
	@echo "make lint     ruff, mypy --strict, import-linter"
	@echo "make faults   show what an operator is told of each fault of Rucio and the network"
	@echo "make kill     kill an apply at 50 random moments on each database, and compare the end"
	@echo "make bench    what a look and an apply cost, as ratios to doing the same by hand"
	@echo "make race     start two applies together, 20 times"
	@echo "make schemas  write schemas/ anew"
	@echo "make clean    remove what make made"

# The Rucio server's metadata asks for urllib3 below 2, and lsst-resources' WebDAV client needs 2. The server runs with 2 (the
# tests show it), so urllib3 is put right after everything else is resolved.
$(VENV)/.made: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[test,lint]'
	-$(BIN)/pip install --quiet --disable-pip-version-check 'urllib3>=2,<3' 2>/dev/null
	$(BIN)/python -c 'import urllib3; assert int(urllib3.__version__.split(".")[0]) >= 2'
	touch $@

demo: $(VENV)/.made
	$(BIN)/python -m reconciler.playground.demo $(DEMO)

# More workers than cores: half of what the tests do is waiting. Worlds belong to a class, so a class stays with one worker.
test: $(VENV)/.made
	$(BIN)/python -m pytest -n 4 -m "not slow" tests
	$(BIN)/python -m pytest -n 5 --dist loadscope --no-loadscope-reorder -m slow tests

# The middleware of RTN-103, w_2025_20, with the click that it needs.
$(OLDEST)/.made: pyproject.toml tests/oldest.txt
	$(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/pip install --quiet --disable-pip-version-check -e '.[test]' -c tests/oldest.txt
	touch $@

test-oldest: $(OLDEST)/.made
	$(OLDEST)/bin/python -m pytest -n 4 -m "not slow" -k "not postgres" tests/test_kinds_of_definitions.py \
		tests/test_kinds_of_data.py tests/test_program.py tests/test_trust.py

lint: $(VENV)/.made
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

faults: $(VENV)/.made
	$(BIN)/python tests/faults.py

kill: $(VENV)/.made
	$(BIN)/python tests/kill.py 50

# Worlds are built below build/scale the first time, which takes about ten minutes.
bench: $(VENV)/.made
	mkdir -p build/scale
	$(BIN)/python tests/scale/bench.py build/scale

race: $(VENV)/.made
	$(BIN)/python tests/race.py 20

schemas: $(VENV)/.made
	$(BIN)/python -m reconciler.schemas

clean:
	test ! -d $(DEMO) || ! test -x $(BIN)/reconcile || $(BIN)/reconcile playground down $(DEMO)
	rm -rf $(VENV) $(OLDEST) build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
