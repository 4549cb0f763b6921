"""The ceilings: how many questions are answered right by who knows the truth, or a true caption every second."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from loupe.benchmarks.toytown.captions import caption
from loupe.benchmarks.toytown.facts import Facts
from loupe.benchmarks.toytown.questions import TEMPLATES
from loupe.benchmarks.toytown.screenplay import Film
from loupe.benchmarks.toytown.truth import rows_from_captions, truth_of
from schemas.questions import LETTERS, UNANSWERABLE, Question

GOOD_IOU = 0.5
"""Spans count as right from this overlap on."""


def truth_facts(film: Film) -> Facts:
    """What the truth of a film says."""
    return Facts(truth_of(film))


def caption_facts(film: Film, *, lines: bool) -> Facts:
    """What true captions at one frame a second say; `lines` adds what is spoken."""
    captions = [(second * 1000, caption(film.still(second))) for second in range(-(-film.duration_ms // 1000))]
    spoken = [row for row in truth_of(film) if row.kind == "line"] if lines else []
    return Facts([*rows_from_captions(captions, 1000), *spoken])


def answer(facts: Facts, question: Question) -> str:
    """A question's answer, by its text and options alone; `UNANSWERABLE` where the facts do not give one."""
    for template in TEMPLATES:
        match = template.pattern.fullmatch(question.question)
        if match and template.answer_type == question.answer_type:
            found = template.solve(facts, match.groupdict(), question.options)
            if found is None or (question.options and found.value not in question.options):
                return UNANSWERABLE
            return LETTERS[question.options.index(found.value)] if question.options else found.value
    raise ValueError(f"no kind of question reads: {question.question}")


def is_right(given: str, question: Question) -> bool:
    """Whether an answer is right; spans are from an overlap of `GOOD_IOU` on."""
    if UNANSWERABLE in (given, question.answer) or question.answer_type != "spans":
        return given == question.answer
    told, true = (question.model_copy(update={"answer": text}).value() for text in (given, question.answer))
    assert isinstance(told, list)
    assert isinstance(true, list)
    return iou(told, true) >= GOOD_IOU


def iou(one: Sequence[tuple[float, float]], other: Sequence[tuple[float, float]]) -> float:
    """Shared time of two sets of spans, each without overlaps, over the time that either covers."""
    shared = sum(max(0.0, min(a[1], b[1]) - max(a[0], b[0])) for a in one for b in other)
    either = sum(end - start for start, end in [*one, *other]) - shared
    return shared / either if either else 0.0


def accuracy(answered: Iterable[tuple[str, Question]]) -> dict[str, float]:
    """The share of right answers by capability, and of all."""
    marks: dict[str, list[bool]] = defaultdict(list)
    for given, question in answered:
        marks[question.capability].append(is_right(given, question))
        marks["all"].append(marks[question.capability][-1])
    return {name: sum(values) / len(values) for name, values in sorted(marks.items())}
