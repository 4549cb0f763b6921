"""What a reader sees: only rows that belong to a chunk's marker, their lineage equal to the marker's."""

from collections.abc import Collection
from typing import NamedTuple

import pyarrow as pa

from loupe.library.filters import Where, all_of, among, equals
from loupe.library.tables import Row, Tables, keys_of

LINEAGES = {
    "frames": ("lineage", "lineage"),
    "captions": ("caption_lineage", "caption_lineage"),
    "transcripts": ("lineage", "summary_lineage"),
}
"""By table: its lineage column, and the marker's column that it must equal."""

FEW_FILMS = 8
"""Whose markers are read film by film, and held."""


class ChunkMarker(NamedTuple):
    """A chunk that is whole in the tables, and what its rows were made from."""

    video_id: str
    chunk_index: int
    lineage: str
    caption_lineage: str
    summary_lineage: str
    start_ms: int
    end_ms: int
    damaged_packets: int
    caption_prompt_tokens: int = 0
    caption_completion_tokens: int = 0
    sound_lineage: str = ""
    transcript_lineage: str = ""


class StoredFrame(NamedTuple):
    """A frame's pixels: the time that was asked for, the time that was on screen, the JPEG."""

    ts_ms: int
    pts_ms: int
    jpeg: bytes


def chunk_markers(tables: Tables, video_id: str | None = None) -> dict[tuple[str, int], ChunkMarker]:
    """Markers by (video_id, chunk_index), of one film or of the whole library in one scan."""
    where = None if video_id is None else equals("video_id", video_id)
    found = tables.read("chunks", ChunkMarker._fields, where)
    return {(key[0], key[1]): ChunkMarker(*key) for key in keys_of(found, ChunkMarker._fields)}


def with_marker(tables: Tables, name: str, rows: pa.Table) -> pa.Table:
    """The rows of a table that have a marker of their lineage, in their order."""
    own, of_marker = LINEAGES[name]
    keys = keys_of(rows, ("video_id", "chunk_index", own))
    if not keys:
        return rows
    markers = _markers(tables, {key[0] for key in keys}, of_marker)
    return rows.filter(pa.array([key in markers for key in keys], pa.bool_()))


def _markers(tables: Tables, films: Collection[str], lineage: str) -> Collection[tuple[str, int, str]]:
    """(video_id, chunk_index, lineage) of the markers of some films; those of a few films are held."""
    columns = ("video_id", "chunk_index", lineage)
    if len(films) > FEW_FILMS:
        return set(keys_of(tables.read("chunks", columns, among("video_id", films)), columns))
    held = [tables.keys_held("chunks", columns, equals("video_id", film)) for film in films]
    return held[0] if len(held) == 1 else frozenset().union(*held)


def read_visible(tables: Tables, name: str, where: Where, order: str, but: Collection[str] = ()) -> list[Row]:
    """Rows of `frames`, `captions` or `transcripts` that a reader sees, sorted; without the columns `but`."""
    columns = [column for column in tables.schemas[name].names if column not in but]
    rows: list[Row] = with_marker(tables, name, tables.read(name, columns, where)).sort_by(order).to_pylist()
    return rows


def frames(tables: Tables, video_id: str, times_ms: Collection[int]) -> list[StoredFrame]:
    """The frames of a film with these keys, in order of time; those that are not there are left out. One query."""
    if not times_ms:
        return []
    where = all_of(equals("video_id", video_id), among("ts_ms", times_ms))
    rows = read_visible(tables, "frames", where, "ts_ms")
    return [StoredFrame(row["ts_ms"], row["pts_ms"], row["jpeg"]) for row in rows]
