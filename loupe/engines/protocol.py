"""What every engine does: one chat request in, one reply out."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from pydantic import ValidationError

from loupe.wrong_values import wrong_values
from schemas.messages import Message, Usage


@dataclass(frozen=True)
class ChatRequest:
    """One OpenAI-style chat completion, whichever engine serves it."""

    messages: tuple[Message, ...]
    schema: dict[str, Any] | None = None
    """JSON schema that the reply must satisfy; None leaves the text free."""
    max_tokens: int = 512
    temperature: float = 0.0
    logprobs: bool = False
    """Ask for the ids and log-probabilities of the tokens that were written."""
    likeliest: int = 0
    """Ask for so many tokens in the place of each that was written, too: those with the highest log-probabilities."""
    session: str = ""
    """Requests that share one also share their beginning: served replicas keep them together for their prefix cache."""


@dataclass(frozen=True)
class Reply:
    """What a model answered, with what it cost."""

    text: str
    usage: Usage
    finish_reason: str
    """"stop", or "length" when max_tokens cut the reply."""
    token_ids: tuple[int, ...] | None = None
    logprobs: tuple[float, ...] | None = None
    """Log-probability of each written token, in nats; None where the engine has none."""
    tokens: tuple[str, ...] | None = None
    """The written tokens as text, beside `logprobs`; a token that is part of a letter shows as a replacement mark."""
    likeliest: tuple[tuple[tuple[str, float], ...], ...] | None = None
    """In the place of each written token the likeliest ones as text, with their log-probabilities in nats."""
    entropies: tuple[float, ...] | None = None
    """Entropy of what could have been written in the place of each token, in nats; None where the engine has none."""
    entropy_definition: str | None = None
    """Over which distribution that is."""
    retries: int = field(default=0, compare=False)


class EngineError(Exception):
    """A request that failed for good, after the engine's own retries."""


class RequestError(EngineError):
    """The request itself is at fault: no engine of this kind will ever answer it."""


class UnavailableError(EngineError):
    """Nobody was there to answer; later somebody may be."""


class ParseError(Exception):
    """A reply that is not what its schema asks for; `reply` is what the model said."""

    def __init__(self, message: str, reply: Reply) -> None:
        super().__init__(message)
        self.reply = reply

    @classmethod
    def of(cls, what: str, reply: Reply, error: ValidationError) -> "ParseError":
        """The error of a reply that should have been `what`, with the first of the reasons why it is not."""
        return cls(f"not {what} (finish reason {reply.finish_reason}): {wrong_values(error)[0]}", reply)


class Engine(Protocol):
    """A model that can be asked. Concurrent calls are welcome: engines batch or queue them."""

    async def chat(self, request: ChatRequest) -> Reply:
        """Answer one request. Raises EngineError when that is not possible."""
        ...

    async def close(self) -> None:
        """Release what the engine holds (connections, threads, device memory)."""
        ...


@runtime_checkable
class StreamingEngine(Engine, Protocol):
    """An engine that can be heard while it writes."""

    def stream(self, request: ChatRequest) -> AsyncGenerator[str | Reply, None]:
        """The text of a reply in pieces, as they are written, and at the end the reply. Raises as `chat` does."""
        ...


async def pieces(engine: Engine, request: ChatRequest) -> AsyncGenerator[str | Reply, None]:
    """What `stream` gives, of any engine: one that cannot stream says all at once."""
    if isinstance(engine, StreamingEngine):
        async for piece in engine.stream(request):
            yield piece
    else:
        reply = await engine.chat(request)
        yield reply.text
        yield reply
