"""Lessons of the policy `active_perception` on toytown: what an oracle did that explored films by itself."""

import asyncio
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from loupe.agent.films import Film as KnownFilm
from loupe.benchmarks.toytown.screenplay import Film
from loupe.config import Config, ScriptedModel, load
from loupe.engines.protocol import ChatRequest, Engine, Reply
from loupe.engines.speech import Spoken
from loupe.media import Sound
from loupe.scoring.answers import is_right
from loupe.training.toytown_lessons.library import DrawnDesk
from loupe.training.toytown_lessons.looking_kinds import plan_of
from loupe.training.toytown_lessons.looking_plans import FRAMES, LISTEN, OVERLAP
from loupe.training.toytown_lessons.looking_prompts import Explored, file_of, percept_of
from loupe.training.toytown_lessons.oracle import LAST, SURE, UNSURE, follow, reply, said
from loupe.training.toytown_lessons.oracle_prompts import OFF, Done, text_of
from loupe.training.toytown_lessons.oracle_steps import Step
from loupe.training.toytown_lessons.rolled import (
    DEMO,
    Rolled,
    Where,
    film_and_questions,
    play,
    refuse_held_out,
    turn_lesson,
)
from loupe.training.toytown_lessons.tables import Lesson
from loupe.transcribing import Heard
from schemas.messages import Message
from schemas.questions import UNANSWERABLE, Question
from schemas.traces import Trace

ROLE = "looker"
PERCEIVED = re.compile(r"\b(?:Seen|Heard)\b")
"""What results say that are no refusals."""
PASSES = 0.3
"""How often who comes to the film's end asks for a window that goes past it."""
GOES_ON = 0.2
"""How often who has come there asks for the window behind it."""
REPEATS = 0.3
"""How often who was refused asks for the same again."""
POLICY = "active_perception"


# --- the oracle -------------------------------------------------------------------------------------------------------


def right_turn(messages: Sequence[Message], film: Film) -> str:
    """What is to be said to a prompt about a film. Raises ValueError for a prompt that cannot be followed."""
    step, note = next_step(Explored.of(messages), film)
    if text_of(messages[-1]).endswith(LAST) and step.tool != "answer":
        step = Step("answer", {"content": UNANSWERABLE, "evidence_times": []}, step.read, "Answer.", UNSURE)
    return said(step, note)


def next_step(seen: Explored, film: Film) -> tuple[Step, str]:
    """The step of the plan that comes next, and what is noted of the percept before: turns off the plan are passed."""

    def read(step: Step, turn: Done) -> str:
        if turn.action is None or step.tool == "answer":
            return OFF
        return step.read(percept_of(film, turn.action, turn.result))

    return follow(plan_of(seen), seen.done, read)


class Looker:
    """Takes the right turn, or with a probability of `errs` a wrong one: it knows what the pictures show."""

    def __init__(self, film: Film, rng: np.random.Generator, errs: float) -> None:
        self.film, self.rng, self.errs = film, rng, errs

    async def chat(self, request: ChatRequest) -> Reply:
        """The next turn."""
        if text_of(request.messages[-1]).endswith(LAST):
            return reply(right_turn(request.messages, self.film))
        seen = Explored.of(request.messages)
        step, note = next_step(seen, self.film)
        last = seen.done[-1] if seen.done else None
        if last and last.action and not PERCEIVED.search(last.result) and self.rng.random() < REPEATS:
            return reply(said(_again(last.action), note))
        if last and last.action and last.action.get("end") == seen.seconds and self.rng.random() < GOES_ON:
            return reply(said(_behind_the_end(last.action), note))
        if step.arguments.get("end") == seen.seconds and self.rng.random() < PASSES:
            return reply(said(_past_the_end(step), note))
        if self.rng.random() >= self.errs:
            return reply(said(step, note))
        return reply(said(self._mistake(seen, step), note))

    def _mistake(self, seen: Explored, step: Step) -> Step:
        """Past the end, too many frames, the wrong time, the same again, or an answer that comes too soon."""
        kind = int(self.rng.integers(5))
        start = float(self.rng.integers(int(seen.seconds)))
        if kind == 0:
            return _look(start, seen.seconds + 30.0, FRAMES)
        if kind == 1:
            return _look(start, seen.seconds, 2 * FRAMES)
        if kind == 2 or not seen.done or step.tool == "answer":
            return _look(start, min(start + 20.0, seen.seconds), 3)
        last = seen.done[-1].action
        if kind == 3 and last is not None and last["tool"] != "answer":
            return _again(last)
        content = seen.options[int(self.rng.integers(len(seen.options)))] if seen.options else UNANSWERABLE
        return Step("answer", {"content": content, "evidence_times": []}, step.read, "Answer.", SURE / 2)

    async def close(self) -> None:
        """Nothing is held."""


def _past_the_end(step: Step) -> Step:
    """The step, as long as one is that does not come to the film's end."""
    start = step.arguments["start"]
    arguments = step.arguments | {"end": start + LISTEN + (OVERLAP if step.tool == "listen" else 0.0)}
    return Step(step.tool, arguments, step.read, step.thought)


def _again(action: dict[str, Any]) -> Step:
    """What was said before."""
    arguments = {name: value for name, value in action.items() if name != "tool"}
    return Step(action["tool"], arguments, lambda told: OFF, f"{action['tool'].capitalize()}.")


def _behind_the_end(action: dict[str, Any]) -> Step:
    """The window behind the last one: there is none."""
    start = float(action["end"])
    return _again(action | {"start": start, "end": start + LISTEN})


def _look(start: float, end: float, frames: int) -> Step:
    return Step("look", {"start": start, "end": end, "frames": frames}, lambda told: OFF, "Look.")


# --- a film that nobody encoded ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ears:
    """Knows what is said in a film; now and then it mishears a word."""

    film: Film
    rng: np.random.Generator
    mishears: float

    def lines(self, sound: Sound) -> list[Spoken]:
        """The lines of a stretch, those at its edges in part."""
        start, end = (round(float(edge)) for edge in sound)
        lines = [self._part(line.start_ms, line.end_ms, line.text, start, end) for line in self.film.lines]
        return [line for line in lines if line.text]

    def _part(self, first: int, last: int, text: str, start: int, end: int) -> Spoken:
        words = text.split()
        at = [first + (last - first) * (2 * index + 1) // (2 * len(words)) for index in range(len(words))]
        kept = [word for word, ms in zip(words, at, strict=True) if start <= ms < end]
        told = [word if self.rng.random() >= self.mishears else word[::-1] for word in kept]
        return Spoken(max(first, start), min(last, end), " ".join(told))


@dataclass(frozen=True)
class Shelf:
    """One film, of which nothing is known but its file."""

    film: Film

    async def get(self, video: str) -> KnownFilm:
        times = tuple(range(0, self.film.duration_ms, 1000))
        file = file_of(self.film)
        return KnownFilm(video, self.film.duration_ms, "", (), (), times, {}, decoded=True, lineage=file.uri, file=file)

    def forget(self, video_id: str) -> None:
        """Nothing: the film is drawn, and stays as it is."""


class ToytownDesk(DrawnDesk):
    """A desk at which a drawn film is listened to, too."""

    def __init__(self, film: Film, looker: Engine, ears: Ears, config: Config) -> None:
        super().__init__(None, None, {"oracle": looker}, config, run="lessons")
        self.film, self.ears = film, ears

    @cached_property
    def films(self) -> Shelf:
        return Shelf(self.film)

    async def hear(self, sound: Sound, start_ms: int) -> Heard:
        return Heard(tuple(self.ears.lines(sound)))


# --- lessons ----------------------------------------------------------------------------------------------------------


def looker_config(turns: int | None = None) -> Config:
    """The demo's config, with an oracle in the place of the tiny model; with a fixed budget of turns, or its own."""
    budget = [] if turns is None else ["answer.looking.turns=fixed", f"answer.looking.max_turns={turns}"]
    models, roles = {"oracle": ScriptedModel(engine="scripted")}, {"vlm": "oracle", "transcriber": "oracle"}
    return load(DEMO, budget).model_copy(update={"models": models, "roles": roles})


def rollouts(
    seed: int,
    films: int,
    minutes: float,
    questions: int,
    *,
    errs: float = 0.15,
    mishears: float = 0.03,
    turns: int | None = None,
) -> Iterator[list[Rolled]]:
    """Film by film, every rollout; those that ended wrong have no lessons. Raises ValueError for held-out seeds."""
    refuse_held_out(seed)
    config = looker_config(turns)
    for index in range(films):
        yield of_film((seed, index, minutes), questions, config, errs=errs, mishears=mishears)


def of_film(where: Where, count: int, config: Config, *, errs: float, mishears: float) -> list[Rolled]:
    """The rollouts of one film."""
    film, questions = film_and_questions(where, count)
    rng = np.random.default_rng((*where[:2], 2))
    desk = ToytownDesk(film, Looker(film, rng, errs), Ears(film, rng, mishears), config)
    traces = asyncio.run(play(desk, POLICY, questions))
    return [_rolled(one, trace, film, where) for one, trace in zip(questions, traces, strict=True)]


def _rolled(question: Question, trace: Trace, film: Film, where: Where) -> Rolled:
    assert question.answer is not None
    right = is_right(question.answer_type, trace.answer, question.answer)
    return Rolled(question, trace, right, tuple(_lessons(question, trace, film, where)) if right else ())


def _lessons(question: Question, trace: Trace, film: Film, where: Where) -> Iterator[Lesson]:
    for turn in trace.turns:
        lesson = turn_lesson(question, trace, turn, where, lambda messages: right_turn(messages, film))
        yield replace(lesson, role=ROLE)
