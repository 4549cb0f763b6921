"""The ceilings: how many questions are answered right by who knows the truth, or a true caption every second."""

from collections import defaultdict
from collections.abc import Iterable

from loupe.benchmarks.toytown.captions import caption
from loupe.benchmarks.toytown.facts import Facts
from loupe.benchmarks.toytown.questions import template_of
from loupe.benchmarks.toytown.screenplay import Film
from loupe.benchmarks.toytown.truth import rows_from_captions, truth_of
from loupe.scoring.answers import is_right
from schemas.questions import LETTERS, UNANSWERABLE, Question


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
    template, names = template_of(question.question)
    found = template.solve(facts, names, question.options)
    if found is None or (question.options and found.value not in question.options):
        return UNANSWERABLE
    return LETTERS[question.options.index(found.value)] if question.options else found.value


def accuracy(answered: Iterable[tuple[str, Question]]) -> dict[str, float]:
    """The share of right answers by capability, and of all."""
    marks: dict[str, list[bool]] = defaultdict(list)
    for given, question in answered:
        assert question.answer is not None
        marks[question.capability].append(is_right(question.answer_type, given, question.answer))
        marks["all"].append(marks[question.capability][-1])
    return {name: sum(values) / len(values) for name, values in sorted(marks.items())}
