"""Small chunks with made-up rows, for tests of the tables: what a scene's rows hold follows from its arguments."""

from collections.abc import Sequence
from typing import Any

import lance
import numpy as np
import pyarrow as pa

from loupe.library import CommitBatch, write_frame_fragments
from schemas import tables

DIMENSIONS = 8
WORDS = ("cat", "dog", "boat", "lamp", "tree", "hat", "train", "egg")
TABLES = ("videos", "chunks", "frames", "captions", "transcripts", "failures")


def vector_of(text: str) -> list[float]:
    """A unit vector that points to the words of WORDS that are in a text."""
    found = np.array([float(word in text.split()) for word in WORDS])
    return (found / max(np.linalg.norm(found), 1e-9)).tolist() if found.any() else [DIMENSIONS**-0.5] * DIMENSIONS


class Scene:
    """A chunk: `words` are what its frames show, one after the other; `step_ms` the time between two frames."""

    def __init__(
        self,
        film: str = "a.mp4",
        index: int = 0,
        words: Sequence[str] = ("cat", "dog", "boat"),
        *,
        made: str = "1",
        captioned: str = "1",
        summarized: str = "1",
        step_ms: int = 1000,
        length_ms: int = 3000,
        lines: Sequence[str] = (),
    ) -> None:
        self.film, self.index, self.words, self.lines = film, index, words, lines
        self.start_ms, self.end_ms, self.step_ms = index * length_ms, (index + 1) * length_ms, step_ms
        self.lineage = f"{film}/{index}/{made}/{step_ms}"
        self.caption_lineage = f"{self.lineage}/{captioned}"
        self.summary_lineage = f"{self.caption_lineage}/{summarized}"

    @property
    def times(self) -> list[int]:
        return list(range(self.start_ms, self.end_ms, self.step_ms))

    def word(self, position: int) -> str:
        return self.words[position % len(self.words)]

    def frames(self) -> pa.Table:
        rows = [
            {
                "video_id": self.film,
                "ts_ms": time,
                "chunk_index": self.index,
                "pts_ms": time + 7,
                "lineage": self.lineage,
                "width": 4,
                "height": 2,
                "jpeg": f"{self.lineage}@{time}".encode(),
            }
            for time in self.times
        ]
        return pa.Table.from_pylist(rows, schema=tables.frames())

    def captions(self) -> list[dict[str, Any]]:
        texts = [f"a {self.word(position)} stands here" for position in range(len(self.times))]
        return [
            {
                "video_id": self.film,
                "ts_ms": time,
                "chunk_index": self.index,
                "caption_lineage": self.caption_lineage,
                "caption": text,
                "text": text,
                "subjects": [self.word(position)],
                "vector": vector_of(text),
            }
            for position, (time, text) in enumerate(zip(self.times, texts, strict=True))
        ]

    def transcripts(self) -> list[dict[str, Any]]:
        return [
            {
                "video_id": self.film,
                "chunk_index": self.index,
                "line_index": line,
                "start_ms": self.start_ms + 100 * line,
                "end_ms": self.start_ms + 100 * line + 90,
                "text": text,
                "lineage": self.summary_lineage,
                "vector": vector_of(text),
            }
            for line, text in enumerate(self.lines)
        ]

    def marker(self) -> dict[str, Any]:
        summary = "there was a " + " and a ".join(self.words)
        return {
            "video_id": self.film,
            "chunk_index": self.index,
            "start_ms": self.start_ms,
            "end_ms": self.end_ms,
            "lineage": self.lineage,
            "caption_lineage": self.caption_lineage,
            "sound_lineage": "",
            "transcript_lineage": "",
            "summary_lineage": self.summary_lineage,
            "frame_count": len(self.times),
            "damaged_packets": 2,
            "caption_prompt_tokens": 30,
            "caption_completion_tokens": 9,
            "summary": summary,
            "vector": vector_of(summary),
        }


def batch(database: str, *scenes: Scene, pixels: bool = True, captions: bool = True) -> CommitBatch:
    """A batch of whole scenes; without `pixels` or `captions` those in the tables stay."""
    table = pa.concat_tables([scene.frames() for scene in scenes])
    return CommitBatch(
        chunks=[scene.marker() for scene in scenes],
        fragments=[write_frame_fragments(database, table)] if pixels else [],
        captions=[row for scene in scenes for row in scene.captions()] if captions else [],
        transcripts=[row for scene in scenes for row in scene.transcripts()],
    )


def stored(database: str) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table, whether it has a marker or not, in the order of the keys."""
    content = {}
    for name, schema in tables.all_tables(DIMENSIONS).items():
        rows = lance.dataset(f"{database}/{name}.lance").to_table().to_pylist()
        content[name] = sorted(rows, key=lambda row: [row[key] for key in tables.key_columns(schema)])
    return content


def versions(database: str) -> dict[str, int]:
    """The newest version of every table."""
    return {name: lance.dataset(f"{database}/{name}.lance").latest_version for name in TABLES}
