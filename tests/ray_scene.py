"""Who works in a Ray cluster of a test's own (the fixture `cluster`)."""

import contextlib

import psutil
import pytest


def worker_of(cluster: dict[str, str], title: str) -> psutil.Process:
    """A worker of this cluster with this in its title: other clusters may run on this machine."""
    for raylet in psutil.process_iter(["name", "cmdline"]):
        arguments = raylet.info["cmdline"] or ()
        if raylet.info["name"] == "raylet" and any(cluster["RAY_ADDRESS"] in argument for argument in arguments):
            for worker in raylet.children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    if any(title in argument for argument in worker.cmdline()):
                        return worker
    pytest.fail(f"no worker is {title}")
