"""How each kind of question about toytown is answered by looking and listening."""

import re
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from itertools import islice

from loupe.training.toytown_lessons.looking_notes import (
    Read,
    Sought,
    beside,
    between,
    brands,
    counts,
    doing,
    doings,
    doings_of,
    firsts,
    found_in,
    lines_with,
    looks_of,
    people,
    run_of,
    said_of,
    scene_and,
    scenes,
    shown_in,
    sign_while,
    taker,
)
from loupe.training.toytown_lessons.looking_plans import (
    FRAMES,
    SHORTEST,
    all_of,
    apart,
    closer,
    closer_in_scene,
    hearings,
    in_scene,
    look,
    scans,
    until_found,
    watch,
)
from loupe.training.toytown_lessons.looking_prompts import Explored
from loupe.training.toytown_lessons.oracle_heard import in_digits, spoken
from loupe.training.toytown_lessons.oracle_plans import place_of
from loupe.training.toytown_lessons.oracle_prompts import Line
from loupe.training.toytown_lessons.oracle_steps import (
    ACTIONS,
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
    give,
    is_none,
    joined,
    kind_of,
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
    """Notes what somebody looks like: `red round with top hat 30.0`."""
    read = matched(rf"\b{colour} \w+ person with [^;,]+", colour)
    return (yield from until_found(scans(seen, Sought((colour,), looks_of(colour), read))))


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
    place, looks = yield from closer_in_scene(names["sign"], seen, doing(thing, taker(thing)))
    for step in looks:
        if giver:
            form = rf"(?<!\w)(?!{giver} )\w+ person (?:holds|drops) {thing}"
            holder = doing(thing, matched(form, thing)).at(place)
            note = yield look(step.arguments["start"], step.arguments["end"], step.arguments["frames"], holder)
        else:
            note = yield step
        if is_none(note):
            continue
        if spans_in(note):
            yield from give(note, note.split()[0])
            return
        giver = note.split()[0]
    yield answer(UNANSWERABLE, [])


def word(names: Names, seen: Explored) -> Plan:
    """Every time that the film is in the place is looked at, until the thing happens there."""
    place = place_of(names)
    does = ACTIONS[names["does"]]
    act = f"{names['colour']} person {does}"
    for step in scans(seen, scenes((place,), run_of(place, 0))):
        note = yield step
        for start, end in [] if is_none(note) else spans_in(note):
            tell = scene_and(doings_of(names["colour"]))
            sought = Sought((does,), tell, sign_while(place, act)).at(place)
            window = closer(seen, start - apart(seen) + 1, max(end, start + apart(seen)), sought)
            found = yield from until_found(window)
            if not is_none(found):
                yield from give(found, found.split()[0])
                return
    yield answer(UNANSWERABLE, [])


def when_sign(names: Names, seen: Explored) -> Plan:
    """Found from afar, then both ends are looked at closely."""
    sign, step = names["sign"], apart(seen)
    sought = scenes((sign,), run_of(sign, 1))
    steps = scans(seen, sought)
    note = yield from until_found(steps)
    if is_none(note):
        yield from give(note, "")
        return
    start, end = spans_in(note)[0]
    more = next(steps, None)
    if more and more.arguments["start"] - end <= step:  # it lasts to the end of what was looked at
        note = yield more
        end = spans_in(note)[0][1] if not is_none(note) else more.arguments["start"]
    begins = yield look(max(0.0, start - step), start, 11, sought)
    ends = yield look(max(start, end - step), min(end, seen.seconds), 11, sought)
    if not is_none(begins):
        start = spans_in(begins)[0][0]
    if not is_none(ends):
        end = spans_in(ends)[-1][1]
    yield from give(f"{sign} {start:.1f}", as_spans([(start, end)]))


def when_place(names: Names, seen: Explored) -> Plan:
    place = place_of(names)
    notes = yield from all_of(scans(seen, scenes((place,), run_of(place, 0))))
    spans: list[tuple[float, float]] = []
    for start, end in (span for note in notes if not is_none(note) for span in spans_in(note)):
        if spans and start - spans[-1][1] <= apart(seen):
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
    yield from give(" ".join(f"{start}" for start, _ in spans), as_spans(spans))


def when_event(names: Names, seen: Explored) -> Plan:
    """Found frame by second, then looked at four times as closely."""
    does = ACTIONS[names["does"]]
    act = f"{names['colour']} person {does}"
    sought = doing(does, where(act, act, EVENT_GAP), names["colour"])
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
    _, looks = yield from closer_in_scene(names["sign"], seen, sought)
    note = yield from until_found(reversed(looks))
    yield from give(note, note.split()[0])


def never_with(names: Names, seen: Explored) -> Plan:
    found = yield from _met(seen, people((names["colour"],), beside(names["colour"], seen.options)))
    yield from _the_rest(seen.options, found)


def never_shown(names: Names, seen: Explored) -> Plan:
    found = yield from _met(seen, scenes(seen.options, firsts(seen.options, 1)))
    yield from _the_rest(seen.options, found)


def _met(seen: Explored, sought: Sought) -> Generator[Step, str, dict[str, float]]:
    """When each of the options was met first; a scan that ends once all but one were."""
    found: dict[str, float] = {}
    for step in scans(seen, sought):
        found = {**_firsts_in((yield step)), **found}
        if len(found) >= len(seen.options) - 1:
            break
    return found


def _firsts_in(note: str) -> dict[str, float]:
    return {name: float(start) for name, start in re.findall(r"(\w+) (\d+\.\d)", "" if is_none(note) else note)}


def _the_rest(options: Sequence[str], found: dict[str, float]) -> Plan:
    left = [option for option in options if option not in found]
    yield answer(left[0] if left else UNANSWERABLE, list(found.values())[:4])


def first_sign(names: Names, seen: Explored) -> Plan:
    note = yield from until_found(scans(seen, scenes(seen.options, firsts(seen.options, 1))))
    first = min(_firsts_in(note).items(), key=lambda each: each[1], default=("", 0.0))
    yield from give(note, first[0])


def order(names: Names, seen: Explored) -> Plan:
    asked = seen.options[0].split(", ")
    found: dict[str, float] = {}
    for step in scans(seen, scenes(asked, firsts(asked, 0))):
        found = {**_firsts_in((yield step)), **found}
        if len(found) == len(asked):
            break
    shown = sorted(asked, key=lambda place: found.get(place, seen.seconds))
    yield answer_order(shown, seen.options, sorted(found.values())[:4])


def longest_place(names: Names, seen: Explored) -> Plan:
    yield from _longest(seen, scenes, r"^{0};")


def longest_person(names: Names, seen: Explored) -> Plan:
    yield from _longest(seen, people, r"\b{0} \w+ person with")


def _longest(seen: Explored, told: Callable[[Sequence[str], Read], Sought], pattern: str) -> Plan:
    total: Counter[str] = Counter()
    sought = replace(told(seen.options, counts(total, seen.options, pattern)), counted=total)
    for step in scans(seen, sought):
        note = yield step
        total.update({name: int(count) - total[name] for name, count in re.findall(r"(\w+) (\d+)", note)})
    yield answer(max(seen.options, key=lambda option: total[option]), [])


def count_signs(names: Names, seen: Explored) -> Plan:
    yield from _count(names["sign"], names["until"], 1, ACTIONS[names["does"]], seen)


def count_places(names: Names, seen: Explored) -> Plan:
    yield from _count(place_of(names), place_of(names, "until"), 0, ACTIONS[names["does"]], seen)


def _count(first: str, last: str, number: int, act: str, seen: Explored) -> Plan:
    """Where the two are first met, from afar; then what lies between them, so closely that no event is missed.

    Where the steps do not last for all of that, what was counted is the answer.
    """
    met: dict[str, float] = {}
    left = seen.steps - 1
    for step in scans(seen, scenes((first, last), firsts((first, last), number))):
        met = {**_firsts_in((yield step)), **met}
        left -= 1
        if len(met) == 2:
            break
    if len(met) < 2 or met[first] >= met[last]:
        yield answer(UNANSWERABLE, [])
        return
    read = between(first, last, met, number, where(rf"person {act}", act, SHORTEST))
    sought = Sought((act,), scene_and(doings), read)
    looks = closer(seen, met[first] - apart(seen) + 1, met[last], sought, SHORTEST)
    notes = yield from all_of(islice(looks, left))
    spans = [span for note in notes if not is_none(note) for span in spans_in(note)]
    events = joined([Line(start, end, 1, "") for start, end in spans], SHORTEST)  # one may lie in two looks
    yield answer_count([start for start, _ in events])


# --- what is said -----------------------------------------------------------------------------------------------------


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
    yield from give(note, next(iter(_firsts_in(note)), ""))


def said_unseen(names: Names, seen: Explored) -> Plan:
    said = yield from _brands_said(seen)
    left = [option for option in seen.options if option in said]
    for step in scans(seen, scenes(left, firsts(left, 1))) if len(left) > 1 else ():
        shown = _firsts_in((yield step))
        left = [option for option in left if option not in shown]
        if len(left) == 1:
            break
    yield answer(left[0] if left else UNANSWERABLE, [said[option] for option in left][:4])


def _brands_said(seen: Explored) -> Generator[Step, str, dict[str, float]]:
    sought = lines_with(seen.options, brands, spoken(seen.options))
    notes = yield from all_of(hearings(seen, sought))
    return {name: start for note in reversed(notes) for name, start in _firsts_in(note).items()}


def when_said(names: Names, seen: Explored) -> Plan:
    notes = yield from all_of(hearings(seen, _naming(names["brand"])))
    spans = sorted({span for note in notes if not is_none(note) for span in spans_in(note)})
    yield from give(" ".join(f"{start}" for start, _ in spans), as_spans(spans))


def _naming(brand: str) -> Sought:
    """Notes when lines name a brand: `CAFE 45.0-47.0, 70.0-71.3`."""
    return lines_with([brand], brands, where(rf"(?i)\b{brand}\b", brand, 0.0))


PLANS: dict[str, Callable[[Names, Explored], Plan]] = {
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


def plan_of(seen: Explored) -> Plan:
    """The plan of a prompt's question. Raises ValueError for a question of no kind."""
    plan, names = kind_of(seen.question, PLANS)
    return _to_the_end(plan(names, seen))


def _to_the_end(plan: Plan) -> Plan:
    """The plan, and its answer again and again where that was refused."""
    step = next(plan)
    while step.tool != "answer":
        step = plan.send(found_in((yield step)))
    while True:
        yield step
