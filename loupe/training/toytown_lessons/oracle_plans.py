"""How each kind of question about toytown is answered: step by step, each a function of what the prompt says.

A plan yields steps and is sent what is noted of their results. It never sees the film.
"""

import math
import re
from collections.abc import Callable, Sequence

from loupe.training.toytown_lessons.oracle_heard import (
    hat_of_number,
    origin,
    own_number,
    place_when_said,
    price,
    said_unseen,
    seen_unsaid,
    sign_when_price,
    when_said,
    wish,
)
from loupe.training.toytown_lessons.oracle_prompts import Seen
from loupe.training.toytown_lessons.oracle_steps import (
    ACTIONS,
    ALL,
    EVENT_GAP,
    HAS,
    Names,
    Part,
    Plan,
    Step,
    answer,
    answer_count,
    answer_order,
    as_spans,
    firsts_in,
    give,
    in_order,
    is_none,
    kind_of,
    look,
    look_at,
    matched,
    most_of,
    nothing_said,
    of_person,
    search,
    sign_scene,
    spans_in,
    when_first,
    when_in,
    where,
)
from loupe.training.toytown_wording import ORDER, by_letter
from schemas.questions import UNANSWERABLE


def place_of(names: Names, name: str = "where") -> str:
    return names[name].split()[-1]


def within(note: str) -> tuple[float, float]:
    """From the first to the last time of a note, with the frame after it."""
    spans = spans_in(note)
    return spans[0][0], spans[-1][1] + 1


def in_scene(sign: str, query: str, read: Callable[[str], str]) -> Part:
    """What is noted of a search while a sign is shown, or else a little before: a sign may come late in its scene."""
    note = yield sign_scene(sign)
    if is_none(note):
        return note
    start, end = within(note)
    found = yield search(query, read, (start, end))
    if is_none(found):
        found = yield search(query, read, (max(0.0, start - 20), end))
    return found


def who(names: Names, seen: Seen) -> Plan:
    act = ACTIONS[names["does"]]
    note = yield from in_scene(names["sign"], act, matched(rf"\w+ person {act}", act))
    yield from give(note, note.split()[0])


def wears(names: Names, seen: Seen) -> Plan:
    yield from of_person(names["colour"], f"What does the {names['colour']} person wear?")


def shape(names: Names, seen: Seen) -> Plan:
    yield from of_person(names["colour"], f"What shape is the {names['colour']} person?")


def holds(names: Names, seen: Seen) -> Plan:
    who = f"{names['colour']} person"
    pattern = rf"{who} (?:holds|picks up|drops|hands over) (?:{'|'.join(seen.options)})"
    note = yield from in_scene(names["sign"], f"{who} holds", matched(pattern, who))
    yield from give(note, next((option for option in seen.options if re.search(rf"\b{option}\b", note)), ""))


def does(names: Names, seen: Seen) -> Plan:
    who = f"{names['colour']} person"
    acts = {ACTIONS[option]: option for option in seen.options}
    read = matched(rf"{who} (?:{'|'.join(acts)})", who)
    note = yield from in_scene(names["sign"], f"{names['colour']} {', '.join(acts)}", read)
    yield from give(note, next((option for act, option in acts.items() if act in note), ""))


def handed(names: Names, seen: Seen) -> Plan:
    thing = names["thing"]
    scene = yield sign_scene(names["sign"])
    if is_none(scene):
        yield from give(scene, "")
        return
    start, end = within(scene)
    given = yield search(f"hands over {thing}", matched(rf"\w+ person hands over {thing}", thing), (start, end))
    if is_none(given):
        start = max(0.0, start - 20)
        given = yield search(f"hands over {thing}", matched(rf"\w+ person hands over {thing}", thing), (start, end))
    if is_none(given):
        yield from give(given, "")
        return
    after = spans_in(given)[-1][1]
    taken = matched(rf"(?<!\w)(?!{given.split()[0]} )\w+ person (?:holds|drops|hands over) {thing}", thing)
    note = yield search(f"holds {thing}", taken, (after, end + 1))
    yield from give(note, note.split()[0])


def word(names: Names, seen: Seen) -> Plan:
    doing = f"{names['colour']} person {ACTIONS[names['does']]}"
    read = matched(rf"(?<=^{place_of(names)}; ).*{doing}", doing)
    note = yield search(f"{names['colour']} {ACTIONS[names['does']]} {place_of(names)}", read)
    if is_none(note):
        yield from give(note, "")
        return
    start = spans_in(note)[0][0]
    said = yield look("What does the sign say?", [start])
    yield from give(f"{said} {start}", "" if is_none(said) else said)


def when_sign(names: Names, seen: Seen) -> Plan:
    note = yield sign_scene(names["sign"])
    yield from give(note, as_spans(spans_in(note)[:1] and [(spans_in(note)[0][0], spans_in(note)[-1][1])]))


def when_place(names: Names, seen: Seen) -> Plan:
    place = place_of(names)
    note = yield search(place, when_in(place), top_k=ALL)
    yield from give(note, as_spans(spans_in(note)))


def when_event(names: Names, seen: Seen) -> Plan:
    doing = f"{names['colour']} person {ACTIONS[names['does']]}"
    query = f"{names['colour']} {ACTIONS[names['does']]}"
    note = yield from in_scene(names["sign"], query, where(doing, doing, EVENT_GAP))
    # an event is short: that its last frame lasts a second, too, counts
    yield from give(note, as_spans([(start, end + 1) for start, end in spans_in(note)]))


def last_has(names: Names, seen: Seen) -> Plan:
    thing = names["thing"]
    read = matched(rf"\w+ person {HAS} {thing}", thing, last=True)
    note = yield from in_scene(names["sign"], f"holds {thing}", read)
    yield from give(note, note.split()[0])


def never_with(names: Names, seen: Seen) -> Plan:
    colour, notes = names["colour"], []
    for name, option, thought in by_letter(seen.options):
        both = rf"{colour} person.*{option} person|{option} person.*{colour} person"
        notes.append((yield search(f"{colour} {option}", where(both, name), thought=thought)))
    alone = [option for option, note in zip(seen.options, notes, strict=True) if is_none(note)]
    together = [start for note in notes if not is_none(note) for start, _ in spans_in(note)[:1]]
    yield answer(alone[0] if alone else UNANSWERABLE, together)


def count_signs(names: Names, seen: Seen) -> Plan:
    first = yield sign_scene(names["sign"])
    last = yield sign_scene(names["until"])
    yield from _count(first, last, ACTIONS[names["does"]])


def count_places(names: Names, seen: Seen) -> Plan:
    first, last = place_of(names), place_of(names, "until")
    begun = yield search(first, when_in(first), top_k=ALL)
    ended = yield search(last, when_in(last), top_k=ALL)
    yield from _count(begun, ended, ACTIONS[names["does"]])


def _count(first: str, last: str, act: str) -> Plan:
    if is_none(first) or is_none(last) or spans_in(first)[0][0] >= spans_in(last)[0][0]:
        yield answer(UNANSWERABLE, [])
        return
    between = (spans_in(first)[0][0], spans_in(last)[0][0])
    note = yield search(act, where(rf"person {act}", act, EVENT_GAP), between)
    yield answer_count([] if is_none(note) else [start for start, _ in spans_in(note)])


def longest_place(names: Names, seen: Seen) -> Plan:
    yield from _longest(seen.options)


def longest_person(names: Names, seen: Seen) -> Plan:
    yield from _longest(seen.options)


def _longest(options: Sequence[str]) -> Plan:
    most = ("", -1)
    for name, option, thought in by_letter(options):
        note = yield search(option, most_of(name, most), top_k=ALL, thought=thought)
        _, best, count = note.rsplit(maxsplit=2)
        most = (best, int(count))
    yield answer(most[0], [])


def order(names: Names, seen: Seen) -> Plan:
    """Place by place; each note has those that were searched so far, in order."""
    met: dict[str, float] = {}
    for name, place, thought in by_letter(seen.options[0].split(", ")):
        note = yield search(place, in_order(name, [*met.items()]), top_k=ALL, thought=thought)
        met = firsts_in(note.partition(ORDER)[2])
    yield answer_order([*met], seen.options, [*met.values()])


def first_sign(names: Names, seen: Seen) -> Plan:
    """By the summary, where it names all; else by a search each."""
    if set(seen.options) <= set(seen.signs):
        first = min(seen.options, key=seen.signs.index)
        yield from give((yield sign_scene(first)), first)
        return
    begins: list[float] = []
    found = ("", math.inf)
    for name, option, thought in by_letter(seen.options):
        note = yield search(option, when_first(name, found), thought=thought)
        begins += [] if is_none(note) else [spans_in(note)[0][0]]
        if "; first " in note:
            _, word, start = note.rsplit(maxsplit=2)
            found = (word, float(start))
    yield answer(found[0] or UNANSWERABLE, begins)


def never_shown(names: Names, seen: Seen) -> Plan:
    """The first of those that the summary does not name that no search finds."""
    for name, option, thought in by_letter(seen.options):
        if option in seen.signs:
            continue
        note = yield sign_scene(option, name, thought)
        if is_none(note):
            yield answer(option, [])
            return
    yield answer(UNANSWERABLE, [])


PLANS: dict[str, Callable[[Names, Seen], Plan]] = {
    "In which order": order,
    "What colour is the person who": who,
    "What is on the head of the {colour}": wears,
    "Which shape is": shape,
    "What does the {colour} person hold": holds,
    "Which of these does the": does,
    "Who is handed": handed,
    "Which of these signs is shown first": first_sign,
    "Which word is on the sign when": word,
    "Which of these words is on no sign": never_shown,
    "When is the sign": when_sign,
    "When is the film": when_place,
    "When is it, in the scene": when_event,
    "Who has the {thing} when": last_has,
    "Which of these people is in no scene": never_with,
    "How often does it happen, after the film": count_places,
    "How often does it happen, after the sign": count_signs,
    "In which of these places": longest_place,
    "Which of these people is in the picture": longest_person,
    "How many coins": price,
    "Which number does": own_number,
    "Which thing does": wish,
    "Which place does the {colour}": origin,
    "What is on the head of the person whose": hat_of_number,
    "Which place does the film show": place_when_said,
    "Which sign can be read": sign_when_price,
    "Which of these brands is seen": seen_unsaid,
    "Which of these brands is spoken": said_unseen,
    "When is the brand": when_said,
}
"""By how the wording of a template begins."""


def plan_of(seen: Seen) -> Plan:
    """The plan of a prompt's question, the cues first. Raises ValueError for a question of no kind."""
    plan, names = kind_of(seen.question, PLANS)
    return _whole(plan(names, seen), nothing_said(names, seen))


def investigation_of(seen: Seen) -> Plan:
    """The same without cues, and with a look at what the answer rests on, where no frame was shown on the way."""
    plan, names = kind_of(seen.question, PLANS)
    return _looked(plan(names, seen), seen.seconds)


def _whole(plan: Plan, cues: Step) -> Plan:
    """Cues, the plan, and its answer again and again where that is sent back."""
    yield cues
    step = next(plan)
    while step.tool != "answer":
        step = plan.send((yield step))
    while True:
        yield step


def _looked(plan: Plan, seconds: float) -> Plan:
    """The plan, a look before its answer, and the answer again and again."""
    step, note, has_looked = next(plan), "", False
    while step.tool != "answer":
        has_looked = has_looked or step.tool == "ask_vlm"
        note = yield step
        step = plan.send(note)
    if not has_looked:
        yield look_at(next(iter(step.arguments["evidence_times"]), 0.0), seconds, note)
    while True:
        yield step
