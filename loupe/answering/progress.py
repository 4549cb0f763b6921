"""How far a batch of questions is: a line while it runs, a report at its end."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, get_args

import pyarrow as pa

from schemas.traces import Status

STATUSES: tuple[str, ...] = get_args(Status)
SUMS = ("turns", "calls", "prompt_tokens", "completion_tokens", "critic_tokens", "frames", "pixels", "retries", "cost")
"""Columns of an answer that the report adds up."""


class Progress:
    """Counts answers: those that were finished before, and those of this job."""

    def __init__(self, left: int, finished: pa.Table, clock: Callable[[], float] = time.monotonic) -> None:
        self.total = finished.num_rows + left
        self.before = Tally()
        self.before.add(finished)
        self.now = Tally()
        self._clock = clock
        self._began = clock()

    @property
    def seconds(self) -> float:
        """Since the job began."""
        return self._clock() - self._began

    def add(self, answers: pa.Table) -> None:
        """Count rows of `ANSWERS`."""
        self.now.add(answers)

    def statuses(self) -> dict[str, int]:
        """Of all questions that are finished, how many ended how; in the order of STATUSES."""
        both = self.before.statuses + self.now.statuses
        return {status: both[status] for status in STATUSES if both[status]}

    def line(self) -> str:
        """The progress line."""
        done = self.now.questions
        left = self.total - self.before.questions - done
        eta = f"{self.seconds * left / done:.0f} s left" if done else "no estimate yet"
        told = "".join(f"{status} {count}  " for status, count in self.statuses().items())
        tokens, cost = self.now.spent()
        return (
            f"{self.seconds:6.0f} s  questions {self.total - left}/{self.total}  {told}"
            f"tokens {tokens}  ${cost:.4f}  {eta}"
        )

    def report(self) -> dict[str, Any]:
        """What report.json holds: of all questions that are finished, and what of it this job spent."""
        now, before = self.now, self.before
        return {
            "seconds": round(self.seconds, 1),
            "questions": {"all": self.total, "finished_before": before.questions, "finished_now": now.questions},
            "statuses": self.statuses(),
            "limits": dict(before.limits + now.limits),
            "errors": dict(self.errors()),
            "spent": rounded(before.sums + now.sums),
            "spent_now": rounded(now.sums),
            "spent_by_role": {
                role: rounded(before.by_role.get(role, Counter()) + now.by_role.get(role, Counter()))
                for role in sorted(before.by_role.keys() | now.by_role.keys())
            },
        }

    def errors(self) -> Counter[str]:
        """Of all failed questions, how many for which reason."""
        return self.before.errors + self.now.errors


class Tally:
    """What rows of `ANSWERS` add up to."""

    def __init__(self) -> None:
        self.questions = 0
        self.statuses: Counter[str] = Counter()
        self.limits: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.sums: Counter[str] = Counter()
        self.by_role: dict[str, Counter[str]] = {}

    def spent(self) -> tuple[int, float]:
        """Tokens and US dollars."""
        return int(self.sums["prompt_tokens"] + self.sums["completion_tokens"]), float(self.sums["cost"])

    def add(self, answers: pa.Table) -> None:
        """Count rows."""
        self.questions += answers.num_rows
        for row in answers.select([*SUMS, "status", "limit", "error", "spent"]).to_pylist():
            self.statuses[row["status"]] += 1
            self.limits.update([row["limit"]] if row["limit"] else [])
            self.errors.update([kind_of(row["error"])] if row["status"] == "failed" else [])
            self.sums.update({name: row[name] or 0 for name in SUMS})
            self._add_spent(row["spent"] or ())

    def _add_spent(self, spent: Iterable[Mapping[str, Any]]) -> None:
        for part in spent:
            numbers = {name: value for name, value in part.items() if name not in ("role", "model")}
            self.by_role.setdefault(part["role"], Counter()).update(numbers)


def rounded(sums: Counter[str]) -> dict[str, int | float]:
    """Sums for people."""
    return {name: round(value, 6) for name, value in sums.items()}


def kind_of(error: str | None) -> str:
    """What an error is counted as: its class, or its beginning where it names none."""
    told = (error or "no reason").partition(": ")
    return told[0][:60]
