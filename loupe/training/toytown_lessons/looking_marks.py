"""What stands behind a mark in a note, where the mark alone does not say enough.

A note begins with what is looked for and its marks, so that it can be told from there what stands behind each.
"""

from collections import Counter
from dataclasses import dataclass

from loupe.training.toytown_lessons.oracle_prompts import Line


class Marks:
    """Of one note. By itself nothing stands behind a mark: `park yes`."""

    def head(self, phrase: str) -> str:
        """What stands behind a phrase at the note's beginning."""
        return ""

    def met(self, phrase: str, line: Line) -> str:
        """What stands behind a phrase that a frame or a line tells."""
        return ""


@dataclass
class Counted(Marks):
    """How often each was met, those before counted in: `park yes 3`."""

    count: Counter[str]

    def head(self, phrase: str) -> str:
        return str(self.count[phrase])

    def met(self, phrase: str, line: Line) -> str:
        self.count[phrase] += 1
        return str(self.count[phrase])


class Lasting(Marks):
    """From when to when a line that tells it is heard: `CAFE yes 45.0-47.0`, and `CAFE yes -` at the beginning."""

    def head(self, phrase: str) -> str:
        return "-"

    def met(self, phrase: str, line: Line) -> str:
        return f"{line.start:.1f}-{line.end:.1f}"
