"""What the frames or lines of a percept come to, with what was found before."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from loupe.training.toytown_lessons.looking_marks import Counted
from loupe.training.toytown_lessons.looking_notes import (
    Read,
    Sought,
    colours,
    field,
    is_frame,
    with_all,
)
from loupe.training.toytown_lessons.oracle_prompts import Line, lines_of
from loupe.training.toytown_lessons.oracle_steps import firsts_in, joined, spans_in, stretch, stretches
from loupe.training.toytown_wording import timed


def run_of(name: str, number: int) -> Read:
    """Notes from when to when a field says a name: `CAFE 20.0-40.0, 90.0-100.0`."""

    def read(told: str) -> str:
        runs: list[tuple[float, float]] = []
        shown = False
        for line in lines_of(told):
            if name in field(line, number).split(", "):
                runs = [*runs[:-1], (runs[-1][0], line.start)] if shown else [*runs, (line.start, line.start)]
                shown = True
            else:
                shown = False
        return stretches(name, runs) or f"none: {name}"

    return read


def spans_so_far(name: str, read: Read, before: Sequence[tuple[float, float]], gap: float | None = None) -> Read:
    """The stretches that `read` notes, and with those before; those no further apart than a gap become one."""

    def so_far(told: str) -> str:
        now = spans_in(read(told))
        spans = [*before, *now]
        if gap is not None:
            spans = joined([Line(start, end, 1, "") for start, end in spans], gap)
        return with_all(stretches(name, now), stretches(name, spans))

    return so_far


def sign_and_place(sign: str) -> Read:
    """Notes where a sign is, and from when to when frames show that place: `CAFE 30.0 park 20.0-50.0`."""

    def read(told: str) -> str:
        lines = lines_of(told)
        there = [index for index, line in enumerate(lines) if field(line, 1) == sign]
        if not there:
            return f"none: {sign}"
        first, last, place = there[0], there[-1], field(lines[there[0]], 0)
        while first > 0 and field(lines[first - 1], 0) == place:
            first -= 1
        while last + 1 < len(lines) and field(lines[last + 1], 0) == place:
            last += 1
        return f"{sign} {lines[there[0]].start:.1f} {place} {stretch(lines[first].start, lines[last].start)}"

    return read


def firsts(names: Sequence[str], number: int) -> Read:
    """Notes when a field first says each of some names: `park 20.0 beach 50.0`."""

    def read(told: str) -> str:
        first: dict[str, float] = {}
        for line in lines_of(told):
            for name in names:
                if name in field(line, number).split(", "):
                    first.setdefault(name, line.start)
        return timed(first.items()) or f"none: {names[0]}"

    return read


def carried(sought: Sought, met: dict[str, float]) -> Sought:
    """Notes when each name is met first, and with those before: `beach 50.0; all park 20.0 beach 50.0`.

    `sought` reads the first times of a percept; `met` are those before it, in seconds.
    """

    def read(told: str) -> str:
        now = firsts_in(sought.read(told))
        so_far = met | now | met  # those before stand first, and as they were
        return with_all(timed(now.items()), timed(so_far.items()))

    return replace(sought, read=read)


def counted(sought: Sought, count: Counter[str]) -> Sought:
    """Each name is marked by how often it was met, those before counted in."""
    return replace(sought, marks=Counted(count))


def between(first: str, last: str, met: dict[str, float], number: int, read: Read) -> Read:
    """What lies between the first times that a field says two names, which frames have met at some times."""

    def read_between(told: str) -> str:
        kept: list[Line] = []
        begun = False
        for line in lines_of(told):
            says = field(line, number).split(", ")
            if line.start >= met[last] or last in says:
                break
            begun = begun or first in says or line.start > met[first]
            if begun:
                kept.append(line)
        return read("\n".join(f"[{line.start:.1f}] {line.text}" for line in kept))

    return read_between


def counts(before: Counter[str], names: Sequence[str], pattern: str) -> Read:
    """Notes how many frames showed each name, those before counted in: `park 3 beach 5`."""

    def read(told: str) -> str:
        lines = lines_of(told)
        now = {name: sum(bool(re.search(pattern.format(name), line.text)) for line in lines) for name in names}
        return " ".join(f"{name} {before[name] + now[name]}" for name in names)

    return read


def beside(colour: str, names: Sequence[str]) -> Sought:
    """Who of some people is in a picture with somebody: `0 -, 20 red blue yes`."""

    def tell(line: Line) -> str:
        there = colours(line)
        return " ".join([colour, *(who for who in there if who != colour)]) if colour in there else ""

    def read(told: str) -> str:
        found: dict[str, float] = {}
        for line in lines_of(told):
            for name in tell(line).split():
                if name in names:
                    found.setdefault(name, line.start)
        return timed(found.items()) or f"none: {colour}"

    return Sought(tuple(names), tell, read)


def sign_while(place: str, pattern: str) -> Read:
    """Notes the sign that is shown while something happens: `CAFE 47.0`."""

    def read(told: str) -> str:
        for line in lines_of(told):
            if field(line, 0) == place and field(line, 1) and re.search(pattern, line.text):
                return f"{field(line, 1)} {line.start:.1f}"
        return f"none: {pattern}"

    return read


def shown_in(number: int) -> Read:
    """Notes a field of the first frame that has it: `park 47.0`."""

    def read(told: str) -> str:
        frames = [line for line in lines_of(told) if is_frame(line) and field(line, number)]
        return f"{field(frames[0], number)} {frames[0].start:.1f}" if frames else "none: shown"

    return read


def taker(thing: str) -> Read:
    """Notes who has a thing after it was handed over; or, where that is not shown yet, who hands it over."""

    def read(told: str) -> str:
        giver = ""
        for line in lines_of(told):
            for who, does in re.findall(rf"(\w+) person (hands over|holds|drops) {thing}", line.text):
                if does == "hands over":
                    giver = who
                elif giver and who != giver:
                    return f"{who} person holds {thing} {line.start:.1f}"
        return f"{giver} hands over {thing}" if giver else f"none: {thing}"

    return read
