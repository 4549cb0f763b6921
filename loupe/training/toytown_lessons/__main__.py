"""Write lessons: `python -m loupe.training.toytown_lessons OUT --policy active_perception --films 8 --minutes 5`.

A Parquet file a film, and a report of how many questions the oracles answered right: the ceiling of what a student can
learn from them.
"""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from loupe.training.toytown_lessons import looking, passive, searching
from loupe.training.toytown_lessons.report import report
from loupe.training.toytown_lessons.rolled import Rolled
from loupe.training.toytown_lessons.tables import write_lessons


@dataclass(frozen=True)
class Settings:
    """Which lessons to write."""

    out: Annotated[Path, tyro.conf.Positional]
    """Folder to write to: a Parquet file a film, and report.json."""
    policy: Literal["retrieval_critic", "investigator", "active_perception", "passive"] = "retrieval_critic"
    """Who is taught."""
    films: int = 8
    """How many films."""
    minutes: float = 5
    """How long each is."""
    seed: int = 1
    """What films, questions and mistakes are drawn from."""
    questions: int = 40
    """Questions a film, at most."""
    errs: float = 0.15
    """How often a turn is a mistake, where there are turns."""
    turns: int | None = None
    """A fixed budget for `active_perception`; otherwise it grows with the film, as the demo's config has it."""


def main(settings: Settings) -> None:
    if settings.turns is not None and settings.policy != "active_perception":
        sys.exit(f"--turns is a budget of active_perception alone: {settings.policy} has that of the demo's config")
    settings.out.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    rolled: list[Rolled] = []
    for number, of_one in enumerate(rollouts(settings)):
        lessons = (lesson for each in of_one for lesson in each.lessons)
        write_lessons(settings.out / f"{settings.policy}-{number:05}.parquet", lessons)
        rolled += of_one
    told = json.dumps(report(rolled, time.monotonic() - began), indent=2)
    (settings.out / "report.json").write_text(told)
    sys.stdout.write(f"{told}\n")


def rollouts(settings: Settings) -> Iterator[Sequence[Rolled]]:
    """Film by film, what the oracles of a policy did. Raises ValueError for held-out seeds."""
    what = (settings.seed, settings.films, settings.minutes, settings.questions)
    match settings.policy:
        case "active_perception":
            return looking.rollouts(*what, errs=settings.errs, turns=settings.turns)
        case "passive":
            return passive.rollouts(*what)
        case policy:
            return searching.rollouts(*what, errs=settings.errs, policy=policy)


if __name__ == "__main__":
    main(tyro.cli(Settings))
