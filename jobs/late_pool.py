"""Actors for rows that come last of all, opened while other work goes on: that takes as long as loading a model."""

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from typing import Any

import ray
from loupe.config import Actors, share_of_gpus
from ray.exceptions import RayActorError

from jobs.on_ray import DEATHS, say

TICK_S = 1.0
"""So often at least whoever waits for rows hears of it."""


class LatePool:
    """As many actors as their stage may have, each at work on `in_flight` rows at a time.

    One that cannot be opened is told of at once and tried again, so often as the other stages' are. One that dies is
    opened anew, and its rows are given to it again.
    """

    def __init__(self, kind: type, stage: Actors, in_flight: int, *arguments: Any) -> None:
        options = {"max_restarts": DEATHS, "max_task_retries": DEATHS, "max_concurrency": in_flight}
        self._kind = ray.remote(num_cpus=stage.cpus, **share_of_gpus(stage.gpus), **options)(kind)
        self._name = kind.__name__
        self._missing = stage.actors_max
        self._in_flight = in_flight
        self._arguments = arguments
        self._failures = 0
        self._opening: dict[ray.ObjectRef, Any] = {}
        self._open: list[Any] = []

    def open(self) -> None:
        """Begin to open the actors, see how far they are, and wait for none. Call it now and then.

        Raises RayActorError, with what the actor raised, where one cannot be opened at all.
        """
        while self._missing:
            actor = self._kind.remote(*self._arguments)
            self._opening[actor.__ray_ready__.remote()] = actor
            self._missing -= 1
        for ready in _done(list(self._opening), timeout=0):
            actor = self._opening.pop(ready)
            try:
                ray.get(ready)
            except RayActorError as error:
                self._failures += 1
                if self._failures > DEATHS:
                    raise
                say(f"{self._name} could not be opened and is tried again: {str(error).strip().splitlines()[-1]}")
                self._missing += 1
            else:
                self._open.append(actor)

    def map(self, rows: Sequence[Any]) -> Iterator[list[Any]]:
        """What the actors make of rows, as it comes, in any order; nothing, every TICK_S, while nothing comes.

        Raises what `open` raises, and what an actor raises.
        """
        waiting = deque(rows)
        at_work: dict[ray.ObjectRef, int] = {}
        while waiting or at_work:
            self.open()
            busy = Counter(at_work.values())
            for number, actor in enumerate(self._open):
                for _ in range(min(self._in_flight - busy[number], len(waiting))):
                    at_work[actor.__call__.remote(waiting.popleft())] = number
            done = [ref for ref in _done([*at_work, *self._opening], timeout=TICK_S) if ref in at_work]
            for ref in done:
                del at_work[ref]
            yield ray.get(done)


def _done(refs: Sequence[ray.ObjectRef], timeout: float) -> list[ray.ObjectRef]:
    """Those that are done as soon as one is, or none when the seconds are over."""
    if not refs:
        return []
    ray.wait(list(refs), num_returns=1, timeout=timeout)
    done: list[ray.ObjectRef] = ray.wait(list(refs), num_returns=len(refs), timeout=0)[0]
    return done
