"""A made-up study: outcomes by a rule, for every point of a size."""

from collections.abc import Callable, Mapping
from typing import Any

from loupe.scoring.scored import NOTHING, score_question
from loupe.scoring.summary import Sampling
from loupe.study.measures import Study
from loupe.study.outcomes import Answers, Outcome
from loupe.study.plan import QuestionSet, Setting, Size, asked_of, points_of
from schemas.questions import Question
from tests.results_scene import letter

SMALL = Size(lengths=(5, 30, 130), films=1, questions=10, times=5, budgets=(6, 52), at=30)
Rule = Callable[[Setting, int], dict[str, Any]]
"""From a setting and the number of a question to what became of it: columns of an answer, entropies, pivotal, error."""


def spans(name: str) -> Question:
    """A question for the seconds 10 to 20."""
    return letter(name, answer="[[10, 20]]", answer_type="spans", options=())


def questions_of(size: Size) -> Mapping[tuple[float, QuestionSet], list[Question]]:
    """Made-up questions, for every length."""
    mixed: dict[tuple[float, QuestionSet], list[Question]] = {
        (minutes, "mixed"): [letter(f"{minutes:g}m-{number}") for number in range(size.questions)]
        for minutes in size.lengths
    }
    return mixed | {(size.at, "times"): [spans(f"times-{number}") for number in range(size.times)]}


def outcome(question: Question, told: dict[str, Any]) -> Outcome:
    """What a rule says, scored."""
    told = {"answer": None, "status": "answered", **told}
    own = {name: told.pop(name, default) for name, default in (("entropies", ()), ("pivotal", None), ("error", None))}
    if question.answer_type == "spans" and told["answer"] is not None:
        told["answer"] = "[[10, 20]]" if told["answer"] == "A" else "[[40, 50]]"
    return Outcome(scored=score_question(question, {**NOTHING, **told}, None), **own)


def study(rule: Rule, size: Size = SMALL, **more: Any) -> Study:
    """A study in which the rule says what became of everything."""
    points, questions = points_of(size), questions_of(size)
    answers = {}
    for setting, kinds in asked_of(points).items():
        asked = [question for kind in kinds for question in questions[setting.minutes, kind]]
        found = {one.question_id: outcome(one, rule(setting, number)) for number, one in enumerate(asked)}
        answers[setting.name] = Answers(found)
    told: dict[str, Any] = {
        "points": points,
        "questions": questions,
        "answers": answers,
        "refused": {},
        "index_tokens": {minutes: round(minutes * 6_000) for minutes in size.lengths},
        "film_tokens": {minutes: minutes * 60 * 144 for minutes in size.lengths},
        "sampling": Sampling(resamples=50),
    }
    return Study(**told | more)
