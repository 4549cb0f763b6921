"""What runs inside a replica of a model, and how the front asks it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import numpy as np
from loupe.config import ChatModel, EmbedderModel
from loupe.embedding import Embedder, Vectors, open_embedder
from loupe.engines.open import open_engine
from loupe.engines.protocol import ChatRequest, EngineError, Reply, RequestError, pieces
from ray import serve
from ray.exceptions import RayError, RayTaskError
from ray.serve.exceptions import BackPressureError, RayServeException

from serving.errors import ApiError, ReplicaLostError

FAILURES_IN_A_ROW = 5
"""After which a replica calls itself unhealthy: a GPU that lost its mind fails every request from then on."""
EMBED_BATCH = 32
"""Requests for vectors that are answered together."""


class ChatReplica:
    """An engine in a replica. The engine batches what is asked at the same time."""

    def __init__(self, model: ChatModel) -> None:
        self._engine = open_engine(model)
        self._failures = 0

    async def answer(self, request: ChatRequest) -> Reply:
        """Answer one request. Raises EngineError where that is not possible."""
        with self._noting_health():
            return await self._engine.chat(request)

    async def stream(self, request: ChatRequest) -> AsyncGenerator[str | Reply, None]:
        """The text in pieces, and the reply at the end. Raises as `answer` does."""
        with self._noting_health():
            async for piece in pieces(self._engine, request):
                yield piece

    async def check_health(self) -> None:
        """Serve replaces a replica whose check raises."""
        if self._failures >= FAILURES_IN_A_ROW:
            raise RuntimeError(f"the last {self._failures} requests failed")

    @contextmanager
    def _noting_health(self) -> Iterator[None]:
        try:
            yield
        except RequestError:
            raise
        except EngineError:
            self._failures += 1
            raise
        self._failures = 0


class EmbeddingReplica:
    """An embedder in a replica."""

    def __init__(self, model: EmbedderModel) -> None:
        self._embedder = open_embedder(model)

    @serve.batch(max_batch_size=EMBED_BATCH, batch_wait_timeout_s=0.005)
    async def embed(self, requests: list[list[str]]) -> list[Vectors]:
        """Unit vectors of one request's texts, [texts, dimensions]; Serve gathers the requests."""
        return await asyncio.to_thread(embed_together, self._embedder, requests)


def embed_together(embedder: Embedder, requests: list[list[str]]) -> list[Vectors]:
    """Unit vectors of each request's texts, [texts, dimensions], in one call of the embedder."""
    vectors = embedder.embed([text for texts in requests for text in texts])
    return np.split(vectors, np.cumsum([len(texts) for texts in requests])[:-1])


class Deployed:
    """The deployment of a model, seen from the front: an engine like any other."""

    def __init__(self, name: str, handle: Any) -> None:
        self._name = name
        self._handle = handle

    async def chat(self, request: ChatRequest) -> Reply:
        """Answer one request. Raises EngineError, or ApiError 429 where too many wait already."""
        async with ray_errors(self._name):
            reply: Reply = await _unless_given_up(
                self._handle.options(session_id=request.session).answer.remote(request)
            )
            return reply

    async def stream(self, request: ChatRequest) -> AsyncGenerator[str | Reply, None]:
        """The text in pieces, and the reply at the end. Raises as `chat` does."""
        async with ray_errors(self._name):
            handle = self._handle.options(session_id=request.session, stream=True)
            response = handle.stream.remote(request)
            try:
                async for piece in response:
                    yield piece
            finally:
                response.cancel()

    async def embed(self, texts: list[str]) -> Vectors:
        """Unit vectors, [texts, dimensions]. Raises as `chat` does."""
        async with ray_errors(self._name):
            vectors: Vectors = await _unless_given_up(self._handle.embed.remote(texts))
            return vectors

    async def close(self) -> None:
        """Serve ends replicas itself."""


async def _unless_given_up(response: Any) -> Any:
    """What a replica answers. Where nobody waits for it any more, the replica is told."""
    try:
        return await response
    except asyncio.CancelledError:
        response.cancel()
        raise


@asynccontextmanager
async def ray_errors(name: str) -> AsyncIterator[None]:
    """Ray's errors as ours. A replica that died is not asked for again here: the client asks again, by status 503."""
    try:
        yield
    except BackPressureError as error:
        raise ApiError(429, f"too many requests wait for {name!r}", code="overloaded", retry_after=1) from error
    except RayTaskError as error:
        if isinstance(error.cause, EngineError | ApiError):
            raise error.cause from None
        raise EngineError(f"{type(error.cause).__name__} in its replica") from error
    except (RayError, RayServeException) as error:
        raise ReplicaLostError(f"its replica was lost ({type(error).__name__})") from error
