"""What is noted of a percept while toytown is explored.

First what is looked for, then each frame or line by itself, those with it marked, then what they come to:
`CAFE: 0 park, 10 park CAFE yes, 20 beach | CAFE 10.0`. Whoever learns to write the list learns to see and to listen;
the end is read from it. What is looked for stands beside what is compared with it: the question is far above.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from loupe.training.toytown_lessons.oracle_prompts import Line, lines_of
from loupe.training.toytown_lessons.oracle_steps import stretch

Read = Callable[[str], str]
"""What a percept in words comes to."""
Tell = Callable[[Line], str]
"""What a frame or a line says by itself."""
SEEN = " | "
YES = "yes"


@dataclass(frozen=True)
class Sought:
    """What is looked for, what each frame or line tells of it, and what all of them come to."""

    names: tuple[str, ...]
    tell: Tell
    read: Read

    def note(self, told: str) -> str:
        """The note of a percept in words."""
        each = ", ".join(f"{moment(line)} {self.tell(line) or '-'}" for line in lines_of(told))
        return f"{' '.join(self.names)}: {each or '-'}{SEEN}{self.read(told)}"

    def at(self, place: str) -> "Sought":
        """The same, of which the frames of a place alone count."""

        def read(told: str) -> str:
            return self.read("\n".join(line for line in told.split("\n") if f"] {place};" in line))

        return Sought(self.names, self.tell, read)


def found_in(note: str) -> str:
    """What the frames or lines came to."""
    return note.rpartition(SEEN)[2]


# --- what a frame or a line tells -------------------------------------------------------------------------------------


def scene(line: Line) -> str:
    """Place and sign."""
    return " ".join(filter(None, (field(line, 0), field(line, 1))))


def crowd(line: Line) -> str:
    """Who is there, by colour."""
    return " ".join(colours(line)) or "nobody"


def colours(line: Line) -> list[str]:
    """Of the people in a frame."""
    return [who.split()[0] for who in field(line, 2).split(", ") if who]


def scenes(names: Sequence[str], read: Read) -> Sought:
    """Place and sign of each frame, and whether one of the names is among them: `0 park, 10 park CAFE yes`."""
    return Sought(tuple(names), lambda line: marked(scene(line), names), read)


def people(names: Sequence[str], read: Read) -> Sought:
    """Who is in each frame, and whether one of the names is among them: `0 red blue yes, 10 nobody`."""
    return Sought(tuple(names), lambda line: marked(crowd(line), names), read)


def marked(told: str, names: Sequence[str]) -> str:
    return f"{told} {YES}" if set(told.split()) & set(names) else told


def frames_with(name: str, pattern: str, read: Read, before: Tell = crowd) -> Sought:
    """What in each frame has a form, after what else is told of it: `30 red blue, 31 red blue red jumps`.

    Each frame tells something: whoever learned from lists of mere dashes would go on writing dashes.
    """

    def tell(line: Line) -> str:
        match = re.search(pattern, line.text)
        return f"{before(line)} {match[0].replace(' person', '')}" if match else before(line)

    return Sought((name,), tell, read)


def lines_with(names: Sequence[str], pattern: str, read: Read) -> Sought:
    """The last word of each line that was heard, and whether the line has a form: `45 morning, 47 coins yes`."""

    def tell(line: Line) -> str:
        last = line.text.rpartition(" ")[2]
        return f"{last} {YES}" if re.search(pattern, line.text) else last

    return Sought(tuple(names), tell, read)


def moment(line: Line) -> str:
    """When a frame is, or the second in which a line begins."""
    return f"{line.start:g}" if is_frame(line) else str(int(line.start))


def is_frame(line: Line) -> bool:
    return line.text.count("; ") == 3


def field(line: Line, number: int) -> str:
    """Of a frame in words: 0 place, 1 sign, 2 people, 3 actions."""
    return [*line.text.split("; "), "", "", ""][number]


# --- what they come to ------------------------------------------------------------------------------------------------


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


def beside(colour: str, names: Sequence[str]) -> Read:
    """Notes who of some people is in a picture with somebody: `blue 20.0`."""

    def read(told: str) -> str:
        found: dict[str, float] = {}
        for line in lines_of(told):
            there = colours(line)
            for name in names if colour in there else ():
                if name in there:
                    found.setdefault(name, line.start)
        return " ".join(f"{name} {start:.1f}" for name, start in found.items()) or f"none: {colour}"

    return read


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
