"""Lessons for the VLM of the policy `passive` on toytown: the very requests that it makes, and the true answers.

In a share of them it is shown frames of the times on which the answer rests (`answer.passive_times: relevant`), so
that the same model can be measured when it is handed the evidence.
"""

import asyncio
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from loupe.agent import view
from loupe.agent.loop import rollout
from loupe.agent.policies import find_policy
from loupe.agent.scene import Desk
from loupe.benchmarks.toytown.screenplay import Film
from loupe.config import Config
from loupe.embedding import HashingEmbedder
from loupe.library import Library
from loupe.training.toytown_lessons.library import make_library
from loupe.training.toytown_lessons.oracle import asked_as
from loupe.training.toytown_lessons.oracle_passive import Answerer
from loupe.training.toytown_lessons.rolled import (
    Rolled,
    Where,
    film_and_questions,
    lesson_of,
    options_of,
    refuse_held_out,
)
from loupe.training.toytown_lessons.searching import oracle_config
from loupe.training.toytown_lessons.tables import Lesson
from schemas.questions import Question
from schemas.traces import Trace

Times = Literal["uniform", "relevant"]
ROLE = "passive"
HANDED = 1 / 3
"""Share of the lessons that show frames of the true evidence."""


@dataclass(frozen=True)
class OneShot(Rolled):
    """A question to which the one lesson is the true answer."""

    times: Times
    """Which frames were shown with it."""

    @property
    def lesson(self) -> Lesson:
        return self.lessons[0]


def rollouts(
    seed: int, films: int, minutes: float, questions: int, *, handed: float = HANDED
) -> Iterator[list[OneShot]]:
    """Film by film, every question with its answer. Raises ValueError for held-out seeds."""
    refuse_held_out(seed)
    for index in range(films):
        yield of_film((seed, index, minutes), questions, handed=handed)


def of_film(where: Where, count: int, *, handed: float) -> list[OneShot]:
    """The lessons of one film."""
    film, questions = film_and_questions(where, count)
    rng = np.random.default_rng((*where[:2], 2))
    times: list[Times] = ["relevant" if rng.random() < handed else "uniform" for _ in questions]
    with tempfile.TemporaryDirectory() as folder:
        library = make_library(folder, film, film.video_id, HashingEmbedder())
        traces = asyncio.run(_play(film, questions, times, library))
    return [
        OneShot(question, trace, right=True, lessons=(_lesson(question, trace, where),), times=shown)
        for question, shown, trace in zip(questions, times, traces, strict=True)
    ]


async def _play(film: Film, questions: Sequence[Question], times: Sequence[Times], library: Library) -> list[Trace]:
    """Every question by the policy itself."""
    vlm = Answerer(film, {asked_as(one.question, options_of(one)): one for one in questions})
    desks = {
        shown: Desk(library, HashingEmbedder(), {"vlm": vlm}, _config(shown), run="lessons") for shown in set(times)
    }
    policy = find_policy("passive")
    return [await rollout(desks[shown], policy, one) for one, shown in zip(questions, times, strict=True)]


def _config(times: Times) -> Config:
    config = oracle_config()
    return config.model_copy(update={"answer": config.answer.model_copy(update={"passive_times": times})})


def _lesson(question: Question, trace: Trace, where: Where) -> Lesson:
    """The only call of a trace."""
    (turn,) = trace.turns
    return lesson_of(question, ROLE, view.prompt_of(trace, turn.index), turn.call.said, turn.index, where)
