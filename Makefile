# jevons: `make help` lists what there is. Needs make and Python 3.11 or newer; everything else goes into .venv.

ARGS ?=

# The first Python that is new enough and can make a virtual environment; `make PYTHON=/path/to/python3 …` names another.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 \
	&& { echo $$python; break; }; done)

VENV := .venv
VENV_REAL := .venv-real
VENV_EXAMPLES := .venv-examples
VENV_LITELLM := .venv-litellm
BIN := $(VENV)/bin
PIP_INSTALL := -m pip install --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help demo test check test-real test-examples test-litellm docs build clean lock sbom audit

help:  ## list these targets
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/\1 \2/p' $(MAKEFILE_LIST) \
	| while read -r target text; do printf '  make %-10s %s\n' "$$target" "$$text"; done

demo: $(VENV)/.installed  ## two simulated model servers, the proxy and 40 prompts (ARGS=--once: end after the table)
	@$(BIN)/jevons demo $(ARGS)

test: $(VENV)/.installed-dev  ## the tests, without a real model server and without a GPU
	@# one seed, so that both processes collect sets in the same order
	PYTHONHASHSEED=0 $(BIN)/python -m pytest -n 2 --dist loadfile -m 'not realserver and not gpu' $(ARGS)

check: $(VENV)/.installed-dev  ## lint, format, types, arrows, packaging, house rules
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/test_packaging.py tests/test_house.py tests/test_docs.py

test-real: $(VENV_REAL)/.installed  ## the tests against `transformers serve` on a tiny random model (installs torch)
	$(VENV_REAL)/bin/python -m pytest tests/realserver tests/proxy/bench/gpu/test_decoder.py tests/proxy/bench/gpu/test_torch_server.py tests/proxy/bench/gpu/test_random_model.py -m realserver $(ARGS)

test-examples: $(VENV)/.installed-dev $(VENV_EXAMPLES)/.installed  ## the examples of docs/examples with the packages that they are for
	$(BIN)/python -m pytest tests/e2e/test_examples.py $(ARGS)

test-litellm: $(VENV_LITELLM)/.installed  ## the tests with a real litellm before a local provider (installs litellm)
	$(VENV_LITELLM)/bin/python -m pytest tests/e2e/test_litellm.py tests/proxy/upstreams/test_litellm_leg.py tests/proxy/upstreams/test_litellm_library.py $(ARGS)

docs: $(VENV)/.installed-dev  ## write what is generated anew: docs/metrics.md, the dashboards, the config schema
	$(BIN)/python -m jevons.exporters.metrics_page > docs/metrics.md
	$(BIN)/python -m jevons.exporters.grafana.build exporters/grafana > /dev/null
	sed -n '/^policies:/,/^default:/{//!p}' config.yaml > proxy/bench/shipped_policies.yaml
	$(BIN)/python -c 'from jevons.proxy.config import schema_text; print(schema_text(), end="")' > proxy/config.schema.json

lock: $(VENV)/.installed-dev  ## pin every dependency of a running jevons, with hashes: requirements.lock
	$(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --no-header --no-annotate --python-version 3.11 \
	  --extra client --extra otel --extra parquet --extra postgres pyproject.toml --output-file requirements.lock

sbom: $(VENV)/.installed-dev  ## what is in it, as CycloneDX: dist/sbom.json
	mkdir -p dist
	$(BIN)/cyclonedx-py requirements requirements.lock --pyproject pyproject.toml --output-file dist/sbom.json

audit: $(VENV)/.installed-dev  ## known vulnerabilities of what is pinned (asks a public database)
	$(BIN)/pip-audit --require-hashes --disable-pip --requirement requirements.lock

build: $(VENV)/.installed-dev  ## the wheel, in dist/
	rm -rf build
	$(BIN)/python -m build --wheel

clean:  ## remove the virtual environments and what building left
	rm -rf $(VENV) $(VENV_REAL) $(VENV_EXAMPLES) $(VENV_LITELLM) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# Each stamp is renewed when pyproject.toml changes: new dependencies, new packages.
$(VENV)/.installed: pyproject.toml | $(BIN)/python
	@echo 'installing jevons into $(VENV) …'
	@$(BIN)/python $(PIP_INSTALL) --editable '.[client]'
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	@echo 'installing jevons and its tools into $(VENV) …'
	@$(BIN)/python $(PIP_INSTALL) --editable '.[dev]'
	@touch $@ $(VENV)/.installed

$(VENV_EXAMPLES)/.installed: pyproject.toml | $(VENV_EXAMPLES)/bin/python
	@echo 'installing jevons and the packages of the examples into $(VENV_EXAMPLES) …'
	@$(VENV_EXAMPLES)/bin/python $(PIP_INSTALL) --editable '.[examples]'
	@touch $@

$(VENV_LITELLM)/.installed: pyproject.toml | $(VENV_LITELLM)/bin/python
	@echo 'installing jevons and litellm into $(VENV_LITELLM) …'
	@$(VENV_LITELLM)/bin/python $(PIP_INSTALL) --editable '.[litellm]' 'pytest>=8.4' 'pytest-asyncio>=1.1' 'pytest-timeout>=2.4'
	@touch $@

$(VENV_REAL)/.installed: pyproject.toml | $(VENV_REAL)/bin/python
	@echo 'installing jevons, torch and transformers into $(VENV_REAL) …'
	@$(VENV_REAL)/bin/python $(PIP_INSTALL) --editable '.[realserver]'
	@touch $@

%/bin/python:
	@if [ -z '$(PYTHON)' ]; then \
	  echo 'jevons needs Python 3.11 or newer with venv and pip: none of python3, python3.13, python3.12, python3.11 is that.' >&2; \
	  echo 'On Debian or Ubuntu: apt-get install python3-venv. Or name one: make PYTHON=/path/to/python3 …' >&2; exit 1; fi
	@$(PYTHON) -c 'import sys; sys.exit("%s is Python %d.%d: jevons needs 3.11 or newer" % (sys.executable, *sys.version_info[:2]) if sys.version_info < (3, 11) else 0)'
	@$(PYTHON) -m venv $* || { rm -rf $*; exit 1; }
