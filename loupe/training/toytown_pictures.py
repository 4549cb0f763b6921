"""Stills of toytown with their pictures as a film's frames would look, drawn while training goes on."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from loupe.benchmarks.toytown.render import draw
from loupe.benchmarks.toytown.stills import random_still
from loupe.benchmarks.toytown.world import Still

SIZE = (128, 96)
"""What the tiny model's processor makes of a film's 256 x 192."""


@dataclass(frozen=True)
class Drawn:
    """A still and its picture, uint8 (96, 128, 3)."""

    still: Still
    picture: np.ndarray


def filmed(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A 256 x 192 picture with compression noise, brought to the model's size."""
    image = Image.fromarray(picture)
    if rng.random() < 0.8:
        packed = io.BytesIO()
        image.save(packed, "JPEG", quality=int(rng.integers(25, 92)))
        image = Image.open(packed)
    return np.asarray(image.resize(SIZE, Image.Resampling.BICUBIC))


def drawn_stills(seed: int) -> Iterator[Drawn]:
    """Endless stills; the same for the same seed."""
    rng = np.random.default_rng(seed)
    while True:
        still = random_still(rng)
        yield Drawn(still, filmed(draw(still), rng))


class Pool:
    """The newest stills, as many as are kept. A still is shown more than once: to draw costs a fifth of a step."""

    def __init__(self, seed: int, keep: int = 20_000, first: int = 256) -> None:
        self.keep = keep
        self.items: list[Drawn] = []
        self.made = 0
        self.rng = np.random.default_rng(seed)
        self.stills = drawn_stills(seed)
        self.add(first)

    def add(self, count: int) -> None:
        """So many new stills."""
        self.put([next(self.stills) for _ in range(count)])

    def put(self, drawn: Sequence[Drawn]) -> list[int]:
        """Keep these, in the places of the oldest; where each of them is now."""
        slots = [(self.made + i) % self.keep for i in range(len(drawn))]
        for slot, item in zip(slots, drawn, strict=True):
            if slot < len(self.items):
                self.items[slot] = item
            else:
                self.items.append(item)
        self.made += len(drawn)
        return slots

    def sample(self, count: int, fresh: int = 0) -> list[Drawn]:
        """`count` stills, of which `fresh` were never shown before."""
        self.add(fresh)
        older = self.rng.integers(len(self.items), size=count - fresh)
        newest = [self.items[(self.made - 1 - i) % self.keep] for i in range(fresh)]
        return [*newest, *(self.items[i] for i in older)]


def to_floats(pictures: np.ndarray) -> np.ndarray:
    """uint8 -> what the tower gets: mean 0.5 and deviation 0.5 taken out."""
    return pictures.astype(np.float32) / 127.5 - 1.0


def jittered(pictures: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """uint8 (B, H, W, 3) -> floats, each picture with a brightness and contrast of its own."""
    shape = (len(pictures), 1, 1, 1)
    gain = rng.uniform(0.9, 1.1, shape).astype(np.float32)
    shift = rng.uniform(-0.06, 0.06, shape).astype(np.float32)
    return (to_floats(pictures) + 1) * gain - 1 + shift
