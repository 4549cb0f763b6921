"""Leases between real processes, on files and on a real S3 server."""

import itertools
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from loupe import storage
from loupe.lease import Lease, LeaseError, LeaseHeld, LeaseLost
from tests.s3 import S3

HOLDER = """
import sys
from loupe.lease import Lease, LeaseLost

lease = Lease.acquire(sys.argv[1], "holder", ttl_s=float(sys.argv[2]))
print(lease.token, flush=True)
for line in sys.stdin:
    try:
        lease.check()
        print("ok", flush=True)
    except LeaseLost as error:
        print(error, flush=True)
"""


@pytest.fixture(params=["folder", "s3"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database's place, once a folder and once on S3."""
    return f"{request.getfixturevalue('s3').root}/db" if request.param == "s3" else str(tmp_path / "db")


@contextmanager
def holder(database: str, ttl_s: float) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lease and checks it at every line that it is sent."""
    command = [sys.executable, "-c", HOLDER, database, str(ttl_s)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=Path(__file__).parents[1], **pipes) as process:
        try:
            assert process.stdout.readline() == "1\n"
            yield process
        finally:
            process.kill()


def check(process: subprocess.Popen[str]) -> str:
    process.stdin.write("check\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


def acquire_when_free(database: str, within_s: float) -> Lease:
    """Ask until the lease is given; the last refusal is raised."""
    end = time.monotonic() + within_s
    while True:
        try:
            return Lease.acquire(database, "successor")
        except LeaseHeld:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def move_holder_to(database: str, host: str) -> None:
    """Make the record look as if the holder ran on another machine, of whose processes nothing is known here."""
    uri = storage.join(database, "_loupe/lease.json")
    record = json.loads(storage.read_bytes(uri))
    storage.write_bytes(uri, json.dumps({**record, "host": host}).encode())


def test_the_second_is_refused_with_a_sentence(database: str) -> None:
    with Lease.acquire(database, "ann@tower", ttl_s=60) as lease:
        with pytest.raises(LeaseHeld) as refused:
            Lease.acquire(database, "bob@laptop")
        message = str(refused.value)
        assert database in message
        assert "ann@tower" in message
        assert f"process {os.getpid()}" in message
        assert f"{datetime.now(UTC):%Y-%m-%d}" in message
        assert "runs out in" in message
        lease.check()


def test_the_token_grows_with_every_acquisition(database: str) -> None:
    for token in (1, 2, 3):
        with Lease.acquire(database, "ann") as lease:
            assert lease.token == token
            lease.check()


def test_a_released_lease_allows_no_commit(database: str) -> None:
    lease = Lease.acquire(database, "ann")
    lease.release()
    lease.release()
    with pytest.raises(LeaseLost, match="released"):
        lease.check()


def compete(barrier: Barrier, database: str, rounds: int) -> list[int]:
    """The rounds that this process wins."""
    won = []
    leases = []
    for i in range(rounds):
        barrier.wait(60)
        try:
            leases.append(Lease.acquire(f"{database}/{i}", f"process {os.getpid()}"))
            won.append(i)
        except LeaseHeld:
            pass
    barrier.wait(60)
    for lease in leases:
        lease.check()
    return won


def test_of_many_processes_one_gets_it(database: str) -> None:
    rounds, processes = 8, 3
    spawn = multiprocessing.get_context("spawn")
    with spawn.Manager() as manager, spawn.Pool(processes) as pool:
        barrier = manager.Barrier(processes)
        won = pool.starmap(compete, [(barrier, database, rounds)] * processes, chunksize=1)
    assert sorted(itertools.chain.from_iterable(won)) == list(range(rounds))


def test_a_holder_that_is_alive_keeps_it_beyond_its_time_to_live(tmp_path: Path) -> None:
    database = str(tmp_path)
    with Lease.acquire(database, "ann", ttl_s=1.5) as lease:
        end = time.monotonic() + 3
        while time.monotonic() < end:
            with pytest.raises(LeaseHeld):
                Lease.acquire(database, "bob")
            lease.check()
            time.sleep(0.1)


def test_a_holder_killed_on_this_machine_is_followed_at_once(database: str) -> None:
    with holder(database, ttl_s=600) as process:
        with pytest.raises(LeaseHeld):
            Lease.acquire(database, "successor")
        process.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # dead, and not reaped yet
        with Lease.acquire(database, "successor") as lease:
            assert lease.token == 2


def test_a_holder_killed_elsewhere_is_followed_when_its_time_is_over(database: str) -> None:
    with holder(database, ttl_s=1.5) as process:
        process.kill()
        process.wait()
    move_holder_to(database, "another machine")
    with pytest.raises(LeaseHeld):
        Lease.acquire(database, "successor")
    with acquire_when_free(database, within_s=10) as lease:
        assert lease.token == 2


def test_a_holder_that_slept_through_a_takeover_commits_nothing(database: str) -> None:
    with holder(database, ttl_s=1.5) as process:
        assert check(process) == "ok"
        process.send_signal(signal.SIGSTOP)
        with acquire_when_free(database, within_s=10) as lease:
            process.send_signal(signal.SIGCONT)
            message = check(process)
            assert "taken over by successor (token 2)" in message
            time.sleep(1)  # its thread has tried to renew by now
            lease.check()


def test_a_holder_that_could_not_renew_commits_nothing(database: str) -> None:
    now = 1000.0
    with Lease.acquire(database, "ann", ttl_s=60, clock=lambda: now) as lease:
        now += 39.0
        lease.check()
        now += 2.0
        with pytest.raises(LeaseLost, match=r"not renewed for 41.0 s"):
            lease.check()


def test_a_renewal_whose_answer_never_came_is_recognized(tmp_path: Path) -> None:
    uri = str(tmp_path / "_loupe/lease.json")
    with Lease.acquire(str(tmp_path), "ann", ttl_s=1.5) as lease:
        storage.write_bytes(uri, storage.read_bytes(uri))  # ours, under an etag that the holder never saw
        time.sleep(2)
        lease.check()


def test_a_lease_that_was_deleted_is_lost(database: str) -> None:
    with Lease.acquire(database, "ann") as lease:
        storage.delete(storage.join(database, "_loupe/lease.json"))
        with pytest.raises(LeaseLost, match="gone"):
            lease.check()


def test_a_record_that_is_none_is_not_taken_for_a_free_lease(database: str) -> None:
    uri = storage.join(database, "_loupe/lease.json")
    storage.write_bytes(uri, b"{")
    with pytest.raises(LeaseError, match="not a lease"):
        Lease.acquire(database, "ann")
    assert storage.read_bytes(uri) == b"{"


def test_faults_neither_lose_a_lease_nor_give_it_twice(faulty_s3: S3) -> None:
    proxy = faulty_s3.proxy
    proxy.rate, proxy.kinds = 0.3, ("slow_down", "reset", "lost", "cut")
    database = f"{faulty_s3.root}/db"
    for token in range(1, 9):
        with Lease.acquire(database, "ann", ttl_s=60) as lease:
            assert lease.token == token
            lease.check()
            with pytest.raises(LeaseHeld):
                Lease.acquire(database, "bob")
    assert set(proxy.faults) == {"slow_down", "reset", "lost", "cut"}


def test_renewals_outlive_faults(faulty_s3: S3) -> None:
    faulty_s3.proxy.rate, faulty_s3.proxy.kinds = 0.3, ("slow_down", "reset", "lost", "cut")
    with Lease.acquire(f"{faulty_s3.root}/db", "ann", ttl_s=6) as lease:
        heartbeats = set()
        end = time.monotonic() + 7
        while time.monotonic() < end:
            lease.check()
            record = json.loads(storage.read_bytes(f"{faulty_s3.root}/db/_loupe/lease.json"))
            heartbeats.add(record["heartbeat"])
            time.sleep(0.1)
    assert len(heartbeats) >= 3
    assert record["token"] == 1


def test_no_thread_is_left_behind(tmp_path: Path) -> None:
    before = threading.active_count()
    with Lease.acquire(str(tmp_path), "ann", ttl_s=0.3):
        assert threading.active_count() == before + 1
    end = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < end:
        time.sleep(0.01)
    assert threading.active_count() == before
