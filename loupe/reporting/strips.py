"""A question's film as a strip: where the answer truly lies, what was looked at, what the answer rests on."""

from collections.abc import Mapping, Sequence
from typing import Any

from loupe.reporting.axes import Scale, svg
from loupe.reporting.html import Html, tag
from loupe.scoring.relevance import Stretch
from loupe.timeline import clock

Row = Mapping[str, Any]
WIDTH, LEFT, RIGHT = 480, 112, 472
ROW = 20


def strip(
    true: Sequence[Stretch],
    looked: Sequence[int],
    heard: Sequence[Stretch],
    critic: Sequence[int],
    evidence: Sequence[Stretch],
) -> Html:
    """Rows that have something to show, over the time from 0 to the last of it; nothing where there is nothing."""
    stretches = {
        "true times": ("true", list(true)),
        "looked at": ("first", [(ms, ms) for ms in looked]),
        "listened to": ("first", list(heard)),
        "critic looked at": ("second", [(ms, ms) for ms in critic]),
        "evidence": ("first", list(evidence)),
    }
    shown = {name: each for name, each in stretches.items() if each[1]}
    if not shown:
        return Html()
    last = max(1000, *(end for _, spans in shown.values() for _, end in spans))
    x = Scale(0, last, LEFT, RIGHT)
    bottom = ROW * len(shown) + 6
    rows = [
        _row(name, style, spans, x, ROW * index + 4, bottom)
        for index, (name, (style, spans)) in enumerate(shown.items())
    ]
    ends = [
        tag("text", "0:00:00", x=LEFT, y=bottom + 14, class_="tick"),
        tag("text", clock(last), x=RIGHT, y=bottom + 14, text_anchor="end", class_="tick"),
    ]
    return svg(WIDTH, bottom + 20, "Where in the film: " + "; ".join(shown), rows, ends)


def when(start_ms: int, end_ms: int) -> str:
    """A stretch of a film, or a moment of it."""
    return clock(start_ms) if end_ms <= start_ms else f"{clock(start_ms)}-{clock(end_ms)}"


def _row(name: str, style: str, spans: Sequence[Stretch], x: Scale, top: float, bottom: float) -> Html:
    """One row; true times reach down through all rows below, so that one sees what lies inside."""
    height = bottom - top if style == "true" else ROW - 6
    return tag(
        "g",
        tag("text", name, x=LEFT - 10, y=top + 11, text_anchor="end", class_="tick"),
        tag("line", x1=LEFT, x2=RIGHT, y1=top + ROW - 3, y2=top + ROW - 3, class_="grid"),
        *(
            tag(
                "rect",
                tag("title", when(start, end)),
                x=x(start),
                y=top,
                width=max(2.0, round(x(end) - x(start), 2)),
                height=height,
                class_=f"bar {style}",
            )
            for start, end in spans
        ),
    )
