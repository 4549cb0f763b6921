"""What the frames or lines of a percept come to, with what was found before."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from loupe.training.toytown_lessons.looking_marks import Counted, Ranked, Since
from loupe.training.toytown_lessons.looking_notes import (
    NEXT,
    Read,
    Sought,
    colours,
    field,
    is_frame,
    scenes,
)
from loupe.training.toytown_lessons.oracle_prompts import Line, lines_of
from loupe.training.toytown_lessons.oracle_steps import firsts_in, is_none, spans_in, stretch


def run_of(name: str, number: int) -> Read:
    """Notes from when to when a field says a name, to the frame that no longer does: `CAFE 20.0-50.0`."""

    def read(told: str) -> str:
        lines = lines_of(told)
        runs: list[tuple[float, float]] = []
        for index, line in enumerate(lines):
            if name in field(line, number).split(", "):
                end = lines[index + 1].start if index + 1 < len(lines) else line.start
                if runs and runs[-1][1] == line.start:
                    runs[-1] = (runs[-1][0], end)
                else:
                    runs.append((line.start, end))
        return f"{name} {', '.join(stretch(*run) for run in runs)}" if runs else f"none: {name}"

    return read


class Runs:
    """From when to when a field says a name, from look to look.

    Noted are the runs so far, the last with `on` where the next look may show more: `CAFE 20.0-50.0, 90.0-100.0 on`.
    """

    def __init__(self, name: str, number: int) -> None:
        self.name, self.number = name, number
        self.ended: list[tuple[float, float]] = []
        self.goes_on: dict[str, float] = {}
        """Since when the name is shown, if the last look ended with it."""

    def sought(self, then: str = "") -> Sought:
        """What is looked for next; `then` is next as soon as a run has ended."""

        def read(told: str) -> str:
            ended, begun = list(self.ended), self.goes_on.get(self.name)
            lines = lines_of(told)
            for line in lines:
                if self.name in field(line, self.number).split(", "):
                    begun = line.start if begun is None else begun
                elif begun is not None:
                    ended.append((begun, line.start))
                    begun = None
            open_runs = [f"{stretch(begun, lines[-1].start)} on"] if begun is not None else []
            runs = ", ".join([*(stretch(*run) for run in ended), *open_runs])
            found = f"{self.name} {runs}" if runs else f"none: {self.name}"
            return NEXT.join((found, then)) if then and ended else found

        return replace(scenes((self.name,), read), marks=Since(self.goes_on))

    def take(self, note: str) -> list[tuple[float, float]]:
        """Go on from a note. Gives the runs in it."""
        spans = [] if is_none(note) else spans_in(note)
        on = note.endswith(" on")
        self.goes_on.clear()
        self.goes_on.update({self.name: spans[-1][0]} if on else {})
        self.ended[:] = spans[:-1] if on else spans
        return spans


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
        return " ".join(f"{name} {start:.1f}" for name, start in first.items()) or "none: " + names[0]

    return read


def ranked(sought: Sought, met: dict[str, float]) -> Sought:
    """Each name is marked by its rank; noted is when each was met first, and who was not: `1 park 20.0; no beach`.

    `sought` reads the first times of a percept; `met` are those before it, in seconds and in order.
    """

    def read(told: str) -> str:
        new = {name: start for name, start in firsts_in(sought.read(told)).items() if name not in met}
        left = [name for name in sought.phrases if name not in {**met, **new}]
        times = enumerate({**met, **new}.items(), start=1)
        found = " ".join(f"{rank} {name} {start:.1f}" for rank, (name, start) in times) or f"none: {sought.phrases[0]}"
        return NEXT.join((found, " ".join(("no", *left)))) if left else found

    return replace(sought, read=read, marks=Ranked(met))


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
        return " ".join(f"{name} {start:.1f}" for name, start in found.items()) or f"none: {colour}"

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
