"""A stage of the index: what is said in a chunk of a film that has no subtitles. It takes a chunk and adds its lines.

Speech does not stop where a chunk ends. A chunk is heard from the quietest moment after its start to the quietest one
after its end, so that its neighbours, which look for the same moments in the same sound, begin and end there too.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from loupe import storage
from loupe.config import digest
from loupe.engines.speech import RATE, Spoken, Transcriber
from loupe.indexing.planning import PERMANENT
from loupe.indexing.stages import Chunk, Failure, Settings, SpokenLine
from loupe.library import Library
from loupe.media.opening import MediaError
from loupe.media.sound import SoundReport, cut_audio, sound_digest
from loupe.sound import Sound
from loupe.transcribing import EDGE_MS, listen, quietest

STAGE = "transcribe"


async def hear(chunk: Chunk, settings: Settings, library: Library, transcriber: Transcriber) -> Chunk:
    """Add what is said, or what the tables already hold of it, to a chunk that listens.

    Sound that cannot be decoded, all of it or some, is a failure of the chunk, which goes on without it; it stays one
    as long as the lines that were heard do. Raises EngineError.
    """
    started = time.time()
    try:
        sound_lineage = await asyncio.to_thread(_sound_lineage, chunk)
        chunk = replace(
            chunk, sound_lineage=sound_lineage, transcript_lineage=settings.transcript_lineage(sound_lineage)
        )
        if chunk.marker is not None and chunk.marker.transcript_lineage == chunk.transcript_lineage:
            return await asyncio.to_thread(_with_stored_lines, chunk, library)
        sound, offset_ms, damaged = await asyncio.to_thread(_own_sound, chunk)
        heard = await listen(sound, offset_ms, transcriber)
    except MediaError as error:
        return replace(chunk, failures=(*chunk.failures, Failure.of(STAGE, error)))
    return replace(
        chunk,
        lines=_numbered(heard.lines, f"heard:{settings.config.roles['transcriber']}"),
        failures=(*chunk.failures, *damaged),
        heard_requests=heard.requests,
        heard_seconds=heard.seconds,
    ).timed(STAGE, started)


def _sound_lineage(chunk: Chunk) -> str:
    """Hash of the packets that the chunk's lines are made of."""
    if chunk.film.trusted and chunk.marker is not None and chunk.marker.sound_lineage:
        return chunk.marker.sound_lineage
    with storage.open_seekable(chunk.film.uri) as file:
        return digest(sound_digest(file, chunk.start_ms, chunk.end_ms + EDGE_MS))


def _with_stored_lines(chunk: Chunk, library: Library) -> Chunk:
    """With the lines of an earlier run, and what that run could not hear."""
    video_id = chunk.film.video_id
    rows = library.chunk_transcripts(video_id, chunk.index)
    lines = [SpokenLine(row["line_index"], row["start_ms"], row["end_ms"], row["text"], row["source"]) for row in rows]
    failures = [
        Failure(row["stage"], row["class"], row["message"])
        for row in library.failures(video_id)
        if (row["chunk_index"], row["stage"]) == (chunk.index, STAGE) and row["class"].startswith(PERMANENT)
    ]
    return replace(chunk, lines=tuple(lines), failures=(*chunk.failures, *failures))


def _own_sound(chunk: Chunk) -> tuple[Sound, int, list[Failure]]:
    """The sound that is heard with this chunk and not with its neighbours, when it begins, and what of it is lost."""
    report = SoundReport()
    with storage.open_seekable(chunk.film.uri) as file:
        sound = cut_audio(file, chunk.start_ms, chunk.end_ms + EDGE_MS, RATE, report=report)
    edge, border = EDGE_MS * RATE // 1000, (chunk.end_ms - chunk.start_ms) * RATE // 1000
    first = quietest(sound, 0, edge) if chunk.index else 0
    end = quietest(sound, border, border + edge) if chunk.index + 1 < chunk.chunk_count else border
    first_ms, end_ms = (chunk.start_ms + at * 1000 // RATE for at in (first, end))
    lost = [ms for ms in report.damaged_ms if first_ms <= ms < end_ms]
    return np.ascontiguousarray(sound[first:end]), first_ms, [_lost_sound(lost)] if lost else []


def _lost_sound(times_ms: list[int]) -> Failure:
    where = f"{times_ms[0]} to {times_ms[-1]} ms"
    error = MediaError("damaged", f"{len(times_ms)} packets of sound could not be decoded, from {where}")
    return Failure.of(STAGE, error)


def _numbered(said: Sequence[Spoken], source: str) -> tuple[SpokenLine, ...]:
    return tuple(SpokenLine(index, line.start_ms, line.end_ms, line.text, source) for index, line in enumerate(said))
