"""Ask an engine, again where what it says does not parse."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from pydantic import BaseModel, ValidationError

from loupe.engines.protocol import ChatRequest, Engine, EngineError, ParseError, Reply, RequestError
from schemas.messages import Usage

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

TEMPERATURES = (0.0, 0.3, 0.7)
"""A reply that does not parse is asked for again, a little warmer: the same request would give the same reply."""
ROOM = 2
"""Times its `max_tokens` that a reply may have which was cut at them, where a caller of `ask` gives it more room."""


@dataclass(frozen=True)
class Asked(Generic[T]):
    """What came back, or why nothing did, with what it cost."""

    value: T | None
    usage: Usage
    requests: int
    error: ParseError | EngineError | None = None


def read_output(reply: Reply, kind: type[M], what: str) -> M:
    """What a reply holds, by its schema. Raises ParseError, which says that it is not `what`, and why."""
    try:
        return kind.model_validate_json(reply.text)
    except ValidationError as error:
        raise ParseError.of(what, reply, error) from error


def was_cut(error: Exception) -> bool:
    """Whether a reply does not parse because `max_tokens` cut it."""
    return isinstance(error, ParseError) and error.reply.finish_reason == "length"


async def ask(engine: Engine, request: ChatRequest, parse: Callable[[Reply], T], *, room: int = 1) -> Asked[T]:
    """Ask once for each of TEMPERATURES, until a reply parses; after one that was cut, for `room` times the tokens.

    Raises EngineError where the engine cannot answer.
    """
    usage, error, tokens = Usage(), None, request.max_tokens
    for requests, temperature in enumerate(TEMPERATURES, start=1):
        try:
            reply = await engine.chat(replace(request, temperature=temperature, max_tokens=tokens))
        except RequestError:
            if tokens == request.max_tokens:
                raise
            return Asked(None, usage, requests, error)  # the model takes no more: it stays cut
        usage += reply.usage
        try:
            return Asked(parse(reply), usage, requests)
        except ParseError as problem:
            error = problem
            if was_cut(problem):
                tokens = room * request.max_tokens
    return Asked(None, usage, len(TEMPERATURES), error)
