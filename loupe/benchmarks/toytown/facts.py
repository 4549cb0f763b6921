"""Rows of truth, arranged for looking things up: what every question is asked and answered with."""

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence

from loupe.benchmarks.toytown.speech import BRANDS, words
from loupe.benchmarks.toytown.truth import Row


class Facts:
    """What is known of a film, from its truth or from captions."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self.rows: dict[str, list[Row]] = defaultdict(list)
        for row in sorted(rows, key=lambda row: row.start_ms):
            self.rows[row.kind].append(row)
        self.scenes = self.rows["scene"]
        self._starts = [scene.start_ms for scene in self.scenes]
        self._by_scene: dict[tuple[int, str], list[Row]] = defaultdict(list)
        for kind in ("event", "person", "object"):
            for row in self.rows[kind]:
                self._by_scene[self._index((row.start_ms + row.end_ms) // 2), kind].append(row)
        self.signs: dict[str, Row] = {}
        for sign in self.rows["sign"]:
            self.signs.setdefault(str(sign.word), sign)
        self.said: dict[str, list[Row]] = defaultdict(list)
        """Lines that mention a brand."""
        brands = {brand.lower(): brand for brand in BRANDS}
        for line in self.rows["line"]:
            for word in words(str(line.text)):
                if word in brands:
                    self.said[brands[word]].append(line)
        self.colours = sorted({str(row.colour) for row in self.rows["person"]})

    def _index(self, ms: int) -> int:
        return max(0, bisect_right(self._starts, ms) - 1)

    def scene_at(self, ms: int) -> Row:
        """The scene at a time."""
        return self.scenes[self._index(ms)]

    def within(self, scene: Row, kind: str) -> list[Row]:
        """The events, people or objects of a scene."""
        return self._by_scene[self._index(scene.start_ms), kind]

    def scene_with(self, sign: str) -> Row | None:
        """The scene in which a sign is shown."""
        row = self.signs.get(sign)
        return self.scene_at((row.start_ms + row.end_ms) // 2) if row else None

    def lines(self, pattern: str) -> list[tuple[Row, str]]:
        """Lines of a form, each with what the form's group stands for."""
        compiled = re.compile(pattern)
        return [(row, match[1]) for row in self.rows["line"] if (match := compiled.fullmatch(str(row.text)))]

    def people(self, scene: Row) -> set[str]:
        """The colours of everybody in a scene."""
        return {str(row.colour) for row in self.within(scene, "person")}


def seconds(rows: Sequence[Row]) -> float:
    """How long rows last, all together."""
    return sum(row.end_ms - row.start_ms for row in rows) / 1000
