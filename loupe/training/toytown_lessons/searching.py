"""Lessons of the policies that search: what oracles said, in every role, in real rollouts that ended right."""

import asyncio
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from loupe.agent import view
from loupe.benchmarks.toytown.screenplay import Film
from loupe.config import Config, ScriptedModel, load
from loupe.embedding import Embedder, HashingEmbedder, open_embedder
from loupe.engines.protocol import ChatRequest, Engine, Reply
from loupe.scoring.answers import is_right
from loupe.training.toytown_lessons.library import DrawnDesk, make_library
from loupe.training.toytown_lessons.oracle import Critic, PlanOf, Reasoner, Vlm, asked_as, right_turn
from loupe.training.toytown_lessons.oracle_plans import investigation_of, plan_of
from loupe.training.toytown_lessons.rolled import (
    DEMO,
    Rolled,
    Where,
    film_and_questions,
    lesson_of,
    options_of,
    play,
    real,
    refuse_held_out,
    turn_lesson,
)
from loupe.training.toytown_lessons.tables import Lesson
from schemas.messages import Message
from schemas.questions import Question
from schemas.traces import Call, Trace

ORACLES = ("reasoner", "vlm", "critic", "critic_vlm")


@dataclass(frozen=True)
class Course:
    """How a policy that searches is taught: what plans its turns, and the role that its lessons are of."""

    policy: str
    plan_of: PlanOf
    role: str

    def turn(self, messages: tuple[Message, ...]) -> str:
        """What is to be said to a prompt."""
        return right_turn(messages, self.plan_of)


COURSES = {
    course.policy: course
    for course in (
        Course("retrieval_critic", plan_of, "reasoner"),
        Course("investigator", investigation_of, "investigator"),
    )
}


def oracle_config() -> Config:
    """The demo's config with an oracle in every role of the agent."""
    demo = load(DEMO)
    models = {role: ScriptedModel(engine="scripted") for role in ORACLES} | {"words": demo.embedding_model()}
    roles = {role: role for role in ORACLES} | {"embedder": "words", "transcriber": "vlm"}
    return demo.model_copy(update={"models": models, "roles": roles})


def rollouts(
    seed: int,
    films: int,
    minutes: float,
    questions: int,
    *,
    errs: float = 0.15,
    flawed: float = 0.5,
    policy: str = "retrieval_critic",
) -> Iterator[list[Rolled]]:
    """Film by film, every rollout; those that ended wrong have no lessons. Raises ValueError for held-out seeds.

    `errs` is how often a turn is a mistake, `flawed` the share of films whose captions have a captioner's errors.
    """
    refuse_held_out(seed)
    config = oracle_config()
    by_words = config.answer.search_mode == "text"  # then vectors decide nothing, and any will do
    embedder = HashingEmbedder() if by_words else open_embedder(config.embedding_model())
    course = COURSES[policy]
    for index in range(films):
        yield of_film((seed, index, minutes), questions, course, config, embedder, errs=errs, flawed=flawed)


def of_film(
    where: Where, count: int, course: Course, config: Config, embedder: Embedder, *, errs: float, flawed: float
) -> list[Rolled]:
    """The rollouts of one film."""
    film, questions = film_and_questions(where, count)
    rng, video_id = np.random.default_rng((*where[:2], 1)), film.video_id
    with tempfile.TemporaryDirectory() as folder:
        library = make_library(folder, film, video_id, embedder, rng if rng.random() < flawed else None)
        desk = DrawnDesk(library, embedder, oracles(film, questions, course, rng, errs), config, run="lessons")
        traces = asyncio.run(play(desk, course.policy, questions))
    return [_rolled(one, trace, course, where) for one, trace in zip(questions, traces, strict=True)]


def oracles(
    film: Film, questions: Sequence[Question], course: Course, rng: np.random.Generator, errs: float
) -> dict[str, Engine]:
    """Who plays the roles of the agent."""
    truth = {asked_as(one.question, options_of(one)): one for one in questions}
    reasoner, vlm = Reasoner(rng, errs, course.plan_of), Vlm(film)
    return {
        "reasoner": reasoner,
        "vlm": InTurns(reasoner, vlm),
        "critic": Critic(truth),
        "critic_vlm": vlm,
    }


@dataclass(frozen=True)
class InTurns:
    """One model that takes the turns, and is asked about frames too: those requests come without instructions."""

    reasoner: Engine
    vlm: Engine

    async def chat(self, request: ChatRequest) -> Reply:
        engine = self.reasoner if request.messages[0].role == "system" else self.vlm
        return await engine.chat(request)

    async def close(self) -> None:
        """Nothing is held."""


def _rolled(question: Question, trace: Trace, course: Course, where: Where) -> Rolled:
    assert question.answer is not None
    right = is_right(question.answer_type, trace.answer, question.answer) and not is_lucky(trace, course)
    return Rolled(question, trace, right, tuple(_lessons(question, trace, course, where)) if right else ())


def is_lucky(trace: Trace, course: Course) -> bool:
    """Whether the last turn was a mistake: an answer that came too soon, and happened to be right."""
    last = trace.turns[-1]
    return last.call.error is None and last.call.said != course.turn(real(view.prompt_of(trace, last.index)))


def _lessons(question: Question, trace: Trace, course: Course, where: Where) -> Iterator[Lesson]:
    """Every call of a trace."""

    def of_call(call: Call, turn: int) -> Lesson:
        role = "vlm" if call.role == "critic_vlm" else call.role
        return lesson_of(question, role, call.messages, call.said, turn, where)

    for turn in trace.turns:
        yield replace(turn_lesson(question, trace, turn, where, course.turn), role=course.role)
        yield from (of_call(call, turn.index) for call in turn.calls)
    for number, verdict in enumerate(trace.verdicts):
        yield from (of_call(call, len(trace.turns) + number) for call in verdict.calls)
