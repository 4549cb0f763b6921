"""Scales, ticks and labels of the plots."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from loupe.reporting.html import Html, tag

SHARES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Marks of an axis of shares."""


@dataclass(frozen=True)
class Scale:
    """Values from `low` to `high` at pixels from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self._at(value - self.low, self.high - self.low)

    def _at(self, part: float, whole: float) -> float:
        """Where a part of the way is; in the middle, where both ends are the same."""
        return round(self.start + (part / whole if whole else 0.5) * (self.end - self.start), 2)


@dataclass(frozen=True)
class LogScale(Scale):
    """The same for ends above 0: equal factors are equally far apart, and what is below the low end lies on it."""

    def __call__(self, value: float) -> float:
        return self._at(math.log(max(value, self.low) / self.low), math.log(self.high / self.low))


def apart(levels: Sequence[float], gap: float) -> list[float]:
    """Levels at least so far apart, in their order, and near where they were."""
    order = sorted(range(len(levels)), key=lambda index: levels[index])
    placed = [levels[index] for index in order]
    for _ in range(50):
        for at in range(len(placed) - 1):
            lacking = (gap - (placed[at + 1] - placed[at])) / 2
            if lacking > 0:
                placed[at], placed[at + 1] = placed[at] - lacking, placed[at + 1] + lacking
    back = dict(zip(order, placed, strict=True))
    return [round(back[index], 2) for index in range(len(levels))]


def ticks(high: float, about: int = 5) -> list[float]:
    """Round values from 0 to the first that is not below `high`: steps of 1, 2 or 5 times a power of ten."""
    if high <= 0:
        return [0.0, 1.0]
    rough = high / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    return [round(index * step, 12) for index in range(math.ceil(high / step - 1e-9) + 1)]


def short(number: float) -> str:
    """A quantity in a few letters: 950, 1.2k, 3.4M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= size:
            return f"{number / size:.3g}{letter}"
    return f"{number:.3g}"


def hundredths(share: float) -> str:
    """40 %"""
    return f"{100 * share:.0f} %"


def grid_x(scale: Scale, at: Sequence[float], top: float, bottom: float, label: Callable[[float], str]) -> list[Html]:
    """Upright lines with their values below."""
    return [
        tag(
            "g",
            tag("line", x1=scale(value), x2=scale(value), y1=top, y2=bottom, class_="grid"),
            tag("text", label(value), x=scale(value), y=bottom + 16, text_anchor="middle", class_="tick"),
        )
        for value in at
    ]


def grid_y(scale: Scale, at: Sequence[float], left: float, right: float, label: Callable[[float], str]) -> list[Html]:
    """Level lines with their values to the left."""
    return [
        tag(
            "g",
            tag("line", x1=left, x2=right, y1=scale(value), y2=scale(value), class_="grid"),
            tag("text", label(value), x=left - 8, y=scale(value) + 4, text_anchor="end", class_="tick"),
        )
        for value in at
    ]


def name_x(text: str, x: float, y: float) -> Html:
    """What the level axis is of."""
    return tag("text", text, x=x, y=y, text_anchor="middle", class_="axis")


def name_y(text: str, x: float, y: float) -> Html:
    """What the upright axis is of, written upwards."""
    return tag("text", text, x=x, y=y, text_anchor="middle", class_="axis", transform=f"rotate(-90 {x} {y})")


def svg(width: float, height: float, told: str, *children: Html | list[Html]) -> Html:
    """A picture of this size in pixels, with what it shows for those who do not see it."""
    return tag("svg", *children, viewBox=f"0 0 {width:g} {height:g}", role="img", aria_label=told, class_="plot")
