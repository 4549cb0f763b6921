"""Whether one looked where the film shows what was asked."""

from collections.abc import Sequence

from loupe.timeline import union

Stretch = tuple[int, int]
"""(start, end) in milliseconds; a single frame starts and ends at its time."""


def share_inside(stretches: Sequence[Stretch], true: Sequence[Stretch]) -> float | None:
    """Mean share of each stretch that lies inside the true times, whose ends belong to them. None without stretches."""
    if not stretches:
        return None
    return sum(_inside(stretch, true) for stretch in stretches) / len(stretches)


def _inside(stretch: Stretch, true: Sequence[Stretch]) -> float:
    start, end = stretch
    if end <= start:
        return float(any(first <= start <= last for first, last in true))
    return sum(max(0, min(end, last) - max(start, first)) for first, last in union(true)) / (end - start)
