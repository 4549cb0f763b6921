"""What is known of a film before anybody looks at it: its times, captions, summary and logs.

A film that was never indexed has times alone, and its frames are decoded when somebody wants to see them.
"""

import asyncio
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol

from loupe.agent.footage import FilmFile, film_file
from loupe.config import CaptionField, Index, digest
from loupe.library import Library
from loupe.library.tables import Row
from loupe.media import MediaError
from loupe.storage import StorageError, join, own_etag
from loupe.summarizing import LOGS
from loupe.timeline import grid, linspace_ms
from schemas.outputs import FrameCaption


class UnknownFilm(LookupError):
    """A film that the database does not hold."""


class HalfIndexed(LookupError):
    """A film of which the database holds a part so far."""


@dataclass(frozen=True)
class Caption:
    """A frame in words."""

    ts_ms: int
    chunk_index: int
    fields: FrameCaption
    _texts: dict[tuple[CaptionField, ...], str] = field(default_factory=dict, init=False, repr=False, compare=False)

    def text(self, fields: Sequence[CaptionField]) -> str:
        """Some of its fields, in their order; the sentence alone ends with a full stop."""
        key = tuple(fields)
        if key not in self._texts:
            self._texts[key] = self._text(key)
        return self._texts[key]

    def _text(self, fields: Sequence[CaptionField]) -> str:
        values = ((name, getattr(self.fields, name)) for name in fields)
        told = (value if isinstance(value, str) else ", ".join(value) for _, value in values)
        return "; ".join(text.removesuffix(".") for text in told if text) + "."


@dataclass(frozen=True)
class LogLine:
    """A line of one of the film's logs."""

    log: str
    start_ms: int
    end_ms: int
    text: str


@dataclass(frozen=True)
class Part:
    """A chunk of the film: when it is, what it was made from, its summary."""

    start_ms: int
    end_ms: int
    lineage: str
    summary: str


@dataclass(frozen=True)
class Film:
    """A film as its questions see it. `before` hides what lies after a time."""

    video_id: str
    duration_ms: int
    summary: str
    log: tuple[LogLine, ...]
    """In order of time."""
    captions: tuple[Caption, ...]
    """In order of time, one a frame."""
    times_ms: tuple[int, ...]
    """The frames that there are, in order."""
    parts: dict[int, Part]
    """By chunk_index."""
    decoded: bool = False
    """Whether its frames come from its file, since no index holds them."""
    lineage: str = ""
    """Of such a film: its object and the sampler."""
    file: FilmFile | None = None
    """Itself; None where the database does not say."""

    def before(self, limit_ms: int | None) -> "Film":
        """The film up to a time: what tells of anything later is gone, the summary of the whole first of all."""
        if limit_ms is None or limit_ms >= self.duration_ms:
            return self
        seen = {index: part for index, part in self.parts.items() if part.end_ms <= limit_ms}
        return replace(
            self,
            duration_ms=limit_ms,
            summary=" ".join(seen[index].summary for index in sorted(seen)),
            log=tuple(line for line in self.log if line.end_ms <= limit_ms),
            captions=tuple(caption for caption in self.captions if caption.ts_ms < limit_ms),
            times_ms=tuple(ts_ms for ts_ms in self.times_ms if ts_ms < limit_ms),
            parts={index: part for index, part in self.parts.items() if part.start_ms < limit_ms},
        )

    def nearest(self, time_ms: int) -> int | None:
        """The time of the frame that is nearest; None where the film has no frame."""
        after = bisect_left(self.times_ms, time_ms)
        around = self.times_ms[max(0, after - 1) : after + 1]
        return min(around, key=lambda ts_ms: abs(ts_ms - time_ms), default=None)

    def between(self, start_ms: int, end_ms: int, count: int) -> list[int]:
        """Times of at most `count` frames in [start, end], evenly apart."""
        inside = list(self.times_ms[bisect_left(self.times_ms, start_ms) : bisect_right(self.times_ms, end_ms)])
        if len(inside) <= count:
            return inside
        return [inside[at] for at in linspace_ms(0, len(inside) - 1, count)]

    def caption_at(self, ts_ms: int) -> Caption | None:
        """The caption of a frame, by its time."""
        return self._captions_by_time.get(ts_ms)

    def lineage_at(self, ts_ms: int) -> str:
        """What a frame of `times_ms` was made from."""
        return self.lineage or self.parts[self._captions_by_time[ts_ms].chunk_index].lineage

    @cached_property
    def _captions_by_time(self) -> dict[int, Caption]:
        return {caption.ts_ms: caption for caption in self.captions}

    def log_near(self, times_ms: Sequence[int], count: int) -> list[LogLine]:
        """The log lines that lie nearest to some times, in order of time."""

        def distance(line: LogLine) -> int:
            return min(max(line.start_ms - time, time - line.end_ms, 0) for time in times_ms)

        return sorted(sorted(self.log, key=distance)[:count], key=lambda line: (line.start_ms, line.end_ms))


def load_film(library: Library, video_id: str) -> Film:
    """Read a film. Raises UnknownFilm; HalfIndexed where the index job still has to try some of its chunks."""
    row = library.videos([video_id]).get(video_id)
    if row is None:
        raise UnknownFilm(f"the database has no film {video_id!r}: index it first")
    markers = {index: marker for (_, index), marker in library.chunk_markers(video_id).items()}
    _refuse_half(library, row, markers.keys())
    summaries = {chunk["chunk_index"]: chunk["summary"] or "" for chunk in library.chunk_summaries(video_id)}
    captions = tuple(_caption(row) for row in library.captions(video_id) if row["chunk_index"] in markers)
    return Film(
        video_id=video_id,
        duration_ms=row["duration_ms"] or max((marker.end_ms for marker in markers.values()), default=0),
        summary=row["summary"] or "",
        file=_file(row),
        log=_log(row),
        captions=captions,
        times_ms=tuple(caption.ts_ms for caption in captions),
        parts={
            index: Part(marker.start_ms, marker.end_ms, marker.lineage, summaries.get(index, ""))
            for index, marker in markers.items()
        },
    )


def _refuse_half(library: Library, row: Row, held: Set[int]) -> None:
    """Raises HalfIndexed, unless all chunks are of this film as it is now, and each has a marker or failed."""
    if row["status"] == "complete":
        return
    name, count = row["video_id"], row["chunk_count"] or 0
    failed = {each["chunk_index"] for each in library.failures(name)}
    if row["status"] != "indexing" or not set(range(count)) <= held | failed:
        raise HalfIndexed(
            f"the index holds {len(held)} of the {count} chunks of {name!r} so far: "
            "ask again when the index job has ended"
        )


def unindexed_film(root: str, video_id: str, index: Index) -> Film:
    """A film below a library's root that the database does not hold. Raises UnknownFilm."""
    uri = join(root, video_id)
    try:
        file, duration_ms = film_file(uri)
    except (StorageError, MediaError) as error:
        raise UnknownFilm(
            f"the film {video_id!r} is neither in the database nor to be read at {uri}: {error}"
        ) from error
    return Film(
        video_id=video_id,
        duration_ms=duration_ms,
        summary="",
        log=(),
        captions=(),
        times_ms=tuple(grid(0, duration_ms, index.fps)),
        parts={},
        decoded=True,
        lineage=digest(file.etag, file.size, index.fps, index.long_side, index.jpeg_quality),
        file=file,
    )


def _caption(row: Row) -> Caption:
    lists = {name: row[name] or [] for name in ("subjects", "actions", "objects", "on_screen_text")}
    fields = FrameCaption.model_construct(None, caption=row["caption"] or "", place=row["place"] or "", **lists)
    return Caption(row["ts_ms"], row["chunk_index"], fields)


def _file(row: Row) -> FilmFile | None:
    if not row["uri"] or row["size"] is None:
        return None
    return FilmFile(
        uri=row["uri"],
        etag=own_etag(row["etag"] or ""),
        size=row["size"],
        width=row["width"] or 0,
        height=row["height"] or 0,
        fps=row["fps"] or 0.0,
        has_audio=bool(row["has_audio"]),
    )


def _log(row: Row) -> tuple[LogLine, ...]:
    lines = [LogLine(name, line["start_ms"], line["end_ms"], line["text"]) for name in LOGS for line in row[name] or []]
    return tuple(sorted(lines, key=lambda line: (line.start_ms, line.end_ms)))


def _failed(reading: "asyncio.Task[Film]") -> bool:
    return reading.done() and (reading.cancelled() or reading.exception() is not None)


class FilmShelf(Protocol):
    """Where films come from."""

    async def get(self, video: str) -> Film:
        """A film by its video_id or URI. Raises UnknownFilm, HalfIndexed."""
        ...

    def forget(self, video_id: str) -> None:
        """Read a film anew the next time: its file is another one by now."""
        ...


class Films:
    """Films that questions share: each is read once, and the least recently asked for go first.

    Films that the database does not hold are looked for below `root`, a folder or s3:// prefix.
    """

    def __init__(
        self, library: Library | None, root: str | None = None, index: Index | None = None, keep: int = 16
    ) -> None:
        self._library = library
        self._root = root
        self._index = index or Index()
        self._keep = keep
        self._held: OrderedDict[str, asyncio.Task[Film]] = OrderedDict()

    async def get(self, video: str) -> Film:
        """A film by its video_id or URI. Raises as `load_film` does; what raised is read anew the next time."""
        if video in self._held and not _failed(self._held[video]):
            self._held.move_to_end(video)
        else:
            self._held[video] = asyncio.create_task(asyncio.to_thread(self._read, video))
        while len(self._held) > self._keep:
            self._held.popitem(last=False)
        return await asyncio.shield(self._held[video])

    def forget(self, video_id: str) -> None:
        """See FilmShelf. It may be held by its URI too."""
        for video, reading in list(self._held.items()):
            if reading.done() and not _failed(reading) and reading.result().video_id == video_id:
                del self._held[video]

    def _read(self, video: str) -> Film:
        try:
            return self._indexed(video)
        except UnknownFilm:
            if self._root is None:
                raise
            return unindexed_film(self._root, video.removeprefix(self._root.rstrip("/") + "/"), self._index)

    def _indexed(self, video: str) -> Film:
        if self._library is None:
            raise UnknownFilm(f"there is no database, and so no film {video!r} in it")
        try:
            return load_film(self._library, video)
        except UnknownFilm:
            video_id = self._library.video_id_at(video)
            if video_id is None:
                raise
            return load_film(self._library, video_id)
