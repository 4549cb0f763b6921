"""The OpenAI-compatible address in front of engines. It knows no Ray: an engine is whatever can be asked."""

import asyncio
import json
import logging
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Annotated, Any, Protocol, TypeVar

from fastapi import FastAPI, Header, Request
from fastapi.exceptions import RequestValidationError
from loupe.config import Serving
from loupe.embedding import Vectors
from loupe.engines.protocol import Engine, EngineError, Reply, pieces
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response, StreamingResponse

from serving import translating
from serving.bodies import ChatBody, EmbeddingBody
from serving.errors import ApiError, of_engine, of_validation, unavailable
from serving.guarding import Guard
from serving.translating import Answer

log = logging.getLogger(__name__)
T = TypeVar("T")

INTERNAL = ApiError(500, "this server failed at the request; its log says more", code="internal_error")
"""What was not foreseen."""


class EmbeddingEngine(Protocol):
    """What turns texts into unit vectors, [texts, dimensions]."""

    async def embed(self, texts: list[str]) -> Vectors:
        """Raises EngineError where that is not possible."""
        ...


@dataclass(frozen=True)
class Voices:
    """What can be asked, by the name of its model. A role's name stands for its model unless a model has that name."""

    chat: Mapping[str, Engine]
    embedding: Mapping[str, EmbeddingEngine] = field(default_factory=dict)
    roles: Mapping[str, str] = field(default_factory=dict)

    @property
    def models(self) -> list[str]:
        """Every name."""
        return [*self.chat, *self.embedding]

    def model(self, name: str) -> str:
        """The name of a model, given its own or that of a role."""
        return name if name in self.models else self.roles.get(name, name)


def build_front(voices: Voices, serving: Serving, token: str | None = None) -> FastAPI:
    """The app. `token` is the digest of the bearer token, see serving.guarding."""
    app = FastAPI(title="Loupe", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Guard, token=token, body_bytes=serving.body_bytes)
    _answer_errors(app)

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [_card(name, voices) for name in voices.models]}

    @app.get("/v1/models/{name:path}")
    async def model(name: str) -> dict[str, Any]:
        known = voices.model(name)
        if known not in voices.models:
            raise translating.no_model(name, voices.models)
        return _card(known, voices)

    @app.post("/v1/chat/completions")
    async def chat(body: ChatBody, x_session_id: Annotated[str, Header()] = "") -> Response:
        name = voices.model(body.model)
        if name not in voices.chat:
            raise translating.no_model(body.model, list(voices.chat))
        request = translating.chat_request(body, serving, x_session_id)
        engine, answer = voices.chat[name], _answer_of(name, body)
        if not body.stream:
            return JSONResponse(answer.completion(await _within(serving.timeout_s, engine.chat(request), name)))
        said = pieces(engine, request)
        first = await _within(serving.timeout_s, anext(said), name)  # what goes wrong before it still has a status
        events = _chunks(first, said, answer, body.stream_options.include_usage, serving.timeout_s)
        return StreamingResponse(_events(events), media_type="text/event-stream")

    @app.post("/v1/embeddings")
    async def embeddings(body: EmbeddingBody) -> Response:
        name = voices.model(body.model)
        if name not in voices.embedding:
            raise translating.no_model(body.model, list(voices.embedding))
        vectors = await _within(serving.timeout_s, voices.embedding[name].embed(body.texts), name)
        return JSONResponse(translating.embeddings(vectors, body, name))

    return app


def _answer_of(model: str, body: ChatBody) -> Answer:
    return Answer(model, f"chatcmpl-{uuid.uuid4().hex}", int(time.time()), body.return_token_ids, body.top_logprobs)


async def _within(timeout_s: float, said: Awaitable[T], model: str) -> T:
    """What an engine says. Raises ApiError where it says nothing."""
    try:
        async with asyncio.timeout(timeout_s):
            return await said
    except EngineError as error:
        raise of_engine(error, model) from error
    except TimeoutError as error:
        raise unavailable(f"the model {model!r} did not answer within {timeout_s:g} s") from error


def _card(name: str, voices: Voices) -> dict[str, Any]:
    roles = [role for role, model in voices.roles.items() if model == name]
    return {"id": name, "object": "model", "created": 0, "owned_by": "loupe", "roles": roles}


async def _chunks(
    first: str | Reply, rest: AsyncGenerator[str | Reply, None], answer: Answer, with_usage: bool, timeout_s: float
) -> AsyncIterator[Any]:
    """The chunks of a stream: the role, the text in pieces, the end, and the usage if it is wanted."""
    async with aclosing(rest):
        yield answer.chunk(role="assistant", content="")
        piece = first
        while isinstance(piece, str):
            yield answer.chunk(content=piece)
            piece = await _within(timeout_s, anext(rest), answer.model)
        yield answer.last_chunk(piece)
        if with_usage:
            yield answer.usage_chunk(piece)


async def _events(chunks: AsyncIterator[Any]) -> AsyncIterator[str]:
    """Server-sent events. The status has gone out by now: an error is an event, and the last one."""
    try:
        async for chunk in chunks:
            yield _event(chunk)
    except ApiError as error:
        yield _event(error.body)
    except Exception as error:  # the boundary between one request and the next
        log.exception("a stream failed", exc_info=error)
        yield _event(INTERNAL.body)
    yield "data: [DONE]\n\n"


def _event(content: Any) -> str:
    return f"data: {json.dumps(content)}\n\n"


def _answer_errors(app: FastAPI) -> None:
    """Whatever goes wrong, the client reads an error of the API: never a page, never a stack trace."""

    def respond(error: ApiError) -> JSONResponse:
        return JSONResponse(error.body, error.status, error.headers)

    @app.exception_handler(ApiError)
    async def known(_: Request, error: ApiError) -> Response:
        return respond(error)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        return respond(of_validation(error.errors()))

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> Response:
        return respond(ApiError(error.status_code, f"{error.detail}"))

    @app.exception_handler(Exception)
    async def unknown(_: Request, error: Exception) -> Response:
        log.exception("a request failed", exc_info=error)
        return respond(INTERNAL)
