"""What plans of exploring toytown are made of: looks and listenings, and pieces of plans.

A plan yields steps and is sent what is noted of their percepts. It knows nothing of the film but these notes.
"""

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace

from loupe.training.toytown_lessons.looking_findings import sign_and_place
from loupe.training.toytown_lessons.looking_notes import NEXT, Read, Sought, scenes
from loupe.training.toytown_lessons.looking_prompts import Explored
from loupe.training.toytown_lessons.oracle_steps import Part, Step, has_times, is_none, spans_in

FRAMES = 11
"""Of one look: ten steps from one to the next, so that the next window is easily reckoned."""
APART = 10.0
"""Seconds between the frames of a scan: no scene is shorter."""
SPARE = 5
"""Steps that a scan of the whole film leaves."""
Window = tuple[float, float]
"""From when to when, in seconds."""
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


def scans(seen: Explored, sought: Sought, step: float = 0.0) -> Iterator[Step]:
    """Looks that go through the film; each begins where the one before ended, and the last ends with the film."""
    step, start = step or apart(seen), 0.0
    while start < seen.seconds:
        end = min(start + (FRAMES - 1) * step, seen.seconds)
        yield look(start, end, math.ceil((end - start) / step) + 1, sought)
        start = end


def closer(
    seen: Explored,
    window: Window,
    sought: Sought,
    step: float = 1.0,
    *,
    last_first: bool = False,
    until: Callable[[str], bool] | None = has_times,
) -> list[Step]:
    """Looks that go through a window, a frame a second or so.

    What each notes ends with which is next: `look 131.0 to 141.0`, until a note is enough, if any is.
    """
    start, end = max(0.0, float(int(window[0]))), min(window[1], seen.seconds)
    starts: list[tuple[float, int]] = []
    while start < end:
        frames = max(2, min(FRAMES, int((seen.seconds - start) / step) + 1))
        starts.append((start, frames))
        start += (frames - 1) * step
    looks: list[Step] = []
    for start, frames in starts if last_first else reversed(starts):
        end = min(start + (frames - 1) * step, seen.seconds)
        read = leading(sought.read, way(looks), until)
        looks.insert(0, look(start, end, frames, replace(sought, read=read)))
    return looks


def leading(read: Read, on: str, until: Callable[[str], bool] | None) -> Read:
    """What a percept comes to, and where it leads if that is not enough."""

    def lead(told: str) -> str:
        note = read(told)
        return note if not on or (until and until(note)) else NEXT.join((note, on))

    return lead


def way(looks: Sequence[Step]) -> str:
    """Where the next look begins, and where the last one does."""
    return f"look {looks[0].arguments['start']:.1f} to {looks[-1].arguments['start']:.1f}" if looks else ""


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


def closer_in_scene(
    sign: str, seen: Explored, sought: Sought, *, last_first: bool = False
) -> Generator[Step, str, list[Step]]:
    """Looks that go through the scene with a sign and a little more, of which the frames of its place count.

    No looks where no scene has the sign.
    """

    def looks(note: str) -> list[Step]:
        _, _, place, _ = note.split()
        start, end = spans_in(note)[-1]
        step = apart(seen)
        at_edges = [(edge / step) % (FRAMES - 1) == 0 for edge in (start, end)]
        before, after = (3 * step if at_edge else step - 1 for at_edge in at_edges)  # it may lie in two windows
        window = max(0.0, start - before), min(end + after, seen.seconds)
        return closer(seen, window, sought.at(place), last_first=last_first)

    def read(told: str) -> str:
        note = sign_and_place(sign)(told)
        if is_none(note):
            return note
        return NEXT.join((note, way(looks(note))))

    note = yield from until_found(scans(seen, scenes((sign,), read)))
    return [] if is_none(note) else looks(note)


def in_scene(sign: str, seen: Explored, sought: Sought) -> Part:
    """What is noted of a scene, looked at closely."""
    looks = yield from closer_in_scene(sign, seen, sought)
    return (yield from until_found(iter(looks)))
