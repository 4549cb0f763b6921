"""The picture of a still. NumPy and Pillow alone, so that training runs where nothing else is installed."""

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from loupe.benchmarks.toytown.people import ORIGIN, lift, sprite
from loupe.benchmarks.toytown.places import HEIGHT, WIDTH, background
from loupe.benchmarks.toytown.things import INK, draw_thing
from loupe.benchmarks.toytown.world import Still

GROUND = 174
"""Where feet stand, in pixels from the top."""
LETTER_SIZE = 33
"""Font size of signs: capitals are 23 px high, more than 1/9 of the picture."""
TINTS = {"dusk": (1.0, 0.84, 0.74), "night": (0.66, 0.7, 0.86), "rain": (0.88, 0.9, 0.94)}
FOG = (205, 208, 212)


def draw(still: Still, size: tuple[int, int] = (WIDTH, HEIGHT)) -> np.ndarray:
    """The picture of a still: uint8 RGB, height x width x 3, for a size given as (width, height)."""
    image = _scene(still.place, still.variant, still.sign, still.sign_x).copy()
    pen = ImageDraw.Draw(image)
    for actor in still.actors:
        x, up = round(actor.x * WIDTH), lift(actor.action, actor.phase)
        half = 20 - round(up / 4)
        pen.ellipse((x - half, GROUND - 3, x + half, GROUND + 5), fill=(70, 68, 72))
        figure = sprite(actor.person, actor.action, actor.phase, actor.facing, actor.thing)
        image.paste(figure, (x - ORIGIN[0], GROUND - ORIGIN[1] - round(up)), figure)
    for laid in still.laid:
        figure = _thing(laid.thing)
        image.paste(figure, (round(laid.x * WIDTH) - figure.width // 2, HEIGHT - 2 - figure.height), figure)
    image = _weather(image, still.weather, still.noise)
    if size != image.size:
        image = image.resize(size, Image.Resampling.BOX if size[0] < WIDTH else Image.Resampling.BICUBIC)
    if still.fade < 1:
        level = max(0.0, still.fade)
        image = image.point([round(value * level) for value in range(256)] * 3)
    return np.asarray(image).copy()


@lru_cache(maxsize=128)
def _scene(place: str, variant: int, sign: str | None, sign_x: float) -> Image.Image:
    """A place with its sign."""
    image = background(place, variant).copy()
    if sign:
        pen = ImageDraw.Draw(image)
        font = _font()
        left, top, right, bottom = font.getbbox(sign, stroke_width=1)
        width, height = right - left + 14, bottom - top + 10
        x = min(max(round(sign_x * WIDTH - width / 2), 2), int(WIDTH - 2 - width))
        pen.rectangle((x, 3, x + width, 3 + height), fill=(252, 248, 226), outline=INK, width=2)
        pen.text((x + 7 - left, 8 - top), sign, font=font, fill=INK, stroke_width=1, stroke_fill=INK)
    return image


@lru_cache(maxsize=1)
def _font() -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(LETTER_SIZE)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise RuntimeError("toytown's signs need a Pillow with FreeType support")
    return font


@lru_cache(maxsize=16)
def _thing(name: str) -> Image.Image:
    image = Image.new("RGBA", (80, 80), (0, 0, 0, 0))
    draw_thing(ImageDraw.Draw(image), name, 40, 40, 2)
    return image.reduce(2)


def _weather(image: Image.Image, weather: str, noise: int) -> Image.Image:
    """Light and weather over a picture: they change how it looks, never what is there."""
    if weather == "clear":
        return image
    if weather in TINTS:
        image = image.point([round(value * factor) for factor in TINTS[weather] for value in range(256)])
    if weather == "fog":
        image = Image.blend(image, Image.new("RGB", image.size, FOG), 0.3)
    if weather in ("rain", "snow"):
        rng = np.random.default_rng(noise)
        pen = ImageDraw.Draw(image)
        for x, y in rng.integers(0, (WIDTH, HEIGHT), (45, 2)).tolist():
            if weather == "rain":
                pen.line((x, y, x - 3, y + 9), fill=(196, 208, 224))
            else:
                pen.ellipse((x, y, x + 3, y + 3), fill=(250, 252, 255))
    return image
