"""What makes a film complete: its logs and global summary, once all of its chunks are in the tables."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from loupe.config import digest
from loupe.embedding import Embedder
from loupe.engines.protocol import Engine
from loupe.indexing.planning import is_lost
from loupe.indexing.stages import NO_SUMMARY, Film, Settings
from loupe.library import ChunkMarker, Library
from loupe.summarizing import LOGS, summarize_video
from schemas.messages import Usage
from schemas.outputs import LogEntry

Row = dict[str, Any]


@dataclass(frozen=True)
class Finished:
    """A film's row, whole, with what its summary cost."""

    row: Row
    usage: Usage = Usage()
    requests: int = 0
    failure: Row | None = None
    """A row of `failures` instead, where the film could not be finished."""


def films_to_finish(films: Iterable[Film], library: Library, settings: Settings) -> list[Row]:
    """Rows of `videos` of films whose every chunk is in the tables or failed for good, with `wanted_lineage`.

    A chunk whose captions another captioner wrote is not there: its new ones may have been lost on their way.
    """
    names = [film.video_id for film in films]
    lost = {(row["video_id"], row["chunk_index"]) for row in library.failures() if is_lost(row)}
    by_film: dict[str, list[ChunkMarker]] = {}
    for marker in library.chunk_markers().values():
        by_film.setdefault(marker.video_id, []).append(marker)
    ready = []
    for name, row in library.videos(names).items():
        there = {marker.chunk_index for marker in by_film.get(name, ()) if _is_whole(marker, settings)}
        missing = set(range(row["chunk_count"])) - there
        if there and all((name, index) in lost for index in missing):
            ready.append({**row, **_made_by(settings), "wanted_lineage": _lineage(by_film[name], settings)})
    return ready


def _is_whole(marker: ChunkMarker, settings: Settings) -> bool:
    current = marker.caption_lineage == settings.caption_lineage(marker.lineage)
    return current and marker.summary_lineage != NO_SUMMARY


def _made_by(settings: Settings) -> Row:
    """Where every chunk was current, none of them came by to write this."""
    return {
        "sampler": settings.sampler,
        "captioner": settings.captioner,
        "summarizer": settings.film_summarizer,
        "transcriber": settings.transcriber,
    }


def _lineage(markers: Iterable[ChunkMarker], settings: Settings) -> str:
    ordered = sorted(markers, key=lambda marker: marker.chunk_index)
    return digest([marker.summary_lineage for marker in ordered], settings.film_summarizer)


async def finish_film(
    row: Row, settings: Settings, library: Library, summarizer: Engine, embedder: Embedder
) -> Finished:
    """Write a film's summary and logs, unless its row has those of the same chunks. Raises ParseError, EngineError.

    Chunks without a summary are left out; where no chunk has one, nor has the film.
    """
    row = dict(row)
    wanted = row.pop("wanted_lineage")
    row |= {"status": "complete", "indexed_at": datetime.now(UTC)}
    if row["lineage"] == wanted:
        return Finished(row)
    chunks = await asyncio.to_thread(library.chunk_summaries, row["video_id"])
    told = [chunk for chunk in chunks if chunk["summary"]]
    parts = [(chunk["start_ms"] / 1000, chunk["end_ms"] / 1000, chunk["summary"]) for chunk in told]
    if not parts:
        return Finished({**row, **{name: [] for name in LOGS}, "summary": "", "vector": None, "lineage": wanted})
    index = settings.config.index
    summary, usage, requests = await summarize_video(
        parts, summarizer, settings.video_prompt, fan_in=index.summary_fan_in, max_tokens=index.video_summary_tokens
    )
    vector = (await asyncio.to_thread(embedder.embed, [summary.summary]))[0].tolist()
    logs = {name: [_log_row(line, row["duration_ms"]) for line in getattr(summary, name)] for name in LOGS}
    return Finished({**row, **logs, "summary": summary.summary, "vector": vector, "lineage": wanted}, usage, requests)


def _log_row(line: LogEntry, duration_ms: int) -> Row:
    """A line of a log in milliseconds, within the film."""
    start = min(round(line.start * 1000), duration_ms)
    return {"start_ms": start, "end_ms": max(start, min(round(line.end * 1000), duration_ms)), "text": line.text}
