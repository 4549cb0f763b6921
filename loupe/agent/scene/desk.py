"""What all questions of a process share."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from loupe.agent.budget import Spent
from loupe.agent.films import Films, FilmShelf
from loupe.agent.footage import DecodedFootage, FilmFile, Footage, Held
from loupe.config import Answer, Config, digest
from loupe.embedding import Embedder
from loupe.engines.protocol import Engine
from loupe.engines.speech import Spoken, Transcriber
from loupe.library import Library
from loupe.prompts import Prompt
from loupe.sound import Sound
from loupe.transcribing import Heard, listen
from schemas.questions import Question

LINE_BYTES = 200
"""That a line is held for beside its letters."""
Lines = tuple[Spoken, ...]


@dataclass
class Desk:
    """What all questions of a process share."""

    library: Library | None
    """None where there is no index, or none is used; then nobody embeds either."""
    embedder: Embedder | None
    engines: Mapping[str, Engine]
    """By the model's name in the config."""
    config: Config
    run: str
    """Which run of the questions this is: part of every trace's id."""
    transcriber: Transcriber | None = None
    """Who turns sound into words; None where nobody has the role."""
    root: str | None = None
    """Folder or s3:// prefix of films, for those that the database does not hold."""
    clock: Callable[[], float] = time.monotonic
    spent: Spent = field(init=False)
    """By all questions together."""

    def __post_init__(self) -> None:
        self.spent = Spent(self.clock())

    @cached_property
    def films(self) -> FilmShelf:
        """The films that questions share."""
        return Films(self.library, self.root, self.config.index)

    @cached_property
    def held(self) -> Held:
        """Of the films themselves: open files, pictures, sounds, and the words of sounds."""
        return Held(self.answer.job.footage_mb << 20)

    @cached_property
    def footage(self) -> Footage:
        """What the films show and sound like."""
        return DecodedFootage(self.config.index, self.held)

    @cached_property
    def prompts(self) -> dict[str, Prompt]:
        """Prompts of the config's set that were asked for."""
        return {}

    @cached_property
    def config_hash(self) -> str:
        """Of all that decides about an answer."""
        return digest(self.config.of_an_answer())

    @property
    def answer(self) -> Answer:
        """How questions are answered."""
        return self.config.answer

    def heard(self, file: FilmFile, start_ms: int, end_ms: int) -> Lines | None:
        """The lines said in [start, end) of a film, where the transcriber wrote them down before and they are held."""
        lines: Lines | None = self.held.get(self._words(file, start_ms, end_ms))
        return lines

    async def hear(self, sound: Sound, start_ms: int) -> Heard:
        """What is said in a sound that begins at a time of its film, and what that took. Raises EngineError."""
        assert self.transcriber is not None  # needed_roles
        return await listen(sound, start_ms, self.transcriber)

    def keep_heard(self, file: FilmFile, start_ms: int, end_ms: int, lines: Lines) -> None:
        """Hold what the transcriber wrote down of a stretch of a film; nothing where nobody has the role."""
        if self.transcriber is not None:
            size = LINE_BYTES + sum(LINE_BYTES + len(line.text.encode(errors="replace")) for line in lines)
            self.held.put(self._words(file, start_ms, end_ms), lines, size)

    def _words(self, file: FilmFile, start_ms: int, end_ms: int) -> tuple[object, ...]:
        who = self.config.roles.get("transcriber")
        return ("words", file.uri, self.footage.lineage(file), start_ms, end_ms, who)

    async def close(self) -> None:
        """Close the engines."""
        await asyncio.gather(*(engine.close() for engine in self.engines.values()))
        if self.transcriber:
            await self.transcriber.close()


def transcript_id(desk: Desk, question: Question) -> str:
    """Which rollout: unique over the runs of a question."""
    return f"{question.question_id}@{desk.run}"
