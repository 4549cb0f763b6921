"""The batch job on Ray: the same answers as in one process, whoever dies on the way."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from loupe.config import ROOT
from tests.agent_scene import small_library
from tests.answer_scene import answer_all, config, config_tree, ids, report, rows, write_questions
from tests.faulty_endpoint import FaultyEndpoint, play
from tests.openai_server import Body
from tests.ray_scene import SUBMIT, worker_of

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]
ANSWERING = "MapWorker(Map(AnswerQuestions))"
"""In the title of a worker process that answers."""
ANSWER = (*SUBMIT, "jobs/answer_batch.py")
QUESTIONS = 60


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("library")
    small_library(folder)
    return str(folder / "database")


def write_config(folder: Path, database: str, url: str, **answer: Any) -> Path:
    """A config file whose output is `results` beside it."""
    questions = write_questions(folder / "questions.parquet", QUESTIONS)
    tree = config_tree(database, questions, str(folder / "results"), url=url, critic={"mode": "off"}, **answer)
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(tree))
    return file


def submitted(env: dict[str, str], *arguments: str) -> str:
    """What the job says, as a Ray job that ended well."""
    return done([*ANSWER, *arguments], env)


def done(command: list[str], env: dict[str, str]) -> str:
    """What a command says that ends well."""
    return ended(begun(command, env))


def start(config: Path, env: dict[str, str]) -> subprocess.Popen[str]:
    return begun([sys.executable, "jobs/answer_batch.py", "--config", str(config)], env)


def begun(command: list[str], env: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def ended(process: subprocess.Popen[str]) -> str:
    """What a job said that ended well."""
    output, _ = process.communicate()
    assert process.returncode == 0, output[-3000:]
    return output


def wait_for_answers(process: subprocess.Popen[str], folder: Path) -> None:
    """Wait until the job has written its first answers."""
    while process.poll() is None:
        if any((folder / "results" / "answers").glob("*.parquet")):
            return
        time.sleep(0.05)
    pytest.fail(f"the job ended before it wrote anything: {process.communicate()[0][-3000:]}")


def test_a_job_that_is_submitted_answers_every_question(database: str, cluster: dict[str, str], tmp_path: Path) -> None:
    with FaultyEndpoint(rate=0.2, kinds=("limit", "error", "cut", "empty", "text")) as endpoint:
        config = write_config(tmp_path, database, endpoint.url, job_budget={"cost": 1.0})
        said = submitted(cluster, "--config", str(config))
    assert f"answered: {QUESTIONS}" in said
    output = str(tmp_path / "results")
    assert ids(output) == ids(output, "traces") == [f"q{number:03}" for number in range(QUESTIONS)]
    assert {row["answer"] for row in rows(output)} == {"a cat"}
    assert endpoint.at_once > 4


def test_a_submitted_job_refuses_to_write_into_the_copy_that_it_runs_in(
    database: str, cluster: dict[str, str], tmp_path: Path
) -> None:
    config = write_config(tmp_path, database, "http://127.0.0.1:9/v1")
    refused = begun([*ANSWER, "--config", str(config), "--output", "here"], cluster)
    said, _ = refused.communicate()
    assert refused.returncode != 0
    assert "answer_batch: here would be lost" in said


def test_kill_9_of_the_driver_loses_and_repeats_no_answer(
    database: str, cluster: dict[str, str], tmp_path: Path
) -> None:
    with FaultyEndpoint() as endpoint:
        endpoint.delay_s = 0.1
        config = write_config(tmp_path, database, endpoint.url, job={"commit_questions": 8})
        killed = start(config, cluster)
        wait_for_answers(killed, tmp_path)
        killed.kill()
        assert killed.wait() == -signal.SIGKILL
        there = {row["question_id"]: row["date"] for row in rows(str(tmp_path / "results"))}
        assert 0 < len(there) < QUESTIONS
        said = ended(start(config, cluster))
    assert f"{QUESTIONS - len(there)} questions to answer, {len(there)} finished before" in said
    output = str(tmp_path / "results")
    assert ids(output) == ids(output, "traces") == [f"q{number:03}" for number in range(QUESTIONS)]
    assert {row["question_id"]: row["date"] for row in rows(output) if row["question_id"] in there} == there


def test_kill_9_of_an_answering_worker_loses_and_repeats_no_answer(
    database: str, cluster: dict[str, str], tmp_path: Path
) -> None:
    with FaultyEndpoint() as endpoint:
        endpoint.delay_s = 0.1
        config = write_config(tmp_path, database, endpoint.url, job={"commit_questions": 8})
        job = start(config, cluster)
        wait_for_answers(job, tmp_path)
        worker = worker_of(cluster, ANSWERING)
        worker.kill()
        assert worker.wait(timeout=30) != 0
        assert len(ids(str(tmp_path / "results"))) < QUESTIONS  # it died with work left
        ended(job)
    output = str(tmp_path / "results")
    assert ids(output) == ids(output, "traces") == [f"q{number:03}" for number in range(QUESTIONS)]
    assert report(output)["statuses"] == {"answered": QUESTIONS}


def test_a_question_that_kills_its_worker_each_time_fails_and_no_other_does(
    database: str, cluster: dict[str, str], tmp_path: Path
) -> None:
    def deadly(body: Body) -> str:
        if "What is there? 7" in json.dumps(body):
            worker_of(cluster, ANSWERING).kill()
        return play(body)

    with FaultyEndpoint() as endpoint:
        endpoint.answer = deadly
        config = write_config(tmp_path, database, endpoint.url, policy="socratic", job={"questions_in_flight": 12})
        job = start(config, cluster)
        said, _ = job.communicate()
    output = str(tmp_path / "results")
    assert job.returncode == 1, said[-3000:]
    assert ids(output) == ids(output, "traces") == [f"q{number:03}" for number in range(QUESTIONS)]
    assert report(output)["statuses"] == {"answered": QUESTIONS - 1, "failed": 1}
    (failed,) = [row for row in rows(output) if row["status"] == "failed"]
    assert failed["question_id"] == "q007"
    assert failed["error"].startswith("ProcessDied: 4 processes died over it")
    assert not list((tmp_path / "results" / "attempts").iterdir())


def test_served_models_answer_a_submitted_job_as_they_answer_here(
    database: str, cluster: dict[str, str], tmp_path: Path
) -> None:
    questions = write_questions(tmp_path / "questions.parquet", 12)
    port, output, here = cluster["FRONT_PORT"], str(tmp_path / "served"), str(tmp_path / "here")
    tree = config_tree(database, questions, output)
    served = tree | {"models": tree["models"] | {"model": tree["models"]["model"] | {"serve": {"cpus": 0.1}}}}
    nowhere = config_tree(database, questions, output, url="http://127.0.0.1:1/v1")  # without a front nobody answers
    files = {"served.yaml": served | {"serving": {"port": int(port), "cpus": 0.1}}, "nowhere.yaml": nowhere}
    for name, content in files.items():
        (tmp_path / name).write_text(yaml.safe_dump(content))
    said = done([sys.executable, "-m", "serving", "--config", str(tmp_path / "served.yaml"), "--detach"], cluster)
    assert f"model, words at http://127.0.0.1:{port}/v1" in said
    submitted(cluster, "--config", str(tmp_path / "nowhere.yaml"), "--front", f"http://127.0.0.1:{port}/v1")
    answer_all(config(database, questions, here))
    told = ("question_id", "status", "answer", "confidence", "turns", "calls", "prompt_tokens", "verdicts")
    assert [[row[name] for name in told] for row in rows(output)] == [
        [row[name] for name in told] for row in rows(here)
    ]
    assert len(rows(output)) == 12
    assert any(row["answer"] for row in rows(output))
