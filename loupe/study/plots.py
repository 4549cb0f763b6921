"""The curves of a study, each an SVG element whose colours the page's style sheet gives."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from loupe.reporting.axes import (
    SHARES,
    LogScale,
    Scale,
    apart,
    grid_x,
    grid_y,
    hundredths,
    name_x,
    name_y,
    short,
    svg,
    ticks,
)
from loupe.reporting.html import Html, tag
from loupe.scoring.statistics import Estimate

APART = 5
"""Pixels between the dots of two lines at the same x."""
ROW = 34
"""Pixels, of a plot with a row a series."""


@dataclass(frozen=True)
class Line:
    """Points that belong together."""

    name: str
    style: str
    """Class of its colour."""
    dots: Sequence[tuple[float, Estimate]]
    """In order of x."""


@dataclass(frozen=True)
class Axis:
    """What an axis is of, and where it is marked."""

    name: str
    at: Sequence[float]
    label: Callable[[float], str] = short
    log: bool = False

    def scale(self, start: float, end: float) -> Scale:
        """From the first mark to the last, between two pixels."""
        return (LogScale if self.log else Scale)(self.at[0], self.at[-1], start, end)


def shares(name: str) -> Axis:
    """0 to 100 %."""
    return Axis(name, SHARES, hundredths)


def amounts(name: str, lines: Sequence[Line]) -> Axis:
    """From 0 to what holds every point with its interval."""
    return Axis(name, ticks(max((each.high for line in lines for _, each in line.dots), default=1), 4))


def powers(name: str, lines: Sequence[Line]) -> Axis:
    """Powers of ten that hold every point."""
    values = [value for line in lines for _, each in line.dots for value in (each.low, each.high) if value > 0]
    low, high = min(values, default=1), max(values, default=10)
    first = next(power for power in range(12, -1, -1) if 10**power <= max(low, 1))
    last = next(power for power in range(first + 1, 18) if 10**power >= high)
    return Axis(name, [10.0**power for power in range(first, last + 1)], log=True)


def curves(lines: Sequence[Line], across: Axis, up: Axis, told: str) -> Html:
    """Lines with a dot and an interval a point, each named where it ends."""
    left, right, top, bottom = 64.0, 400.0, 16.0, 252.0
    x, y = across.scale(left + 12, right - 12), up.scale(bottom, top)
    marks = [_curve(line, x, y, (index - (len(lines) - 1) / 2) * APART) for index, line in enumerate(lines)]
    frame = [
        *grid_y(y, up.at, left, right, up.label),
        *(_mark_x(x(value), across.label(value), bottom) for value in across.at),
        name_x(across.name, (left + right) / 2, bottom + 40),
        name_y(up.name, 14, (top + bottom) / 2),
    ]
    return svg(556, 304, told, frame, marks, list(_names(lines, y, right + 8)))


def _curve(line: Line, x: Scale, y: Scale, aside: float) -> Html:
    places = [(x(value) + aside, each) for value, each in line.dots]
    points = " ".join(f"{at},{y(each.mean)}" for at, each in places)
    whiskers = [tag("line", x1=at, x2=at, y1=y(each.low), y2=y(each.high), class_="whisker") for at, each in places]
    dots = [
        tag("circle", tag("title", _told(line.name, value, each)), cx=at, cy=y(each.mean), r=4.5, class_="dot")
        for (at, each), (value, _) in zip(places, line.dots, strict=True)
    ]
    return tag("g", tag("polyline", points=points, class_="line"), whiskers, dots, class_=line.style)


def _told(name: str, at: float | str, found: Estimate) -> str:
    place = at if isinstance(at, str) else f"at {at:g}"
    return f"{name}, {place}: {found.mean:.3g} [{found.low:.3g}, {found.high:.3g}], n = {found.count}"


def _mark_x(at: float, text: str, bottom: float) -> Html:
    return tag("text", text, x=at, y=bottom + 18, text_anchor="middle", class_="tick")


def _names(lines: Sequence[Line], y: Scale, x: float) -> Iterator[Html]:
    """Names of the lines at their ends, none over another."""
    ended = [line for line in lines if line.dots]
    wanted = [y(line.dots[-1][1].mean) for line in ended]
    for line, level in zip(ended, apart(wanted, 17), strict=True):
        yield tag("text", line.name, x=x, y=level + 4, class_=f"label {line.style}")


def bars(groups: Sequence[tuple[str, Sequence[Line]]], up: Axis, told: str) -> Html:
    """A bar with its interval a line and group; of each line the only dot counts."""
    left, right, top, bottom = 64.0, 700.0, 16.0, 252.0
    y, width = up.scale(bottom, top), (right - left) / max(1, len(groups))
    marks = []
    for place, (name, lines) in enumerate(groups):
        start, each = left + width * (place + 0.1), 0.8 * width / max(1, len(lines))
        marks.append(_mark_x(left + width * (place + 0.5), name, bottom))
        for index, line in enumerate(lines):
            marks += [_bar(line, name, found, start + index * each, each, y, bottom) for _, found in line.dots[:1]]
    frame = [*grid_y(y, up.at, left, right, up.label), name_y(up.name, 14, (top + bottom) / 2)]
    return svg(720, 282, told, frame, marks)


def _bar(line: Line, group: str, found: Estimate, start: float, width: float, y: Scale, bottom: float) -> Html:
    middle, high = start + width / 2, y(found.mean)
    return tag(
        "g",
        tag("title", _told(line.name, group, found)),
        tag("rect", x=start + 2, y=high, width=width - 4, height=max(1.0, bottom - high), rx=2, class_="bar"),
        tag("line", x1=middle, x2=middle, y1=y(found.low), y2=y(found.high), class_="whisker dark"),
        tag("text", f"{found.mean:.2f}", x=middle, y=y(found.high) - 6, text_anchor="middle", class_="small"),
        class_=line.style,
    )


def differences(rows: Sequence[tuple[str, str, Estimate]], told: str) -> Html:
    """A row a difference (its name, its colour's class, the difference), against a line where nothing changes."""
    reach = ticks(max((max(abs(each.low), abs(each.high)) for *_, each in rows), default=0.1), 2)[-1]
    top, bottom = 12.0, 12.0 + ROW * len(rows)
    x = Scale(-reach, reach, 250, 610)
    frame = grid_x(x, (-reach, -reach / 2, 0, reach / 2, reach), top, bottom, lambda share: f"{100 * share:+.0f}")
    zero = tag("line", x1=x(0), x2=x(0), y1=top, y2=bottom, class_="reference")
    marks = [_difference(row, x, top + ROW * (index + 0.5)) for index, row in enumerate(rows)]
    named = name_x("points of accuracy against the policy as it is", 430, bottom + 38)
    return svg(720, bottom + 46, told, frame, [zero], marks, [named])


def _difference(row: tuple[str, str, Estimate], x: Scale, y: float) -> Html:
    name, style, each = row
    said = (
        f"{name}: {100 * each.mean:+.1f} points [{100 * each.low:+.1f}, {100 * each.high:+.1f}], {each.count} questions"
    )
    return tag(
        "g",
        tag("title", said),
        tag("text", name, x=238, y=y + 4, text_anchor="end", class_="name"),
        tag("line", x1=x(each.low), x2=x(each.high), y1=y, y2=y, class_="whisker"),
        tag("circle", cx=x(each.mean), cy=y, r=6, class_="dot"),
        tag("text", f"{100 * each.mean:+.1f}", x=624, y=y + 4, class_="value"),
        tag("text", f"of {each.count}", x=672, y=y + 4, class_="tick"),
        class_=style,
    )


def legend(lines: Sequence[tuple[str, str]]) -> Html:
    """What the colours stand for: names and classes."""
    keys = [tag("span", tag("i", class_=f"key {style}"), name, class_="entry") for name, style in lines]
    return tag("figcaption", keys)
