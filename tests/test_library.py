"""The tables: opened, committed exactly once, replaced whole, resumed, kept in order."""

import contextlib
import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import lance
import lancedb
import pytest

from loupe.library import STEPS, ChunkMarker, CommitBatch, Library, LibraryError, write_frame_fragments
from loupe.library.patience import passes, patiently
from loupe.library.tables import Tables
from loupe.storage import StorageError
from schemas import tables
from tests.library_scene import DIMENSIONS, TABLES, Scene, batch, stored, versions
from tests.s3 import S3

EVIL = [
    "it's.mp4",
    'say "hi".mp4',
    "x' OR '1'='1.mp4",
    "a\\'b.mp4",
    "$1 {x} %s_`y`.mp4",
    "漢字/é.mp4",
    "line\nbreak.mp4",
]


@pytest.fixture
def database(tmp_path: Path) -> str:
    return str(tmp_path / "data base")


@pytest.fixture
def library(database: str) -> Library:
    return Library.open(database, DIMENSIONS, create=True)


class Died(Exception):
    """Stands for a process that was killed at a boundary."""


def dies_before(number: int):
    """A before_commit that lets `number` steps pass and then ends the run."""
    left = [number]

    def before_commit(step: str) -> None:
        assert step in STEPS
        if left[0] == 0:
            raise Died(step)
        left[0] -= 1

    return before_commit


def test_a_database_that_is_not_there_is_a_sentence_and_stays_away(database: str):
    with pytest.raises(LibraryError, match="is this a database"):
        Library.open(database)
    with pytest.raises(LibraryError, match="size of its embeddings"):
        Library.open(database, create=True)
    assert Library.open_if_there(database) is None
    assert not Path(database).exists()


def test_embeddings_of_another_size_are_refused(library: Library, database: str):
    assert Library.open(database).dimensions == DIMENSIONS
    with pytest.raises(LibraryError, match=r"embeddings of 8 numbers.* makes 9"):
        Library.open(database, 9, create=True)


def test_embeddings_of_another_embedder_are_refused(library: Library, database: str):
    """Of the same size; a database that does not know whose it has takes the one that writes first."""
    Library.open(database, DIMENSIONS, embedder="one")
    Library.open(database, DIMENSIONS, create=True, embedder="another")
    for create in (False, True):
        with pytest.raises(LibraryError, match="another embedder than the config's made the embeddings"):
            Library.open(database, DIMENSIONS, create=create, embedder="one")
    assert Library.open(database, DIMENSIONS, create=True, embedder="another").videos() == {}
    assert Library.open(database).videos() == {}


def test_tables_of_another_version_are_refused(library: Library, database: str):
    lance.dataset(f"{database}/chunks.lance").drop_columns(["summary_lineage"])
    with pytest.raises(LibraryError, match=r"another version of Loupe.*'chunks'.*summary_lineage"):
        Library.open(database)


def test_creation_that_died_is_finished(library: Library, database: str):
    lancedb.connect(database).drop_table("captions")
    assert Library.open(database, DIMENSIONS, create=True).captions("a.mp4") == []


def test_key_columns_are_marked_and_lancedb_reads_the_tables(library: Library, database: str):
    library.commit(batch(database, Scene()))
    connection = lancedb.connect(database)
    for name, schema in tables.all_tables(DIMENSIONS).items():
        assert tables.key_columns(connection.open_table(name).schema) == tables.key_columns(schema)
    assert connection.open_table("captions").search([1.0] * DIMENSIONS).limit(2).to_list()


def test_what_is_committed_is_read_back(library: Library, database: str):
    scene = Scene("a.mp4", 1, ("cat", "dog", "hat"), lines=("hello there",))
    library.commit(batch(database, scene))
    library = Library.open(database)
    marker = scene.marker()
    assert library.chunk_markers() == {
        ("a.mp4", 1): ChunkMarker(**{name: marker[name] for name in ChunkMarker._fields})
    }
    assert library.chunk_markers("b.mp4") == {}
    assert [row["ts_ms"] for row in library.captions("a.mp4")] == scene.times
    assert [row["subjects"] for row in library.chunk_captions("a.mp4", 1)] == [["cat"], ["dog"], ["hat"]]
    assert [row["jpeg"] for row in library.chunk_frames("a.mp4", 1)] == scene.frames()["jpeg"].to_pylist()
    assert [line["text"] for line in library.transcripts("a.mp4")] == ["hello there"]
    assert library.chunk_summaries("a.mp4")[0]["summary"] == "there was a cat and a dog and a hat"
    assert library.frames("a.mp4", [5000, 3000, 5000, 3500]) == [
        (3000, 3007, f"{scene.lineage}@3000".encode()),
        (5000, 5007, f"{scene.lineage}@5000".encode()),
    ]


def test_written_fragments_are_not_seen(library: Library, database: str):
    before = versions(database)
    write_frame_fragments(database, Scene().frames())
    assert versions(database) == before
    assert stored(database)["frames"] == []


def test_a_batch_makes_one_version_a_table(library: Library, database: str):
    before = versions(database)
    library.commit(batch(database, *(Scene(f"{film}.mp4", index) for film in range(3) for index in range(4))))
    after = versions(database)
    assert {name for name in TABLES if after[name] != before[name]} == {"chunks", "frames", "captions"}
    assert all(after[name] <= before[name] + 1 for name in TABLES)


OLD = (Scene("a.mp4", 0, lines=("old", "older")), Scene("a.mp4", 1, lines=("older yet",)), Scene("it's.mp4", 0))
NEW = (
    Scene("a.mp4", 0, ("egg",), made="2", step_ms=1500, lines=("new",)),
    Scene("a.mp4", 1, ("hat",), captioned="2"),
    Scene("b.mp4", 0, ("lamp",)),
)


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """The tables of a run that nothing disturbed."""
    database = str(tmp_path_factory.mktemp("golden") / "database")
    Library.open(database, DIMENSIONS, create=True).commit(batch(database, *NEW, OLD[2]))
    return stored(database)


def new_batch(database: str) -> CommitBatch:
    """NEW as a job would commit it over OLD: the second chunk keeps its pixels."""
    decoded, recaptioned = batch(database, NEW[0], NEW[2]), batch(database, NEW[1], pixels=False)
    return CommitBatch(
        [*decoded.chunks, *recaptioned.chunks],
        decoded.fragments,
        [*decoded.captions, *recaptioned.captions],
        decoded.transcripts,
    )


def seen(library: Library) -> dict[tuple[str, int], tuple[int, int, int]]:
    """How many frames, captions and lines a reader sees of each chunk with a marker."""
    return {
        (film, index): (
            len(library.chunk_frames(film, index)),
            len(library.chunk_captions(film, index)),
            sum(line["chunk_index"] == index for line in library.transcripts(film)),
        )
        for film, index in library.chunk_markers()
    }


WHOLE = {scene.caption_lineage: (len(scene.times), len(scene.times), len(scene.lines)) for scene in (*OLD, *NEW)}


@pytest.mark.parametrize("step", range(11))
def test_a_run_that_dies_at_any_boundary_is_finished_by_the_next(
    step: int, library: Library, database: str, golden: dict
):
    library.commit(batch(database, *OLD))
    try:
        Library.open(database, before_commit=dies_before(step)).commit(new_batch(database))
        assert step >= 8
    except Died:
        assert step < 8

    reader = Library.open(database)
    for chunk, counts in seen(reader).items():
        assert counts == WHOLE[reader.chunk_markers()[chunk].caption_lineage]
    hidden = {("a.mp4", 0), ("a.mp4", 1)} - set(reader.chunk_markers())
    assert all(reader.chunk_frames(*chunk) == [] == reader.chunk_captions(*chunk) for chunk in hidden)

    again = batch(database, *NEW) if hidden else new_batch(database)
    Library.open(database).commit(again)
    assert stored(database) == golden


KILLED = """
import os, sys
from loupe.library import Library
from tests.library_scene import Scene, batch
database, number = sys.argv[1], int(sys.argv[2])
def before_commit(step, left=[number]):
    if left[0] == 0:
        os._exit(9)
    left[0] -= 1
Library.open(database, before_commit=before_commit).commit(batch(database, Scene("a.mp4", 0, made="2")))
"""


def test_a_process_that_is_killed_leaves_nothing_half(library: Library, database: str):
    library.commit(batch(database, Scene("a.mp4", 0)))
    killed = subprocess.run([sys.executable, "-c", KILLED, database, "3"], check=False)
    assert killed.returncode == 9
    assert library.chunk_markers() == {}
    library.commit(batch(database, Scene("a.mp4", 0, made="2")))
    assert [row["lineage"] for row in stored(database)["frames"]] == [Scene(made="2").lineage] * 3


@pytest.mark.parametrize("step", range(6))
def test_the_same_fragments_may_be_committed_again(step: int, library: Library, database: str):
    same = batch(database, Scene("a.mp4", 0), Scene("a.mp4", 1))
    with contextlib.suppress(Died):
        Library.open(database, before_commit=dies_before(step)).commit(same)
    library.commit(same)
    library.commit(same)
    library.optimize(keep=timedelta(0))
    assert [row["ts_ms"] for row in stored(database)["frames"]] == [0, 1000, 2000, 3000, 4000, 5000]
    assert len(library.frames("a.mp4", range(0, 6000, 1000))) == 6
    assert len(library.captions("a.mp4")) == 6


def test_new_captions_leave_the_pixels_alone(library: Library, database: str):
    library.commit(batch(database, Scene()))
    before = versions(database)["frames"]
    library.commit(batch(database, Scene(captioned="2", words=("egg",)), pixels=False))
    assert versions(database)["frames"] == before
    assert {row["caption"] for row in library.captions("a.mp4")} == {"a egg stands here"}
    assert len(library.chunk_frames("a.mp4", 0)) == 3


def test_a_new_summary_leaves_the_captions_alone(library: Library, database: str):
    library.commit(batch(database, Scene(lines=("one", "two"))))
    before = versions(database)["captions"]
    summarized = Scene(summarized="2", lines=("one",))
    library.commit(batch(database, summarized, pixels=False, captions=False))
    assert versions(database)["captions"] == before
    assert len(library.captions("a.mp4")) == 3
    assert [line["text"] for line in library.transcripts("a.mp4")] == ["one"]
    assert len(stored(database)["transcripts"]) == 1


def test_frames_are_counted_not_believed(library: Library, database: str):
    wrong = {**Scene().marker(), "frame_count": 99}
    library.commit(replace(batch(database, Scene()), chunks=[wrong]))
    assert stored(database)["chunks"][0]["frame_count"] == 3
    summarized = {**Scene(summarized="2").marker(), "frame_count": None}
    library.commit(CommitBatch([summarized]))
    assert stored(database)["chunks"][0]["frame_count"] == 3


def test_another_chunk_length_leaves_no_old_rows(library: Library, database: str):
    library.commit(batch(database, *(Scene("a.mp4", index, length_ms=6000) for index in range(2))))
    library.commit(batch(database, Scene("b.mp4", 0)))
    shorter = [Scene("a.mp4", index, made="2", length_ms=3000) for index in range(4)]
    library.commit(batch(database, shorter[1]))
    assert set(library.chunk_markers("a.mp4")) == {("a.mp4", 1)}
    library.commit(batch(database, *shorter[2:], shorter[0]))
    rows = stored(database)
    for name in ("frames", "captions"):
        assert [row["ts_ms"] for row in rows[name] if row["video_id"] == "a.mp4"] == list(range(0, 12000, 1000))
    assert len(library.captions("b.mp4")) == 3


def test_a_key_that_comes_twice_in_a_batch_is_there_once(library: Library, database: str):
    once = batch(database, Scene())
    again = write_frame_fragments(database, Scene().frames())
    library.commit(
        CommitBatch([*once.chunks] * 2, [*once.fragments, again], [*once.captions] * 2, [*once.transcripts] * 2)
    )
    assert {name: len(rows) for name, rows in stored(database).items()} == {
        "videos": 0, "chunks": 1, "frames": 3, "captions": 3, "transcripts": 0, "failures": 0
    }  # fmt: skip


def test_parts_that_do_not_belong_together_change_nothing(library: Library, database: str):
    library.commit(batch(database, Scene()))
    before = versions(database)
    good = batch(database, Scene(made="2"))
    with pytest.raises(ValueError, match="frames without a marker of their lineage"):
        library.commit(replace(good, chunks=[Scene().marker()], captions=[]))
    with pytest.raises(ValueError, match="captions without a marker"):
        library.commit(replace(good, captions=Scene(index=1).captions()))
    with pytest.raises(LibraryError, match="has no frames"):
        library.commit(batch(database, Scene(made="3"), pixels=False))
    with pytest.raises(ValueError, match="no columns colour"):
        library.commit(replace(good, chunks=[{**Scene().marker(), "colour": "red"}]))
    with pytest.raises(ValueError, match="empty picture"):
        write_frame_fragments(database, Scene().frames().set_column(7, tables.frames().field("jpeg"), [[b""] * 3]))
    both = batch(database, Scene(made="2"), Scene(index=1))
    half = write_frame_fragments(database, Scene(made="2").frames())
    with pytest.raises(ValueError, match="written again in another"):
        library.commit(replace(both, fragments=[*both.fragments, half]))
    assert versions(database) == before
    library.commit(CommitBatch([]))
    assert versions(database) == before


def test_names_of_films_are_only_values(library: Library, database: str):
    library.commit(batch(database, *(Scene(name, lines=("hello",)) for name in EVIL)))
    for name in EVIL:
        assert len(library.captions(name)) == len(library.chunk_frames(name, 0)) == 3
        assert len(library.frames(name, [0])) == len(library.transcripts(name)) == len(library.chunk_markers(name)) == 1
    library.commit(batch(database, *(Scene(name, made="2", step_ms=1500) for name in EVIL)))
    library.delete_videos(EVIL[1:])
    assert {row["video_id"] for rows in stored(database).values() for row in rows} == {EVIL[0]}
    assert len(library.captions(EVIL[0])) == 2


def test_a_large_batch_of_scattered_chunks(library: Library, database: str):
    scenes = [Scene(f"{film}.mp4", index * 2, ("cat",), step_ms=3000) for film in range(20) for index in range(25)]
    library.commit(batch(database, *scenes))
    library.commit(batch(database, *(Scene(s.film, s.index, ("dog",), made="2", step_ms=3000) for s in scenes)))
    assert {row["caption"] for row in stored(database)["captions"]} == {"a dog stands here"}
    assert len(library.chunk_markers()) == len(stored(database)["frames"]) == 500


def video(name: str = "a.mp4", **columns: object) -> dict:
    return {"video_id": name, "status": "indexing", "etag": "1", "indexed_at": datetime.now(UTC), **columns}


def test_rows_of_films_and_failures_that_say_nothing_new_make_no_version(library: Library, database: str):
    logs = {"events": [{"start_ms": 0, "end_ms": 9, "text": "rain"}], "vector": [0.1] * DIMENSIONS}
    failure = {"video_id": "a.mp4", "chunk_index": -1, "stage": "probe", "class": "X", "message": "no"}
    library.put_videos([video(**logs), video("b.mp4")])
    library.put_failures([{**failure, "failed_at": datetime.now(UTC)}])
    before = versions(database)
    library.put_videos([video(**logs)])
    library.put_videos([*library.videos().values()])
    library.put_failures([{**failure, "failed_at": datetime.now(UTC)}])
    library.replace_failures([("a.mp4", -1)], [{**failure, "failed_at": datetime.now(UTC)}])
    assert versions(database) == before
    library.put_videos([video(status="complete")])
    assert library.videos(["a.mp4"])["a.mp4"]["status"] == "complete"
    assert set(library.videos()) == {"a.mp4", "b.mp4"}


def test_reasons_that_no_longer_hold_go(library: Library):
    def row(index: int, stage: str) -> dict:
        return {"video_id": "a.mp4", "chunk_index": index, "stage": stage, "class": "X"}

    library.put_failures([row(0, "caption"), row(1, "caption"), row(1, "embed"), row(2, "caption")])
    library.replace_failures([("a.mp4", 0), ("a.mp4", 1)], [row(1, "embed")])
    assert {(r["chunk_index"], r["stage"]) for r in library.failures("a.mp4")} == {(1, "embed"), (2, "caption")}


def test_a_film_that_got_shorter_and_one_that_is_gone(library: Library, database: str):
    library.put_videos([video(), video("b.mp4")])
    library.commit(
        batch(database, *(Scene(film, index, lines=("x",)) for film in ("a.mp4", "b.mp4") for index in range(3)))
    )
    library.delete_chunks_after("a.mp4", 1)
    assert set(library.chunk_markers("a.mp4")) == {("a.mp4", 0)}
    assert [row["ts_ms"] for row in stored(database)["frames"] if row["video_id"] == "a.mp4"] == [0, 1000, 2000]
    library.delete_videos(["a.mp4"])
    assert {row["video_id"] for rows in stored(database).values() for row in rows} == {"b.mp4"}
    before = versions(database)
    library.delete_videos(["a.mp4"])
    library.delete_chunks_after("b.mp4", 3)
    assert versions(database) == before


def test_a_deletion_that_died_can_be_seen_and_finished(library: Library, database: str):
    library.put_videos([video()])
    library.commit(batch(database, Scene(lines=("x",))))
    for step in range(5):
        with pytest.raises(Died):
            Library.open(database, before_commit=dies_before(step)).delete_videos(["a.mp4"])
        assert "a.mp4" in library.videos()
        if step:
            break
    library.delete_videos(["a.mp4"])
    assert not any(stored(database).values())


def test_upkeep_changes_no_row_and_then_has_nothing_to_do(library: Library, database: str):
    for index in range(8):
        library.commit(batch(database, Scene("a.mp4", index, lines=("x",))))
    library.commit(batch(database, Scene("a.mp4", 3, made="2", step_ms=1500)))
    before = stored(database)
    library.optimize()
    assert stored(database) == before
    assert len(lance.dataset(f"{database}/frames.lance").get_fragments()) == 1
    settled = versions(database)
    library.optimize()
    reader = Library.open(database, DIMENSIONS, create=True)
    reader.captions("a.mp4"), reader.chunk_markers(), reader.search("cat", mode="text")
    assert versions(database) == settled

    library.commit(batch(database, Scene("b.mp4")))
    library.optimize(keep=timedelta(0))
    settled = versions(database)
    library.optimize(keep=timedelta(0))
    assert versions(database) == settled
    assert len(lance.dataset(f"{database}/frames.lance").versions()) == 1
    assert len(library.captions("a.mp4")) == 23


def test_upkeep_spares_pixels_that_are_written_and_not_committed(library: Library, database: str):
    library.commit(batch(database, Scene("a.mp4", 0)))
    later = batch(database, Scene("a.mp4", 1))
    library.commit(batch(database, Scene("a.mp4", 2)))
    library.optimize(keep=timedelta(0))
    library.commit(later)
    assert len(library.chunk_frames("a.mp4", 1)) == 3


def files(database: str, name: str) -> set[int]:
    """The numbers of a table's files."""
    return {fragment.fragment_id for fragment in lance.dataset(f"{database}/{name}.lance").get_fragments()}


def uncovered(database: str, name: str) -> set[int]:
    """The files of a table that not all of its key indexes cover; all where there are none."""
    indexes = lance.dataset(f"{database}/{name}.lance").describe_indices()
    covered = [set().union(*(segment.fragment_ids for segment in each.segments)) for each in indexes]
    return files(database, name) - (set.intersection(*covered) if covered else set())


def test_a_long_run_keeps_files_few_and_keys_indexed(library: Library, database: str, tmp_path: Path):
    scenes = [Scene(f"{film}.mp4", index, lines=("x",)) for film in range(36) for index in range(2)]
    films = [video(scene.film, chunk_count=scene.index, indexed_at=None) for scene in scenes]
    early = {}
    for number, (film, scene) in enumerate(zip(films, scenes, strict=True)):
        library.put_videos([film])
        library.commit(batch(database, scene))
        if number == 20:
            early = {name: lance.dataset(f"{database}/{name}.lance") for name in TABLES}
            before = stored(database)
    for name in ("videos", "chunks", "frames", "captions", "transcripts"):
        assert len(files(database, name)) < 40
        assert len(uncovered(database, name)) < min(32, len(files(database, name)))
        for index in lance.dataset(f"{database}/{name}.lance").describe_indices():
            assert len(index.segments) == 1  # two, one as large as the other, were merged
    # a reader keeps what it opened
    assert {name: len(table.to_table()) for name, table in early.items()} == {n: len(r) for n, r in before.items()}

    golden = Library.open(str(tmp_path / "golden"), DIMENSIONS, create=True)
    golden.put_videos(films)
    golden.commit(batch(str(tmp_path / "golden"), *scenes))
    assert stored(database) == stored(str(tmp_path / "golden"))
    library.commit(batch(database, Scene("0.mp4", 0, made="2", step_ms=1500)))
    assert len(library.captions("0.mp4")) == 2 + 3
    assert len(library.chunk_frames("0.mp4", 0)) == 2


def dies_at(wanted: str):
    """A before_commit that ends the run at the first step of this name."""

    def before_commit(step: str) -> None:
        if step == wanted:
            raise Died(step)

    return before_commit


@pytest.mark.parametrize(("step", "left"), [("compact", 40), ("index", 1)])
def test_a_run_that_dies_in_its_upkeep_is_caught_up_by_the_next(step: str, left: int, library: Library, database: str):
    scenes = [Scene("a.mp4", index) for index in range(40)]
    many = batch(database, *scenes, pixels=False)
    many = replace(many, fragments=[write_frame_fragments(database, scene.frames()) for scene in scenes])
    later = batch(database, Scene("b.mp4"))
    with pytest.raises(Died):
        Library.open(database, before_commit=dies_at(step)).commit(many)
    assert len(files(database, "frames")) == len(uncovered(database, "frames")) == left
    before = stored(database)
    assert len(before["frames"]) == len(before["captions"]) == 120

    successor = Library.open(database)
    successor.catch_up(keep=timedelta(0))
    assert len(files(database, "frames")) == 1
    assert stored(database) == before
    settled = versions(database)
    successor.catch_up(keep=timedelta(0))
    assert versions(database) == settled
    successor.commit(later)  # written before old versions were removed
    assert len(successor.chunk_frames("b.mp4", 0)) == 3
    assert len(Library.open(database).frames("a.mp4", range(0, 120_000, 1000))) == 120


@pytest.mark.parametrize("step", ["compact", "index"])
def test_a_commit_whose_upkeep_fails_is_there_and_says_so(
    step: str, library: Library, database: str, caplog: pytest.LogCaptureFixture
):
    def full(announced: str) -> None:
        if announced == step:
            raise OSError("LanceError(IO): No space left on device (os error 28), local.rs:1")

    scenes = [Scene("a.mp4", index) for index in range(40)]
    many = batch(database, *scenes, pixels=False)
    many = replace(many, fragments=[write_frame_fragments(database, scene.frames()) for scene in scenes])
    opened = Library.open(database, before_commit=full)
    opened.commit(many)
    assert "only makes the tables slower: the tables cannot be read or written: LanceError(IO): No space" in caplog.text
    assert len(library.captions("a.mp4")) == 120
    with pytest.raises(StorageError, match="No space left"):
        opened.optimize()


def test_a_long_history_of_changes_ends_in_the_right_rows(library: Library, database: str):
    current = {}
    for turn in range(24):
        film, index = f"{turn % 3}.mp4", (turn * 5) % 4
        current[film, index] = Scene(
            film, index, made=str(turn), step_ms=(500, 1000, 1500)[turn % 3], lines=("x",) * (turn % 4)
        )
        library.commit(batch(database, current[film, index]))
        if turn % 5 == 4:
            library.optimize(keep=timedelta(0))
    golden = str(Path(database).parent / "golden")
    Library.open(golden, DIMENSIONS, create=True).commit(batch(golden, *current.values()))
    assert stored(database) == stored(golden)


def test_the_whole_of_it_on_s3(s3: S3):
    database = f"{s3.root}/libraries/one"
    assert Library.open_if_there(database) is None
    library = Library.open(database, DIMENSIONS, create=True)
    library.commit(batch(database, Scene("a.mp4", 0), Scene("a.mp4", 1)))
    library.commit(batch(database, Scene("a.mp4", 1, made="2", step_ms=1500, words=("egg",))))
    library.optimize()
    reader = Library.open(database)
    assert [frame.ts_ms for frame in reader.frames("a.mp4", range(0, 6000, 500))] == [0, 1000, 2000, 3000, 4500]
    assert reader.search("egg", mode="text").hits[0].start_ms in (3000, 4500)


def test_commits_that_break_off_on_s3_are_whole_and_there_once(faulty_s3: S3, tmp_path: Path):
    database, golden = f"{faulty_s3.root}/library", str(tmp_path / "golden")
    proxy = faulty_s3.proxy
    proxy.kinds, proxy.rate = ("reset", "lost", "cut"), 0.3
    proxy.aim = "/_versions/|_versions%2F"  # what every commit reads and writes
    library = Library.open(database, DIMENSIONS, create=True)
    library.commit(batch(database, Scene(made="1", step_ms=500)))
    library.commit(batch(database, Scene(made="2")))
    assert proxy.faults.total() > 10
    proxy.rate = 0
    Library.open(golden, DIMENSIONS, create=True).commit(batch(golden, Scene(made="2")))
    found, wanted = Library.open(database), Library.open(golden)
    assert found.chunk_frames("a.mp4", 0) == wanted.chunk_frames("a.mp4", 0)
    assert found.captions("a.mp4") == wanted.captions("a.mp4")
    assert found.chunk_markers() == wanted.chunk_markers()


def test_an_append_whose_answer_was_lost_may_be_taken_again(library: Library, database: str):
    (written,) = batch(database, Scene()).fragments
    fragments = [lance.FragmentMetadata.from_json(json.dumps(each)) for each in json.loads(written)["fragments"]]
    for _ in range(2):
        Tables(database).append("frames: append", "frames", fragments)
    assert len(stored(database)["frames"]) == 3


def s3_error(reason: str) -> str:
    """The text of Lance for a request that failed."""
    request = "Error performing GET http://127.0.0.1/b?prefix=x in 0.4s, after 3 retries, max_retries: 3"
    return f"LanceError(IO): Generic S3 error: Error performing list request: {request} - {reason}, object_store.rs:182"


@pytest.mark.parametrize(
    ("error", "may"),
    [
        (ValueError(s3_error("Server returned non-2xx status code: 503 Service Unavailable: <Error>")), True),
        (OSError(s3_error("Server returned non-2xx status code: 429 Too Many Requests: ")), True),
        (OSError(s3_error("HTTP error: error sending request")), True),
        (OSError("LanceError(IO): Generic S3 error: Error getting list response body: HTTP error: request or "), True),
        (RuntimeError(f"lance error: {s3_error('HTTP error: error sending request')}"), True),
        (ValueError(s3_error("Server returned non-2xx status code: 403 Forbidden: <Error>")), False),
        (ValueError(s3_error("Server returned non-2xx status code: 404 Not Found: <Error>")), False),
        (ValueError("Dataset at path a/videos.lance was not found: Not found: a/videos.lance/_versions"), False),
        (OSError("LanceError(IO): No space left on device (os error 28), local.rs:1"), False),
        (OSError("LanceError(CommitConflict): Commit conflict for version 3"), False),
        (LibraryError("the size of its embeddings"), False),
    ],
)
def test_only_what_the_object_store_failed_is_tried_again(error: Exception, may: bool):
    assert passes(error) is may


@pytest.mark.parametrize("error", [OSError("no space left\nat local.rs:1"), ValueError("the filter does not parse")])
def test_what_storage_fails_is_told_and_a_wrong_question_is_raised_as_it_is(error: Exception):
    def step() -> None:
        raise error

    if isinstance(error, OSError):
        with pytest.raises(StorageError, match=r"^the tables cannot be read or written: no space left$"):
            patiently(step)()
    else:
        with pytest.raises(ValueError, match="does not parse"):
            patiently(step)()
