"""Lessons for the agent's roles on toytown: what oracles said in real rollouts that ended with the right answer.

`python -m loupe.training.toytown_lessons OUT --films 8 --minutes 5 --seed 1` writes them as Parquet, with a report of
how many questions the oracles answered right: the ceiling of what a student can learn from them.
"""

import asyncio
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tyro
from transformers import AutoTokenizer

from loupe.agent import view
from loupe.agent.loop import rollout
from loupe.agent.policies import find_policy
from loupe.agent.scene import Desk
from loupe.benchmarks.toytown.facts import Facts
from loupe.benchmarks.toytown.questions import draw_questions
from loupe.benchmarks.toytown.screenplay import Film
from loupe.benchmarks.toytown.truth import truth_of
from loupe.benchmarks.toytown.writing import write_film
from loupe.config import Config, ScriptedModel, load
from loupe.embedding import Embedder, HashingEmbedder, open_embedder
from loupe.engines.protocol import ChatRequest, Engine, Reply
from loupe.scoring.answers import is_right
from loupe.training.toytown_decoder import TaskEncoder
from loupe.training.toytown_lessons_library import DrawnFootage, make_library
from loupe.training.toytown_lessons_tables import FrameRef, Lesson, lengths, write_lessons
from loupe.training.toytown_oracle import Critic, PlanOf, Reasoner, Vlm, asked_as, right_turn
from loupe.training.toytown_oracle_plans import investigation_of, plan_of
from loupe.training.toytown_tasks import FRAME, HELD_OUT
from schemas.messages import Message, Part, Text
from schemas.questions import LETTERS, Question
from schemas.traces import Call, ShownMessage, Trace, TurnRecord

DEMO = "infra/configs/demo.yaml"
VLM = "loupe/benchmarks/toytown/vlm"
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


@dataclass(frozen=True)
class Rolled:
    """A question, how the oracles answered it, and the lessons of that."""

    question: Question
    trace: Trace
    right: bool
    lessons: tuple[Lesson, ...]


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
) -> Iterator[Rolled]:
    """Every rollout of so many films; those that ended wrong have no lessons. Raises ValueError for held-out seeds.

    `errs` is how often a turn is a mistake, `flawed` the share of films whose captions have a captioner's errors.
    """
    refuse_held_out(seed)
    config = oracle_config()
    by_words = config.answer.search_mode == "text"  # then vectors decide nothing, and any will do
    embedder = HashingEmbedder() if by_words else open_embedder(config.embedding_model())
    course = COURSES[policy]
    for index in range(films):
        yield from of_film(seed, index, minutes, questions, course, config, embedder, errs=errs, flawed=flawed)


def of_film(
    seed: int,
    index: int,
    minutes: float,
    count: int,
    course: Course,
    config: Config,
    embedder: Embedder,
    *,
    errs: float,
    flawed: float,
) -> list[Rolled]:
    """The rollouts of one film."""
    film, rng = write_film(seed, index, minutes), np.random.default_rng((seed, index, 1))
    video_id = f"{film.name}.mp4"
    questions = draw_questions(Facts(truth_of(film)), video_id, np.random.default_rng((seed, index)), count)
    with tempfile.TemporaryDirectory() as folder:
        library = make_library(folder, film, video_id, embedder, rng if rng.random() < flawed else None)
        desk = DrawnDesk(library, embedder, oracles(film, questions, course, rng, errs), config, run="lessons")
        traces = asyncio.run(_play(desk, course, questions))
    where = (seed, index, minutes)
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


class DrawnDesk(Desk):
    """A desk at which the film itself is one that nobody encoded."""

    @cached_property
    def footage(self) -> DrawnFootage:
        return DrawnFootage()


async def _play(desk: Desk, course: Course, questions: Sequence[Question]) -> list[Trace]:
    """One question after the other: what is drawn at random does not depend on who is quicker."""
    policy = find_policy(course.policy)
    return [await rollout(desk, policy, question) for question in questions]


def options_of(question: Question) -> str:
    """Its options as a prompt has them."""
    return "\n".join(f"{letter}. {option}" for letter, option in zip(LETTERS, question.options, strict=False))


def _rolled(question: Question, trace: Trace, course: Course, where: tuple[int, int, float]) -> Rolled:
    assert question.answer is not None
    right = is_right(question.answer_type, trace.answer, question.answer) and not is_lucky(trace, course)
    return Rolled(question, trace, right, tuple(_lessons(question, trace, course, where)) if right else ())


def is_lucky(trace: Trace, course: Course) -> bool:
    """Whether the last turn was a mistake: an answer that came too soon, and happened to be right."""
    last = trace.turns[-1]
    return last.call.error is None and last.call.said != course.turn(real(view.prompt_of(trace, last.index)))


def _lessons(question: Question, trace: Trace, course: Course, where: tuple[int, int, float]) -> Iterator[Lesson]:
    """Every call of a trace."""

    def of_call(call: Call, turn: int) -> Lesson:
        role = "vlm" if call.role == "critic_vlm" else call.role
        return lesson_of(question, role, call.messages, call.said, turn, where)

    for turn in trace.turns:
        yield replace(turn_lesson(question, trace, turn, where, course.turn), role=course.role)
        yield from (of_call(call, turn.index) for call in turn.calls)
    for number, verdict in enumerate(trace.verdicts):
        yield from (of_call(call, len(trace.turns) + number) for call in verdict.calls)


def turn_lesson(
    question: Question,
    trace: Trace,
    turn: TurnRecord,
    where: tuple[int, int, float],
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
    where: tuple[int, int, float],
) -> Lesson:
    """What was said to what was shown. `where` is the film: its seed, index and minutes."""
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


# --- the command ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Settings:
    """Which lessons to write."""

    out: Annotated[Path, tyro.conf.Positional]
    """Folder to write to: a Parquet file a film, and report.json."""
    films: int = 8
    """How many films."""
    minutes: float = 5
    """How long each is."""
    seed: int = 1
    """What films, questions and mistakes are drawn from."""
    questions: int = 40
    """Questions a film, at most."""
    errs: float = 0.15
    """How often a turn of the reasoner is a mistake."""
    flawed: float = 0.5
    """Share of films whose captions have the errors of a captioner."""
    policy: Literal["retrieval_critic", "investigator"] = "retrieval_critic"
    """Who is taught."""


def main(settings: Settings) -> None:
    settings.out.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    rolled: dict[str, list[Rolled]] = defaultdict(list)
    for each in rollouts(
        settings.seed,
        settings.films,
        settings.minutes,
        settings.questions,
        errs=settings.errs,
        flawed=settings.flawed,
        policy=settings.policy,
    ):
        rolled[str(each.question.video)].append(each)
    for number, of_one in enumerate(rolled.values()):
        write_lessons(settings.out / f"lessons-{number:05}.parquet", (one for each in of_one for one in each.lessons))
    told = report([each for of_one in rolled.values() for each in of_one], time.monotonic() - began)
    (settings.out / "report.json").write_text(json.dumps(told, indent=2))
    sys.stdout.write(json.dumps(told, indent=2) + "\n")


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


if __name__ == "__main__":
    main(tyro.cli(Settings))
