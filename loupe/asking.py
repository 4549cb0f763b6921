"""A question about some frames: the request for its answer, and what comes back."""

from collections.abc import Sequence
from typing import Any

from loupe.engines.parsing import read_output
from loupe.engines.protocol import ChatRequest, Reply
from loupe.engines.schemas import with_enum
from loupe.prompts import Prompt
from schemas.messages import Image, Message, Part, Text
from schemas.outputs import FrameAnswer


def ask_request(
    question: str,
    frames: Sequence[tuple[float, Image]],
    prompt: Prompt,
    *,
    context: str = "",
    max_tokens: int = 512,
) -> ChatRequest:
    """Ask about frames, given as (seconds, picture) in order of time; all of them go in one request.

    `context` is what is known of the film, and stands first: questions about one film share it.
    """
    content: list[Part] = [Text(text=f"{context}\n")] if context else []
    for seconds, image in frames:
        content += [Text(text=f"[{seconds:.1f}]"), image]
    content.append(Text(text=prompt.fill(question=question)))
    return ChatRequest(
        messages=(Message(role="user", content=tuple(content)),),
        schema=answer_schema(),
        max_tokens=max_tokens,
    )


def answer_schema(contents: tuple[str, ...] = ()) -> dict[str, Any]:
    """The JSON schema of what comes back, to be read only. `contents` is all that it may say; empty: anything."""
    schema = FrameAnswer.json_schema()
    return with_enum(schema, "answer", contents) if contents else schema


def parse_answer(reply: Reply) -> FrameAnswer:
    """The answer in a reply. Raises ParseError where it is not one."""
    return read_output(reply, FrameAnswer, "an answer")
