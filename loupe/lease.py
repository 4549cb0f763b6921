"""One writer at a time: the lease of a database, kept in <database>/_loupe/lease.json.

The record names its holder and a fencing token that grows by one with every acquisition. It changes hands by
compare-and-put alone, so that of several who want it one gets it. A lease is over when it was released, when it was
not renewed for its time to live, or, on the holder's own machine, when the holder's process is gone.

Whose clock: how old a record is, the storage says, which stamped it (S3: Date less Last-Modified; locally the file's
time against this machine's). The holder's clock and the observer's are never compared. The holder for itself counts
monotonic seconds from before it sent its last renewal, and gives up a third of the time to live before others may
take over. That third is what a commit has to end in: a check cannot hold a commit that has begun.
"""

import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from loupe import storage
from loupe.processes import boot, process_start

logger = logging.getLogger(__name__)

TRIES = 20


class LeaseError(Exception):
    """The database may not be written."""


class LeaseHeld(LeaseError):
    """Another job writes the database."""


class LeaseLost(LeaseError):
    """This job must not write the database any more."""


class Record(BaseModel):
    """What stands in lease.json."""

    model_config = ConfigDict(frozen=True)

    id: str
    """Of one acquisition; what a write whose answer was lost is recognized by."""
    owner: str
    token: int
    host: str
    """Where `pid` means something: machine, its boot, process-id namespace."""
    pid: int
    process_start: str | None
    acquired_at: datetime
    heartbeat: datetime
    """By the holder's clock: for people, and so that no two records are the same."""
    ttl_s: float
    released: bool = False


class Lease:
    """The right to write a database, renewed by a thread until it is released. A context manager."""

    def __init__(self, uri: str, record: Record, etag: str, renewed_at: float, clock: Callable[[], float]) -> None:
        self._uri = uri
        self._record = record
        self._etag = etag
        self._renewed_at = renewed_at
        self._clock = clock
        self._writing = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)
        self._thread.start()

    @classmethod
    def acquire(
        cls, database: str, owner: str | None = None, ttl_s: float = 60, *, clock: Callable[[], float] = time.monotonic
    ) -> Self:
        """Take the lease of a database for `owner` (by default this machine's name).

        Raises LeaseHeld while another's lives, StorageError where the database cannot be reached.
        """
        uri = storage.join(database, "_loupe", "lease.json")
        for _ in range(TRIES):
            stored = storage.read_stored(uri)
            last = None if stored is None else _parse(uri, stored.data)
            if stored is not None and last is not None and _lives(last, stored.age_s):
                raise LeaseHeld(_held(database, last, stored.age_s))
            record = _new_record(owner or socket.gethostname(), last, ttl_s)
            sent = clock()
            try:
                etag = storage.compare_and_put(uri, _bytes(record), stored.etag if stored else None)
            except storage.Conflict:
                continue  # another was quicker; see who
            return cls(uri, record, etag, sent, clock)
        raise storage.StorageError(f"{uri} changed under {TRIES} attempts to take it.")

    @property
    def owner(self) -> str:
        """Who holds it."""
        return self._record.owner

    @property
    def token(self) -> int:
        """One more than that of the holder before."""
        return self._record.token

    def check(self) -> None:
        """Return if this job may commit now. Raises LeaseLost, or StorageError where that cannot be known."""
        self._stored_etag()
        silent = self._clock() - self._renewed_at  # after the answer: it may have been long in coming
        if silent > self._record.ttl_s * 2 / 3:
            raise LeaseLost(
                f"{self._name()} was not renewed for {silent:.1f} s of its {self._record.ttl_s:g} s: nothing more is "
                "committed."
            )

    def guarding(self, before_step: Callable[[str], object]) -> Callable[[str], None]:
        """What is to be called with the name of a step before it: this job may still commit, and then `before_step`."""

        def check(step: str) -> None:
            self.check()
            before_step(step)

        return check

    def renew(self) -> None:
        """Write a new heartbeat now; the lease does it by itself every third of its time to live.

        Raises LeaseLost where it has another holder, or StorageError.
        """
        with self._writing:
            if not self._stop.is_set():
                self._write(self._record)

    def release(self) -> None:
        """Let others take the lease at once. Where that fails, it runs out by itself."""
        self._stop.set()
        try:
            with self._writing:
                if not self._record.released:
                    self._write(self._record.model_copy(update={"released": True}))
        except LeaseLost:
            pass  # it has a new holder already
        except storage.StorageError as error:
            logger.warning("%s was not released and runs out in %g s: %s", self._name(), self._record.ttl_s, error)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _beat(self) -> None:
        while not self._stop.wait(self._record.ttl_s / 3):
            try:
                self.renew()
            except LeaseError as error:
                logger.error("%s", error)
                return
            except storage.StorageError as error:
                logger.warning("%s was not renewed: %s", self._name(), error)

    def _write(self, record: Record) -> None:
        """Put a record with a new heartbeat in the place of ours. Raises LeaseLost where ours is not there."""
        sent = self._clock()
        record = record.model_copy(update={"heartbeat": datetime.now(UTC)})
        try:
            self._etag = storage.compare_and_put(self._uri, _bytes(record), self._etag)
        except storage.Conflict:
            etag = self._stored_etag()  # ours all the same, if only the answer to a renewal was lost
            try:
                self._etag = storage.compare_and_put(self._uri, _bytes(record), etag)
            except storage.Conflict:
                raise LeaseLost(f"{self._name()} was taken over: nothing more is committed.") from None
        self._record, self._renewed_at = record, sent

    def _stored_etag(self) -> str:
        """The etag of our record. Raises LeaseLost where another one stands there, or none."""
        stored = storage.read_stored(self._uri)
        if stored is None:
            raise LeaseLost(f"{self._name()} is gone from {self._uri}: nothing more is committed.")
        record = _parse(self._uri, stored.data)
        if (record.id, record.token) != (self._record.id, self._record.token):
            raise LeaseLost(
                f"{self._name()} was taken over by {record.owner} (token {record.token}) at "
                f"{record.acquired_at:%H:%M:%S} UTC: nothing more is committed."
            )
        if record.released:
            raise LeaseLost(f"{self._name()} was released: nothing more is committed.")
        return stored.etag

    def _name(self) -> str:
        return f"The lease of {self.owner} (token {self.token}) at {self._uri}"


def _new_record(owner: str, last: Record | None, ttl_s: float) -> Record:
    now = datetime.now(UTC)
    return Record(
        id=uuid.uuid4().hex,
        owner=owner,
        token=last.token + 1 if last else 1,
        host=_host(),
        pid=os.getpid(),
        process_start=process_start(os.getpid()),
        acquired_at=now,
        heartbeat=now,
        ttl_s=ttl_s,
    )


def _bytes(record: Record) -> bytes:
    return record.model_dump_json(indent=2).encode()


def _parse(uri: str, data: bytes) -> Record:
    try:
        return Record.model_validate_json(data)
    except ValidationError as error:
        raise LeaseError(f"{uri} is not a lease; delete it if no job writes this database.") from error


def _lives(record: Record, age_s: float) -> bool:
    return not record.released and age_s <= record.ttl_s and not _died_here(record)


def _held(database: str, record: Record, age_s: float) -> str:
    left = max(0.0, record.ttl_s - age_s)
    ends = datetime.fromtimestamp(time.time() + left, UTC)
    return (
        f"{database} is being written by {record.owner} (process {record.pid}, token {record.token}) since "
        f"{record.acquired_at:%Y-%m-%d %H:%M:%S} UTC; unless renewed, its lease runs out in {left:.0f} s, at "
        f"{ends:%H:%M:%S} UTC."
    )


def _host() -> str:
    """The machine, its boot and the process-id namespace, as far as the system tells them."""
    parts = [socket.gethostname()]
    if boot():
        parts += [boot(), os.readlink("/proc/self/ns/pid")]
    return " ".join(parts)


def _died_here(record: Record) -> bool:
    """Whether the holder was a process of this machine that is no more; False where that cannot be known."""
    if record.host != _host():
        return False
    if record.process_start is not None:
        return process_start(record.pid) != record.process_start
    try:
        os.kill(record.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return False
