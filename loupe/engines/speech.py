"""What every engine for speech does: stretches of sound in, the lines that are said in them out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from loupe.sound import Sound

RATE = 16_000
"""Samples a second that a transcriber is given."""


@dataclass(frozen=True)
class Spoken:
    """Words and when they are said, in milliseconds."""

    start_ms: int
    end_ms: int
    text: str


class Transcriber(Protocol):
    """A model that writes down what is said. Concurrent calls are welcome: engines batch or queue them."""

    @property
    def window_ms(self) -> int:
        """As long as a stretch may be."""
        ...

    async def transcribe(self, sounds: Sequence[Sound]) -> list[list[Spoken]]:
        """The lines of each stretch, in order of time, which counts from the stretch's start.

        Raises EngineError when that is not possible.
        """
        ...

    async def close(self) -> None:
        """Release what the engine holds (connections, threads, device memory)."""
        ...
