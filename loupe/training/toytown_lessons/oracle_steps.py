"""What plans of the oracle reasoner are made of: steps, what is noted of their results, and pieces of plans.

Nothing here sees the film: all that is known is what stands in the prompt.
"""

import json
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from loupe.benchmarks.toytown.questions import template_of
from loupe.benchmarks.toytown.templates_seen import DOES
from loupe.training.toytown_lessons.oracle_prompts import Line, Seen, gathered, hits_of, lines_of, seen_by_vlm
from loupe.training.toytown_wording import with_most, with_order
from schemas.questions import UNANSWERABLE

ACTIONS = {phrase: action for action, phrase in DOES.items()}
GAP = 5.0
"""Seconds: what is nearer to each other is one stretch of time."""
EVENT_GAP = 1.5
SPAN = re.compile(r"(\d+\.\d)(?:-(\d+\.\d))?")
ALL = 1000
"""Hits that are asked for where they are counted."""
HAS = "(?:holds|picks up)"
NOTHING = "nothing"
"""A note of what was looked for and not found."""
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


MakesPlan = TypeVar("MakesPlan")
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
    thought: str = "",
) -> Step:
    start, end = window
    arguments = {"query": query, "start": start, "end": end, "level": level, "top_k": top_k}
    return Step("search_captions", arguments, read, thought or f"Search {query}.")


def look(question: str, times: Sequence[float]) -> Step:
    arguments = {"question": question, "times": list(times), "start": None, "end": None, "frames": None}
    return Step("ask_vlm", arguments, lambda result: seen_by_vlm(result) or NOTHING, "Look.")


def look_at(start: float, seconds: float, note: str) -> Step:
    """See for oneself what a note tells."""
    end = min(start + 2.0, seconds)
    return Step("look", {"start": max(0.0, end - 2.0), "end": end, "frames": 3}, lambda result: note, "Look.")


def answer(content: str, times: Sequence[float], thought: str = "Answer.") -> Step:
    arguments = {"content": content, "evidence_times": list(times)}
    return Step("answer", arguments, lambda result: "", thought, 0.9)


def answer_count(starts: Sequence[float]) -> Step:
    """So many times did it happen; the thought counts them: `1: 45.0, 2: 70.0`."""
    if not starts:
        return answer(UNANSWERABLE, [])
    counted = ", ".join(f"{number}: {start:.1f}" for number, start in enumerate(starts, start=1))
    return answer(str(len(starts)), starts[:4], counted)


def answer_order(names: Sequence[str], options: Sequence[str], times: Sequence[float]) -> Step:
    """The option with names in this order; the thought says the order: `park, beach, market`."""
    order = ", ".join(names)
    return answer(order if order in options else UNANSWERABLE, times, order)


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


# --- kinds of questions -----------------------------------------------------------------------------------------------


def kind_of(question: str, plans: Mapping[str, MakesPlan]) -> tuple[MakesPlan, dict[str, str]]:
    """What plans a question, by how the wording of its template begins, and the names in it. Raises ValueError."""
    template, names = template_of(question)
    begins = next(begin for begin in plans if template.wording.startswith(begin))
    return plans[begins], names


# --- reading results --------------------------------------------------------------------------------------------------


def stretch(start: float, end: float) -> str:
    return f"{start:.1f}" if end <= start else f"{start:.1f}-{end:.1f}"


def stretches(name: str, spans: Sequence[tuple[float, float]]) -> str:
    """`CAFE 20.0-40.0, 90.0`; nothing where there are none."""
    return f"{name} {', '.join(stretch(*span) for span in spans)}" if spans else ""


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
        return stretches(name, spans) or f"none: {name}"

    return read


def when_in(place: str, name: str = "") -> Callable[[str], str]:
    """Notes when a place or a sign is shown, by its own name or another: where hits gather of which one shows it."""
    name = name or place

    def read(result: str) -> str:
        there = [line for line in lines_of(result) if re.search(rf"\b{place}\b", line.text)]
        spans = [(a, b) for a, b, _ in gathered(result) if any(a <= line.start and line.end <= b for line in there)]
        return stretches(name, sorted(spans)) or f"none: {name}"

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


def most_of(name: str, before: tuple[str, int]) -> Callable[[str], str]:
    """Notes how many frames show something, and which has the most so far: `B park 74; most beach 90`."""

    def read(result: str) -> str:
        count = hits_of(result)
        return with_most(name, count, max(before, (name.split()[-1], count), key=lambda each: each[1]))

    return read


def when_first(name: str, before: tuple[str, float]) -> Callable[[str], str]:
    """Notes when something is shown, and what is shown first of all so far: `B CAFE 45.0-61.0; first BANK 20.0`."""

    def read(result: str) -> str:
        word = name.split()[-1]
        note = when_in(word, name)(result)
        shown = [] if is_none(note) else [(word, spans_in(note)[0][0])]
        first = min([before, *shown], key=lambda each: each[1])
        return f"{note}; first {first[0]} {first[1]:.1f}" if first[0] else note

    return read


def in_order(name: str, before: Sequence[tuple[str, float]]) -> Callable[[str], str]:
    """Notes when something is shown, and what was so far, in order: `B CAFE 45.0-61.0; order BANK 20.0 CAFE 45.0`."""

    def read(result: str) -> str:
        note = when_in(name.split()[-1], name)(result)
        shown = [] if is_none(note) else [(name.split()[-1], spans_in(note)[0][0])]
        return with_order(note, [*before, *shown]) if before or shown else note

    return read


def spans_in(note: str) -> list[tuple[float, float]]:
    """The times of a note, in seconds."""
    return [(float(a), float(b or a)) for a, b in SPAN.findall(note)]


def firsts_in(note: str) -> dict[str, float]:
    """The time that follows each name of a note, in seconds."""
    return {name: float(start) for name, start in re.findall(r"(\w+) (\d+\.\d)", note)}


def has_times(note: str) -> bool:
    """Whether a note says when."""
    return bool(spans_in(note))


def is_none(note: str) -> bool:
    return note.startswith("none: ") or note == NOTHING


# --- pieces of plans --------------------------------------------------------------------------------------------------


def sign_scene(word: str, name: str = "", thought: str = "") -> Step:
    return search(word, when_in(word, name), thought=thought)


def give(note: str, content: str) -> Plan:
    """Answer with what a note says, or that the film does not say it."""
    if is_none(note) or not content:
        yield answer(UNANSWERABLE, [])
    else:
        yield answer(content, [start for start, _ in spans_in(note)][:4])


def as_spans(spans: Sequence[tuple[float, float]]) -> str:
    """An answer of spans: a single frame lasts a second."""
    return json.dumps([[start, end if end > start else start + 1] for start, end in spans]) if spans else ""


def of_person(colour: str, question: str) -> Plan:
    note = yield search(f"{colour} person", matched(rf"{colour} person", f"{colour} person"))
    if is_none(note):
        yield from give(note, "")
        return
    start = spans_in(note)[0][0]
    said = yield look(question, [start])
    yield from give(f"{said} {start}", "" if is_none(said) else said)
