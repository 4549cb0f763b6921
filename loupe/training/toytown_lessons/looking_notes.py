"""What is noted of a percept while toytown is explored.

First what is looked for, each followed by a mark, then each frame or line by itself, in which the same words are
followed by the mark, then what all come to, what that makes with all before, and what is next:

    for CAFE yes BANK yes: 0 park, 10 park CAFE yes, 20 beach | CAFE 10.0; all BANK 7.0 CAFE 10.0; look 0.0 to 10.0

Who learns to write the list learns to see and to listen. To mark in it what is looked for takes no more than to go on
as before where the same word stood: the first thing that a small decoder learns. Two words would be many times harder
to tell from others that share the last, so the list tells only of whom, or of what, the question asks, and one word is
marked. What is new stands by itself before what was found before, for the same reason: both are then copied, and only
what stands right before has to be added.
"""

import re
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace

from loupe.benchmarks.toytown.speech import BRANDS, NUMBERS
from loupe.benchmarks.toytown.world import COLOURS, PLACES, THINGS
from loupe.training.toytown_lessons.looking_marks import Marks, Running
from loupe.training.toytown_lessons.oracle_prompts import Line, lines_of
from loupe.training.toytown_lessons.oracle_steps import NOTHING

Read = Callable[[str], str]
"""What a percept in words comes to."""
Tell = Callable[[Line], str]
"""What a frame or a line says by itself."""
SEEN = " | "
"""Stands before what the frames or lines came to."""
ALL = "; all "
"""Stands before what that makes with all before."""
NEXT = "; "
"""Stands before what is next."""
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
    marks: Marks = Marks()

    def note(self, told: str) -> str:
        """The note of a percept in words. What is sought does not begin it: it would be other tokens there."""
        marks = deepcopy(self.marks)
        sought = " ".join(_mark(phrase, marks, marks.head(phrase)) for phrase in self.phrases)
        each = ", ".join(f"{moment(line)} {self._marked(line, marks)}" for line in lines_of(told))
        return f"for {sought}: {each or '-'}{SEEN}{short(self.read(told))}"

    def _marked(self, line: Line, marks: Marks) -> str:
        told = marks.line(line, self.tell(line) or "-")
        sought = rf"\b(?:{'|'.join(map(re.escape, self.phrases))})\b"
        return re.sub(sought, lambda match: _mark(match[0], marks, marks.met(match[0], line)), told)

    def at(self, place: str) -> "Sought":
        """The same, of which the frames of a place alone count."""

        def read(told: str) -> str:
            return self.read("\n".join(line for line in told.split("\n") if f"] {place};" in line))

        return replace(self, read=read)


def _mark(phrase: str, marks: Marks, behind: str) -> str:
    return " ".join(filter(None, (phrase, marks.word, behind)))


def with_all(now: str, so_far: str) -> str:
    """What frames or lines come to, and what that makes with all before: `BANK 20.0; all CAFE 10.0 BANK 20.0`."""
    return f"{now or NOTHING}{ALL}{so_far or NOTHING}"


def told_anew(said: str) -> tuple[tuple[int, int], ...]:
    """Where in a turn something stands that cannot be had by saying again what was said of the frame before.

    First and last letter + 1 of what is told of each frame or line that differs from the one before, and of all behind.
    A frame is mostly like the one before: who learns all alike learns to copy, and passes over who comes in.
    """
    listed, bar, behind = said.partition(SEEN)
    if not bar:
        return ()
    anew = [(len(said) - len(behind), len(said))]
    before, at = "", listed.find(": ") + len(": ")
    for entry in listed[at:].split(", "):
        told, end = entry.partition(" ")[2], at + len(entry)
        if told != before:
            anew.append((end - len(told), end))
        before, at = told, end + len(", ")
    return tuple(anew)


def found_in(note: str) -> str:
    """What was found so far, without what is next."""
    told = note.rpartition(SEEN)[2]
    return (told.partition(ALL)[2] or told).partition(NEXT)[0]


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


def runs(names: Sequence[str], read: Read) -> Sought:
    """The same, marked by since when: `0 park, 10 park CAFE from 10.0, 20 park CAFE from 10.0-20.0`."""
    return Sought(tuple(names), scene, read, Running())


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
