"""What comes out of the stages goes into the tables, in bulk, by the one process that holds the lease."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from loupe.engines.protocol import UnavailableError
from loupe.indexing import planning, rows
from loupe.indexing.finishing import Finished
from loupe.indexing.planning import PERMANENT, REPLACING
from loupe.indexing.progress import Progress
from loupe.indexing.stages import FILM, Chunk, Film, Settings
from loupe.library import CommitBatch, Library

FILMS_AT_ONCE = 256
"""That are committed together, at most."""
WAVES = 4
"""Of all chunks that are described at a time, one after the other, that no model answers before the job ends."""


@dataclass(frozen=True)
class Stored:
    """Some chunks whose pixels lie in storage as Lance fragments that nobody has committed yet."""

    chunks: tuple[Chunk, ...]
    fragments: str


def commit_chunks(
    stream: Iterable[Stored], films: Sequence[Film], settings: Settings, library: Library, progress: Progress
) -> list[Film]:
    """Commit chunks as they come, many at a time; gives those of their films that need not wait for another run.

    Raises UnavailableError where no model has answered for many chunks in a row: the rest of the library would be
    fetched and decoded for nothing.
    """
    left: set[str] = set()
    missing: dict[str, set[int]] = {}
    index = settings.config.index
    waiting: list[Stored] = []
    last = time.monotonic()
    unanswered = 0
    for stored in stream:
        waiting.append(stored)
        progress.add(stored.chunks)
        for chunk in stored.chunks:
            unanswered = unanswered + 1 if _is_unanswered(chunk) else 0
        left.update(chunk.film.video_id for chunk in stored.chunks if _is_left(chunk))
        for chunk in stored.chunks:
            missing.setdefault(chunk.film.video_id, set(range(chunk.chunk_count))).discard(chunk.index)
        full = sum(len(each.chunks) for each in waiting) >= index.commit_chunks
        if full or time.monotonic() - last > index.commit_seconds:
            commit(waiting, settings, library)
            waiting, last = [], time.monotonic()
        if unanswered >= WAVES * index.stages.describe.actors_max * index.stages.describe.chunks_in_flight:
            commit(waiting, settings, library)
            raise UnavailableError(
                f"{unanswered} chunks in a row had no answer from a model, the last for: "
                f"{stored.chunks[-1].failures[-1].message}. What is done is kept: run it again when the model is back"
            )
    commit(waiting, settings, library)
    delete_surplus(library)
    for film in films:
        if not film.trusted and missing.get(film.video_id, {FILM}):
            left.add(film.video_id)  # a chunk was lost on its way, and what the tables hold of it may be an old one's
    return [film for film in films if film.video_id not in left]


def _is_left(chunk: Chunk) -> bool:
    """Failed, and not in a way that lies in the bytes of this chunk: what the tables hold of it may be an old one's."""
    lost = all(failure.kind.startswith(PERMANENT) for failure in chunk.failures)
    return chunk.failed and (chunk.index == FILM or not lost)


def _is_unanswered(chunk: Chunk) -> bool:
    return chunk.failed and any(failure.kind == UnavailableError.__name__ for failure in chunk.failures)


def commit(waiting: Sequence[Stored], settings: Settings, library: Library) -> None:
    """Write what some batches of chunks became: rows of whole chunks, reasons of failed ones.

    Markers last: a chunk that has one does not come by again to have its reasons put right.
    """
    chunks = [chunk for stored in waiting for chunk in stored.chunks]
    whole = [chunk for chunk in chunks if not chunk.failed]
    changed = [chunk for chunk in whole if not chunk.unchanged]
    before = library.videos([chunk.film.video_id for chunk in whole])
    videos = {chunk.film.video_id: rows.video_row(chunk, settings) for chunk in whole}
    library.put_videos([{**before.get(name, {}), **row} for name, row in videos.items()])
    settled = {(chunk.film.video_id, chunk.index) for chunk in chunks}
    settled |= {(chunk.film.video_id, FILM) for chunk in whole}  # what concerned the whole film no longer holds
    library.replace_failures(settled, [row for chunk in chunks for row in rows.failure_rows(chunk)])
    library.commit(
        CommitBatch(
            fragments=tuple(stored.fragments for stored in waiting if stored.fragments),
            captions=[row for chunk in changed for row in rows.caption_rows(chunk)],
            transcripts=[row for chunk in changed for row in rows.transcript_rows(chunk)],
            chunks=[rows.chunk_row(chunk) for chunk in changed],
        )
    )


def delete_surplus(library: Library) -> None:
    """Delete what is left of the former films where another was put in their place, before its logs are written.

    That is the last chunks of a film that got shorter, with their reasons, and the chunks that of the new film nobody
    can decode. Not told by their markers: these may be gone already, and the rest not.
    """
    failures = library.failures()
    for name, row in library.videos(columns=planning.OF_A_FILM).items():
        if row["status"] != REPLACING:
            continue
        library.delete_chunks_after(name, row["chunk_count"])
        failed = [each for each in failures if each["video_id"] == name]
        gone = {each["chunk_index"] for each in failed if each["chunk_index"] >= row["chunk_count"]}
        library.replace_failures({(name, index) for index in gone}, [])
        lost = {each["chunk_index"] for each in failed if planning.is_lost(each) and each["etag"] == row["etag"]}
        library.delete_chunks(name, lost - gone)


def commit_films(
    stream: Iterable[Sequence[Finished]], settings: Settings, library: Library, progress: Progress
) -> None:
    """Commit finished films as they come, many at a time; a stream that gives nothing now and then keeps that going."""
    waiting: list[Finished] = []
    last = time.monotonic()
    for films in stream:
        waiting += films
        progress.add_films(films)
        if len(waiting) >= FILMS_AT_ONCE or time.monotonic() - last > settings.config.index.commit_seconds:
            commit_finished(waiting, library)
            waiting, last = [], time.monotonic()
    commit_finished(waiting, library)


def commit_finished(films: Sequence[Finished], library: Library) -> None:
    """Write the rows of finished films, and the reasons of those that could not be finished."""
    if not films:
        return
    reasons = [film.failure for film in films if film.failure is not None]
    library.replace_failures({(film.row["video_id"], FILM) for film in films}, reasons)
    library.put_videos([film.row for film in films if film.failure is None])
