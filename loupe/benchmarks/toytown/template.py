"""What a kind of question is: a wording with names to fill in, and how facts answer it."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from loupe.benchmarks.toytown.facts import Facts
from loupe.benchmarks.toytown.truth import Row
from schemas.questions import AnswerType

Names = Mapping[str, str]
Pool = Callable[[Facts], Sequence[str]]


@dataclass(frozen=True)
class Found:
    """An answer, and the rows that it rests on."""

    value: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Template:
    """One kind of question.

    `solve(facts, names, options)` gives the one answer, or None where there is none or more than one. `names` says
    what each name in the wording can be. `absent` does so for one of them where the film does not answer.

    Options come from one of three places. `pool` holds those of a question that asks which of them it is. `others`
    holds names that could be the answer as well, all alike before the film is seen. Without either, options are
    answers to the same wording with other names.
    """

    capability: str
    answer_type: AnswerType
    wording: str
    solve: Callable[[Facts, Names, Sequence[str]], Found | None]
    names: Mapping[str, Pool]
    absent: tuple[str, Pool] | None = None
    pool: Pool | None = None
    others: Pool | None = None
    evenly: str | None = None
    """The name that is fixed first, so that for each of its values every answer from 1 to 4 is as likely."""

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Matches the wording and gives its names back."""
        parts = re.split(r"{(\w+)}", self.wording)
        return re.compile("".join(f"(?P<{part}>.+)" if i % 2 else re.escape(part) for i, part in enumerate(parts)))


def only(values: Sequence[str]) -> str | None:
    """The value, if all are the same and there is one."""
    return values[0] if len(set(values)) == 1 else None


def found(rows: Sequence[Row], values: Sequence[str | None]) -> Found | None:
    """The one value that all rows agree on."""
    value = only([str(value) for value in values if value is not None])
    return Found(value, tuple(rows)) if value is not None else None
