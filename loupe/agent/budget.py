"""What a question or a job has spent, and whether it may spend more."""

from dataclasses import dataclass
from typing import Literal

from loupe.config import Budget


@dataclass
class Spent:
    """Counted up as calls come back."""

    since: float
    """When it began, by the clock of the desk, in seconds."""
    tokens: int = 0
    """Prompt and completion."""
    cost: float = 0.0
    """US dollars."""

    def add(self, tokens: int, cost: float) -> None:
        """Count one call."""
        self.tokens += tokens
        self.cost += cost

    def reached(self, budget: Budget, now: float) -> Literal["tokens", "seconds", "cost"] | None:
        """Which limit has been reached, if any."""
        if budget.tokens is not None and self.tokens >= budget.tokens:
            return "tokens"
        if budget.seconds is not None and now - self.since >= budget.seconds:
            return "seconds"
        if budget.cost is not None and self.cost >= budget.cost:
            return "cost"
        return None
