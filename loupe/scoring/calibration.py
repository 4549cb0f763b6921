"""Whether what is said with a confidence of 0.8 is right 8 times in 10."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

BINS = 10


@dataclass(frozen=True)
class Bin:
    """Answers whose confidence lies in [low, high); the last bin holds its upper end too."""

    low: float
    high: float
    count: int
    confidence: float | None
    """Mean confidence; None where the bin is empty."""
    accuracy: float | None


def reliability(answers: Iterable[tuple[float, bool]], bins: int = BINS) -> list[Bin]:
    """Answers as (confidence from 0 to 1, whether right), gathered in bins of equal width, empty ones too."""
    held: list[list[tuple[float, bool]]] = [[] for _ in range(bins)]
    for confidence, right in answers:
        if not 0 <= confidence <= 1:
            raise ValueError(f"a confidence of {confidence}")
        held[min(int(confidence * bins), bins - 1)].append((confidence, right))
    return [_bin(index / bins, (index + 1) / bins, inside) for index, inside in enumerate(held)]


def _bin(low: float, high: float, inside: Sequence[tuple[float, bool]]) -> Bin:
    if not inside:
        return Bin(low, high, 0, None, None)
    confidences, marks = zip(*inside, strict=True)
    return Bin(low, high, len(inside), sum(confidences) / len(inside), sum(marks) / len(inside))


def expected_error(bins: Iterable[Bin]) -> float | None:
    """Expected calibration error: |accuracy - confidence| of the bins, weighted by their counts. None without answers.

    ECE as in Guo et al., On Calibration of Modern Neural Networks (arXiv 1706.04599).
    """
    filled = [
        (each.count, abs(each.accuracy - each.confidence))
        for each in bins
        if each.accuracy is not None and each.confidence is not None
    ]
    total = sum(count for count, _ in filled)
    return sum(count * gap for count, gap in filled) / total if total else None
