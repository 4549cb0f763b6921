"""What the ten places look like, empty: muted backgrounds whose furniture and texture vary with a seed."""

from functools import lru_cache

import numpy as np
from PIL import Image, ImageChops, ImageDraw

WIDTH, HEIGHT = 256, 192
HORIZON = 128
"""Where the floor begins."""
Colour = tuple[int, int, int]


@lru_cache(maxsize=128)
def background(place: str, variant: int) -> Image.Image:
    """The empty place, 256 x 192 RGB. Callers copy it before they draw on it."""
    rng = np.random.default_rng((variant, sorted(_DRAWERS).index(place)))
    image = Image.new("RGB", (WIDTH, HEIGHT))
    _DRAWERS[place](ImageDraw.Draw(image), rng)
    grain = ImageChops.offset(_grain(), int(rng.integers(WIDTH)), int(rng.integers(HEIGHT)))
    return ImageChops.add(image, grain, 1, int(rng.integers(-14, 3)))


@lru_cache(maxsize=1)
def _grain() -> Image.Image:
    """Fine texture, 0 to 11 bright."""
    spots = np.random.default_rng(0).integers(0, 12, (HEIGHT // 2, WIDTH // 2), dtype=np.uint8)
    return Image.fromarray(spots.repeat(2, 0).repeat(2, 1)).convert("RGB")


def _split(pen: ImageDraw.ImageDraw, above: Colour, below: Colour, horizon: int = HORIZON) -> None:
    pen.rectangle((0, 0, WIDTH, horizon), fill=above)
    pen.rectangle((0, horizon, WIDTH, HEIGHT), fill=below)


def _harbour(pen: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    _split(pen, (190, 214, 228), (176, 150, 118), 138)
    pen.rectangle((0, 84, WIDTH, 138), fill=(88, 140, 172))
    for y in range(90, 138, 8):
        for x in range(int(rng.integers(0, 30)), WIDTH, 34):
            pen.arc((x, y, x + 16, y + 8), 180, 360, fill=(150, 190, 210), width=2)
    x = int(rng.integers(0, 150))
    hull = ((150, 74, 66), (70, 84, 112), (84, 112, 88))[int(rng.integers(3))]
    pen.polygon([(x, 90), (x + 100, 90), (x + 84, 116), (x + 16, 116)], fill=hull)
    pen.rectangle((x + 30, 68, x + 62, 90), fill=(226, 222, 210))
    pen.rectangle((x + 68, 52, x + 72, 90), fill=(96, 80, 66))
    pen.polygon([(x + 74, 54), (x + 100, 84), (x + 74, 84)], fill=(232, 226, 212))
    for x in range(-4, WIDTH, 22):
        pen.line((x, 138, x - 10, HEIGHT), fill=(140, 116, 88), width=2)
    pen.line((0, 140, WIDTH, 140), fill=(120, 98, 72), width=4)


def _kitchen(pen: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    _split(pen, (236, 226, 200), (214, 206, 196))
    for x in range(0, WIDTH, 20):
        pen.line((x, 40, x, HORIZON), fill=(220, 208, 180))
    for y in range(40, HORIZON, 16):
        pen.line((0, y, WIDTH, y), fill=(220, 208, 180))
    for row in range(4):
        for column in range(-1, 11):
            if (row + column) % 2:
                pen.rectangle((column * 26, 128 + row * 16, column * 26 + 25, 143 + row * 16), fill=(168, 150, 140))
    offset = int(rng.integers(0, 50))
    for i in range(4):
        x = i * 70 - offset
        pen.rectangle((x, 88, x + 66, 132), fill=(178, 142, 104), outline=(140, 106, 74), width=2)
        pen.rectangle((x + 30, 106, x + 36, 110), fill=(110, 84, 60))
    pen.rectangle((0, 82, WIDTH, 89), fill=(200, 196, 190))
    x = int(rng.integers(20, 180))
    pen.rectangle((x, 90, x + 48, 132), fill=(206, 208, 212), outline=(120, 120, 126), width=2)
    pen.rectangle((x + 8, 104, x + 40, 124), fill=(92, 92, 100))
    pen.polygon([(x, 56), (x + 48, 56), (x + 38, 40), (x + 10, 40)], fill=(180, 184, 190))


def _park(pen: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    _split(pen, (196, 222, 238), (158, 196, 130), 116)
    pen.polygon([(90, HEIGHT), (170, HEIGHT), (150, 116), (136, 116)], fill=(214, 200, 166))
    for x in rng.integers(0, WIDTH, 4):
        x = int(x)
        pen.rectangle((x - 4, 84, x + 4, 124), fill=(128, 98, 72))
        pen.ellipse((x - 26, 40, x + 26, 96), fill=(120, 168, 104))
    x = int(rng.integers(10, 190))
    for y in (104, 111, 120):
        pen.rectangle((x, y, x + 56, y + 4), fill=(150, 108, 76))
    pen.line((x + 6, 104, x + 6, 134), fill=(100, 80, 64), width=3)
    pen.line((x + 50, 104, x + 50, 134), fill=(100, 80, 64), width=3)
    for x, y in zip(rng.integers(0, WIDTH, 24), rng.integers(140, HEIGHT, 24), strict=True):
        pen.ellipse((int(x), int(y), int(x) + 3, int(y) + 3), fill=(230, 220, 150))


def _library(pen: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    _split(pen, (128, 92, 66), (150, 92, 88), 132)
    colours = ((170, 110, 96), (118, 134, 150), (158, 148, 100), (120, 140, 112), (150, 120, 146), (190, 178, 156))
    for top in (6, 38, 70, 102):
        x = 6
        while x < WIDTH - 6:
            width, height = int(rng.integers(5, 11)), int(rng.integers(17, 25))
            if rng.random() > 0.1:
                pen.rectangle((x, top + 24 - height, x + width - 1, top + 24), fill=colours[int(rng.integers(6))])
            x += width
        pen.rectangle((0, top + 25, WIDTH, top + 29), fill=(98, 68, 48))
    for x in (0, 84, 170, 252):
        pen.rectangle((x, 0, x + 4, 132), fill=(98, 68, 48))
    for y in range(140, HEIGHT, 16):
        pen.line((0, y, WIDTH, y), fill=(170, 114, 104), width=3)


def _station(pen: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    _split(pen, (202, 206, 210), (164, 164, 168), 134)
    body = ((120, 136, 168), (150, 120, 116), (124, 152, 132))[int(rng.integers(3))]
    offset = int(rng.integers(0, 60))
    pen.rectangle((0, 54, WIDTH, 126), fill=body)
    pen.rectangle((0, 98, WIDTH, 104), fill=(220, 216, 200))
    for i in range(-1, 5):
        x = i * 66 + offset
        pen.rectangle((x, 62, x + 38, 90), fill=(206, 226, 236), outline=(80, 88, 100), width=2)
        pen.rectangle((x + 44, 60, x + 60, 126), fill=(178, 182, 190), outline=(80, 88, 100), width=2)
    pen.rectangle((0, 126, WIDTH, 134), fill=(66, 66, 72))
    pen.rectangle((0, 136, WIDTH, 143), fill=(222, 196, 96))
    for x in range(0, WIDTH, 32):
        pen.line((x, 144, x - 14, HEIGHT), fill=(146, 146, 150), width=2)


def _beach(pen: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    _split(pen, (176, 220, 240), (236, 218, 168), 122)
    pen.rectangle((0, 92, WIDTH, 122), fill=(110, 190, 204))
    for x in range(-10, WIDTH, 30):
        pen.ellipse((x, 116, x + 34, 130), fill=(236, 240, 236))
    pen.rectangle((0, 126, WIDTH, 140), fill=(236, 218, 168))
    x = int(rng.integers(20, 230))
    pen.ellipse((x - 14, 44, x + 14, 72), fill=(252, 234, 150))
    x = int(rng.integers(24, 230))
    pen.line((x, 128, x + 8, 64), fill=(150, 118, 84), width=6)
    for dx, dy in ((-28, 8), (-18, -12), (10, -16), (30, -4), (28, 14)):
        pen.line((x + 8, 64, x + 8 + dx, 64 + dy), fill=(104, 160, 104), width=6)
    for x, y in zip(rng.integers(0, WIDTH, 40), rng.integers(142, HEIGHT, 40), strict=True):
        pen.ellipse((int(x), int(y), int(x) + 2, int(y) + 1), fill=(208, 186, 134))


def _market(pen: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    _split(pen, (224, 208, 188), (182, 170, 156), 134)
    for row in range(4):
        for column in range(-1, 15):
            x, y = column * 20 + (row % 2) * 10, 136 + row * 14
            pen.rounded_rectangle((x, y, x + 17, y + 11), 4, fill=(164, 152, 140))
    offset = int(rng.integers(0, 40))
    stripes = [((196, 100, 90), (240, 232, 220)), ((94, 140, 120), (240, 232, 220)), ((206, 168, 90), (240, 232, 220))]
    for i in range(3):
        x = i * 96 - offset
        dark, light = stripes[int(rng.integers(3))]
        for j in range(8):
            pen.polygon(
                [(x + j * 11 + 4, 44), (x + j * 11 + 14, 44), (x + j * 11 + 11, 72), (x + j * 11, 72)],
                fill=dark if j % 2 else light,
            )
        pen.rectangle((x + 2, 72, x + 5, 132), fill=(130, 104, 80))
        pen.rectangle((x + 84, 72, x + 87, 132), fill=(130, 104, 80))
        pen.rectangle((x, 106, x + 90, 134), fill=(160, 124, 90))
        fruit = ((206, 130, 80), (150, 176, 96), (196, 96, 86))[int(rng.integers(3))]
        for j in range(8):
            pen.ellipse((x + 3 + j * 11, 97, x + 13 + j * 11, 107), fill=fruit)


def _forest(pen: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    _split(pen, (112, 142, 108), (124, 108, 78), 128)
    for x in rng.integers(-20, WIDTH, 14):
        top = int(rng.integers(0, 60))
        pen.polygon([(int(x), 128), (int(x) + 22, top), (int(x) + 44, 128)], fill=(88, 122, 90))
    for x in rng.integers(-4, WIDTH, 6):
        width = int(rng.integers(8, 15))
        pen.rectangle((int(x), 0, int(x) + width, 134), fill=(98, 78, 60))
        pen.line((int(x) + 3, 0, int(x) + 3, 134), fill=(120, 98, 76), width=2)
    pen.rectangle((0, 0, WIDTH, 20), fill=(76, 108, 78))
    for x, y in zip(rng.integers(0, WIDTH, 30), rng.integers(132, HEIGHT, 30), strict=True):
        pen.ellipse((int(x), int(y), int(x) + 8, int(y) + 4), fill=((146, 122, 80), (104, 112, 70))[int(x) % 2])


def _office(pen: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    _split(pen, (212, 222, 230), (150, 160, 176), 130)
    x = int(rng.integers(0, 120))
    pen.rectangle((x, 40, x + 110, 92), fill=(188, 214, 232), outline=(140, 150, 160), width=3)
    for y in range(44, 90, 6):
        pen.line((x + 3, y, x + 107, y), fill=(232, 238, 242), width=2)
    for x in (int(rng.integers(0, 60)), int(rng.integers(130, 190))):
        pen.rectangle((x, 104, x + 66, 109), fill=(166, 150, 132))
        pen.rectangle((x + 3, 109, x + 8, 136), fill=(136, 122, 106))
        pen.rectangle((x + 58, 109, x + 63, 136), fill=(136, 122, 106))
        pen.rectangle((x + 18, 78, x + 50, 100), fill=(74, 84, 98))
        pen.rectangle((x + 21, 81, x + 47, 97), fill=(140, 190, 206))
    for x in range(0, WIDTH, 24):
        for y in range(134, HEIGHT, 12):
            pen.point([(x, y), (x + 12, y + 6)], fill=(190, 198, 208))


def _street(pen: ImageDraw.ImageDraw, rng: np.random.Generator) -> None:
    _split(pen, (206, 216, 226), (124, 124, 130), 138)
    x = -int(rng.integers(0, 30))
    while x < WIDTH:
        width, top = int(rng.integers(44, 70)), int(rng.integers(30, 64))
        wall = ((186, 150, 132), (170, 166, 160), (198, 180, 146), (150, 152, 170))[int(rng.integers(4))]
        pen.rectangle((x, top, x + width - 3, 130), fill=wall)
        for wy in range(top + 8, 100, 20):
            for wx in range(x + 6, x + width - 14, 16):
                pen.rectangle((wx, wy, wx + 9, wy + 12), fill=(232, 224, 180) if rng.random() < 0.4 else (98, 108, 122))
        x += width
    pen.rectangle((0, 126, WIDTH, 140), fill=(184, 180, 174))
    for x in range(int(rng.integers(-20, 10)), WIDTH, 52):
        pen.rectangle((x, 162, x + 28, 167), fill=(226, 222, 206))


_DRAWERS = {
    "harbour": _harbour, "kitchen": _kitchen, "park": _park, "library": _library, "station": _station,
    "beach": _beach, "market": _market, "forest": _forest, "office": _office, "street": _street,
}  # fmt: skip
