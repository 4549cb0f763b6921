"""Which questions take their process down: such a one is given up after a few, and those beside it are not.

Who answers a group of questions writes its attempt to `R/attempts/` before it begins and deletes it at its end: one
that is found tells of a process that died. A group that died often is answered with nothing beside it, then question by
question; the question that dies alone is given up. A process that died together with its driver counts for nothing.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from loupe import results, storage
from loupe.config import digest
from schemas.questions import Question

BESIDE_OTHERS = 2
"""Processes that may die before a group is answered with nothing beside it; the next one, before its questions are
answered one by one."""


class ProcessDied(Exception):
    """A question that was given up."""


class Attempt(BaseModel):
    """What is known of a group that has begun and not ended."""

    model_config = ConfigDict(frozen=True)

    question_ids: tuple[str, ...]
    session: str
    """The driver for which it was begun."""
    lost: int = 0
    """Processes that died with the group at work."""
    alone: str | None = None
    """The question that was at work by itself."""
    given_up: tuple[str, ...] = ()

    def again(self, session: str) -> Self:
        """The attempt as who finds it goes on with it."""
        if session != self.session:
            return self.model_copy(update={"session": session, "alone": None})
        given_up = self.given_up + ((self.alone,) if self.alone else ())
        return self.model_copy(update={"lost": self.lost + 1, "alone": None, "given_up": given_up})


class Attempts:
    """The attempts of one driver's workers. Groups are known by their questions."""

    def __init__(self, output: str, session: str) -> None:
        self._output = output
        self._session = session

    def find(self, question_ids: Sequence[str]) -> Attempt:
        """What became of a group before. Raises StorageError."""
        stored = storage.read_stored(_place(self._output, question_ids))
        if stored is None:
            return Attempt(question_ids=tuple(question_ids), session=self._session)
        return Attempt.model_validate_json(stored.data).again(self._session)

    def write(self, attempt: Attempt) -> None:
        """Say that a group is begun, or one of its questions by itself. Raises StorageError."""
        _write(self._output, attempt)

    def end(self, attempt: Attempt) -> None:
        """Say that a group has ended. What was given up stays known until its rows are written. Raises StorageError."""
        if not attempt.given_up:
            storage.delete(_place(self._output, attempt.question_ids))


class Begun:
    """Writes a group's attempt once, whoever of the group comes first."""

    def __init__(self, attempts: Attempts, attempt: Attempt) -> None:
        self._attempts, self._attempt = attempts, attempt
        self._writing: asyncio.Future[Any] | None = None

    async def wait(self) -> None:
        """Return when the attempt is written."""
        if self._writing is None:
            self._writing = asyncio.ensure_future(asyncio.to_thread(self._attempts.write, self._attempt))
        await asyncio.shield(self._writing)


def told(attempt: Attempt) -> ProcessDied:
    """Why a question of a group was given up."""
    return ProcessDied(
        f"{attempt.lost} processes died over it, the last with nothing else at work: it is not tried again"
    )


def take_up(output: str, left: Sequence[Question]) -> tuple[list[tuple[Question, ...]], list[Question]]:
    """The questions that processes died over under an earlier driver, in their groups, and all others in their order.

    Attempts that tell nothing of them go. Needs the lease of the folder. Raises StorageError.
    """
    by_id = {question.question_id: question for question in left}
    groups = []
    for name, place, attempt in _found(output):
        ids = tuple(id for id in attempt.question_ids if id in by_id) if attempt.lost else ()
        if ids:
            _write(output, attempt.model_copy(update={"question_ids": ids}))
            groups.append(tuple(by_id.pop(id) for id in ids))
        if name != _name(ids):
            storage.delete(place)
    return groups, list(by_id.values())


def forget(output: str) -> None:
    """Delete all attempts. Needs the lease. Raises StorageError."""
    for place in results.files(output, "attempts", ".json").values():
        storage.delete(place)


def _found(output: str) -> list[tuple[str, str, Attempt]]:
    """Names, places and what they hold."""
    places = results.files(output, "attempts", ".json")
    return [(name, at, Attempt.model_validate_json(storage.read_bytes(at))) for name, at in places.items()]


def _write(output: str, attempt: Attempt) -> None:
    storage.write_bytes(_place(output, attempt.question_ids), attempt.model_dump_json().encode())


def _place(output: str, question_ids: Sequence[str]) -> str:
    return storage.join(output, "attempts", f"{_name(question_ids)}.json")


def _name(question_ids: Sequence[str]) -> str:
    return digest(sorted(question_ids))
