"""The plots of a report, each an SVG element whose colours the page's style sheet gives."""

from collections.abc import Sequence
from math import sqrt

from loupe.reporting.axes import SHARES, Scale, apart, grid_x, grid_y, hundredths, name_x, name_y, short, svg, ticks
from loupe.reporting.html import Html, tag
from loupe.scoring.amortizing import Costs
from loupe.scoring.calibration import Bin
from loupe.scoring.statistics import Estimate

LETTERS = 48
"""Of a group's name that are drawn."""


def intervals(groups: Sequence[tuple[str, Estimate]], overall: float) -> Html:
    """A dot a group with its interval, and a line where all lie together."""
    row, top = 36, 4
    bottom = top + row * len(groups) + 4
    x = Scale(0, 1, 18, 412)
    marks = []
    for index, (name, each) in enumerate(groups):
        named, y = top + row * index + 14, top + row * index + 26
        marks.append(
            tag(
                "g",
                tag("title", f"{name}: {each.mean:.3f} [{each.low:.3f}, {each.high:.3f}], n = {each.count}"),
                tag("text", _cut(name), tag("tspan", f"of {each.count}", dx=8, class_="tick"), x=18, y=named),
                tag("line", x1=x(each.low), x2=x(each.high), y1=y, y2=y, class_="whisker"),
                tag("circle", cx=x(each.mean), cy=y, r=6, class_="dot"),
                tag("text", hundredths(each.mean), x=426, y=y + 4, class_="value"),
                class_="row",
            )
        )
    line = tag("line", x1=x(overall), x2=x(overall), y1=top, y2=bottom, class_="reference")
    told = "Share by group: " + ", ".join(f"{name} {hundredths(each.mean)}" for name, each in groups)
    return svg(480, bottom + 28, told, grid_x(x, SHARES, top, bottom, hundredths), [line], marks)


def _cut(name: str) -> str:
    return name if len(name) <= LETTERS else name[: LETTERS - 1] + "…"


def calibration(bins: Sequence[Bin]) -> Html:
    """Accuracy against confidence: a dot a bin, as large as the bin is full; on the diagonal they would be true."""
    x, y = Scale(0, 1, 64, 404), Scale(0, 1, 352, 12)
    filled = [(each, each.confidence, each.accuracy) for each in bins]
    dots = [
        (each.count, confidence, right)
        for each, confidence, right in filled
        if confidence is not None and right is not None
    ]
    most = max((count for count, _, _ in dots), default=1)
    marks = [
        tag("polyline", points=" ".join(f"{x(sure)},{y(right)}" for _, sure, right in dots), class_="line"),
        *(
            tag(
                "circle",
                tag("title", f"{count} answers said {sure:.2f}: {right:.0%} right"),
                cx=x(sure),
                cy=y(right),
                r=round(4 + 10 * sqrt(count / most), 1),
                class_="dot see-through",
            )
            for count, sure, right in dots
        ),
    ]
    told = "Calibration: " + ", ".join(f"said {sure:.2f}, right {right:.2f}" for _, sure, right in dots)
    frame = [*grid_x(x, SHARES, 12, 352, hundredths), *grid_y(y, SHARES, 64, 404, hundredths)]
    diagonal = tag("line", x1=x(0), y1=y(0), x2=x(1), y2=y(1), class_="reference")
    names = [name_x("confidence", 234, 390), name_y("right", 14, 182)]
    return svg(428, 398, told, frame, [diagonal], marks, names)


def amortized(costs: Costs, asked: int) -> Html:
    """Tokens against the number of questions, with the index and passing the whole film."""
    last = max(10, round(2.2 * costs.break_even) if costs.break_even else asked)
    high = ticks(max(costs.indexed(last), costs.whole_film(last)), 4)
    reached = [value for value in ticks(last) if value <= last]
    x, y = Scale(0, last, 56, 440), Scale(0, high[-1], 288, 40)
    lines = {"whole film": (costs.whole_film, "second"), "index + questions": (costs.indexed, "first")}
    marks = []
    ends = apart([y(tokens(last)) for tokens, _ in lines.values()], 18)
    for (name, (tokens, style)), label in zip(lines.items(), ends, strict=True):
        points = f"{x(0)},{y(tokens(0))} {x(last)},{y(tokens(last))}"
        marks.append(tag("polyline", points=points, class_=f"line {style}"))
        marks.append(tag("text", name, x=440, y=label - 8, text_anchor="end", class_=f"label {style}"))
    told = f"Tokens of up to {last} questions, with the index and passing the whole film each time."
    if costs.break_even:
        even, level = x(costs.break_even), y(costs.indexed(costs.break_even))
        told += f" The index pays from question {costs.break_even} on."
        marks.append(tag("line", x1=even, x2=even, y1=22, y2=288, class_="reference"))
        marks.append(tag("circle", cx=even, cy=level, r=5, class_="dot"))
        marks.append(tag("text", f"pays from question {costs.break_even:,} on", x=even, y=16, class_="value"))
    frame = [*grid_x(x, reached, 40, 288, short), *grid_y(y, high, 56, 440, short)]
    return svg(480, 336, told, frame, marks, [name_x("questions asked", 248, 328), name_y("tokens", 12, 164)])


def histogram(right: Sequence[float], wrong: Sequence[float], unit: str) -> Html:
    """How many questions took how much; right ones below, wrong ones on top of them."""
    edges = _edges([*right, *wrong])
    below, above = _counts(right, edges), _counts(wrong, edges)
    most = max(a + b for a, b in zip(below, above, strict=True))
    high = [value for value in ticks(most, 4) if value.is_integer()]
    x, y = Scale(edges[0], edges[-1], 44, 344), Scale(0, high[-1], 192, 12)
    bars = []
    for left, end, good, bad in zip(edges, edges[1:], below, above, strict=False):
        start, width = x(left) + 1, max(1.0, x(end) - x(left) - 2)
        bars.append(
            tag(
                "g",
                tag("title", f"{short(left)} to under {short(end)} {unit}: {good} right, {bad} wrong"),
                tag("rect", x=start, y=y(good), width=width, height=192 - y(good), class_="bar first"),
                tag("rect", x=start, y=y(good + bad), width=width, height=y(good) - y(good + bad), class_="bar second"),
            )
        )
    at = [value for value in ticks(edges[-1]) if edges[0] <= value <= edges[-1]]
    told = f"How many questions took how many {unit}."
    frame = [*grid_y(y, high, 44, 344, short), *grid_x(x, at, 192, 192, short)]
    return svg(360, 236, told, frame, bars, [name_x(unit, 194, 230)])


def _edges(values: Sequence[float], bins: int = 16) -> list[float]:
    """Ends of equal bins from 0 that hold every value; of whole numbers no bin is narrower than 1."""
    high = max(values, default=0)
    step = ticks(high, bins)[1]
    if all(float(value).is_integer() for value in values):
        step = max(1.0, step)
    return [index * step for index in range(int(high / step) + 2)]


def _counts(values: Sequence[float], edges: Sequence[float]) -> list[int]:
    counts = [0] * (len(edges) - 1)
    for value in values:
        counts[int(value / edges[1])] += 1
    return counts
