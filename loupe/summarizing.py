"""Summaries of a chunk and of a film: the requests for them, and what comes back."""

from collections.abc import Sequence

from pydantic import ValidationError

from loupe.engines.protocol import ChatRequest, ParseError, Reply
from loupe.prompts import Prompt
from schemas.messages import Message
from schemas.outputs import ChunkSummary, VideoSummary


def chunk_summary_request(
    captions: Sequence[tuple[float, str]], lines: Sequence[tuple[float, str]], prompt: Prompt, *, max_tokens: int = 256
) -> ChatRequest:
    """Ask for the summary of one chunk from its captions and spoken lines, each as (seconds, text)."""
    shown = [f"[{seconds:.1f}] {text}" for seconds, text in captions]
    shown += [f'[{seconds:.1f}] spoken: "{text}"' for seconds, text in lines]
    return ChatRequest(
        messages=(Message(role="user", content=prompt.fill(captions="\n".join(shown))),),
        schema=ChunkSummary.model_json_schema(),
        max_tokens=max_tokens,
    )


def parse_chunk_summary(reply: Reply) -> ChunkSummary:
    """The summary in a reply. Raises ParseError where it is not one."""
    try:
        return ChunkSummary.model_validate_json(reply.text)
    except ValidationError as error:
        raise ParseError(f"not a chunk summary ({reply.finish_reason}): {error}", reply) from error


def video_summary_request(
    parts: Sequence[tuple[float, float, str]], prompt: Prompt, *, max_tokens: int = 2048
) -> ChatRequest:
    """Ask for the summary and logs of consecutive parts of a film, each as (start s, end s, summary)."""
    shown = "\n".join(f"[{start:.1f}-{end:.1f}] {text}" for start, end, text in parts)
    return ChatRequest(
        messages=(Message(role="user", content=prompt.fill(summaries=shown)),),
        schema=VideoSummary.model_json_schema(),
        max_tokens=max_tokens,
    )


def parse_video_summary(reply: Reply) -> VideoSummary:
    """The summary and logs in a reply. Raises ParseError where it is not one."""
    try:
        return VideoSummary.model_validate_json(reply.text)
    except ValidationError as error:
        raise ParseError(f"not a video summary ({reply.finish_reason}): {error}", reply) from error
