"""A Ray cluster of one machine, on loopback: start, stop, or run one command on a cluster of its own.

    python infra/local_cluster.py start            the ports that `ray job submit` expects (make cluster)
    python infra/local_cluster.py stop             ends what start started, and nothing else (make cluster-stop)
    python infra/local_cluster.py run -- COMMAND   free ports, ends with the command

Ray itself can only be stopped as a whole (`ray stop` ends every Ray of the machine), so the process ids of this
cluster are kept in .ray/ and only they are signalled.
"""

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from loupe.processes import boot, process_start

ROOT = Path(__file__).resolve().parent.parent
STATE = ROOT / ".ray" / "cluster.json"
START_SECONDS = 120
STOP_SECONDS = 12
PORTS = range(20_000, 30_000)
"""Above those of Ray's workers, below those that systems give away (on Linux from 32,768 on)."""
STARTED = "Ray runtime started"
"""What `ray start` says last; the job server answers earlier, even where the node then fails to start."""
LOGICAL_CPUS = max(4, os.cpu_count() or 1)
"""Slots, not cores: on a laptop the stages of a job share what there is."""


def python_in(temp_dir: str) -> str:
    """Our Python, by a path without a space: Ray puts the path into shell lines as it is."""
    if " " not in sys.executable:
        return sys.executable
    link = Path(temp_dir) / "venv"
    link.unlink(missing_ok=True)
    link.symlink_to(sys.prefix)
    return str(link / "bin" / "python")


def environment(python: str) -> dict[str, str]:
    """This process's environment with our Python first, and Ray's authentication said explicitly."""
    path = os.pathsep.join([str(Path(python).parent), os.environ.get("PATH", "")])
    return (
        {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
        | os.environ
        | {"PATH": path}
    )


def start_head(port: int, dashboard_port: int, temp_dir: str, log: Path) -> subprocess.Popen[bytes]:
    """Start a head node in a session of its own, and wait until it takes jobs. Raises RuntimeError if it does not."""
    log.parent.mkdir(parents=True, exist_ok=True)
    python = python_in(temp_dir)
    command = [python, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--disable-usage-stats"]
    command += ["--node-ip-address=127.0.0.1", f"--port={port}", f"--num-cpus={LOGICAL_CPUS}", f"--temp-dir={temp_dir}"]
    command += ["--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard_port}"]
    command += [f"--ray-client-server-port={free_port()}", f"--dashboard-agent-listen-port={free_port()}"]
    with log.open("wb") as output:
        head = subprocess.Popen(
            command, stdout=output, stderr=output, cwd=ROOT, env=environment(python), start_new_session=True
        )
    deadline = time.monotonic() + START_SECONDS
    while not (STARTED in log.read_text() and takes_jobs(dashboard_port)):
        if head.poll() is not None or time.monotonic() > deadline:
            end(head.pid)
            raise RuntimeError(f"Ray did not start; its last words, from {log}:\n{log.read_text()[-2000:]}")
        time.sleep(0.5)
    return head


def takes_jobs(dashboard_port: int) -> bool:
    """The job server answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{dashboard_port}/api/jobs/", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def members(session: int) -> list[int]:
    """Process ids of a session: the head and all that it started."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] != "Z":
                found.append(int(folder.name))
    return found


def end(head: int) -> None:
    """End a head and all that it started: the head ends its children itself, what is left after that is killed."""
    send([head], signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while members(head) and time.monotonic() < deadline:
        time.sleep(0.2)
    send(members(head), signal.SIGKILL)


def send(pids: list[int], sign: signal.Signals) -> None:
    """Signal processes, those that are gone already left out."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, sign)


def free_port() -> int:
    """A port that nobody listens on now, and that no process is given that asks for any: Ray's do, while they start."""
    while True:
        port = random.choice(PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@contextlib.contextmanager
def own_cluster() -> Iterator[dict[str, str]]:
    """A cluster on free ports; gives the environment in which Ray's commands and jobs find it, and FRONT_PORT."""
    port, dashboard_port = free_port(), free_port()
    with tempfile.TemporaryDirectory(prefix="loupe-ray-", dir="/tmp", ignore_cleanup_errors=True) as temp_dir:
        head = start_head(port, dashboard_port, temp_dir, Path(temp_dir) / "head.log")
        try:
            yield environment(python_in(temp_dir)) | {
                "RAY_ADDRESS": f"127.0.0.1:{port}",
                "RAY_API_SERVER_ADDRESS": f"http://127.0.0.1:{dashboard_port}",
                "FRONT_PORT": str(free_port()),
            }
        finally:
            end(head.pid)
            head.wait()


def is_there(noted: dict[str, Any]) -> bool:
    """Whether a cluster that was noted still has its process id: the head, or what it left behind when it died."""
    return noted["boot"] == boot() and process_start(noted["pid"]) in (noted["start"], None)


def start() -> None:
    """`make cluster`."""
    if STATE.exists() and is_there(noted := json.loads(STATE.read_text())) and members(noted["pid"]):
        print("The cluster is running already: http://127.0.0.1:8265")
        return
    if takes_jobs(8265):
        sys.exit("Another Ray listens on port 8265: use it, or end it first.")
    temp_dir = tempfile.mkdtemp(prefix="loupe-ray-", dir="/tmp")
    head = start_head(6379, 8265, temp_dir, STATE.parent / "head.log")
    noted = {"pid": head.pid, "start": process_start(head.pid), "boot": boot(), "temp_dir": temp_dir}
    STATE.write_text(json.dumps(noted))
    print("Ray runs: dashboard http://127.0.0.1:8265, and `ray job submit` finds it. `make cluster-stop` ends it.")


def stop() -> None:
    """`make cluster-stop`."""
    if not STATE.exists():
        print("No cluster of this folder is running.")
        return
    noted = json.loads(STATE.read_text())
    if is_there(noted):
        end(noted["pid"])
    shutil.rmtree(noted["temp_dir"], ignore_errors=True)
    STATE.unlink()
    print("The cluster has ended.")


def run(command: list[str]) -> int:
    """Run a command on a cluster of its own; its exit code."""
    with own_cluster() as env:
        return subprocess.run(command, env=env, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["start"]:
            start()
        case ["stop"]:
            stop()
        case ["run", "--", *command] if command:
            sys.exit(run(command))
        case _:
            sys.exit(__doc__)
