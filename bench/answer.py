"""The batch job's own work beside a model that takes 50 ms a call: wall time, CPU a turn, memory a question in flight.

1,000 questions of five turns over ten films, in one actor's process, with 64 and with 512 in flight. The ideal is what
the model's latency alone takes, or, where that is more, what the CPU work of the same questions takes on one core:
Python runs on one. Ray's start and its tasks are not in it; `make bench` measures them with the index job.
"""

import asyncio
import json
import resource
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from jobs.answer_batch import AnswerQuestions
from loupe.answering.asking import Group, groups_of
from loupe.answering.run import Run
from loupe.config import Config
from loupe.engines.protocol import ChatRequest, Reply
from loupe.engines.scripted import ScriptedEngine
from schemas.messages import Usage
from schemas.questions import Question
from tests.agent_scene import Filmed, answer, ask, cues, doubt, make_library, search, verdict, vlm
from tests.answer_scene import config_tree

LATENCY_S = 0.05
QUESTIONS = 1000
FILMS = 10
IN_FLIGHT = (64, 512)
WARM_UP = 16
"""Questions, one in flight, before memory is looked at."""


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
        return (search("a cat"), ask(times=[0, 3]), search("a dog"))[turns - 1]
    return answer("a cat", [0])


def config_for(database: str, in_flight: int) -> Config:
    job = {"questions_in_flight": in_flight}
    return Config.model_validate(config_tree(database, "", "", critic={"mode": "off"}, max_actions=10, job=job))


@dataclass(frozen=True)
class Measured:
    turns: int
    calls: int
    seconds: float
    cpu_seconds: float


async def answer_all(config: Config, questions: list[Question]) -> Measured:
    """Answer questions; their rows are counted and let go, as the job writes them and lets them go."""
    stage = AnswerQuestions(config, Run.new(config))
    stage.desk.engines = {"model": ScriptedEngine(slow_model)}
    groups = groups_of(questions, 1)
    await stage({"group": groups[0]})  # films are read, prompts and schemas are made
    wall, cpu = time.monotonic(), time.process_time()
    counts = await asyncio.gather(*(count(stage, group) for group in groups))
    turns, calls = map(sum, zip(*counts, strict=True))
    return Measured(turns, calls, time.monotonic() - wall, time.process_time() - cpu)


async def count(stage: AnswerQuestions, group: Group) -> tuple[int, int]:
    """Turns and calls that a group took."""
    answers = (await stage({"group": group}))["answered"].answers
    return sum(answers["turns"].to_pylist()), sum(answers["calls"].to_pylist())


def resident() -> int:
    """Bytes of this process's memory, at most so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        scenes = [Filmed(f"{film}.mp4", chunk) for film in range(FILMS) for chunk in range(20)]
        make_library(Path(folder), *scenes)
        questions = [
            Question(question_id=str(number), question=f"What is there? {number}", video=f"{number % FILMS}.mp4")
            for number in range(QUESTIONS)
        ]
        asyncio.run(answer_all(config_for(f"{folder}/database", 1), questions[:WARM_UP]))
        for in_flight in IN_FLIGHT:
            before = resident()
            took = asyncio.run(answer_all(config_for(f"{folder}/database", in_flight), questions))
            latency = took.calls * LATENCY_S / in_flight
            print(
                f"{in_flight} in flight: {QUESTIONS} questions, {took.turns} turns, {took.calls} calls in "
                f"{took.seconds:.1f} s; latency alone {latency:.1f} s, CPU {took.cpu_seconds:.1f} s"
            )
            print(f"  wall time over the ideal: {took.seconds / max(latency, took.cpu_seconds):.2f} (at most 1.3)")
            print(f"  CPU a turn: {1000 * took.cpu_seconds / took.turns:.1f} ms (at most 10)")
            print(f"  memory a question in flight: {(resident() - before) / in_flight / 1024:.0f} kB")


if __name__ == "__main__":
    main()
