"""Lessons of the agent's roles as tasks for the tiny model: of one role and of about one length at a time."""

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import numpy as np

from loupe.benchmarks.toytown.render import draw
from loupe.training.toytown_lessons.tables import FrameRef, Lesson, read_lessons
from loupe.training.toytown_pictures import Drawn, filmed
from loupe.training.toytown_tasks import Task
from schemas.messages import Text
from schemas.outputs import Verdict

LETTERS = 14_000
"""Of a batch, pictures as LETTERS_A_PICTURE each."""
LETTERS_A_PICTURE = 140
DOUBTS = 4
"""How often a verdict that doubts is shown for one that does not: they are few, and what a critic is for."""
DOUBTFUL = 0.5


class Pictures(Protocol):
    """Where pictures are put for training."""

    def put(self, drawn: list[Drawn]) -> list[int]: ...


class LessonPool:
    """The lessons of a folder, mistakes left out."""

    def __init__(self, lessons: Iterable[Lesson]) -> None:
        self.by_role: dict[str, list[Lesson]] = {}
        for lesson in lessons:
            if lesson.is_lesson:
                self.by_role.setdefault(lesson.role, []).extend([lesson] * (DOUBTS if is_doubt(lesson) else 1))

    @classmethod
    def of_folder(cls, folder: Path) -> "LessonPool":
        """Every Parquet file below a folder. Raises ValueError where there is none."""
        files = sorted(folder.rglob("*.parquet"))
        if not files:
            raise ValueError(f"no lessons in {folder}: write some by python -m loupe.training.toytown_lessons")
        return cls(lesson for file in files for lesson in read_lessons(file))

    def texts(self) -> list[str]:
        """All that is told and said, for a tokenizer."""
        return [text for of in self.by_role.values() for lesson in of for text in texts_of(lesson)]

    def tasks(self, role: str, rng: np.random.Generator, pictures: Pictures) -> list[Task]:
        """Lessons of a role and of about one length, as many as make a batch, with their pictures put there.

        Longer ones make a batch more often, since fewer fit in: so all are seen equally often. Raises ValueError.
        """
        if role not in self.by_role:
            raise ValueError(f"no lessons of {role}: every policy's are needed (toytown_lessons --policy)")
        lessons = self.by_role[role]
        drawn = [lessons[int(i)] for i in rng.integers(len(lessons), size=96)]
        sizes = np.array([size(lesson) for lesson in drawn])
        order = np.argsort(sizes, kind="stable")
        first = int(rng.choice(len(drawn), p=sizes[order] / sizes.sum()))
        end = first + 1
        while end < len(drawn) and (end + 1 - first) * sizes[order[end]] <= LETTERS:
            end += 1

        def place_of(frame: FrameRef) -> int:
            still = frame.still()
            return pictures.put([Drawn(still, filmed(draw(still), rng))])[0]

        return [lesson.task(place_of) for lesson in (drawn[int(i)] for i in order[first:end])]


def texts_of(lesson: Lesson) -> list[str]:
    told = [part.text for message in lesson.messages for part in message.parts() if isinstance(part, Text)]
    return [*told, lesson.target]


def size(lesson: Lesson) -> int:
    """Its letters, pictures counted as such."""
    return sum(map(len, texts_of(lesson))) + LETTERS_A_PICTURE * len(lesson.frames)


def is_doubt(lesson: Lesson) -> bool:
    """Whether it is a critic's verdict that sends an answer back."""
    if lesson.role != "critic" or not lesson.target.startswith('{"possible_errors"'):
        return False
    return Verdict.model_validate_json(lesson.target).confidence < DOUBTFUL
