"""The OpenAI-compatible address in front of engines. It knows no Ray: an engine is whatever can be asked."""

import asyncio
import json
import logging
import time
import uuid
from collections.abc import Awaitable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Protocol, TypeVar

from fastapi import FastAPI, Header, Request
from fastapi.exceptions import RequestValidationError
from loupe.config import Serving
from loupe.embedding import Vectors
from loupe.engines.protocol import Engine, EngineError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response, StreamingResponse

from serving import translating
from serving.bodies import ChatBody, EmbeddingBody
from serving.errors import ApiError, of_engine, of_validation, unavailable
from serving.guarding import Guard

log = logging.getLogger(__name__)
T = TypeVar("T")


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
        reply = await _answer(voices.chat[name].chat(request), name, serving.timeout_s)
        head = (reply, name, f"chatcmpl-{uuid.uuid4().hex}", int(time.time()))
        if not body.stream:
            return JSONResponse(translating.completion(*head, token_ids=body.return_token_ids))
        chunks = translating.chunks(
            *head, with_usage=body.stream_options.include_usage, token_ids=body.return_token_ids
        )
        return StreamingResponse(_events(chunks), media_type="text/event-stream")

    @app.post("/v1/embeddings")
    async def embeddings(body: EmbeddingBody) -> Response:
        name = voices.model(body.model)
        if name not in voices.embedding:
            raise translating.no_model(body.model, list(voices.embedding))
        vectors = await _answer(voices.embedding[name].embed(body.texts), name, serving.timeout_s)
        return JSONResponse(translating.embeddings(vectors, body, name))

    return app


async def _answer(answer: Awaitable[T], model: str, timeout_s: float) -> T:
    """What an engine says. Raises ApiError where it says nothing."""
    try:
        async with asyncio.timeout(timeout_s):
            return await answer
    except EngineError as error:
        raise of_engine(error, model) from error
    except TimeoutError as error:
        raise unavailable(f"the model {model!r} did not answer within {timeout_s:g} s") from error


def _card(name: str, voices: Voices) -> dict[str, Any]:
    roles = [role for role, model in voices.roles.items() if model == name]
    return {"id": name, "object": "model", "created": 0, "owned_by": "loupe", "roles": roles}


def _events(chunks: Iterable[Any]) -> Iterator[str]:
    for chunk in chunks:
        yield f"data: {json.dumps(chunk)}\n\n"
    yield "data: [DONE]\n\n"


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
        return respond(ApiError(500, "this server failed at the request; its log says more", code="internal_error"))
