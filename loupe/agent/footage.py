"""The films themselves: frames and sound decoded from their files, held for whoever asks for them again."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any, BinaryIO, Protocol

from loupe.config import Index, digest
from loupe.engines.speech import RATE
from loupe.library import StoredFrame
from loupe.media import cut_audio, encode_jpeg, probe, sample_frames
from loupe.sound import Sound
from loupe.storage import ObjectChanged, RangedFile, open_seekable, stat


@dataclass(frozen=True)
class FilmFile:
    """The file of a film: where it is, which version of it, and what its headers say."""

    uri: str
    etag: str
    size: int
    width: int
    height: int
    """Of the upright picture, in square pixels."""
    fps: float
    """0 where the container does not say."""
    has_audio: bool


def _nothing() -> None:
    """What most things need when they go."""


@dataclass(frozen=True)
class _Kept:
    value: Any
    size: int
    close: Callable[[], object]


class Held:
    """Values by key, so many bytes of them at most; the least recently used go first, and are closed as they go."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()
        self._lock = Lock()
        self.bytes = 0
        """Of all that is held."""

    def get(self, key: Hashable) -> Any:
        """A value, which stays; None where it is not held."""
        with self._lock:
            kept = self._kept.get(key)
            if kept:
                self._kept.move_to_end(key)
            return kept.value if kept else None

    def take(self, key: Hashable) -> Any:
        """A value, which is the caller's from now on; None where it is not held."""
        with self._lock:
            kept = self._remove(key)
            return kept.value if kept else None

    def put(self, key: Hashable, value: Any, size: int, close: Callable[[], object] = _nothing) -> None:
        """Hold a value of so many bytes; `close` is called once it is given up: at once, if there is no room for it."""
        new = _Kept(value, size, close)
        with self._lock:
            gone = [self._remove(key)]
            if size > self._most:
                gone.append(new)
            else:
                self._kept[key] = new
                self.bytes += size
            while self.bytes > self._most:
                gone.append(self._remove(next(iter(self._kept))))
        for kept in gone:
            if kept:
                kept.close()

    def _remove(self, key: Hashable) -> _Kept | None:
        kept = self._kept.pop(key, None)
        self.bytes -= kept.size if kept else 0
        return kept


class Footage(Protocol):
    """Where frames and sound of a film come from. Blocks; may be asked from several threads."""

    def frames(self, file: FilmFile, times_ms: Sequence[int]) -> list[StoredFrame]:
        """The frames on screen at some times, in order of time; what is lost or past the end is left out."""
        ...

    def sound(self, file: FilmFile, start_ms: int, end_ms: int) -> Sound:
        """Mono samples of [start, end) at RATE, -1 to 1, of shape (n,)."""
        ...

    def lineage(self, file: FilmFile) -> str:
        """What its frames are made from."""
        ...


class DecodedFootage:
    """Frames and sound decoded from files, read by ranges where they are on S3.

    Objects on S3 that were read stay open, and what was decoded is kept, as long as there is room. What comes of a
    file that was replaced is never mixed with what the former one gave.
    """

    def __init__(self, index: Index, held: Held) -> None:
        self._index = index
        self._held = held

    def frames(self, file: FilmFile, times_ms: Sequence[int]) -> list[StoredFrame]:
        """See Footage. Raises MediaError, StorageError."""
        wanted = sorted(set(times_ms))
        known = {ts_ms: self._held.get((file.uri, file.etag, ts_ms)) for ts_ms in wanted}
        missing = [ts_ms for ts_ms in wanted if known[ts_ms] is None]
        if missing:
            for frame in self._decoded(file, missing):
                known[frame.ts_ms] = frame
                self._held.put((file.uri, file.etag, frame.ts_ms), frame, len(frame.jpeg))
        return [frame for frame in known.values() if frame is not None]

    def sound(self, file: FilmFile, start_ms: int, end_ms: int) -> Sound:
        """See Footage. Raises MediaError, StorageError."""
        key = (file.uri, file.etag, start_ms, end_ms)
        samples: Sound | None = self._held.get(key)
        if samples is None:
            with self._open(file) as source:
                samples = cut_audio(source, start_ms, end_ms, RATE)
            self._held.put(key, samples, samples.nbytes)
        return samples

    def lineage(self, file: FilmFile) -> str:
        """The file's version and how its pictures are made."""
        return digest(file.etag, file.size, self._index.long_side, self._index.jpeg_quality)

    def _decoded(self, file: FilmFile, times_ms: Sequence[int]) -> Iterator[StoredFrame]:
        with self._open(file) as source:
            index, rgb, jpeg = self._index, None, b""
            for one in sample_frames(source, times_ms, long_side=index.long_side, decoder=index.decoder):
                if one.rgb is not rgb:
                    rgb, jpeg = one.rgb, encode_jpeg(one.rgb, index.jpeg_quality)
                yield StoredFrame(one.ts_ms, one.pts_ms, jpeg)

    @contextmanager
    def _open(self, file: FilmFile) -> Iterator[BinaryIO]:
        """The file, open: one that nobody reads at the moment, or another. Raises ObjectChanged."""
        source: BinaryIO = self._held.take((file.uri, file.etag)) or _opened(file)
        try:
            yield source
        except BaseException:
            source.close()
            raise
        if isinstance(source, RangedFile):
            self._held.put((file.uri, file.etag), source, source.memory, source.close)
        else:
            source.close()


def film_file(uri: str) -> tuple[FilmFile, int]:
    """The file at a place, and how many milliseconds the film lasts. Raises MediaError, StorageError."""
    entry = stat(uri)
    with open_seekable(uri) as source:
        info = probe(source)
    file = FilmFile(uri, entry.etag, entry.size, info.width, info.height, info.fps, info.has_audio)
    return file, info.duration_ms


def _opened(file: FilmFile) -> BinaryIO:
    source = open_seekable(file.uri)
    opened = source if isinstance(source, RangedFile) else stat(file.uri)
    if (opened.etag, opened.size) != (file.etag, file.size):
        source.close()
        raise ObjectChanged(f"{file.uri} was replaced since it was first read.")
    return source
