"""Rollouts of oracles, and the lessons in them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from loupe.agent import view
from loupe.agent.loop import rollout
from loupe.agent.policies import find_policy
from loupe.agent.scene import Desk
from loupe.benchmarks.toytown.questions import questions_about
from loupe.benchmarks.toytown.screenplay import Film
from loupe.benchmarks.toytown.writing import HELD_OUT, write_film
from loupe.training.toytown_lessons.tables import FrameRef, Lesson
from loupe.training.toytown_tasks import FRAME
from schemas.messages import Message, Part, Text
from schemas.questions import LETTERS, Question
from schemas.traces import ShownMessage, Trace, TurnRecord

DEMO = "infra/configs/demo.yaml"
"""The prompts of lessons are those of this config."""


Where = tuple[int, int, float]
"""A film: its seed, its index and its minutes."""


@dataclass(frozen=True)
class Rolled:
    """A question, how the oracles answered it, and the lessons of that."""

    question: Question
    trace: Trace
    right: bool
    lessons: tuple[Lesson, ...]


def film_and_questions(where: Where, count: int) -> tuple[Film, list[Question]]:
    """A film, and so many questions about it at most."""
    seed, index, minutes = where
    film = write_film(seed, index, minutes)
    return film, questions_about(film, index, count)


async def play(desk: Desk, policy: str, questions: Sequence[Question]) -> list[Trace]:
    """One question after the other: what is drawn at random does not depend on who is quicker."""
    return [await rollout(desk, find_policy(policy), question) for question in questions]


def turn_lesson(
    question: Question,
    trace: Trace,
    turn: TurnRecord,
    where: Where,
    right: Callable[[tuple[Message, ...]], str],
) -> Lesson:
    """The lesson of a turn: none, and a mistake, where it is not what `right` would have said."""
    shown = view.prompt_of(trace, turn.index)
    lesson = lesson_of(question, turn.call.role, shown, turn.call.said, turn.index, where)
    return replace(lesson, is_lesson=lesson.target == right(lesson.messages))


def lesson_of(
    question: Question,
    role: str,
    shown: Sequence[ShownMessage],
    said: str,
    turn: int,
    where: Where,
) -> Lesson:
    """What was said to what was shown."""
    media = [part.media for message in shown for part in message.parts if part.media]
    return Lesson(
        role=role,
        messages=real(shown),
        target=said,
        frames=tuple(FrameRef(*where, one.ts_ms) for one in media),
        is_lesson=True,
        question_id=question.question_id,
        capability=question.capability,
        turn=turn,
    )


def refuse_held_out(seed: int) -> None:
    """Raises ValueError for a seed that is kept for examinations."""
    if seed >= HELD_OUT:
        raise ValueError(f"seeds from {HELD_OUT} on are never trained on, and {seed} is one of them")


def real(shown: Iterable[ShownMessage]) -> tuple[Message, ...]:
    """Messages as a model gets them, with FRAME for every picture."""

    def content(message: ShownMessage) -> str | tuple[Part, ...]:
        parts = tuple(FRAME if part.media else Text(text=part.text or "") for part in message.parts)
        return parts[0].text if len(parts) == 1 and isinstance(parts[0], Text) else parts

    return tuple(Message(role=message.role, content=content(message)) for message in shown)


def options_of(question: Question) -> str:
    """Its options as a prompt has them."""
    return "\n".join(f"{letter}. {option}" for letter, option in zip(LETTERS, question.options, strict=False))
