"""Time to commit a chunk of 60 frames into tables of 1 M frames, against tables of 10 k. At most 1.5 times.

And in one run of 300 commits into new tables: the last ones against the first, with what the run does for its tables.
"""

import sys
import tempfile
import time
from pathlib import Path
from statistics import mean, median

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from bench.filling import CHUNKS_A_FILM, DIMENSIONS, FRAMES_A_CHUNK, fill, part_of
from loupe.library import CommitBatch, Library, write_frame_fragments

SIZES = (10_000, 1_000_000)
ROUNDS = 15
COMMITS = 300
WINDOW = 64
"""Commits whose mean is taken, so that it holds the upkeep between them."""


def commit_one(database: str, library: Library, chunk: int) -> tuple[float, float]:
    """Seconds to write the fragments of a chunk of the made-up library, by its number, and to commit it."""
    rows = dict(part_of(chunk * FRAMES_A_CHUNK, FRAMES_A_CHUNK, library._tables.schemas))
    started = time.perf_counter()
    fragments = write_frame_fragments(database, rows["frames"])
    written = time.perf_counter()
    library.commit(CommitBatch(rows["chunks"], [fragments], rows["captions"]))
    return written - started, time.perf_counter() - written


def grow(database: str) -> None:
    """Commit chunk by chunk into new tables, as a first run does, and never tidy up."""
    library = Library.open(database, DIMENSIONS, create=True)
    times = [commit_one(database, library, chunk)[1] for chunk in range(COMMITS)]
    first, last = (mean(times[part]) * 1000 for part in (slice(WINDOW), slice(-WINDOW, None)))
    print(f"a run of {COMMITS} commits: the first {WINDOW} take {first:.0f} ms each, the last {WINDOW} {last:.0f} ms")
    print(f"the last commits of that run against the first: {last / first:.2f}", flush=True)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        grow(f"{folder}/growing")
    with tempfile.TemporaryDirectory() as folder:
        libraries = {}
        for size in SIZES:
            database = f"{folder}/{size}"
            libraries[database] = Library.open(database, DIMENSIONS, create=True)
            started = time.perf_counter()
            fill(libraries[database], size)
            libraries[database].optimize(ann_rows=sys.maxsize)
            print(f"{size:>9,} frames written and indexed in {time.perf_counter() - started:.0f} s", flush=True)
        seconds = {database: [] for database in libraries}
        for turn in range(ROUNDS):  # by turns, so that whatever else the machine does hits both
            for database, library in libraries.items():
                seconds[database].append(commit_one(database, library, (10_000 + turn) * CHUNKS_A_FILM))
        commits = []
        for size, times in zip(SIZES, seconds.values(), strict=True):
            written, committed = (median(column) * 1000 for column in np.array(times[2:]).T)
            commits.append(committed)
            print(f"{size:>9,} frames: fragments {written:.0f} ms (worker), commit {committed:.0f} ms (driver), p50")
        print(f"commit into 1 M against 10 k frames: {commits[1] / commits[0]:.2f} (at most 1.5)")


if __name__ == "__main__":
    main()
