"""Small files into large ones, indexes over what is new, old versions away; nothing where nothing is to be done.

`optimize` goes over all at the end of a run, `catch_up` over what is new between its commits, so that a commit takes as
long after ten thousand others as after ten. `catch_up` leaves alone what it has merged: a frame is written twice in a
run, and until the end there is a file more for every NEW_FILES than whole ones would be; `optimize` writes again only
those that are short beside other short ones. The key indexes grow by segments, and one is merged with what comes after
it when that has as many rows: an entry is written again as often as they double.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any

from lance.optimize import Compaction, CompactionOptions

from loupe.library.patience import patiently
from loupe.library.tables import Tables

KEYS = {
    "videos": ("video_id",),
    "chunks": ("video_id", "chunk_index"),
    "frames": ("video_id",),
    "captions": ("video_id", "ts_ms"),
    "transcripts": ("video_id", "chunk_index", "line_index"),
    "failures": ("video_id", "chunk_index", "stage"),
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
NEW_FILES = 32
"""Files without key indexes that a commit may have to read; `catch_up` waits for so many."""
ROUNDS = 4
"""A table settles in two: files that an index covers are not merged with files that it does not."""


def optimize(tables: Tables, *, ann_rows: int, keep: timedelta) -> None:
    """Compact, index and clean up every table; see Library.optimize."""
    for name in tables.schemas:
        for _ in range(ROUNDS):
            if not (compact(tables, name) | index(tables, name, ann_rows)):
                break
        clean_up(tables, name, keep)


def catch_up(tables: Tables) -> bool:
    """Merge what is new in each table that has many new files, and cover it by the key indexes; whether one had."""
    caught_up = False
    for name in KEYS:
        new, covered = _new_files(tables, name)
        if len(new) >= NEW_FILES:
            caught_up = True
            compact(tables, name, but=covered)
            for step in _key_steps(tables, name):
                tables.tidy("index", name, step)
    return caught_up


@patiently
def _new_files(tables: Tables, name: str) -> tuple[set[int], set[int]]:
    """The files of a table that a key index does not cover, and those that all do."""
    dataset = tables.dataset(name)
    segments = _segments(dataset)
    files = {fragment.fragment_id for fragment in dataset.get_fragments()}
    covered = files.intersection(*(set().union(*segments.get(f"{column}_idx", ())) for column in KEYS[name]))
    return files - covered, covered


@patiently
def _key_steps(tables: Tables, name: str) -> list[Callable[[Any], object]]:
    """What the key indexes of a table need to cover all of it: to be made, or a segment more, or fewer and larger."""
    dataset = tables.dataset(name)
    segments = _segments(dataset)
    rows = {fragment.fragment_id: fragment.physical_rows for fragment in dataset.get_fragments()}
    steps = [_key_index(column) for column in KEYS[name] if f"{column}_idx" not in segments]
    growing: dict[int, list[str]] = defaultdict(list)
    for index in (f"{column}_idx" for column in KEYS[name] if f"{column}_idx" in segments):
        old = [sum(rows.get(file, 0) for file in segment) for segment in segments[index]]
        new = rows.keys() - set().union(*segments[index])
        if new:
            growing[_outgrown(old, sum(rows[file] for file in new))].append(index)
    return steps + [_grown(indexes, merged) for merged, indexes in growing.items()]


def _outgrown(segments: Sequence[int], new: int) -> int:
    """How many of the last segments are written again with `new` rows: those that have no more rows than all after."""
    merged = 0
    for rows in reversed(segments):
        if rows > new:
            break
        new += rows
        merged += 1
    return merged


def _grown(indexes: list[str], merged: int) -> Callable[[Any], object]:
    return lambda dataset: dataset.optimize.optimize_indices(index_names=indexes, num_indices_to_merge=merged)


def _segments(dataset: Any) -> Mapping[str, list[set[int]]]:
    """The files that each segment of each index covers, oldest segment first."""
    return {each.name: [set(part.fragment_ids) for part in each.segments] for each in dataset.describe_indices()}


def compact(tables: Tables, name: str, but: Collection[int] = ()) -> bool:
    """Merge small files other than `but`; whether there was anything to merge."""
    options: CompactionOptions = {
        "target_rows_per_fragment": ROWS_PER_FILE.get(name, OTHER_ROWS_PER_FILE),
        "batch_size": READ_AT_ONCE.get(name, 8192),
        "excluded_fragment_ids": sorted(but),
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
    covered = {name: set().union(*segments) for name, segments in _segments(dataset).items()}
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
