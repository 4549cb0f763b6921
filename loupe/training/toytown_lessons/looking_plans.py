"""What plans of exploring toytown are made of: looks and listenings, and pieces of plans.

A plan yields steps and is sent what is noted of their percepts. It knows nothing of the film but these notes.
"""

import math
from collections.abc import Generator, Iterator

from loupe.training.toytown_lessons.looking_notes import Read, Sought, scenes, sign_and_place
from loupe.training.toytown_lessons.looking_prompts import Explored
from loupe.training.toytown_lessons.oracle_steps import Part, Step, is_none, spans_in

FRAMES = 11
"""Of one look: ten steps from one to the next, so that the next window is easily reckoned."""
APART = 10.0
"""Seconds between the frames of a scan: no scene is shorter."""
SPARE = 5
"""Steps that a scan of the whole film leaves."""
SHORTEST = 1.5
"""Seconds: no event is shorter."""
LISTEN, OVERLAP = 100.0, 6.0
"""Seconds from one listening to the next, and those that are heard twice: no line is longer."""


# --- steps ------------------------------------------------------------------------------------------------------------


def look(start: float, end: float, frames: int, sought: Sought) -> Step:
    return Step("look", {"start": round(start, 1), "end": round(end, 1), "frames": frames}, sought.note, "Look.")


def watch(start: float, end: float, read: Read) -> Step:
    return Step("watch", {"start": round(start, 1), "end": round(end, 1), "frames": 3}, read, "Watch.")


def listen(start: float, end: float, sought: Sought) -> Step:
    return Step("listen", {"start": round(start, 1), "end": round(end, 1)}, sought.note, "Listen.")


def apart(seen: Explored) -> float:
    """Seconds between the frames of a scan that leaves some steps."""
    looks = seen.seconds / (APART * (FRAMES - 1))
    return APART * max(1, math.ceil(looks / max(1, seen.steps - SPARE)))


def scans(seen: Explored, sought: Sought) -> Iterator[Step]:
    """Looks that go through the film; each begins where the one before ended, and the last ends with the film."""
    step, start = apart(seen), 0.0
    while start < seen.seconds:
        end = min(start + (FRAMES - 1) * step, seen.seconds)
        yield look(start, end, math.ceil((end - start) / step) + 1, sought)
        start = end


def closer(seen: Explored, start: float, end: float, sought: Sought, step: float = 1.0) -> Iterator[Step]:
    """Looks that go through a window, a frame a second or so."""
    start, end = max(0.0, float(int(start))), min(end, seen.seconds)
    while start < end:
        frames = max(2, min(FRAMES, int((seen.seconds - start) / step) + 1))
        yield look(start, min(start + (frames - 1) * step, seen.seconds), frames, sought)
        start += (frames - 1) * step


def hearings(seen: Explored, sought: Sought) -> Iterator[Step]:
    """All that is said, from the beginning."""
    start = 0.0
    while start < seen.seconds:
        yield listen(start, min(start + LISTEN + OVERLAP, seen.seconds), sought)
        start += LISTEN


def until_found(steps: Iterator[Step]) -> Part:
    """Take steps until one shows something; gives its note."""
    note = "none: "
    for step in steps:
        note = yield step
        if not is_none(note):
            return note
    return note


# --- pieces of plans --------------------------------------------------------------------------------------------------


def closer_in_scene(sign: str, seen: Explored, sought: Sought) -> Generator[Step, str, tuple[str, list[Step]]]:
    """The place of the scene with a sign, and looks that go through it and a little more; no looks: no sign."""
    note = yield from until_found(scans(seen, scenes((sign,), sign_and_place(sign))))
    if is_none(note):
        return "", []
    place = note.split()[-2]
    start, end = spans_in(note)[-1]
    step = apart(seen)
    at_edges = [(edge / step) % (FRAMES - 1) == 0 for edge in (start, end)]
    before, after = (3 * step if at_edge else step - 1 for at_edge in at_edges)  # it may lie in two windows
    start, end = max(0.0, start - before), min(end + after, seen.seconds)
    return place, list(closer(seen, start, end, sought.at(place)))


def in_scene(sign: str, seen: Explored, sought: Sought) -> Part:
    """What is noted of a scene, looked at closely."""
    _, looks = yield from closer_in_scene(sign, seen, sought)
    return (yield from until_found(iter(looks)))


def all_of(steps: Iterator[Step]) -> Generator[Step, str, list[str]]:
    """Every note of some steps."""
    notes: list[str] = []
    for step in steps:
        notes.append((yield step))
    return notes
