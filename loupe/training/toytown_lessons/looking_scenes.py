"""Questions about somebody, or about one scene: it is found from afar and looked at closely."""

import re
from dataclasses import replace

from loupe.training.toytown_lessons.looking_findings import (
    run_of,
    sign_while,
    taker,
)
from loupe.training.toytown_lessons.looking_marks import Running
from loupe.training.toytown_lessons.looking_notes import Sought, doing, doings_of, looks_of, people, runs, scene_and
from loupe.training.toytown_lessons.looking_plans import (
    FRAMES,
    apart,
    around,
    closer,
    closer_in_scene,
    in_scene,
    look,
    scans,
    until_found,
)
from loupe.training.toytown_lessons.looking_prompts import Explored
from loupe.training.toytown_lessons.oracle_plans import place_of
from loupe.training.toytown_lessons.oracle_steps import (
    ACTIONS,
    EVENT_GAP,
    HAS,
    Names,
    Part,
    Plan,
    answer,
    as_spans,
    give,
    is_none,
    matched,
    spans_in,
    where,
)
from schemas.questions import UNANSWERABLE


def who(names: Names, seen: Explored) -> Plan:
    act = ACTIONS[names["does"]]
    note = yield from in_scene(names["sign"], seen, doing(act, matched(rf"\w+ person {act}", act)))
    yield from give(note, note.split()[0])


def wears(names: Names, seen: Explored) -> Plan:
    note = yield from _person(names["colour"], seen)
    yield from give(note, " ".join(note.split()[3:-1]))


def shape(names: Names, seen: Explored) -> Plan:
    note = yield from _person(names["colour"], seen)
    yield from give(note, note.split()[1])


def _person(colour: str, seen: Explored) -> Part:
    """Notes what somebody looks like: `red round with top hat 30.0`. A picture by itself tells it best."""
    note = yield from until_found(scans(seen, people((colour,), matched(rf"\b{colour}(?= \w+ person with)", colour))))
    if is_none(note):
        return note
    ((at, _),) = spans_in(note)
    read = matched(rf"\b{colour} \w+ person with [^;,]+", colour)
    return (yield look(at, at, 1, Sought((colour,), looks_of(colour), read)))


def holds(names: Names, seen: Explored) -> Plan:
    who = f"{names['colour']} person"
    form = rf"{who} (?:holds|picks up|drops|hands over) (?:{'|'.join(seen.options)})"
    note = yield from in_scene(names["sign"], seen, doing(names["colour"], matched(form, who), names["colour"]))
    yield from give(note, next((option for option in seen.options if re.search(rf"\b{option}\b", note)), ""))


def does(names: Names, seen: Explored) -> Plan:
    who = f"{names['colour']} person"
    acts = {ACTIONS[option]: option for option in seen.options}
    sought = doing(names["colour"], matched(rf"{who} (?:{'|'.join(acts)})", who), names["colour"])
    note = yield from in_scene(names["sign"], seen, sought)
    yield from give(note, next((option for act, option in acts.items() if act in note), ""))


def handed(names: Names, seen: Explored) -> Plan:
    thing, giver = names["thing"], ""

    def read(told: str) -> str:
        if not giver:
            return taker(thing)(told)
        holder = matched(rf"(?<!\w)(?!{giver} )\w+ person (?:holds|drops) {thing}", thing)(told)
        return f"{giver} hands over {thing}" if is_none(holder) else holder

    for step in (yield from closer_in_scene(names["sign"], seen, doing(thing, read))):
        note = yield step
        if spans_in(note):
            yield from give(note, note.split()[0])
            return
        if not is_none(note):
            giver = note.split()[0]
    yield answer(UNANSWERABLE, [])


def word(names: Names, seen: Explored) -> Plan:
    """Every time that the film is in the place is looked at, until the thing happens there."""
    place = place_of(names)
    does = ACTIONS[names["does"]]
    act = f"{names['colour']} person {does}"
    for step in scans(seen, runs((place,), run_of(place, 0))):
        note = yield step
        for start, end in [] if is_none(note) else spans_in(note):
            tell = scene_and(doings_of(names["colour"]))
            sought = Sought((does,), tell, sign_while(place, act)).at(place)
            found = yield from until_found(iter(closer(seen, around(seen, start, end, apart(seen)), sought)))
            if not is_none(found):
                yield from give(found, found.split()[0])
                return
    yield answer(UNANSWERABLE, [])


def when_event(names: Names, seen: Explored) -> Plan:
    """Found frame by second, then looked at four times as closely."""
    does = ACTIONS[names["does"]]
    act = f"{names['colour']} person {does}"
    sought = replace(doing(does, where(act, act, EVENT_GAP), names["colour"]), marks=Running())
    note = yield from in_scene(names["sign"], seen, sought)
    if is_none(note):
        yield from give(note, "")
        return
    start, end = spans_in(note)[0][0], spans_in(note)[-1][1]
    note = yield look(max(0.0, start - 1), min(end + 1, seen.seconds), FRAMES, sought)
    yield from give(note, as_spans(spans_in(note)))


def last_has(names: Names, seen: Explored) -> Plan:
    """The end of the scene first, then what is before it."""
    thing = names["thing"]
    sought = doing(thing, matched(rf"\w+ person {HAS} {thing}", thing, last=True))
    looks = yield from closer_in_scene(names["sign"], seen, sought, last_first=True)
    note = yield from until_found(iter(looks))
    yield from give(note, note.split()[0])
