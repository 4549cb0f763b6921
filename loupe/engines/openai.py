"""A model that chats behind an OpenAI-compatible address."""

import base64
import math
from collections.abc import Iterable, Sequence
from typing import Any, TypedDict, Unpack
from urllib.parse import quote

import openai
from openai.types.chat import ChatCompletion, ChatCompletionTokenLogprob

from loupe.engines.counting import picture_usage
from loupe.engines.endpoint import Endpoint, Patience, TransientError
from loupe.engines.protocol import ChatRequest, Reply, RequestError
from loupe.engines.schemas import without_string_lengths
from schemas.messages import Audio, Message, Text, Usage

LIKELIEST = 20
"""Tokens that api.openai.com and vLLM tell in the place of each written one, at most."""
ENTROPY = "the {count} likeliest tokens, and all others as one, as the server gives their log-probabilities"
SESSION_HEADER = "x-session-id"
"""What Ray Serve routes by; other servers pass it by."""


class OpenAIEngine:
    """Chat completions at `base_url`: a hosted API, vLLM, SGLang, Ollama, llama.cpp. Errors are those of Endpoint.

    `extra_body` goes into every request and wins over what stands there. Token ids come back from servers that
    send `token_ids` with a choice (vLLM with `extra_body: {return_token_ids: true}`).
    """

    def __init__(
        self, base_url: str, model: str, *, extra_body: dict[str, Any] | None = None, **patience: Unpack[Patience]
    ) -> None:
        self._endpoint = Endpoint(base_url, **patience)
        self._model = model
        self._extra_body = extra_body or {}

    async def chat(self, request: ChatRequest) -> Reply:
        """Answer one request. A slot is held from the first try to the last, so that waiting slows the caller down."""
        pictures = picture_usage(request)
        body = request_body(request, self._model)
        if request.session:
            body["extra_headers"] = {SESSION_HEADER: quote(request.session)}
        completion, retries = await self._endpoint.ask(lambda client: self._try(client, body))
        return read_completion(completion, request, pictures, retries)

    async def close(self) -> None:
        """Close the connections."""
        await self._endpoint.close()

    async def _try(self, client: openai.AsyncOpenAI, body: dict[str, Any]) -> ChatCompletion:
        completion = await client.chat.completions.create(**body, extra_body=self._extra_body)
        if not isinstance(completion, ChatCompletion) or not completion.choices:
            raise TransientError(f"the body is not a chat completion: {str(completion)[:200]!r}")
        return completion


def request_body(request: ChatRequest, model: str) -> dict[str, Any]:
    """The body of a chat completion: pictures as JPEG data URLs, the schema as a strict response format.

    Lengths of strings are left out of the schema: api.openai.com refuses strict schemas that name them.
    """
    body: dict[str, Any] = {
        "model": model,
        "messages": [_message(message) for message in request.messages],
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
    }
    if request.schema is not None:
        schema = without_string_lengths(request.schema)
        named = {"name": schema.get("title", "reply"), "schema": schema, "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": named}
    if request.logprobs:
        body |= {"logprobs": True, "top_logprobs": request.likeliest or LIKELIEST}
    return body


def _message(message: Message) -> dict[str, Any]:
    if isinstance(message.content, str):
        return {"role": message.role, "content": message.content}
    parts: list[dict[str, Any]] = []
    for part in message.parts():
        if isinstance(part, Text):
            parts.append({"type": "text", "text": part.text})
        elif isinstance(part, Audio):
            data = base64.b64encode(part.wav).decode()
            parts.append({"type": "input_audio", "input_audio": {"data": data, "format": "wav"}})
        else:
            url = "data:image/jpeg;base64," + base64.b64encode(part.jpeg).decode()
            parts.append({"type": "image_url", "image_url": {"url": url}})
    return {"role": message.role, "content": parts}


def read_completion(completion: ChatCompletion, request: ChatRequest, pictures: Usage, retries: int = 0) -> Reply:
    """The reply in a chat completion. Raises RequestError for a refusal, and for an end that is none."""
    choice = completion.choices[0]
    if choice.message.refusal:
        raise RequestError(f"the model refused: {choice.message.refusal}")
    if choice.finish_reason not in ("stop", "length"):
        raise RequestError(f"the reply ended for another reason than its end or its length: {choice.finish_reason}")
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
        retries=retries,
        **of_tokens(written or ()),
    )


class OfTokens(TypedDict, total=False):
    """What a Reply says of each written token."""

    logprobs: tuple[float, ...]
    tokens: tuple[str, ...]
    likeliest: tuple[tuple[tuple[str, float], ...], ...]
    entropies: tuple[float, ...]
    entropy_definition: str


def of_tokens(written: Sequence[ChatCompletionTokenLogprob]) -> OfTokens:
    """Fields of a Reply: none where the server tells nothing, no entropies where it tells of no other tokens."""
    if not written:
        return {}
    told = OfTokens(logprobs=tuple(one.logprob for one in written), tokens=tuple(one.token for one in written))
    if all(one.top_logprobs for one in written):
        told["likeliest"] = tuple(tuple((other.token, other.logprob) for other in one.top_logprobs) for one in written)
        told["entropies"] = tuple(entropy([odds for _, odds in each]) for each in told["likeliest"])
        told["entropy_definition"] = ENTROPY.format(count=max(map(len, told["likeliest"])))
    return told


def entropy(logprobs: Iterable[float]) -> float:
    """Of the likeliest tokens, in nats; what is left of the probability counts as one token more."""
    known = [math.exp(one) for one in logprobs]
    return -sum(one * math.log(one) for one in (*known, 1 - sum(known)) if one > 0)
