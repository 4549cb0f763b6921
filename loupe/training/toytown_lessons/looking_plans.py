"""What plans of exploring toytown are made of: looks and listenings, and pieces of plans.

A plan yields steps and is sent what is noted of their percepts. It knows nothing of the film but these notes.
"""

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace

from loupe.training.toytown_lessons.looking_findings import sign_and_place
from loupe.training.toytown_lessons.looking_marks import Staying
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

    What each notes ends with what is left: `look 130.0 to 150.0`, until a note is enough, if any is. Who learns it has
    to copy these times and not to reckon them: the window begins and ends at times that a scan has shown, and each look
    begins where the one before ended.
    """
    start, end = window
    starts: list[tuple[float, int]] = []
    while start < end:
        frames = max(2, min(FRAMES, int((seen.seconds - start) / step) + 1))
        starts.append((start, frames))
        start += (frames - 1) * step
    looks: list[Step] = []
    for start, frames in starts if last_first else reversed(starts):
        end = min(start + (frames - 1) * step, seen.seconds)
        read = leading(sought.read, way(looks, window, last_first=last_first), until)
        looks.insert(0, look(start, end, frames, replace(sought, read=read)))
    return looks


def leading(read: Read, on: str, until: Callable[[str], bool] | None) -> Read:
    """What a percept comes to, and where it leads if that is not enough."""

    def lead(told: str) -> str:
        note = read(told)
        return note if not on or (until and until(note)) else NEXT.join((note, on))

    return lead


def around(seen: Explored, start: float, end: float, step: float) -> Window:
    """The times of a scan before the first frame of something and after its last one."""
    return max(0.0, start - step), min(end + step, seen.seconds)


def way(looks: Sequence[Step], window: Window, *, last_first: bool = False) -> str:
    """What is left of a window: from where the next look begins to its end; or from its end back to its beginning."""
    if not looks:
        return ""
    begins = looks[0].arguments["start"]
    return f"look {begins:.1f} back to {window[0]:.1f}" if last_first else f"look {begins:.1f} to {window[1]:.1f}"


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

    def window(note: str) -> Window:
        (start, end), step = spans_in(note)[-1], apart(seen)
        first, last = ((edge / step) % (FRAMES - 1) == 0 for edge in (start, end))  # it may lie in two scans
        return around(seen, start - 2 * step * first, end + 2 * step * last, step)

    def looks(note: str) -> list[Step]:
        _, _, place, _ = note.split()
        return closer(seen, window(note), sought.at(place), last_first=last_first)

    def read(told: str) -> str:
        note = sign_and_place(sign)(told)
        return note if is_none(note) else NEXT.join((note, way(looks(note), window(note), last_first=last_first)))

    note = yield from until_found(scans(seen, replace(scenes((sign,), read), marks=Staying())))
    return [] if is_none(note) else looks(note)


def in_scene(sign: str, seen: Explored, sought: Sought) -> Part:
    """What is noted of a scene, looked at closely."""
    looks = yield from closer_in_scene(sign, seen, sought)
    return (yield from until_found(iter(looks)))
