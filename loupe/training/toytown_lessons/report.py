"""What a folder of lessons holds: how many questions the oracles answered right, and how long the lessons are."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from transformers import AutoTokenizer

from loupe.config import resolve_source
from loupe.training.toytown_decoder import TaskEncoder
from loupe.training.toytown_lessons.rolled import Rolled
from loupe.training.toytown_lessons.tables import lengths

VLM = resolve_source("loupe/benchmarks/toytown/vlm")


def report(rolled: Sequence[Rolled], seconds: float) -> dict[str, object]:
    """Shares of right rollouts by capability, lengths of lessons by role, and what a film takes."""
    encoder = TaskEncoder(AutoTokenizer.from_pretrained(VLM))
    learned = [lesson for each in rolled for lesson in each.lessons]
    films = {each.question.video for each in rolled}
    return {
        "films": len(films),
        "seconds_a_film": round(seconds / max(1, len(films)), 1),
        "right": rights(rolled),
        "mistakes": sum(not lesson.is_lesson for lesson in learned),
        "answers_sent_back": sum(verdict.sent_back for each in rolled if each.right for verdict in each.trace.verdicts),
        "tokens": {
            role: asdict(each)
            for role, each in lengths([lesson for lesson in learned if lesson.is_lesson], encoder).items()
        },
    }


def rights(rolled: Iterable[Rolled]) -> dict[str, str]:
    """Right rollouts of all, by capability and together."""
    marks: dict[str, list[bool]] = defaultdict(list)
    for each in rolled:
        for name in (each.question.capability, "all"):
            marks[name].append(each.right)
    return {name: f"{sum(of)}/{len(of)} = {sum(of) / len(of):.2f}" for name, of in sorted(marks.items())}
