"""All that a report tells, as values: read by the tables, the plots and the page alike."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loupe.scoring.amortizing import Costs
from loupe.scoring.scored import Scored
from loupe.scoring.statistics import Paired
from loupe.scoring.summary import Sampling, Summary
from schemas.questions import Question

Row = Mapping[str, Any]


@dataclass(frozen=True)
class About:
    """What was run, as the answers say; more than one of a thing where they differ."""

    policies: tuple[str, ...]
    models: tuple[str, ...]
    """role: model"""
    configs: tuple[str, ...]
    date: str
    """Of the first question."""

    @classmethod
    def of(cls, answers: Iterable[Row]) -> "About":
        """From rows of `ANSWERS`."""
        rows = list(answers)
        return cls(
            policies=_distinct(row["policy"] for row in rows),
            models=_distinct(f"{each['role']}: {each['model']}" for row in rows for each in row["models"] or ()),
            configs=_distinct(row["config_hash"] for row in rows),
            date=min((row["date"] for row in rows if row["date"]), default=""),
        )

    @property
    def name(self) -> str:
        """The run in a few words."""
        return ", ".join(self.policies) or "nothing answered"


def _distinct(names: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(sorted({name for name in names if name}))


@dataclass(frozen=True)
class Against:
    """Another run over the same questions."""

    output: str
    """Where its answers are."""
    about: About
    summary: Summary
    scores: Sequence[Scored]
    paired: Paired
    """This report's run minus the other."""


@dataclass(frozen=True)
class Report:
    """A run, scored."""

    output: str
    """Where its answers are."""
    about: About
    questions: Sequence[Question]
    scores: Sequence[Scored]
    """As the questions, in their order."""
    answers: Mapping[str, Row]
    """Rows of `ANSWERS` by question_id."""
    summary: Summary
    sampling: Sampling
    costs: Costs | None
    """None where the films' lengths are not known."""
    against: Sequence[Against]
    """Others to compare with; none, one or several."""
    notes: tuple[str, ...]
    """What a reader should know of how the numbers came about, beside the rules that hold for every run."""

    @property
    def runs(self) -> list[tuple[str, Summary]]:
        """This run and the others, each by its policy; runs of one policy also by their folders."""
        runs = [(self.output, self.about.name, self.summary)]
        runs += [(other.output, other.about.name, other.summary) for other in self.against]
        times = Counter(policy for _, policy, _ in runs)
        return [
            (policy if times[policy] == 1 else f"{policy} in {_folder(output)}", summary)
            for output, policy, summary in runs
        ]

    @property
    def others(self) -> list[tuple[str, Against]]:
        """The others by the names that they have in `runs`."""
        return [(name, other) for (name, _), other in zip(self.runs[1:], self.against, strict=True)]


def _folder(output: str) -> str:
    return output.rstrip("/").rpartition("/")[2]
