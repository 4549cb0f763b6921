"""A Ray cluster of a test's own (the fixture `cluster`): how jobs are submitted to it, and who works in it."""

import contextlib
import sys

import psutil
import pytest

SUBMIT = (sys.executable, "-m", "ray.scripts.scripts", "job", "submit", "--working-dir", ".", "--", "python")
"""The command line of a submitted job, up to the job's script."""


def find_worker(cluster: dict[str, str], title: str) -> psutil.Process | None:
    """A worker of this cluster with this in its title, if there is one: other clusters may run on this machine."""
    for raylet in psutil.process_iter(["name", "cmdline"]):
        arguments = raylet.info["cmdline"] or ()
        if raylet.info["name"] == "raylet" and any(cluster["RAY_ADDRESS"] in argument for argument in arguments):
            for worker in raylet.children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    if any(title in argument for argument in worker.cmdline()):
                        return worker
    return None


def worker_of(cluster: dict[str, str], title: str) -> psutil.Process:
    """The same where there must be one."""
    worker = find_worker(cluster, title)
    if worker is None:
        pytest.fail(f"no worker is {title}")
    return worker
