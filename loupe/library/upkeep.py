"""Small files into large ones, indexes over what is new, old versions away; nothing where nothing is to be done."""

from datetime import timedelta
from typing import Any

from lance.optimize import Compaction, CompactionOptions

from loupe.library.tables import Tables

KEYS = {
    "chunks": ("video_id", "chunk_index"),
    "frames": ("video_id",),
    "captions": ("video_id", "ts_ms"),
    "transcripts": ("video_id", "chunk_index", "line_index"),
}
"""Scalar indexes. Where rows are upserted every key column has one: only then does a merge not read every key."""
TEXTS = {"videos": "summary", "chunks": "summary", "captions": "text", "transcripts": "text"}
"""Full-text indexes; stop words stay, since signs say NO and OUT."""
VECTORS = ("chunks", "captions", "transcripts")
ROWS_PER_FILE = {"frames": 16_384}
"""Half a gigabyte of pictures a file; of the other tables' rows a file holds many more."""
OTHER_ROWS_PER_FILE = 262_144
READ_AT_ONCE = {"frames": 256}
"""Rows that compaction holds in memory at a time."""
ROUNDS = 4
"""A table settles in two: files that an index covers are not merged with files that it does not."""


def optimize(tables: Tables, *, ann_rows: int, keep: timedelta) -> None:
    """Compact, index and clean up every table; see Library.optimize."""
    for name in tables.schemas:
        for _ in range(ROUNDS):
            if not (compact(tables, name) | index(tables, name, ann_rows)):
                break
        tables.dataset(name).cleanup_old_versions(older_than=keep)


def compact(tables: Tables, name: str) -> bool:
    """Merge small files; whether there was anything to merge."""
    options: CompactionOptions = {
        "target_rows_per_fragment": ROWS_PER_FILE.get(name, OTHER_ROWS_PER_FILE),
        "batch_size": READ_AT_ONCE.get(name, 8192),
    }
    dataset = tables.dataset(name)
    if not Compaction.plan(dataset, options).num_tasks():
        return False
    tables.announce("compact")
    dataset.optimize.compact_files(**options)
    return True


def index(tables: Tables, name: str, ann_rows: int) -> bool:
    """Make the indexes that are missing and bring the others up to date; whether there was anything to do."""
    dataset = tables.dataset(name)
    if not dataset.count_rows():
        return False
    files = {fragment.fragment_id for fragment in dataset.get_fragments()}
    covered = {
        each.name: set().union(*(part.fragment_ids for part in each.segments)) for each in dataset.describe_indices()
    }
    missing = [column for column in KEYS.get(name, ()) if f"{column}_idx" not in covered]
    text = TEXTS.get(name)
    text = None if f"{text}_fts" in covered else text
    partitions = _partitions(dataset, ann_rows) if name in VECTORS and "vector_ann" not in covered else 0
    behind = any(files - of_index for of_index in covered.values())
    if not (missing or text or partitions or behind):
        return False
    tables.announce("index")
    for column in missing:
        dataset.create_scalar_index(column, "BTREE", name=f"{column}_idx")
    if text:
        options = {"with_position": False, "remove_stop_words": False}
        dataset.create_scalar_index(text, "INVERTED", name=f"{text}_fts", **options)
    if partitions:
        dataset.create_index("vector", "IVF_RQ", name="vector_ann", metric="cosine", num_partitions=partitions)
    if behind:
        dataset.optimize.optimize_indices()
    return True


def _partitions(dataset: Any, ann_rows: int) -> int:
    """The square root of the number of vectors; 0 where there are too few for an index."""
    if dataset.count_rows() < ann_rows:
        return 0
    vectors = dataset.count_rows("vector IS NOT NULL")
    return round(vectors**0.5) if vectors >= ann_rows else 0
