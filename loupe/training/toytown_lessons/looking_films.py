"""Questions about a whole film: it is looked through, and each note carries on what was found."""

import re
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace

from loupe.training.toytown_lessons.looking_findings import (
    beside,
    between,
    carried,
    counted,
    counts,
    firsts,
    run_of,
    spans_so_far,
)
from loupe.training.toytown_lessons.looking_marks import Running
from loupe.training.toytown_lessons.looking_notes import (
    NEXT,
    Read,
    Sought,
    doings,
    found_in,
    people,
    runs,
    scene_and,
    scenes,
)
from loupe.training.toytown_lessons.looking_plans import (
    FRAMES,
    SHORTEST,
    Window,
    apart,
    closer,
    look,
    scans,
    until_found,
    way,
)
from loupe.training.toytown_lessons.looking_prompts import Explored
from loupe.training.toytown_lessons.oracle_plans import place_of
from loupe.training.toytown_lessons.oracle_prompts import lines_of
from loupe.training.toytown_lessons.oracle_steps import (
    ACTIONS,
    Names,
    Plan,
    Step,
    answer,
    answer_count,
    answer_order,
    as_spans,
    firsts_in,
    give,
    spans_in,
    stretch,
    where,
)
from loupe.training.toytown_wording import compared
from schemas.questions import UNANSWERABLE

FIRST, ENDS = "first", "ends"
"""Which end of a stretch of time is looked at next."""


def when_sign(names: Names, seen: Explored) -> Plan:
    """Found from afar; then where it begins is looked at closely, then where it ends.

    The notes go `CAFE 20.0-40.0; all CAFE 20.0-40.0; first`, `CAFE 12.0; ends 40.0`, `CAFE 12.0-43.0`.
    """
    sign, step = names["sign"], apart(seen)
    spans: list[Window] = []

    def far(told: str) -> str:
        note, end = spans_so_far(sign, run_of(sign, 1), spans)(told), lines_of(told)[-1].start
        shown = spans_in(found_in(note))
        over = shown and (shown[-1][1] < end or end == seen.seconds)
        return NEXT.join((note, FIRST)) if over else note

    for each in scans(seen, runs((sign,), far)):
        spans[:] = spans_in((yield each))
        if spans and spans[-1][1] < each.arguments["end"]:
            break
    if not spans:
        yield answer(UNANSWERABLE, [])
        return
    start, end = spans[0][0], spans[-1][1]

    def shown(told: str) -> list[Window]:
        return spans_in(run_of(sign, 1)(told)) or [(start, end)]

    def begins(told: str) -> str:
        return NEXT.join((f"{sign} {shown(told)[0][0]:.1f}", f"{ENDS} {end:.1f}"))

    def ends(told: str) -> str:
        return f"{sign} {stretch(start, shown(told)[-1][1])}"

    note = yield look(max(0.0, start - step), start, FRAMES, runs((sign,), begins))
    start = spans_in(note)[0][0]
    note = yield look(end, min(end + step, seen.seconds), FRAMES, runs((sign,), ends))
    yield from give(note, as_spans(spans_in(note)))


def when_place(names: Names, seen: Explored) -> Plan:
    """Noted is which frames show it; in the answer it ends half way to the next one."""
    place, half = place_of(names), apart(seen) / 2
    spans: list[Window] = []
    for each in scans(seen, runs((place,), spans_so_far(place, run_of(place, 0), spans))):
        spans[:] = spans_in((yield each))
    shown = [(start, min(end + half, seen.seconds)) for start, end in spans]
    yield from give(" ".join(f"{start}" for start, _ in spans), as_spans(shown))


def never_with(names: Names, seen: Explored) -> Plan:
    yield from _never(seen, beside(names["colour"], seen.options))


def never_shown(names: Names, seen: Explored) -> Plan:
    yield from _never(seen, scenes(seen.options, firsts(seen.options, 1)))


def _never(seen: Explored, sought: Sought) -> Plan:
    """A scan that ends once all of the options but one were met: that one is the answer."""
    met = yield from met_in(seen, sought, len(seen.options) - 1)
    left = [option for option in seen.options if option not in met]
    yield answer(left[0] if left else UNANSWERABLE, list(met.values())[:4])


def met_in(seen: Explored, sought: Sought, enough: int) -> Generator[Step, str, dict[str, float]]:
    """When each name was met first, in this order; a scan that ends once enough of them were."""
    met: dict[str, float] = {}
    for step in scans(seen, carried(sought, met)):
        met.update(firsts_in((yield step)))
        if len(met) >= enough:
            break
    return met


def first_sign(names: Names, seen: Explored) -> Plan:
    note = yield from until_found(scans(seen, scenes(seen.options, firsts(seen.options, 1))))
    first = min(firsts_in(note).items(), key=lambda each: each[1], default=("", 0.0))
    yield from give(note, first[0])


def order(names: Names, seen: Explored) -> Plan:
    asked = seen.options[0].split(", ")
    met = yield from met_in(seen, scenes(asked, firsts(asked, 0)), len(asked))
    shown = [*met, *(place for place in asked if place not in met)]
    yield answer_order(shown, seen.options, list(met.values()))


def longest_place(names: Names, seen: Explored) -> Plan:
    yield from _longest(seen, scenes, r"^{0};")


def longest_person(names: Names, seen: Explored) -> Plan:
    yield from _longest(seen, people, r"\b{0} \w+ person with")


def _longest(seen: Explored, told: Callable[[Sequence[str], Read], Sought], pattern: str) -> Plan:
    """Frames are counted, one after the other; the thought has the most so far, one by one."""
    total: Counter[str] = Counter()
    sought = counted(told(seen.options, counts(total, seen.options, pattern)), total)
    for step in scans(seen, sought):
        note = yield step
        total.update({name: int(count) - total[name] for name, count in re.findall(r"(\w+) (\d+)", note)})
    count = {option: total[option] for option in seen.options}
    yield answer(max(count, key=lambda option: count[option]), [], compared(count))


def count_signs(names: Names, seen: Explored) -> Plan:
    yield from _count(names["sign"], names["until"], 1, ACTIONS[names["does"]], seen)


def count_places(names: Names, seen: Explored) -> Plan:
    yield from _count(place_of(names), place_of(names, "until"), 0, ACTIONS[names["does"]], seen)


def _count(first: str, last: str, number: int, act: str, seen: Explored) -> Plan:
    """Where the two are first met, from afar; then what lies between them, so closely that no event is missed.

    Where the steps do not last for all of that, what was counted is the answer.
    """
    met: dict[str, float] = {}
    events: list[Window] = []

    happens = spans_so_far(act, where(rf"person {act}", act, SHORTEST), events, SHORTEST)  # one may lie in two looks

    def window(met: dict[str, float]) -> Window:
        return max(0.0, met[first] - apart(seen)), met[last]

    def looks(met: dict[str, float]) -> list[Step]:
        if first not in met or last not in met or met[first] >= met[last]:  # in a long film the oldest notes have gone
            return []
        sought = Sought((act,), scene_and(doings), between(first, last, met, number, happens), Running())
        return closer(seen, window(met), sought, SHORTEST, until=None)

    far = carried(scenes((first, last), firsts((first, last), number)), met)

    def meets(told: str) -> str:
        note = far.read(told)
        so_far = firsts_in(found_in(note))
        then = looks(so_far)
        return NEXT.join((note, way(then, window(so_far)))) if then else note

    left = seen.steps - 1
    for step in scans(seen, replace(far, read=meets)):
        met.update(firsts_in((yield step)))
        left -= 1
        if first in met and last in met:
            break
    if not looks(met):
        yield answer(UNANSWERABLE, [])
        return
    for step in looks(met)[:left]:
        events[:] = spans_in((yield step))
    yield answer_count([start for start, _ in events])
