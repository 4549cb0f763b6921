"""A model behind an OpenAI-compatible address, with retries that are kind to the server."""

import asyncio
import base64
import json
import os
import random
import time
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

import openai
from openai.types.chat import ChatCompletion
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt

from loupe.engines.counting import picture_usage
from loupe.engines.protocol import ChatRequest, EngineError, Reply, RequestError, UnavailableError
from schemas.messages import Message, Text, Usage

LONGEST_WAIT_S = 60.0
"""Of the exponential back-off; a server's own Retry-After is honoured up to LONGEST_RETRY_AFTER_S."""
LONGEST_RETRY_AFTER_S = 600.0
TRANSIENT_STATUS = frozenset({408, 409, 429})
"""Beside every 5xx."""
REQUEST_STATUS = frozenset({400, 413, 422})
"""What servers say to a request that they will never answer."""
SESSION_HEADER = "x-session-id"
"""What Ray Serve routes by; other servers pass it by."""


class _TransientError(Exception):
    """What may be over at the next try. `retry_after` is what the server asked for, in seconds."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class OpenAIEngine:
    """Chat completions at `base_url`: a hosted API, vLLM, SGLang, Ollama, llama.cpp.

    Rate limits, 5xx, time-outs, cut connections and bodies that are no completion are tried again up to
    `max_retries` times, after a wait drawn from [0, first_wait_s * 2^n] or, where the server names one, after that;
    any other 4xx is an EngineError at once (a RequestError where the request is to blame), with the server's sentence.
    `timeout_s` holds for one try as a whole.
    `extra_body` goes into every request and wins over what stands there. Token ids come back from servers that
    send `token_ids` with a choice (vLLM with `extra_body: {return_token_ids: true}`).
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        api_key_env: str = "OPENAI_API_KEY",
        concurrency: int = 32,
        timeout_s: float = 120,
        max_retries: int = 6,
        extra_body: dict[str, Any] | None = None,
        first_wait_s: float = 1.0,
    ) -> None:
        self._model = model
        self._key = os.environ.get(api_key_env, "")
        self._timeout_s = timeout_s
        self._max_retries = max_retries
        self._extra_body = extra_body or {}
        self._first_wait_s = first_wait_s
        self._slots = asyncio.Semaphore(concurrency)
        self._client = openai.AsyncOpenAI(
            base_url=base_url, api_key=self._key or "none", max_retries=0, timeout=timeout_s
        )

    async def chat(self, request: ChatRequest) -> Reply:
        """Answer one request. A slot is held from the first try to the last, so that waiting slows the caller down."""
        pictures = picture_usage(request)
        body = request_body(request, self._model)
        if request.session:
            body["extra_headers"] = {SESSION_HEADER: quote(request.session)}
        tries = AsyncRetrying(
            retry=retry_if_exception_type(_TransientError),
            stop=stop_after_attempt(self._max_retries + 1),
            wait=self._wait,
            reraise=True,
        )
        async with self._slots:
            try:
                completion: ChatCompletion = await tries(self._try, body)
            except _TransientError as error:
                attempts = f"{self._max_retries + 1} tries" if self._max_retries else "one try"
                raise UnavailableError(self._without_key(f"no answer after {attempts}: {error}")) from None
        retries = int(tries.statistics["attempt_number"]) - 1
        return read_completion(completion, request, pictures, retries)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _try(self, body: dict[str, Any]) -> ChatCompletion:
        """One try. Raises _TransientError, or EngineError where another try is of no use."""
        try:
            async with asyncio.timeout(self._timeout_s):
                completion = await self._client.chat.completions.create(**body, extra_body=self._extra_body)
        except openai.APIStatusError as error:
            message = f"HTTP {error.status_code}: {_sentence(error)}"
            if error.status_code in TRANSIENT_STATUS or error.status_code >= 500:
                raise _TransientError(message, retry_after(error.response.headers)) from None
            kind = RequestError if error.status_code in REQUEST_STATUS else EngineError
            raise kind(self._without_key(message)) from None
        except (TimeoutError, openai.APITimeoutError):
            raise _TransientError(f"no answer within {self._timeout_s:g} s") from None
        except openai.APIConnectionError as error:
            raise _TransientError(f"the connection failed: {error.__cause__ or error}") from None
        except (openai.APIResponseValidationError, json.JSONDecodeError):
            raise _TransientError("the body is not JSON") from None
        if not isinstance(completion, ChatCompletion) or not completion.choices:
            raise _TransientError(f"the body is not a chat completion: {str(completion)[:200]!r}")
        return completion

    def _wait(self, state: RetryCallState) -> float:
        """Seconds until the next try: full jitter, and never before the server wants it."""
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, _TransientError) and error.retry_after is not None:
            return min(error.retry_after, LONGEST_RETRY_AFTER_S) + random.uniform(0, self._first_wait_s)
        return random.uniform(0, min(LONGEST_WAIT_S, self._first_wait_s * 2 ** (state.attempt_number - 1)))

    def _without_key(self, message: str) -> str:
        """Servers quote the key in their messages."""
        return message.replace(self._key, "***") if self._key else message


def request_body(request: ChatRequest, model: str) -> dict[str, Any]:
    """The body of a chat completion: pictures as JPEG data URLs, the schema as a strict response format."""
    body: dict[str, Any] = {
        "model": model,
        "messages": [_message(message) for message in request.messages],
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
    }
    if request.schema is not None:
        schema = {"name": request.schema.get("title", "reply"), "schema": request.schema, "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    if request.logprobs:
        body["logprobs"] = True
    return body


def retry_after(headers: Any) -> float | None:
    """Seconds to wait by a Retry-After header, which holds seconds or an HTTP date; None without a usable one."""
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def _sentence(error: openai.APIStatusError) -> str:
    """What the server says for itself, out of the shapes in which servers say it."""
    body = error.body
    if isinstance(body, dict):
        body = body.get("message") or body.get("detail") or body
    return str(body or error.message)[:1000]


def _message(message: Message) -> dict[str, Any]:
    if isinstance(message.content, str):
        return {"role": message.role, "content": message.content}
    parts: list[dict[str, Any]] = []
    for part in message.parts():
        if isinstance(part, Text):
            parts.append({"type": "text", "text": part.text})
        else:
            url = "data:image/jpeg;base64," + base64.b64encode(part.jpeg).decode()
            parts.append({"type": "image_url", "image_url": {"url": url}})
    return {"role": message.role, "content": parts}


def read_completion(completion: ChatCompletion, request: ChatRequest, pictures: Usage, retries: int = 0) -> Reply:
    """The reply in a chat completion. Raises EngineError for a refusal, and for an end that is none."""
    choice = completion.choices[0]
    if choice.message.refusal:
        raise EngineError(f"the model refused: {choice.message.refusal}")
    if choice.finish_reason not in ("stop", "length"):
        raise EngineError(f"the reply ended for another reason than its end or its length: {choice.finish_reason}")
    written = choice.logprobs.content if request.logprobs and choice.logprobs else None
    token_ids = (choice.model_extra or {}).get("token_ids") if request.logprobs else None
    usage = completion.usage
    return Reply(
        text=choice.message.content or "",
        usage=pictures
        + Usage(
            prompt_tokens=usage.prompt_tokens if usage else 0,
            completion_tokens=usage.completion_tokens if usage else 0,
        ),
        finish_reason=choice.finish_reason,
        token_ids=tuple(token_ids) if token_ids else None,
        logprobs=tuple(token.logprob for token in written) if written else None,
        tokens=tuple(token.token for token in written) if written else None,
        retries=retries,
    )
