# Every target sets up what it needs by itself; a second run does only what is left.
.PHONY: demo test test-ray test-vllm check bench cluster cluster-stop setup
SHELL := /bin/bash
PYTHON ?= python3.11
PY := .venv/bin/python
READY := .venv/.ready
export HF_HUB_OFFLINE ?= 1
export RAY_AUTH_MODE ?= disabled
export RAY_USAGE_STATS_ENABLED ?= 0

setup: $(READY)

$(READY): pyproject.toml
	test -x $(PY) || $(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $(READY)

demo: $(READY)
	$(PY) -m loupe.demo

test: $(READY)
	$(PY) -m pytest -m 'not vllm'

check: $(READY)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

bench: $(READY)
	for script in bench/*.py; do $(PY) "$$script" || exit 1; done

cluster: $(READY)
	$(PY) infra/local_cluster.py start

cluster-stop: $(READY)
	$(PY) infra/local_cluster.py stop
