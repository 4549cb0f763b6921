"""From the OpenAI API to an engine's request, and from its reply back. Pure functions."""

import base64
import binascii
import io
import json
import wave
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from loupe.config import Serving
from loupe.embedding import Vectors
from loupe.engines.protocol import ChatRequest, Reply
from PIL import Image as Picture
from PIL import UnidentifiedImageError
from schemas.messages import Audio, Image, Message, Part, Text

from serving.bodies import (
    AudioPart,
    ChatBody,
    ChatMessage,
    EmbeddingBody,
    ImagePart,
    InputAudio,
    ObjectFormat,
    SchemaFormat,
    TextPart,
)
from serving.errors import ApiError, bad_request

JPEG_URL = "data:image/jpeg;base64,"
SCHEMA_LETTERS = 65_536
SCHEMA_DEPTH = 64
"""A schema becomes a grammar in a compiler that was not written for strangers: what it is given is bounded."""

Json = dict[str, Any]


def chat_request(body: ChatBody, limits: Serving, session: str = "") -> ChatRequest:
    """The request that a body stands for. Raises ApiError for what breaks a limit or cannot be read."""
    images = sum(isinstance(part, ImagePart) for message in body.messages for part in _parts(message))
    if images > limits.images:
        raise bad_request(f"the request has {images} images, and {limits.images} are the most", "messages")
    messages = tuple(_message(message, limits.pixels) for message in body.messages)
    heard = sum(seconds(part) for message in messages for part in message.parts() if isinstance(part, Audio))
    if heard > limits.sound_seconds:
        raise bad_request(
            f"the request has {heard:.1f} seconds of sound, and {limits.sound_seconds:g} are the most", "messages"
        )
    return ChatRequest(
        messages=messages,
        schema=_schema(body),
        max_tokens=body.max_completion_tokens or body.max_tokens or 512,
        temperature=body.temperature,
        logprobs=body.logprobs,
        likeliest=body.top_logprobs if body.logprobs else 0,
        session=session,
    )


def _parts(message: ChatMessage) -> list[Any]:
    return message.content if isinstance(message.content, list) else []


def _message(message: ChatMessage, pixels: int) -> Message:
    role = "system" if message.role == "developer" else message.role
    if isinstance(message.content, str):
        return Message(role=role, content=message.content)
    return Message(role=role, content=tuple(_part(part, pixels) for part in message.content))


def _part(part: TextPart | ImagePart | AudioPart, pixels: int) -> Part:
    match part:
        case TextPart():
            return Text(text=part.text)
        case ImagePart():
            return read_image(part.image_url.url, pixels)
        case AudioPart():
            return read_sound(part.input_audio)


def read_image(url: str, pixels: int) -> Image:
    """The picture in a data URL. Its key is a digest of it: a client cannot name one picture as another.

    Raises ApiError for any other address (nothing is ever fetched), for what is no JPEG, and above `pixels`.
    """
    if not url.startswith(JPEG_URL):
        raise bad_request(f"an image is sent as {JPEG_URL}...; this server fetches nothing", "messages")
    try:
        jpeg = base64.b64decode(url.removeprefix(JPEG_URL), validate=True)
        with Picture.open(io.BytesIO(jpeg), formats=["JPEG"]) as picture:
            width, height = picture.size
    except binascii.Error as error:
        raise bad_request(f"an image is not base64: {error}", "messages") from error
    except (UnidentifiedImageError, Picture.DecompressionBombError, OSError, SyntaxError) as error:
        raise bad_request("an image is not a JPEG that can be read", "messages") from error
    if width * height > pixels:
        raise bad_request(f"an image has {width} x {height} pixels, and {pixels} are the most", "messages")
    return Image(jpeg=jpeg, key=sha256(jpeg).hexdigest()[:32])


def read_sound(sent: InputAudio) -> Audio:
    """The sound in base64. Its key is a digest of it. Raises ApiError for what is no WAV file."""
    if sent.format != "wav":
        raise bad_request(f"a sound is sent as a WAV file, format wav, not {sent.format[:20]!r}", "messages")
    try:
        sound = base64.b64decode(sent.data, validate=True)
        audio = Audio(wav=sound, key=sha256(sound).hexdigest()[:32])
        seconds(audio)
    except binascii.Error as error:
        raise bad_request(f"a sound is not base64: {error}", "messages") from error
    except (wave.Error, EOFError, ZeroDivisionError) as error:
        raise bad_request("a sound is not a WAV file that can be read", "messages") from error
    return audio


def seconds(audio: Audio) -> float:
    """How long a sound lasts. Raises wave.Error, EOFError, ZeroDivisionError."""
    with wave.open(io.BytesIO(audio.wav)) as file:
        length: float = file.getnframes() / file.getframerate()
    return length


def _schema(body: ChatBody) -> Json | None:
    match body.response_format:
        case ObjectFormat():
            return {"type": "object"}
        case SchemaFormat(json_schema=named):
            _check_schema(named.json_schema)
            return named.json_schema
    return None


def _check_schema(schema: Json) -> None:
    level: list[Any] = [schema]
    for _ in range(SCHEMA_DEPTH):
        level = [part for parent in level for part in _children(parent)]
    if level:
        raise bad_request(f"the schema is nested deeper than {SCHEMA_DEPTH} levels", "response_format")
    if len(json.dumps(schema)) > SCHEMA_LETTERS:
        raise bad_request(f"the schema has more than {SCHEMA_LETTERS} characters", "response_format")


def _children(node: Any) -> list[Any]:
    if isinstance(node, dict):
        return list(node.values())
    return node if isinstance(node, list) else []


# Replies


@dataclass(frozen=True)
class Answer:
    """What stands at the head of every answer to a request, and what was asked to be in it."""

    model: str
    name: str
    """Its id."""
    created: int
    """Seconds since 1970."""
    token_ids: bool = False
    likeliest: int = 0

    def completion(self, reply: Reply) -> Json:
        """The reply, whole."""
        message = {"role": "assistant", "content": reply.text, "refusal": None}
        return self._as("chat.completion", [{"index": 0, "message": message, **self._end(reply)}]) | usage(reply)

    def chunk(self, **delta: str) -> Json:
        """An event of a stream: some more of the message."""
        choice = {"index": 0, "delta": delta, "finish_reason": None, "logprobs": None}
        return self._as("chat.completion.chunk", [choice])

    def last_chunk(self, reply: Reply) -> Json:
        """The event that ends the message; log-probabilities come with it, all at once."""
        return self._as("chat.completion.chunk", [{"index": 0, "delta": {}, **self._end(reply)}])

    def usage_chunk(self, reply: Reply) -> Json:
        """The event after it, for those who asked what it cost."""
        return self._as("chat.completion.chunk", []) | usage(reply)

    def _end(self, reply: Reply) -> Json:
        ids = {"token_ids": reply.token_ids and list(reply.token_ids)} if self.token_ids else {}
        return {"finish_reason": reply.finish_reason, "logprobs": _logprobs(reply, self.likeliest), **ids}

    def _as(self, kind: str, choices: list[Json]) -> Json:
        return {"id": self.name, "object": kind, "created": self.created, "model": self.model, "choices": choices}


def usage(reply: Reply) -> Json:
    """The field with the tokens of a reply."""
    prompt, written = reply.usage.prompt_tokens, reply.usage.completion_tokens
    return {"usage": {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}}


def _logprobs(reply: Reply, likeliest: int) -> Json | None:
    if reply.logprobs is None:
        return None
    tokens = reply.tokens or ("",) * len(reply.logprobs)
    beside = reply.likeliest or ((),) * len(reply.logprobs)
    content = [
        _logprob(token, logprob) | {"top_logprobs": [_logprob(*one) for one in others[:likeliest]]}
        for token, logprob, others in zip(tokens, reply.logprobs, beside, strict=True)
    ]
    return {"content": content, "refusal": None}


def _logprob(token: str, logprob: float) -> Json:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode())}


def embeddings(vectors: Vectors, body: EmbeddingBody, model: str) -> Json:
    """The answer with vectors of shape [texts, dimensions]. Embedders count no tokens: usage is 0.

    Raises ApiError where another number of dimensions was asked for.
    """
    if body.dimensions not in (None, vectors.shape[1]):
        raise bad_request(f"{model!r} gives vectors of {vectors.shape[1]} numbers", "dimensions")
    data = [
        {"object": "embedding", "index": index, "embedding": _vector(vector, body.encoding_format)}
        for index, vector in enumerate(vectors)
    ]
    return {"object": "list", "data": data, "model": model, "usage": {"prompt_tokens": 0, "total_tokens": 0}}


def _vector(vector: Any, encoding: str) -> list[float] | str:
    if encoding == "base64":
        return base64.b64encode(vector.astype("<f4").tobytes()).decode()
    numbers: list[float] = vector.tolist()
    return numbers


def no_model(name: str, known: list[str]) -> ApiError:
    """Status 404 for a model that is not there."""
    names = ", ".join(known) or "none"
    return ApiError(404, f"there is no model {name!r} here; there are: {names}", code="model_not_found", param="model")
