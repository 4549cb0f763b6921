"""Notes that agents took while they answered: kept by the answer job alone, read by later questions."""

from collections.abc import Collection
from datetime import timedelta
from typing import Any

import lance
import pyarrow as pa
from lance.optimize import Compaction

from loupe.library.filters import all_of, among, any_of, equals
from loupe.library.patience import patiently
from loupe.library.tables import (
    BeforeCommit,
    MissingDatabaseError,
    Row,
    check_schema,
    create_table,
    keys_of,
    nothing,
    open_dataset,
    put_rows,
)
from schemas.notes import NOTES
from schemas.tables import key_columns

TABLE = "notes"
KEYS = key_columns(NOTES)
KEPT = timedelta(days=1)
"""That old versions of the table are kept, for who reads them."""


def read_notes(database: str, video_id: str) -> list[Row]:
    """The notes about a film, in order of time; none where nobody has kept any."""
    table = open_notes(database)
    if table is None:
        return []
    rows: list[Row] = patiently(table.to_table)(filter=equals("video_id", video_id)).to_pylist()
    return sorted(rows, key=lambda row: (row["start_ms"], row["end_ms"], row["transcript_id"], row["turn"]))


def put_notes(
    database: str, rows: pa.Table, transcripts: Collection[str], before_commit: BeforeCommit = nothing
) -> None:
    """Write the notes of some rollouts, in the place of those that they left before. Can be done twice.

    `before_commit` is called with the name of each step (loupe.answering.store.STEPS).
    """
    table = open_notes(database)
    if table is None:
        if not rows.num_rows:
            return
        before_commit("notes: create")
        create_table(database, TABLE, NOTES)
        table = open_notes(database)
    if stale := _stale(table, rows, transcripts):
        _delete(database, stale, before_commit)
    if rows.num_rows:
        _upsert(database, rows, before_commit)


@patiently
def _delete(database: str, keys: Collection[tuple[Any, ...]], before_commit: BeforeCommit) -> None:
    before_commit("notes: delete")  # at every try: the lease may be lost while it waits for the next
    open_dataset(database, TABLE).delete(any_of(all_of(*map(equals, KEYS, key)) for key in sorted(keys)))


@patiently
def _upsert(database: str, rows: pa.Table, before_commit: BeforeCommit) -> None:
    before_commit("notes: upsert")
    put_rows(open_dataset(database, TABLE), KEYS, rows)


def tidy_notes(database: str, before_commit: BeforeCommit = nothing, kept: timedelta = KEPT) -> None:
    """Merge the table's small files, and remove versions older than `kept`; nothing where nothing is to be done."""
    table = open_notes(database)
    if table is None:
        return
    if patiently(Compaction.plan)(table, {}).num_tasks():
        _compact(database, before_commit)
    patiently(open_dataset(database, TABLE).cleanup_old_versions)(older_than=kept)


@patiently
def _compact(database: str, before_commit: BeforeCommit) -> None:
    before_commit("notes: compact")
    open_dataset(database, TABLE).optimize.compact_files()


def open_notes(database: str) -> Any:
    """The table as a Lance dataset, at its newest version; None where nobody has kept any. Raises LibraryError."""
    try:
        table = open_dataset(database, TABLE)
    except MissingDatabaseError:
        return None
    check_schema(database, TABLE, table.schema, NOTES, f"delete {TABLE}.lance there, to begin without notes")
    return table


def _stale(table: lance.LanceDataset, rows: pa.Table, transcripts: Collection[str]) -> set[tuple[Any, ...]]:
    """Keys of notes that these rollouts left before and have no more."""
    if not transcripts:
        return set()
    there = patiently(table.to_table)(columns=KEYS, filter=among("transcript_id", transcripts))
    return set(keys_of(there, KEYS)) - set(keys_of(rows, KEYS))
