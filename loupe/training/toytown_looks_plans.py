"""What plans of exploring toytown are made of: looks and listenings, what is noted of them, and pieces of plans.

A plan yields steps and is sent what is noted of their percepts. It knows nothing of the film but these notes.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence

from loupe.training.toytown_looks_prompts import Explored
from loupe.training.toytown_oracle_prompts import Line, lines_of
from loupe.training.toytown_oracle_steps import Part, Step, is_none, spans_in, stretch

FRAMES = 12
"""Of one look: what the tiny model takes."""
APART = 10.0
"""Seconds between the frames of a scan: no scene is shorter."""
SPARE = 5
"""Steps that a scan of the whole film leaves."""
SHORTEST = 1.5
"""Seconds: no event is shorter."""
LISTEN, OVERLAP = 120.0, 6.0
"""Seconds of one listening, and of it heard again in the next: no line is longer."""
Read = Callable[[str], str]


# --- steps ------------------------------------------------------------------------------------------------------------


def look(start: float, end: float, frames: int, read: Read) -> Step:
    return Step("look", {"start": round(start, 1), "end": round(end, 1), "frames": frames}, read, "Look.")


def watch(start: float, end: float, read: Read) -> Step:
    return Step("watch", {"start": round(start, 1), "end": round(end, 1), "frames": 3}, read, "Watch.")


def listen(start: float, end: float, read: Read) -> Step:
    return Step("listen", {"start": round(start, 1), "end": round(end, 1)}, read, "Listen.")


def apart(seen: Explored) -> float:
    """Seconds between the frames of a scan that leaves some steps."""
    looks = seen.seconds / (APART * FRAMES)
    return APART * max(1, math.ceil(looks / max(1, seen.steps - SPARE)))


def scans(seen: Explored, read: Read) -> Iterator[Step]:
    """Looks that go through the film; each begins where the one before ended, and the last ends with the film.

    What they show is told first, scene by scene, and what was looked for after that: whoever learns this learns to see.
    """
    step, start = apart(seen), 0.0
    while start < seen.seconds:
        end = min(start + (FRAMES - 1) * step, seen.seconds)
        yield look(start, end, math.ceil((end - start) / step) + 1, scenes_and(read))
        start = end


def closer(seen: Explored, start: float, end: float, read: Read, step: float = 1.0) -> Iterator[Step]:
    """Looks that go through a window, a frame a second or so."""
    start, end = max(0.0, float(int(start))), min(end, seen.seconds)
    while start < end:
        frames = max(1, min(FRAMES, int((seen.seconds - start) / step) + 1))
        yield look(start, min(start + (frames - 1) * step, seen.seconds), frames, read)
        start += frames * step


def hearings(seen: Explored, read: Read) -> Iterator[Step]:
    """All that is said, from the beginning."""
    start = 0.0
    while start < seen.seconds:
        yield listen(start, min(start + LISTEN, seen.seconds), read)
        start += LISTEN - OVERLAP


def until_found(steps: Iterator[Step]) -> Part:
    """Take steps until one shows something; gives its note."""
    note = "none: "
    for step in steps:
        note = yield step
        if not is_none(note):
            return note
    return note


# --- reading percepts -------------------------------------------------------------------------------------------------

SEEN = " | "
"""Between what a scan shows and what it was looked for."""


def scenes_and(read: Read) -> Read:
    """Notes place and sign whenever they change, in seconds, then what is read: `0 park, 20 park CAFE | CAFE 20.0`."""

    def read_all(told: str) -> str:
        scenes: list[tuple[float, str]] = []
        for line in lines_of(told):
            scene = " ".join(filter(None, (field(line, 0), field(line, 1))))
            if scene and (not scenes or scenes[-1][1] != scene):
                scenes.append((line.start, scene))
        return ", ".join(f"{start:.0f} {scene}" for start, scene in scenes) + SEEN + read(told)

    return read_all


def found_in(note: str) -> str:
    """What was read, without the scenes."""
    return note.rpartition(SEEN)[2]


def field(line: Line, number: int) -> str:
    """Of a frame in words: 0 place, 1 sign, 2 people, 3 actions."""
    return [*line.text.split("; "), "", "", ""][number]


def at(place: str, read: Read) -> Read:
    """The frames in a place alone."""
    return lambda told: read("\n".join(line for line in told.split("\n") if f"] {place};" in line))


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
            people = [who.split()[0] for who in field(line, 2).split(", ") if who]
            for name in names if colour in people else ():
                if name in people:
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
        frames = [line for line in lines_of(told) if line.text.count("; ") == 3 and field(line, number)]
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


# --- pieces of plans --------------------------------------------------------------------------------------------------


def scene_of(sign: str, seen: Explored) -> Generator[Step, str, tuple[str, float, float] | None]:
    """The place and the window of the scene with a sign, a little wider than frames have shown it; None: no sign."""
    note = yield from until_found(scans(seen, sign_and_place(sign)))
    if is_none(note):
        return None
    start, end = spans_in(note)[-1]
    step = apart(seen)
    at_edges = [(edge / step) % (FRAMES - 1) == 0 for edge in (start, end)]
    before, after = (3 * step if at_edge else step - 1 for at_edge in at_edges)  # it may lie in two windows
    return note.split()[-2], max(0.0, start - before), min(end + after, seen.seconds)


def in_scene(sign: str, seen: Explored, read: Read) -> Part:
    """What is noted of a scene, looked at closely."""
    scene = yield from scene_of(sign, seen)
    if scene is None:
        return f"none: {sign}"
    place, start, end = scene
    return (yield from until_found(closer(seen, start, end, at(place, read))))


def all_of(steps: Iterator[Step]) -> Generator[Step, str, list[str]]:
    """Every note of some steps."""
    notes: list[str] = []
    for step in steps:
        notes.append((yield step))
    return notes
