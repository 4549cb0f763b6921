"""Files in folders and on S3 behind one set of functions: list, stat, read, read by ranges, write, compare-and-put.

A location is a string: a local path, a file:// URL, or s3://bucket/prefix. Credentials, region and endpoint come from
the standard AWS environment variables; LOUPE_S3_TIMEOUT_S (default 20) is after how many seconds of silence a request
is tried again. What fails for good is a StorageError whose text says what is wrong.
"""

import fcntl
import io
import logging
import os
import random
import re
import stat as modes
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, TypeVar, cast
from urllib.parse import unquote, urlsplit

import boto3
import tenacity
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    SSLError,
)
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from loupe.retrying import retry_after_s

logger = logging.getLogger(__name__)

VIDEO_SUFFIXES = (
    *(".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts"),
    *(".ogv", ".ts", ".webm", ".wmv"),
)

BLOCK = 1 << 20
"""Bytes in a block, the unit in which a RangedFile reads and remembers."""
AHEAD = 8
"""Blocks that one request of a RangedFile asks for, at most."""
CACHED = 32
"""Blocks that a RangedFile remembers."""

FAILURES = (ClientError, BotoCoreError, ResponseParserError, HTTPError)
"""What a request can raise; botocore lets urllib3's HTTPError through where the body of an error breaks off."""

ATTEMPTS = 8
LONGEST_PAUSE_S = 8.0
LONGEST_RETRY_AFTER_S = 60.0

T = TypeVar("T")


class StorageError(Exception):
    """A location that cannot be read or written, after the retries."""


class NotFound(StorageError):
    """No such file, folder or object."""


class Conflict(StorageError):
    """What is stored is not what the writer expected; nothing was written."""


class _PastTheEnd(StorageError):
    """The range begins where the object, which may be empty, has ended."""


class ObjectChanged(StorageError):
    """The object was replaced or deleted while it was being read."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file as it was when it was listed."""

    path: str
    """Relative to the root that was listed, with "/"; after stat, the name alone."""
    uri: str
    size: int
    etag: str
    modified: float
    """Seconds since 1970."""


def joined_etag(file: Entry, beside: Iterable[Entry]) -> str:
    """One etag of a file and of those beside it, which changes with any of them; no etag has a space (RFC 9110)."""
    return " ".join([file.etag, *(entry.etag for entry in beside)])


def own_etag(joined: str) -> str:
    """The file's own, of a joined one."""
    return joined.partition(" ")[0]


# --- Locations


def is_s3(uri: str) -> bool:
    """Whether a location is on S3."""
    return uri.startswith("s3://")


def join(root: str, *parts: str) -> str:
    """The location of `parts` below `root`."""
    base = root if is_s3(root) else str(_local(root))
    return "/".join([base.rstrip("/"), *(part.strip("/") for part in parts)])


def _local(uri: str) -> Path:
    """The absolute path of a local location. Raises StorageError for a scheme that is not ours."""
    if uri.startswith("file://"):
        url = urlsplit(uri)
        if url.netloc not in ("", "localhost"):
            raise StorageError(f"{uri} names a file on another machine; only local folders and s3:// can be read.")
        return Path(unquote(url.path)).absolute()
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", uri):
        raise StorageError(f"{uri} is not a location that can be read: give a folder, file:// or s3://bucket/prefix.")
    if not uri:
        raise StorageError("The location is empty: give a folder, file:// or s3://bucket/prefix.")
    return Path(uri).absolute()


def _bucket_and_key(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not bucket:
        raise StorageError(f"{uri} names no bucket: write s3://bucket/prefix.")
    return bucket, key


# --- One S3 request


def _endpoint() -> str | None:
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or None


def _region() -> str | None:
    return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or None


def lance_options() -> dict[str, str]:
    """`storage_options` for Lance and LanceDB. Credentials are not in it: Lance finds them as boto3 does."""
    options = {}
    if region := _region() or (_endpoint() and "us-east-1"):
        options["aws_region"] = region
    if endpoint := _endpoint():
        options["aws_endpoint"] = endpoint
        options["aws_virtual_hosted_style_request"] = "false"
        options["allow_http"] = str(endpoint.startswith("http://")).lower()
    return options


CLIENT_VARIABLES = (
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"),
    *("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION", "LOUPE_S3_TIMEOUT_S"),
)


def _client() -> Any:
    """A boto3 client for the environment as it is now; connections are not shared across a fork."""
    return _client_for(os.getpid(), *(os.environ.get(name) for name in CLIENT_VARIABLES))


@lru_cache(maxsize=4)
def _client_for(pid: int, *environment: str | None) -> Any:
    session = boto3.session.Session()  # the default session is not safe among threads
    config = Config(
        retries={"total_max_attempts": 1},  # ours know of bodies that break off
        connect_timeout=5,
        read_timeout=float(os.environ.get("LOUPE_S3_TIMEOUT_S") or 20),
        max_pool_connections=32,
        s3={"addressing_style": "path" if _endpoint() else "auto"},
        request_checksum_calculation="when_required",  # servers other than AWS's refuse the newer checksums
        response_checksum_validation="when_required",
    )
    region = _region() or session.region_name or "us-east-1"
    return session.client("s3", region_name=region, endpoint_url=_endpoint(), config=config)


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _passes(error: BaseException) -> bool:
    """Whether a request that failed so may go through when it is sent again."""
    if isinstance(error, ClientError):
        busy = ("SlowDown", "RequestTimeout", "Throttling", "ConditionalRequestConflict", "OperationAborted")
        return _status(error) >= 500 or _status(error) in (408, 429) or _code(error) in busy
    if isinstance(error, SSLError):
        return False
    return isinstance(error, HTTPClientError | ConnectionError | IncompleteReadError | ResponseParserError | HTTPError)


def _pause(state: tenacity.RetryCallState) -> float:
    """Seconds until the next try: full jitter under a doubling bound, and no less than the server asks for."""
    wait = random.uniform(0, min(LONGEST_PAUSE_S, 0.1 * 2**state.attempt_number))
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, ClientError):
        headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        asked = retry_after_s(headers.get("retry-after", ""), time.time()) or 0.0
        wait = max(wait, min(LONGEST_RETRY_AFTER_S, asked))
    return wait


def _request(uri: str, call: Callable[..., T], **arguments: Any) -> T:
    """What `call` gives, tried again where that may help. Raises StorageError."""
    retrying = tenacity.Retrying(
        stop=tenacity.stop_after_attempt(ATTEMPTS),
        wait=_pause,
        retry=tenacity.retry_if_exception(_passes),
        reraise=True,
    )
    try:
        return retrying(call, **arguments)
    except FAILURES as error:
        raise _explained(uri, error) from error


def _explained(uri: str, error: Exception) -> StorageError:
    """The sentence that a person gets to read."""
    where = _endpoint() or "AWS"
    if isinstance(error, NoCredentialsError):
        return StorageError(f"{uri} needs credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.")
    if not isinstance(error, ClientError):
        return StorageError(f"{uri} could not be reached at {where}: {error}")
    if _code(error) == "NoSuchBucket":
        return StorageError(f"There is no bucket {_bucket_and_key(uri)[0]!r} at {where}.")
    match _status(error):
        case 404:
            return NotFound(f"There is no object {uri} at {where}.")
        case 412:
            return Conflict(f"{uri} is not the version that was expected.")
        case 416:
            return _PastTheEnd(f"{uri} ends before the bytes that were asked for.")
        case 401 | 403:
            return StorageError(f"Access to {uri} at {where} is denied ({_code(error)}): check the AWS_ credentials.")
    return StorageError(f"{uri} at {where}: {_code(error)}: {error.response.get('Error', {}).get('Message', '')}")


@dataclass(frozen=True)
class _Piece:
    """Bytes of an object, with what the server said of the whole."""

    data: bytes
    etag: str
    size: int
    age_s: float


def _get(uri: str, start: int, length: int, etag: str | None = None) -> _Piece:
    """Bytes `start` to `start + length` of an object, fewer at its end. Raises ObjectChanged if it is not `etag`."""
    bucket, key = _bucket_and_key(uri)
    if length <= 0:
        entry = stat(uri)
        return _Piece(b"", entry.etag, entry.size, 0.0)
    only = {} if etag is None else {"IfMatch": f'"{etag}"'}
    asked = {"Bucket": bucket, "Key": key, "Range": f"bytes={start}-{start + length - 1}", **only}
    try:
        piece = _request(uri, _get_once, length=length, **asked)
    except (Conflict, NotFound) as error:
        if etag is None:
            raise
        raise ObjectChanged(f"{uri} was replaced or deleted while it was being read.") from error
    except _PastTheEnd:
        entry = stat(uri)
        piece = _Piece(b"", entry.etag, entry.size, 0.0)
    if etag is not None and piece.etag != etag:
        raise ObjectChanged(f"{uri} was replaced while it was being read.")
    return piece


def _get_once(*, length: int, **asked: Any) -> _Piece:
    response = _client().get_object(**asked)
    with closing(response["Body"]) as body:
        if "ContentRange" not in response and response["ContentLength"] > length:
            raise StorageError(f"The server of s3://{asked['Bucket']} ignores byte ranges.")
        data = body.read()  # raises where fewer bytes come than were announced
    whole = response.get("ContentRange", f"/{len(data)}").rpartition("/")[2]
    return _Piece(data, _bare(response["ETag"]), int(whole), _age_s(response))


def _bare(etag: str) -> str:
    return etag.strip('"')


def _age_s(response: dict[str, Any]) -> float:
    """Seconds since the object was written, at least, by the server's own clock; its stamps are whole seconds."""
    date = response["ResponseMetadata"]["HTTPHeaders"].get("date")
    now = parsedate_to_datetime(date).timestamp() if date else time.time()
    return max(0.0, now - float(response["LastModified"].timestamp()) - 1.0)


# --- Local files


@contextmanager
def _local_errors(uri: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound(f"There is no file or folder {uri}.") from error
    except OSError as error:
        raise StorageError(f"{uri}: {error.strerror}.") from error


def _local_etag(status: os.stat_result) -> str:
    return f"{status.st_size:x}-{status.st_mtime_ns:x}"


def _replace_local(path: Path, write: Callable[[BinaryIO], object]) -> str:
    """Write a file whole or not at all, with a later time stamp than the one it replaces. Returns its etag."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with new.open("wb") as file:
            write(file)
        if path.exists():  # the kernel's clock ticks in milliseconds: two versions of a tick must not look the same
            status, after = new.stat(), path.stat().st_mtime_ns + 1000
            os.utime(new, ns=(status.st_atime_ns, max(status.st_mtime_ns, after)))
        etag = _local_etag(new.stat())
        new.replace(path)
        return etag
    finally:
        new.unlink(missing_ok=True)


# --- List and stat


def list_files(root: str, suffixes: tuple[str, ...] | None = VIDEO_SUFFIXES) -> Iterator[Entry]:
    """The files below a folder, or the file itself, sorted by path; hidden ones are skipped, None takes every suffix.

    A file whose name is not UTF-8 is left out, with a warning: no table can hold it. Raises NotFound when there is
    nothing at `root`: no folder, no file, no object below the prefix.
    """
    for entry in _list_s3(root) if is_s3(root) else _list_local(root):
        hidden = any(part.startswith(".") for part in entry.path.split("/"))
        if hidden or not (suffixes is None or entry.path.lower().endswith(suffixes)):
            continue
        if _is_utf8(entry.uri):
            yield entry
        else:
            logger.warning("%s is left out: its name is not UTF-8", os.fsencode(entry.uri))


def _is_utf8(path: str) -> bool:
    """Whether it can be written down; other bytes of a file's name come as surrogates."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _list_s3(root: str) -> Iterator[Entry]:
    bucket, key = _bucket_and_key(root)
    prefix = f"{key.rstrip('/')}/" if key.rstrip("/") else ""
    asked, empty = {"Bucket": bucket, "Prefix": prefix}, bool(prefix)
    while True:
        page = _request(root, _client().list_objects_v2, **asked)
        for item in page.get("Contents", ()):
            empty = False
            if not item["Key"].endswith("/"):  # a marker that consoles make for an empty folder
                path = item["Key"].removeprefix(prefix)
                modified = item["LastModified"].timestamp()
                yield Entry(path, f"s3://{bucket}/{item['Key']}", item["Size"], _bare(item["ETag"]), modified)
        if not page.get("IsTruncated"):
            break
        asked["ContinuationToken"] = page["NextContinuationToken"]
    if empty:
        try:
            yield stat(root)
        except NotFound as error:
            raise NotFound(f"There is nothing below {root} at {_endpoint() or 'AWS'}.") from error


def _list_local(root: str) -> Iterator[Entry]:
    top = _local(root)
    if not top.is_dir():
        yield stat(root)
        return
    with _local_errors(root):
        names = list(_files_below(top))
    for path, file in sorted((file.relative_to(top).as_posix(), file) for file in names):
        try:
            status = file.stat() if file.exists() else file.lstat()  # a broken link is listed, and fails when read
        except FileNotFoundError:
            continue  # deleted since it was listed
        if modes.S_ISREG(status.st_mode) or modes.S_ISLNK(status.st_mode):
            yield Entry(path, str(file), status.st_size, _local_etag(status), status.st_mtime)


def _files_below(folder: Path, above: frozenset[str] = frozenset()) -> Iterator[Path]:
    """All files in a folder and in those below it, linked ones too, but for links that lead back to a folder above."""
    place = os.path.realpath(folder)
    if place in above:
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if os.path.isdir(entry):  # not of a link to itself
                yield from _files_below(Path(entry.path), above | {place})
            else:
                yield Path(entry.path)


def stat(uri: str) -> Entry:
    """What is known of one file. Raises NotFound."""
    name = PurePosixPath(uri).name
    if is_s3(uri):
        bucket, key = _bucket_and_key(uri)
        head = _request(uri, _client().head_object, Bucket=bucket, Key=key)
        return Entry(name, uri, head["ContentLength"], _bare(head["ETag"]), head["LastModified"].timestamp())
    path = _local(uri)
    with _local_errors(uri):
        status = path.stat()
    if not modes.S_ISREG(status.st_mode):
        raise StorageError(f"{uri} is not a file.")
    return Entry(path.name, str(path), status.st_size, _local_etag(status), status.st_mtime)


def exists(uri: str) -> bool:
    """Whether there is such a file, or a folder (on S3: an object below the prefix)."""
    if not is_s3(uri):
        return _local(uri).exists()
    bucket, key = _bucket_and_key(uri)
    if key.rstrip("/"):
        try:
            stat(uri)
            return True
        except NotFound:
            key = f"{key.rstrip('/')}/"
    found = _request(uri, _client().list_objects_v2, Bucket=bucket, Prefix=key, MaxKeys=1)
    return not key or found["KeyCount"] > 0  # a bucket may be empty


def require_folder(uri: str) -> None:
    """Raise NotFound, with a sentence for whoever gave the location, where nothing is there."""
    if not exists(uri):
        raise NotFound(f"There is no folder {uri}" + (f" at {_endpoint() or 'AWS'}." if is_s3(uri) else "."))


# --- Read


def read_bytes(uri: str, start: int | None = None, length: int | None = None) -> bytes:
    """A file's bytes, or `length` of them from `start` on, fewer at its end. Raises NotFound, ObjectChanged."""
    begin = start or 0
    if begin < 0 or (length is not None and length < 0):
        raise ValueError(f"start and length are 0 or more, not {start} and {length}")
    if not is_s3(uri):
        with open_seekable(uri) as file, _local_errors(uri):
            file.seek(begin)
            return file.read(-1 if length is None else length)
    most = AHEAD * BLOCK
    piece = _get(uri, begin, most if length is None else min(length, most))
    end = piece.size if length is None else min(piece.size, begin + length)
    data = bytearray(piece.data)
    while begin + len(data) < end:
        at = begin + len(data)
        data += _get(uri, at, min(most, end - at), piece.etag).data
    return bytes(data)


def open_seekable(uri: str) -> BinaryIO:
    """A file to read and seek in, by ranged requests where it is on S3; `av.open` takes it."""
    if is_s3(uri):
        return cast(BinaryIO, RangedFile(uri))
    with _local_errors(uri):
        return _local(uri).open("rb")


class RangedFile(io.RawIOBase):
    """An object on S3 as a file, read in blocks; one reader at a time.

    The first block comes with opening, without a request for the size. Where reading goes on past the end of what was
    fetched, the next fetch is twice as long; a jump starts at one block again. Every request names the version that
    was opened: ObjectChanged is raised once it is gone.
    """

    def __init__(self, uri: str) -> None:
        first = _get(uri, 0, BLOCK)
        self.name = uri
        self.size = first.size
        self.etag = first.etag
        self.requests = 1
        """Ranges fetched so far, retries not counted."""
        self.bytes_read = len(first.data)
        """Bytes fetched so far."""
        self._position = 0
        self._blocks = OrderedDict({0: first.data})
        self._ahead = {1: 2}  # first block not fetched yet -> blocks to fetch when reading arrives there

    @property
    def memory(self) -> int:
        """Bytes of the blocks that are kept."""
        return sum(map(len, self._blocks.values()))

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise ValueError(f"cannot seek to {base + offset}, before the file's start")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: Any, /) -> int:
        """Fill the buffer, but for the end of the file."""
        view = memoryview(buffer).cast("B")
        end = min(self.size, self._position + len(view))
        done = 0
        while self._position < end:
            index, offset = divmod(self._position, BLOCK)
            piece = self._block(index, -(-end // BLOCK))[offset : offset + end - self._position]
            view[done : done + len(piece)] = piece
            done += len(piece)
            self._position += len(piece)
        return done

    def _block(self, index: int, stop: int) -> bytes:
        """One block, from memory or fetched together with those up to `stop` that will be asked for next."""
        if index not in self._blocks:
            count = max(self._ahead.pop(index, 1), stop - index)
            stop = min(index + min(count, AHEAD), -(-self.size // BLOCK))
            stop = next((i for i in range(index + 1, stop) if i in self._blocks), stop)
            self._fetch(index, stop)
        self._blocks.move_to_end(index)
        return self._blocks[index]

    def _fetch(self, index: int, stop: int) -> None:
        data = _get(self.name, index * BLOCK, (stop - index) * BLOCK, self.etag).data
        self.requests += 1
        self.bytes_read += len(data)
        for i in range(index, stop):
            self._blocks[i] = data[(i - index) * BLOCK : (i - index + 1) * BLOCK]
        self._ahead[stop] = min(AHEAD, 2 * (stop - index))
        while len(self._blocks) > CACHED:
            self._blocks.popitem(last=False)

    def close(self) -> None:
        self._blocks = OrderedDict()
        super().close()


# --- Write


def write_bytes(uri: str, data: bytes) -> None:
    """Write a file whole or not at all, whatever was there before."""
    if is_s3(uri):
        bucket, key = _bucket_and_key(uri)
        _request(uri, _client().put_object, Bucket=bucket, Key=key, Body=data)
        return
    with _local_errors(uri):
        _replace_local(_local(uri), lambda file: file.write(data))


def delete(uri: str) -> None:
    """Delete a file; one that is not there is as good."""
    if is_s3(uri):
        bucket, key = _bucket_and_key(uri)
        _request(uri, _client().delete_object, Bucket=bucket, Key=key)
        return
    with _local_errors(uri):
        _local(uri).unlink(missing_ok=True)


@dataclass(frozen=True)
class Stored:
    """A small file as it stands."""

    data: bytes
    etag: str
    age_s: float
    """Seconds since it was written, at least, by the clock of the storage itself."""


def read_stored(uri: str) -> Stored | None:
    """A small file (at most 8 MB) with its etag and age, all of one version; None where there is none."""
    try:
        if is_s3(uri):
            piece = _get(uri, 0, AHEAD * BLOCK)
            return Stored(piece.data, piece.etag, piece.age_s)
        with open_seekable(uri) as file, _local_errors(uri):
            status = os.fstat(file.fileno())
            return Stored(file.read(), _local_etag(status), max(0.0, time.time() - status.st_mtime))
    except NotFound:
        return None


def read_with_etag(uri: str) -> tuple[bytes, str] | None:
    """A small file (at most 8 MB) and its etag, both of one version; None where there is none."""
    stored = read_stored(uri)
    return None if stored is None else (stored.data, stored.etag)


def compare_and_put(uri: str, data: bytes, expected_etag: str | None) -> str:
    """Write a small file if it still has `expected_etag`, or, for None, if there is none. Returns the new etag.

    Raises Conflict, and writes nothing, where that is not so. Of several writers that expect the same, one succeeds.
    Data should differ from writer to writer: when the answer to a write is lost on the way, its bytes are how the
    write is known to have arrived. On S3 this needs conditional PUT (AWS, Ceph, MinIO have it).
    """
    if not is_s3(uri):
        return _compare_and_put_local(uri, data, expected_etag)
    bucket, key = _bucket_and_key(uri)
    condition = {"IfNoneMatch": "*"} if expected_etag is None else {"IfMatch": f'"{expected_etag}"'}
    sent = 0

    def put() -> str:
        nonlocal sent
        sent += 1
        return _bare(_client().put_object(Bucket=bucket, Key=key, Body=data, **condition)["ETag"])

    try:
        return _request(uri, put)
    except (Conflict, NotFound) as error:
        stored = read_with_etag(uri) if sent > 1 else None  # an earlier try may have arrived, its answer lost
        if stored is not None and stored[0] == data:
            return stored[1]
        raise Conflict(f"{uri} was written by another in the meantime.") from error


def _compare_and_put_local(uri: str, data: bytes, expected_etag: str | None) -> str:
    path = _local(uri)
    with _local_errors(uri):
        path.parent.mkdir(parents=True, exist_ok=True)
        # the lock file stays: who deletes it may take it from under another who waits for it
        with path.with_name(f".{path.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            stored = _local_etag(path.stat()) if path.exists() else None
            if stored != expected_etag:
                raise Conflict(f"{uri} was written by another in the meantime.")
            return _replace_local(path, lambda file: file.write(data))
