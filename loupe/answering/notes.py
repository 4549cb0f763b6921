"""From traces to the notes that are kept of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from loupe import storage
from loupe.answering.store import Keep, keep_nothing
from loupe.config import Config
from loupe.lease import Lease
from loupe.library.notes import open_notes, put_notes, tidy_notes
from loupe.library.tables import BeforeCommit
from schemas.notes import NOTES
from schemas.traces import Trace


@contextmanager
def keeping(config: Config, before_step: BeforeCommit) -> Iterator[Keep]:
    """What keeps the notes of traces, for as long as this job alone may; nothing where the config keeps none.

    The table is tidied at the end. Raises LeaseHeld where another job keeps notes in the same database.
    """
    if not config.answer.notes.keep:
        yield keep_nothing
        return
    database = config.index.database
    with Lease.acquire(storage.join(database, "_notes"), ttl_s=config.answer.job.lease_seconds) as lease:
        check = lease.guarding(before_step)

        def keep(traces: pa.Table) -> None:
            read = [Trace.from_row(row) for row in traces.to_pylist()]
            rows = [row for trace in read for row in notes_of(trace)]
            transcripts = [trace.transcript_id for trace in read]
            put_notes(database, pa.Table.from_pylist(rows, schema=NOTES), transcripts, check)

        yield keep
        tidy_notes(database, check)


def check_notes(config: Config) -> None:
    """Raises LibraryError where notes are wanted, and those that are there are of another version of Loupe."""
    if config.answer.notes.keep or config.answer.notes.offer:
        open_notes(config.index.database)


def notes_of(trace: Trace) -> Iterator[dict[str, Any]]:
    """Rows of `NOTES`: what the next turn that could be read says of a look or a listening, with the times of that."""
    for number, turn in enumerate(trace.turns):
        after = next((later for later in trace.turns[number + 1 :] if later.parsed), None)
        if after is None:
            return
        seen = [(one.video_id, one.ts_ms, one.ts_ms, one.lineage) for one in turn.media]
        if turn.sound:
            seen.append((turn.sound.video_id, turn.sound.start_ms, turn.sound.end_ms, turn.sound.lineage))
        text = (after.observation or "").strip()
        if not seen or turn.is_error or not text:
            continue
        yield {
            "video_id": seen[0][0],
            "transcript_id": trace.transcript_id,
            "turn": turn.index,
            "question": trace.question,
            "tool": turn.tool,
            "start_ms": min(start for _, start, _, _ in seen),
            "end_ms": max(end for _, _, end, _ in seen),
            "text": text,
            "lineage": seen[0][3],
        }
