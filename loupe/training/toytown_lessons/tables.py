"""Lessons as data: on disk as Parquet, as tasks and examples for whoever trains, and how long they are."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from statistics import fmean

import pyarrow as pa
import pyarrow.parquet as pq

from loupe.benchmarks.toytown.render import draw
from loupe.benchmarks.toytown.screenplay import Film
from loupe.benchmarks.toytown.world import Still
from loupe.benchmarks.toytown.writing import write_film
from loupe.media import encode_jpeg
from loupe.training.sft import Example
from loupe.training.toytown_decoder import TaskEncoder
from loupe.training.toytown_lessons.looking_notes import told_anew
from loupe.training.toytown_tasks import FRAME, Task
from schemas.messages import Image, Message

FRAME_TYPE = pa.struct([("seed", pa.int64()), ("index", pa.int32()), ("minutes", pa.float64()), ("ts_ms", pa.int64())])
LESSONS = pa.schema(
    [
        pa.field("role", pa.string(), nullable=False),
        pa.field("messages", pa.string(), nullable=False),  # JSON; a picture is an image without bytes
        pa.field("target", pa.string(), nullable=False),
        pa.field("frames", pa.list_(FRAME_TYPE), nullable=False),  # of the pictures, in order
        pa.field("is_lesson", pa.bool_(), nullable=False),
        pa.field("question_id", pa.string(), nullable=False),
        pa.field("capability", pa.string(), nullable=False),
        pa.field("turn", pa.int32(), nullable=False),
    ]
)


@dataclass(frozen=True)
class FrameRef:
    """A frame of a film that a seed gives, to be drawn."""

    seed: int
    index: int
    minutes: float
    ts_ms: int

    def still(self) -> Still:
        """What it shows."""
        return _film(self.seed, self.index, self.minutes).still(self.ts_ms / 1000)


@dataclass(frozen=True)
class Lesson:
    """One call of a model: what it was shown, what it should say. Pictures stand in `messages` as FRAME, in order."""

    role: str
    messages: tuple[Message, ...]
    target: str
    frames: tuple[FrameRef, ...]
    is_lesson: bool
    """False for a mistake: it is part of the rollout, and nothing to learn."""
    question_id: str
    capability: str
    turn: int

    def task(self, place_of: Callable[[FrameRef], int]) -> Task:
        """For loupe.training.toytown_decoder; `place_of` says where the trainer has the picture of a frame."""
        stills = tuple(map(place_of, self.frames))
        return Task(self.messages, self.target, stills, stressed=told_anew(self.target))

    def example(self) -> Example:
        """For loupe.training.sft, with its pictures drawn."""
        pictures = iter([Image(jpeg=encode_jpeg(draw(frame.still()))) for frame in self.frames])
        messages = [
            Message(role=each.role, content=tuple(next(pictures) if part == FRAME else part for part in each.parts()))
            for each in self.messages
        ]
        return Example(tuple(messages), self.target)


@lru_cache(maxsize=8)
def _film(seed: int, index: int, minutes: float) -> Film:
    return write_film(seed, index, minutes)


def write_lessons(path: Path, lessons: Iterable[Lesson]) -> None:
    """One Parquet file."""
    rows = [
        asdict(lesson) | {"messages": json.dumps([message.model_dump(mode="json") for message in lesson.messages])}
        for lesson in lessons
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=LESSONS), path)


def read_lessons(path: Path) -> list[Lesson]:
    """What write_lessons wrote."""

    def lesson(row: dict[str, object]) -> Lesson:
        messages = tuple(Message.model_validate(message) for message in json.loads(str(row["messages"])))
        frames = tuple(FrameRef(**frame) for frame in row["frames"])  # type: ignore[attr-defined]
        return Lesson(**{**row, "messages": messages, "frames": frames})  # type: ignore[arg-type]

    return [lesson(row) for row in pq.read_table(path).to_pylist()]


@dataclass(frozen=True)
class Lengths:
    """Tokens of the lessons of a role, 48 for a picture."""

    lessons: int
    prompt_mean: float
    prompt_max: int
    target_mean: float
    target_max: int
    whole_max: int


def lengths(lessons: Sequence[Lesson], encoder: TaskEncoder) -> dict[str, Lengths]:
    """By role."""
    counted: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for lesson in lessons:
        _, weights = encoder.ids(lesson.task(lambda frame: 0))
        said = sum(weight > 0 for weight in weights)
        counted[lesson.role].append((len(weights) - said, said))
    return {role: _lengths(pairs) for role, pairs in sorted(counted.items())}


def _lengths(pairs: Sequence[tuple[int, int]]) -> Lengths:
    prompts, targets = zip(*pairs, strict=True)
    return Lengths(
        len(pairs), fmean(prompts), max(prompts), fmean(targets), max(targets), max(sum(pair) for pair in pairs)
    )
