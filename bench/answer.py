"""The batch job's own work beside a model that takes 50 ms a call: wall time, CPU a turn, memory a question in flight.

1,000 questions of five turns over ten films, each with searches of its own, in an actor's process a core, with 64 and
with 512 in flight in all of them together. Two bounds are told, and how far the wall time is above each:

- latency: the model's 50 ms x calls / questions in flight, what is left where our own work costs nothing;
- CPU: our own work's CPU seconds / cores, what is left where the model costs nothing.

The ideal is the larger of the two. A job starts as many actors as `answer.job.actors_max` and its cluster's cores
allow; Python's own part of an actor's work runs on one core. Ray's start and its tasks are not in it; `make bench`
measures them with the index job.
"""

import asyncio
import json
import multiprocessing
import os
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from jobs.answer_batch import AnswerQuestions
from loupe.answering.preparing import Group, groups_of
from loupe.answering.run import Run
from loupe.config import Config
from loupe.engines.protocol import ChatRequest, Reply
from loupe.engines.scripted import ScriptedEngine
from schemas.messages import Usage
from schemas.questions import Question
from tests.agent_scene import Filmed, answer, ask, cues, doubt, make_library, search, text_of, verdict, vlm
from tests.answer_scene import config_tree

CORES = len(os.sched_getaffinity(0))
LATENCY_S = 0.05
QUESTIONS = 1000
FILMS = 10
IN_FLIGHT = (64, 512)
WARM_UP = 16
"""Questions of an actor, one in flight, before anything is measured."""


async def slow_model(request: ChatRequest) -> Reply:
    """Cues, a search, a look, an answer; 50 ms each."""
    await asyncio.sleep(LATENCY_S)
    return Reply(said(request), Usage(prompt_tokens=700, completion_tokens=60), "stop")


def said(request: ChatRequest) -> str:
    schema: dict[str, Any] = request.schema or {}
    match schema["title"]:
        case "FrameAnswer":
            return vlm("a cat")
        case "Doubt":
            return doubt()
        case "Verdict":
            return verdict(0.9)
    tools = json.dumps(schema)
    turns = sum(message.role == "assistant" for message in request.messages)
    if '"note_cues"' in tools:
        return cues()
    if turns < 4:
        number = asked_number(request)
        return (search(f"a cat {number}"), ask(times=[number % 50, number % 50 + 3]), search(f"a dog {number}"))[
            turns - 1
        ]
    return answer("a cat", [0])


def asked_number(request: ChatRequest) -> int:
    """Which question a turn is about."""
    (asked,) = re.findall(r"What is there\? (\d+)", text_of(request))
    return int(asked)


def config_for(folder: str, in_flight: int) -> Config:
    job = {"questions_in_flight": in_flight}
    places = (f"{folder}/database", "", f"{folder}/results")
    return Config.model_validate(config_tree(*places, critic={"mode": "off"}, max_actions=10, job=job))


@dataclass(frozen=True)
class Measured:
    """What an actor took, or all of them together."""

    turns: int
    calls: int
    seconds: float
    cpu_seconds: float
    bytes: int
    """By which its memory grew."""


@dataclass(frozen=True)
class Actor:
    """An actor's process: it begins when all others do."""

    folder: str
    start: Barrier

    def answer(self, in_flight: int, questions: list[Question]) -> Measured:
        """Answer questions, so many at a time."""
        asyncio.run(self._answer(config_for(self.folder, 1), questions[:WARM_UP]))
        return asyncio.run(self._answer(config_for(self.folder, in_flight), questions, self.start))

    async def _answer(self, config: Config, questions: list[Question], start: Barrier | None = None) -> Measured:
        """Their rows are counted and let go, as the job writes them and lets them go."""
        stage = AnswerQuestions(config, Run.new(config), session="bench")
        stage.desk.engines = {"model": ScriptedEngine(slow_model)}
        groups = groups_of(questions, 1)
        await stage({"group": groups[0]})  # films are read, prompts and schemas are made
        if start:
            start.wait()
        wall, cpu, memory = time.monotonic(), time.process_time(), resident()
        counts = await asyncio.gather(*(count(stage, group) for group in groups))
        turns, calls = map(sum, zip(*counts, strict=True))
        seconds = time.monotonic() - wall
        return Measured(turns, calls, seconds, time.process_time() - cpu, resident() - memory)


def answer_all(folder: str, in_flight: int, questions: Sequence[Question]) -> Measured:
    """Answer questions in fresh actors, a core each, so many at a time in all of them together."""
    number = min(CORES, in_flight)
    spawn = multiprocessing.get_context("spawn")
    with spawn.Manager() as manager, ProcessPoolExecutor(number, spawn) as actors:
        actor = Actor(folder, manager.Barrier(number))
        shares = [(len(range(n, in_flight, number)), list(questions[n::number])) for n in range(number)]
        done = [actors.submit(actor.answer, *share) for share in shares]
        took = [one.result() for one in done]
    return Measured(
        sum(one.turns for one in took),
        sum(one.calls for one in took),
        max(one.seconds for one in took),
        sum(one.cpu_seconds for one in took),
        sum(one.bytes for one in took),
    )


async def count(stage: AnswerQuestions, group: Group) -> tuple[int, int]:
    """Turns and calls that a group took."""
    answers = (await stage({"group": group}))["answered"].answers
    return sum(answers["turns"].to_pylist()), sum(answers["calls"].to_pylist())


def resident() -> int:
    """Bytes of this process's memory, at most so far; ru_maxrss would begin with those of the process that began it."""
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(peak) * 1024


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        scenes = [Filmed(f"{film}.mp4", chunk) for film in range(FILMS) for chunk in range(20)]
        make_library(Path(folder), *scenes).optimize()  # as the index job does at its end
        questions = [
            Question(question_id=str(number), question=f"What is there? {number}", video=f"{number % FILMS}.mp4")
            for number in range(QUESTIONS)
        ]
        for in_flight in IN_FLIGHT:
            report(in_flight, answer_all(folder, in_flight, questions))


def report(in_flight: int, took: Measured) -> None:
    latency, cpu = took.calls * LATENCY_S / in_flight, took.cpu_seconds / CORES
    done = f"{QUESTIONS} questions, {took.turns} turns, {took.calls} calls in {took.seconds:.1f} s"
    print(f"{in_flight} in flight: {done}")
    print(f"  bounds: latency {latency:.1f} s, CPU {cpu:.1f} s ({took.cpu_seconds:.1f} s on {CORES} cores)")
    print(f"  wall time over the ideal: {took.seconds / max(latency, cpu):.2f} (at most 1.3)")
    print(f"  wall time over latency alone: {took.seconds / latency:.2f}, over CPU alone: {took.seconds / cpu:.2f}")
    print(f"  CPU a turn: {1000 * took.cpu_seconds / took.turns:.1f} ms (at most 10)")
    print(f"  memory a question in flight: {took.bytes / in_flight / 1024:.0f} kB")


if __name__ == "__main__":
    main()
