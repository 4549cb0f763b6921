"""A chunk as rows of one frame each, for an engine that is a step of the dataset, and the rows as a chunk again.

A chunk that needs no caption travels along as a row that asks for nothing. Frames come back in any order and are
gathered into their chunks as these become whole, so the stream never waits for the slowest film. Who gathers holds
chunks in memory alone: should it die, the chunks that it held are not in this run's result, get no marker, and are
done by the next run.
"""

import pickle
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from loupe.captioning import caption_request, parse_caption
from loupe.engines.parsing import ROOM, Asked
from loupe.engines.protocol import ChatRequest, EngineError, ParseError, Reply, RequestError
from loupe.indexing import stages
from loupe.indexing.stages import Chunk, Settings
from schemas.messages import Usage
from schemas.outputs import FrameCaption

Row = dict[str, Any]
COLUMNS = ("chunk_id", "position", "chunk")
"""What a row says of its place: a chunk's first row, at position -1, holds the chunk and asks for nothing."""
ERROR = "__inference_error__"
"""Column of ray.data.llm: why there is no reply. A row in which it stands from the beginning is passed by."""
AT_FAULT = ("RequestError:", "ValueError:", "VLLMValidationError:")
"""How errors begin that lie in a request: in a picture of it, or in a prompt that vLLM cannot take."""
REPLY = ("generated_text", "num_generated_tokens", "num_input_tokens", "max_tokens", "images", "pixels")
"""Columns that the engine adds, of which `read_reply` makes a reply."""


def request_row(request: ChatRequest, **columns: Any) -> Row:
    """A row that asks; `columns` come back with the reply."""
    return {"request": pickle.dumps(request), **columns}


class SplitFrames:
    """1 chunk -> a row with the chunk, and one a frame that needs a caption of its own."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def __call__(self, row: Row) -> Iterator[Row]:
        chunk: Chunk = row["chunk"]
        chunk_id = f"{chunk.film.video_id}:{chunk.index}"
        shared: list[int | None] = []
        if not (chunk.unchanged or chunk.failed or chunk.is_captioned):
            try:
                shared = stages.shares(chunk, self.settings)
            except Exception as error:  # noqa: BLE001 - the row boundary
                chunk = chunk.fail("caption", error)
        opened = pickle.dumps(_Open(chunk, tuple(shared)))
        yield {"chunk_id": chunk_id, "position": -1, "chunk": opened, "request": b""}
        tokens = ROOM * self.settings.config.index.caption_tokens  # nobody asks again: all the room at once
        for position, source in enumerate(shared):
            if source is None:
                request = caption_request(chunk.frames[position].jpeg, self.settings.caption_prompt, max_tokens=tokens)
                yield request_row(request, chunk_id=chunk_id, position=position, chunk=b"")


@dataclass
class _Open:
    """A chunk whose replies are still coming in."""

    chunk: Chunk | None = None
    shared: tuple[int | None, ...] = ()
    asked: dict[int, Asked[FrameCaption]] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        return self.chunk is not None and len(self.asked) == self.shared.count(None)

    def captioned(self) -> Chunk:
        """The chunk with what was asked for it; failed where vLLM was, or not one frame has a caption."""
        assert self.chunk is not None  # only whole ones are asked
        if not self.shared:
            return self.chunk
        for answer in self.asked.values():
            if isinstance(answer.error, EngineError) and not isinstance(answer.error, RequestError):
                return self.chunk.fail("caption", answer.error)
        return stages.with_captions(self.chunk, self.shared, self.asked)


class GatherChunks:
    """60 rows -> 1 chunk with its captions, as soon as all of its rows have come."""

    def __init__(self) -> None:
        self.open: dict[str, _Open] = {}

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Chunk]]:
        rows = [dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)]
        chunks = [chunk for row in rows if (chunk := self._add(row)) is not None]
        return {"chunk": chunks}

    def _add(self, row: Row) -> Chunk | None:
        """Note a row; gives its chunk if that was the last one."""
        entry = self.open.setdefault(row["chunk_id"], _Open())
        if row["position"] < 0:
            opened: _Open = pickle.loads(row["chunk"])
            entry.chunk, entry.shared = opened.chunk, opened.shared
        else:
            entry.asked[int(row["position"])] = _read(row)
        return self.open.pop(row["chunk_id"]).captioned() if entry.whole else None


def _read(row: Row) -> Asked[FrameCaption]:
    """The caption in a row, or why there is none."""
    if row[ERROR]:
        kind = RequestError if row[ERROR].startswith(AT_FAULT) else EngineError
        return Asked(None, Usage(), 1, kind(row[ERROR]))
    reply = read_reply(row)
    try:
        return Asked(parse_caption(reply), reply.usage, 1)
    except ParseError as error:
        return Asked(None, reply.usage, 1, error)


def read_reply(row: Row) -> Reply:
    """The reply in a row that has no error. vLLM's rows hold no finish reason: a reply of full length was cut."""
    written = int(row["num_generated_tokens"])
    usage = Usage(
        prompt_tokens=int(row["num_input_tokens"]),
        completion_tokens=written,
        images=int(row["images"]),
        pixels=int(row["pixels"]),
    )
    return Reply(row["generated_text"], usage, "length" if written >= row["max_tokens"] else "stop")
