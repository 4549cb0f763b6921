"""How the kinds of question that need the sound are answered."""

import re
from collections.abc import Callable, Sequence

from loupe.benchmarks.toytown.speech import NUMBERS
from loupe.training.toytown_lessons.oracle_prompts import Seen, lines_of
from loupe.training.toytown_lessons.oracle_steps import (
    Names,
    Plan,
    Step,
    answer,
    as_spans,
    give,
    is_none,
    look,
    matched,
    of_person,
    search,
    sign_scene,
    spans_in,
    where,
)
from loupe.training.toytown_wording import by_letter
from schemas.questions import UNANSWERABLE


def heard(query: str, pattern: str, name: str) -> Step:
    return search(query, matched(pattern, name), level="transcripts")


def price(names: Names, seen: Seen) -> Plan:
    note = yield heard(f"{names['thing']} costs coins", rf"{names['thing']} costs \w+", names["thing"])
    yield from give(note, in_digits(note))


def own_number(names: Names, seen: Seen) -> Plan:
    note = yield heard(f"{names['colour']} person number", rf"{names['colour']} person and my number is \w+", "number")
    yield from give(note, in_digits(note))


def in_digits(note: str) -> str:
    said = [word for word in note.split() if word in NUMBERS]
    return str(NUMBERS.index(said[0]) + 1) if said else ""


def wish(names: Names, seen: Seen) -> Plan:
    note = yield heard(f"{names['colour']} person i want", rf"{names['colour']} person and i want the \w+", "wish")
    yield from give(note, note.split()[-2] if not is_none(note) else "")


def origin(names: Names, seen: Seen) -> Plan:
    form = rf"{names['colour']} person and i come from the \w+"
    note = yield heard(f"{names['colour']} person i come from", form, "place")
    yield from give(note, note.split()[-2] if not is_none(note) else "")


def hat_of_number(names: Names, seen: Seen) -> Plan:
    form = rf"\w+ person and my number is {names['number']}\b"
    note = yield heard(f"my number is {names['number']}", form, "number")
    if is_none(note):
        yield from give(note, "")
    else:
        yield from of_person(note.split()[0], f"What does the {note.split()[0]} person wear?")


def place_when_said(names: Names, seen: Seen) -> Plan:
    yield from _when_heard(heard(names["brand"], rf"(?i)\b{names['brand']}\b", names["brand"]), "Where is this?")


def sign_when_price(names: Names, seen: Seen) -> Plan:
    told = heard(f"{names['thing']} costs coins", rf"{names['thing']} costs", names["thing"])
    yield from _when_heard(told, "What does the sign say?")


def _when_heard(told: Step, question: str) -> Plan:
    note = yield told
    if is_none(note):
        yield from give(note, "")
        return
    start, end = spans_in(note)[0]
    said = yield look(question, [start, end])
    yield from give(f"{said} {start}", "" if is_none(said) else said)


def seen_unsaid(names: Names, seen: Seen) -> Plan:
    yield from _mentions(seen.options, is_seen=True)


def said_unseen(names: Names, seen: Seen) -> Plan:
    yield from _mentions(seen.options, is_seen=False)


def _mentions(options: Sequence[str], *, is_seen: bool) -> Plan:
    """One search tells which of the brands are spoken; then signs are looked for until one fits."""
    heard_all = yield search(" ".join(options), spoken(options), level="transcripts")
    said = heard_all.split() if not is_none(heard_all) else []
    for name, option, thought in by_letter(options):
        if (option in said) == is_seen:
            continue
        shown = yield sign_scene(option, name, thought)
        if is_none(shown) != is_seen:
            yield answer(option, [start for start, _ in spans_in(f"{shown} {heard_all}")][:4])
            return
    yield answer(UNANSWERABLE, [])


def spoken(options: Sequence[str]) -> Callable[[str], str]:
    """Notes which names lines mention, and when: `CAFE 45.0 BANK 70.0`."""

    def read(result: str) -> str:
        found = [
            f"{option} {line.start:.1f}"
            for line in lines_of(result)
            for option in options
            if re.search(rf"(?i)\b{option}\b", line.text)
        ]
        return " ".join(found) or "none: brand"

    return read


def when_said(names: Names, seen: Seen) -> Plan:
    brand = names["brand"]
    note = yield search(brand, where(rf"(?i)\b{brand}\b", brand, 0.0), level="transcripts")
    yield from give(note, as_spans(spans_in(note)))
