"""The index job, whole, in this process: what it writes, what it leaves alone, what it survives."""

import base64
import json
import re
import shutil
import socket
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from jobs import index_library
from loupe import storage, timeline
from loupe.config import Config, ConfigError
from loupe.engines.protocol import EngineError
from loupe.indexing.committing import Stored
from loupe.indexing.finishing import Finished
from loupe.indexing.stages import Film, Settings
from loupe.lease import Lease, LeaseHeld, LeaseLost
from loupe.library import STEPS, Library, LibraryError
from loupe.media.digest import packets_digest
from loupe.media.pictures import decode_jpeg
from schemas.outputs import FrameCaption
from tests import in_process
from tests.in_process import index
from tests.index_run import config
from tests.index_scene import (
    FPS,
    SUBTITLES,
    bars,
    damage,
    film,
    report,
    rows,
    small_library,
    sound,
    still_film,
    versions,
)
from tests.openai_server import OpenAIServer
from tests.s3 import FAULTS, S3

FIRST_RUN = {
    "tables: create",
    "videos: upsert",
    "frames: append",
    "captions: upsert",
    "transcripts: upsert",
    "markers: upsert",
    "failures: upsert",
    "compact",
    "index",
}
CAPTION = (
    '{"caption": "A dog runs.", "subjects": [], "actions": [], "place": "park", "objects": [], "on_screen_text": []}'
)
CLIPS = Path(__file__).parents[2] / "shared" / "media"


def with_engine(config: Config, **engine: Any) -> Config:
    """The config with another engine for all that is written."""
    tree = config.model_dump()
    tree["models"]["script"] = engine
    return Config.model_validate(tree)


def engine_that_is_down() -> dict[str, Any]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return {"engine": "openai", "base_url": f"http://127.0.0.1:{port}/v1", "model": "m", "max_retries": 0}


def seen(database: str) -> dict[tuple[str, int], dict[str, Any]]:
    """By chunk all that a reader sees of it; only what it sees without a marker stands beside no summary."""
    library = Library.open_if_there(database)
    chunks: dict[tuple[str, int], dict[str, Any]] = {}
    for video_id in library.videos() if library else ():
        for row in library.chunk_summaries(video_id):
            chunks[video_id, row["chunk_index"]] = {"summary": row}
        for name, read in (("captions", library.captions), ("transcripts", library.transcripts)):
            for row in read(video_id):
                chunks.setdefault((video_id, row["chunk_index"]), {}).setdefault(name, []).append(row)
        for number in range(3):  # as many as the longest film has
            if frames := library.chunk_frames(video_id, number):
                chunks.setdefault((video_id, number), {})["frames"] = frames
    return chunks


@pytest.fixture
def films(tmp_path: Path) -> Path:
    return tmp_path / "films"


@pytest.fixture
def database(tmp_path: Path) -> str:
    return str(tmp_path / "database")


@pytest.fixture
def fresh(tmp_path: Path) -> Any:
    """The rows that a run with a config writes into an empty database."""

    def index_afresh(config: Config) -> dict[str, list[dict[str, Any]]]:
        place = str(tmp_path / "afresh")
        index(config.model_copy(update={"index": config.index.model_copy(update={"database": place})}))
        return rows(place)

    return index_afresh


# One run


def test_everything_is_written_once(films: Path, database: str) -> None:
    assert index(config(str(small_library(films)), database)) == 1
    written = rows(database)

    times = {"b/still.mp4": [0, 1000, 2000], "street.mp4": [0, 1000, 2000, 3000, 4000]}
    for name in ("frames", "captions"):
        assert [(row["video_id"], row["ts_ms"]) for row in written[name]] == [(f, t) for f in times for t in times[f]]
    for row in written["frames"]:
        assert row["pts_ms"] == row["ts_ms"]
        assert bars(row["jpeg"]) == (7 if row["video_id"] == "b/still.mp4" else row["ts_ms"] * FPS // 1000)
        assert (row["width"], row["height"]) == (96, 55)
    for row in written["captions"]:
        assert np.linalg.norm(row["vector"]) == pytest.approx(1)
        assert FrameCaption(**{name: row[name] for name in FrameCaption.model_fields}).searchable_text() == row["text"]
    shared = [row["same_as_ts_ms"] for row in written["captions"]]
    assert shared == [None, 0, None, None, None, None, None, None]
    assert len({row["text"] for row in written["captions"]}) == 6  # a picture, a caption; the still film has one

    markers = {(row["video_id"], row["chunk_index"]): row for row in written["chunks"]}
    assert [(*key, row["start_ms"], row["end_ms"], row["frame_count"], row["shared_count"]) for key, row in
            markers.items()] == [
        ("b/still.mp4", 0, 0, 2000, 2, 1),
        ("b/still.mp4", 1, 2000, 3000, 1, 0),
        ("street.mp4", 0, 0, 2000, 2, 0),
        ("street.mp4", 1, 2000, 4000, 2, 0),
        ("street.mp4", 2, 4000, 5000, 1, 0),
    ]  # fmt: skip
    for row in [*written["frames"], *written["captions"], *written["transcripts"]]:
        marker = markers[row["video_id"], row["chunk_index"]]
        assert row.get("caption_lineage", row.get("lineage")) in (
            marker["lineage"], marker["caption_lineage"], marker["summary_lineage"],
        )  # fmt: skip

    still, street = written["videos"]
    assert (still["video_id"], still["duration_ms"], still["chunk_count"]) == ("b/still.mp4", 3000, 2)
    assert (street["width"], street["height"], street["fps"], street["codec"]) == (336, 192, 10, "h264")
    for row in written["videos"]:
        assert row["status"] == "complete"
        assert row["summary"]
        assert all(row[log] for log in ("characters", "events", "scenes"))
        assert all(0 <= line["start_ms"] <= line["end_ms"] <= row["duration_ms"] for line in row["events"])
        assert np.linalg.norm(row["vector"]) == pytest.approx(1)
    assert street["uri"] == str(films / "street.mp4")

    (failure,) = written["failures"]
    assert (failure["video_id"], failure["chunk_index"], failure["stage"], failure["class"]) == (
        "broken.mp4", -1, "probe", "MediaError:truncated",
    )  # fmt: skip
    said = report(database)
    assert (said["films"], said["chunks"], said["frames"]) == (
        {"indexed": 2, "pending": 3, "finished_before": 0, "removed": 0, "pruned": 0}, 5, 8,
    )  # fmt: skip
    assert (said["captions"], said["shared_captions"], said["requests"]) == (7, 1, 7 + 5 + 4)
    assert said["failures"] == {"probe MediaError:truncated": 1}
    assert said["prompt_tokens"] > sum(row["prompt_tokens"] for row in written["chunks"]) > 0  # films cost some too
    stages = said["stages"]
    assert set(stages) == {"split", "sample", "caption", "summarize", "embed"}
    for times in stages.values():
        assert 0 <= times["first"] <= times["last"] <= said["seconds"]
    assert stages["split"]["first"] <= stages["caption"]["first"] <= stages["embed"]["last"]  # of hundredths


def test_each_role_is_paid_at_its_own_price(films: Path, database: str) -> None:
    tree = config(str(small_library(films)), database).model_dump()
    tree["models"]["script"]["price"] = {"completion": 2e6}
    tree["models"]["writer"] = tree["models"]["script"] | {"price": {"prompt": 1e6}}
    tree["roles"]["summarizer"] = "writer"
    index(Config.model_validate(tree))
    chunks, said = rows(database)["chunks"], report(database)
    read_by_writer = said["prompt_tokens"] - sum(row["caption_prompt_tokens"] for row in chunks)
    assert read_by_writer > 0
    assert said["cost_usd"] == 2 * sum(row["caption_completion_tokens"] for row in chunks) + read_by_writer


def test_subtitles_beside_a_film_become_rows(films: Path, database: str) -> None:
    index(config(str(small_library(films)), database))
    lines = rows(database)["transcripts"]
    assert [(row["chunk_index"], row["start_ms"], row["end_ms"], row["text"]) for row in lines] == [
        (0, 500, 1200, "Where is the red kite?"),
        (1, 2500, 3000, "Over the harbour."),
    ]
    assert {row["source"] for row in lines} == {"sidecar:street.srt"}
    assert all(np.linalg.norm(row["vector"]) == pytest.approx(1) for row in lines)


def test_a_finished_library_costs_nothing(films: Path, database: str) -> None:
    small_library(films)
    index(config(str(films), database))
    before = versions(database)
    assert index(config(str(films), database)) == 1  # the broken film is still broken
    assert versions(database) == before
    said = report(database)
    assert (said["requests"], said["prompt_tokens"], said["chunks"]) == (0, 0, 0)
    assert (said["films"]["pending"], said["films"]["finished_before"]) == (0, 2)


def test_after_a_job_that_was_ended_the_plan_and_the_time_left_are_of_what_is_left(
    films: Path, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    film(films / "a.mp4", 8)
    film(films / "b.mp4", 4, first=200)
    job = config(str(films), database, chunk_seconds=1, commit_chunks=1)
    tree = job.model_dump()
    tree["index"]["stages"]["store"]["chunks_in_flight"] = 1
    job = Config.model_validate(tree)
    passed: list[str] = []

    def lost(step: str) -> None:
        passed.append(step)
        if passed.count("markers: upsert") == 7:
            raise LeaseLost("another job has the lease")

    index_library.print_plan(job)
    whole = json.loads(capsys.readouterr().out)
    assert (whole["frames"], whole["chunks"], whole["films_to_index"]) == (12, 12, 2)
    assert index(job, lost) == 1
    capsys.readouterr()
    index_library.print_plan(job)
    left = json.loads(capsys.readouterr().out)
    assert (left["frames"], left["chunks"], left["films_to_index"]) == (6, 6, 2)
    assert left["completion_tokens_about"] < whole["completion_tokens_about"]
    assert index(job) == 0
    assert re.search(r"chunks 6  .* 0 s left", capsys.readouterr().out)


# Death


def test_a_first_run_may_die_before_any_step(films: Path, database: str, tmp_path: Path) -> None:
    small_library(films)
    (films / "b" / "still.mp4").unlink()
    job = config(str(films), database)
    deaths = run_with_copies(job, tmp_path / "deaths")
    assert {step for step, _ in deaths} == FIRST_RUN
    whole, visible = rows(database), seen(database)
    assert len(visible) == 3
    assert_every_death_heals(job, deaths, whole, [visible])


def test_a_run_that_replaces_and_prunes_may_die_before_any_step(films: Path, database: str, tmp_path: Path) -> None:
    small_library(films)
    still_film(films / "removed.mp4", 1)
    index(config(str(films), database))
    before = seen(database)

    film(films / "street.mp4", 3, first=200)  # another film at the same path, and shorter
    (films / "street.srt").write_text(SUBTITLES.partition("\n2\n")[0])  # with one line less
    still_film(films / "broken.mp4", 1)  # mended
    (films / "nothing.mp4").write_bytes(b"")
    (films / "removed.mp4").unlink()
    job = config(str(films), database, fps=0.5)  # and fewer frames of all
    deaths = run_with_copies(job, tmp_path / "deaths")
    assert {step for step, _ in deaths} | FIRST_RUN == set(STEPS)
    assert_every_death_heals(job, deaths, rows(database), [before, seen(database)])


def test_a_long_run_may_die_in_its_upkeep(films: Path, database: str, tmp_path: Path) -> None:
    film(films / "a.mp4", 36)
    job = config(str(films), database, chunk_seconds=1, commit_chunks=1)
    tree = job.model_dump()
    tree["index"]["stages"]["store"]["chunks_in_flight"] = 1
    job = Config.model_validate(tree)
    deaths = run_with_copies(job, tmp_path / "deaths", {"compact", "index"})
    amid = [death for death in deaths if Library.open(death[1]).videos()["a.mp4"]["status"] == "indexing"]
    assert [step for step, _ in amid[:2]] == ["compact", "index"]
    whole = rows(database)
    for step, copy in amid:
        taken: list[str] = []
        again = job.model_copy(update={"index": job.index.model_copy(update={"database": copy})})
        chunks = len(rows(copy)["chunks"])
        assert index(again, taken.append) == 0
        assert rows(copy) == whole, f"after a death before {step}"
        assert report(copy)["captions"] == 36 - chunks < 6
        if copy == amid[0][1]:
            assert taken[0] == "compact"  # before the first commit


def run_with_copies(job: Config, folder: Path, steps: Collection[str] = STEPS) -> list[tuple[str, str]]:
    """Run to the end; gives each step with a copy of the database just before it: what a kill -9 there would leave."""
    deaths: list[tuple[str, str]] = []

    def before_commit(step: str) -> None:
        if step not in steps:
            return
        copy = str(folder / str(len(deaths)))
        shutil.copytree(job.index.database, copy, ignore=shutil.ignore_patterns("_loupe"))  # nobody holds its lease
        deaths.append((step, copy))

    index(job, before_commit, prune=True)
    return deaths


def assert_every_death_heals(
    job: Config, deaths: Sequence[tuple[str, str]], whole: Any, states: Sequence[dict[Any, Any]]
) -> None:
    """Look at what a reader sees after each death, run again, and find the tables of an undisturbed run."""
    for number, (step, database) in enumerate(deaths):
        for chunk, content in seen(database).items():
            assert content in [state.get(chunk) for state in states], f"half of {chunk} is seen before {number}: {step}"
        index(job.model_copy(update={"index": job.index.model_copy(update={"database": database})}), prune=True)
        assert rows(database) == whole, f"after a death before {number}: {step}"


# What changed, and what is redone


def test_another_film_at_the_same_path_replaces_the_old_one(films: Path, database: str, fresh: Any) -> None:
    film(films / "a.mp4", 5)
    still_film(films / "b.mp4", 1)
    index(config(str(films), database))
    film(films / "a.mp4", 3, first=300)
    job = config(str(films), database)
    assert index(job) == 0
    assert report(database)["requests"] == 3 + 2 + 1  # captions, chunks, the film
    assert [bars(row["jpeg"]) for row in rows(database)["frames"]] == [300, 310, 320, 7]
    assert rows(database) == fresh(job)


def test_of_a_film_that_grew_only_the_end_is_redone(films: Path, database: str, fresh: Any) -> None:
    path = film(films / "a.mp4", 5)
    index(config(str(films), database))
    (before,) = rows(database)["videos"]
    digests = [packets_digest(str(path), start, start + 2000) for start in (0, 2000, 4000)]
    film(path, 7)
    grown = [packets_digest(str(path), start, start + 2000) for start in (0, 2000, 4000)]
    assert [old == new for old, new in zip(digests, grown, strict=True)] == [True, True, False]

    job = config(str(films), database)
    assert index(job) == 0
    said = report(database)
    assert (said["chunks"], said["unchanged_chunks"]) == (4, 2)
    assert (said["captions"], said["requests"]) == (3, 3 + 2 + 3)
    (after,) = rows(database)["videos"]
    assert (after["duration_ms"], after["chunk_count"]) == (7000, 4)
    assert after["scenes"] != before["scenes"]
    assert rows(database) == fresh(job)


def test_of_another_film_that_is_damaged_no_chunk_of_the_old_one_stays(films: Path, database: str, fresh: Any) -> None:
    film(films / "a.mp4", 6)
    index(config(str(films), database, chunk_seconds=3))
    damage(film(films / "a.mp4", 6, first=300), 2000, 4000)
    job = config(str(films), database)
    assert index(job) == 1
    (failure,) = rows(database)["failures"]
    assert (failure["chunk_index"], failure["stage"], failure["class"]) == (1, "sample", "MediaError:truncated")
    assert [bars(row["jpeg"]) for row in rows(database)["frames"]] == [300, 310, 340, 350]
    assert [row["chunk_index"] for row in rows(database)["chunks"]] == [0, 2]
    assert [row["status"] for row in rows(database)["videos"]] == ["complete"]
    assert rows(database) == fresh(job)
    before = versions(database)
    assert index(job) == 0  # the same bytes are not tried again
    assert versions(database) == before


def test_films_that_were_removed_are_counted_and_pruned_only_when_asked(
    films: Path, database: str, fresh: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.mp4", "b.mp4"):
        film(films / name, 1)
    (films / "c.mp4").write_bytes(b"")
    job = config(str(films), database)
    index(job)
    for name in ("b.mp4", "c.mp4"):
        (films / name).unlink()
    before = versions(database)
    assert index(job) == 0
    assert "2 films in the database are no longer in the library" in capsys.readouterr().out
    assert report(database)["films"] == {"indexed": 0, "pending": 0, "finished_before": 1, "removed": 2, "pruned": 0}
    assert versions(database) == before

    assert index(job, prune=True) == 0
    assert "pruned: 2 films" in capsys.readouterr().out
    assert report(database)["films"]["pruned"] == 2
    assert rows(database) == fresh(job)


def test_nothing_is_pruned_where_the_library_is_empty(
    films: Path, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    film(films / "a.mp4", 1)
    job = config(str(films), database)
    index(job)
    before = versions(database)
    (films / "a.mp4").unlink()
    assert index(job, prune=True) == 0
    assert "nothing is pruned" in capsys.readouterr().out
    assert versions(database) == before


@pytest.mark.parametrize("change", [{"fps": 0.5}, {"fps": 2.0}, {"long_side": 64}, {"chunk_seconds": 3}])
def test_another_sampler_leaves_no_stale_rows(films: Path, database: str, fresh: Any, change: Any) -> None:
    small_library(films)
    index(config(str(films), database))
    job = config(str(films), database, **change)
    index(job)
    assert rows(database) == fresh(job)


def test_another_prompt_captions_again_without_decoding(films: Path, database: str, fresh: Any) -> None:
    film(films / "a.mp4", 5)
    index(config(str(films), database))
    captions, before = rows(database)["captions"], versions(database)
    job = config(str(films), database).model_copy(update={"prompts": "full"})
    assert index(job) == 0
    assert versions(database)["frames"] == before["frames"]
    again = rows(database)["captions"]
    assert all(old["text"] != new["text"] for old, new in zip(captions, again, strict=True))
    assert rows(database) == fresh(job)


def test_another_limit_of_captions_captions_again_without_decoding(films: Path, database: str) -> None:
    film(films / "a.mp4", 5)
    index(config(str(films), database))
    before = versions(database)
    assert index(config(str(films), database, caption_tokens=99)) == 0
    assert versions(database)["frames"] == before["frames"]
    assert report(database)["requests"] == 5 + 3 + 3


def test_without_sharing_every_frame_is_captioned(films: Path, database: str) -> None:
    still_film(films / "a.mp4", 4)
    index(config(str(films), database))
    assert [row["same_as_ts_ms"] for row in rows(database)["captions"]] == [None, 0, None, 2000]
    before = versions(database)
    index(config(str(films), database, share_captions=False))
    assert [row["same_as_ts_ms"] for row in rows(database)["captions"]] == [None] * 4
    assert versions(database)["frames"] == before["frames"]


def test_another_limit_of_summaries_writes_summaries_alone(films: Path, database: str) -> None:
    film(films / "a.mp4", 5)
    index(config(str(films), database))
    before, chunks = versions(database), rows(database)["chunks"]
    assert index(config(str(films), database, summary_tokens=99)) == 0
    after = versions(database)
    assert (after["frames"], after["captions"]) == (before["frames"], before["captions"])
    assert report(database)["requests"] == 3 + 3
    for old, new in zip(chunks, rows(database)["chunks"], strict=True):  # the tokens of the captions are kept
        assert new["caption_prompt_tokens"] == old["caption_prompt_tokens"] > 0
        assert new["prompt_tokens"] == old["prompt_tokens"] > new["caption_prompt_tokens"]
    assert_finished(config(str(films), database, summary_tokens=99))


def test_another_limit_of_logs_writes_logs_alone(films: Path, database: str) -> None:
    film(films / "a.mp4", 5)
    index(config(str(films), database))
    before = versions(database)
    job = config(str(films), database, video_summary_tokens=999)
    assert index(job) == 0
    after = versions(database)
    assert {name for name in after if after[name] != before[name]} == {"videos"}
    assert report(database)["prompt_tokens"] > 0
    assert report(database)["requests"] == 3
    assert_finished(job)


def test_subtitles_that_come_later_change_summaries_alone(films: Path, database: str) -> None:
    film(films / "a.mp4", 5)
    index(config(str(films), database))
    before, summaries = versions(database), [row["summary"] for row in rows(database)["chunks"]]
    (films / "a.en.srt").write_text(SUBTITLES)
    job = config(str(films), database)
    assert index(job) == 0
    after = versions(database)
    assert (after["frames"], after["captions"]) == (before["frames"], before["captions"])
    assert report(database)["requests"] == 2 + 3
    changed = [old != row["summary"] for old, row in zip(summaries, rows(database)["chunks"], strict=True)]
    assert changed == [True, True, False]  # the last chunk has no line
    assert [row["text"] for row in rows(database)["transcripts"]] == ["Where is the red kite?", "Over the harbour."]
    assert_finished(job)


def assert_finished(job: Config) -> None:
    """The same job again has nothing to do."""
    before = versions(job.index.database)
    assert index(job) == 0
    assert report(job.index.database)["films"]["pending"] == 0
    assert versions(job.index.database) == before


# What cannot be done


def test_broken_films_cost_one_row_each(films: Path, database: str) -> None:
    whole = film(films / "whole.mp4", 2)
    content = whole.read_bytes()
    poison = {
        "empty.mp4": b"",
        "cut.mp4": content[: len(content) // 2],
        "noise.mp4": np.random.default_rng(1).bytes(5000),
        "text.mp4": b"This is a letter and not a film. " * 20,
        "list.mp4": f"#EXTM3U\n#EXTINF:2,\n{whole}\n".encode().ljust(200, b"\n"),
        "list.m3u8": f"#EXTM3U\n#EXTINF:2,\n{whole}\n".encode().ljust(200, b"\n"),
    }
    for name, data in poison.items():
        (films / name).write_bytes(data)
    sound(films / "sound.mp4")
    job = config(str(films), database)
    assert index(job) == 1
    written = rows(database)
    assert {row["video_id"]: row["class"] for row in written["failures"]} == {
        "empty.mp4": "MediaError:empty",
        "cut.mp4": "MediaError:truncated",
        "noise.mp4": "MediaError:not_a_video",
        "text.mp4": "MediaError:not_a_video",
        "list.mp4": "MediaError:playlist",
        "sound.mp4": "MediaError:no_video_stream",
    }  # a file that is called a playlist is no film at all
    assert len(written["failures"]) == 6
    assert all((row["chunk_index"], row["stage"]) == (-1, "probe") and row["message"] for row in written["failures"])
    assert [(row["video_id"], row["status"]) for row in written["videos"]] == [("whole.mp4", "complete")]

    before = versions(database)
    assert index(job) == 1
    assert versions(database) == before
    said = report(database)["films"]
    assert (said["indexed"], said["pending"], said["finished_before"]) == (0, 0, 1)


def test_a_model_that_is_away_leaves_its_chunks_to_the_next_run(films: Path, database: str, fresh: Any) -> None:
    film(films / "a.mp4", 3)
    job = config(str(films), database)
    assert index(with_engine(job, **engine_that_is_down())) == 1
    written = rows(database)
    assert {row["class"] for row in written["failures"]} == {"UnavailableError"}
    assert [row["chunk_index"] for row in written["failures"]] == [0, 1]
    assert not any(written[name] for name in ("videos", "chunks", "frames", "captions"))
    assert index(job) == 0
    assert rows(database)["failures"] == []
    assert rows(database) == fresh(job)


def test_where_no_model_answers_the_job_ends_and_the_rest_is_not_decoded_for_nothing(
    films: Path, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    film(films / "a.mp4", 30)
    job = config(str(films), database, chunk_seconds=1)
    assert index(with_engine(job, **engine_that_is_down())) == 1
    told = capsys.readouterr().err
    chunks = len(rows(database)["failures"])
    assert f"index_library: {chunks} chunks in a row had no answer from a model, the last for: " in told
    assert chunks < 30
    assert index(job) == 0
    assert len(rows(database)["chunks"]) == 30


def test_a_frame_that_the_model_refuses_costs_its_caption_alone(films: Path, database: str) -> None:
    film(films / "a.mp4", 4)
    job = config(str(films), database)
    asked = 0

    def refuse_the_second(body: dict[str, Any]) -> str | dict[str, Any]:
        nonlocal asked
        asked += 1
        refusal = {"message": {"role": "assistant", "content": None, "refusal": "I cannot help with that"}}
        return refusal if asked == 2 else CAPTION

    with OpenAIServer(refuse_the_second) as server:
        tree = job.model_dump()
        tree["models"]["eyes"] = {"engine": "openai", "base_url": server.url, "model": "m", "concurrency": 1}
        tree["roles"]["captioner"] = "eyes"
        job = Config.model_validate(tree)
        assert index(job) == 1
        (failure,) = rows(database)["failures"]
        assert (failure["stage"], failure["class"]) == ("caption", "RequestError")
        assert failure["message"] == "1 of 2 frames; first: the model refused: I cannot help with that"
        assert len(rows(database)["captions"]) == 3
        assert [row["status"] for row in rows(database)["videos"]] == ["complete"]
        assert index(job) == 0
        assert asked == 4


def with_reader(config: Config, server: OpenAIServer) -> Config:
    """The config with a server as its captioner."""
    tree = config.model_dump()
    tree["models"]["eyes"] = {"engine": "openai", "base_url": server.url, "model": "m"}
    tree["roles"]["captioner"] = "eyes"
    return Config.model_validate(tree)


def reading(tokens: Callable[[int], int]) -> OpenAIServer:
    """A captioner that copies a text of so many tokens from a frame, by its number, and is cut at `max_tokens`."""

    def answer(body: dict[str, Any]) -> str | dict[str, Any]:
        (picture,) = (part["image_url"]["url"] for part in body["messages"][0]["content"] if "image_url" in part)
        seen = tokens(bars(base64.b64decode(picture.partition(",")[2])))
        said = CAPTION.replace('"on_screen_text": []', f'"on_screen_text": ["{"word " * seen}"]')
        if seen < body["max_tokens"]:
            return said
        cut = {"role": "assistant", "content": said[: 5 * body["max_tokens"]]}
        return {"message": cut, "finish_reason": "length"}

    return OpenAIServer(answer)


def test_a_caption_that_is_cut_is_asked_for_again_with_more_room(films: Path, database: str) -> None:
    film(films / "a.mp4", 2)
    with reading(lambda number: 400 if number else 20) as server:
        assert index(with_reader(config(str(films), database, caption_tokens=256), server)) == 0
    assert [len(row["on_screen_text"][0].split()) for row in rows(database)["captions"]] == [20, 400]
    assert report(database)["requests"] == 1 + 2 + 1 + 1  # a frame, the cut one, the chunk, the film


def test_captions_that_stay_cut_do_not_keep_a_film_from_being_complete(films: Path, database: str) -> None:
    film(films / "a.mp4", 4)
    with reading(lambda number: 20 if number < 20 else 9999) as server:
        job = with_reader(config(str(films), database), server)
        assert index(job) == 1
        written = rows(database)
        (failure,) = written["failures"]
        assert (failure["chunk_index"], failure["stage"], failure["class"]) == (1, "caption", "ParseError:cut")
        assert failure["message"].startswith("2 of 2 frames; first: not a caption (finish reason length)")
        assert [row["status"] for row in written["videos"]] == ["complete"]
        assert written["videos"][0]["summary"]
        assert [(row["frame_count"], bool(row["summary"])) for row in written["chunks"]] == [(2, True), (2, False)]
        assert [row["ts_ms"] for row in written["captions"]] == [0, 1000]
        assert [row["ts_ms"] for row in written["frames"]] == [0, 1000, 2000, 3000]
        assert_finished(job)

        (films / "a.srt").write_text(SUBTITLES)  # of which the second line lies in the chunk without captions
        assert index(job) == 1
        assert [bool(row["summary"]) for row in rows(database)["chunks"]] == [True, True]
        assert rows(database)["failures"] == [{**failure, "etag": rows(database)["videos"][0]["etag"]}]
        assert report(database)["requests"] == 2 + 1  # no caption again
        assert_finished(job)


def test_a_film_of_which_nothing_can_be_told_is_complete_without_a_summary(films: Path, database: str) -> None:
    still_film(films / "a.mp4", 3)
    with reading(lambda number: 9999) as server:
        job = with_reader(config(str(films), database), server)
        assert index(job) == 1
        (video,) = rows(database)["videos"]
        assert (video["status"], video["summary"], video["events"], video["vector"]) == ("complete", "", [], None)
        assert_finished(job)
    library = Library.open(database)
    for level in ("videos", "chunks"):
        assert library.search("slide", [1.0, *[0.0] * 15], level=level).hits == []


def test_captions_that_cannot_be_read_otherwise_are_tried_again(films: Path, database: str) -> None:
    film(films / "a.mp4", 2)
    with OpenAIServer(lambda body: CAPTION[:30]) as server:
        job = with_reader(config(str(films), database), server)
        assert [index(job), index(job)] == [1, 1]
    (failure,) = rows(database)["failures"]
    assert failure["class"] == "ParseError"
    assert rows(database)["chunks"] == []


def test_a_film_is_not_complete_while_a_chunk_waits_for_its_model(films: Path, database: str, fresh: Any) -> None:
    film(films / "a.mp4", 4)
    index(config(str(films), database))

    def one_fails(films: Sequence[Film], settings: Settings) -> index_library.Stream:
        for stored in in_process.chunks_of(films, settings):
            (chunk,) = stored.chunks
            failed = Stored((chunk.fail("describe", EngineError("gone")),), "")
            yield failed if chunk.index == 0 else stored

    job = config(str(films), database, fps=2.0, stages={"store": {"chunks_in_flight": 1}})
    assert index_library.run(job, chunks_of=one_fails, finish=in_process.finish) == 1
    assert [row["status"] for row in rows(database)["videos"]] == ["replacing"]
    assert index(job) == 0
    assert rows(database) == fresh(job)


@pytest.mark.parametrize("change", [{"caption_tokens": 99}, {"fps": 2.0}])
@pytest.mark.parametrize("lost", [{0}, {0, 1}])
def test_a_film_of_which_chunks_were_lost_on_their_way_is_not_complete(
    films: Path, database: str, fresh: Any, lost: set[int], change: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of which the tables hold what another captioner or sampler made."""
    film(films / "a.mp4", 4)
    index(config(str(films), database))

    def some_die(films: Sequence[Film], settings: Settings) -> index_library.Stream:
        for stored in in_process.chunks_of(films, settings):
            if stored.chunks[0].index not in lost:
                yield stored

    job = config(str(films), database, **change, stages={"store": {"chunks_in_flight": 1}})
    assert index_library.run(job, chunks_of=some_die, finish=in_process.finish) == 1
    assert "1 films are not complete" in capsys.readouterr().out
    assert index(job) == 0
    assert report(database)["films"]["indexed"] == 1
    assert rows(database) == fresh(job)


def test_logs_that_could_not_be_written_are_written_by_the_next_run(films: Path, database: str, fresh: Any) -> None:
    film(films / "a.mp4", 3)
    job = config(str(films), database)
    down = with_engine(job, **engine_that_is_down())

    def finish(videos: Sequence[dict[str, Any]], settings: Settings) -> Iterator[Sequence[Finished]]:
        return in_process.finish(videos, replace(settings, config=down))

    assert index_library.run(job, chunks_of=in_process.chunks_of, finish=finish) == 1
    (failure,) = rows(database)["failures"]
    assert (failure["chunk_index"], failure["stage"], failure["class"]) == (-1, "finish", "UnavailableError")
    assert index(job) == 0
    assert rows(database) == fresh(job)


def test_another_embedder_of_the_same_size_is_refused(films: Path, database: str) -> None:
    film(films / "a.mp4", 1)
    job = config(str(films), database)
    index(job)
    before = versions(database)
    tree = config(str(films), database, summary_tokens=99).model_dump()
    tree["models"]["hash"]["source"] = "other words"
    with pytest.raises(LibraryError, match="use the embedder that it was made with, or a new database"):
        index(Config.model_validate(tree))
    assert versions(database) == before


def test_a_second_job_is_refused_while_the_first_one_lives(films: Path, database: str) -> None:
    film(films / "a.mp4", 1)
    with Lease.acquire(database, owner="the first job"):
        with pytest.raises(LeaseHeld, match="is being written by the first job"):
            index(config(str(films), database))
        assert Library.open_if_there(database) is None
    assert index(config(str(films), database)) == 0


@pytest.mark.skipif(find_spec("vllm") or find_spec("faster_whisper"), reason="the packages are installed")
@pytest.mark.parametrize(("role", "engine"), [("captioner", "vllm"), ("transcriber", "faster-whisper")])
def test_without_the_package_of_an_engine_nothing_is_begun(films: Path, database: str, role: str, engine: str) -> None:
    film(films / "a.mp4", 1)
    tree = config(str(films), database).model_dump()
    tree["models"]["other"] = {"engine": engine, "source": "some/model"}
    tree["roles"][role] = "other"
    with pytest.raises(ConfigError, match=f"engine: {engine} needs its package: pip install"):
        index(Config.model_validate(tree))
    assert not Path(database).exists()


def test_a_job_that_ends_in_the_middle_says_so_and_has_begun(
    films: Path, database: str, capsys: pytest.CaptureFixture[str]
) -> None:
    film(films / "a.mp4", 4)
    job = config(str(films), database)

    def lost(step: str) -> None:
        if step == "markers: upsert":
            raise LeaseLost("another job has the lease")

    assert index(job, lost) == 1
    assert capsys.readouterr().err == "index_library: another job has the lease\n"

    def full(step: str) -> None:
        if step == "markers: upsert":
            raise OSError("LanceError(IO): No space left on device (os error 28)\nat local.rs:1")

    assert index(job, full) == 1
    said = "index_library: the tables cannot be read or written: LanceError(IO): No space left on device (os error 28)"
    assert capsys.readouterr().err == said + "\n"
    (Path(database) / "report.json").mkdir()
    assert index(job) == 1
    assert "report.json" in capsys.readouterr().err
    assert [row["status"] for row in rows(database)["videos"]] == ["complete"]


# Elsewhere


def test_a_failing_s3_loses_nothing(films: Path, database: str, faulty_s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    film(films / "a.mp4", 2)
    index(config(str(films), database))
    place = f"{faulty_s3.root}/database"
    proxy = faulty_s3.proxy
    assert proxy is not None
    monkeypatch.setenv("LOUPE_S3_TIMEOUT_S", "0.5")
    proxy.silence_s = 0.7
    proxy.kinds = ("timeout",)
    while not proxy.faults["timeout"]:
        storage.write_bytes(f"{faulty_s3.root}/films/a.mp4", (films / "a.mp4").read_bytes())
    proxy.kinds = ("slow_down", "reset", "lost", "cut") * 8 + ("timeout",)  # few, for each is waited for
    assert index(config(f"{faulty_s3.root}/films", place, lease_seconds=60)) == 0
    assert set(proxy.faults) == set(FAULTS)
    proxy.rate = 0
    assert rows(place, but=("uri", "etag")) == rows(database, but=("uri", "etag"))
    assert [row["uri"] for row in rows(place)["videos"]] == [f"{faulty_s3.root}/films/a.mp4"]


def test_real_clips(database: str) -> None:
    if not CLIPS.is_dir():
        pytest.skip(f"no clips at {CLIPS}")
    job = config(str(CLIPS), database, chunk_seconds=10, long_side=160)
    assert index(job) == 0
    written = rows(database)
    assert written["failures"] == []
    videos = {row["video_id"]: row for row in written["videos"]}
    assert set(videos) == {path.name for path in CLIPS.iterdir() if path.suffix != ".md"}
    for name, video in videos.items():
        frames = [row for row in written["frames"] if row["video_id"] == name]
        shown = shown_times(CLIPS / name)
        lost = [3000] if name == "corrupted.mp4" else []  # nothing older stands in for a frame that is lost
        wanted = [time for time in timeline.grid(0, video["duration_ms"], 1.0) if time not in lost]
        assert video["status"] == "complete"
        assert [(row["chunk_index"], row["ts_ms"]) for row in frames] == [(time // 10_000, time) for time in wanted]
        assert [row["pts_ms"] for row in frames] == [max(t for t in shown if t <= time) for time in wanted]
        assert [row["ts_ms"] for row in written["captions"] if row["video_id"] == name] == wanted
        for row in frames:
            height, width = decode_jpeg(row["jpeg"]).shape[:2]
            assert (row["width"], row["height"]) == (width, height)
            assert max(width, height) == 160
            assert width / height == pytest.approx(video["width"] / video["height"], rel=0.02)
    assert videos["rotated_90.mov"]["height"] > videos["rotated_90.mov"]["width"]
    assert (videos["nasa_13013.mp4"]["width"], videos["nasa_13013.mp4"]["has_audio"]) == (480, True)
    damaged = {row["video_id"] for row in written["chunks"] if row["damaged_packets"]}
    assert damaged == {"corrupted.mp4"}


def shown_times(path: Path) -> list[int]:
    """When the frames of a film's best stream are shown, in milliseconds from the first, without decoding them."""
    with av.open(str(path)) as container:
        stream = container.streams.best("video")
        times = sorted(packet.pts for packet in container.demux(stream) if packet.pts is not None)
        return [round(1000 * (time - times[0]) * stream.time_base) for time in times]
