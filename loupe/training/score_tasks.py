"""Scores a model's answers and summaries on toytown never trained on: `python -m loupe.training.score_tasks`.

Questions are drawn as in training, about stills of held-out seeds; summaries are of held-out films, minute by minute.
Captions have a command of their own: score_captions.
"""

import argparse
import asyncio
import io
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from PIL import Image as Picture

from loupe.asking import parse_answer
from loupe.benchmarks.toytown.caption_scores import Score
from loupe.benchmarks.toytown.summaries import scenes_of
from loupe.benchmarks.toytown.writing import HELD_OUT
from loupe.engines.protocol import ChatRequest, Engine, ParseError, Reply
from loupe.summarizing import LOGS, parse_chunk_summary, parse_video_summary
from loupe.training.score_captions import open_scored
from loupe.training.toytown_pictures import drawn_stills
from loupe.training.toytown_tasks import Task, Watched, ask_task, chunk_task, video_task
from schemas.messages import Image, Message, Part
from schemas.outputs import ChunkSummary, FrameAnswer, VideoSummary

T = TypeVar("T")
FRAMES = (1, 3, 8, 16)
"""A question about so many frames is asked."""
SECONDS = 60
"""Of film that a chunk's summary is of."""
PARTS = (2, 5)
"""A film's summary is of so many chunks."""


def jpeg(picture: np.ndarray) -> bytes:
    packed = io.BytesIO()
    Picture.fromarray(picture).save(packed, "JPEG", quality=85)
    return packed.getvalue()


def with_pictures(task: Task, pictures: Sequence[np.ndarray]) -> tuple[Message, ...]:
    """The task's messages, its pictures drawn."""
    left = iter(task.stills)

    def shown(part: Part) -> Part:
        return Image(jpeg=jpeg(pictures[next(left)])) if isinstance(part, Image) else part

    return tuple(Message(role=message.role, content=tuple(map(shown, message.parts()))) for message in task.messages)


def questions(rng: np.random.Generator, frames: int, count: int) -> list[tuple[ChatRequest, FrameAnswer]]:
    """Questions about so many frames of held-out stills, and the right answers."""
    drawn = list(islice(drawn_stills(HELD_OUT + frames), 4 * count + frames))
    asked = []
    for _ in range(count):
        at = [int(i) for i in rng.integers(len(drawn), size=frames)]
        task = ask_task(rng, [drawn[i].still for i in at], at)
        messages = with_pictures(task, [one.picture for one in drawn])
        request = ChatRequest(messages, schema=FrameAnswer.model_json_schema(), max_tokens=160)
        asked.append((request, FrameAnswer.model_validate_json(task.target)))
    return asked


@dataclass(frozen=True)
class Kind(Generic[T]):
    """A kind of summary: its schema, how a reply is read and what it names."""

    schema: type[Any]
    parse: Callable[[Reply], T]
    names: Callable[[T], "Names"]
    max_tokens: int


async def replies(engine: Engine, requests: Iterable[ChatRequest], parse: Callable[[Reply], T]) -> list[T | None]:
    """What an engine says to each request; None where it does not parse."""

    async def one(request: ChatRequest) -> T | None:
        try:
            return parse(await engine.chat(request))
        except ParseError:
            return None

    return list(await asyncio.gather(*(one(request) for request in requests)))


Names = dict[str, Counter[str]]
"""What is said of each kind, every name with where it belongs."""


def names_of_chunk(summary: ChunkSummary) -> Names:
    """Places, people, signs and events, each with the number of its scene."""
    found: Names = {kind: Counter() for kind in ("places", "people", "signs", "events")}
    for number, scene in enumerate(scenes_of(summary.summary)):
        told = {"places": [scene.place], "people": scene.people, "signs": scene.texts, "events": scene.events}
        for kind, said in told.items():
            found[kind].update(f"{number} {name}" for name in said)
    return found


def names_of_film(film: VideoSummary) -> Names:
    """Names of the film's summary, and of each log's lines with their times."""
    found: Names = {"summary": Counter(film.summary.replace(".", ",").split(", "))}
    for log in LOGS:
        lines = getattr(film, log)
        found[log] = Counter(f"{line.start} {line.end} {name}" for line in lines for name in line.text.split(", "))
    return found


def score(pairs: Iterable[tuple[T, T | None]], names: Callable[[T], Names]) -> dict[str, Score]:
    """Scores of every kind of name for pairs of (true, said). None: nothing that parses was said."""
    scores: dict[str, Score] = {}
    for true, said in pairs:
        wanted, given = names(true), names(said) if said is not None else {}
        for kind, counted in wanted.items():
            told = given.get(kind, Counter())
            one = Score((counted & told).total(), told.total(), counted.total())
            scores[kind] = scores.get(kind, Score()) + one
    return scores


CHUNK = Kind(ChunkSummary, parse_chunk_summary, names_of_chunk, max_tokens=256)
FILM = Kind(VideoSummary, parse_video_summary, names_of_film, max_tokens=1536)


async def scored_questions(engine: Engine, rng: np.random.Generator, frames: int, count: int) -> str:
    """A row about questions about so many frames."""
    asked = questions(rng, frames, count)
    said = await replies(engine, [request for request, _ in asked], parse_answer)
    right = sum(one is not None and one.answer == true.answer for one, (_, true) in zip(said, asked, strict=True))
    parsed = sum(one is not None for one in said)
    return f"| question about {frames} frames | {count} | {parsed / count:.2f} | answer {right / count:.2f} |"


async def scored_summaries(engine: Engine, title: str, tasks: Sequence[Task], kind: Kind[T]) -> str:
    """A row about summaries of one kind."""
    schema = kind.schema.model_json_schema()
    requests = [ChatRequest(task.messages, schema=schema, max_tokens=kind.max_tokens) for task in tasks]
    said = await replies(engine, requests, kind.parse)
    true = [kind.schema.model_validate_json(task.target) for task in tasks]
    marks = ", ".join(f"{name} {one.f1:.2f}" for name, one in score(zip(true, said, strict=True), kind.names).items())
    return f"| {title} | {len(tasks)} | {sum(one is not None for one in said) / len(tasks):.2f} | {marks} |"


async def run(engine: Engine, count: int) -> None:
    """Print the table, a row as it is known."""
    rng = np.random.default_rng(HELD_OUT)
    say("| job | asked | parse | right: share of answers, F1 of names |\n|---|---|---|---|")
    for frames in FRAMES:
        say(await scored_questions(engine, rng, frames, count))
    films = [Watched.drawn(HELD_OUT + index, 6) for index in range(max(1, count // 4))]
    minutes = [chunk_task(rng, film, SECONDS) for film in films for _ in range(2)]
    say(await scored_summaries(engine, "summary of a minute", minutes, CHUNK))
    for parts in PARTS:
        tasks = [video_task(rng, film, parts, SECONDS) for film in films]
        say(await scored_summaries(engine, f"summary of a film of {parts} minutes", tasks, FILM))
    await engine.close()


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=Path("infra/configs/demo.yaml"))
    parser.add_argument("--model", help="a folder or hub id for the local engine, in place of the config's captioner")
    parser.add_argument("--count", type=int, default=40, help="questions of a kind; a quarter as many films")
    arguments = parser.parse_args()
    asyncio.run(run(open_scored(arguments.config, arguments.model), arguments.count))


if __name__ == "__main__":
    main()
