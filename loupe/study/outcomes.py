"""What became of a setting's questions: each with its score, and how its turns went."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loupe.results import ResultsError, read_answers, read_traces
from loupe.scoring.relevance import Stretch
from loupe.scoring.scored import LOOKED_COLUMNS, Looked, Scored, score_question, times_of
from schemas.questions import Question

Row = Mapping[str, Any]
TURN_COLUMNS = tuple(
    f"turns.list.element.{name}" for name in ("call.mean_entropy", "sound.start_ms", "sound.end_ms", "percept")
)


@dataclass(frozen=True)
class Outcome:
    """A question, and what a setting made of it."""

    scored: Scored
    entropies: tuple[float | None, ...]
    """Mean entropy of what was written in each turn, in nats; None where the engine told none."""
    pivotal: int | None
    """The turn that asked for the first percept inside the question's true times; None where there was none."""
    error: str | None


@dataclass(frozen=True)
class Answers:
    """All that a setting was asked."""

    outcomes: Mapping[str, Outcome]
    """By question_id."""

    @property
    def impossible(self) -> str | None:
        """Why every question failed, where every one did; else None."""
        errors = [one.error for one in self.outcomes.values() if one.scored.status == "failed"]
        return (errors[0] or "no reason was given") if errors and len(errors) == len(self.outcomes) else None

    def of(self, questions: Iterable[Question]) -> list[Outcome]:
        """The outcomes of some of the questions, in their order."""
        return [self.outcomes[question.question_id] for question in questions]


def read_outcomes(folder: str, questions: Sequence[Question]) -> Answers:
    """Read what an answer job left. Raises ResultsError where the answers are not all there."""
    rows = read_answers(folder)
    missing = [question.question_id for question in questions if question.question_id not in rows]
    if missing:
        raise ResultsError(f"{folder} lacks the answers to {len(missing)} of {len(questions)} questions")
    wanted = {question.question_id for question in questions}
    traces = {row["question_id"]: row for row in read_traces(folder, (*LOOKED_COLUMNS, *TURN_COLUMNS), wanted)}
    return Answers(
        {one.question_id: outcome(one, rows[one.question_id], traces.get(one.question_id)) for one in questions}
    )


def outcome(question: Question, answer: Row, trace: Row | None) -> Outcome:
    """From a row of `ANSWERS` and one of `TRACES`."""
    turns = trace["turns"] if trace else []
    return Outcome(
        scored=score_question(question, answer, Looked.of(trace) if trace else None),
        entropies=tuple(turn["call"]["mean_entropy"] for turn in turns),
        pivotal=pivotal_turn(turns, times_of(question)),
        error=answer["error"],
    )


def pivotal_turn(turns: Sequence[Row], true: Sequence[Stretch]) -> int | None:
    """The turn that decided to perceive what the answer rests on, the first of them.

    The paper has a large model pick the step on which a right answer turned. On films whose truth is known nobody has
    to be asked: it is the turn whose action brought the first frame, or the first sound, from inside the true times.
    """
    return next((index for index, turn in enumerate(turns) if turn["percept"] and _touches(turn, true)), None)


def _touches(turn: Row, true: Sequence[Stretch]) -> bool:
    stretches = [(media["ts_ms"], media["ts_ms"]) for media in turn["media"]]
    if turn["sound"]:
        stretches.append((turn["sound"]["start_ms"], turn["sound"]["end_ms"]))
    return any(start <= last and end >= first for start, end in stretches for first, last in true)
