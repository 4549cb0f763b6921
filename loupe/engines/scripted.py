"""An engine without a model: a function, a list or a built-in rule answers. For tests, and for dry runs of a job."""

import hashlib
import inspect
import itertools
import json
import math
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

from loupe.engines.counting import picture_usage
from loupe.engines.protocol import ChatRequest, EngineError, Reply
from schemas.messages import Audio, Image, Part, Text, Usage

Answer = str | Exception | Reply
Rule = Callable[[ChatRequest], Answer | Awaitable[Answer]]

LETTERS_A_TOKEN = 4
TOKENS_A_PICTURE = 64
"""Made up: what usage is counted with."""


class ScriptedEngine:
    """Answers by a function, or by a list in order; remembers what it was asked.

    An answer is the text, a whole reply, or an exception to raise. Tokens are made up: one for each four letters and
    64 for a picture. Raises EngineError when a list is at its end.
    """

    def __init__(self, reply: Rule | Sequence[Answer]) -> None:
        self.requests: list[ChatRequest] = []
        """Everything that was asked, oldest first."""
        self._rule = reply if callable(reply) else _in_order(reply)

    async def chat(self, request: ChatRequest) -> Reply:
        """Answer one request."""
        self.requests.append(request)
        answer = self._rule(request)
        if inspect.isawaitable(answer):
            answer = await answer
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, Reply) else Reply(answer, _made_up_usage(request, answer), "stop")

    async def close(self) -> None:
        """Nothing is held."""


def digest(request: ChatRequest) -> str:
    """A valid object of the request's schema whose strings follow from the request: the same one, the same reply.

    Numbers count up from a schema's minimum, so that of two times the later one is larger. Without a schema the
    reply is a few words. Patterns and formats of strings are not known here.
    """
    seed = hashlib.sha256()
    for message in request.messages:
        for part in message.parts():
            seed.update(_bytes(part))
    words = _words(seed.hexdigest())
    if request.schema is None:
        return " ".join(itertools.islice(words, 3))
    example = _example(request.schema, request.schema.get("$defs", {}), words, itertools.count())
    return json.dumps(example, separators=(",", ":"))


def _bytes(part: Part) -> bytes:
    match part:
        case Text():
            return part.text.encode()
        case Image():
            return part.jpeg
        case Audio():
            return part.wav


RULES: dict[str, Rule] = {"digest": digest}
"""What the `source` of a model with `engine: scripted` may name."""


def _words(seed: str) -> Iterator[str]:
    for index in itertools.count():
        yield hashlib.sha256(f"{seed}:{index}".encode()).hexdigest()[:6]


def _example(schema: dict[str, Any], defs: dict[str, Any], words: Iterator[str], numbers: Iterator[int]) -> Any:
    def example(part: dict[str, Any]) -> Any:
        return _example(part, defs, words, numbers)

    match schema:
        case {"const": value} | {"enum": [value, *_]}:
            return value
        case {"$ref": name}:
            return example(defs[name.rpartition("/")[2]])
        case {"anyOf": [first, *_]} | {"oneOf": [first, *_]} | {"allOf": [first]}:
            return example(first)
        case {"type": "object"}:
            return {name: example(part) for name, part in schema.get("properties", {}).items()}
        case {"type": "array"}:
            count = min(max(schema.get("minItems", 0), 2), schema.get("maxItems", 2))
            return [example(schema.get("items", {"type": "string"})) for _ in range(count)]
        case {"type": "string"}:
            text = next(words)
            while len(text) < schema.get("minLength", 0):
                text += " " + next(words)
            return text[: schema.get("maxLength")]
        case {"type": "integer" | "number"}:
            least = schema.get("minimum", 0)
            return min(least + next(numbers), schema.get("maximum", math.inf))
        case {"type": "boolean"}:
            return True
        case {"type": "null"}:
            return None
    raise EngineError(f"the rule digest knows no example for the schema {schema}")


def _in_order(answers: Sequence[Answer]) -> Rule:
    left = iter(answers)

    def reply(request: ChatRequest) -> Answer:
        return next(left, EngineError(f"the script had {len(answers)} answers, and this is one request more"))

    return reply


def _made_up_usage(request: ChatRequest, answer: str) -> Usage:
    pictures = picture_usage(request)
    letters = sum(len(p.text) for message in request.messages for p in message.parts() if isinstance(p, Text))
    return pictures + Usage(
        prompt_tokens=letters // LETTERS_A_TOKEN + pictures.images * TOKENS_A_PICTURE,
        completion_tokens=len(answer) // LETTERS_A_TOKEN,
    )
