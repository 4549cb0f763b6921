"""What a job has spent, over all of its actors: each reports its own now and then, and learns what the others did."""

import uuid
from dataclasses import dataclass, field

from loupe.agent.budget import Spent
from loupe.config import Budget


class Purse:
    """The sum of what everybody reported. Who died has spent what it last reported."""

    def __init__(self, tokens: int = 0, cost: float = 0.0) -> None:
        self._by = {"before": (tokens, cost)}

    def report(self, who: str, tokens: int, cost: float) -> tuple[int, float]:
        """Take down what `who` has spent since it began; gives tokens and US dollars of all."""
        self._by[who] = tokens, cost
        return sum(tokens for tokens, _ in self._by.values()), sum(cost for _, cost in self._by.values())


def bounded(budget: Budget) -> bool:
    """Whether a budget needs a purse at all."""
    return budget.tokens is not None or budget.cost is not None


@dataclass
class Account:
    """One actor's part of a purse. What the others spent is added to `spent`, which its questions look at."""

    spent: Spent
    who: str = field(default_factory=lambda: uuid.uuid4().hex)
    _others: tuple[int, float] = (0, 0.0)

    def own(self) -> tuple[int, float]:
        """Tokens and US dollars that this actor has spent by itself."""
        tokens, cost = self._others
        return self.spent.tokens - tokens, self.spent.cost - cost

    def learn(self, reported: tuple[int, float], total: tuple[int, float]) -> None:
        """Take in the purse's answer to a report; one that was begun anew knows too little until all have reported."""
        others = max(total[0] - reported[0], self._others[0]), max(total[1] - reported[1], self._others[1])
        self.spent.add(others[0] - self._others[0], others[1] - self._others[1])
        self._others = others
