"""What stands behind a mark in a note, by which a small decoder carries on what it knows.

A mark is repeated behind the same word as before, or follows from the last one: either takes one step back in the
text. What all frames come to is then read off the last marks, and the next note begins with them.
"""

from collections import Counter
from dataclasses import dataclass, field

from loupe.training.toytown_lessons.oracle_prompts import Line


class Marks:
    """Of one note. By itself nothing stands behind a mark."""

    def head(self, phrase: str) -> str:
        """What stands behind a phrase at the note's beginning: what was known before."""
        return ""

    def met(self, phrase: str, line: Line) -> str:
        """What stands behind a phrase that a frame or a line tells."""
        return ""

    def passed(self, phrase: str, line: Line) -> str:
        """What ends a frame or a line that does not tell a phrase."""
        return ""


@dataclass
class Counted(Marks):
    """How often each was met: `park yes 3`."""

    count: Counter[str]

    def head(self, phrase: str) -> str:
        return str(self.count[phrase])

    def met(self, phrase: str, line: Line) -> str:
        self.count[phrase] += 1
        return str(self.count[phrase])


@dataclass
class Ranked(Marks):
    """As which of all each was met first: `park yes 1`, 0 where it was not met yet."""

    first: dict[str, float]
    """When each was, in this order."""

    def head(self, phrase: str) -> str:
        return str([*self.first].index(phrase) + 1 if phrase in self.first else 0)

    def met(self, phrase: str, line: Line) -> str:
        self.first.setdefault(phrase, line.start)
        return self.head(phrase)


@dataclass
class Since(Marks):
    """Since when each is shown without a break, and to when: `10 CAFE yes 10, 20 CAFE yes 10, 30 beach to 30`."""

    begun: dict[str, float] = field(default_factory=dict)

    def head(self, phrase: str) -> str:
        return f"{self.begun[phrase]:g}" if phrase in self.begun else ""

    def met(self, phrase: str, line: Line) -> str:
        return f"{self.begun.setdefault(phrase, line.start):g}"

    def passed(self, phrase: str, line: Line) -> str:
        return "" if self.begun.pop(phrase, None) is None else f"to {line.start:g}"


class Lasting(Marks):
    """From when to when a line that tells it is heard: `CAFE yes 45.0-47.0`."""

    def met(self, phrase: str, line: Line) -> str:
        return f"{line.start:.1f}-{line.end:.1f}"
