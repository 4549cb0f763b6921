"""Small files into large ones, indexes over what is new, old versions away; nothing where nothing is to be done."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from lance.optimize import Compaction, CompactionOptions

from loupe.library.patience import patiently
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
        clean_up(tables, name, keep)


def compact(tables: Tables, name: str) -> bool:
    """Merge small files; whether there was anything to merge."""
    options: CompactionOptions = {
        "target_rows_per_fragment": ROWS_PER_FILE.get(name, OTHER_ROWS_PER_FILE),
        "batch_size": READ_AT_ONCE.get(name, 8192),
    }
    if not _merges(tables, name, options):
        return False
    tables.tidy("compact", name, lambda dataset: dataset.optimize.compact_files(**options))
    return True


@patiently
def _merges(tables: Tables, name: str, options: CompactionOptions) -> int:
    """How many files compaction would write."""
    return int(Compaction.plan(tables.dataset(name), options).num_tasks())


def index(tables: Tables, name: str, ann_rows: int) -> bool:
    """Make the indexes that are missing and bring the others up to date; whether there was anything to do."""
    steps = _index_steps(tables, name, ann_rows)
    for step in steps:
        tables.tidy("index", name, step)
    return bool(steps)


@patiently
def _index_steps(tables: Tables, name: str, ann_rows: int) -> list[Callable[[Any], object]]:
    """What a table's indexes need, a commit each; an index that is made again takes the place of the first."""
    dataset = tables.dataset(name)
    if not dataset.count_rows():
        return []
    files = {fragment.fragment_id for fragment in dataset.get_fragments()}
    covered = {
        each.name: set().union(*(part.fragment_ids for part in each.segments)) for each in dataset.describe_indices()
    }
    steps = [_key_index(column) for column in KEYS.get(name, ()) if f"{column}_idx" not in covered]
    text = TEXTS.get(name)
    if text and f"{text}_fts" not in covered:
        steps.append(_text_index(text))
    vectors = _vectors(dataset, ann_rows) if name in VECTORS and "vector_ann" not in covered else 0
    if vectors:
        steps.append(_vector_index(vectors))
    if any(files - of_index for of_index in covered.values()):
        steps.append(lambda dataset: dataset.optimize.optimize_indices())
    return steps


def _key_index(column: str) -> Callable[[Any], object]:
    return lambda dataset: dataset.create_scalar_index(column, "BTREE", name=f"{column}_idx")


def _text_index(column: str) -> Callable[[Any], object]:
    options = {"with_position": False, "remove_stop_words": False}
    return lambda dataset: dataset.create_scalar_index(column, "INVERTED", name=f"{column}_fts", **options)


def _vector_index(vectors: int) -> Callable[[Any], object]:
    options = {"metric": "cosine", "num_partitions": round(vectors**0.5), "replace": True}
    return lambda dataset: dataset.create_index("vector", "IVF_RQ", name="vector_ann", **options)


def _vectors(dataset: Any, ann_rows: int) -> int:
    """How many vectors a table has; 0 where there are too few for an index."""
    if dataset.count_rows() < ann_rows:
        return 0
    vectors = int(dataset.count_rows("vector IS NOT NULL"))
    return vectors if vectors >= ann_rows else 0


@patiently
def clean_up(tables: Tables, name: str, keep: timedelta) -> None:
    """Remove versions older than `keep`."""
    tables.dataset(name).cleanup_old_versions(older_than=keep)
