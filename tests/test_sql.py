"""SQL over the tables, as the command and as a connection."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import polars
import pytest

from loupe import sql
from loupe.library import CommitBatch, Library, write_frame_fragments
from loupe.storage import write_bytes
from tests.commands import call
from tests.library_scene import DIMENSIONS, Scene, batch
from tests.results_scene import frame, letter, trace, turn, write_run
from tests.s3 import S3


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> str:
    database = str(tmp_path_factory.mktemp("library") / "database")
    library = Library.open(database, DIMENSIONS, create=True)
    library.commit(batch(database, Scene("a.mp4", 0, lines=("hello",)), Scene("a.mp4", 1)))
    library.put_videos([{"video_id": "a.mp4", "status": "complete", "duration_ms": 6000}])
    return database


@pytest.fixture
def database(built: str, tmp_path: Path) -> str:
    return shutil.copytree(built, str(tmp_path / "it's a database"))


@pytest.fixture
def command(database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Callable:
    """Runs the command; gives its exit code, and what it printed to both streams."""

    def run(query: str, *arguments: str, database: str = database) -> tuple[int, str, str]:
        places = ["--database", database] if database else []
        code = call(sql.main, ["loupe.sql", *places, query, *arguments], monkeypatch)
        return code, *capsys.readouterr()

    return run


def test_every_table_is_a_view(database: str):
    connection = sql.connect(database)
    counts = {
        name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
        for name in ("videos", "chunks", "frames", "captions", "transcripts", "failures")
    }
    assert counts == {"videos": 1, "chunks": 2, "frames": 6, "captions": 6, "transcripts": 1, "failures": 0}


def test_views_hold_only_rows_of_chunks_with_a_marker(database: str):
    class Died(Exception):
        pass

    def dies(step: str) -> None:
        if step == "markers: upsert":
            raise Died

    with pytest.raises(Died):
        Library.open(database, before_commit=dies).commit(batch(database, Scene("a.mp4", 1, made="2", lines=("x",))))
    connection = sql.connect(database)
    for view, rows in (("frames", 3), ("captions", 3), ("transcripts", 1), ("chunks", 1)):
        assert connection.execute(f"SELECT count(*) FROM {view}").fetchone() == (rows,)


def test_lance_is_asked_for_named_columns_and_filtered_rows_alone(database: str):
    plan = sql.connect(database).sql("SELECT ts_ms FROM frames WHERE video_id = 'a.mp4'").explain()
    assert "jpeg" not in plan
    assert "Filters" in plan
    assert "a.mp4" in plan


def test_a_table_is_printed_with_pictures_and_vectors_shortened(command: Callable):
    code, out, _ = command(
        "SELECT f.video_id, c.video_id, jpeg, vector FROM frames f JOIN captions c USING (ts_ms) LIMIT 1"
    )
    assert code == 0
    assert "19 bytes" in out
    assert "… 8]" in out
    assert "a.mp4/0" not in out


def test_two_columns_of_one_name_keep_their_own_values(command: Callable):
    _, out, _ = command("SELECT 'first' AS x, 'second' AS x")
    assert "first" in out
    assert "second" in out


def test_control_characters_of_a_caption_do_not_reach_the_terminal(command: Callable):
    _, out, _ = command("SELECT 'red' || chr(27) || '[31m' AS x")
    assert "\x1b" not in out


def test_rows_are_written_to_files(command: Callable, tmp_path: Path):
    csv, parquet = tmp_path / "rows.csv", tmp_path / "rows.parquet"
    query = "SELECT video_id, ts_ms, vector FROM captions ORDER BY ts_ms"
    assert command(query, "--output", str(csv))[0] == 0
    assert command(query, "--output", str(parquet))[0] == 0
    assert csv.read_text().splitlines()[0] == "video_id,ts_ms,vector"
    rows = polars.read_parquet(parquet)
    assert rows["ts_ms"].to_list() == [0, 1000, 2000, 3000, 4000, 5000]
    assert len(rows["vector"][0]) == DIMENSIONS


@pytest.mark.parametrize(
    ("query", "arguments", "sentence"),
    [
        ("SELEC 1", (), "syntax error"),
        ("SELECT colour FROM frames", (), "colour"),
        ("SELECT CAST(video_id AS INT) FROM frames", (), "Could not convert"),
        ("SELECT 1", ("--output", "rows.xlsx"), "ends in .csv or .parquet"),
        ("SELECT 1", ("--output", "/nowhere/rows.csv"), "No such file"),
    ],
)
def test_what_cannot_be_answered_is_a_sentence(query: str, arguments: tuple, sentence: str, command: Callable):
    code, _, error = command(query, *arguments)
    assert code == 1
    assert error.startswith("loupe.sql: ")
    assert sentence in error
    assert "Traceback" not in error


def test_a_database_that_is_not_there_is_a_sentence(command: Callable, tmp_path: Path):
    code, _, error = command("SELECT 1", database=str(tmp_path / "nothing"))
    assert code == 1
    assert "is this a database" in error
    assert not (tmp_path / "nothing").exists()


def test_times_of_day_and_logs_are_printed_offline(command: Callable, database: str):
    event = {"start_ms": 0, "end_ms": 9, "text": "rain"}
    Library.open(database).put_videos(
        [{"video_id": "b.mp4", "indexed_at": datetime(2026, 1, 2, tzinfo=UTC), "events": [event]}]
    )
    code, out, error = command("SELECT v.video_id, indexed_at, e.text FROM videos v, unnest(events) AS u(e)")
    assert (code, error) == (0, "")
    assert "rain" in out


def test_a_database_on_s3(s3: S3):
    database = f"{s3.root}/index"
    Library.open(database, DIMENSIONS, create=True).commit(
        CommitBatch([Scene().marker()], [write_frame_fragments(database, Scene().frames())])
    )
    rows = sql.connect(database).sql("SELECT video_id, max(ts_ms), sum(octet_length(jpeg)) FROM frames GROUP BY ALL")
    assert rows.fetchall() == [("a.mp4", 2000, sum(map(len, Scene().frames()["jpeg"].to_pylist())))]


def test_python_variables_are_no_tables(database: str):
    secret = polars.DataFrame({"x": [1]})  # noqa: F841
    with pytest.raises(duckdb.CatalogException):
        sql.connect(database).sql("SELECT * FROM secret")


def test_answers_are_tables_beside_those_of_the_database(database: str, tmp_path: Path):
    looked = turn(0, looked=(1,)).model_copy(update={"media": (frame(1, "a.mp4"),)})
    results = write_run(tmp_path / "results", [trace(letter("q"), "A", turns=(looked,)), trace(letter("r"), "B")])
    connection = sql.connect(database, results)
    saw = "SELECT t.answer, c.ts_ms FROM traces t, unnest(turns) AS a(turn), unnest(turn.media) AS b(media)"
    joined = f"{saw} JOIN captions c ON c.video_id = media.video_id AND c.ts_ms = media.ts_ms"
    assert connection.execute(joined).fetchall() == [("A", 1000)]
    assert sql.connect(results=results).execute("SELECT sum(turns) FROM answers").fetchone() == (3,)
    assert "messages" not in connection.sql("SELECT answer FROM traces").explain()


def test_a_trace_without_its_answer_is_not_seen(tmp_path: Path):
    results = write_run(tmp_path / "results", [trace(letter("q"), "A")])
    left = write_run(tmp_path / "left", [trace(letter("r"), "A")])
    (Path(left) / "traces" / "part-0.parquet").rename(Path(results) / "traces" / "part-1.parquet")
    assert sql.connect(results=results).execute("SELECT question_id FROM traces").fetchall() == [("q",)]


def test_results_that_are_not_there_are_a_sentence(command: Callable, tmp_path: Path):
    code, _, error = command("SELECT 1", "--results", str(tmp_path / "nothing"), database="")
    assert (code, error.startswith("loupe.sql: ")) == (1, True)
    assert "nothing holds no answers that can be read" in error
    assert command("SELECT 1", database="") == (1, "", "loupe.sql: give --database, --results or both\n")
    results = write_run(tmp_path / "results", [trace(letter("q"), "A")])
    assert "scores" in command("SELECT * FROM scores", "--results", results, database="")[2]  # nobody evaluated them


def test_results_on_s3(s3: S3, tmp_path: Path):
    local = write_run(tmp_path / "results", [trace(letter("q"), "A")])
    for file in Path(local).rglob("*.parquet"):
        write_bytes(f"{s3.root}/results/{file.relative_to(local).as_posix()}", file.read_bytes())
    connection = sql.connect(results=f"{s3.root}/results")
    query = "SELECT a.answer, len(t.turns) FROM answers a JOIN traces t USING (question_id)"
    assert connection.execute(query).fetchall() == [("A", 2)]
