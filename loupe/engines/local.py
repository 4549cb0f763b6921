"""A Hugging Face model in this process: concurrent requests are gathered into batches for one worker thread."""

import asyncio
import os
import threading
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import torch

from loupe.engines import checkpoint, decoding
from loupe.engines.counting import picture_usage
from loupe.engines.grammar import Grammars
from loupe.engines.protocol import ChatRequest, EngineError, Reply, RequestError
from schemas.messages import Image, Text, Usage

ENTROPY = "whole vocabulary, before the grammar's mask, at temperature 1"
"""What entropies are of."""


HALF_A_LETTER = "\N{REPLACEMENT CHARACTER}"
"""What the text ends with while a letter of several tokens is being written."""


@dataclass(frozen=True)
class _Waiting:
    request: ChatRequest
    future: "Future[Reply]"
    alike: tuple[int, int]
    """Requests that agree here are about equally long, and so worth a batch."""
    heard: Callable[[int | None], None] | None = None
    """Called with each token as it is written, and with None before the first."""


class LocalEngine:
    """Any image-text-to-text or text-only model of the Auto classes.

    Replies are greedy at temperature 0 and sampled above; a request's schema holds the reply by a grammar, to JSON
    without whitespace. Log-probabilities are the model's own: over its whole vocabulary, before the grammar's mask
    and at temperature 1. Token ids and usage count the token that ends a reply; text does not show it.
    """

    def __init__(
        self,
        source: str,
        *,
        max_batch: int = 16,
        threads: int | None = None,
        device: str = "auto",
        dtype: str = "auto",
        max_wait_ms: float = 5,
    ) -> None:
        self._max_batch = max_batch
        self._max_wait = max_wait_ms / 1000
        self._threads = threads
        if threads is not None:
            torch.set_num_threads(threads)
        self._checkpoint = checkpoint.load(source, device=device, dtype=dtype)
        self._grammars = Grammars(self._checkpoint, threads or os.cpu_count() or 1)
        self._inbox: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="local-engine", daemon=True)
        self._thread.start()

    async def chat(self, request: ChatRequest) -> Reply:
        """Answer one request; those that wait at the same time share a batch."""
        return await asyncio.wrap_future(self._enqueue(_Waiting(request, Future(), _alike(request))))

    async def stream(self, request: ChatRequest) -> AsyncGenerator[str | Reply, None]:
        """The text in pieces, as its tokens are written, and the whole reply at the end. Raises as `chat` does.

        A batch that fails is written again in halves: what was said stands, and must be said again.
        """
        loop, queue = asyncio.get_running_loop(), asyncio.Queue[int | None]()

        def hear(token: int | None) -> None:
            if not loop.is_closed():  # whoever listened is gone
                loop.call_soon_threadsafe(queue.put_nowait, token)

        future = self._enqueue(_Waiting(request, Future(), _alike(request), hear))
        future.add_done_callback(lambda _: hear(None))
        try:
            said = ""
            tokens: list[int] = []
            while not (future.done() and queue.empty()):
                token = await queue.get()
                tokens = [] if token is None else [*tokens, token]
                text = self._checkpoint.decode([t for t in tokens if t not in self._checkpoint.stop_ids])
                if len(text) > len(said) and text.startswith(said) and not text.endswith(HALF_A_LETTER):
                    yield text[len(said) :]
                    said = text
            reply = await asyncio.wrap_future(future)
            if not reply.text.startswith(said):
                raise EngineError("the reply had to be written again, and came out otherwise")
            if len(reply.text) > len(said):
                yield reply.text[len(said) :]
            yield reply
        finally:
            future.cancel()

    def _enqueue(self, waiting: _Waiting) -> "Future[Reply]":
        with self._changed:
            if self._closed:
                raise EngineError("the engine is closed")
            self._inbox.append(waiting)
            self._changed.notify()
        return waiting.future

    async def close(self) -> None:
        """End the worker thread after its batch; requests that still wait fail."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        await asyncio.to_thread(self._thread.join)

    def _serve(self) -> None:
        if self._threads is not None:
            torch.set_num_threads(self._threads)  # OpenMP keeps the number a thread
        while batch := self._next_batch():
            self._answer(batch)
        for waiting in self._inbox:
            waiting.future.set_exception(EngineError("the engine was closed before it came to this request"))

    def _next_batch(self) -> list[_Waiting]:
        """The oldest request and those like it; empty when the engine is closed. Takes what it returns."""
        with self._changed:
            while not self._inbox and not self._closed:
                self._changed.wait()
            deadline = time.monotonic() + self._max_wait
            while len(self._inbox) < self._max_batch and not self._closed:
                if not self._changed.wait(deadline - time.monotonic()):
                    break
            if self._closed:
                return []
            batch = [waiting for waiting in self._inbox if waiting.alike == self._inbox[0].alike][: self._max_batch]
            taken = set(map(id, batch))
            self._inbox = deque(waiting for waiting in self._inbox if id(waiting) not in taken)
        return batch

    def _answer(self, batch: Sequence[_Waiting]) -> None:
        """Set the futures of a batch. Where it fails its halves are tried, so that a bad request fails alone."""
        batch = [
            waiting for waiting in batch if waiting.future.running() or waiting.future.set_running_or_notify_cancel()
        ]
        if not batch:
            return
        try:
            replies = self._write(batch)
        except Exception as error:  # noqa: BLE001 (the boundary between one request and the next)
            if len(batch) == 1:
                batch[0].future.set_exception(_as_engine_error(error))
            else:
                self._answer(batch[: len(batch) // 2])
                self._answer(batch[len(batch) // 2 :])
            return
        for waiting, reply in zip(batch, replies, strict=True):
            waiting.future.set_result(reply)

    def _write(self, batch: Sequence[_Waiting]) -> list[Reply]:
        requests = [waiting.request for waiting in batch]
        matchers = [self._grammars.matcher(request.schema) if request.schema else None for request in requests]
        pictures = [picture_usage(request) for request in requests]
        inputs = self._checkpoint.encode(requests)
        lengths = inputs["attention_mask"].sum(dim=1).tolist()
        rows = [
            decoding.Row(
                max_tokens=min(request.max_tokens, self._room(length)),
                temperature=request.temperature,
                matcher=matcher,
                wants_logprobs=request.logprobs,
                wants_likeliest=request.likeliest,
                heard=waiting.heard,
            )
            for waiting, request, matcher, length in zip(batch, requests, matchers, lengths, strict=True)
        ]
        for waiting in batch:
            if waiting.heard:
                waiting.heard(None)
        decoding.write(self._checkpoint, inputs, rows)
        return [self._reply(*one) for one in zip(requests, rows, lengths, pictures, strict=True)]

    def _room(self, prompt_tokens: int) -> int:
        room = self._checkpoint.context - prompt_tokens
        if room < 1:
            raise RequestError(f"the prompt has {prompt_tokens} tokens, the model takes {self._checkpoint.context}")
        return room

    def _reply(self, request: ChatRequest, row: decoding.Row, prompt_tokens: int, pictures: Usage) -> Reply:
        ended = row.finish_reason == "stop"
        texts = {token: self._checkpoint.decode([token]) for each in row.likeliest for token, _ in each}
        return Reply(
            text=self._checkpoint.decode(row.tokens[:-1] if ended else row.tokens),
            usage=pictures + Usage(prompt_tokens=prompt_tokens, completion_tokens=len(row.tokens)),
            finish_reason=row.finish_reason,
            token_ids=tuple(row.tokens) if request.logprobs else None,
            logprobs=tuple(row.logprobs) if request.logprobs else None,
            likeliest=tuple(tuple((texts[token], odds) for token, odds in each) for each in row.likeliest)
            if request.likeliest
            else None,
            entropies=tuple(row.entropies) if request.logprobs else None,
            entropy_definition=ENTROPY if request.logprobs else None,
            tokens=tuple(self._checkpoint.decode([token]) for token in row.tokens) if request.logprobs else None,
        )


def _alike(request: ChatRequest) -> tuple[int, int]:
    parts = [part for message in request.messages for part in message.parts()]
    images = sum(isinstance(part, Image) for part in parts)
    letters = sum(len(part.text) for part in parts if isinstance(part, Text))
    return images, max(letters.bit_length(), 8)


def _as_engine_error(error: Exception) -> EngineError:
    if isinstance(error, EngineError):
        return error
    wrapped = EngineError(f"{type(error).__name__}: {error}")
    wrapped.__cause__ = error
    return wrapped
