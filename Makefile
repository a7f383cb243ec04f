# Needs make and Python 3.11 or later. Everything else goes into $(VENV), which is made when it is missing
# and brought up to date when pyproject.toml has changed.

PYTHON ?= python3
VENV ?= .venv
# What `make run` hands to the server, `make bench` to pytest.
ARGS ?=
# How many processes `make unit` runs the tests in; auto: one for each core.
WORKERS ?= auto
# How long each fuzz target runs, by `make test` and by `make fuzz`.
SMOKE_SECONDS ?= 3
FUZZ_SECONDS ?= 300

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Values are frozen at run time under -X dev only, so the tests run there.
PYTEST := $(BIN)/python -X dev -m pytest
SPREAD := --numprocesses=$(WORKERS) --dist=worksteal -p no:benchmark
UNMEASURED := tests/interop tests/stateful
FUZZ_TARGETS := $(filter-out fuzz/_%,$(wildcard fuzz/*.py))
BENCHMARKS := $(wildcard benchmarks/bench_*.py)

.NOTPARALLEL:
.PHONY: run test lint format types unit bench-smoke fuzz-smoke docs bench fuzz mutants clean

run: $(VENV)/.run
	$(BIN)/smtpcore serve $(ARGS)

test: lint types unit bench-smoke fuzz-smoke

lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: $(VENV)/.dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: $(VENV)/.dev
	$(BIN)/mypy

# Of both packages the report shows what no test reaches; of the engine, that must be nothing. The tests that take whole
# sessions are not measured, which doubles the time: what they reach is reached by the tests of each module, too.
# The processes that run the tests hear of -X dev by the environment. Of what it does, one thing is not asked here and
# costs a seventh of the time: to have the allocator check what C code does with memory.
unit: export PYTHONDEVMODE = 1
unit: export PYTHONMALLOC = pymalloc
unit: $(VENV)/.dev
	$(PYTEST) $(SPREAD) $(UNMEASURED)
	$(PYTEST) $(SPREAD) $(addprefix --ignore=,$(UNMEASURED)) --cov --cov-report=term-missing:skip-covered
	$(BIN)/coverage report --include='src/smtpcore/*' --fail-under=100

# Each benchmark once, to see that it still runs.
bench-smoke: $(VENV)/.dev
	$(BIN)/python -m pytest --quiet --benchmark-disable $(BENCHMARKS)
	$(BIN)/python benchmarks/client_kept.py --smoke
	$(BIN)/python benchmarks/server_load.py --smoke
	$(BIN)/python benchmarks/spool_commit.py --smoke

fuzz-smoke: $(VENV)/.dev
	set -e; for target in $(FUZZ_TARGETS); do $(BIN)/python $$target --engine=each --seconds=$(SMOKE_SECONDS); done

docs: $(VENV)/.dev
	$(BIN)/python docs/generate.py

bench: $(VENV)/.dev
	$(BIN)/python -m pytest --benchmark-only $(BENCHMARKS) $(ARGS)
	$(BIN)/python benchmarks/client_kept.py
	$(BIN)/python benchmarks/server_load.py
	$(BIN)/python benchmarks/spool_commit.py

fuzz: $(VENV)/.dev
	set -e; for target in $(FUZZ_TARGETS); do $(BIN)/python $$target --seconds=$(FUZZ_SECONDS); done

# Whether a test fails when the engine is changed in one place (docs/proof.md); ARGS may name files.
mutants: $(VENV)/.dev
	PYTHONMALLOC=pymalloc $(BIN)/python -X dev tests/mutation/run.py $(ARGS)

clean:
	rm -rf $(VENV) build dist htmlcov mutants fuzz/.work .coverage .coverage.* \
	    .benchmarks .hypothesis .mypy_cache .pytest_cache .ruff_cache tests/interop/node_modules
	find src tests fuzz benchmarks -name __pycache__ -prune -exec rm -rf {} +

# The first pip that reads dependency groups is 25.1.
$(VENV)/.pip: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --upgrade 'pip>=25.1'
	touch $@

$(VENV)/.run: $(VENV)/.pip
	$(PIP) install --editable '.[relay]'
	touch $@

$(VENV)/.dev: $(VENV)/.pip
	$(PIP) install --editable '.[relay,testing]' --group dev --group fuzz
	touch $@
