PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
INSTALL := $(BIN)/python deploy/tools/install-packages
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header setup.cfg --group build
PACKAGE := setup.cfg pyproject.toml vaultr/version.py

# Python compiles a module once, not in each of the many processes of the tests.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run test test-long check check-rollout ci bench tools release secrets lock clean wheel \
	lint format types layers security guards

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' Makefile

run: .venv/.server ## Run Vaultr locally (default: 127.0.0.1:3000)
	@$(BIN)/flask db upgrade && exec $(BIN)/gunicorn -c config/gunicorn.py wsgi:app

test: .venv/.tests ## Run the tests; PostgreSQL and Redis are included
	@$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

test-long: .venv/.tests ## Run all tests, including kills, races and big tables
	@$(BIN)/python -m pytest --long -o faulthandler_timeout=3600

check: lint format types layers security guards ## Run linters, type checks, import contracts and guards

lint: .venv/.checks
	@$(BIN)/python -m ruff check .

format: .venv/.checks
	@$(BIN)/python -m ruff format --check .

types: .venv/.checks
	@$(BIN)/python -m mypy

layers: .venv/.checks
	@$(BIN)/lint-imports

# Skipped: B404 and B603, which report every child process; B602 still forbids a shell.
security: .venv/.checks
	@$(BIN)/python -m bandit --quiet --recursive --skip B404,B603 vaultr

guards: .venv/.tests
	@$(BIN)/python -m pytest tests/guards

ci: test check check-rollout ## Run everything that must pass, including deployment files

bench: .venv/.tests ## Measure ratios to a baseline server
	@$(BIN)/python -m bench
	@$(BIN)/python -m bench.audit
	@$(BIN)/python -m bench.deployment
	@$(BIN)/python -m bench.backups

check-rollout: .venv/.tests tools ## Test image, compose, chart, edge and blue-green with the real programs
	@$(BIN)/python -m pytest --rollout tests/rollout

tools: .venv/.server ## Install the pinned tools for check-rollout into .tools/
	@deploy/tools/install

wheel: .venv/.tests ## Build a wheel of client and server in dist/
	@rm -rf build && mkdir -p dist
	@$(BIN)/python -m build --wheel --no-isolation --outdir dist . > dist/build.log 2>&1 || \
		{ cat dist/build.log; exit 1; }
	@rm -rf build
	@echo "Built $$(ls -t dist/*.whl | head -1). Install the client: pip install FILE"
	@echo "With the server: pip install 'FILE[server]'"

release: tools ## Build and sign image and chart, with SBOM: VERSION=1.2.3
	@PATH="$(CURDIR)/.tools/bin:$$PATH" deploy/release "$(VERSION)" $(if $(BASE),--base "$(BASE)")

secrets: .venv/.server ## Generate missing secrets of docker-compose.yml
	@$(BIN)/flask keys generate --dir secrets > /dev/null
	@$(BIN)/python deploy/compose/make-secrets secrets

lock: .venv/.checks ## Pin all packages again, with hashes
	@$(LOCK) --extra server --extra gateway --extra s3 --output-file requirements.txt
	@$(LOCK) --extra server --extra gateway --extra s3 --extra otel --constraint requirements.txt \
		--output-file requirements-otel.txt
	@$(LOCK) --extra server --extra gateway --extra s3 --extra otel --extra test \
		--constraint requirements.txt --constraint requirements-otel.txt \
		--output-file requirements-test.txt
	@$(LOCK) --extra server --extra gateway --extra s3 --extra otel --extra test --extra dev \
		--constraint requirements-test.txt --output-file requirements-dev.txt

clean: ## Remove build output, but not var/ and secrets/
	@rm -rf .venv build dist *.egg-info
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Vaultr needs Python 3.11 or newer; '$(PYTHON) --version' says:" \
			"$$($(PYTHON) --version 2>&1)." \
			"Name another: make PYTHON=python3.11 run" >&2; exit 1; }
	@$(PYTHON) -m venv .venv

.venv/.server: requirements.txt $(PACKAGE) | .venv/bin/pip
	@echo "Installing the packages of the server into .venv ..."
	@$(INSTALL) requirements.txt
	@rm -rf vaultr.egg-info # the files of an older version would list removed commands
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.tests: requirements-test.txt .venv/.server
	@echo "Installing the packages of the tests into .venv ..."
	@$(INSTALL) requirements-test.txt
	@touch $@

.venv/.checks: requirements-dev.txt .venv/.tests
	@echo "Installing the packages of the checks into .venv ..."
	@$(INSTALL) requirements-dev.txt
	@touch $@
