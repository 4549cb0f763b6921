"""How well captions say what a still shows: precision, recall and F1 of every field, micro-averaged."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from schemas.outputs import FrameCaption

FIELDS = ("place", "people", "objects", "signs", "actions")


@dataclass(frozen=True)
class Score:
    """Names of a field that were right, said, and true; a name counts as often as it stands there."""

    right: int = 0
    said: int = 0
    true: int = 0

    def __add__(self, other: "Score") -> "Score":
        return Score(self.right + other.right, self.said + other.said, self.true + other.true)

    @property
    def precision(self) -> float:
        return self.right / self.said if self.said else 0.0

    @property
    def recall(self) -> float:
        return self.right / self.true if self.true else 0.0

    @property
    def f1(self) -> float:
        return 2 * self.right / (self.said + self.true) if self.said + self.true else 1.0


def names(caption: FrameCaption | None) -> dict[str, list[str]]:
    """The names of every field; none at all for a caption that is not there."""
    if caption is None:
        return {field: [] for field in FIELDS}
    return {
        "place": [caption.place] if caption.place else [],
        "people": caption.subjects,
        "objects": caption.objects,
        "signs": caption.on_screen_text,
        "actions": caption.actions,
    }


def score(pairs: Iterable[tuple[FrameCaption, FrameCaption | None]]) -> dict[str, Score]:
    """Scores by field, and of `all` fields together, for pairs of (true, said). None: nothing that parses was said."""
    scores = {field: Score() for field in (*FIELDS, "all")}
    for true, said in pairs:
        wanted, given = names(true), names(said)
        for field in FIELDS:
            right = (Counter(wanted[field]) & Counter(given[field])).total()
            one = Score(right, len(given[field]), len(wanted[field]))
            scores[field] += one
            scores["all"] += one
    return scores
