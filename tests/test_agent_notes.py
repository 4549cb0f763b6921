"""Notes that outlive their question: kept by the job, each once, and offered to later questions on the same film."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from loupe.answering import notes as keeping_notes
from loupe.answering.notes import notes_of
from loupe.answering.run import find_run
from loupe.answering.store import AnswerRows, write
from loupe.config import Config
from loupe.lease import Lease, LeaseHeld
from loupe.library import LibraryError
from loupe.library.notes import open_notes, put_notes, read_notes, tidy_notes
from loupe.library.tables import create_table
from loupe.sql import connect
from schemas.notes import NOTES
from schemas.questions import Question
from schemas.traces import Trace
from tests.agent_scene import Cast, answer, look, question, small_library
from tests.index_scene import film


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("films")
    film(folder / "a.mp4", 6)
    return str(folder)


async def explored(films: str, database: Path, asked: Question, *noted: str, **settings: object) -> tuple[Cast, Trace]:
    """A question for which a second was looked at for each of some notes."""
    said = [look(at, at + 1, 2, observation=text) for at, text in enumerate(["", *noted[:-1]])]
    cast = Cast(None, vlm=[*said, answer("A", observation=noted[-1])], root=films, **settings)
    index = cast.desk.config.index.model_copy(update={"database": str(database)})
    cast.desk.config = cast.desk.config.model_copy(update={"index": index})
    return cast, await cast.play(asked, "investigator")


def keep(config: Config, *traces: Trace, steps: list[str] | None = None) -> None:
    """As the job does with the traces of a batch."""
    with keeping_notes.keeping(config, (steps if steps is not None else []).append) as keeper:
        for trace in traces:
            keeper(AnswerRows.of(trace).traces)


async def test_a_note_has_the_exact_times_of_what_it_is_about(films: str, tmp_path: Path) -> None:
    _, trace = await explored(films, tmp_path, question(), "a cat sits", "a dog runs")
    rows = list(notes_of(trace))
    assert [(row["text"], row["start_ms"], row["end_ms"], row["tool"]) for row in rows] == [
        ("a cat sits", 0, 1000, "look"),
        ("a dog runs", 1000, 2000, "look"),
    ]


async def test_a_turn_that_could_not_be_read_loses_no_note(films: str) -> None:
    said = [look(0, 1, 2), "what?", look(1, 2, 2, observation="a cat sits"), answer("A", observation="a dog runs")]
    trace = await Cast(None, vlm=said, root=films).play(question(), "investigator")
    assert [turn.parsed for turn in trace.turns] == [True, False, True, True]
    assert [(row["text"], row["start_ms"]) for row in notes_of(trace)] == [("a cat sits", 0), ("a dog runs", 1000)]


async def test_notes_are_kept_each_once_and_a_question_asked_again_replaces_its_own(films: str, tmp_path: Path) -> None:
    cast, first = await explored(films, tmp_path, question(), "a cat sits", "a dog runs", notes={"keep": True})
    _, again = await explored(films, tmp_path, question(), "an egg falls", notes={"keep": True})
    steps: list[str] = []
    keep(cast.desk.config, first, first, steps=steps)
    assert steps == ["notes: create", "notes: upsert", "notes: upsert"]
    keep(cast.desk.config, again, steps=steps)
    assert steps[3:] == ["notes: delete", "notes: upsert"]
    assert [row["text"] for row in read_notes(str(tmp_path), "a.mp4")] == ["an egg falls"]


async def test_later_questions_on_the_film_begin_with_notes_where_the_config_says_so(
    films: str, tmp_path: Path
) -> None:
    cast, trace = await explored(films, tmp_path, question(), "a cat sits", "a <dog> runs", notes={"keep": True})
    keep(cast.desk.config, trace)
    later = question("What does the dog do?", question_id="q2", options=("sleep", "run"))
    for offer, told in ((0, []), (1, ["[1.0-2.0] a ‹dog› runs"]), (9, ["[0.0-1.0] a cat sits", "[1.0-2.0] a ‹dog›"])):
        cast, _ = await explored(films, tmp_path, later, "x", notes={"offer": offer})
        prompt = cast.prompts("vlm")[0]
        assert all(line in prompt for line in told)
        assert ("<notes>" in prompt, "a cat sits" in prompt) == (bool(offer), offer == 9)


async def test_a_question_is_told_neither_its_own_notes_nor_any_if_it_has_a_limit(films: str, tmp_path: Path) -> None:
    cast, trace = await explored(films, tmp_path, question(), "a cat sits", "a dog runs", notes={"keep": True})
    keep(cast.desk.config, trace)
    for asked in (question(), question(question_id="q2", before_ms=4000)):
        cast = Cast(None, vlm=[answer("A")], root=films, notes={"offer": 9}, budget={"tokens": 1})
        cast.desk.config = cast.desk.config.model_copy(
            update={"index": cast.desk.config.index.model_copy(update={"database": str(tmp_path)})}
        )
        await cast.play(asked, "investigator")
        assert "<notes>" not in cast.prompts("vlm")[0]


async def test_notes_of_another_version_of_the_film_are_not_offered(films: str, tmp_path: Path) -> None:
    cast, trace = await explored(films, tmp_path / "db", question(), "a cat sits", notes={"keep": True})
    keep(cast.desk.config, trace)
    film(tmp_path / "a.mp4", 5)
    cast, _ = await explored(str(tmp_path), tmp_path / "db", question(question_id="q2"), "x", notes={"offer": 9})
    assert "a cat sits" not in cast.prompts("vlm")[0]


async def test_one_job_keeps_notes_at_a_time(films: str, tmp_path: Path) -> None:
    cast, trace = await explored(films, tmp_path, question(), "a cat sits", notes={"keep": True})
    with Lease.acquire(str(tmp_path / "_notes")), pytest.raises(LeaseHeld):
        keep(cast.desk.config, trace)


class Killed(BaseException):
    """Stands for kill -9."""


def killed_before(number: int, passed: list[str]) -> Callable[[str], None]:
    """A before_step that lets `number` steps pass and then ends the job."""

    def step(name: str) -> None:
        if len(passed) == number:
            raise Killed(name)
        passed.append(name)

    return step


async def test_many_batches_of_notes_end_as_one_file(films: str, tmp_path: Path) -> None:
    cast, trace = await explored(films, tmp_path, question(), "a cat sits", notes={"keep": True})
    batches = [trace.model_copy(update={"transcript_id": f"q{number}@r1"}) for number in range(6)]
    keep(cast.desk.config, *batches)
    assert len(read_notes(str(tmp_path), "a.mp4")) == len(batches)
    assert len(open_notes(str(tmp_path)).get_fragments()) == 1
    tidy_notes(str(tmp_path), kept=timedelta())
    assert len(open_notes(str(tmp_path)).versions()) == 1
    assert len(read_notes(str(tmp_path), "a.mp4")) == len(batches)


def test_notes_of_another_version_of_loupe_are_refused_with_a_sentence(tmp_path: Path) -> None:
    create_table(str(tmp_path), "notes", NOTES.remove(NOTES.get_field_index("lineage")))
    told = r"written by another version of Loupe: table 'notes' differs in lineage; delete notes\.lance there"
    with pytest.raises(LibraryError, match=told):
        read_notes(str(tmp_path), "a.mp4")


async def test_killed_before_any_step_and_run_again_notes_are_there_once(films: str, tmp_path: Path) -> None:
    cast, trace = await explored(films, tmp_path, question(), "a cat sits", "a dog runs", notes={"keep": True})
    answered, run = AnswerRows.of(trace), find_run(str(tmp_path / "0"), cast.desk.config)
    steps = 0
    while True:
        config = cast.desk.config.model_copy(
            update={"index": cast.desk.config.index.model_copy(update={"database": str(tmp_path / str(steps))})}
        )
        output, passed = str(tmp_path / f"results {steps}"), []
        before_step = killed_before(steps, passed)
        try:
            with keeping_notes.keeping(config, before_step) as keeper:
                write(output, run, answered, before_step, keeper)
            break  # it died before each of its steps
        except Killed:
            with keeping_notes.keeping(config, passed.append) as keeper:
                write(output, run, answered, passed.append, keeper)
        assert [row["text"] for row in read_notes(config.index.database, "a.mp4")] == ["a cat sits", "a dog runs"]
        steps += 1
    assert passed == ["traces: write", "notes: create", "notes: upsert", "answers: write"]


def test_where_nothing_was_noted_no_table_is_made(tmp_path: Path) -> None:
    put_notes(str(tmp_path / "none"), NOTES.empty_table(), ["q1@r1"])
    assert not (tmp_path / "none").exists()


def test_notes_are_read_by_sql_beside_the_index(tmp_path: Path) -> None:
    database = str(tmp_path / "database")
    small_library(tmp_path)
    row = {
        "video_id": "a.mp4",
        "transcript_id": "q1@r1",
        "turn": 0,
        "start_ms": 0,
        "end_ms": 1000,
        "text": "a cat sits",
    }
    put_notes(database, pa.Table.from_pylist([row], schema=NOTES), ["q1@r1"])
    told = connect(database).sql("select n.text, v.duration_ms from notes n join videos v using (video_id)").fetchall()
    assert told == [("a cat sits", 9000)]
