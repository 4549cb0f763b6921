"""Questions about what is said, and about what is shown meanwhile."""

from collections.abc import Generator, Sequence
from dataclasses import replace

from loupe.training.toytown_lessons.looking_films import met_in
from loupe.training.toytown_lessons.looking_findings import carried, firsts, shown_in, spans_so_far
from loupe.training.toytown_lessons.looking_marks import Lasting
from loupe.training.toytown_lessons.looking_notes import Sought, brands, lines_with, said_of, scenes
from loupe.training.toytown_lessons.looking_plans import (
    Window,
    hearings,
    scans,
    until_found,
    watch,
)
from loupe.training.toytown_lessons.looking_prompts import Explored
from loupe.training.toytown_lessons.looking_scenes import wears
from loupe.training.toytown_lessons.oracle_heard import in_digits, spoken
from loupe.training.toytown_lessons.oracle_steps import (
    Names,
    Part,
    Plan,
    Step,
    answer,
    as_spans,
    firsts_in,
    give,
    is_none,
    matched,
    spans_in,
    where,
)
from schemas.questions import UNANSWERABLE


def heard(seen: Explored, name: str, kind: str) -> Part:
    """Notes what the first line of a kind about somebody or something says: `kite costs seven 47.0-49.0`."""
    sought = lines_with([name], said_of(kind), matched(rf"{name} {kind} \w+", f"{name} {kind}"))
    return (yield from until_found(hearings(seen, sought)))


def price(names: Names, seen: Explored) -> Plan:
    note = yield from heard(seen, names["thing"], "costs")
    yield from give(note, in_digits(note))


def own_number(names: Names, seen: Explored) -> Plan:
    note = yield from heard(seen, names["colour"], "number")
    yield from give(note, in_digits(note))


def wish(names: Names, seen: Explored) -> Plan:
    note = yield from heard(seen, names["colour"], "want")
    yield from give(note, "" if is_none(note) else note.split()[-2])


def origin(names: Names, seen: Explored) -> Plan:
    note = yield from heard(seen, names["colour"], "from")
    yield from give(note, "" if is_none(note) else note.split()[-2])


def hat_of_number(names: Names, seen: Explored) -> Plan:
    phrase = f"number {names['number']}"
    told = said_of("number", last_first=True)
    sought = lines_with([names["number"]], told, matched(rf"\w+ {phrase}\b", phrase))
    note = yield from until_found(hearings(seen, sought))
    if is_none(note):
        yield from give(note, "")
    else:
        yield from wears({"colour": note.split()[0]}, seen)


def place_when_said(names: Names, seen: Explored) -> Plan:
    note = yield from until_found(hearings(seen, _naming(names["brand"])))
    yield from _shown_at(note, seen, 0)


def sign_when_price(names: Names, seen: Explored) -> Plan:
    note = yield from heard(seen, names["thing"], "costs")
    yield from _shown_at(note, seen, 1)


def _shown_at(note: str, seen: Explored, number: int) -> Plan:
    if is_none(note):
        yield from give(note, "")
        return
    start, end = spans_in(note)[0]
    shown = yield watch(start, min(end, seen.seconds), shown_in(number))
    yield from give(shown, "" if is_none(shown) else shown.split()[0])


def seen_unsaid(names: Names, seen: Explored) -> Plan:
    said = yield from _brands_said(seen)
    left = [option for option in seen.options if option not in said]
    note = (yield from until_found(scans(seen, scenes(left, firsts(left, 1))))) if left else "none: sign"
    yield from give(note, next(iter(firsts_in(note)), ""))


def said_unseen(names: Names, seen: Explored) -> Plan:
    said = yield from _brands_said(seen)
    named = [option for option in seen.options if option in said]
    shown = (yield from met_in(seen, scenes(named, firsts(named, 1)), len(named) - 1)) if len(named) > 1 else {}
    left = [option for option in named if option not in shown]
    yield answer(left[0] if left else UNANSWERABLE, [said[option] for option in left][:4])


def _brands_said(seen: Explored) -> Generator[Step, str, dict[str, float]]:
    said: dict[str, float] = {}
    for step in hearings(seen, carried(lines_with(seen.options, brands, spoken(seen.options)), said)):
        said.update(firsts_in((yield step)))
    return said


def when_said(names: Names, seen: Explored) -> Plan:
    spans: list[Window] = []
    for step in hearings(seen, _naming(names["brand"], spans)):
        spans[:] = spans_in((yield step))
    yield from give(" ".join(f"{start}" for start, _ in spans), as_spans(spans))


def _naming(brand: str, before: Sequence[Window] = ()) -> Sought:
    """Notes when lines have named a brand so far: `CAFE 45.0-47.0, 70.0-71.3`."""

    named = where(rf"(?i)\b{brand}\b", brand, 0.0)
    return replace(lines_with([brand], brands, spans_so_far(brand, named, before, 0.0)), marks=Lasting())
