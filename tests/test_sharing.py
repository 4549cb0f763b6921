"""Which frames share a caption: judged on pictures that went through H.264 and JPEG, as frames of the index do."""

from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from loupe.benchmarks.toytown.render import draw
from loupe.benchmarks.toytown.stills import random_still
from loupe.benchmarks.toytown.world import SIGN_WORDS, THINGS, Actor, Laid, Person, Still
from loupe.indexing.sharing import WINDOW, largest_change, same_picture, share
from loupe.media import decode_jpeg, encode_jpeg, sample_frames
from tests.films.barcoded import write_film

SECONDS = 4
FPS = 10


def filmed(folder: Path, *pictures: np.ndarray, crf: int = 28, grain: float = 0) -> list[np.ndarray]:
    """Frames, one a second, of a film that shows each picture for SECONDS."""
    draws = np.random.default_rng(0)

    def grained(picture: np.ndarray) -> np.ndarray:
        return np.clip(picture + draws.normal(0, grain, (*picture.shape[:2], 1)), 0, 255).astype(np.uint8)

    frames = [grained(picture) if grain else picture for picture in pictures for _ in range(SECONDS * FPS)]
    path = write_film(folder / "film.mp4", frames, fps=FPS, options={"crf": str(crf), "preset": "medium", "g": "250"})
    times = range(0, 1_000 * SECONDS * len(pictures), 1_000)
    return [decode_jpeg(encode_jpeg(sampled.rgb)) for sampled in sample_frames(path, times)]


def street(
    word: str = "BANK", size: int = 14, person_x: int = 100, ball: str | None = None, hat: bool = True
) -> np.ndarray:
    """A street of 512 x 288 with a sign, somebody, and something on the ground."""
    light = np.linspace(60, 200, 512)[None, :, None] * np.array([0.8, 0.9, 1.0])
    ground = np.clip(light + np.random.default_rng(1).normal(0, 6, (288, 512, 1)), 0, 255)
    image = Image.fromarray(ground.astype(np.uint8))
    pen = ImageDraw.Draw(image)
    pen.rectangle((300, 20, 390, 54), fill=(240, 235, 220))
    pen.text((306, 24), word, fill=(60, 60, 70), font=ImageFont.load_default(size))
    pen.ellipse((person_x - 10, 178, person_x + 10, 198), fill=(220, 180, 150))
    pen.rectangle((person_x - 14, 198, person_x + 14, 258), fill=(150, 110, 90))
    if hat:
        pen.rectangle((person_x - 10, 170, person_x + 10, 180), fill=(120, 90, 70))
    if ball:
        pen.ellipse((194, 244, 206, 256), fill=ball)
    return np.asarray(image)


ONE_PICTURE_EACH = [None, *[0] * (SECONDS - 1), None, *[SECONDS] * (SECONDS - 1)]


@pytest.mark.parametrize("crf", [23, 28])
@pytest.mark.parametrize(
    "change",
    [
        {"word": "TANK"},
        {"word": "BARK"},
        {"person_x": 110},
        {"person_x": 95},
        {"ball": "red"},
        {"ball": "#828c96"},
        {"hat": False},
    ],
    ids=lambda change: " ".join(f"{name}={value}" for name, value in change.items()),
)
def test_a_small_change_is_another_picture_and_a_still_stretch_is_one(tmp_path, change, crf):
    assert share(filmed(tmp_path, street(), street(**change), crf=crf)) == ONE_PICTURE_EACH


@pytest.mark.parametrize(("word", "other"), [("BANK", "TANK"), ("COLD", "GOLD"), ("FACE", "FAKE"), ("EAST", "FAST")])
@pytest.mark.parametrize("size", [10, 12, 20])
def test_one_letter_of_a_sign_is_another_picture(tmp_path, word, other, size):
    assert share(filmed(tmp_path, street(word, size), street(other, size))) == ONE_PICTURE_EACH


def test_the_grain_of_a_camera_is_no_change(tmp_path):
    frames = filmed(tmp_path, street(), street(person_x=110), grain=3)
    assert share(frames) == ONE_PICTURE_EACH


def toytown(count: int) -> list[Still]:
    """Stills without rain and snow, which move by themselves, and with at least one person in full light."""
    draws = np.random.default_rng(77)
    stills = (random_still(draws) for _ in range(1_000))
    good = (s for s in stills if s.actors and s.fade == 1 and s.weather not in ("rain", "snow"))
    return list(islice(good, count))


@pytest.mark.parametrize("still", toytown(8), ids=lambda still: f"{still.place} {still.weather}")
def test_toytown_changes_are_other_pictures(tmp_path, still: Still):
    first = still.actors[0]
    signed = replace(still, sign="BANK", laid=())
    stretches = [
        signed,
        replace(signed, sign="TANK"),
        replace(signed, actors=(replace(first, x=first.x + 10 / 256), *still.actors[1:])),
        replace(signed, laid=(Laid(THINGS[len(still.place) % len(THINGS)], 0.35),)),
    ]
    frames = filmed(tmp_path, *(draw(each) for each in stretches), crf=27)
    expected = [None if n % SECONDS == 0 else n - n % SECONDS for n in range(len(frames))]
    assert share(frames) == expected


RED = Actor(Person("red", "round", "cap"), x=0.4, thing="key")
SCENE = Still("harbour", actors=(RED,), laid=(Laid("ball", 0.8),), sign="BAKER")


@pytest.mark.parametrize("weather", ["clear", "night", "fog"])
@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(
            replace(SCENE, actors=(replace(RED, thing=None),), laid=(*SCENE.laid, Laid("key", 0.5))), id="drops"
        ),
        pytest.param(replace(SCENE, laid=()), id="thing gone"),
        pytest.param(replace(SCENE, sign="BAKERY"), id="longer sign"),
        pytest.param(replace(SCENE, actors=(replace(RED, action="waves"),)), id="waves"),
        pytest.param(replace(SCENE, actors=(replace(RED, facing=-1),)), id="turned"),
    ],
)
def test_what_a_caption_of_toytown_would_say_is_never_shared(tmp_path, changed: Still, weather: str):
    pictures = [draw(replace(still, weather=weather)) for still in (SCENE, changed)]
    assert share(filmed(tmp_path, *pictures, crf=28)) == ONE_PICTURE_EACH


def test_signs_of_toytown_that_are_neighbours_differ():
    pictures = [draw(Still(place="street", sign=word)) for word in SIGN_WORDS]
    changes = [largest_change(a, b) for a, b in pairwise(pictures)]
    assert min(changes) > 40


def test_slow_changes_add_up_until_they_show():
    base = np.full((64, 64, 3), 100, np.uint8)
    frames = [base + 4 * n for n in range(9)]
    assert share(frames) == [None, 0, 0, 0, None, 4, 4, 4, None]


def test_frames_of_other_sizes_are_other_pictures():
    assert not same_picture(np.zeros((64, 64, 3), np.uint8), np.zeros((64, 66, 3), np.uint8))
    assert share([]) == []


@pytest.mark.parametrize("shape", [(1, 1), (3, 40), (5, 5), (7, 9), (64, 65), (288, 512)])
@pytest.mark.parametrize("corner", [(0, 0), (-1, -1), (0, -1)])
def test_every_pixel_counts_whatever_the_size(shape, corner):
    a = np.zeros((*shape, 3), np.uint8)
    b = a.copy()
    b[corner] = 255
    assert largest_change(a, b) == largest_change(b, a) > 0
    assert largest_change(a, a) == 0


def test_the_largest_change_is_the_mean_over_the_worst_square():
    a = np.full((40, 40, 3), 200, np.uint8)
    b = a.copy()
    b[10 : 10 + WINDOW, 20 : 20 + WINDOW] = (140, 200, 200)
    assert largest_change(a, b) == pytest.approx(20)
    assert largest_change(np.zeros_like(a), np.full_like(a, 255)) == 255
