"""Time arithmetic, pure: chunks, sampling grids, windows, clusters of moments, overlap of spans. Milliseconds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

Span = tuple[int, int]
"""Start and end in milliseconds; the end is not part of it."""


@dataclass(frozen=True)
class Chunk:
    """The n-th stretch of a film, from `start_ms` up to but not including `end_ms`."""

    index: int
    start_ms: int
    end_ms: int


@dataclass(frozen=True)
class Cluster:
    """Moments that lie close together."""

    start_ms: int
    end_ms: int
    count: int
    best_score: float
    density_per_minute: float
    """Moments a minute; a cluster shorter than a second counts as one second long."""


def chunks(duration_ms: int, chunk_seconds: int = 60) -> list[Chunk]:
    """A film's chunks in order; the last one ends with the film. A film of no length has none."""
    step = chunk_seconds * 1000
    starts = range(0, duration_ms, step)
    return [Chunk(index, start, min(start + step, duration_ms)) for index, start in enumerate(starts)]


def grid(start_ms: int, end_ms: int, fps: float) -> list[int]:
    """Sampling times in [start, end). The k-th sample of a film is at 1000 k / fps, rounded: chunks do not shift it."""
    step = 1000 / Fraction(fps)
    first = max(0, int(start_ms / step) - 1)
    times = []
    for k in range(first, int(end_ms / step) + 2):
        time = round(k * step)
        if start_ms <= time < end_ms:
            times.append(time)
    return times


def clamp(start_ms: int, end_ms: int, duration_ms: int) -> Span:
    """The part of a window that lies in the film; empty (start = end) where none does."""
    start = min(max(start_ms, 0), duration_ms)
    return start, max(start, min(end_ms, duration_ms))


def linspace_ms(start_ms: int, end_ms: int, count: int) -> list[int]:
    """`count` times from start to end, both included, evenly spaced; one time is the start."""
    if count < 1:
        raise ValueError(f"count must be at least 1, not {count}")
    if count == 1:
        return [start_ms]
    return [start_ms + round(Fraction((end_ms - start_ms) * k, count - 1)) for k in range(count)]


def cluster(times_ms: Sequence[int], scores: Sequence[float], gap_ms: int) -> list[Cluster]:
    """Moments no further apart than `gap_ms`, taken together; clusters with the best score first."""
    moments = sorted(zip(times_ms, scores, strict=True))
    groups: list[list[tuple[int, float]]] = []
    for moment in moments:
        if groups and moment[0] - groups[-1][-1][0] <= gap_ms:
            groups[-1].append(moment)
        else:
            groups.append([moment])
    found = [
        Cluster(
            start_ms=group[0][0],
            end_ms=group[-1][0],
            count=len(group),
            best_score=max(score for _, score in group),
            density_per_minute=len(group) * 60_000 / max(group[-1][0] - group[0][0], 1000),
        )
        for group in groups
    ]
    return sorted(found, key=lambda each: (-each.best_score, each.start_ms))


def union(spans: Iterable[Span]) -> list[Span]:
    """The same moments as spans that do not touch, in order. Empty spans go."""
    joined: list[Span] = []
    for start, end in sorted(span for span in spans if span[1] > span[0]):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


def iou(a: Iterable[Span], b: Iterable[Span]) -> float:
    """Intersection over union of two sets of spans, each taken as the moments that it covers; 0 if both are empty."""
    first, second = union(a), union(b)
    common = sum(
        max(0, min(one[1], other[1]) - max(one[0], other[0])) for one in first for other in second
    )
    total = sum(end - start for start, end in first) + sum(end - start for start, end in second) - common
    return common / total if total else 0.0
