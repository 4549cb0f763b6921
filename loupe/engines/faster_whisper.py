"""Whisper by the package faster-whisper (CTranslate2) in this process: pip install loupe[speech]."""

import asyncio
from collections.abc import Sequence
from typing import Any

from faster_whisper import WhisperModel

from loupe.engines.speech import Spoken
from loupe.sound import Sound

WINDOW_MS = 30_000


class FasterWhisperTranscriber:
    """A model by its name ("small"), hub id, or folder in CTranslate2's format."""

    def __init__(
        self,
        source: str,
        *,
        device: str = "auto",
        compute_type: str = "default",
        threads: int = 0,
        language: str | None = None,
    ) -> None:
        self._model: Any = WhisperModel(source, device=device, compute_type=compute_type, cpu_threads=threads)
        self._language = language

    @property
    def window_ms(self) -> int:
        """Whisper's own window."""
        return WINDOW_MS

    async def transcribe(self, sounds: Sequence[Sound]) -> list[list[Spoken]]:
        """The lines of each stretch; see Transcriber."""
        return await asyncio.to_thread(lambda: [self._hear(sound) for sound in sounds])

    async def close(self) -> None:
        """Nothing is held beyond the model."""

    def _hear(self, sound: Sound) -> list[Spoken]:
        """Greedy, as the other engines are; each stretch by itself."""
        segments, _ = self._model.transcribe(
            sound, language=self._language, beam_size=1, temperature=0.0, condition_on_previous_text=False
        )
        return [Spoken(round(1000 * s.start), round(1000 * s.end), s.text.strip()) for s in segments if s.text.strip()]
