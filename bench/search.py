"""Search latency at 10 k and 1 M captions of 384 numbers, against NumPy on one film; recall of the ANN index."""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from bench.filling import DIMENSIONS, WORDS, fill, unit_vectors
from loupe.library import Library

SIZES = (10_000, 1_000_000)
QUERIES = 20
TOP_K = 40
FILM = "films/1"
ANN_ROWS = 100_000


def milliseconds(call: Callable[[int], object]) -> float:
    """p50 over the queries, each asked once, after two to warm up."""
    times = []
    for number in [0, 1, *range(QUERIES)]:
        started = time.perf_counter()
        call(number)
        times.append(time.perf_counter() - started)
    return median(times[2:]) * 1000


def measure(library: Library, queries: np.ndarray, matrix: np.ndarray) -> dict[str, float]:
    """p50 in ms of each way to search; NumPy's is that of one film whose vectors lie in memory."""
    words = [" ".join(np.random.default_rng(n).choice(WORDS, 2)) for n in range(QUERIES)]

    def ask(**how: object) -> Callable[[int], object]:
        return lambda n: library.search(words[n], queries[n], top_k=TOP_K, **how)

    return {
        "NumPy, one film in memory": milliseconds(lambda n: np.argsort(-(matrix @ queries[n]))[:TOP_K]),
        "vector, one film": milliseconds(ask(mode="vector", video_id=FILM)),
        "text, one film": milliseconds(ask(mode="text", video_id=FILM)),
        "hybrid, one film": milliseconds(ask(mode="hybrid", video_id=FILM)),
        "vector, whole library": milliseconds(ask(mode="vector")),
        "text, whole library": milliseconds(ask(mode="text")),
        "vector, whole library, every row compared": milliseconds(ask(mode="vector", exact=True)),
    }


def recall(library: Library, queries: np.ndarray) -> float:
    """Share of the exact best 40 of the whole library that a search with the index gives."""

    def found(query: np.ndarray, exact: bool) -> set[tuple[str, int]]:
        hits = library.search(None, query, mode="vector", top_k=TOP_K, exact=exact).hits
        return {(hit.video_id, hit.start_ms) for hit in hits}

    return float(np.mean([len(found(q, True) & found(q, False)) / TOP_K for q in queries]))


def main() -> None:
    queries = unit_vectors(QUERIES, seed=123_456)
    tables = {}
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            library = Library.open(f"{folder}/{size}", DIMENSIONS, create=True)
            fill(library, size)
            started = time.perf_counter()
            library.optimize(ann_rows=ANN_ROWS)
            print(f"{size:>9,} captions: indexed in {time.perf_counter() - started:.0f} s", flush=True)
            first = [row["vector"] for i in range(60) for row in library.chunk_captions(FILM, i)]
            tables[size] = measure(library, queries, np.array(first, np.float32))
            print(
                f"{size:>9,} captions: recall@{TOP_K} of the whole library {recall(library, queries):.3f}", flush=True
            )
    print(f"{'p50 in ms, top 40':44}" + "".join(f"{size:>12,}" for size in SIZES) + "       ratio")
    for name in tables[SIZES[0]]:
        small, large = (tables[size][name] for size in SIZES)
        print(f"{name:44}{small:12.1f}{large:12.1f}{large / small:12.2f}")
    one_film, numpy = (tables[SIZES[1]][name] for name in ("vector, one film", "NumPy, one film in memory"))
    print(f"one film of 1 M captions, LanceDB against NumPy: {one_film / numpy:.1f}")


if __name__ == "__main__":
    main()
