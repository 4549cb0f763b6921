"""What is left to do of a library."""

from pathlib import Path
from typing import Any

import pytest

from loupe.indexing import planning, stages
from loupe.indexing.stages import Settings
from loupe.library import ChunkMarker
from tests.index_run import config


@pytest.fixture
def settings() -> Settings:
    return stages.settings(config("films", "database"))


def library(folder: Path, *names: str) -> str:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return str(folder)


def complete(film: stages.Film, settings: Settings, **changes: Any) -> dict[str, Any]:
    row = {
        "video_id": film.video_id,
        "etag": film.etag,
        "size": film.size,
        "status": "complete",
        "chunk_count": 1,
        "sampler": settings.sampler,
        "captioner": settings.captioner,
        "summarizer": settings.film_summarizer,
        "transcriber": settings.transcriber,
    }
    return row | changes


def failure(film: stages.Film, kind: str, chunk_index: int = stages.FILM) -> dict[str, Any]:
    return {"video_id": film.video_id, "etag": film.etag, "class": kind, "chunk_index": chunk_index}


def test_films_are_found_with_their_sidecars(tmp_path: Path) -> None:
    place = library(tmp_path, "a/one.mp4", "a/one.srt", "a/one.en.vtt", "b/one.mp4", "two.mkv", "two.txt", "one.srt")
    films = {film.video_id: [Path(uri).name for uri in film.sidecars] for film in planning.list_films(place)}
    assert films == {"a/one.mp4": ["one.en.vtt", "one.srt"], "b/one.mp4": [], "two.mkv": []}


def test_what_looks_like_a_language_may_be_a_part_of_the_name(tmp_path: Path) -> None:
    names = ["Movie.1080p.WEB.mp4", "Movie.1080p.WEB.srt", "Movie.1080p.WEB.en.srt", "Movie.1080p.mp4"]
    place = library(tmp_path, *names, "Movie.1080p.de.vtt")
    films = {film.video_id: [Path(uri).name for uri in film.sidecars] for film in planning.list_films(place)}
    assert films == {
        "Movie.1080p.WEB.mp4": ["Movie.1080p.WEB.en.srt", "Movie.1080p.WEB.srt"],
        "Movie.1080p.mp4": ["Movie.1080p.de.vtt"],
    }


def test_a_changed_sidecar_changes_the_film(tmp_path: Path) -> None:
    place = library(tmp_path, "one.mp4", "one.srt")
    (before,) = planning.list_films(place)
    (tmp_path / "one.srt").write_text("longer than it was")
    (after,) = planning.list_films(place)
    assert before.etag != after.etag
    assert before.size == after.size


def test_a_finished_film_needs_nothing(tmp_path: Path, settings: Settings) -> None:
    (film,) = planning.list_films(library(tmp_path, "one.mp4"))
    plan = planning.plan([film], {film.video_id: complete(film, settings)}, [], [], settings)
    assert (plan.pending, plan.finished) == ((), ("one.mp4",))


@pytest.mark.parametrize(
    ("change", "trusted"),
    [
        ({"status": "indexing"}, True),  # a run died: what it committed holds
        ({"captioner": "another"}, True),  # another model or prompt: the frames hold
        ({"transcriber": "another"}, True),
        ({"summarizer": "another"}, True),
        ({"status": "replacing"}, False),  # a run died while it replaced chunks: those of before are among them
        ({"sampler": "another"}, False),  # other frames: packets are looked at again
        ({"etag": "another"}, False),
        ({"size": 1}, False),
    ],
)
def test_what_differs_is_done_again(tmp_path: Path, settings: Settings, change: dict[str, Any], trusted: bool) -> None:
    (film,) = planning.list_films(library(tmp_path, "one.mp4"))
    marker = ChunkMarker("one.mp4", 0, "l", "c", "s", 0, 2000, 0)
    videos = {film.video_id: complete(film, settings, **change)}
    plan = planning.plan([film], videos, [marker], [], settings)
    (pending,) = plan.pending
    assert pending.trusted is trusted
    assert pending.markers == (marker,)


@pytest.mark.parametrize(
    ("change", "captioned", "current"),
    [
        ({"status": "indexing"}, 0.75, 0.5),
        ({"status": "indexing", "summarizer": "another"}, 0.75, 0.0),
        ({"sampler": "another"}, 0.0, 0.0),
    ],
)
def test_of_a_film_that_was_begun_the_share_that_is_done_is_known(
    tmp_path: Path, settings: Settings, change: dict[str, Any], captioned: float, current: float
) -> None:
    (film,) = planning.list_films(library(tmp_path, "one.mp4"))
    markers = [ChunkMarker("one.mp4", index, "l", settings.caption_lineage("l"), "s", 0, 2000, 0) for index in range(3)]
    markers[2] = markers[2]._replace(summary_lineage=stages.NO_SUMMARY)
    markers.append(ChunkMarker("one.mp4", 3, "l", "by another captioner", "s", 0, 2000, 0))
    videos = {film.video_id: complete(film, settings, chunk_count=4, **change)}
    (pending,) = planning.plan([film], videos, markers, [], settings).pending
    assert (pending.captioned, pending.current) == (captioned, current)


def test_a_film_that_is_broken_is_not_tried_again_until_its_bytes_change(tmp_path: Path, settings: Settings) -> None:
    (film,) = planning.list_films(library(tmp_path, "one.mp4"))
    failures = [failure(film, "MediaError:truncated")]
    assert planning.plan([film], {}, [], failures, settings).given_up == ("one.mp4",)
    (tmp_path / "one.mp4").write_bytes(b"whole again")
    (mended,) = planning.list_films(str(tmp_path))
    assert [film.video_id for film in planning.plan([mended], {}, [], failures, settings).pending] == ["one.mp4"]


def test_a_film_whose_model_was_away_is_tried_again(tmp_path: Path, settings: Settings) -> None:
    (film,) = planning.list_films(library(tmp_path, "one.mp4"))
    for reason in (failure(film, "EngineError"), failure(film, "MediaError:truncated", chunk_index=3)):
        assert planning.plan([film], {}, [], [reason], settings).pending == (film,)
