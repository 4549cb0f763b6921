"""The index job on Ray: the same rows as in one process, whoever dies on the way."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from loupe.config import ROOT
from loupe.library import Library
from tests.in_process import index
from tests.index_run import SCRIPTED, config
from tests.index_scene import film, rows, small_library
from tests.ray_scene import SUBMIT, find_worker, worker_of

pytestmark = [pytest.mark.ray, pytest.mark.timeout(900)]
SAMPLING, FINISHING = "MapWorker(Map(SampleFrames))", "FinishFilms"
"""In the titles of worker processes: of the stage that decodes, and of the one that finishes films."""


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_library(tmp_path_factory.mktemp("library") / "films")


@pytest.fixture(scope="module")
def whole(films: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """The rows that one process writes."""
    database = str(tmp_path_factory.mktemp("whole") / "database")
    index(config(str(films), database))
    return rows(database)


def start(films: Path, database: str, env: dict[str, str], *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.index_run", str(films), database, *options]
    return subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def outcome(process: subprocess.Popen[str]) -> dict[str, Any]:
    output, _ = process.communicate()
    assert process.returncode in (0, 1), output[-3000:]
    return json.loads(next(line for line in output.splitlines() if line.startswith('{"exit_code"')))


def test_kill_9_of_the_driver_before_and_after_the_markers_and_a_submitted_job_that_finishes(
    films: Path, whole: Any, cluster: dict[str, str], tmp_path: Path
) -> None:
    database = str(tmp_path / "database")
    for die_at, markers in ((2, False), (7, True)):  # in any order in which chunks come
        killed = start(films, database, cluster, f"--die-at={die_at}")
        output, _ = killed.communicate()
        assert killed.returncode == -signal.SIGKILL, output[-3000:]
        assert bool(Library.open(database).chunk_markers()) is markers
    file = tmp_path / "scripted.yaml"
    file.write_text(yaml.safe_dump(SCRIPTED))
    command = [*SUBMIT, "jobs/index_library.py", "--config", str(file)]
    command += ["--library", str(films), "--database", database]
    submitted = subprocess.run(command, cwd=ROOT, env=cluster, capture_output=True, text=True, check=False)
    said = submitted.stdout + submitted.stderr
    assert "report: " in said, said[-3000:]
    assert submitted.returncode == 1  # one of the films is broken
    assert rows(database) == whole


def test_workers_that_are_killed_cost_nothing(cluster: dict[str, str], tmp_path: Path) -> None:
    long, database, expected = tmp_path / "films", str(tmp_path / "database"), str(tmp_path / "expected")
    film(long / "long.mp4", 50)
    index(config(str(long), expected, fps=10.0))
    process = start(long, database, cluster, "--set", "fps=10.0")
    wait_until(process, lambda: markers(database))
    kill(worker_of(cluster, SAMPLING))
    assert len(markers(database)) < 25  # it died with work left
    kill(wait_until(process, lambda: find_worker(cluster, FINISHING)))
    assert outcome(process)["exit_code"] == 0
    assert rows(database) == rows(expected)


def kill(worker: psutil.Process) -> None:
    """Kill a worker, and see it die."""
    worker.kill()
    assert worker.wait(timeout=30) != 0


def markers(database: str) -> dict[Any, Any]:
    """Of the chunks that are committed by now."""
    library = Library.open_if_there(database)
    return library.chunk_markers() if library else {}


def wait_until(process: subprocess.Popen[str], found: Callable[[], Any]) -> Any:
    """Wait until something is there, and give it, while a run goes on."""
    while process.poll() is None:
        if value := found():
            return value
        time.sleep(0.05)
    pytest.fail(f"the run ended before it was there: {process.communicate()[0][-3000:]}")
