"""Makes films, their truth and questions: `python -m loupe.benchmarks.toytown OUT --films 3 --minutes 5 --seed 1`."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Annotated

import pyarrow.parquet as pq
import tyro

from loupe.benchmarks.toytown.film import write_mp4, write_srt
from loupe.benchmarks.toytown.questions import questions_about
from loupe.benchmarks.toytown.screenplay import Film
from loupe.benchmarks.toytown.truth import truth_of
from loupe.benchmarks.toytown.whole import written_whole
from loupe.benchmarks.toytown.writing import TOYTOWN_VERSION, write_film
from schemas.questions import Question, as_table


@dataclass(frozen=True)
class Settings:
    """A set of toytown films. The same settings give the same films; those that are there already are kept."""

    out: Annotated[Path, tyro.conf.Positional]
    """Folder to write to: films/, truth.jsonl and questions.parquet."""
    films: int = 3
    """How many films."""
    minutes: tuple[float, ...] = (5,)
    """How long they are: one after the other has the next of these lengths, and then the first again."""
    seed: int = 1
    """What the films are drawn from."""
    questions: int = 24
    """Questions a film, at most."""


def main(settings: Settings) -> None:
    folder = settings.out / "films"
    folder.mkdir(parents=True, exist_ok=True)
    lengths = islice(cycle(settings.minutes), settings.films)
    films = [write_film(settings.seed, index, minutes) for index, minutes in enumerate(lengths)]
    questions = [
        question for index, film in enumerate(films) for question in questions_about(film, index, settings.questions)
    ]
    for film in films:
        sys.stdout.write(f"{film.video_id}: {_make(film, folder)}\n")
    _write_truth(films, settings.out / "truth.jsonl")
    _write_questions(questions, settings.out / "questions.parquet")
    sys.stdout.write(f"{len(films)} films, {len(questions)} questions in {settings.out}\n")


def _make(film: Film, folder: Path) -> str:
    """Write what of a film is not there; the video comes last, so that its presence tells that all is there."""
    path = folder / film.video_id
    if path.exists():
        return "is there"
    if film.subtitles:
        write_srt(film, path.with_suffix(".srt"))
    write_mp4(film, path)
    return f"made, {film.duration_ms / 60_000:g} minutes, {len(film.scenes)} scenes"


def _write_truth(films: Sequence[Film], path: Path) -> None:
    """One JSON object a line: the film itself first, then its rows in order of time."""
    with written_whole(path) as part, part.open("w") as file:
        for film in films:
            about = {"kind": "film", "start_ms": 0, "end_ms": film.duration_ms}
            about |= {"version": TOYTOWN_VERSION, "seed": film.seed, "subtitles": film.subtitles}
            for row in (about, *(row.as_json() for row in truth_of(film))):
                file.write(json.dumps({"video": film.video_id, **row}) + "\n")


def _write_questions(questions: Sequence[Question], path: Path) -> None:
    with written_whole(path) as part:
        pq.write_table(as_table(questions), part)


if __name__ == "__main__":
    main(tyro.cli(Settings))
