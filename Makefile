# `make` lists the targets. Works with GNU make 3.81 and later, without a terminal.

AIRFLOW ?= 3.3.2
PYTHON ?= python3
# On two cores the tests are bound by what they compute: four workers take as long as six.
WORKERS ?= 6
TESTS ?= tests

# The newest Airflow gets everything; an older one only the tests of the package itself, in a venv of its own.
NEWEST_AIRFLOW := 3.3.2
ifeq ($(AIRFLOW),$(NEWEST_AIRFLOW))
VENV := .venv
PROGRAMS := ruby rspec sshd chromium prometheus
PYTEST_SELECTION :=
else
VENV := .venv-$(AIRFLOW)
PROGRAMS := sshd prometheus
PYTEST_SELECTION := --ignore=tests/demo --ignore=tests/cookbooks --ignore=tests/compose
endif
REQUIREMENTS := requirements/airflow-$(AIRFLOW).txt
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DOCS_VENV := .venv-docs

# Without their compiled forms, each of some hundred processes that tests start compiles all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo check test packages lint docs bench package compatibility clean distclean lock

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' Makefile

demo: $(INSTALLED)  ## upgrade a nine-node environment with Airflow and Consul (ONCE=1: exit at the end)
	@$(BIN)/python -m demo $(if $(ONCE),--once)

check: $(INSTALLED) lint  ## lint, and test what needs no server, with fewer examples: about a minute
	$(BIN)/python -m pytest -q -n logical --maxprocesses 4 -m "not server" --hypothesis-profile=quick $(TESTS)

test: $(INSTALLED) packages $(if $(PYTEST_SELECTION),,lint)  ## lint and test everything (AIRFLOW=3.2.2: the tests on that version)
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup $(PYTEST_SELECTION) $(TESTS)

packages: $(INSTALLED)  ## get what tests need beside Consul (Ruby, RSpec, sshd, Chromium, Prometheus), where it is missing
	@$(BIN)/python -m demo.packages $(PROGRAMS)

lint: $(INSTALLED)  ## check style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(DOCS_VENV)/.installed  ## build the documentation's site, without the network (DOCS_ONLINE=1: with Airflow's and Python's inventories)
	@rm -rf build/docs docs/reference/api
	@$(DOCS_VENV)/bin/python -m sphinx -b html -E -c docs -d build/docs-doctrees -W --keep-going -q . build/docs
	@echo "build/docs/index.html: $$(find build/docs/docs build/docs/cookbooks build/docs/[A-Z]*.html -name '*.html' | wc -l) pages"

$(DOCS_VENV)/.installed: requirements/docs.txt | $(DOCS_VENV)/bin/pip
	@echo "Installing $< into $(DOCS_VENV)"
	@$(DOCS_VENV)/bin/python -m pip install --quiet --no-deps --require-hashes -r $<
	@touch $@

bench: $(INSTALLED)  ## measure: prints a table and writes JSON
	@$(BIN)/python -m benchmarks

package: .venv-package/.installed  ## build what would be published, and check it
	rm -rf dist
	.venv-package/bin/python -m build --no-isolation
	.venv-package/bin/twine check --strict dist/*
	.venv-package/bin/check-wheel-contents dist/*.whl
	.venv-package/bin/pyroma --min=10 --skip-tests=AuthorEmail dist/*.tar.gz  # the project has no address

.venv-package/.installed: requirements/package.txt | .venv-package/bin/pip
	@.venv-package/bin/python -m pip install --quiet --no-deps --require-hashes -r requirements/package.txt
	@touch $@

compatibility: $(INSTALLED) .cache/lock-venv/bin/uv  ## install the wheel under official constraints and at its lower bounds, and run a Dag
	@$(BIN)/python -m compatibility .cache/lock-venv/bin/uv

# Build isolation is off because an isolated build would fetch hatchling without a hash.
# --no-deps because the file names every package, and pip before 23.3 resolves extras past the pins.
$(INSTALLED): $(REQUIREMENTS) pyproject.toml | $(BIN)/pip
	@echo "Installing $(REQUIREMENTS) into $(VENV) (a minute or two the first time)"
	@$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r $(REQUIREMENTS)
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@$(BIN)/python -m pip check
	@touch $@

%/bin/pip:
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) not found: install Python 3.11 or later" >&2; exit 1; }
	@$(PYTHON) -m demo.create_venv $*

requirements/airflow-%.txt:
	@echo "No pinned requirements for Airflow $*; there are: $(wildcard requirements/airflow-*.txt)" >&2; exit 1

clean:  ## remove what runs leave behind; keeps the venvs and the Consul binary
	rm -rf .demo dist build .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find . \( -name '.venv*' -o -name .git -o -name .cache \) -prune -o -type d -name __pycache__ -prune -exec rm -rf {} +

distclean: clean  ## remove the venvs and the Consul binary too
	rm -rf .venv .venv-* .cache

# The pins. Versions already in the files stay unless UPGRADE=1. The older Airflow gets what was current when
# it was released, as its own constraints would: it breaks with some later packages (pydantic 2.14), and anyio leaked sockets then.
COMPILE := .cache/lock-venv/bin/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
	--custom-compile-command "make lock" $(if $(UPGRADE),--upgrade)
LOCK := $(COMPILE) --all-extras --group dev

lock: .cache/lock-venv/bin/uv  ## compile the pinned requirements again (UPGRADE=1: newest versions)
	echo apache-airflow==3.3.2 | $(LOCK) pyproject.toml - -o requirements/airflow-3.3.2.txt
	echo apache-airflow==3.2.2 | $(LOCK) --exclude-newer 2026-06-01 --exclude-newer-package py-consul=2026-11-01 \
		--exclude-newer-package anyio=2026-11-01 --exclude-newer-package apache-airflow-providers-ssh=2026-11-01 \
		pyproject.toml - -o requirements/airflow-3.2.2.txt
	$(COMPILE) --group pyproject.toml:docs -o requirements/docs.txt
	$(COMPILE) --group package -o requirements/package.txt

.cache/lock-venv/bin/uv: | .cache/lock-venv/bin/pip
	.cache/lock-venv/bin/python -m pip install --quiet uv
