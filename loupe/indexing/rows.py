"""From chunks to rows of the tables in schemas/tables.py."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from loupe.indexing.planning import REPLACING
from loupe.indexing.stages import Chunk, Failure, Settings
from schemas import tables

Row = dict[str, Any]


def frame_table(chunks: Sequence[Chunk]) -> pa.Table:
    """The new pixels of some chunks, as rows of `frames`."""
    rows = [
        {
            "video_id": chunk.film.video_id,
            "ts_ms": frame.ts_ms,
            "chunk_index": chunk.index,
            "pts_ms": frame.pts_ms,
            "lineage": chunk.lineage,
            "width": frame.width,
            "height": frame.height,
            "jpeg": frame.jpeg,
        }
        for chunk in chunks
        if chunk.frames_are_new
        for frame in chunk.frames
    ]
    return pa.Table.from_pylist(rows, schema=tables.frames())


def caption_rows(chunk: Chunk) -> list[Row]:
    """Rows of `captions`; none where the tables hold them already."""
    if not chunk.captions_are_new:
        return []
    return [
        {
            "video_id": chunk.film.video_id,
            "ts_ms": row.ts_ms,
            "chunk_index": chunk.index,
            "caption_lineage": chunk.caption_lineage,
            "same_as_ts_ms": row.same_as_ts_ms,
            **row.caption.model_dump(),
            "text": row.caption.searchable_text(),
            "vector": row.vector,
        }
        for row in chunk.captions
    ]


def transcript_rows(chunk: Chunk) -> list[Row]:
    """Rows of `transcripts` for the chunk's lines."""
    return [
        {
            "video_id": chunk.film.video_id,
            "line_index": line.index,
            "chunk_index": chunk.index,
            "start_ms": line.start_ms,
            "end_ms": line.end_ms,
            "text": line.text,
            "source": line.source,
            "lineage": chunk.summary_lineage,
            "vector": line.vector,
        }
        for line in chunk.lines
    ]


def chunk_row(chunk: Chunk) -> Row:
    """The chunk's marker."""
    usage = chunk.caption_usage + chunk.summary_usage
    return {
        "video_id": chunk.film.video_id,
        "chunk_index": chunk.index,
        "start_ms": chunk.start_ms,
        "end_ms": chunk.end_ms,
        "lineage": chunk.lineage,
        "caption_lineage": chunk.caption_lineage,
        "sound_lineage": chunk.sound_lineage,
        "transcript_lineage": chunk.transcript_lineage,
        "summary_lineage": chunk.summary_lineage,
        "frame_count": len(chunk.captions),  # at least; the commit counts the frames that there are
        "shared_count": sum(row.same_as_ts_ms is not None for row in chunk.captions),
        "damaged_packets": chunk.damaged_packets,
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "caption_prompt_tokens": chunk.caption_usage.prompt_tokens,
        "caption_completion_tokens": chunk.caption_usage.completion_tokens,
        "summary": chunk.summary,
        "vector": chunk.summary_vector,
    }


def video_row(chunk: Chunk, settings: Settings) -> Row:
    """The row of the chunk's film while it is being indexed."""
    assert chunk.info is not None
    return {
        "video_id": chunk.film.video_id,
        "uri": chunk.film.uri,
        "etag": chunk.film.etag,
        "size": chunk.film.size,
        "status": REPLACING if chunk.film.markers and not chunk.film.trusted else "indexing",
        "duration_ms": chunk.info.duration_ms,
        "width": chunk.info.width,
        "height": chunk.info.height,
        "fps": chunk.info.fps,
        "codec": chunk.info.codec,
        "has_audio": chunk.info.has_audio,
        "chunk_count": chunk.chunk_count,
        "sampler": settings.sampler,
        "captioner": settings.captioner,
        "summarizer": settings.film_summarizer,
        "transcriber": settings.transcriber,
    }


def failure_rows(chunk: Chunk) -> list[Row]:
    """Rows of `failures`."""
    film = {"video_id": chunk.film.video_id, "uri": chunk.film.uri, "etag": chunk.film.etag}
    return [failure_row(film, chunk.index, failure) for failure in chunk.failures]


def failure_row(film: Mapping[str, Any], chunk_index: int, failure: Failure) -> Row:
    """A row of `failures`; `film` has at least video_id, uri and etag."""
    return {
        "video_id": film["video_id"],
        "chunk_index": chunk_index,
        "stage": failure.stage,
        "class": failure.kind,
        "message": failure.message,
        "uri": film["uri"],
        "etag": film["etag"],
        "failed_at": datetime.now(UTC),
    }
