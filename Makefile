# Two commands do all their own set-up: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
OLDER := $(VENV)/transformers-4

.DEFAULT_GOAL := help
.PHONY: help demo test test-all test-transformers-4 lint

help:
	@echo 'make demo   export three small models, verify them, transcribe and classify recordings'
	@echo 'make test   run the tests, of the matrix a part that has every value of every axis'
	@echo 'make test-all   run the tests, the whole matrix included'
	@echo 'make lint   run the linters and the type checker'
	@echo 'make test-transformers-4   compare with transformers 4.57 too'

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
	@echo
	$(BIN)/w2vc-export digits-bert --head ctc --fp16 -o build/demo/digits-bert-ctc-fp16
	@echo
	$(BIN)/w2vc run build/demo/digits-bert-ctc-fp16 examples/digits/audio/*.flac
	@echo
	$(BIN)/w2vc-export --head sequence-classification -o build/demo/keywords
	@echo
	$(BIN)/w2vc run build/demo/keywords examples/digits/words/four.flac

test: $(READY)
	$(BIN)/python -m pytest -n auto --dist worksteal -m 'not full'

test-all: $(READY)
	$(BIN)/python -m pytest -n auto --dist worksteal

$(OLDER)/.ready: $(READY) tests/transformers-4.txt
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --upgrade --target $(OLDER) \
		-r tests/transformers-4.txt
	@touch $@

test-transformers-4: $(OLDER)/.ready
	PYTHONPATH=$(OLDER) $(BIN)/python -m pytest -n auto --dist worksteal -p no:cacheprovider \
		tests/test_model.py tests/test_checkpoint.py tests/test_languages.py tests/test_log_mel.py

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
