"""How sure a mean of some questions is, and a difference between two runs of the same ones."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 2000
SEED = 0
LEVEL = 0.95
DRAWN_AT_ONCE = 1_000_000
"""Numbers in memory."""


@dataclass(frozen=True)
class Estimate:
    """A mean over `count` questions, and where it would lie were others of the kind drawn."""

    mean: float
    low: float
    high: float
    count: int


def estimate(values: Sequence[float], resamples: int = RESAMPLES, seed: int = SEED) -> Estimate | None:
    """The mean of a value a question with its percentile bootstrap interval; None where there is no question.

    Questions are drawn with replacement `resamples` times; the interval holds the middle `LEVEL` of the means (Efron
    and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13). The same seed gives the same interval.
    """
    if resamples < 1:
        raise ValueError(f"an interval is of 1 resample or more, not of {resamples}")
    if not values:
        return None
    array, rng = np.asarray(values, float), np.random.default_rng(seed)
    rows = max(1, DRAWN_AT_ONCE // len(array))
    draws = (min(rows, resamples - done) for done in range(0, resamples, rows))
    means = np.concatenate([array[rng.integers(len(array), size=(n, len(array)))].mean(axis=1) for n in draws])
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(float(array.mean()), float(low), float(high), len(array))


@dataclass(frozen=True)
class Paired:
    """Two runs over the same questions, one's accuracy minus the other's."""

    difference: Estimate
    only_one: int
    """Questions that only the one has right."""
    only_other: int
    p: float
    """Of McNemar's exact test."""


def paired(one: Sequence[bool], other: Sequence[bool], resamples: int = RESAMPLES, seed: int = SEED) -> Paired | None:
    """Compare the marks of two runs question by question: pairs are resampled together. None without questions."""
    pairs = list(zip(one, other, strict=True))
    difference = estimate([float(a) - float(b) for a, b in pairs], resamples, seed)
    if difference is None:
        return None
    only_one = sum(a and not b for a, b in pairs)
    only_other = sum(b and not a for a, b in pairs)
    return Paired(difference, only_one, only_other, mcnemar(only_one, only_other))


def mcnemar(only_one: int, only_other: int) -> float:
    """Two-sided p of McNemar's exact test: how likely a split as uneven as this is, were both runs as good.

    It is the sign test on the questions that the runs disagree on (McNemar 1947; binomial with p = 1/2).
    """
    unequal = only_one + only_other
    tail, ways = 0, 1
    for k in range(min(only_one, only_other) + 1):
        tail += ways  # `unequal` over `k`
        ways = ways * (unequal - k) // (k + 1)
    return min(1.0, 2 * tail / (1 << unequal))
