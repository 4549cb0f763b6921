"""Finished films are in the tables as soon as `commit_seconds` says."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from jobs import index_library
from loupe.indexing.finishing import Finished
from loupe.indexing.stages import Settings
from loupe.library import Library
from tests import in_process
from tests.index_run import config
from tests.index_scene import film


@pytest.mark.parametrize(("seconds", "seen"), [(1e-9, [1, 2, 3]), (600.0, [0, 0, 0])])
def test_a_film_is_complete_before_the_next_one_is_done(tmp_path: Path, seconds: float, seen: list[int]) -> None:
    database = str(tmp_path / "database")
    for name in ("a", "b", "c"):
        film(tmp_path / "films" / f"{name}.mp4", 2)
    complete = []

    def one_by_one(videos: Sequence[dict[str, Any]], settings: Settings) -> Iterator[Sequence[Finished]]:
        for video in videos:
            yield from in_process.finish([video], settings)
            yield []
            complete.append(sum(row["status"] == "complete" for row in Library.open(database).videos().values()))

    asked = config(str(tmp_path / "films"), database, commit_seconds=seconds)
    assert index_library.run(asked, chunks_of=in_process.chunks_of, finish=one_by_one) == 0
    assert complete == seen
    assert {row["status"] for row in Library.open(database).videos().values()} == {"complete"}
