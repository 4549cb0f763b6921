"""Summaries of a chunk and of a film: the requests for them, and what comes back."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from loupe.engines.parsing import Asked, ask, read_output
from loupe.engines.protocol import ChatRequest, Engine, Reply
from loupe.prompts import Prompt
from loupe.untrusted import as_data
from schemas.messages import Message, Usage
from schemas.outputs import ChunkSummary, FrameCaption, LogEntry, VideoSummary

LOGS = ("characters", "events", "scenes")

Part = tuple[float, float, str]
"""Start and end in seconds, and what happens between."""
Condensed = tuple[float, float, VideoSummary]
"""The same of several parts, with their logs."""
AsksFor = Callable[[Sequence[Part], Prompt, int], ChatRequest]
"""Parts, a prompt and the tokens of a reply, at most -> the request for their summary."""


def told(captions: Sequence[tuple[float, FrameCaption]]) -> list[tuple[float, str]]:
    """Captions as lines (seconds, text): the sentence, and the names that are new since the place last changed.

    A caption that brings no new name is left out: a still minute is one line.
    """
    lines: list[tuple[float, str]] = []
    place, named = None, set[tuple[str, str]]()
    for seconds, caption in captions:
        moved = caption.place != place
        if moved:
            place, named = caption.place, set()
        new = {
            name: [value for value in getattr(caption, name) if (name, value) not in named]
            for name in ("subjects", "actions", "objects", "on_screen_text")
        }
        if moved or any(new.values()):
            shown = caption.model_copy(update={**new, "place": place if moved else ""})
            lines.append((seconds, shown.searchable_text()))
        named |= {(name, value) for name, values in new.items() for value in values}
    return lines


def chunk_summary_request(
    captions: Sequence[tuple[float, FrameCaption]],
    lines: Sequence[tuple[float, str]],
    prompt: Prompt,
    *,
    max_tokens: int = 256,
) -> ChatRequest:
    """Ask for the summary of one chunk from its captions and spoken lines, each with its time in seconds."""
    shown = [f"[{seconds:.1f}] {as_data(text)}" for seconds, text in told(captions)]
    shown += [f'[{seconds:.1f}] spoken: "{as_data(text)}"' for seconds, text in lines]
    return ChatRequest(
        messages=(Message(role="user", content=prompt.fill(captions="\n".join(shown))),),
        schema=ChunkSummary.json_schema(),
        max_tokens=max_tokens,
    )


def parse_chunk_summary(reply: Reply) -> ChunkSummary:
    """The summary in a reply. Raises ParseError where it is not one."""
    return read_output(reply, ChunkSummary, "a chunk summary")


def video_summary_request(parts: Sequence[Part], prompt: Prompt, max_tokens: int = 2048) -> ChatRequest:
    """Ask for the summary and logs of consecutive parts of a film."""
    shown = "\n".join(f"[{start:.1f}-{end:.1f}] {as_data(text)}" for start, end, text in parts)
    return ChatRequest(
        messages=(Message(role="user", content=prompt.fill(summaries=shown)),),
        schema=VideoSummary.json_schema(),
        max_tokens=max_tokens,
    )


def summary_alone_request(parts: Sequence[Part], prompt: Prompt, max_tokens: int = 2048) -> ChatRequest:
    """Ask for the same, in the same words, with logs that stay empty."""
    return replace(video_summary_request(parts, prompt, max_tokens), schema=_without_logs(VideoSummary.json_schema()))


def _without_logs(schema: dict[str, Any]) -> dict[str, Any]:
    logs = {name: {**schema["properties"][name], "maxItems": 0} for name in LOGS}
    return {**schema, "properties": {**schema["properties"], **logs}}


LOWEST: tuple[AsksFor, ...] = (video_summary_request,)
ABOVE: tuple[AsksFor, ...] = (video_summary_request, summary_alone_request)
"""What parts are asked for at a level of the hierarchy: the next where the one before cannot be read.
A single part is asked for as one above is: there is nothing to halve."""


def parse_video_summary(reply: Reply) -> VideoSummary:
    """The summary and logs in a reply. Raises ParseError where it is not one."""
    return read_output(reply, VideoSummary, "a video summary")


async def summarize_video(
    parts: Sequence[Part], engine: Engine, prompt: Prompt, *, fan_in: int, max_tokens: int
) -> tuple[VideoSummary, Usage, int]:
    """Condense the summaries of a film's chunks, `fan_in` at a time, until one is left.

    Gives the summary with its logs, what it cost, and in how many requests.
    The logs are those of the lowest level, in order of time, with neighbours of the same text joined; the levels
    above condense the summary alone, so that no log line is lost to a limit of length.
    Raises EngineError; ParseError where a single part cannot be condensed, or above the lowest level as many parts are
    left as there were.
    """
    usage, sent, logs = Usage(), 0, None
    while True:
        groups = [parts[at : at + fan_in] for at in range(0, len(parts), fan_in)]
        ways = LOWEST if logs is None else ABOVE
        asked = await asyncio.gather(*(condense(group, engine, prompt, ways, max_tokens) for group in groups))
        usage = sum((answer.usage for answer in asked), usage)
        sent += sum(answer.requests for answer in asked)
        condensed = [one for answer in asked for one in answer.value or ()]
        errors = [answer.error for answer in asked if answer.error is not None]
        fewer = logs is None or len(condensed) < len(parts)
        if errors and not (fewer and all(answer.value for answer in asked)):
            raise errors[0]
        if logs is None:
            logs = {name: join_log([line for *_, one in condensed for line in getattr(one, name)]) for name in LOGS}
        if len(condensed) == 1:
            return condensed[0][2].model_copy(update=logs), usage, sent
        parts = [(start, end, one.summary) for start, end, one in condensed]


async def condense(
    parts: Sequence[Part], engine: Engine, prompt: Prompt, ways: Sequence[AsksFor], max_tokens: int
) -> Asked[list[Condensed]]:
    """Condense parts into one; where that cannot be read, as where so many logs are cut, each half of them by itself.

    A single part of which no summary with logs can be read goes without. Gives the error of what could not be read,
    with a value if its halves could. Raises EngineError.
    """
    usage, sent, error = Usage(), 0, None
    for asks_for in ways if len(parts) > 1 else ABOVE:
        whole = await ask(engine, asks_for(parts, prompt, max_tokens), parse_video_summary)
        usage, sent, error = usage + whole.usage, sent + whole.requests, whole.error
        if whole.value is not None:
            return Asked([(parts[0][0], parts[-1][1], whole.value)], usage, sent)
    if len(parts) == 1:
        return Asked(None, usage, sent, error)
    middle = len(parts) // 2
    halves = [condense(half, engine, prompt, ways, max_tokens) for half in (parts[:middle], parts[middle:])]
    first, second = await asyncio.gather(*halves)
    both = first.value + second.value if first.value and second.value else None
    return Asked(both, usage + first.usage + second.usage, sent + first.requests + second.requests, error)


def join_log(lines: Sequence[LogEntry]) -> list[LogEntry]:
    """The lines in order of time; those of one text that touch or overlap become one."""
    joined: dict[str, list[LogEntry]] = {}
    for line in sorted(lines, key=lambda line: (line.start, line.end)):
        same = joined.setdefault(line.text, [])
        if same and line.start <= same[-1].end:
            same[-1] = same[-1].model_copy(update={"end": max(same[-1].end, line.end)})
        else:
            same.append(line)
    return sorted((line for same in joined.values() for line in same), key=lambda line: (line.start, line.end))
