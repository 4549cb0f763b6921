"""What is noted of a percept while toytown is explored.

First what is looked for, each followed by a mark, then each frame or line by itself, in which the same words are
followed by the mark, then what all come to: `for CAFE yes: 0 park, 10 park CAFE yes, 20 beach | CAFE 10.0`. Who learns
to write the list learns to see and to listen. To mark in it what is looked for takes no more than to go on as before
where the same word stood: the first thing that a small decoder learns. Two words would be many times harder to tell
from others that share the last, so the list tells only of whom, or of what, the question asks, and one word is marked.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from loupe.benchmarks.toytown.speech import BRANDS, NUMBERS
from loupe.benchmarks.toytown.world import COLOURS, PLACES, THINGS
from loupe.training.toytown_lessons.oracle_prompts import Line, lines_of
from loupe.training.toytown_lessons.oracle_steps import stretch

Read = Callable[[str], str]
"""What a percept in words comes to."""
Tell = Callable[[Line], str]
"""What a frame or a line says by itself."""
SEEN = " | "
YES = "yes"
AT_REST = ("stands", "walks")
TELLING = frozenset(
    (*COLOURS, *PLACES, *THINGS, *NUMBERS, *(brand.lower() for brand in BRANDS), "costs", "number", "want", "from")
)
"""Words of spoken lines by which questions are answered."""


@dataclass(frozen=True)
class Sought:
    """What is looked for, what each frame or line tells, and what all of them come to."""

    phrases: tuple[str, ...]
    tell: Tell
    read: Read
    counted: Counter[str] | None = None
    """How often each was met before, where the mark of each is which it is: `park yes 3`."""

    def note(self, told: str) -> str:
        """The note of a percept in words. What is sought does not begin it: it would be other tokens there."""
        each = ", ".join(f"{moment(line)} {self.tell(line) or '-'}" for line in lines_of(told))
        sought = " ".join(self._mark(phrase, self.counted) for phrase in self.phrases)
        return f"for {sought}: {self._marked(each) or '-'}{SEEN}{short(self.read(told))}"

    def _marked(self, text: str) -> str:
        counted = Counter(self.counted)

        def mark(match: re.Match[str]) -> str:
            counted[match[0]] += 1
            return self._mark(match[0], None if self.counted is None else counted)

        return re.sub(rf"\b({'|'.join(map(re.escape, self.phrases))})\b", mark, text)

    @staticmethod
    def _mark(phrase: str, counted: Counter[str] | None) -> str:
        return f"{phrase} {YES}" if counted is None else f"{phrase} {YES} {counted[phrase]}"

    def at(self, place: str) -> "Sought":
        """The same, of which the frames of a place alone count."""

        def read(told: str) -> str:
            return self.read("\n".join(line for line in told.split("\n") if f"] {place};" in line))

        return replace(self, read=read)


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


def doings(line: Line) -> str:
    """Who is there, and what each does but stand and walk: `red jumps blue holds cake green`."""
    return " ".join(" ".join([colour, *does]) for colour, does in _doings(line).items()) or "nobody"


def doings_of(colour: str) -> Tell:
    """What somebody does but stand and walk: `red jumps`."""

    def tell(line: Line) -> str:
        does = _doings(line)
        return " ".join([colour, *does[colour]]) if colour in does else ""

    return tell


def _doings(line: Line) -> dict[str, list[str]]:
    """By colour, of all who are there."""
    by_colour: dict[str, list[str]] = {}
    for action in filter(None, field(line, 3).split(", ")):
        colour, _, doing = action.partition(" person ")
        by_colour.setdefault(colour, []).extend([] if doing in AT_REST else [doing])
    return by_colour


def scene_and(tell: Tell) -> Tell:
    """Place, sign, and what is told of the people there."""
    return lambda line: f"{scene(line)} {tell(line)}".strip()


def looks_of(colour: str) -> Tell:
    """Who is there, and what somebody looks like: `red blue square with top hat`."""

    def tell(line: Line) -> str:
        told = [short(who) if who.split()[0] == colour else who.split()[0] for who in field(line, 2).split(", ") if who]
        return " ".join(told) or "nobody"

    return tell


def gist(line: Line) -> str:
    """The words of a line that tell something: `kite costs six`; the last one where none does."""
    said = line.text.split()
    return " ".join(word for word in said if word.lower() in TELLING) or (said[-1] if said else "")


def said_of(kind: str, *, last_first: bool = False) -> Tell:
    """What lines with a word say besides: `red six` of `red number six`, or the other way round."""

    def tell(line: Line) -> str:
        said = gist(line).split()
        rest = [word for word in said if word != kind] if kind in said else []
        return " ".join(rest[::-1] if last_first else rest)

    return tell


def brands(line: Line) -> str:
    """Those that a line names, as signs write them."""
    return " ".join(word.upper() for word in line.text.split() if word.upper() in BRANDS)


def scenes(names: Sequence[str], read: Read) -> Sought:
    """Place and sign of each frame: `0 park, 10 park CAFE yes`."""
    return Sought(tuple(names), scene, read)


def people(names: Sequence[str], read: Read) -> Sought:
    """Who is in each frame: `0 red blue yes, 10 nobody`."""
    return Sought(tuple(names), crowd, read)


def doing(phrase: str, read: Read, colour: str = "") -> Sought:
    """What is done in each frame: `30 red blue, 31 red jumps yes blue`; of somebody alone: `30 -, 31 red jumps yes`."""
    return Sought((phrase,), doings_of(colour) if colour else doings, read)


def lines_with(phrases: Sequence[str], tell: Tell, read: Read) -> Sought:
    """What is told of each line that was heard: `45 -, 47 kite yes six`; what they come to is read of their gists."""

    def read_gists(told: str) -> str:
        return read("\n".join(f"[{line.start:.1f}-{line.end:.1f}] {gist(line)}" for line in lines_of(told)))

    return Sought(tuple(phrases), tell, read_gists)


def short(told: str) -> str:
    """Without what goes without saying."""
    return told.replace(" person", "")


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
