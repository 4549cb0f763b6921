"""The batch job, whole, in this process: each question once, whatever dies, fails or is spent on the way."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import polars
import pyarrow.parquet as pq
import pytest

from jobs import answer_batch
from jobs.answer_batch import Arguments
from loupe import storage
from loupe.answering.run import RunError
from loupe.answering.store import AnswerRows
from loupe.config import Config, ConfigError
from loupe.lease import Lease, LeaseHeld, LeaseLost
from loupe.library import LibraryError
from schemas.results import ANSWERS
from schemas.traces import TRACES, Trace
from tests.agent_scene import small_library
from tests.answer_scene import answer_all, config, config_tree, ids, in_process, report, rows, write_questions
from tests.faulty_endpoint import FaultyEndpoint, play
from tests.openai_server import FAULTS, Body
from tests.s3 import S3


class Killed(BaseException):
    """Stands for kill -9: nothing that expects errors catches it."""


def killed_before(number: int) -> Any:
    """A before_step that lets `number` steps pass and then ends the run."""
    passed: list[str] = []

    def before_step(step: str) -> None:
        if len(passed) == number:
            raise Killed(step)
        passed.append(step)

    return before_step


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("library")
    small_library(folder)
    return str(folder / "database")


@pytest.fixture
def output(tmp_path: Path) -> str:
    return str(tmp_path / "results")


def small(database: str, output: str, count: int = 6, url: str = "", **answer: Any) -> Config:
    """The job over a few questions, one file for every three or so of them."""
    questions = write_questions(Path(output).parent / "questions.parquet", count)
    return config(database, questions, output, url=url, **{"job": {"commit_questions": 2}, **answer})


def with_model(config: Config, **settings: Any) -> Config:
    """The config with other settings of its model."""
    tree = config.model_dump()
    tree["models"]["model"] |= settings
    return Config.model_validate(tree)


SOCRATIC = {"policy": "socratic"}
"""One call a question."""


# What is left behind


def test_every_question_ends_and_its_rows_are_read_by_everybody(
    database: str, output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with FaultyEndpoint() as endpoint:
        assert answer_all(small(database, output, url=endpoint.url)) == 0
    assert "answered: 6" in capsys.readouterr().out.splitlines()
    for table, schema in (("answers", ANSWERS), ("traces", TRACES)):
        files = f"{output}/{table}/*.parquet"
        assert polars.read_parquet(files)["question_id"].n_unique() == 6
        assert duckdb.sql(f"select count(distinct question_id) from '{files}'").fetchall() == [(6,)]
        assert pq.read_table(f"{output}/{table}").schema.equals(schema)
    spent = f"select unnest(spent, recursive := true) from '{output}/answers/*.parquet'"
    calls = dict(duckdb.sql(f"select role, sum(calls) from ({spent}) group by all").fetchall())
    assert calls == {"reasoner": 24, "vlm": 6, "critic": 12, "critic_vlm": 6}
    told = report(output)
    assert (told["questions"]["finished_now"], told["statuses"]) == (6, {"answered": 6})
    assert told["spent"]["calls"] == sum(row["calls"] for row in rows(output)) == 48


def test_traces_are_transcripts_of_inspect_scout(database: str, output: str) -> None:
    with FaultyEndpoint() as endpoint:
        answer_all(small(database, output, url=endpoint.url))
    scout = ("transcript_id", "source_type", "task_id", "agent", "model", "total_tokens", "message_count", "messages")
    found = duckdb.sql(f"select {', '.join(scout)} from '{output}/traces/*.parquet' order by task_id").fetchall()
    assert len({row[0] for row in found}) == 6
    first = dict(zip(scout, found[0], strict=True))
    assert (first["source_type"], first["task_id"], first["agent"]) == ("loupe", "q000", "retrieval_critic")
    messages = json.loads(first["messages"])
    assert first["message_count"] == len(messages)
    assert {message["role"] for message in messages} == {"system", "user", "assistant"}
    assert all(isinstance(message["content"], str) for message in messages)
    assert json.loads(messages[-1]["content"])["action"]["tool"] == "answer"


def test_a_trace_comes_back_from_its_file(database: str, output: str) -> None:
    answer_all(small(database, output))
    trace = Trace.from_row(rows(output, "traces")[0])
    assert (trace.question_id, trace.status) == ("q000", "answered")
    assert trace.turns[-1].tool == "answer"


# Exactly once


def test_a_finished_run_asks_nobody_again(database: str, output: str) -> None:
    with FaultyEndpoint() as endpoint:
        settings = small(database, output, url=endpoint.url)
        answer_all(settings)
        asked, before = len(endpoint.bodies), report(output)
        assert answer_all(settings) == 0
        assert len(endpoint.bodies) == asked
    after = report(output)
    assert after["questions"] == {"all": 6, "finished_before": 6, "finished_now": 0}
    assert (after["spent"], after["spent_now"]) == (before["spent"], {})


def test_killed_before_any_step_and_run_again_each_question_is_there_once(database: str, tmp_path: Path) -> None:
    steps = 0
    while True:
        output = str(tmp_path / str(steps) / "results")
        (tmp_path / str(steps)).mkdir()
        settings = small(database, output, **SOCRATIC)
        try:
            answer_all(settings, killed_before(steps))
            break  # it died before each of its steps
        except Killed:
            there = ids(output)
        assert len(there) == len(set(there))
        assert set(there) <= set(ids(output, "traces"))
        assert answer_all(settings) == 0
        assert ids(output) == ids(output, "traces") == [f"q{number:03}" for number in range(6)]
        assert report(output)["questions"]["finished_before"] == len(there)
        steps += 1
    assert steps >= 4  # of two batches and more


def test_a_kill_while_tidying_up_is_as_good(database: str, output: str) -> None:
    settings = small(database, output, **SOCRATIC)
    with pytest.raises(Killed, match="answers: write"):
        answer_all(settings, killed_before(1))  # traces without their answers
    with pytest.raises(Killed, match="orphans: delete"):
        answer_all(settings, killed_before(0))
    assert answer_all(settings) == 0
    assert ids(output) == ids(output, "traces")


def test_new_questions_join_a_run(database: str, output: str) -> None:
    answer_all(small(database, output, 3, **SOCRATIC))
    (before,) = {row["run"] for row in rows(output)}
    answer_all(small(database, output, 5, **SOCRATIC))
    assert ids(output) == [f"q{number:03}" for number in range(5)]
    assert {row["run"] for row in rows(output)} == {before}


def test_answers_of_another_config_are_not_mixed_in(database: str, output: str) -> None:
    answer_all(small(database, output))
    with pytest.raises(RunError, match=r"another config \(answer.max_actions: 3, now 4\): give another --output"):
        answer_all(small(database, output, max_actions=4))
    with pytest.raises(RunError, match=r'answer.policy: "retrieval_critic", now "passive"'):
        answer_all(small(database, output, policy="passive"))
    assert answer_all(small(database, output, job_budget={"cost": 100.0}, job={"questions_in_flight": 3})) == 0


def test_answers_over_another_database_are_not_mixed_in(database: str, output: str, tmp_path: Path) -> None:
    answer_all(small(database, output))
    small_library(tmp_path / "other")
    with pytest.raises(RunError, match="answers over the database"):
        answer_all(small(str(tmp_path / "other" / "database"), output))


@pytest.mark.parametrize("changed", [{"question": "Who is there?"}, {"before_ms": 5000}, {"video": "b.mp4"}])
def test_a_question_that_was_changed_is_not_taken_for_answered(
    database: str, output: str, changed: dict[str, Any]
) -> None:
    settings = small(database, output, 2)
    answer_all(settings)
    write_questions(Path(settings.answer.job.questions), 2, **changed)
    with pytest.raises(RunError, match="question q000 was answered before in other words, or with other options"):
        answer_all(settings)


def test_answers_that_wait_to_be_written_are_not_lost_with_the_cluster(database: str, output: str) -> None:
    def broken(*asked: Any) -> Iterator[AnswerRows]:
        yield next(iter(in_process(*asked)))
        raise ConnectionError("the cluster is gone")

    with pytest.raises(ConnectionError):
        answer_batch.run(small(database, output, 2), answers_of=broken)
    assert ids(output)


def test_a_second_job_is_refused_while_the_first_lives(database: str, output: str) -> None:
    with Lease.acquire(output), pytest.raises(LeaseHeld, match="is being written by"):
        answer_all(small(database, output))
    assert not (Path(output) / "run.json").exists()


# What goes wrong with one question


def test_a_film_that_is_nowhere_costs_its_question_alone(
    database: str, output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = small(database, output, 2)
    known = write_questions(Path(output).parent / "lost.parquet", 3)
    lines = [
        {"question_id": "lost", "question": "What is there?", "video": "gone.mp4"},
        {"question_id": "found", "question": "What is there?", "video": "a.mp4"},
    ]
    file = Path(known).with_suffix(".jsonl")
    file.write_text("\n".join(map(json.dumps, lines)))
    job = settings.answer.job.model_copy(update={"questions": str(file)})
    settings = settings.model_copy(update={"answer": settings.answer.model_copy(update={"job": job})})
    assert answer_all(settings) == 1
    found, lost = rows(output)
    assert (found["status"], lost["status"]) == ("answered", "failed")
    assert "gone.mp4" in lost["error"]
    said = capsys.readouterr().out
    assert "failed: 1\n" in said
    assert "failed: 1 x " in said


def test_a_job_that_ends_in_the_middle_says_so_and_has_begun(
    database: str, output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def lost(step: str) -> None:
        if step == "answers: write":
            raise LeaseLost("another job has the lease")

    settings = small(database, output, 4)
    assert answer_all(settings, lost) == 1
    assert capsys.readouterr().err == "answer_batch: another job has the lease\n"
    assert answer_all(settings) == 0
    assert len(rows(output)) == 4


def test_a_reply_that_no_file_can_hold_costs_its_question_alone(database: str, output: str) -> None:
    def plays_badly_once(body: Body) -> str:
        broken = "What is there? 3" in json.dumps(body)
        return "\ud800" if broken else play(body)

    with FaultyEndpoint() as endpoint:
        endpoint.answer = plays_badly_once
        assert answer_all(small(database, output, url=endpoint.url, **SOCRATIC)) == 1
    assert [row["status"] for row in rows(output)] == [*["answered"] * 3, "failed", *["answered"] * 2]
    assert rows(output)[3]["error"].startswith("UnicodeEncodeError: ")


@pytest.mark.parametrize("kind", FAULTS)
def test_an_endpoint_that_fails_one_call_in_five_costs_no_question(kind: str, database: str, output: str) -> None:
    with FaultyEndpoint(rate=0.2, kinds=(kind,)) as endpoint:
        settings = small(database, output, 12, url=endpoint.url, critic={"mode": "off"})
        assert answer_all(with_model(settings, timeout_s=0.5 if kind == "hang" else 10)) == 0
        assert endpoint.faults[kind] >= 5
    assert report(output)["statuses"] == {"answered": 12}
    assert report(output)["spent"]["retries"] >= endpoint.faults[kind]


def test_an_endpoint_that_is_gone_fails_every_question_and_says_so(
    database: str, output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with FaultyEndpoint(rate=1.0) as endpoint:
        settings = small(database, output, 4, url=endpoint.url)
        assert answer_all(with_model(settings, max_retries=1)) == 1
    assert [row["status"] for row in rows(output)] == ["failed"] * 4
    said = capsys.readouterr().out.splitlines()
    assert "failed: 4" in said
    assert "failed: 4 x UnavailableError" in said


def test_where_no_model_answers_the_job_ends_and_leaves_the_rest(
    database: str, output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with FaultyEndpoint(rate=1.0) as endpoint:
        job = {"questions_in_flight": 2, "commit_questions": 100}
        settings = small(database, output, 24, url=endpoint.url, job=job)
        assert answer_all(with_model(settings, max_retries=0)) == 1
        told, failed = capsys.readouterr().err, len(rows(output))
        assert f"answer_batch: {failed} questions in a row had no answer from a model (UnavailableError: " in told
        assert 4 <= failed < 24
        endpoint.rate = 0.0
        assert answer_all(settings, retry_failed=True) == 0
    assert [row["status"] for row in rows(output)] == ["answered"] * 24


def test_what_failed_is_asked_again_on_demand_whenever_that_is_killed(database: str, tmp_path: Path) -> None:
    def half_gone(body: Body) -> str:
        return "\ud800" if any(f"? {number}" in json.dumps(body) for number in (1, 4, 5)) else play(body)

    failed = str(tmp_path / "failed" / "results")
    (tmp_path / "failed").mkdir()
    steps, killed = 0, True
    with FaultyEndpoint() as endpoint:
        endpoint.answer = half_gone
        settings = small(database, failed, url=endpoint.url, **SOCRATIC)
        assert answer_all(settings) == answer_all(settings) == 1
        before = {row["question_id"]: row["date"] for row in rows(failed) if row["status"] == "answered"}
        endpoint.answer = play
        while killed:
            output = str(tmp_path / str(steps) / "results")
            shutil.copytree(failed, output)
            settings = small(database, output, url=endpoint.url, **SOCRATIC)
            try:
                assert answer_all(settings, killed_before(steps), retry_failed=True) == 0
                killed = False
            except Killed:
                steps += 1
                there = ids(output)
                assert len(there) == len(set(there))
                assert set(before) <= set(there) & set(ids(output, "traces"))
                assert answer_all(settings, retry_failed=True) == 0
            assert ids(output) == ids(output, "traces") == [f"q{number:03}" for number in range(6)]
            assert report(output)["statuses"] == {"answered": 6}
            assert before.items() <= {row["question_id"]: row["date"] for row in rows(output)}.items()
    assert steps >= 4


# Budgets


def test_a_question_at_its_limit_answers_with_what_it_has(database: str, output: str) -> None:
    with FaultyEndpoint() as endpoint:
        answer_all(small(database, output, 2, url=endpoint.url, budget={"tokens": 28}))
    assert [(row["status"], row["limit"], row["turns"]) for row in rows(output)] == [("answered", "tokens", 3)] * 2
    assert report(output)["limits"] == {"tokens": 2}


def test_a_job_at_its_limit_ends_its_questions_early(database: str, output: str) -> None:
    job = {"questions_in_flight": 1}
    with FaultyEndpoint() as endpoint:
        settings = small(database, output, 6, url=endpoint.url, job_budget={"tokens": 150}, job=job)
        assert answer_all(settings) == 0
    limits = [row["limit"] for row in rows(output)]
    assert limits == [None, "job", "job", "job", "job", "job"]
    assert [row["turns"] for row in rows(output)][2:] == [1] * 4


# Before anything is begun


def test_the_plan_bounds_what_is_spent_and_calls_nobody(
    database: str, output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with FaultyEndpoint() as endpoint:
        settings = small(database, output, 6, url=endpoint.url)
        assert answer_batch.print_plan(settings) == 0
        plan = json.loads(capsys.readouterr().out)
        assert (endpoint.bodies, Path(output).exists()) == ([], False)
        assert (plan["questions_left"], plan["questions_finished"]) == (6, 0)
        answer_all(settings)
        spent = report(output)["spent"]
        assert plan["prompt_tokens_at_most"] >= spent["prompt_tokens"]
        assert plan["completion_tokens_at_most"] >= spent["completion_tokens"]
        write_questions(Path(settings.answer.job.questions), 18)
        capsys.readouterr()
        answer_batch.print_plan(settings)
    later = json.loads(capsys.readouterr().out)
    assert (later["questions_left"], later["questions_finished"]) == (12, 6)
    assert later["prompt_tokens_expected"] == 2 * spent["prompt_tokens"]


def test_what_cannot_work_stops_before_the_first_call(database: str, output: str, tmp_path: Path) -> None:
    questions = write_questions(tmp_path / "q.parquet", 1)
    tree = config_tree(database, questions, output)
    no_critic = {role: name for role, name in tree["roles"].items() if role != "critic"}
    vllm = tree["models"] | {"model": {"engine": "vllm", "source": "some/model"}}
    longer = tree["models"] | {"words": {"engine": "hashing", "dimensions": 9}}
    for wrong, error, sentence in (
        ({"answer": tree["answer"] | {"policy": "guess"}}, ConfigError, "no policy is called 'guess'"),
        ({"roles": no_critic}, ConfigError, "the role 'critic'"),
        ({"models": vllm}, ConfigError, "runs on vLLM: serve the config's models"),
        ({"models": longer}, LibraryError, "embeddings of 8 numbers"),
    ):
        with pytest.raises(error, match=sentence):
            answer_all(Config.model_validate(tree | wrong))
    with pytest.raises(storage.NotFound):
        answer_all(config(database, str(tmp_path / "none.parquet"), output))
    assert not Path(output).exists()


def test_models_behind_a_front_are_asked_there_at_the_price_of_the_config(database: str, output: str) -> None:
    settings = small(database, output, 1)
    with FaultyEndpoint() as endpoint:
        job = settings.answer.job.model_copy(update={"front": endpoint.url})
        answer = settings.answer.model_copy(update={"job": job})
        assert answer_all(settings.model_copy(update={"answer": answer})) == 0
        assert {body["model"] for body in endpoint.bodies} == {"model"}
    (row,) = rows(output)
    assert row["cost"] == pytest.approx((row["prompt_tokens"] + 2 * row["completion_tokens"]) / 1e6)


def test_the_command_line_wins_over_the_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    own = config("data/database", "data/q.parquet", "data/results")
    arguments = Arguments(
        output="here", database="s3://bucket/database", policy="passive", front="http://127.0.0.1:1/v1"
    )
    told = answer_batch.with_arguments(own, arguments)
    assert told.answer.job.output == str(tmp_path / "here")
    assert told.index.database == "s3://bucket/database"
    assert told.answer.job.questions.endswith("/data/q.parquet")
    assert (told.answer.policy, told.answer.job.front) == ("passive", "http://127.0.0.1:1/v1")


# On S3


def test_the_output_may_be_on_s3_and_its_server_may_fail(database: str, tmp_path: Path, faulty_s3: S3) -> None:
    faulty_s3.proxy.kinds = ("slow_down", "reset", "lost")
    output = f"{faulty_s3.root}/results"
    questions = write_questions(tmp_path / "q.parquet", 6)
    settings = config(database, questions, output, **SOCRATIC, job={"commit_questions": 2})
    with pytest.raises(Killed):
        answer_all(settings, killed_before(1))
    assert answer_all(settings) == 0
    faulty_s3.proxy.rate = 0.0
    for table in ("answers", "traces"):
        files = [entry.uri for entry in storage.list_files(f"{output}/{table}", (".parquet",))]
        found = [row for file in files for row in pq.read_table(storage.open_seekable(file))["question_id"].to_pylist()]
        assert sorted(found) == [f"q{number:03}" for number in range(6)]
