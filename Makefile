# make demo                 the main job on the bundled picture; ends by itself
# make demo SOURCE=…        on any picture, folder, video or webcam index, until Ctrl-C
# make demo BACKEND=torch   on another backend; MODEL=front: with another network
# make test, lint, clean    as usual; all of them set up .venv if needed

PYTHON ?= python3
VENV := .venv
SETUP := $(PYTHON) tools/ros_wheels/setup_venv.py $(VENV)

.PHONY: setup demo test lint clean

setup:
	@$(SETUP)

# Backends other than the default one come with what the tests need.
demo:
	@$(SETUP) $(if $(filter-out onnxruntime,$(BACKEND)),--extras test)
	@$(VENV)/bin/python tools/demo.py --source '$(SOURCE)' \
		$(if $(BACKEND),--detector-parameter backend:=$(BACKEND)) \
		$(if $(MODEL),--detector-parameter model:=$(MODEL))

lint:
	@$(SETUP) --extras test
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/mypy

test: lint
	@$(VENV)/bin/python -m pytest

clean:
	rm -rf $(VENV) build install log demo_output .pytest_cache .mypy_cache .ruff_cache .hypothesis
