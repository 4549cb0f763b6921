"""Leases on files and on a real S3 server; a holder that dies or sleeps is a real process."""

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
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
        lease.renew() if line == "renew\\n" else lease.check()
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
    """Another process that holds the lease, and checks or renews it when it is told to."""
    command = [sys.executable, "-c", HOLDER, database, str(ttl_s)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=Path(__file__).parents[1], **pipes) as process:
        try:
            assert process.stdout.readline() == "1\n"
            yield process
        finally:
            process.kill()


def tell(process: subprocess.Popen[str], what: str) -> str:
    """What the holder answers to "check" or "renew"."""
    process.stdin.write(f"{what}\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


def make_older(folder: Path, seconds: float) -> None:
    """Let the storage say that the record in a folder was written so long ago."""
    then = time.time() - seconds
    os.utime(folder / "_loupe/lease.json", (then, then))


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


def test_of_many_who_want_it_at_once_one_gets_it(database: str) -> None:
    rounds, jobs = 6, 3
    barrier = threading.Barrier(jobs)

    def compete(job: int) -> list[int]:
        """The rounds that this job wins."""
        won: dict[int, Lease] = {}
        for number in range(rounds):
            barrier.wait(60)
            with contextlib.suppress(LeaseHeld):
                won[number] = Lease.acquire(f"{database}/{number}", f"job {job}")
        barrier.wait(60)
        for lease in won.values():
            lease.check()
            lease.release()
        return list(won)

    with ThreadPoolExecutor(jobs) as pool:
        won = list(itertools.chain.from_iterable(pool.map(compete, range(jobs))))
    assert sorted(won) == list(range(rounds))


def test_a_renewal_makes_a_lease_young_again(tmp_path: Path) -> None:
    with Lease.acquire(str(tmp_path), "ann", ttl_s=60) as lease:
        move_holder_to(str(tmp_path), "another machine")
        for _ in range(3):
            make_older(tmp_path, 50)
            with pytest.raises(LeaseHeld, match=r"runs out in (10|\d) s"):
                Lease.acquire(str(tmp_path), "bob")
            lease.renew()
            with pytest.raises(LeaseHeld, match=r"runs out in [56]\d s"):
                Lease.acquire(str(tmp_path), "bob")
        lease.check()


def test_a_lease_renews_itself(tmp_path: Path) -> None:
    with Lease.acquire(str(tmp_path), "ann", ttl_s=0.3):
        beats = set()
        while len(beats) < 3:  # ends by the time limit of the test, if it never beats
            beats.add(json.loads((tmp_path / "_loupe/lease.json").read_text())["heartbeat"])
            time.sleep(0.02)


def test_a_holder_killed_on_this_machine_is_followed_at_once(tmp_path: Path) -> None:
    database = str(tmp_path)
    with holder(database, ttl_s=600) as process:
        with pytest.raises(LeaseHeld):
            Lease.acquire(database, "successor")
        process.send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # dead, and not reaped yet
        with Lease.acquire(database, "successor") as lease:
            assert lease.token == 2


def test_a_holder_that_died_elsewhere_is_followed_when_its_time_is_over(tmp_path: Path) -> None:
    database = str(tmp_path)
    with Lease.acquire(database, "ann", ttl_s=60):
        move_holder_to(database, "another machine")
        make_older(tmp_path, 59)
        with pytest.raises(LeaseHeld):
            Lease.acquire(database, "successor")
        make_older(tmp_path, 61)
        with Lease.acquire(database, "successor") as lease:
            assert lease.token == 2


def test_on_s3_the_clock_of_the_server_counts(s3: S3) -> None:
    database = f"{s3.root}/db"
    with Lease.acquire(database, "ann", ttl_s=60):
        uri = storage.join(database, "_loupe/lease.json")
        record = json.loads(storage.read_bytes(uri))
        storage.write_bytes(uri, json.dumps({**record, "host": "another machine", "ttl_s": 0.5}).encode())
        with pytest.raises(LeaseHeld):
            Lease.acquire(database, "successor")
        with acquire_when_free(database, within_s=10) as lease:
            assert lease.token == 2


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


def test_a_holder_that_slept_through_a_takeover_commits_nothing(tmp_path: Path) -> None:
    with holder(str(tmp_path), ttl_s=60) as process:
        assert tell(process, "check") == "ok"
        process.send_signal(signal.SIGSTOP)
        make_older(tmp_path, 61)
        with Lease.acquire(str(tmp_path), "successor") as lease:
            process.send_signal(signal.SIGCONT)
            for what in ("check", "renew"):
                assert "taken over by successor (token 2)" in tell(process, what)
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
    with Lease.acquire(str(tmp_path), "ann") as lease:
        storage.write_bytes(uri, storage.read_bytes(uri))  # ours, under an etag that the holder never saw
        lease.renew()
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
    for token in range(1, 5):
        with Lease.acquire(database, "ann", ttl_s=60) as lease:
            assert lease.token == token
            lease.check()
            with pytest.raises(LeaseHeld):
                Lease.acquire(database, "bob")
    assert proxy.faults.total() > 3


def test_renewals_outlive_faults(faulty_s3: S3) -> None:
    faulty_s3.proxy.rate, faulty_s3.proxy.kinds = 0.3, ("slow_down", "reset", "lost", "cut")
    with Lease.acquire(f"{faulty_s3.root}/db", "ann", ttl_s=60) as lease:
        heartbeats = set()
        for _ in range(4):
            lease.renew()
            lease.check()
            record = json.loads(storage.read_bytes(f"{faulty_s3.root}/db/_loupe/lease.json"))
            heartbeats.add(record["heartbeat"])
    assert len(heartbeats) == 4
    assert record["token"] == 1


def test_no_thread_is_left_behind(tmp_path: Path) -> None:
    before = threading.active_count()
    with Lease.acquire(str(tmp_path), "ann", ttl_s=0.3):
        assert threading.active_count() == before + 1
    end = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < end:
        time.sleep(0.01)
    assert threading.active_count() == before
