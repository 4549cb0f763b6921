"""From outcomes to the rows of `POINTS`: every measure with its interval and its count.

Intervals are those of loupe.scoring.statistics: percentile bootstrap over questions (of entropy by turn, over turns).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from loupe.scoring.amortizing import Costs
from loupe.scoring.scored import MISSING, WITH_ANSWER, Scored
from loupe.scoring.statistics import Estimate
from loupe.scoring.summary import RECALL_AT, Sampling
from loupe.study.outcomes import Answers, Outcome
from loupe.study.plan import Curve, Point, QuestionSet, Size, passive, whole_of
from schemas.questions import UNANSWERABLE, Question

QUESTIONS = (1, 2, 4, 8, 16, 32, 64)
"""Asked about a film, of the curve of amortization."""
INDEXED = "retrieval_critic"
"""The policy that needs the index."""
WHOLE_FILM = "whole film"
BREAK_EVEN = "break-even"
PIVOTAL, ANY_TURN = "pivotal turn", "any turn"
ABOVE_MEAN = "above the mean of its rollout"
CHANCE = "p of McNemar's exact test"
LEAST_TURNS = 3
"""Of a rollout whose turns are compared: of one or two, one is above the mean as a matter of course."""


@dataclass(frozen=True)
class Measured:
    """A row of `POINTS`, where each field is explained."""

    curve: Curve
    series: str
    x: float | None
    measure: str
    mean: float | None
    low: float | None
    high: float | None
    count: int
    setting: str | None = None
    note: str | None = None

    @property
    def estimate(self) -> Estimate | None:
        """The mean with its interval, where there is one."""
        if self.mean is None or self.low is None or self.high is None:
            return None
        return Estimate(self.mean, self.low, self.high, self.count)


@dataclass(frozen=True)
class Study:
    """What there is to measure."""

    points: Sequence[Point]
    questions: Mapping[tuple[float, QuestionSet], Sequence[Question]]
    """By length in minutes."""
    answers: Mapping[str, Answers]
    """By the name of the setting; those that could not be run are missing."""
    refused: Mapping[str, str]
    """Why not, by the name of the setting."""
    index_tokens: Mapping[float, int]
    """Of one film's index, by its length."""
    film_tokens: Mapping[float, float]
    """Of one full pass over a film, by its length."""
    sampling: Sampling = Sampling()


def tokens_a_frame(answers: Mapping[str, Answers], size: Size) -> float | None:
    """What a frame more adds to a prompt of this run, in tokens: by `passive` with few frames and with many.

    None where its model was not shown both.
    """
    few, many = (answers.get(passive(size.at, size.passive_frames[place]).name) for place in (0, -1))
    if few is None or many is None:
        return None
    pairs = [(one.scored, many.outcomes[name].scored) for name, one in few.outcomes.items() if name in many.outcomes]
    shown = [(one, two) for one, two in pairs if 0 < one.frames < two.frames]
    more = sum(two.frames - one.frames for one, two in shown)
    return sum(two.prompt_tokens - one.prompt_tokens for one, two in shown) / more if more else None


def measure(study: Study) -> list[Measured]:
    """Every row, curve by curve."""
    return list(chain.from_iterable(_of_point(study, point) for point in study.points))


def _of_point(study: Study, point: Point) -> Iterator[Measured]:
    answers = study.answers.get(point.setting.name)
    if answers is None:
        why: str | None = study.refused.get(point.setting.name, "there are no answers")
    else:
        why = answers.impossible and f"not possible with this model: {answers.impossible}"
    if answers is None or why is not None:
        yield Measured(
            point.curve, point.series, point.x, FIRST[point.curve], None, None, None, 0, point.setting.name, why
        )
        return
    outcomes = answers.of(study.questions[point.setting.minutes, point.asked])
    yield from MEASURES[point.curve](study, point, outcomes)


def _row(point: Point, name: str, found: Estimate | None, series: str = "", x: float | None = None) -> Measured:
    mean, low, high, count = (
        (None, None, None, 0) if found is None else (found.mean, found.low, found.high, found.count)
    )
    at = point.x if x is None else x
    return Measured(point.curve, series or point.series, at, name, mean, low, high, count, point.setting.name)


# --- effort and accuracy ----------------------------------------------------------------------------------------------

EFFORT: Mapping[str, Callable[[Scored, Point], float | None]] = {
    "accuracy": lambda one, _: None if one.right is None else float(one.right),
    "no answer": lambda one, _: float(one.status not in WITH_ANSWER),
    "turns": lambda one, _: one.turns,
    "turns an hour of film": lambda one, point: one.turns * 60 / point.setting.minutes,
    "frames": lambda one, _: one.frames,
    "tokens": lambda one, _: one.tokens,
    "seconds": lambda one, _: one.seconds,
}
"""A value a question."""


def _effort(study: Study, point: Point, outcomes: Sequence[Outcome]) -> Iterator[Measured]:
    asked = [one.scored for one in outcomes if one.scored.status != MISSING]
    for name, value in EFFORT.items():
        yield _row(point, name, study.sampling.estimate(value(one, point) for one in asked))


# --- temporal grounding -----------------------------------------------------------------------------------------------


def _grounding(study: Study, point: Point, outcomes: Sequence[Outcome]) -> Iterator[Measured]:
    """Questions that the film does not answer have no times to overlap with."""
    known = [one.scored for one in outcomes if one.scored.true_answer not in (None, UNANSWERABLE)]
    overlaps = [one.score or 0.0 for one in known]
    yield _row(point, "mean IoU", study.sampling.estimate(overlaps))
    for bound in RECALL_AT:
        yield _row(point, f"R1@{bound:g}", study.sampling.estimate([float(iou >= bound) for iou in overlaps]))
    yield _row(point, "turns", study.sampling.estimate([one.turns for one in known]))


# --- ablation ---------------------------------------------------------------------------------------------------------


def _ablation(study: Study, point: Point, outcomes: Sequence[Outcome]) -> Iterator[Measured]:
    """Accuracy, and the difference from the policy as it is, question by question."""
    yield from _effort(study, point, outcomes)
    whole = whole_of(study.points, point.setting.policy)
    base = study.answers.get(whole.name)
    if point.setting == whole or base is None or base.impossible:
        return
    before = base.of(study.questions[point.setting.minutes, point.asked])
    pairs = [
        (bool(one.scored.right), bool(two.scored.right))
        for one, two in zip(outcomes, before, strict=True)
        if one.scored.right is not None
    ]
    found = study.sampling.paired([one for one, _ in pairs], [two for _, two in pairs])
    yield _row(point, "difference", found.difference if found else None)
    yield _row(point, CHANCE, Estimate(found.p, found.p, found.p, found.difference.count) if found else None)


# --- entropy ----------------------------------------------------------------------------------------------------------


def _entropy(study: Study, point: Point, outcomes: Sequence[Outcome]) -> Iterator[Measured]:
    """Entropy by turn, of right and of wrong answers; how often the pivotal turn is above its rollout's mean."""
    if all(value is None for one in outcomes for value in one.entropies):
        silent = "the model's engine tells no entropy"
        yield Measured("entropy", point.series, None, "entropy", None, None, None, 0, point.setting.name, silent)
        return
    for name, right in (("right", True), ("wrong", False)):
        some = [one.entropies for one in outcomes if one.scored.right is right]
        for turn in range(max(map(len, some), default=0)):
            found = study.sampling.estimate(each[turn] for each in some if turn < len(each))
            if found is not None:
                yield _row(point, "entropy", found, name, turn + 1)
    pivotal, anyone = [], []
    for one in outcomes:
        known = [value for value in one.entropies if value is not None]
        if one.scored.right and one.pivotal is not None and LEAST_TURNS <= len(known) == len(one.entropies):
            mean = sum(known) / len(known)
            pivotal.append(known[one.pivotal] / mean if mean else 1.0)
            anyone.append(sum(value > mean for value in known) / len(known))
    yield _row(point, ABOVE_MEAN, study.sampling.estimate([float(ratio > 1) for ratio in pivotal]), PIVOTAL)
    yield _row(point, ABOVE_MEAN, study.sampling.estimate(anyone), ANY_TURN)
    yield _row(point, "entropy over the mean of its rollout", study.sampling.estimate(pivotal), PIVOTAL)


# --- amortization -----------------------------------------------------------------------------------------------------


def _amortization(study: Study, point: Point, outcomes: Sequence[Outcome]) -> Iterator[Measured]:
    """Tokens of n questions about one film; x is n, and the series names the film's length too."""
    minutes = point.setting.minutes
    each = study.sampling.estimate([one.scored.tokens for one in outcomes if one.scored.status != MISSING])
    if each is None:
        return
    index = study.index_tokens[minutes] if point.series == INDEXED else 0
    series, whole = at_length(point.series, minutes), study.film_tokens[minutes]
    costs = [Costs(index, tokens, whole) for tokens in (each.mean, each.low, each.high)]
    for n in QUESTIONS:
        mean, low, high = (cost.indexed(n) for cost in costs)
        yield _row(point, "tokens", Estimate(mean, low, high, each.count), series, n)
    if point.series == INDEXED:
        for n in QUESTIONS:
            passes = costs[0].whole_film(n)
            yield _row(point, "tokens", Estimate(passes, passes, passes, each.count), at_length(WHOLE_FILM, minutes), n)
        yield _break_even(point, series, costs, each.count)


def _break_even(point: Point, series: str, costs: Sequence[Costs], count: int) -> Measured:
    """From which question on the index pays, by the mean of a question's tokens and both ends of its interval."""
    mean, low, high = (None if cost.break_even is None else float(cost.break_even) for cost in costs)
    never = "never: a question costs more than its whole film" if mean is None else None
    return Measured("amortization", series, point.x, BREAK_EVEN, mean, low, high, count, point.setting.name, never)


def at_length(series: str, minutes: float) -> str:
    """A line about films of one length."""
    return f"{series}, {minutes:g} minutes"


Measure = Callable[[Study, Point, Sequence[Outcome]], Iterator[Measured]]
MEASURES: Mapping[Curve, Measure] = {
    "length": _effort,
    "budget": _effort,
    "grounding": _grounding,
    "ablation": _ablation,
    "entropy": _entropy,
    "amortization": _amortization,
}
FIRST: Mapping[Curve, str] = {
    "length": "accuracy",
    "budget": "accuracy",
    "grounding": "mean IoU",
    "ablation": "accuracy",
    "entropy": "entropy",
    "amortization": "tokens",
}
"""The measure that says, in its note, why a point has none."""
