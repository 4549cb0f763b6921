"""What is left to do of a study, and what it would take: nothing that stands in its folders is done again."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import pyarrow.parquet as pq

from loupe.agent.policies import find_policy
from loupe.answering import preparing, store
from loupe.answering.estimating import estimate
from loupe.answering.run import find_run
from loupe.config import Config
from loupe.engines.protocol import UnavailableError
from loupe.library import Library
from loupe.questions import read_questions
from loupe.storage import StorageError
from loupe.study.places import Places
from loupe.study.plan import Point, QuestionSet, Setting, Size, asked_of
from loupe.study.questions import for_times, same_kinds
from schemas.questions import Question, as_table
from schemas.results import ANSWERS

QUESTIONS_A_FILM = 60
"""That are drawn; a study asks some of them."""
FILM_SECONDS = 2.8
"""Of a core, to draw and encode a minute of film."""
INDEX_SECONDS = 3.5
"""To index a minute of film with the tiny model on two cores."""
TURN_SECONDS = {"active_perception": 0.9}
"""Of a core, a turn of the tiny model with its look or search; of others DEFAULT_TURN_SECONDS."""
DEFAULT_TURN_SECONDS = 0.2
START_SECONDS = 15.0
"""Of a core, until a job's model is open."""
EXPECTED_TURNS = {"passive": 1.0, "retrieval_critic": 5.0, "investigator": 5.0}
"""Of a question; others take DEFAULT_TURNS, where they may."""
DEFAULT_TURNS = 8.0
UNREACHED = tuple(f"{error.__name__}:" for error in (UnavailableError, StorageError))
"""How an answer's error begins when its model, or its film, could not be reached."""
FEW = 0.1
"""Of the questions, that may stay unreached: more would be measured as the policy's own mistakes."""

Questions = Mapping[tuple[float, QuestionSet], Sequence[Question]]
"""By length in minutes."""


@dataclass(frozen=True)
class Task:
    """A setting, with what it is to be asked."""

    setting: Setting
    config: Config
    questions: Sequence[Question]
    unasked: int
    """Of the questions, those without a row."""
    unreached: int
    """Those that were given up because a model or a film could not be reached: a job may ask them again."""

    @property
    def left(self) -> int:
        """What a job would answer."""
        return self.unasked + self.unreached

    @property
    def whole(self) -> bool:
        """Whether it can be measured: single questions that stay unreached are no reason to leave it out."""
        return not self.unasked and self.unreached <= FEW * len(self.questions)


@dataclass(frozen=True)
class Cost:
    """What a setting would take."""

    setting: Setting
    asked: int
    left: int
    tokens: int
    """At most, of the questions that are left, prompt and completion."""
    seconds: float
    """About, of a core, with the tiny model."""


def cost_of(task: Task) -> Cost:
    """What the questions would take that are left of a setting."""
    return _cost(task.setting, task.config, len(task.questions), task.left)


def _cost(setting: Setting, config: Config, asked: int, left: int) -> Cost:
    told = estimate(config, left, ANSWERS.empty_table())
    tokens = [told[f"{name}_tokens_at_most"] for name in ("prompt", "completion")]
    allowed = find_policy(setting.policy).allowance(config.answer, 0, round(60_000 * setting.minutes))
    turns = min(allowed, EXPECTED_TURNS.get(setting.policy, DEFAULT_TURNS))
    seconds = left * turns * TURN_SECONDS.get(setting.policy, DEFAULT_TURN_SECONDS)
    return Cost(setting, asked, left, sum(n for n in tokens if isinstance(n, int)), seconds)


def costs_of(places: Places, size: Size, points: Sequence[Point], configs: Mapping[Setting, Config]) -> list[Cost]:
    """What every setting would take; where films are missing, as if it had as many questions as it may have."""
    if not any(films_missing(places, size, minutes) for minutes in size.lengths):
        return [cost_of(task) for task in tasks_of(points, questions_of(places, size), configs)]
    room: Mapping[QuestionSet, int] = {"mixed": size.questions, "times": size.times}
    counts = {setting: sum(room[kind] for kind in kinds) for setting, kinds in asked_of(points).items()}
    return [_cost(setting, configs[setting], count, count) for setting, count in counts.items()]


def film_names(questions: Sequence[Question], films: int) -> list[str]:
    """The first so many films that are asked about."""
    return sorted({video for question in questions for video in question.videos})[:films]


def films_missing(places: Places, size: Size, minutes: float) -> bool:
    """Whether films of a length have still to be made."""
    folder = places.films(minutes)
    if not (folder / "questions.parquet").exists():
        return True
    names = film_names(read_questions(str(folder / "questions.parquet")), size.films)
    return len(names) < size.films or not all((folder / "films" / name).exists() for name in names)


def index_missing(places: Places, size: Size, minutes: float) -> bool:
    """Whether the index of the films of a length is not whole. The films are there."""
    names = films_of(places, size, minutes)
    library = Library.open_if_there(str(places.database(minutes)))
    rows = library.videos(names) if library else {}
    return any(name not in rows or rows[name]["status"] != "complete" for name in names)


def films_of(places: Places, size: Size, minutes: float) -> list[str]:
    """Names of the films of a length."""
    return film_names(read_questions(str(places.films(minutes) / "questions.parquet")), size.films)


def questions_of(places: Places, size: Size) -> Questions:
    """What is asked about films of each length. The films are there."""
    drawn: dict[float, list[Question]] = {}
    for minutes in size.lengths:
        there = read_questions(str(places.films(minutes) / "questions.parquet"))
        names = set(film_names(there, size.films))
        drawn[minutes] = [question for question in there if names.issuperset(question.videos)]
    mixed = same_kinds(drawn, size.questions)
    asked: dict[tuple[float, QuestionSet], Sequence[Question]] = {
        (minutes, "mixed"): mixed[minutes] for minutes in drawn
    }
    return asked | {(size.at, "times"): for_times(drawn[size.at], size.times)}


def tasks_of(points: Sequence[Point], questions: Questions, configs: Mapping[Setting, Config]) -> Iterator[Task]:
    """Every setting with what is left of it. Raises RunError for a folder that holds other answers."""
    for setting, kinds in asked_of(points).items():
        each = chain.from_iterable(questions[setting.minutes, kind] for kind in kinds)
        asked = list({question.question_id: question for question in each}.values())
        yield task_of(setting, configs[setting], asked)


def task_of(setting: Setting, config: Config, questions: Sequence[Question]) -> Task:
    """A setting as the folder of its job says. Raises RunError.

    What failed because a model or a film could not be reached is left; other failures are what the model makes of a
    question, and stand.
    """
    output = config.answer.job.output
    finished = store.read_finished(output, find_run(output, config))
    rows = finished.select(["question_id", "status", "error"]).to_pylist()
    gone = {
        row["question_id"] for row in rows if row["status"] == "failed" and (row["error"] or "").startswith(UNREACHED)
    }
    unreached = sum(one.question_id in gone for one in questions)
    return Task(setting, config, questions, len(preparing.left_of(questions, finished)), unreached)


def write_questions(place: Path, questions: Sequence[Question]) -> None:
    """A file of questions for the answer job."""
    place.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(as_table(questions), place)
