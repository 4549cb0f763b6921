"""How what is looked for is marked in a note, and what stands behind a mark.

A note begins with what is looked for and its marks: who goes on as before marks it so wherever it is met. Each kind of
mark has a word of its own, which tells what follows it.
"""

from collections import Counter
from dataclasses import dataclass, field

from loupe.training.toytown_lessons.oracle_prompts import Line
from loupe.training.toytown_lessons.oracle_steps import stretch


class Marks:
    """Of one note. By itself nothing stands behind a mark: `park yes`."""

    word = "yes"

    def head(self, phrase: str) -> str:
        """What stands behind a phrase at the note's beginning."""
        return ""

    def line(self, line: Line, told: str) -> str:
        """The next frame or line, as it is told."""
        return told

    def met(self, phrase: str, line: Line) -> str:
        """What stands behind a phrase that a frame or a line tells."""
        return ""


@dataclass
class Staying(Marks):
    """From its second frame on the first word, the place, by since when: `10 park, 20 park from 10.0-20.0 CAFE yes`."""

    place: str = ""
    since: float = 0.0

    def line(self, line: Line, told: str) -> str:
        place, _, rest = told.partition(" ")
        if place != self.place:
            self.place, self.since = place, line.start
            return told
        return f"{place} from {stretch(self.since, line.start)} {rest}".strip()


@dataclass
class Counted(Marks):
    """How often each was met, those before counted in: `park times 3`."""

    count: Counter[str]
    word = "times"

    def head(self, phrase: str) -> str:
        return str(self.count[phrase])

    def met(self, phrase: str, line: Line) -> str:
        self.count[phrase] += 1
        return str(self.count[phrase])


class Lasting(Marks):
    """From when to when a line that tells it is heard: `CAFE heard 45.0-47.0`."""

    word = "heard"

    def met(self, phrase: str, line: Line) -> str:
        return f"{line.start:.1f}-{line.end:.1f}"


@dataclass
class Running(Marks):
    """Since when frames after frames have shown it: `CAFE from 20.0`, then `CAFE from 20.0-30.0`."""

    told: int = 0
    """Frames so far."""
    runs: dict[str, tuple[float, int]] = field(default_factory=dict)
    """When the newest run of each began, and the number of the frame that it came to."""
    word = "from"

    def line(self, line: Line, told: str) -> str:
        self.told += 1
        return told

    def met(self, phrase: str, line: Line) -> str:
        start, last = self.runs.get(phrase, (line.start, 0))
        self.runs[phrase] = (start if last >= self.told - 1 else line.start, self.told)
        return stretch(self.runs[phrase][0], line.start)
