"""Chunks into the tables, exactly once: frames, captions and spoken lines first, the chunks' markers last.

Workers write pixels as Lance fragments that nobody sees (write_frame_fragments); the job's driver commits many chunks
at once (commit). Every step can be done twice: a commit that died is finished by committing the same chunks again,
because whatever lies in a chunk's place without belonging to the new chunk is deleted, pixels before the append.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import lance
import pyarrow as pa
from lance.fragment import write_fragments
from pydantic import BaseModel

from loupe.library.filters import Where, above, all_of, among, any_of, at_least, below, equals
from loupe.library.patience import patiently
from loupe.library.tables import LibraryError, Rows, Tables, as_table, keys_of, open_dataset
from loupe.library.visible import LINEAGES
from schemas import tables as schema

CHUNK = ("video_id", "chunk_index")
Key = tuple[Any, ...]


@dataclass(frozen=True)
class CommitBatch:
    """Many chunks at once, of any films."""

    chunks: Rows
    """Rows of `chunks`: the markers. `frame_count` is counted here: it is the rows of `frames` that there are."""
    fragments: Sequence[str] = ()
    """What write_frame_fragments gave; a chunk that is in none of them keeps the pixels of its lineage."""
    captions: Rows = ()
    """Rows of `captions`; a chunk without any keeps the captions of its lineage."""
    transcripts: Rows = ()
    """Rows of `transcripts`: all lines of these chunks; a chunk without any loses those that it had."""


class ChunkPixels(BaseModel):
    """The frames of one chunk in some fragments."""

    video_id: str
    chunk_index: int
    lineage: str
    frames: int


class Pixels(BaseModel):
    """Fragments that are written and not committed, with what is in them."""

    chunks: list[ChunkPixels]
    fragments: list[dict[str, Any]]


def write_frame_fragments(database: str, table: pa.Table) -> str:
    """Write rows of `frames` so that nobody sees them yet, in any process; returns what CommitBatch takes.

    Raises ValueError for empty pictures and LibraryError where there is no database.
    """
    rows = as_table(table, schema.frames())
    if any(not jpeg for jpeg in rows["jpeg"].to_pylist()):
        raise ValueError("a frame has an empty picture")
    held = Counter(keys_of(rows, (*CHUNK, "lineage")))
    frames = open_dataset(database, "frames")
    fragments = patiently(write_fragments)(rows, frames, mode="append") if rows.num_rows else []
    return Pixels(
        chunks=[
            ChunkPixels(video_id=film, chunk_index=index, lineage=lineage, frames=count)
            for (film, index, lineage), count in held.items()
        ],
        fragments=[fragment.to_json() for fragment in fragments],
    ).model_dump_json()


def commit(tables: Tables, batch: CommitBatch) -> None:
    """Replace the batch's chunks, whole, in one version a table and kind of change.

    Raises ValueError or LibraryError, before anything is changed, for a batch whose parts do not belong together.
    """
    chunks = as_table(batch.chunks, tables.schemas["chunks"])
    captions = as_table(batch.captions, tables.schemas["captions"])
    transcripts = as_table(batch.transcripts, tables.schemas["transcripts"])
    pixels = _newest([Pixels.model_validate_json(text) for text in batch.fragments])
    _check_parts(chunks, captions, transcripts, pixels)
    if not chunks.num_rows:
        return
    chunks, stale_frames = _settle_frames(tables, chunks, pixels)
    stale_captions = _stale_text(tables, "captions", chunks, captions, keep=_without_rows(chunks, captions))
    stale_lines = _stale_text(tables, "transcripts", chunks, transcripts, keep=set())

    tables.delete("markers: delete", "chunks", _place_of(chunks, "start_ms", "end_ms"))
    delete_keys(tables, "frames: delete", "frames", (*CHUNK, "lineage"), stale_frames)
    fragments = [lance.FragmentMetadata.from_json(json.dumps(each)) for part in pixels for each in part.fragments]
    tables.append("frames: append", "frames", fragments)
    tables.upsert("captions: upsert", "captions", captions)
    delete_keys(tables, "captions: delete", "captions", tables.keys("captions"), stale_captions)
    tables.upsert("transcripts: upsert", "transcripts", transcripts)
    delete_keys(tables, "transcripts: delete", "transcripts", tables.keys("transcripts"), stale_lines)
    tables.upsert("markers: upsert", "chunks", chunks)


def delete_chunks_after(tables: Tables, video_id: str, chunk_count: int) -> None:
    """Delete what a film has in chunks that it no longer has: those from index `chunk_count` on."""
    _delete_chunks(tables, all_of(equals("video_id", video_id), at_least("chunk_index", chunk_count)))


def delete_chunks(tables: Tables, video_id: str, chunks: Collection[int]) -> None:
    """Delete some chunks of a film, by index."""
    if chunks:
        _delete_chunks(tables, all_of(equals("video_id", video_id), among("chunk_index", chunks)))


def delete_videos(tables: Tables, video_ids: Collection[str]) -> None:
    """Delete everything of some films; their rows of `videos` last: a deletion that died is seen and done again."""
    if video_ids:
        where = among("video_id", video_ids)
        _delete_chunks(tables, where)
        tables.delete("failures: delete", "failures", where)
        tables.delete("videos: delete", "videos", where)


def _delete_chunks(tables: Tables, where: Where) -> None:
    tables.delete("markers: delete", "chunks", where)
    tables.delete("frames: delete", "frames", where)
    tables.delete("captions: delete", "captions", where)
    tables.delete("transcripts: delete", "transcripts", where)


def _newest(pixels: Sequence[Pixels]) -> list[Pixels]:
    """The fragments without those whose every chunk was written again later. Raises ValueError for half of one."""
    taken: set[Key] = set()
    newest = []
    for part in reversed(pixels):
        chunks = {(held.video_id, held.chunk_index) for held in part.chunks}
        if not chunks & taken:
            newest.append(part)
        elif not chunks <= taken:
            raise ValueError(f"some chunks of one fragment were written again in another: {sorted(chunks & taken)}")
        taken |= chunks
    return newest[::-1]


def _check_parts(chunks: pa.Table, captions: pa.Table, transcripts: pa.Table, pixels: Sequence[Pixels]) -> None:
    """Every row and fragment has its marker in the batch, of its own lineage."""
    for name in ("lineage", "caption_lineage", "summary_lineage"):
        if chunks[name].null_count:
            raise ValueError(f"a marker without its {name}")
    for name, rows in (("captions", captions), ("transcripts", transcripts)):
        own, of_marker = LINEAGES[name]
        _check_lineages(name, set(keys_of(rows, (*CHUNK, own))), chunks, of_marker)
    held = {(part.video_id, part.chunk_index, part.lineage) for each in pixels for part in each.chunks}
    _check_lineages("frames", held, chunks, "lineage")


def _check_lineages(name: str, found: set[Key], chunks: pa.Table, of_marker: str) -> None:
    strange = found - set(keys_of(chunks, (*CHUNK, of_marker)))
    if strange:
        raise ValueError(f"{name} without a marker of their lineage in the batch: {sorted(strange, key=str)[:3]}")


def _settle_frames(tables: Tables, chunks: pa.Table, pixels: Sequence[Pixels]) -> tuple[pa.Table, set[Key]]:
    """The markers with their frames counted, and which frames of the tables have to go.

    Rows in a place whose pixels are new go, whoever wrote them: a run may have died between append and marker.
    """
    counts = Counter({(held.video_id, held.chunk_index): held.frames for part in pixels for held in part.chunks})
    keep = {key for key in keys_of(chunks, (*CHUNK, "lineage")) if key[:2] not in counts}
    there = keys_of(tables.read("frames", (*CHUNK, "lineage"), _place_of(chunks, "ts_ms")), (*CHUNK, "lineage"))
    counts.update(key[:2] for key in there if key in keep)
    for *chunk, stated in keys_of(chunks, (*CHUNK, "frame_count")):
        if stated and not counts[tuple(chunk)]:
            raise LibraryError(f"chunk {chunk[1]} of {chunk[0]!r} has no frames, neither stored nor in this batch")
    counted = pa.array([counts[key] for key in keys_of(chunks, CHUNK)], pa.int32())
    position = chunks.schema.get_field_index("frame_count")
    return chunks.set_column(position, chunks.schema.field(position), counted), set(there) - keep


def _without_rows(chunks: pa.Table, captions: pa.Table) -> set[Key]:
    """Chunk and caption lineage of the chunks that have no captions in the batch: theirs stay."""
    own = set(keys_of(captions, CHUNK))
    return {key for key in keys_of(chunks, (*CHUNK, "caption_lineage")) if key[:2] not in own}


def _stale_text(tables: Tables, name: str, chunks: pa.Table, rows: pa.Table, keep: set[Key]) -> set[Key]:
    """Keys of rows that lie in the place of these chunks, are not written anew, and do not stay."""
    keys, lineage = tables.keys(name), LINEAGES[name][0]
    time = "ts_ms" if name == "captions" else "start_ms"
    there = tables.read(name, list({*keys, *CHUNK, lineage}), _place_of(chunks, time))
    old = zip(keys_of(there, keys), keys_of(there, (*CHUNK, lineage)), strict=True)
    return {key for key, chunk in old if chunk not in keep} - set(keys_of(rows, keys))


def _place_of(chunks: pa.Table, start: str, end: str | None = None) -> Where:
    """Rows of these chunks' films that have one of their indexes or lie in one of their times.

    By time too, because under another chunk length the same moments had another index.
    """
    rows = sorted(keys_of(chunks, ("video_id", "chunk_index", "start_ms", "end_ms")))
    runs: list[list[Any]] = []
    for film, index, begin, finish in rows:
        if runs and runs[-1][0] == film and runs[-1][2] + 1 == index and runs[-1][4] == begin:
            runs[-1][2], runs[-1][4] = index, finish
        else:
            runs.append([film, index, index, begin, finish])
    lies_in = [
        all_of(
            equals("video_id", film),
            any_of(
                [
                    all_of(at_least("chunk_index", first), below("chunk_index", last + 1)),
                    all_of(above(end, begin) if end else at_least(start, begin), below(start, finish)),
                ]
            ),
        )
        for film, first, last, begin, finish in runs
    ]
    return all_of(among("video_id", [run[0] for run in runs]), any_of(lies_in))


def delete_keys(tables: Tables, step: str, name: str, columns: Sequence[str], keys: Collection[Key]) -> None:
    """Delete rows by the values of some columns, video_id first."""
    if keys:
        films = among("video_id", [key[0] for key in keys])
        tables.delete(step, name, all_of(films, any_of(_matches(columns, keys))))


def _matches(columns: Sequence[str], keys: Iterable[Key]) -> list[Where]:
    """One condition for all keys that are alike but for the last value."""
    *alike, last = columns
    groups: dict[Key, list[Any]] = {}
    for key in sorted(keys, key=str):
        groups.setdefault(key[:-1], []).append(key[-1])
    return [
        all_of(*(equals(column, value) for column, value in zip(alike, group, strict=True)), among(last, values))
        for group, values in groups.items()
    ]
