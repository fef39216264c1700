# Two commands do all their own set-up: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt
# What the demo needs, and what else the tests do: each is installed once.
RUNS := $(VENV)/.runs
READY := $(VENV)/.ready
NATIVE := $(VENV)/.native
OLDER := $(VENV)/transformers-4

.DEFAULT_GOAL := help
.PHONY: help demo test test-all test-transformers-4 lint native native-checks

help:
	@echo 'make demo   export three small models, verify them, transcribe and classify recordings'
	@echo 'make test   run the tests, of the matrix a part that has every value of every axis'
	@echo 'make test-all   run the tests, the whole matrix and what takes long included'
	@echo 'make lint   run the linters and the type checker'
	@echo 'make native   build the native runtime, run its tests, and the examples against what is installed'
	@echo 'make native-checks   run it under sanitizers and valgrind, fuzz it, build its wheel, cross-build it for aarch64'
	@echo 'make test-transformers-4   compare with transformers 4.57 too'

$(RUNS): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("w2vc needs Python 3.10 or newer, this is " + sys.version.split()[0]) \
		if sys.version_info < (3, 10) else None'
	@test -x $(BIN)/python || { echo 'creating $(VENV)'; $(PYTHON) -m venv $(VENV); }
	@echo 'installing PyTorch, ONNX and ONNX Runtime into $(VENV), once: about 0.3 GB to fetch and 0.9 GB on disk'
	@echo 'where pip takes PyTorch for CPUs, several GB where it takes PyTorch for CUDA, as from PyPI on Linux'
	@$(PIP) -e '.[export,cpu]'
	@touch $@

$(READY): $(RUNS)
	@echo 'installing what the tests need into $(VENV), once: TensorRT-RTX, OpenVINO, transformers and linters,'
	@echo 'about 0.4 GB more to fetch and 0.7 GB on disk'
	@$(PIP) -e '.[dev]'
	@touch $@

# The decoders in C++: beam search and alignment. The build brings CMake and nanobind by itself.
$(NATIVE): $(RUNS) runtime/cpp/python/pyproject.toml
	@if command -v c++ > /dev/null; then \
		echo 'building the decoders in C++ into $(VENV), once'; $(PIP) runtime/cpp/python; \
	else echo 'beam search and alignment are left out: there is no C++ compiler here'; fi
	@touch $@

demo: $(RUNS) $(NATIVE)
	@rm -rf build/demo && mkdir -p build/demo
	$(BIN)/w2vc-export --fp16 -o build/demo/digits-ctc-fp16
	@echo
	$(BIN)/w2vc run build/demo/digits-ctc-fp16 examples/digits/audio/*.flac
	@echo
	$(BIN)/w2vc-export digits-bert --fp16 -o build/demo/digits-bert-ctc-fp16
	@echo
	$(BIN)/w2vc run build/demo/digits-bert-ctc-fp16 examples/digits/audio/*.flac
	@echo
	$(BIN)/w2vc-export keywords -o build/demo/keywords
	@echo
	$(BIN)/w2vc run build/demo/keywords examples/digits/words/four.flac

test: $(READY) $(NATIVE)
	$(BIN)/python -m pytest -n auto --dist worksteal -m 'not full'

test-all: test
	$(BIN)/python -m pytest -n auto --dist worksteal -m full

$(OLDER)/.ready: $(READY) tests/transformers-4.txt
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --upgrade --target $(OLDER) \
		-r tests/transformers-4.txt
	@touch $@

test-transformers-4: $(OLDER)/.ready
	PYTHONPATH=$(OLDER) $(BIN)/python -m pytest -n auto --dist worksteal -p no:cacheprovider \
		tests/model tests/runtime/features

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

native: $(READY) $(NATIVE)
	$(BIN)/python -m pytest tests/native

native-checks: $(READY)
	PYTHON=$(abspath $(BIN))/python runtime/cpp/scripts/check
