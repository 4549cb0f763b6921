"""Lessons for the VLM of the policy `passive` on toytown: the very requests that it makes, and the true answers.

In a share of them it is shown frames of the times on which the answer rests (`answer.passive_times: relevant`), so
that the same model can be measured when it is handed the evidence.

`python -m loupe.training.toytown_lessons_passive OUT --films 200 --minutes 5 --seed 11` writes them as Parquet.
"""

import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
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
from loupe.config import Config
from loupe.embedding import HashingEmbedder
from loupe.library import Library
from loupe.training.toytown_decoder import TaskEncoder
from loupe.training.toytown_lessons import VLM, lesson_of, options_of, oracle_config, refuse_held_out
from loupe.training.toytown_lessons_library import make_library
from loupe.training.toytown_lessons_tables import Lesson, lengths, write_lessons
from loupe.training.toytown_oracle import asked_as
from loupe.training.toytown_oracle_passive import NOT_SHOWN, Answerer
from schemas.questions import Question
from schemas.traces import Trace

Times = Literal["uniform", "relevant"]
ROLE = "passive"
HANDED = 1 / 3
"""Share of the lessons that show frames of the true evidence."""


@dataclass(frozen=True)
class Asked:
    """A question, which frames were shown with it, how the oracle answered, and the lesson of that."""

    question: Question
    times: Times
    trace: Trace
    lesson: Lesson


def lessons(seed: int, films: int, minutes: float, questions: int, *, handed: float = HANDED) -> Iterator[list[Asked]]:
    """What is to be learned, film by film: a lesson a question. Raises ValueError for seeds that are held out."""
    refuse_held_out(seed)
    for index in range(films):
        yield of_film(seed, index, minutes, questions, handed=handed)


def of_film(seed: int, index: int, minutes: float, count: int, *, handed: float) -> list[Asked]:
    """The lessons of one film."""
    film, rng = write_film(seed, index, minutes), np.random.default_rng((seed, index, 2))
    video_id = f"{film.name}.mp4"
    questions = draw_questions(Facts(truth_of(film)), video_id, np.random.default_rng((seed, index)), count)
    times: list[Times] = ["relevant" if rng.random() < handed else "uniform" for _ in questions]
    with tempfile.TemporaryDirectory() as folder:
        library = make_library(folder, film, video_id, HashingEmbedder())
        traces = asyncio.run(_play(film, questions, times, library))
    where = (seed, index, minutes)
    return [
        Asked(question, shown, trace, _lesson(question, trace, where))
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


def _lesson(question: Question, trace: Trace, where: tuple[int, int, float]) -> Lesson:
    """The only call of a trace."""
    (turn,) = trace.turns
    return lesson_of(question, ROLE, view.prompt_of(trace, turn.index), turn.call.said, turn.index, where)


# --- the command ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Settings:
    """Which lessons to write."""

    out: Annotated[Path, tyro.conf.Positional]
    """Folder to write to: a Parquet file a film, and report.json."""
    films: int = 200
    """How many films."""
    minutes: float = 5
    """How long each is."""
    seed: int = 11
    """What films and questions are drawn from."""
    questions: int = 40
    """Questions a film, at most."""
    handed: float = HANDED
    """Share of the lessons that show frames of the true evidence."""


def main(settings: Settings) -> None:
    settings.out.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    asked: list[Asked] = []
    of_films = lessons(settings.seed, settings.films, settings.minutes, settings.questions, handed=settings.handed)
    for number, of_one in enumerate(of_films):
        write_lessons(settings.out / f"passive-{number:05}.parquet", (each.lesson for each in of_one))
        asked += of_one
    told = json.dumps(report(asked, time.monotonic() - began), indent=2)
    (settings.out / "report.json").write_text(told)
    sys.stdout.write(f"{told}\n")


def report(asked: Sequence[Asked], seconds: float) -> dict[str, object]:
    """How many lessons there are, in how many the evidence is shown, how long they are, and what a film takes."""
    encoder = TaskEncoder(AutoTokenizer.from_pretrained(VLM))
    films = {each.question.video for each in asked}
    return {
        "films": len(films),
        "seconds_a_film": round(seconds / max(1, len(films)), 1),
        "lessons": dict(Counter(each.times for each in asked)),
        "unanswerable": sum(not each.question.answerable for each in asked),
        "evidence_shown": dict(Counter(each.times for each in asked if shows_evidence(each.lesson))),
        "tokens": {role: asdict(each) for role, each in lengths([each.lesson for each in asked], encoder).items()},
    }


def shows_evidence(lesson: Lesson) -> bool:
    """Whether the oracle found something in the frames to tell."""
    return bool(json.loads(lesson.target)["reasoning"] != NOT_SHOWN)


if __name__ == "__main__":
    main(tyro.cli(Settings))
