"""What comes out of the stages goes into the tables, in bulk, by the one process that holds the lease."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from loupe import rows
from loupe.finishing import Finished
from loupe.indexing import FILM, Chunk, Settings
from loupe.library import CommitBatch, Library
from loupe.progress import Progress


@dataclass(frozen=True)
class Stored:
    """Some chunks whose pixels lie in storage as Lance fragments that nobody has committed yet."""

    chunks: tuple[Chunk, ...]
    fragments: str


def commit_chunks(stream: Iterable[Stored], settings: Settings, library: Library, progress: Progress) -> None:
    """Commit chunks as they come, many at a time."""
    index = settings.config.index
    waiting: list[Stored] = []
    last = time.monotonic()
    for stored in stream:
        waiting.append(stored)
        progress.add(stored.chunks)
        full = sum(len(each.chunks) for each in waiting) >= index.commit_chunks
        if full or time.monotonic() - last > index.commit_seconds:
            commit(waiting, settings, library)
            waiting, last = [], time.monotonic()
    commit(waiting, settings, library)


def commit(waiting: Sequence[Stored], settings: Settings, library: Library) -> None:
    """Write what some batches of chunks became: rows of whole chunks, reasons of failed ones."""
    chunks = [chunk for stored in waiting for chunk in stored.chunks]
    whole = [chunk for chunk in chunks if not chunk.failed]
    changed = [chunk for chunk in whole if not chunk.unchanged]
    before = library.videos([chunk.film.video_id for chunk in whole])
    videos = {chunk.film.video_id: rows.video_row(chunk, settings) for chunk in whole}
    library.put_videos([{**before.get(name, {}), **row} for name, row in videos.items()])
    library.commit(
        CommitBatch(
            fragments=tuple(stored.fragments for stored in waiting if stored.fragments),
            captions=[row for chunk in changed for row in rows.caption_rows(chunk)],
            transcripts=[row for chunk in changed for row in rows.transcript_rows(chunk)],
            chunks=[rows.chunk_row(chunk) for chunk in changed],
        )
    )
    settled = {(chunk.film.video_id, chunk.index) for chunk in chunks}
    settled |= {(chunk.film.video_id, FILM) for chunk in whole}  # what concerned the whole film no longer holds
    library.replace_failures(settled, [row for chunk in chunks for row in rows.failure_rows(chunk)])


def commit_films(stream: Iterable[Sequence[Finished]], library: Library, progress: Progress) -> None:
    """Commit finished films as they come; what a film no longer has goes first, its completed row last."""
    for films in stream:
        progress.add_films(films)
        whole = [film.row for film in films if film.failure is None]
        for row in whole:
            if any(index >= row["chunk_count"] for _, index in library.chunk_markers(row["video_id"])):
                library.delete_chunks_after(row["video_id"], row["chunk_count"])
        library.put_videos(whole)
        library.put_failures([film.failure for film in films if film.failure is not None])
