"""Speech behind an OpenAI-compatible address: POST /v1/audio/transcriptions. Whisper on vLLM speaks it too."""

import asyncio
from collections.abc import Sequence
from typing import Any, Unpack

import openai
from openai.types.audio import TranscriptionVerbose

from loupe.engines.endpoint import Endpoint, Patience, TransientError
from loupe.engines.speech import RATE, Spoken
from loupe.engines.waves import wav
from loupe.sound import Sound

WINDOW_MS = 30_000
"""Whisper's own; servers cut what is longer wherever it comes."""


class OpenAITranscriber:
    """Transcriptions with their segments, asked for as verbose JSON. Errors are those of Endpoint.

    `extra_body` goes into every request ({language: en}).
    """

    def __init__(
        self, base_url: str, model: str, *, extra_body: dict[str, Any] | None = None, **patience: Unpack[Patience]
    ) -> None:
        self._endpoint = Endpoint(base_url, **patience)
        self._model = model
        self._extra_body = extra_body or {}

    @property
    def window_ms(self) -> int:
        """Whisper's own window."""
        return WINDOW_MS

    async def transcribe(self, sounds: Sequence[Sound]) -> list[list[Spoken]]:
        """The lines of each stretch; see Transcriber. A request a stretch, all at once: one's failure ends all."""
        requests = [asyncio.create_task(self._hear(sound)) for sound in sounds]
        try:
            return list(await asyncio.gather(*requests))
        except BaseException:
            for request in requests:
                request.cancel()
            await asyncio.gather(*requests, return_exceptions=True)
            raise

    async def close(self) -> None:
        """Close the connections."""
        await self._endpoint.close()

    async def _hear(self, sound: Sound) -> list[Spoken]:
        data = wav(sound)
        transcription, _ = await self._endpoint.ask(lambda client: self._try(client, data))
        segments = transcription.segments or ()
        lines = [Spoken(round(1000 * s.start), round(1000 * s.end), s.text.strip()) for s in segments]
        if not segments and transcription.text.strip():  # a server that knows no segments
            lines = [Spoken(0, len(sound) * 1000 // RATE, transcription.text.strip())]
        return [line for line in lines if line.text]

    async def _try(self, client: openai.AsyncOpenAI, data: bytes) -> TranscriptionVerbose:
        answer: Any = await client.audio.transcriptions.create(
            file=("sound.wav", data, "audio/wav"),
            model=self._model,
            response_format="verbose_json",
            temperature=0.0,
            timestamp_granularities=["segment"],
            extra_body=self._extra_body,
        )
        if not isinstance(answer, TranscriptionVerbose) or not isinstance(answer.text, str):
            raise TransientError(f"the body is not a transcription: {str(answer)[:200]!r}")
        return answer
