# Two commands do all their own set-up: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help demo test lint

help:
	@echo 'make demo   export the digits recogniser to fp16 ONNX, verify it, transcribe recordings'
	@echo 'make test   run the tests'
	@echo 'make lint   run the linters and the type checker'

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("w2vc needs Python 3.10 or newer, this is " + sys.version.split()[0]) \
		if sys.version_info < (3, 10) else None'
	@test -x $(BIN)/python || { echo 'creating $(VENV)'; $(PYTHON) -m venv $(VENV); }
	@echo 'installing packages into $(VENV); this is done once'
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(READY)
	@rm -rf build/demo && mkdir -p build/demo
	$(BIN)/w2vc-export --head ctc --fp16 -o build/demo/digits-ctc-fp16
	@echo
	$(BIN)/w2vc run build/demo/digits-ctc-fp16 examples/digits/audio/*.flac

test: $(READY)
	$(BIN)/python -m pytest

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
