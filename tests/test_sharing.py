"""Which frames may share a caption, after a codec has been at them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from loupe.benchmarks.toytown.render import draw
from loupe.benchmarks.toytown.world import Actor, Laid, Person, Still
from loupe.media.sampling import sample_frames
from loupe.sharing import share
from tests.films.barcoded import write_film

SECOND = 12
ACTOR = Actor(Person("red", "round", "cap"), x=0.4, thing="key")
SCENE = Still("harbour", actors=(ACTOR,), laid=(Laid("ball", 0.8),), sign="BAKER")


def shared_in_a_film(path: Path, stills: Sequence[Still], fps: int = SECOND) -> list[int | None]:
    """Show each still for a second, encode it as films are, and look at one frame a second."""
    pictures = [draw(still) for still in stills for _ in range(fps)]
    film = write_film(path / "film.mp4", pictures, fps=fps, options={"crf": "28", "g": "48", "preset": "veryfast"})
    return share([frame.rgb for frame in sample_frames(film, range(0, len(stills) * 1000, 1000))])


def test_a_still_stretch_shares_one_caption(tmp_path: Path) -> None:
    assert shared_in_a_film(tmp_path, [SCENE] * 6) == [None, 0, 0, 0, 0, 0]


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(
            replace(SCENE, actors=(replace(ACTOR, thing=None),), laid=(*SCENE.laid, Laid("key", 0.5))), id="drop"
        ),
        pytest.param(replace(SCENE, laid=()), id="thing gone"),
        pytest.param(replace(SCENE, sign="BAKERY"), id="sign longer"),
        pytest.param(replace(SCENE, sign="BANK"), id="another sign"),
        pytest.param(replace(SCENE, actors=(replace(ACTOR, x=0.4 + 10 / 256),)), id="ten pixels on"),
        pytest.param(replace(SCENE, actors=(replace(ACTOR, action="waves"),)), id="waves"),
        pytest.param(replace(SCENE, actors=(replace(ACTOR, facing=-1),)), id="turned"),
    ],
)
@pytest.mark.parametrize("weather", ["clear", "night", "fog"])
def test_a_small_change_gets_its_own_caption(tmp_path: Path, changed: Still, weather: str) -> None:
    stills = [replace(still, weather=weather) for still in (SCENE, SCENE, changed, changed)]
    assert shared_in_a_film(tmp_path, stills) == [None, 0, None, 2]


@pytest.mark.parametrize(("before", "after"), [("BANK", "TANK"), ("BARN", "BURN"), ("CAGE", "CAFE")])
def test_one_letter_is_a_change(tmp_path: Path, before: str, after: str) -> None:
    stills = [replace(SCENE, sign=word) for word in (before, before, after)]
    assert shared_in_a_film(tmp_path, stills) == [None, 0, None]


def test_slow_changes_add_up() -> None:
    frames = [np.full((96, 128, 3), 100 + 6 * step, np.uint8) for step in range(6)]
    assert share(frames) == [None, 0, 0, None, 3, 3]


def test_a_picture_of_another_size_has_its_own_caption() -> None:
    assert share([np.zeros((96, 128, 3), np.uint8), np.zeros((128, 96, 3), np.uint8)]) == [None, None]
