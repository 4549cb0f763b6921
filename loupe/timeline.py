"""Time arithmetic, pure. Times are integer milliseconds from a film's first frame."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Span = tuple[float, float]
"""(start, end), in any one unit."""


MOST_SECONDS = 1e9
"""Longer than any film: what a model writes may be any number that JSON has, and 1000 times that no number at all."""


@dataclass(frozen=True)
class Chunk:
    """A stretch [start, end) of a film, the unit of indexing."""

    index: int
    start_ms: int
    end_ms: int


@dataclass(frozen=True)
class Cluster:
    """Hits that lie close together in time."""

    start_ms: int
    end_ms: int
    count: int
    best_score: float
    density_per_minute: float


def to_ms(seconds: float) -> int:
    """Seconds as milliseconds; MOST_SECONDS for what is beyond them."""
    return round(1000 * max(-MOST_SECONDS, min(seconds, MOST_SECONDS)))


def chunks(duration_ms: int, chunk_seconds: float = 60) -> list[Chunk]:
    """Cut a film into chunks of equal length; the last one is what is left."""
    step = round(1000 * chunk_seconds)
    if step <= 0:
        raise ValueError(f"a chunk of {chunk_seconds} seconds")
    starts = range(0, duration_ms, step)
    return [Chunk(index, start, min(start + step, duration_ms)) for index, start in enumerate(starts)]


def grid(start_ms: int, end_ms: int, fps: float) -> list[int]:
    """Times of the samples in [start, end). The k-th of a film is at round(1000 k / fps), whatever the chunk."""
    if not 0 < fps <= 1000:
        raise ValueError(f"{fps} samples a second")
    first = max(0, math.floor(start_ms * fps / 1000) - 1)
    last = math.ceil(end_ms * fps / 1000) + 1
    return [t for t in (round(1000 * k / fps) for k in range(first, last + 1)) if start_ms <= t < end_ms]


def clock(ms: int) -> str:
    """A time for people: h:mm:ss."""
    return f"{ms // 3_600_000}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}"


def linspace_ms(start_ms: int, end_ms: int, n: int) -> list[int]:
    """`n` times from start to end, both included, evenly apart; the middle if n is 1."""
    if n < 1 or end_ms < start_ms:
        raise ValueError(f"{n} times from {start_ms} to {end_ms} ms")
    if n == 1:
        return [(start_ms + end_ms) // 2]
    return [start_ms + round((end_ms - start_ms) * k / (n - 1)) for k in range(n)]


def cluster(times_ms: Sequence[int], scores: Sequence[float], gap_ms: int) -> list[Cluster]:
    """Gather hits whose neighbours are at most `gap_ms` apart, in order of time.

    Density counts the hits over the cluster's length and the gap that ends it, so that a single hit has one too.
    """
    if gap_ms <= 0:
        raise ValueError(f"a gap of {gap_ms} ms")
    gathered: list[list[tuple[int, float]]] = []
    for time_ms, score in sorted(zip(times_ms, scores, strict=True)):
        if not gathered or time_ms - gathered[-1][-1][0] > gap_ms:
            gathered.append([])
        gathered[-1].append((time_ms, score))
    return [
        Cluster(
            start_ms=hits[0][0],
            end_ms=hits[-1][0],
            count=len(hits),
            best_score=max(score for _, score in hits),
            density_per_minute=60_000 * len(hits) / (hits[-1][0] - hits[0][0] + gap_ms),
        )
        for hits in gathered
    ]


def iou(spans_a: Iterable[Span], spans_b: Iterable[Span]) -> float:
    """Length of what two unions of spans share over the length of both together; 0 where neither has any length."""
    a, b = union(spans_a), union(spans_b)
    shared = sum(max(0.0, min(end, other_end) - max(start, other)) for start, end in a for other, other_end in b)
    both = sum(end - start for start, end in (*a, *b)) - shared
    return shared / both if both > 0 else 0.0


def union(spans: Iterable[Span]) -> list[Span]:
    """The same stretches without overlaps, in order; empty and reversed spans are left out."""
    joined: list[Span] = []
    for start, end in sorted(span for span in spans if span[1] > span[0]):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined
