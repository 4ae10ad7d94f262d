# Two commands on a fresh machine: `make up` and `make test`. They need Python 3.11 or newer and a
# package index; everything else is fetched into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(VENV)/.uv/bin/uv
HOME_DIR ?= astralytiq-home
DEMO_DIR ?= astralytiq-demo
ARGS ?=
JOBS ?= auto

# Where it is set, each process compiles the 1,100 modules it loads anew: 1.5 s of 3, at each command.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install up demo down test chaos check format lint types contracts secrets audit bench bench-ml lock
.PHONY: ml-kmeans ml-decision-tree ml-random-forest

help: ## list these commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

install: $(VENV)/.installed ## make .venv with everything, development tools too

KERNELS := hatch_build.py $(foreach folder,src/ml_core src/astralytiq/engines/etl,$(wildcard \
	$(folder)/native/*.c $(folder)/native/*.h))

$(VENV)/.installed: requirements.lock pyproject.toml $(KERNELS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name one with PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@# Beside the packages, not among them: a sync would remove it.
	@test -x $(UV) || { command -v uv >/dev/null && mkdir -p $(dir $(UV)) && ln -s "$$(command -v uv)" $(UV); } || \
		{ $(BIN)/python -m ensurepip >/dev/null && $(BIN)/python -m pip install --quiet --target $(VENV)/.uv uv; }
	$(UV) pip sync --quiet --python $(BIN)/python --require-hashes requirements.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

up: install ## start everything on http://127.0.0.1:8000 (ARGS="--port 9000")
	@$(BIN)/astralytiq up --home $(HOME_DIR) $(ARGS)

demo: install ## the same, with example content and the three demo accounts
	@$(BIN)/astralytiq demo --home $(DEMO_DIR) $(ARGS)

down: ## stop the servers of these homes
	@for home in $(HOME_DIR) $(DEMO_DIR); do \
		if test -f $$home/server.pid; then kill "$$(cat $$home/server.pid)" && echo "stopped $$home"; \
		else echo "no server runs on $$home"; fi; done

test: install ## run all tests on SQLite and PostgreSQL, with coverage
	@rm -f .coverage .coverage.*
	$(BIN)/coverage run -m pytest --numprocesses $(JOBS) --dist worksteal $(ARGS)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report $(if $(ARGS),--fail-under=0)

chaos: install ## break runs in any way, 250 times over (ARGS="-k sqlite")
	CHAOS=1 $(BIN)/pytest tests/features/ingestion/test_chaos.py $(ARGS)

check: lint types contracts secrets ## what must hold before the tests: format, lint, types, contracts, secrets

format: install ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: install
	$(BIN)/mypy src tests bench examples docs

contracts: install
	$(BIN)/lint-imports

# Exit code 3 says that known lines moved: the copy takes the new places, the baseline stays.
secrets: install ## look for secrets in every tracked file (offline)
	@known=$$(mktemp) && trap 'rm -f "$$known"' EXIT && cp .secrets.baseline "$$known" && \
	{ git ls-files -z | xargs -0 sh -c \
		'$(BIN)/detect-secrets-hook --no-verify --baseline "$$0" "$$@" >&2 || test $$? -eq 3' "$$known" || \
	{ echo "Take the secret out and revoke it. If it is none: detect-secrets scan --baseline .secrets.baseline"; \
		exit 1; }; }

audit: install ## ask for known weaknesses of every locked package (needs pypi.org)
	@$(BIN)/pip-audit --requirement requirements.lock --require-hashes --disable-pip --strict \
		--progress-spinner off || { echo "Read above: a package is weak, or the advisories of" \
		"pypi.org could not be asked. What could not be asked is not audited."; exit 1; }

bench: install ## measure start, memory and help
	$(BIN)/python bench/start.py

bench-ml: install ## measure ml_core beside scikit-learn (ARGS="--only digits")
	$(BIN)/python bench/ml_speed.py $(ARGS)

ml-kmeans: install ## cluster a CSV file (ARGS="--data data.csv --clusters 3 --output results.csv")
	@$(BIN)/python -m ml_core.kmeans $(or $(ARGS),--data data/sample_data.csv --clusters 3)

ml-decision-tree: install ## train a tree on a CSV file (ARGS="--data data.csv --target class")
	@$(BIN)/python -m ml_core.decision_tree $(or $(ARGS),--data data/sample_data.csv --target class)

ml-random-forest: install ## train a forest on a CSV file (ARGS="--data data.csv --target class")
	@$(BIN)/python -m ml_core.random_forest $(or $(ARGS),--data data/sample_data.csv --target class)

lock: ## compile requirements.lock anew from pyproject.toml
	$(UV) pip compile --quiet --universal --python-version 3.11 --no-emit-index-url \
		--no-emit-find-links --generate-hashes --group dev pyproject.toml -o requirements.lock
