"""How each kind of question about toytown is answered: step by step, each a function of what the prompt says.

A plan yields steps and is sent what is noted of their results. It never sees the film.
"""

import json
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from loupe.benchmarks.toytown.questions import TEMPLATES
from loupe.benchmarks.toytown.speech import NUMBERS
from loupe.benchmarks.toytown.templates_seen import DOES
from loupe.training.toytown_oracle_prompts import Line, Seen, gathered, lines_of, seen_by_vlm
from schemas.questions import UNANSWERABLE

ACTIONS = {phrase: action for action, phrase in DOES.items()}
GAP = 5.0
"""Seconds: what is nearer to each other is one stretch of time."""
EVENT_GAP = 1.5
SPAN = re.compile(r"(\d+\.\d)(?:-(\d+\.\d))?")
ALL = 100
"""Hits that are asked for where they are counted."""
HAS = "(?:holds|picks up)"
Names = Mapping[str, str]


@dataclass(frozen=True)
class Step:
    """A turn: what is done, why, and what is noted of its result."""

    tool: str
    arguments: dict[str, Any]
    read: Callable[[str], str] = field(compare=False)
    thought: str = ""
    confidence: float = 0.5

    def action(self) -> dict[str, Any]:
        """As a turn says it."""
        return {"tool": self.tool, **self.arguments}


Plan = Generator[Step, str, None]
Part = Generator[Step, str, str]
"""A piece of a plan; it gives back what was noted."""


# --- steps ------------------------------------------------------------------------------------------------------------


def search(
    query: str,
    read: Callable[[str], str],
    window: tuple[float | None, float | None] = (None, None),
    level: str = "frames",
    top_k: int | None = None,
) -> Step:
    start, end = window
    arguments = {"query": query, "start": start, "end": end, "level": level, "top_k": top_k}
    return Step("search_captions", arguments, read, f"Search {query}.")


def look(question: str, times: Sequence[float]) -> Step:
    arguments = {"question": question, "times": list(times), "start": None, "end": None, "frames": None}
    return Step("ask_vlm", arguments, lambda result: seen_by_vlm(result) or "nothing", "Look.")


def answer(content: str, times: Sequence[float]) -> Step:
    arguments = {"content": content, "evidence_times": list(times)}
    return Step("answer", arguments, lambda result: "", "Answer.", 0.9)


def nothing_said(names: Names, seen: Seen) -> Step:
    """The first turn: what the question goes by."""
    cues = {
        "temporal": " ".join(filter(None, (names.get("sign"), names.get("until"), names.get("brand")))),
        "action": ACTIONS.get(names.get("does", ""), ""),
        "spatial": names.get("where", ""),
        "semantic": names.get("number", ""),
        "subject": names.get("colour", names.get("thing", "")),
        "length": "longest" if "longest" in seen.question else "",
    }
    first = next((names[name] for name in ("sign", "brand", "thing", "where", "colour", "number") if name in names), "")
    search_for = first.split()[-1] if first else seen.options[0].split(", ")[0]
    return Step("note_cues", {**cues, "search": search_for}, lambda result: "", "Cues.")


# --- reading results --------------------------------------------------------------------------------------------------


def stretch(start: float, end: float) -> str:
    return f"{start:.1f}" if end <= start else f"{start:.1f}-{end:.1f}"


def joined(lines: Sequence[Line], gap: float) -> list[tuple[float, float]]:
    """The times of lines, in order, those that are near as one."""
    spans: list[tuple[float, float]] = []
    for line in lines:
        if spans and line.start - spans[-1][1] <= gap:
            spans[-1] = (spans[-1][0], max(spans[-1][1], line.end))
        else:
            spans.append((line.start, line.end))
    return spans


def where(pattern: str, name: str, gap: float = GAP) -> Callable[[str], str]:
    """Notes when lines say something: `CAFE 45.0-61.0, 70.0`."""

    def read(result: str) -> str:
        spans = joined([line for line in lines_of(result) if re.search(pattern, line.text)], gap)
        return f"{name} {', '.join(stretch(*span) for span in spans)}" if spans else f"none: {name}"

    return read


def when_in(place: str) -> Callable[[str], str]:
    """Notes when a place or a sign is shown: where hits gather of which one shows it."""

    def read(result: str) -> str:
        there = [line for line in lines_of(result) if re.search(rf"\b{place}\b", line.text)]
        spans = [(a, b) for a, b, _ in gathered(result) if any(a <= line.start and line.end <= b for line in there)]
        return f"{place} {', '.join(stretch(*span) for span in sorted(spans))}" if spans else f"none: {place}"

    return read


def matched(pattern: str, name: str, *, last: bool = False) -> Callable[[str], str]:
    """Notes what the first (or last) line of a form says, and when: `red person jumps 47.0`."""

    def read(result: str) -> str:
        found = [(match[0], line) for line in lines_of(result) if (match := re.search(pattern, line.text))]
        if not found:
            return f"none: {name}"
        said, line = found[-1 if last else 0]
        return f"{said} {stretch(line.start, line.end)}"

    return read


def how_many(name: str) -> Callable[[str], str]:
    """Notes how many frames in a row show something, by the places where hits gather."""
    return lambda result: f"{name} {max((count for _, _, count in gathered(result)), default=0)}"


def spans_in(note: str) -> list[tuple[float, float]]:
    """The times of a note, in seconds."""
    return [(float(a), float(b or a)) for a, b in SPAN.findall(note)]


def is_none(note: str) -> bool:
    return note.startswith("none: ") or note == "nothing"


# --- plans ------------------------------------------------------------------------------------------------------------


def sign_scene(word: str) -> Step:
    return search(word, when_in(word))


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


def give(note: str, content: str) -> Plan:
    """Answer with what a note says, or that the film does not say it."""
    if is_none(note) or not content:
        yield answer(UNANSWERABLE, [])
    else:
        yield answer(content, [start for start, _ in spans_in(note)][:4])


def who(names: Names, seen: Seen) -> Plan:
    act = ACTIONS[names["does"]]
    note = yield from in_scene(names["sign"], act, matched(rf"\w+ person {act}", act))
    yield from give(note, note.split()[0])


def wears(names: Names, seen: Seen) -> Plan:
    yield from _of_person(names["colour"], f"What does the {names['colour']} person wear?")


def shape(names: Names, seen: Seen) -> Plan:
    yield from _of_person(names["colour"], f"What shape is the {names['colour']} person?")


def _of_person(colour: str, question: str) -> Plan:
    note = yield search(f"{colour} person", matched(rf"{colour} person", f"{colour} person"))
    if is_none(note):
        yield from give(note, "")
        return
    start = spans_in(note)[0][0]
    said = yield look(question, [start])
    yield from give(f"{said} {start}", "" if is_none(said) else said)


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
    yield from give(note, as_spans(spans_in(note)))


def as_spans(spans: Sequence[tuple[float, float]]) -> str:
    """An answer of spans: a single frame lasts a second."""
    return json.dumps([[start, end if end > start else start + 1] for start, end in spans]) if spans else ""


def last_has(names: Names, seen: Seen) -> Plan:
    thing = names["thing"]
    read = matched(rf"\w+ person {HAS} {thing}", thing, last=True)
    note = yield from in_scene(names["sign"], f"holds {thing}", read)
    yield from give(note, note.split()[0])


def never_with(names: Names, seen: Seen) -> Plan:
    colour, notes = names["colour"], []
    for option in seen.options:
        both = rf"{colour} person.*{option} person|{option} person.*{colour} person"
        notes.append((yield search(f"{colour} {option}", where(both, option))))
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
    yield from give(note, str(len(spans_in(note))))


def longest_place(names: Names, seen: Seen) -> Plan:
    yield from _longest({option: option for option in seen.options})


def longest_person(names: Names, seen: Seen) -> Plan:
    yield from _longest({option: option for option in seen.options})


def _longest(queries: Mapping[str, str]) -> Plan:
    counts: dict[str, int] = {}
    for option, query in queries.items():
        note = yield search(query, how_many(option), top_k=ALL)
        counts[option] = int(note.split()[-1])
    best = max(counts, key=lambda option: counts[option])
    yield answer(best, [])


def order(names: Names, seen: Seen) -> Plan:
    known = {place: at for at, place in enumerate(seen.places)}

    def rising(option: str) -> bool:
        at = [known.get(place, 99) for place in option.split(", ")]
        return at == sorted(at)

    content = next((option for option in seen.options if rising(option)), "")
    first = (content or seen.options[0]).split(", ")[0]
    note = yield search(first, when_in(first), top_k=ALL)
    yield from give(note, content)


def first_sign(names: Names, seen: Seen) -> Plan:
    """By the summary, where it names all; else by a search each."""
    if set(seen.options) <= set(seen.signs):
        first = min(seen.options, key=seen.signs.index)
        yield from give((yield sign_scene(first)), first)
        return
    begins: dict[str, float] = {}
    for option in seen.options:
        note = yield sign_scene(option)
        if not is_none(note):
            begins[option] = spans_in(note)[0][0]
    first = min(begins, key=lambda option: begins[option], default="")
    yield answer(first or UNANSWERABLE, list(begins.values()))


def never_shown(names: Names, seen: Seen) -> Plan:
    """The first of those that the summary does not name that no search finds."""
    for option in (option for option in seen.options if option not in seen.signs):
        note = yield sign_scene(option)
        if is_none(note):
            yield answer(option, [])
            return
    yield answer(UNANSWERABLE, [])


# --- what is heard ----------------------------------------------------------------------------------------------------


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
        yield from _of_person(note.split()[0], f"What does the {note.split()[0]} person wear?")


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
    for option in (option for option in options if (option in said) != is_seen):
        shown = yield sign_scene(option)
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
    for template in TEMPLATES:
        if match := template.pattern.fullmatch(seen.question):
            names = match.groupdict()
            begins = next(begin for begin in PLANS if template.wording.startswith(begin))
            return _whole(PLANS[begins](names, seen), nothing_said(names, seen))
    raise ValueError(f"no kind of question reads: {seen.question}")


def _whole(plan: Plan, cues: Step) -> Plan:
    """Cues, the plan, and its answer again and again where that is sent back."""
    yield cues
    step = next(plan)
    while step.tool != "answer":
        step = plan.send((yield step))
    while True:
        yield step
