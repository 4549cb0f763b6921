"""Summaries of a chunk and of a film: the requests for them, and what comes back."""

import asyncio
from collections.abc import Sequence

from loupe.engines.parsing import ask, read_output
from loupe.engines.protocol import ChatRequest, Engine, Reply
from loupe.prompts import Prompt
from loupe.untrusted import as_data
from schemas.messages import Message, Usage
from schemas.outputs import ChunkSummary, FrameCaption, LogEntry, VideoSummary

LOGS = ("characters", "events", "scenes")


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


def video_summary_request(
    parts: Sequence[tuple[float, float, str]], prompt: Prompt, *, max_tokens: int = 2048
) -> ChatRequest:
    """Ask for the summary and logs of consecutive parts of a film, each as (start s, end s, summary)."""
    shown = "\n".join(f"[{start:.1f}-{end:.1f}] {as_data(text)}" for start, end, text in parts)
    return ChatRequest(
        messages=(Message(role="user", content=prompt.fill(summaries=shown)),),
        schema=VideoSummary.json_schema(),
        max_tokens=max_tokens,
    )


def parse_video_summary(reply: Reply) -> VideoSummary:
    """The summary and logs in a reply. Raises ParseError where it is not one."""
    return read_output(reply, VideoSummary, "a video summary")


async def summarize_video(
    parts: Sequence[tuple[float, float, str]], engine: Engine, prompt: Prompt, *, fan_in: int, max_tokens: int
) -> tuple[VideoSummary, Usage, int]:
    """Condense (start s, end s, summary) of a film's chunks, `fan_in` at a time, until one summary is left.

    Gives the summary with its logs, what it cost, and in how many requests.
    The logs are those of the lowest level, in order of time, with neighbours of the same text joined; the levels
    above condense the summary alone, so that no log line is lost to a limit of length.
    Raises ParseError or EngineError.
    """
    usage, sent, logs = Usage(), 0, None
    while True:
        groups = [parts[at : at + fan_in] for at in range(0, len(parts), fan_in)]
        requests = [video_summary_request(group, prompt, max_tokens=max_tokens) for group in groups]
        asked = await asyncio.gather(*(ask(engine, request, parse_video_summary) for request in requests))
        usage = sum((answer.usage for answer in asked), usage)
        sent += sum(answer.requests for answer in asked)
        for answer in asked:
            if answer.error is not None:
                raise answer.error
        summaries = [answer.value for answer in asked if answer.value is not None]
        if logs is None:
            logs = {name: join_log([line for one in summaries for line in getattr(one, name)]) for name in LOGS}
        if len(summaries) == 1:
            return summaries[0].model_copy(update=logs), usage, sent
        parts = [(group[0][0], group[-1][1], one.summary) for group, one in zip(groups, summaries, strict=True)]


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
