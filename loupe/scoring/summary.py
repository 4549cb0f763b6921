"""A run in numbers: accuracy, overlap, relevance, calibration, effort, and what the critic did."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from loupe.scoring import calibration
from loupe.scoring.calibration import Bin
from loupe.scoring.scored import MISSING, Scored
from loupe.scoring.statistics import RESAMPLES, SEED, Estimate, Paired, estimate, paired
from schemas.questions import UNANSWERABLE

RECALL_AT = (0.3, 0.5, 0.7)
NO_CAPABILITY = "(none named)"
NEED_SOUND = "audio_visual"
"""The capability of questions that nobody answers without hearing the film."""


@dataclass(frozen=True)
class Sampling:
    """How intervals are drawn."""

    resamples: int = RESAMPLES
    seed: int = SEED

    def estimate(self, values: Iterable[float | None]) -> Estimate | None:
        """Of the values that are known."""
        return estimate([float(value) for value in values if value is not None], self.resamples, self.seed)

    def paired(self, one: Sequence[bool], other: Sequence[bool]) -> Paired | None:
        """See statistics.paired."""
        return paired(one, other, self.resamples, self.seed)


@dataclass(frozen=True)
class Overlap:
    """Questions for times that have some."""

    iou: Estimate
    recall: dict[float, float]
    """R1@m by m: the share of questions whose spans overlap the true ones by m or more."""


@dataclass(frozen=True)
class Relevance:
    """Means over questions whose true times are known; None where nothing can be said."""

    evidence: Estimate | None
    """Share of an answer's evidence inside the true times, over answers with evidence."""
    looked: Estimate | None
    """Share of the frames that tools looked at, over questions that looked at any."""
    found: Estimate | None
    """Share of those questions that saw a frame inside at all."""


@dataclass(frozen=True)
class Calibration:
    """Answers that came with a confidence."""

    bins: list[Bin]
    error: float | None
    """ECE."""
    without: int
    """Scored questions that have no confidence: left out here, and wrong unless they have an answer."""


@dataclass(frozen=True)
class Effort:
    """What one question took, over all that are in the answers."""

    mean: float
    median: float
    p95: float
    total: float


@dataclass(frozen=True)
class CriticEffect:
    """Answers after review against the answers that stood before it."""

    without: Estimate
    gain: Paired
    """With the critic minus without it: `only_one` changed for the better, `only_other` for the worse."""
    reviewed: int
    changed: int
    """Answers that are other than before, right or wrong."""
    critic_tokens: float
    """A question: the critic's own calls."""
    review_tokens: float | None
    """A question: the turns that followed its doubts; None without traces."""
    share: float
    """Both of all tokens."""


@dataclass(frozen=True)
class Summary:
    """A run. What has no known answer is counted in `unknown` and nowhere else but in `statuses` and `effort`."""

    accuracy: Estimate
    by_capability: dict[str, Estimate]
    by_answer_type: dict[str, Estimate]
    unknown: int
    statuses: dict[str, int]
    overlap: Overlap | None
    relevance: Relevance
    calibration: Calibration
    effort: dict[str, Effort]
    critic: CriticEffect | None
    """None where no answer was reviewed."""


def summarize(scores: Sequence[Scored], sampling: Sampling) -> Summary:
    """The numbers of a run. Raises ValueError where no question has a known answer."""
    known = [one for one in scores if one.right is not None]
    accuracy = sampling.estimate(one.right for one in known)
    if accuracy is None:
        raise ValueError("none of the questions has an answer to score by")
    return Summary(
        accuracy=accuracy,
        by_capability=_accuracy_by(lambda one: one.capability or NO_CAPABILITY, known, sampling),
        by_answer_type=_accuracy_by(lambda one: one.answer_type, known, sampling),
        unknown=len(scores) - len(known),
        statuses=dict(Counter(one.status for one in scores).most_common()),
        overlap=overlap(known, sampling),
        relevance=relevance(scores, sampling),
        calibration=calibrate(known),
        effort=effort([one for one in scores if one.status != MISSING]),
        critic=critic_effect(known, sampling),
    )


def _accuracy_by(key: Callable[[Scored], str], known: Iterable[Scored], sampling: Sampling) -> dict[str, Estimate]:
    groups: dict[str, list[Scored]] = defaultdict(list)
    for one in known:
        groups[key(one)].append(one)
    found = {name: sampling.estimate(one.right for one in groups[name]) for name in sorted(groups)}
    return {name: accuracy for name, accuracy in found.items() if accuracy is not None}


def overlap(known: Iterable[Scored], sampling: Sampling) -> Overlap | None:
    """Of questions for times; those that the film does not answer have no times to overlap with."""
    ious = [one.score for one in known if one.answer_type == "spans" and one.true_answer != UNANSWERABLE]
    mean = sampling.estimate(ious)
    if mean is None:
        return None
    at = {bound: sum(iou is not None and iou >= bound for iou in ious) / len(ious) for bound in RECALL_AT}
    return Overlap(mean, at)


def relevance(scores: Sequence[Scored], sampling: Sampling) -> Relevance:
    """Where one looked, and where the answer was."""
    return Relevance(
        evidence=sampling.estimate(one.evidence_inside for one in scores),
        looked=sampling.estimate(one.looked_inside for one in scores),
        found=sampling.estimate(one.found for one in scores),
    )


def calibrate(known: Sequence[Scored]) -> Calibration:
    """How well confidence foretells what is right."""
    sure = [(one.confidence, bool(one.right)) for one in known if one.confidence is not None]
    bins = calibration.reliability(sure)
    return Calibration(bins, calibration.expected_error(bins), without=len(known) - len(sure))


EFFORTS: dict[str, Callable[[Scored], float]] = {
    "turns": lambda one: one.turns,
    "tokens": lambda one: one.tokens,
    "prompt tokens": lambda one: one.prompt_tokens,
    "completion tokens": lambda one: one.completion_tokens,
    "frames": lambda one: one.frames,
    "megapixels": lambda one: one.pixels / 1e6,
    "seconds": lambda one: one.seconds,
    "US dollars": lambda one: one.cost,
}


def effort(asked: Sequence[Scored]) -> dict[str, Effort]:
    """What a question took; nothing where none was asked."""
    return {name: _effort([measure(one) for one in asked]) for name, measure in EFFORTS.items()} if asked else {}


def _effort(values: Sequence[float]) -> Effort:
    median, p95 = np.quantile(values, [0.5, 0.95])
    return Effort(sum(values) / len(values), float(median), float(p95), sum(values))


def critic_effect(known: Sequence[Scored], sampling: Sampling) -> CriticEffect | None:
    """What the reviews did to the answers, and what they cost."""
    reviewed = sum(one.reviewed for one in known)
    without = sampling.estimate(one.right_first for one in known)
    gain = sampling.paired([bool(one.right) for one in known], [bool(one.right_first) for one in known])
    if not reviewed or without is None or gain is None:
        return None
    own = sum(one.critic_tokens for one in known)
    after = [one.review_tokens for one in known if one.review_tokens is not None]
    return CriticEffect(
        without=without,
        gain=gain,
        reviewed=reviewed,
        changed=sum(one.answer != one.answer_first for one in known),
        critic_tokens=own / len(known),
        review_tokens=sum(after) / len(known) if after else None,
        share=(own + sum(after)) / max(1, sum(one.tokens for one in known)),
    )


def compare(scores: Sequence[Scored], others: Sequence[Scored], sampling: Sampling) -> Paired:
    """One run against another over the same questions. Raises ValueError where none has a known answer."""
    pairs = [
        (bool(one.right), bool(other.right)) for one, other in zip(scores, others, strict=True) if one.right is not None
    ]
    found = sampling.paired([one for one, _ in pairs], [other for _, other in pairs])
    if found is None:
        raise ValueError("none of the questions has an answer to score by")
    return found
