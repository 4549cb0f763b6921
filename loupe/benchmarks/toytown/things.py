"""What the ten things look like: each a silhouette and a colour of its own, about 32 px across."""

import math
from collections.abc import Callable

from PIL import ImageDraw

INK = (25, 22, 28)

Draw = ImageDraw.ImageDraw
Points = Callable[..., list[tuple[float, float]]]


def draw_thing(pen: Draw, name: str, x: float, y: float, scale: float) -> None:
    """Draw a thing with its centre at (x, y), all in pixels of the pen's picture, `scale` of them a unit."""

    def at(*points: float) -> list[tuple[float, float]]:
        return [(x + points[i] * scale, y + points[i + 1] * scale) for i in range(0, len(points), 2)]

    width = round(2 * scale)
    _DRAWERS[name](pen, at, width)


def _ball(pen: Draw, at: Points, width: int) -> None:
    pen.ellipse(at(-14, -14, 14, 14), fill=(235, 110, 35), outline=INK, width=width)
    pen.arc(at(-26, -14, -2, 14), -75, 75, fill=INK, width=width)
    pen.arc(at(2, -14, 26, 14), 105, 255, fill=INK, width=width)
    pen.line(at(-14, 0, 14, 0), fill=INK, width=width)


def _book(pen: Draw, at: Points, width: int) -> None:
    pen.polygon(at(-15, -9, 0, -13, 15, -9, 15, 12, 0, 8, -15, 12), fill=(120, 72, 35), outline=INK, width=width)
    pen.polygon(at(-12, -9, -1, -11, -1, 5, -12, 8), fill=(250, 244, 220))
    pen.polygon(at(12, -9, 1, -11, 1, 5, 12, 8), fill=(250, 244, 220))
    for row in (-5, -1, 3):
        pen.line(at(-10, row, -3, row - 1.5), fill=(110, 100, 90), width=width // 2)
        pen.line(at(10, row, 3, row - 1.5), fill=(110, 100, 90), width=width // 2)


def _key(pen: Draw, at: Points, width: int) -> None:
    gold = (240, 190, 30)
    for colour, grow in ((INK, 2), (gold, 0)):
        pen.rectangle(at(-2 - grow, -3 - grow, 16 + grow, 2 + grow), fill=colour)
        pen.rectangle(at(6 - grow, 0, 9 + grow, 9 + grow), fill=colour)
        pen.rectangle(at(12 - grow, 0, 16 + grow, 11 + grow), fill=colour)
    pen.ellipse(at(-16, -10, 2, 9), outline=INK, width=4 * width)
    pen.ellipse(at(-14.5, -8.5, 0.5, 7.5), outline=gold, width=5 * width // 2)


def _umbrella(pen: Draw, at: Points, width: int) -> None:
    pen.line(at(0, -12, 0, 13), fill=INK, width=2 * width)
    pen.arc(at(-9, 8, 1, 17), 0, 180, fill=INK, width=2 * width)
    pen.pieslice(at(-17, -16, 17, 16), 180, 360, fill=(225, 60, 140), outline=INK, width=width)
    pen.pieslice(at(-6, -16, 6, 16), 180, 360, fill=(255, 190, 220), outline=INK, width=width)


def _lantern(pen: Draw, at: Points, width: int) -> None:
    pen.arc(at(-7, -18, 7, -4), 180, 360, fill=INK, width=2 * width)
    pen.rectangle(at(-10, -9, 10, 13), fill=(255, 235, 90), outline=INK, width=2 * width)
    pen.polygon(at(-13, -6, -7, -12, 7, -12, 13, -6), fill=(60, 60, 70), outline=INK, width=width)
    pen.rectangle(at(-13, 11, 13, 16), fill=(60, 60, 70), outline=INK, width=width)
    pen.polygon(at(0, -4, 4, 4, 0, 9, -4, 4), fill=(240, 90, 20))


def _balloon(pen: Draw, at: Points, width: int) -> None:
    pen.line(at(0, 8, 3, 12, -2, 17), fill=INK, width=width)
    pen.ellipse(at(-11, -17, 11, 8), fill=(90, 205, 245), outline=INK, width=width)
    pen.polygon(at(0, 7, 4, 12, -4, 12), fill=(90, 205, 245), outline=INK, width=width)
    pen.ellipse(at(-6, -12, -1, -5), fill=(235, 250, 255))


def _flag(pen: Draw, at: Points, width: int) -> None:
    pen.line(at(-12, -16, -12, 17), fill=INK, width=2 * width)
    pen.rectangle(at(-11, -16, 16, 4), fill=(250, 250, 250), outline=INK, width=width)
    pen.rectangle(at(-10, -15, 15, -9), fill=(30, 150, 70))
    pen.rectangle(at(-10, -3, 15, 3), fill=(210, 35, 45))


def _cake(pen: Draw, at: Points, width: int) -> None:
    pen.rectangle(at(-15, -1, 15, 15), fill=(150, 95, 55), outline=INK, width=width)
    pen.rectangle(at(-15, -5, 15, 3), fill=(255, 205, 225), outline=INK, width=width)
    pen.rectangle(at(-14, 6, 14, 9), fill=(255, 240, 215))
    for candle in (-8, 0, 8):
        pen.line(at(candle, -12, candle, -5), fill=(90, 130, 220), width=2 * width)
        pen.ellipse(at(candle - 2.5, -17, candle + 2.5, -11), fill=(255, 170, 30))


def _bucket(pen: Draw, at: Points, width: int) -> None:
    pen.arc(at(-12, -17, 12, 7), 180, 360, fill=INK, width=2 * width)
    pen.polygon(at(-14, -5, 14, -5, 9, 16, -9, 16), fill=(150, 160, 172), outline=INK, width=width)
    pen.ellipse(at(-14, -9, 14, -1), fill=(70, 80, 95), outline=INK, width=width)


def _kite(pen: Draw, at: Points, width: int) -> None:
    tail = [value for i in range(9) for value in (-2 + i * 1.6 + 2 * math.sin(i * 1.6), 6 + i * 1.3)]
    pen.line(at(*tail), fill=INK, width=width)
    pen.polygon(at(-1, -17, 11, -5, -1, 11, -13, -5), fill=(120, 220, 60), outline=INK, width=width)
    pen.polygon(at(-1, -17, 11, -5, -1, -5), fill=(150, 50, 170), outline=INK, width=width)
    pen.polygon(at(-13, -5, -1, -5, -1, 11), fill=(150, 50, 170), outline=INK, width=width)


_DRAWERS = {
    "ball": _ball, "book": _book, "key": _key, "umbrella": _umbrella, "lantern": _lantern,
    "balloon": _balloon, "flag": _flag, "cake": _cake, "bucket": _bucket, "kite": _kite,
}  # fmt: skip
