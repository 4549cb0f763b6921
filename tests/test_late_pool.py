"""Actors that are opened late: one that fails to open is told of and tried again, rows wait, what is done comes."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
import ray.data
from ray.exceptions import RayActorError

from jobs.late_pool import LatePool
from jobs.on_ray import DEATHS, connect_ray, pool
from loupe.config import Actors

pytestmark = [pytest.mark.ray, pytest.mark.timeout(900)]
STAGE = Actors(cpus=0.1, actors_max=2)


class Opens:
    """Doubles numbers. It can be opened once it was tried `failing` times: a file a try."""

    def __init__(self, folder: Path, failing: int) -> None:
        number = len(list(folder.iterdir()))
        (folder / str(number)).touch()
        if number < failing:
            raise ConnectionError(f"no weights at try {number}")

    async def __call__(self, number: int) -> int:
        await asyncio.sleep(0.01)
        return 2 * number


class Sees:
    """Tells which GPUs it is shown."""

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return {"seen": os.environ.get("CUDA_VISIBLE_DEVICES", "all")}


@pytest.fixture(scope="module")
def connected() -> Iterator[None]:
    connect_ray()
    yield
    ray.shutdown()


def test_an_actor_that_fails_to_open_is_told_of_and_tried_again(connected, tmp_path, capsys):
    late = LatePool(Opens, Actors(cpus=0.1), 2, tmp_path, 1)
    late.open()
    assert sorted(number for some in late.map(range(20)) for number in some) == [2 * number for number in range(20)]
    assert (
        "Opens could not be opened and is tried again: ConnectionError: no weights at try 0" in capsys.readouterr().out
    )
    assert len(list(tmp_path.iterdir())) == 2


def test_one_that_never_opens_ends_the_job_with_its_reason(connected, tmp_path):
    late = LatePool(Opens, STAGE, 1, tmp_path, 100)
    with pytest.raises(RayActorError, match="no weights at try"):
        list(late.map([1]))
    assert len(list(tmp_path.iterdir())) >= DEATHS + 1


def test_whoever_waits_hears_that_nothing_came_yet(connected, tmp_path):
    late = LatePool(Opens, Actors(cpus=1_000), 1, tmp_path, 0)  # more than there is
    assert next(late.map([1])) == []


def test_without_rows_nothing_is_opened(connected, tmp_path):
    assert list(LatePool(Opens, STAGE, 1, tmp_path, 0).map([])) == []
    assert not list(tmp_path.iterdir())


def test_whoever_has_no_share_of_a_gpu_is_shown_none(connected):
    """Ray shows such an actor all of them: it would take the first, which is somebody else's."""
    none = [{"seen": ""}]
    assert [row for some in LatePool(Sees, Actors(cpus=0.1), 1).map([{}]) for row in some] == none
    assert ray.data.from_items([{"row": 1}]).map(Sees, **pool(Actors(cpus=0.1))).take_all() == none
