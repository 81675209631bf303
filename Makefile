# make demo                 the main job on the bundled picture; ends by itself
# make demo SOURCE=…        on any picture, folder, video or webcam index, until Ctrl-C
# make demo BACKEND=torch   on another backend; MODEL=front: with another network
# make quick                the tests that need neither ROS nor PyTorch, in about half a minute
# make lint                 ruff and mypy
# make test                 lint, and all tests but the long ones
# make test-long            the long tests alone
# make test-all             test and test-long
# make coverage             the same, and a table of the lines that the tests run
# make soak                 ten minutes of attacks on real nodes, and what they take of the machine
# make parameters           writes the tables of parameters in README.md, docs/ and config/ anew
# make docs                 the documentation as HTML, in build/docs/index.html
# make clean                removes everything that the others have made
#
# `quick` makes the environment .venv-quick if needed, `docs` makes .venv-docs, the others make .venv.

PYTHON ?= python3
VENV := .venv
SETUP := $(PYTHON) tools/ros_wheels/setup_venv.py $(VENV)
QUICK_VENV := .venv-quick
QUICK_REQUIREMENTS := test/requirements_no_deps.txt
DOCS_VENV := .venv-docs
PYTEST := $(VENV)/bin/python $(if $(COVERAGE),-m coverage run) -m pytest
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check

.PHONY: setup demo quick lint test test-long test-all coverage soak parameters docs clean

setup:
	@$(SETUP)

# Backends other than the default one come with what the tests need.
demo:
	@$(SETUP) $(if $(filter-out onnxruntime,$(BACKEND)),--extras test)
	@$(VENV)/bin/python tools/demo.py --source '$(SOURCE)' \
		$(if $(BACKEND),--detector-parameter backend:=$(BACKEND)) \
		$(if $(MODEL),--detector-parameter model:=$(MODEL))

# A ROS that is sourced stays out of this environment: its plugins for pytest need ROS themselves.
quick: export PYTHONPATH =
quick: $(QUICK_VENV)/ready
	@$(QUICK_VENV)/bin/python -m pytest -n auto --dist loadfile -m 'not ros and not torch and not long'

# This file is made last, and so an interrupted setup starts anew.
$(QUICK_VENV)/ready: setup.py package.xml $(QUICK_REQUIREMENTS)
	@echo 'setting up $(QUICK_VENV) (about half a minute)'
	@$(PYTHON) -m venv --clear $(QUICK_VENV)
	@$(QUICK_VENV)/bin/python $(PIP_INSTALL) -e '.[quick]'
	@$(QUICK_VENV)/bin/python $(PIP_INSTALL) --no-deps -r $(QUICK_REQUIREMENTS)
	@touch $@

lint:
	@$(SETUP) --extras test
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy

test: lint
	@$(PYTEST) -m 'not long'

test-long:
	@$(SETUP) --extras test
	@$(PYTEST) -m long

test-all: test test-long

coverage:
	@$(SETUP) --extras test
	@$(VENV)/bin/coverage erase
	@$(MAKE) --no-print-directory test-all COVERAGE=1
	@$(VENV)/bin/coverage combine --quiet
	@$(VENV)/bin/coverage report

soak: export ROS_AUTOMATIC_DISCOVERY_RANGE = LOCALHOST
soak:
	@$(SETUP) --extras test
	@PYTHONPATH=test $(VENV)/bin/python test/support/soak.py $(SOAK)

parameters:
	@$(SETUP)
	@$(VENV)/bin/python tools/parameter_tables.py

docs: export PYTHONPATH =
docs: $(DOCS_VENV)/ready
	@$(DOCS_VENV)/bin/python -m sphinx --fail-on-warning --keep-going --fresh-env --quiet \
		--conf-dir docs --doctree-dir build/doctrees . build/docs
	@echo 'the documentation is ready: build/docs/index.html'

$(DOCS_VENV)/ready: setup.py package.xml
	@echo 'setting up $(DOCS_VENV) (about half a minute)'
	@$(PYTHON) -m venv --clear $(DOCS_VENV)
	@$(DOCS_VENV)/bin/python $(PIP_INSTALL) -e '.[docs]'
	@touch $@

clean:
	rm -rf $(VENV) $(QUICK_VENV) $(DOCS_VENV) build dist install log demo_output
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage*
