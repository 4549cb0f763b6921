"""A stage of the index: what is said in a chunk of a film that has no subtitles. It takes a chunk and adds its lines.

Speech does not stop where a chunk ends. A chunk is heard from the quietest moment after its start to the quietest one
after its end, so that its neighbours, which look for the same moments in the same sound, begin and end there too.
"""

import asyncio
import time
from dataclasses import replace

import numpy as np

from loupe import storage
from loupe.config import digest
from loupe.engines.speech import RATE, Spoken, Transcriber
from loupe.indexing import Chunk, Failure, Settings, SpokenLine
from loupe.library import Library
from loupe.media.opening import MediaError
from loupe.media.sound import cut_audio, sound_digest
from loupe.sound import Sound
from loupe.transcribing import quietest, transcribe

EDGE_MS = 8_000
"""Behind a chunk's border, in which the quiet moment is looked for; seldom does anybody speak longer in one breath."""


async def hear(chunk: Chunk, settings: Settings, library: Library, transcriber: Transcriber) -> Chunk:
    """Add what is said, or what the tables already hold of it, to a chunk that listens.

    Sound that cannot be decoded is a failure of the chunk, which goes on without it. Raises EngineError.
    """
    started = time.time()
    try:
        sound_lineage = await asyncio.to_thread(_sound_lineage, chunk)
        chunk = replace(
            chunk, sound_lineage=sound_lineage, transcript_lineage=settings.transcript_lineage(sound_lineage)
        )
        if chunk.marker is not None and chunk.marker.transcript_lineage == chunk.transcript_lineage:
            lines = await asyncio.to_thread(_stored_lines, chunk, library)
        else:
            sound, offset_ms = await asyncio.to_thread(_own_sound, chunk)
            said = await transcribe(sound, offset_ms, transcriber)
            lines = _numbered(said, f"heard:{settings.config.roles['transcriber']}")
    except MediaError as error:
        return replace(chunk, failures=(*chunk.failures, Failure.of("transcribe", error)))
    return replace(chunk, lines=lines).timed("transcribe", started)


def _sound_lineage(chunk: Chunk) -> str:
    """Hash of the packets that the chunk's lines are made of."""
    if chunk.film.trusted and chunk.marker is not None and chunk.marker.sound_lineage:
        return chunk.marker.sound_lineage
    with storage.open_seekable(chunk.film.uri) as file:
        return digest(sound_digest(file, chunk.start_ms, chunk.end_ms + EDGE_MS))


def _stored_lines(chunk: Chunk, library: Library) -> tuple[SpokenLine, ...]:
    rows = library.chunk_transcripts(chunk.film.video_id, chunk.index)
    lines = [SpokenLine(row["line_index"], row["start_ms"], row["end_ms"], row["text"], row["source"]) for row in rows]
    return tuple(lines)


def _own_sound(chunk: Chunk) -> tuple[Sound, int]:
    """The sound that is heard with this chunk and not with its neighbours, and when it begins."""
    with storage.open_seekable(chunk.film.uri) as file:
        sound = cut_audio(file, chunk.start_ms, chunk.end_ms + EDGE_MS, RATE)
    edge, border = EDGE_MS * RATE // 1000, (chunk.end_ms - chunk.start_ms) * RATE // 1000
    first = quietest(sound, 0, edge) if chunk.index else 0
    end = quietest(sound, border, border + edge) if chunk.index + 1 < chunk.chunk_count else border
    return np.ascontiguousarray(sound[first:end]), chunk.start_ms + first * 1000 // RATE


def _numbered(said: list[Spoken], source: str) -> tuple[SpokenLine, ...]:
    return tuple(SpokenLine(index, line.start_ms, line.end_ms, line.text, source) for index, line in enumerate(said))
