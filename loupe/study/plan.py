"""Which points a study has: what is asked, of films of which length, by which policy, with what changed in the config.

A setting is one answer job with a folder of its own. Points of several curves share settings, and what they share is
answered once.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from loupe.benchmarks.toytown.writing import HELD_OUT

Curve = Literal["length", "budget", "grounding", "ablation", "entropy", "amortization"]
CURVES: tuple[str, ...] = get_args(Curve)
QuestionSet = Literal["mixed", "times"]
"""mixed: the same kinds of question for every length; times: questions for spans alone."""

HELD_OUT_SEED = HELD_OUT + 21
"""Of films that are nobody's lessons, and no test's either."""
ACTING = ("active_perception", "retrieval_critic", "investigator")
WHOLE = "as it is"
"""The series of an ablation from which nothing is taken away is named `policy, as it is`."""


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    lengths: tuple[float, ...]
    """Of films, in minutes."""
    films: int
    """Of each length."""
    questions: int
    """Of the mixed kind, about all films of a length together, at most."""
    times: int
    """For spans, about all films of the length `at`, at most."""
    budgets: tuple[int, ...]
    """Turns, of the curve over them."""
    at: float
    """The length, in minutes, of every curve that has one alone."""
    turns: int = 22
    """The budget of every curve but that over budgets, whatever the length; the paper trains with as many."""
    passive_frames: tuple[int, ...] = (16, 64)


QUICK = Size(lengths=(5, 15, 30), films=2, questions=16, times=10, budgets=(6, 12, 22, 52), at=15)
FULL = Size(lengths=(5, 15, 30, 60, 130), films=4, questions=80, times=40, budgets=(6, 8, 12, 16, 22, 32, 52), at=30)


@dataclass(frozen=True)
class Setting:
    """One answer job."""

    minutes: float
    """Of every film that is asked about."""
    policy: str
    set: tuple[str, ...] = ()
    """Overrides of the config."""
    indexed: bool = True
    """Whether the films' index is there."""

    @property
    def name(self) -> str:
        """Its folder."""
        changes = [change.removeprefix("answer.") for change in self.set]
        return ",".join([f"{self.minutes:g}m", self.policy, *changes, *([] if self.indexed else ["no-index"])])


@dataclass(frozen=True)
class Point:
    """A setting's place on a curve."""

    curve: Curve
    series: str
    setting: Setting
    x: float | None = None
    asked: QuestionSet = "mixed"


@dataclass(frozen=True)
class Without:
    """Something that is taken from a policy."""

    what: str
    policy: str
    set: tuple[str, ...] = ()
    indexed: bool = True


ABLATIONS = (
    Without("no purge", "active_perception", ("answer.looking.purge=false",)),
    Without("no notes", "active_perception", ("answer.looking.notes=false",)),
    Without("no sound", "active_perception", ("answer.looking.hearing=off",)),
    Without("no sound", "investigator", ("answer.looking.hearing=off",)),
    Without("no critic", "investigator", ("answer.critic.mode=off",)),
    Without("no index", "investigator", indexed=False),
    Without("no critic", "retrieval_critic", ("answer.critic.mode=off",)),
)


def turns(count: int) -> tuple[str, ...]:
    """A fixed budget, whatever the film's length."""
    return ("answer.looking.turns=fixed", f"answer.looking.max_turns={count}")


def acting(minutes: float, policy: str, budget: int, *more: str, indexed: bool = True) -> Setting:
    """A policy that takes turns; where it looks for itself, they are bounded, and their entropy is kept."""
    own = {
        "active_perception": (*turns(budget), "answer.logprobs=true"),
        "investigator": turns(budget),
        "retrieval_critic": (),
    }
    return Setting(minutes, policy, (*own[policy], *more), indexed)


def passive(minutes: float, frames: int) -> Setting:
    """The baseline with so many frames."""
    return Setting(minutes, "passive", (f"answer.passive_frames={frames}",))


def points_of(size: Size) -> list[Point]:
    """Every point of every curve."""
    return [*_length(size), *_budget(size), *_grounding(size), *_ablation(size), *_entropy(size), *_amortization(size)]


def _length(size: Size) -> Iterator[Point]:
    for minutes in size.lengths:
        for policy in ACTING:
            yield Point("length", policy, acting(minutes, policy, size.turns), minutes)
        for frames in size.passive_frames:
            yield Point("length", f"passive, {frames} frames", passive(minutes, frames), minutes)


def _budget(size: Size) -> Iterator[Point]:
    for count in size.budgets:
        yield Point("budget", "active_perception", acting(size.at, "active_perception", count), count)


def _grounding(size: Size) -> Iterator[Point]:
    frames = size.passive_frames[0]
    yield Point("grounding", f"passive, {frames} frames", passive(size.at, frames), asked="times")
    for policy in ACTING:
        yield Point("grounding", policy, acting(size.at, policy, size.turns), asked="times")


def _ablation(size: Size) -> Iterator[Point]:
    for policy in dict.fromkeys(one.policy for one in ABLATIONS):
        yield Point("ablation", f"{policy}, {WHOLE}", acting(size.at, policy, size.turns))
        for one in ABLATIONS:
            if one.policy == policy:
                setting = acting(size.at, policy, size.turns, *one.set, indexed=one.indexed)
                yield Point("ablation", f"{policy}, {one.what}", setting)


def _entropy(size: Size) -> Iterator[Point]:
    yield Point("entropy", "active_perception", acting(size.at, "active_perception", size.turns))


def _amortization(size: Size) -> Iterator[Point]:
    for minutes in size.lengths:
        for policy in ("retrieval_critic", "active_perception"):
            yield Point("amortization", policy, acting(minutes, policy, size.turns), minutes)


def whole_of(points: Sequence[Point], policy: str) -> Setting:
    """The setting of an ablation from which nothing is taken away."""
    return next(one.setting for one in points if (one.curve, one.series) == ("ablation", f"{policy}, {WHOLE}"))


def asked_of(points: Sequence[Point]) -> Mapping[Setting, tuple[QuestionSet, ...]]:
    """What each setting is asked, once, in the order of the curves."""
    asked: dict[Setting, dict[QuestionSet, None]] = defaultdict(dict)
    for point in points:
        asked[point.setting][point.asked] = None
    return {setting: tuple(kinds) for setting, kinds in asked.items()}
