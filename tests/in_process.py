"""The index job without Ray: the same stages, one row after the other."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

from jobs import index_library
from jobs.index_library import (
    DescribeChunks,
    FinishFilms,
    SampleFrames,
    StoreChunks,
    Stream,
    TranscribeChunks,
    split_film,
)
from loupe.config import Config
from loupe.indexing.finishing import Finished
from loupe.indexing.stages import Film, Settings
from loupe.library.tables import BeforeCommit, nothing


def index(config: Config, before_commit: BeforeCommit = nothing, *, prune: bool = False) -> int:
    """Run the job; its exit code."""
    return index_library.run(config, prune=prune, before_commit=before_commit, chunks_of=chunks_of, finish=finish)


def chunks_of(films: Sequence[Film], settings: Settings) -> Stream:
    sample, describe, store = (stage(settings) for stage in (SampleFrames, DescribeChunks, StoreChunks))
    transcribe = TranscribeChunks(settings) if settings.transcriber else None

    def described() -> Iterator[Any]:
        with asyncio.Runner() as loop:  # one for all: engines hold connections
            for film in films:
                for row in split_film({"film": film}, settings):
                    heard = loop.run(transcribe(row)) if transcribe else row
                    yield loop.run(describe(sample(heard)))["chunk"]

    waiting = []
    for chunk in described():
        waiting.append(chunk)
        if len(waiting) == settings.config.index.stages.store.chunks_in_flight:
            yield from store({"chunk": waiting})["stored"]
            waiting = []
    if waiting:
        yield from store({"chunk": waiting})["stored"]


def finish(videos: Sequence[dict[str, Any]], settings: Settings) -> Iterator[Sequence[Finished]]:
    stage = FinishFilms(settings)
    yield [asyncio.run(stage({"video": row}))["finished"] for row in videos]
