"""A Hugging Face speech model of Whisper's architecture in this process."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import transformers
from transformers import AutoModelForSpeechSeq2Seq, AutoProcessor

from loupe.engines.protocol import EngineError
from loupe.engines.speech import RATE, Spoken
from loupe.sound import Sound


class WhisperTranscriber:
    """Any model of Whisper's architecture that writes time stamps: a folder or hub id. Greedy."""

    def __init__(
        self,
        source: str,
        *,
        max_batch: int = 8,
        threads: int | None = None,
        device: str = "auto",
        dtype: str = "auto",
        language: str | None = None,
    ) -> None:
        transformers.logging.disable_progress_bar()
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        if dtype == "auto" and device == "cpu":
            dtype = "float32"
        self._processor: Any = AutoProcessor.from_pretrained(source)
        auto: Any = AutoModelForSpeechSeq2Seq
        model = auto.from_pretrained(source, dtype=dtype)
        if model.config.model_type != "whisper":
            raise EngineError(
                f"{source} is a {model.config.model_type}: only Whisper's architecture writes time stamps"
            )
        self._model = model.to(device).eval()
        self._max_batch = max_batch
        self._threads = threads
        speaks_many = model.generation_config.is_multilingual
        self._asked = {"language": language, "task": "transcribe"} if speaks_many else {}
        self._window_s = int(self._processor.feature_extractor.chunk_length)
        self._tick_ms = 1000 * self._window_s / model.config.max_source_positions
        self._first_time = int(model.generation_config.no_timestamps_token_id) + 1
        self._one_at_a_time = threading.Lock()

    @property
    def window_ms(self) -> int:
        """As the model's features say: 30 s for Whisper's own."""
        return self._window_s * 1000

    async def transcribe(self, sounds: Sequence[Sound]) -> list[list[Spoken]]:
        """The lines of each stretch; see Transcriber."""
        return await asyncio.to_thread(self._transcribe, sounds)

    async def close(self) -> None:
        """Nothing is held beyond the model."""

    def _transcribe(self, sounds: Sequence[Sound]) -> list[list[Spoken]]:
        with self._one_at_a_time:
            if self._threads is not None:
                torch.set_num_threads(self._threads)  # OpenMP keeps the number a thread
            return [lines for batch in _batches(sounds, self._max_batch) for lines in self._hear(batch)]

    @torch.inference_mode()
    def _hear(self, sounds: Sequence[Sound]) -> list[list[Spoken]]:
        """One batch. The model is asked once a window: what it says after its last time stamp goes to the end."""
        spectra = self._processor.feature_extractor(list(sounds), sampling_rate=RATE, return_tensors="pt")
        tokens = self._model.generate(
            input_features=spectra.input_features.to(self._model.device, self._model.dtype),
            return_timestamps=True,
            time_precision=self._tick_ms / 1000,
            force_unique_generate_call=True,
            **self._asked,
        )
        ends = [len(sound) * 1000 // RATE for sound in sounds]
        return [list(self._lines(row, end)) for row, end in zip(tokens.tolist(), ends, strict=True)]

    def _lines(self, tokens: Sequence[int], end_ms: int) -> Iterator[Spoken]:
        """Lines between time stamps: time, words, time, time, words, time."""
        start_ms, words = 0, []
        for token in tokens:
            if token < self._first_time:
                words.append(token)
                continue
            at_ms = round((token - self._first_time) * self._tick_ms)
            if text := self._text(words):
                yield Spoken(start_ms, at_ms, text)
            start_ms, words = at_ms, []
        if text := self._text(words):
            yield Spoken(start_ms, max(start_ms, end_ms), text)

    def _text(self, tokens: Sequence[int]) -> str:
        text: str = self._processor.tokenizer.decode(tokens, skip_special_tokens=True)
        return text.strip()


def _batches(sounds: Sequence[Sound], size: int) -> Iterator[Sequence[Sound]]:
    return (sounds[first : first + size] for first in range(0, len(sounds), size))
