"""A library of one toytown film as the index job would leave it, from true captions or such with a captioner's errors.

Nothing is encoded or decoded: every frame is the same small picture, since oracles see the film itself.
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import pyarrow as pa

from loupe.agent.footage import FilmFile
from loupe.agent.scene import Desk
from loupe.benchmarks.toytown.captions import caption
from loupe.benchmarks.toytown.places import HEIGHT, WIDTH
from loupe.benchmarks.toytown.screenplay import FPS, Film
from loupe.benchmarks.toytown.world import HATS, THINGS
from loupe.embedding import Embedder
from loupe.engines.fields import condense
from loupe.engines.protocol import Reply
from loupe.library import CommitBatch, Library, StoredFrame, write_frame_fragments
from loupe.media import Sound, encode_jpeg
from loupe.prompts import load
from loupe.summarizing import chunk_summary_request, parse_chunk_summary, parse_video_summary, video_summary_request
from loupe.timeline import Chunk, chunks
from schemas import tables
from schemas.messages import Usage
from schemas.outputs import FrameCaption

PICTURE = encode_jpeg(np.zeros((8, 8, 3), np.uint8))
STEP_MS = 1000
MISSED, MISTAKEN, IMAGINED = 0.12, 0.02, 0.04
"""Shares of objects that are not named, people who are wrongly named, objects that are not there: the tiny model's."""
CONFUSED = {"enters": "walks", "leaves": "walks", "walks": "stands", "waves": "stands", "stands": "walks"}
CONFUSED_SHARE = 0.06


class DrawnFootage:
    """Frames of a film as places in it, and sound as a stretch of it: whoever asks knows the film."""

    def frames(self, file: FilmFile, times_ms: Sequence[int]) -> list[StoredFrame]:
        """One small picture for all."""
        return [StoredFrame(ts_ms, ts_ms, PICTURE) for ts_ms in sorted(set(times_ms))]

    def sound(self, file: FilmFile, start_ms: int, end_ms: int) -> Sound:
        """The times themselves, as samples."""
        return np.array([start_ms, end_ms], np.float32)

    def lineage(self, file: FilmFile) -> str:
        return file.uri


class DrawnDesk(Desk):
    """A desk at which the film itself is one that nobody encoded."""

    @cached_property
    def footage(self) -> DrawnFootage:
        return DrawnFootage()


def captions_of(film: Film, rng: np.random.Generator | None) -> list[FrameCaption]:
    """A caption every second: true ones, or with errors that `rng` draws."""
    true = [caption(film.still(ms / 1000)) for ms in range(0, film.duration_ms, STEP_MS)]
    return [flawed(each, rng) for each in true] if rng else true


def flawed(true: FrameCaption, rng: np.random.Generator) -> FrameCaption:
    """A caption with the errors that the tiny captioner makes, about as often."""
    subjects = [_other_hat(who) if rng.random() < MISTAKEN else who for who in true.subjects]
    missed = {thing for thing in true.objects if rng.random() < MISSED}
    objects = [thing for thing in true.objects if thing not in missed]
    if rng.random() < IMAGINED:
        objects.append(THINGS[int(rng.integers(len(THINGS)))])
    actions = [_confused(action, rng) for action in true.actions if action.split()[-1] not in missed]
    return true.model_copy(update={"subjects": subjects, "objects": objects, "actions": actions})


def _other_hat(who: str) -> str:
    person, _, hat = who.partition(" with ")
    return f"{person} with {HATS[(HATS.index(hat) + 1) % len(HATS)]}"


def _confused(action: str, rng: np.random.Generator) -> str:
    who, _, doing = action.partition(" person ")
    return f"{who} person {CONFUSED[doing]}" if doing in CONFUSED and rng.random() < CONFUSED_SHARE else action


def make_library(
    database: str, film: Film, video_id: str, embedder: Embedder, rng: np.random.Generator | None = None
) -> Library:
    """Write the tables of a film; its spoken lines as if all had been heard rightly, or were written beside it."""
    library = Library.open(database, embedder.dimensions, create=True)
    captions = captions_of(film, rng)
    texts = [each.searchable_text() for each in captions]
    vectors = _vectors(embedder, texts)
    parts: list[tuple[float, float, str]] = []
    batch: dict[str, list[dict[str, object]]] = {"chunks": [], "captions": [], "transcripts": [], "frames": []}
    for chunk in chunks(film.duration_ms):
        seconds = range(chunk.start_ms // STEP_MS, min(-(-chunk.end_ms // STEP_MS), len(captions)))
        said = [line for line in film.lines if chunk.start_ms <= line.start_ms < chunk.end_ms]
        summary = _chunk_summary(
            [(float(s), captions[s]) for s in seconds], [(line.start_ms / 1000, line.text) for line in said]
        )
        parts.append((chunk.start_ms / 1000, chunk.end_ms / 1000, summary))
        place = {"video_id": video_id, "chunk_index": chunk.index}
        batch["chunks"].append(_marker(chunk, summary, embedder) | place)
        for second in seconds:
            at = place | {"ts_ms": second * STEP_MS}
            batch["frames"].append(
                at | {"pts_ms": second * STEP_MS, "lineage": "true", "width": 8, "height": 8, "jpeg": PICTURE}
            )
            told = captions[second].model_dump() | {"text": texts[second], "vector": vectors[texts[second]]}
            batch["captions"].append(at | told | {"caption_lineage": "true"})
        for number, line in enumerate(said):
            batch["transcripts"].append(
                place
                | {"line_index": number, "start_ms": line.start_ms, "end_ms": line.end_ms, "text": line.text}
                | {"lineage": "true", "vector": embedder.embed([line.text])[0].tolist()}
            )
    pixels = write_frame_fragments(database, pa.Table.from_pylist(batch["frames"], schema=tables.frames()))
    library.commit(CommitBatch(batch["chunks"], [pixels], batch["captions"], batch["transcripts"]))
    library.put_videos([_video(film, video_id, parts, embedder)])
    library.optimize()
    return library


def _vectors(embedder: Embedder, texts: list[str]) -> dict[str, list[float]]:
    different = sorted(set(texts))
    return dict(zip(different, embedder.embed(different).tolist(), strict=True))


def _chunk_summary(captions: list[tuple[float, FrameCaption]], lines: list[tuple[float, str]]) -> str:
    request = chunk_summary_request(captions, lines, load("tiny", "chunk_summary"))
    return parse_chunk_summary(_reply(condense(request))).summary


def _marker(chunk: Chunk, summary: str, embedder: Embedder) -> dict[str, object]:
    lineages = dict.fromkeys(("lineage", "caption_lineage", "summary_lineage"), "true")
    vector = embedder.embed([summary])[0].tolist()
    return {"start_ms": chunk.start_ms, "end_ms": chunk.end_ms, "summary": summary, "vector": vector, **lineages}


def _video(film: Film, video_id: str, parts: list[tuple[float, float, str]], embedder: Embedder) -> dict[str, object]:
    request = video_summary_request(parts, load("tiny", "video_summary"))
    summary = parse_video_summary(_reply(condense(request))).summary
    about = {"video_id": video_id, "uri": f"toytown:{film.name}", "status": "complete", "chunk_count": len(parts)}
    return about | {
        "size": 0,
        "width": WIDTH,
        "height": HEIGHT,
        "fps": float(FPS),
        "has_audio": True,
        "duration_ms": film.duration_ms,
        "summary": summary,
        "vector": embedder.embed([summary])[0].tolist(),
    }


def _reply(text: str) -> Reply:
    return Reply(text, Usage(), "stop")
