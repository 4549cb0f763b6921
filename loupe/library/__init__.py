"""The index of a video library in LanceDB: opened, read, searched and kept in order here, and nowhere else.

A reader sees only what belongs to a chunk with a marker (visible.py); a chunk is replaced whole, its marker last
(commit.py). What a reader sees at each boundary of a commit stands in tables.STEPS.
"""

import logging
import time
from collections.abc import Collection, Sequence
from datetime import timedelta

from loupe.library import commit as commits
from loupe.library import upkeep, visible
from loupe.library.commit import CommitBatch, write_frame_fragments
from loupe.library.embedder import note_embedder, require_embedder
from loupe.library.filters import all_of, among, equals
from loupe.library.search import LevelName, Mode, SearchResult, search
from loupe.library.tables import (
    STEPS,
    BeforeCommit,
    LibraryError,
    MissingDatabaseError,
    Row,
    Rows,
    Tables,
    as_table,
    create_tables,
    keys_of,
    nothing,
)
from loupe.library.visible import ChunkMarker, StoredFrame
from loupe.storage import StorageError

__all__ = [
    "STEPS",
    "ChunkMarker",
    "CommitBatch",
    "Library",
    "LibraryError",
    "SearchResult",
    "StoredFrame",
    "write_frame_fragments",
]

logger = logging.getLogger(__name__)

KEPT = timedelta(days=1)
"""That old versions of a table are kept, for who reads them."""
CLEANED_AFTER_S = 6 * 3600
"""Between two removals of old versions in a run: each reads what the table has of them."""


class Library:
    """An open database. Reads see the newest rows; what writes is for one process at a time, which holds the lease."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._cleaned: float | None = None

    @classmethod
    def open(
        cls,
        database: str,
        dimensions: int | None = None,
        create: bool = False,
        before_commit: BeforeCommit = nothing,
        embedder: str | None = None,
    ) -> "Library":
        """Open a folder or s3:// prefix; `create` makes the tables that are missing.

        `before_commit` is called with the name of a step (STEPS) before each commit, and stops it by raising.
        Raises LibraryError where there is no database, or its embeddings have another size than `dimensions` or come
        from another embedder than this (embedding.identity_of), and StorageError.
        """
        if create:
            create_tables(database, dimensions, before_commit)
        tables = Tables(database, before_commit)
        if dimensions is not None and tables.dimensions != dimensions:
            raise LibraryError(
                f"{database} holds embeddings of {tables.dimensions} numbers, and the config's embedder makes "
                f"{dimensions}: use the embedder that it was made with, or a new database"
            )
        if embedder is not None:
            require_embedder(database, embedder)
            if create:
                note_embedder(database, embedder)
        return cls(tables)

    @classmethod
    def open_if_there(cls, database: str) -> "Library | None":
        """Open a database, or None where there is none yet."""
        try:
            return cls.open(database)
        except MissingDatabaseError:
            return None

    @property
    def dimensions(self) -> int:
        """Numbers in an embedding."""
        return self._tables.dimensions

    # What is there

    def videos(
        self, video_ids: Collection[str] | None = None, columns: Collection[str] | None = None
    ) -> dict[str, Row]:
        """Rows of films by video_id: all of them, or those that are asked for and there; whole, or of some columns."""
        if video_ids is not None and not video_ids:
            return {}
        where = None if video_ids is None else among("video_id", video_ids)
        wanted = None if columns is None else ["video_id", *columns]
        return {row["video_id"]: row for row in self._tables.read("videos", wanted, where).to_pylist()}

    def video_id_at(self, uri: str) -> str | None:
        """The film that was indexed from an address; None where none was."""
        found = self._tables.read("videos", ["video_id"], equals("uri", uri))["video_id"].to_pylist()
        return found[0] if found else None

    def chunk_markers(self, video_id: str | None = None) -> dict[tuple[str, int], ChunkMarker]:
        """Markers by (video_id, chunk_index), of one film or of the whole library in one scan."""
        return visible.chunk_markers(self._tables, video_id)

    def failures(self, video_id: str | None = None) -> list[Row]:
        """What could not be done, and why: of one film, or all."""
        where = None if video_id is None else equals("video_id", video_id)
        rows: list[Row] = self._tables.read("failures", where=where).to_pylist()
        return rows

    def frames(self, video_id: str, times_ms: Collection[int]) -> list[StoredFrame]:
        """Frames by key, in order of time; those that are not there are left out. One query for all."""
        return visible.frames(self._tables, video_id, times_ms)

    def chunk_frames(self, video_id: str, chunk_index: int) -> list[Row]:
        """Rows of `frames` of one chunk, in order of time."""
        where = all_of(equals("video_id", video_id), equals("chunk_index", chunk_index))
        return visible.read_visible(self._tables, "frames", where, "ts_ms")

    def chunk_captions(self, video_id: str, chunk_index: int) -> list[Row]:
        """Rows of `captions` of one chunk, in order of time, with their vectors."""
        where = all_of(equals("video_id", video_id), equals("chunk_index", chunk_index))
        return visible.read_visible(self._tables, "captions", where, "ts_ms")

    def chunk_transcripts(self, video_id: str, chunk_index: int) -> list[Row]:
        """Rows of `transcripts` of one chunk, in order of time, without their vectors."""
        where = all_of(equals("video_id", video_id), equals("chunk_index", chunk_index))
        return visible.read_visible(self._tables, "transcripts", where, "line_index", but=("vector",))

    def captions(self, video_id: str) -> list[Row]:
        """Rows of `captions` of a film, in order of time, without their vectors."""
        return visible.read_visible(self._tables, "captions", equals("video_id", video_id), "ts_ms", but=("vector",))

    def transcripts(self, video_id: str) -> list[Row]:
        """Rows of `transcripts` of a film, in order of time, without their vectors."""
        where = equals("video_id", video_id)
        return visible.read_visible(self._tables, "transcripts", where, "start_ms", but=("vector",))

    def chunk_summaries(self, video_id: str) -> list[Row]:
        """chunk_index, start_ms, end_ms and summary of a film's chunks, in order."""
        columns = ("chunk_index", "start_ms", "end_ms", "summary")
        found = self._tables.read("chunks", columns, equals("video_id", video_id))
        rows: list[Row] = found.sort_by("chunk_index").to_pylist()
        return rows

    def tokens(self, video_id: str) -> int:
        """Prompt and completion tokens of the captions and summaries that stand in a film's chunks."""
        found = self._tables.read("chunks", ("prompt_tokens", "completion_tokens"), equals("video_id", video_id))
        return sum(row[name] or 0 for row in found.to_pylist() for name in found.column_names)

    def search(
        self,
        query_text: str | None = None,
        query_vector: Sequence[float] | None = None,
        *,
        level: LevelName = "frames",
        video_id: str | Collection[str] | None = None,
        start_ms: int | None = None,
        end_ms: int | None = None,
        mode: Mode = "hybrid",
        top_k: int = 40,
        gap_ms: int | None = None,
        exact: bool = False,
    ) -> SearchResult:
        """The best rows of a level, of one film, of some, or of all, that lie in [start_ms, end_ms) at least in part.

        `query_vector` has unit length. Hits closer than `gap_ms` (the level's own if None) form a cluster. `exact`
        passes by an ANN index. Raises ValueError for what the mode needs and is not given.
        """
        return search(
            self._tables,
            query_text,
            query_vector,
            level=level,
            video_id=video_id,
            start_ms=start_ms,
            end_ms=end_ms,
            mode=mode,
            top_k=top_k,
            gap_ms=gap_ms,
            exact=exact,
        )

    # What changes it

    def commit(self, batch: CommitBatch) -> None:
        """Replace many chunks, whole, and catch up; can be done again after a crash. See commit.commit."""
        commits.commit(self._tables, batch)
        self.catch_up()

    def put_videos(self, rows: Rows) -> None:
        """Write rows of films; one that differs from what is there by `indexed_at` alone is left as it is."""
        self._tables.upsert_changed("videos: upsert", "videos", rows, but=("indexed_at",))

    def put_failures(self, rows: Rows) -> None:
        """Write reasons; one that is there already, but for its time, is left as it is."""
        self._tables.upsert_changed("failures: upsert", "failures", rows, but=("failed_at",))

    def replace_failures(self, chunks: Collection[tuple[str, int]], rows: Rows) -> None:
        """Write the reasons of some chunks, by (video_id, chunk_index), and delete those that no longer hold."""
        keys = self._tables.keys("failures")
        new = set(keys_of(as_table(rows, self._tables.schemas["failures"]), keys))
        if chunks:
            settled = set(chunks)
            there = self._tables.read("failures", keys, among("video_id", [film for film, _ in settled]))
            stale = [key for key in keys_of(there, keys) if key[:2] in settled and key not in new]
            commits.delete_keys(self._tables, "failures: delete", "failures", keys, stale)
        self.put_failures(rows)

    def delete_chunks_after(self, video_id: str, chunk_count: int) -> None:
        """Delete what a film that got shorter has in chunks from index `chunk_count` on."""
        commits.delete_chunks_after(self._tables, video_id, chunk_count)

    def delete_chunks(self, video_id: str, chunks: Collection[int]) -> None:
        """Delete what there is of some chunks of a film, by index."""
        commits.delete_chunks(self._tables, video_id, chunks)

    def delete_videos(self, video_ids: Collection[str]) -> None:
        """Delete everything of some films; their own rows last."""
        commits.delete_videos(self._tables, video_ids)

    def catch_up(self, keep: timedelta = KEPT) -> None:
        """Merge and index what many commits have left in small files; nothing where there are few. See upkeep.

        Removes versions older than `keep` now and then. Where storage fails it, that is logged and no more: the tables
        are only slower.
        """
        try:
            caught_up = upkeep.catch_up(self._tables)
            if caught_up and (self._cleaned is None or time.monotonic() - self._cleaned > CLEANED_AFTER_S):
                for name in self._tables.schemas:
                    upkeep.clean_up(self._tables, name, keep)
                self._cleaned = time.monotonic()
        except StorageError as error:
            logger.warning("small files were not merged, which only makes the tables slower: %s", error)

    def optimize(self, *, ann_rows: int = 100_000, keep: timedelta = KEPT) -> None:
        """Merge small files, bring indexes up to date, and remove versions older than `keep`.

        From `ann_rows` vectors on a table gets an ANN index; below, comparing all of them is as quick. Makes no
        version where there is nothing to do. A reader must not hold on to a version for longer than `keep`.
        """
        upkeep.optimize(self._tables, ann_rows=ann_rows, keep=keep)
