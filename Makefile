# make demo                 the main job on the bundled picture; ends by itself
# make demo SOURCE=…        on any picture, folder, video or webcam index, until Ctrl-C
# make demo BACKEND=torch   on another backend; MODEL=front: with another network
# make quick                the tests that need neither ROS nor PyTorch, in about half a minute
# make lint                 ruff and mypy
# make test                 lint, and all tests but the long ones
# make test-long            the long tests alone
# make test-all             test and test-long
# make clean                removes everything that the others have made
#
# `quick` makes the environment .venv-quick if needed, the others make .venv.

PYTHON ?= python3
VENV := .venv
SETUP := $(PYTHON) tools/ros_wheels/setup_venv.py $(VENV)
QUICK_VENV := .venv-quick
QUICK_REQUIREMENTS := test/requirements_no_deps.txt

.PHONY: setup demo quick lint test test-long test-all clean

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
	@$(QUICK_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -e '.[quick]'
	@$(QUICK_VENV)/bin/python -m pip install --quiet --disable-pip-version-check \
		--no-deps -r $(QUICK_REQUIREMENTS)
	@touch $@

lint:
	@$(SETUP) --extras test
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy

test: lint
	@$(VENV)/bin/python -m pytest -m 'not long'

test-long:
	@$(SETUP) --extras test
	@$(VENV)/bin/python -m pytest -m long

test-all: test test-long

clean:
	rm -rf $(VENV) $(QUICK_VENV) build install log demo_output
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
