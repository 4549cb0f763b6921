#!/usr/bin/env python
"""Draw the curves of a study: what an answer costs, and how right it is, by length, turns, parts and questions.

    films -> indexes -> answers of every setting -> points.parquet, scores.parquet, study.html

Each arrow is the project's own command in a process of its own, whose folder is kept: what is finished costs nothing
the second time. Run `python jobs/study.py --quick`; the processes join the Ray cluster that RAY_ADDRESS names.
"""

import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.parquet as pq
import tyro
import yaml
from loupe import config as configs
from loupe import storage
from loupe.answering import preparing
from loupe.answering.run import RunError
from loupe.config import ROOT, Config, ConfigError
from loupe.lease import Lease, LeaseError
from loupe.library import Library, LibraryError
from loupe.questions import QuestionsError
from loupe.results import ResultsError
from loupe.scoring.amortizing import FPS, TOKENS_A_FRAME, film_tokens
from loupe.study import work
from loupe.study.findings import findings
from loupe.study.measures import Measured, Study, measure, tokens_a_frame
from loupe.study.outcomes import Answers, read_outcomes
from loupe.study.page import page
from loupe.study.places import Places, overrides
from loupe.study.plan import CURVES, FULL, HELD_OUT_SEED, QUICK, Point, Setting, Size, asked_of, points_of, whole_of
from loupe.study.sections import Story
from loupe.study.work import Questions, Task
from schemas.study import POINTS, SETTING_SCORES

Start = Callable[[str, Sequence[object], Path], tuple[int, str]]
"""Runs a command of ours, by what to call it, its arguments for Python, and its log; its exit code and last words."""

REFUSALS = (ConfigError, LeaseError, LibraryError, QuestionsError, ResultsError, RunError, storage.StorageError)
"""What main tells as a sentence."""
LAST_WORDS = 600
"""Letters of a command that failed, that are shown."""


class StudyError(Exception):
    """A step that ended badly, without which nothing can follow."""


@dataclass(frozen=True)
class Arguments:
    """Draw the curves of a study; what is finished is not done again."""

    config: str = "infra/configs/demo.yaml"
    """YAML file: the models that are studied."""
    output: str = "data/study"
    """Folder of films, indexes, answers, and of study.html, points.parquet and scores.parquet."""
    quick: bool = False
    """The small study: lengths 5, 15 and 30 minutes, few questions; without it 5 to 130 minutes."""
    lengths: tuple[float, ...] | None = None
    """Of films, in minutes; this and the next six in the place of what the size of the study says."""
    films: int | None = None
    """Of each length."""
    questions: int | None = None
    """About all films of a length together."""
    times: int | None = None
    """For times, about films of the length `at`."""
    budgets: tuple[int, ...] | None = None
    """Turns, of the curve over them: 6 to 52."""
    at: float | None = None
    """Length of the curves that have one alone; one of `lengths`."""
    turns: int | None = None
    """Budget of all other curves."""
    seed: int = HELD_OUT_SEED
    """Of the films: from 10,000,000 on they are held out of every training."""
    front: str | None = None
    """Address of the served models; the engines of the config are opened in the jobs' actors if not given."""
    set: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Change one value of the config: --set answer.frames=4"""
    at_once: int = max(1, min(8, os.cpu_count() or 1))
    """Answer jobs that run beside each other."""
    in_flight: int = 8
    """Questions that one of them has at work."""
    tokens_per_frame: float | None = None
    """Of a frame, where a whole film is passed; if not given, what frames add to the prompts of `passive`."""
    reasons: str | None = None
    """YAML file with a sentence a curve on why it came out as it did; reasons.yaml in the output if not given."""
    plan: bool = False
    """Print what is left, with estimates, and stop."""


def main() -> None:
    """The command. Exit code 0: the page is whole; 1: settings are missing on it; 2: there is none, with a sentence."""
    arguments = tyro.cli(Arguments)
    try:
        sys.exit(run(arguments))
    except (StudyError, *REFUSALS) as error:
        print(f"study: {error}", file=sys.stderr)
        sys.exit(2)


def begin(name: str, command: Sequence[object], log: Path) -> tuple[int, str]:
    """Run a command in a process of its own, and say how long it took."""
    log.parent.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with log.open("w") as output:
        done = subprocess.run(
            [sys.executable, *map(str, command)], cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, check=False
        )
    say(f"{time.monotonic() - began:6.0f} s  {name}{'' if done.returncode == 0 else f': exit code {done.returncode}'}")
    return done.returncode, log.read_text()[-LAST_WORDS:].strip()


def run(arguments: Arguments, start: Start = begin) -> int:
    """Do what is left, and write the page; `start` runs the commands. Raises what main catches."""
    size = size_of(arguments)
    config = configs.load(arguments.config, arguments.set)
    places = Places.of(Path(configs.resolve(configs.absolute(arguments.output))), config, arguments.seed)
    points = points_of(size)
    by_setting = {setting: config_of(arguments, places, setting) for setting in asked_of(points)}
    idle = idle_of(points, by_setting) | beyond_the_models(by_setting)
    if arguments.plan:
        print_plan(places, size, points, by_setting, idle)
        return 0
    with Lease.acquire(str(places.root)):
        make_films(arguments, places, size, start)
        make_indexes(arguments, places, size, start)
        questions = work.questions_of(places, size)
        tasks = [task for task in work.tasks_of(points, questions, by_setting) if task.setting.name not in idle]
        refused = answer_all(arguments, places, tasks, start)
        for name, why in refused.items():
            say(f"missing: {name}: {why}")
        write(arguments, places, size, points, questions, tasks, {**idle, **refused})
    return 1 if refused else 0


def size_of(arguments: Arguments) -> Size:
    """The size that the command line says. Raises StudyError."""
    given = {name: getattr(arguments, name) for name in ("films", "questions", "times", "turns")}
    given |= {name: tuple(sorted(set(getattr(arguments, name) or ()))) for name in ("lengths", "budgets")}
    size = replace(QUICK if arguments.quick else FULL, **{name: value for name, value in given.items() if value})
    size = replace(size, at=arguments.at or (size.at if size.at in size.lengths else size.lengths[0]))
    if size.at not in size.lengths:
        raise StudyError(f"--at {size.at:g} is none of the lengths")
    return size


def config_of(arguments: Arguments, places: Places, setting: Setting) -> Config:
    """The config of a setting's job. Raises ConfigError."""
    config = configs.load(arguments.config, (*arguments.set, *overrides(places, setting)))
    job = config.answer.job.model_copy(update={"front": arguments.front or config.answer.job.front})
    return config.model_copy(update={"answer": config.answer.model_copy(update={"job": job})})


def idle_of(points: Sequence[Point], configs: Mapping[Setting, Config]) -> dict[str, str]:
    """Settings that take away what the config does not have, by name, each with a sentence."""

    def takes_nothing(setting: Setting) -> bool:
        whole = whole_of(points, setting.policy)
        same = configs[whole].of_an_answer() == configs[setting].of_an_answer()
        return setting != whole and setting.indexed == whole.indexed and same

    ablated = [point.setting for point in points if point.curve == "ablation"]
    return {each.name: "the config has none of it to begin with" for each in ablated if takes_nothing(each)}


def beyond_the_models(configs: Mapping[Setting, Config]) -> dict[str, str]:
    """Settings that show a model more pictures than it takes, by name, each with a sentence.

    Raises ConfigError for what no setting could be answered with.
    """
    told: dict[str, str] = {}
    for setting, config in configs.items():
        try:
            preparing.reached(config)
        except preparing.TooManyPictures as error:
            told[setting.name] = str(error)
    return told


# --- steps ------------------------------------------------------------------------------------------------------------


def make_films(arguments: Arguments, places: Places, size: Size, start: Start) -> None:
    """Draw films and questions, the longest first: each length in a process."""

    def make(minutes: float) -> None:
        folder = places.films(minutes)
        amounts = ["--films", size.films, "--minutes", minutes, "--seed", arguments.seed]
        command = ["-m", "loupe.benchmarks.toytown", folder, *amounts, "--questions", work.QUESTIONS_A_FILM]
        must(start, f"films of {minutes:g} minutes", command, folder.with_suffix(".log"))

    left = [minutes for minutes in size.lengths if work.films_missing(places, size, minutes)]
    in_parallel(make, sorted(left, reverse=True), os.cpu_count() or 1)


def make_indexes(arguments: Arguments, places: Places, size: Size, start: Start) -> None:
    """Index the films, one length after the other: the job uses what cores there are."""
    for minutes in size.lengths:
        if work.index_missing(places, size, minutes):
            films, database = places.films(minutes) / "films", places.database(minutes)
            command = ["jobs/index_library.py", *of_config(arguments), "--library", films, "--database", database]
            name, log = f"index of films of {minutes:g} minutes", database.with_suffix(".log")
            code, words = start(name, command, log)
            if code not in (0, 1) or work.index_missing(places, size, minutes):  # 1: something in them failed
                raise StudyError(failed(name, words, log))
            if code == 1:
                say(f"{name}: something failed, and stands in the table failures of {database}")


def answer_all(arguments: Arguments, places: Places, tasks: Sequence[Task], start: Start) -> Mapping[str, str]:
    """Run the jobs of all settings that have questions left, the longest first, so that no core waits for a last one.

    Gives why some could not be run, by the setting's name.
    """
    left = sorted((task for task in tasks if task.left), key=lambda task: work.cost_of(task).seconds, reverse=True)
    say(f"{len(tasks)} settings, {len(tasks) - len(left)} of them finished before")

    def answer(task: Task) -> tuple[str, str | None]:
        name, folder = task.setting.name, places.results(task.setting)
        work.write_questions(folder / "questions.parquet", task.questions)
        changes = [*overrides(places, task.setting), f"answer.job.questions_in_flight={arguments.in_flight}"]
        command = ["jobs/answer_batch.py", *of_config(arguments), *(f"--set={change}" for change in changes)]
        command += ["--retry-failed"] if task.unreached else []
        command += ["--front", arguments.front] if arguments.front else []
        code, words = start(f"{name}, {task.left} questions", command, folder.with_name(f"{name}.log"))
        whole = code in (0, 1) and work.task_of(task.setting, task.config, task.questions).whole  # 1: some failed
        return name, None if whole else f"its job did not run to its end: {words}"

    told = in_parallel(answer, left, arguments.at_once)
    return {name: why for name, why in told if why is not None}


def of_config(arguments: Arguments) -> list[str]:
    """What every job is told of the config."""
    return ["--config", arguments.config, *(f"--set={change}" for change in arguments.set)]


def in_parallel(do: Callable[[Any], Any], each: Sequence[Any], at_once: int) -> list[Any]:
    """Do it for each, so many at a time; what came out, in order. Raises what was raised, once the rest has ended."""
    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(do, each))


def must(start: Start, name: str, command: Sequence[object], log: Path) -> None:
    """Run a command. Raises StudyError where it fails."""
    code, words = start(name, command, log)
    if code != 0:
        raise StudyError(failed(name, words, log))


def failed(name: str, words: str, log: Path) -> str:
    """What is said of a step without which nothing can follow."""
    return f"{name} failed; its last words, from {log}: {words}"


# --- what is told -----------------------------------------------------------------------------------------------------


def print_plan(
    places: Places,
    size: Size,
    points: Sequence[Point],
    by_setting: Mapping[Setting, Config],
    idle: Mapping[str, str],
) -> None:
    """What is left, and about what it takes. Calls no model, writes nothing."""
    cores, seconds = os.cpu_count() or 1, 0.0
    for minutes in size.lengths:
        unmade = work.films_missing(places, size, minutes)
        film = work.FILM_SECONDS * minutes * size.films if unmade else 0
        index = work.INDEX_SECONDS * minutes * size.films if unmade or work.index_missing(places, size, minutes) else 0
        seconds += film / cores + index
        say(f"{size.films} films of {minutes:g} minutes: {film:.0f} s of a core to make, {index:.0f} s to index")
    costs = [one for one in work.costs_of(places, size, points, by_setting) if one.setting.name not in idle]
    for one in costs:
        left = f"{one.left} of {one.asked} questions left"
        say(f"{one.setting.name}: {left}, at most {one.tokens:,} tokens, about {one.seconds:.0f} s of a core")
    seconds += sum(one.seconds + work.START_SECONDS * bool(one.left) for one in costs) / cores
    say(f"together about {seconds / 60:.0f} minutes with the tiny model on {cores} cores that have nothing else to do")


def write(
    arguments: Arguments,
    places: Places,
    size: Size,
    points: Sequence[Point],
    questions: Questions,
    tasks: Sequence[Task],
    refused: Mapping[str, str],
) -> None:
    """Measure what is there, say why the rest is not, and write points.parquet, scores.parquet and study.html."""
    answers = {
        task.setting.name: read_outcomes(str(places.results(task.setting)), task.questions)
        for task in tasks
        if task.setting.name not in refused
    }
    films = {minutes: tokens_and_lengths(places, size, minutes) for minutes in size.lengths}
    a_frame, how = a_frame_of(arguments, answers, size)
    study = Study(
        points=points,
        questions=questions,
        answers=answers,
        refused=refused,
        index_tokens={minutes: sum(tokens for tokens, _ in films[minutes]) // size.films for minutes in films},
        film_tokens={minutes: film_tokens([length for _, length in films[minutes]], FPS, a_frame) for minutes in films},
    )
    rows = measure(study)
    story = Story(
        rows=rows,
        findings=findings(rows, size),
        size=size,
        models=sorted({f"{role}: {name}" for each in tasks for role, name in each.config.roles.items()}),
        reasons=reasons(arguments, places),
        notes=[*notes(arguments, size), f"A frame of a full pass is counted as {a_frame:.4g} tokens, {how}."],
    )
    pq.write_table(as_table(rows), places.root / "points.parquet")
    pq.write_table(scores_table(answers), places.root / "scores.parquet")
    (places.root / "study.html").write_text(page(story))
    say(f"{len(rows)} points: {places.root / 'study.html'}")


def a_frame_of(arguments: Arguments, answers: Mapping[str, Answers], size: Size) -> tuple[float, str]:
    """Tokens of a frame that is passed to the model, and where the number is from."""
    if arguments.tokens_per_frame is not None:
        return arguments.tokens_per_frame, "as the command line says"
    if found := tokens_a_frame(answers, size):
        return found, f"which is what {size.passive_frames[-1]} of them add to a prompt with {size.passive_frames[0]}"
    return TOKENS_A_FRAME, "those of Qwen3-VL at 512 x 288 px: this model was not shown few frames and many"


def tokens_and_lengths(places: Places, size: Size, minutes: float) -> list[tuple[int, int]]:
    """Of each film of a length: tokens of its index, and its length in milliseconds."""
    library = Library.open(str(places.database(minutes)))
    videos = library.videos(work.films_of(places, size, minutes))
    return [(library.tokens(name), row["duration_ms"]) for name, row in videos.items()]


def as_table(rows: Sequence[Measured]) -> pa.Table:
    """Rows of POINTS."""
    return pa.Table.from_pylist([dataclasses.asdict(row) for row in rows], schema=POINTS)


def scores_table(answers: Mapping[str, Answers]) -> pa.Table:
    """Rows of SETTING_SCORES."""
    rows = [
        {"setting": name, **dataclasses.asdict(one.scored)}
        for name, each in answers.items()
        for one in each.outcomes.values()
    ]
    return pa.Table.from_pylist(rows, schema=SETTING_SCORES)


def reasons(arguments: Arguments, places: Places) -> Mapping[str, str]:
    """Why curves came out as they did, as far as somebody wrote it down. Raises StudyError."""
    place = Path(arguments.reasons or places.root / "reasons.yaml")
    if not place.exists() and not arguments.reasons:
        return {}
    try:
        told = yaml.safe_load(place.read_text()) or {}
    except (OSError, yaml.YAMLError) as error:
        raise StudyError(f"the reasons cannot be read: {error}") from error
    if not isinstance(told, dict):
        raise StudyError(f"{place} is not a map of curves to sentences")
    if strange := told.keys() - set(CURVES):
        raise StudyError(f"{place}: {min(strange)!r} is none of the curves {', '.join(CURVES)}")
    return {curve: str(sentence) for curve, sentence in told.items()}


def notes(arguments: Arguments, size: Size) -> list[str]:
    """How this run was made."""
    told = [
        f"Up to {arguments.at_once} answer jobs ran at once, each with up to {arguments.in_flight} questions at work.",
    ]
    quick = (
        f"This is the quick study: at most {size.questions} questions a length, and no film longer than "
        f"{max(size.lengths):g} minutes. Its intervals are wide."
    )
    return [quick, *told] if arguments.quick else told


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


if __name__ == "__main__":
    main()
