"""What `make cluster` noted of its cluster, after others were given its process id."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from loupe.config import ROOT
from loupe.processes import boot, process_start

Process = subprocess.Popen[bytes]


@pytest.fixture
def sleeper() -> Iterator[Process]:
    """A process in a session of its own, as a head is."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True) as process:
        yield process
        process.kill()


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., str]:
    """Runs the script in a folder of its own where a cluster was noted; gives what it says."""
    (tmp_path / "infra").mkdir()
    (tmp_path / "temp").mkdir()
    script = shutil.copy(ROOT / "infra" / "local_cluster.py", tmp_path / "infra")

    def run(word: str, **noted: Any) -> str:
        (tmp_path / ".ray").mkdir()
        noted = {"start": process_start(noted["pid"]), "boot": boot(), "temp_dir": str(tmp_path / "temp")} | noted
        (tmp_path / ".ray" / "cluster.json").write_text(json.dumps(noted))
        done = subprocess.run([sys.executable, script, word], cwd=ROOT, capture_output=True, text=True, check=True)
        return done.stdout

    return run


@pytest.mark.parametrize("earlier", [{"start": "1"}, {"boot": "another"}])
def test_a_stranger_with_the_process_id_is_left_alone(
    earlier: dict[str, str], sleeper: Process, command: Callable[..., str], tmp_path: Path
) -> None:
    assert "has ended" in command("stop", pid=sleeper.pid, **earlier)
    assert sleeper.poll() is None
    assert not (tmp_path / "temp").exists()
    assert not list((tmp_path / ".ray").iterdir())


def test_the_cluster_that_was_noted_is_running_already(sleeper: Process, command: Callable[..., str]) -> None:
    assert "running already" in command("start", pid=sleeper.pid)


def test_the_cluster_that_was_noted_is_ended_with_its_folder(
    sleeper: Process, command: Callable[..., str], tmp_path: Path
) -> None:
    assert "has ended" in command("stop", pid=sleeper.pid)
    assert sleeper.wait(10) != 0
    assert not (tmp_path / "temp").exists()
