"""What the source papers' curves say, and whether these do: claims that numbers decide."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import hypot

from loupe.scoring.statistics import Estimate
from loupe.study.measures import (
    ABOVE_MEAN,
    ANY_TURN,
    BREAK_EVEN,
    CHANCE,
    INDEXED,
    PIVOTAL,
    QUESTIONS,
    Measured,
    at_length,
)
from loupe.study.plan import WHOLE, Curve, Size

FLAT_TURNS = 1.5
"""Turns about the longest films over those about half-hour ones, at most: the paper's are 12.5 / 8.5."""
FROM_MINUTES = 30.0
"""Where the paper's films begin."""
LEAST = 10
"""Questions, or rollouts, without which nothing is decided: a bootstrap of a few equal values has no width."""
WIDE = 0.25
"""Of 1, or of a mean: an interval from which nobody can tell whether something stays level."""
NO_LOSS = 0.05
"""Of right answers: who loses surely less than this loses nothing."""
UNLIKELY = 0.05
"""The p under which a difference is no chance: the bootstrap's interval of a few changed answers is too narrow."""
PAPERS_SHARE = 0.8
"""Of pivotal turns, that are above the mean of their rollout."""


@dataclass(frozen=True)
class Finding:
    """A claim, and what came out."""

    curve: Curve
    claim: str
    """As the papers' curves have it."""
    holds: bool | None
    """None where it cannot be said."""
    told: str
    """The numbers that decide."""

    @property
    def verdict(self) -> str:
        """In a word or two."""
        if self.told == NOT_KNOWN:
            return "not measured"
        return {True: "holds", False: "does not hold here", None: "too few to say"}[self.holds]


@dataclass(frozen=True)
class Points:
    """Rows that are looked up."""

    rows: Sequence[Measured]

    def line(self, curve: Curve, series: str, measure: str) -> list[tuple[float, Estimate]]:
        """The points of a line that have a mean, in order of x."""
        found = [(row.x or 0.0, row.estimate) for row in self.rows_of(curve, series, measure)]
        return sorted(((x, each) for x, each in found if each is not None), key=lambda point: point[0])

    def one(self, curve: Curve, series: str, measure: str) -> Estimate | None:
        """The only point of a line."""
        found = self.line(curve, series, measure)
        return found[0][1] if found else None

    def rows_of(self, curve: Curve, series: str, measure: str) -> list[Measured]:
        """Rows with a mean and without."""
        return [row for row in self.rows if (row.curve, row.series, row.measure) == (curve, series, measure)]

    def series(self, curve: Curve) -> list[str]:
        """The names of a curve's lines, in order."""
        return list(dict.fromkeys(row.series for row in self.rows if row.curve == curve))

    def missing(self, curve: Curve) -> Mapping[str, str]:
        """Why points have no mean, by what they are: a line, and where on it."""
        places: dict[tuple[str, str], list[str]] = defaultdict(list)
        for row in self.rows:
            if row.curve == curve and row.mean is None and row.note and row.measure != BREAK_EVEN:
                places[row.series, row.note].append("" if row.x is None else f"{row.x:g}")
        return {f"{series}, at {', '.join(at)}" if all(at) else series: note for (series, note), at in places.items()}


def findings(rows: Sequence[Measured], size: Size) -> list[Finding]:
    """Every claim, curve by curve."""
    points = Points(rows)
    return [
        *_length(points, size),
        *_budget(points, size),
        *_grounding(points, size),
        *_ablation(points),
        *_entropy(points),
        *_amortization(points, size),
    ]


def _length(points: Points, size: Size) -> Iterator[Finding]:
    long = [minutes for minutes in size.lengths if minutes >= FROM_MINUTES]
    turns = _ends(points.line("length", "active_perception", "turns"), long)
    claim = f"About films of half an hour and more the agent takes at most {FLAT_TURNS:g} times the turns."
    yield _between("length", claim, turns, flat, amount)
    right = _ends(points.line("length", "active_perception", "accuracy"), long)
    yield _between("length", "Its accuracy stays level.", right, level, share)
    hourly = _ends(points.line("length", "active_perception", "turns an hour of film"), size.lengths)
    yield _between("length", "Turns an hour of film fall.", hourly, falls, amount)
    blind = _ends(points.line("length", f"passive, {size.passive_frames[0]} frames", "accuracy"), size.lengths)
    yield _between("length", "Frames spread evenly miss more, the longer the film.", blind, falls, share)


def _budget(points: Points, size: Size) -> Iterator[Finding]:
    right = _ends(points.line("budget", "active_perception", "accuracy"), size.budgets)
    yield _between("budget", "More turns, more right answers.", right, lambda one, last: falls(last, one), share)
    claim = "The agent stops when it knows: of the largest budget less than half is used."
    line = dict(points.line("budget", "active_perception", "turns"))
    used, half = line.get(size.budgets[-1]), size.budgets[-1] / 2
    if used:
        told = f"{amount(used)} of {size.budgets[-1]:g} turns"
        yield Finding("budget", claim, decided(used.high < half, used.low >= half, used), told)
    else:
        yield Finding("budget", claim, None, NOT_KNOWN)


def _grounding(points: Points, size: Size) -> Iterator[Finding]:
    agent = points.one("grounding", "active_perception", "mean IoU")
    blind = points.one("grounding", f"passive, {size.passive_frames[0]} frames", "mean IoU")
    claim = "Narrowing in finds times that one look does not."
    if agent and blind:
        yield Finding("grounding", claim, falls(agent, blind), f"mean IoU {overlap(agent)} against {overlap(blind)}")
    else:
        yield Finding("grounding", claim, None, NOT_KNOWN)


def _ablation(points: Points) -> Iterator[Finding]:
    for series in points.series("ablation"):
        policy, _, what = series.partition(", ")
        lost, chance = (points.one("ablation", series, name) for name in ("difference", CHANCE))
        if what != WHOLE:
            holds, told = None, NOT_KNOWN
            if lost and chance:
                surely = lost.high < 0 and chance.mean < UNLIKELY
                holds = decided(surely, _at_least(lost) > -NO_LOSS, lost)
                told = f"{in_points(lost)} points, p {chance.mean:.2g}"
            silent = points.one("ablation", series, "no answer")
            if lost and silent and silent.mean:
                told += f"; {100 * silent.mean:.0f} % of the questions ended without an answer"
            yield Finding("ablation", f"{policy} is worse with {what}.", holds, told)


def _entropy(points: Points) -> Iterator[Finding]:
    pivotal, anyone = (points.one("entropy", name, ABOVE_MEAN) for name in (PIVOTAL, ANY_TURN))
    claim = "Four times in five the pivotal turn is less sure than the mean of its rollout."
    if pivotal and anyone:
        told = f"{share(pivotal)} of pivotal turns, {share(anyone)} of all turns; {pivotal.count} rollouts"
        as_often = pivotal.mean >= PAPERS_SHARE and pivotal.low > anyone.mean
        yield Finding("entropy", claim, decided(as_often, pivotal.high < PAPERS_SHARE, pivotal), told)
    else:
        yield Finding("entropy", claim, None, NOT_KNOWN)


def _amortization(points: Points, size: Size) -> Iterator[Finding]:
    for minutes in size.lengths:
        claim = f"The index of a film of {minutes:g} minutes pays within {QUESTIONS[-1]} questions."
        found = points.rows_of("amortization", at_length(INDEXED, minutes), BREAK_EVEN)
        if not found:
            yield Finding("amortization", claim, None, NOT_KNOWN)
        for row in found:
            surely, perhaps = (end is not None and end <= QUESTIONS[-1] for end in (row.high, row.low))
            yield Finding("amortization", claim, decided(surely, not perhaps, row), row.note or pays_from(row))


NOT_KNOWN = "points are missing"
Ends = tuple[tuple[float, Estimate], tuple[float, Estimate]]


def decided(yes: bool, no: bool, *by: Estimate | Measured) -> bool | None:
    """Neither: the numbers lean that way, and there are too few of them to be sure."""
    if any(each.count < LEAST for each in by):
        return None
    return True if yes else False if no else None


def flat(one: Estimate, last: Estimate) -> bool | None:
    """Whether turns grow by no more than FLAT_TURNS from the beginning of a line to its end."""
    least, most = difference(last, one, FLAT_TURNS)
    return decided(most <= 0, least > 0, one, last)


def level(one: Estimate, last: Estimate) -> bool | None:
    """Whether a share is, at the end of a line, within its interval at the beginning, or above it."""
    narrow = max(_width(one), _width(last)) <= WIDE
    _, most = difference(_widened(last), _widened(one))
    return decided(narrow and last.mean >= one.low, most < 0, one, last)


def falls(one: Estimate, last: Estimate) -> bool | None:
    """Whether the end of a line lies surely below its beginning; a share is never more than 1."""
    narrow = max(_width(one), _width(last)) <= WIDE * max(1.0, one.mean)
    _, most = difference(_widened(last), _widened(one))
    return decided(most < 0, last.mean >= one.mean and narrow, one, last)


def difference(found: Estimate, other: Estimate, times: float = 1.0) -> tuple[float, float]:
    """The interval of `found - times * other`, of different questions, from the interval of each.

    What either may be off by to its side adds up as squares (Zou and Donner 2008, Statistics in Medicine 27, 1693).
    """
    mean = found.mean - times * other.mean
    down = hypot(found.mean - found.low, times * (other.high - other.mean))
    up = hypot(found.high - found.mean, times * (other.mean - other.low))
    return mean - down, mean + up


def _widened(found: Estimate) -> Estimate:
    """Where all values are equal, with the interval of the rule of three: their bootstrap has no width."""
    if found.low < found.high:
        return found
    return replace(found, low=found.mean - 3 / found.count, high=found.mean + 3 / found.count)


def _width(found: Estimate) -> float:
    """Of its interval: a bootstrap of equal values has none, and then it is that of the rule of three."""
    return max(found.high - found.low, 3 / found.count)


def _at_least(found: Estimate) -> float:
    """The lower end of its interval; where all values are equal, by the rule of three."""
    return min(found.low, found.mean - 3 / found.count)


def _ends(line: Sequence[tuple[float, Estimate]], planned: Sequence[float]) -> Ends | None:
    """The points at the first of the planned places and at the last; None where one of them is missing."""
    points = dict(line)
    if len(planned) < 2 or planned[0] not in points or planned[-1] not in points:
        return None
    return (planned[0], points[planned[0]]), (planned[-1], points[planned[-1]])


def _between(
    curve: Curve,
    claim: str,
    ends: Ends | None,
    holds: Callable[[Estimate, Estimate], bool | None],
    show: Callable[[Estimate], str],
) -> Finding:
    """A claim about the two ends of a line."""
    if ends is None:
        return Finding(curve, claim, None, NOT_KNOWN)
    (start, first), (end, last) = ends
    unit = "turns" if curve == "budget" else "minutes"
    told = f"{show(first)} at {start:g} {unit}, {show(last)} at {end:g}"
    return Finding(curve, claim, holds(first, last), told)


def pays_from(row: Measured) -> str:
    """From which question on an index pays: from question 4 on [2, never]."""
    low, high = ("never" if end is None else f"{end:g}" for end in (row.low, row.high))
    return f"from question {row.mean:g} on [{low}, {high}]"


def amount(found: Estimate) -> str:
    """8.5 [7.9, 9.0]"""
    return f"{found.mean:.1f} [{found.low:.1f}, {found.high:.1f}]"


def in_points(found: Estimate) -> str:
    """-4.1 [-9.0, +1.2]"""
    return f"{100 * found.mean:+.1f} [{100 * found.low:+.1f}, {100 * found.high:+.1f}]"


def share(found: Estimate) -> str:
    """40 % [31, 50]"""
    return f"{100 * found.mean:.0f} % [{100 * found.low:.0f}, {100 * found.high:.0f}]"


def overlap(found: Estimate) -> str:
    """0.42 [0.31, 0.50]"""
    return f"{found.mean:.2f} [{found.low:.2f}, {found.high:.2f}]"
