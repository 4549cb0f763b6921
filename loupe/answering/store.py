"""Where a run keeps its rows: files of `traces/` and `answers/`, many questions each, written whole or not at all.

A file's name says which questions of which run are in it, and the two files of a batch share it. The traces are
written first: a question is answered when its row stands in `answers/`, and a file of traces without its answers is
what a job left that died between the two. The next job deletes it.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from loupe import parquet, results, storage
from loupe.answering.run import Run, RunError
from loupe.config import digest
from loupe.library.tables import BeforeCommit
from schemas.results import ANSWERS, answer_row
from schemas.traces import TRACES, Trace

STEPS = {
    "orphans: delete": "the answers as they were; traces of a batch whose answers were never written lie beside",
    "failed: traces": "the answers as they were",
    "failed: answers": "the answers as they were; questions that failed have no traces any more",
    "traces: write": "the answers as they were",
    "notes: create": "the answers as they were; the batch's traces lie beside, and there is no table of notes",
    "notes: delete": "the answers as they were; the batch's traces lie beside, its notes are those of an earlier try",
    "notes: upsert": "the answers as they were; the batch's traces lie beside, without its notes",
    "answers: write": "the answers as they were; the batch's traces lie beside",
    "notes: compact": "all answers and notes, the notes in many small files",
}
"""What changes a run's folder, in this order, and what a reader sees if the job dies just before.
Those of `failed` are taken only where such questions are to be asked again, those of `notes` where they are kept."""
LOST_SHARE = 0.05
"""Of a job's time, that the answers not yet written may have taken: with it files grow as the job gets longer, and
their number grows with its logarithm only."""
BATCH_BYTES = 256 << 20
"""Of traces, that wait to be written, about at most."""


@dataclass(frozen=True)
class AnswerRows:
    """Rows of `ANSWERS` and `TRACES` of the same questions."""

    answers: pa.Table
    traces: pa.Table

    @classmethod
    def of(cls, *traces: Trace) -> "AnswerRows":
        """The rows of traces, in order; of many at once they take Arrow little longer than those of one.

        Raises UnicodeEncodeError for text that no file can hold (half a surrogate pair), and what Arrow cannot hold.
        """
        return cls(
            pa.Table.from_pylist([answer_row(trace) for trace in traces], schema=ANSWERS),
            pa.Table.from_pylist([trace.as_row() for trace in traces], schema=TRACES),
        )

    @classmethod
    def concat(cls, parts: Sequence["AnswerRows"]) -> "AnswerRows":
        """The rows of all, in order."""
        return cls(
            pa.concat_tables([ANSWERS.empty_table(), *(part.answers for part in parts)]),
            pa.concat_tables([TRACES.empty_table(), *(part.traces for part in parts)]),
        )

    def question_ids(self) -> list[str]:
        """Of its rows, in order."""
        ids: list[str] = self.answers["question_id"].to_pylist()
        return ids


Keep = Callable[[pa.Table], None]
"""Takes rows of `TRACES`."""


def keep_nothing(traces: pa.Table) -> None:
    """Where notes are not kept."""


class Batch:
    """Rows that wait to be written: a file is due when it is large enough, or when enough time would be lost."""

    def __init__(self, questions: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._questions = questions
        self._seconds = seconds
        self._clock = clock
        self._began = self._since = clock()
        self._parts: list[AnswerRows] = []
        self._rows = self._bytes = 0

    def add(self, part: AnswerRows) -> None:
        """Let rows wait."""
        self._parts.append(part)
        self._rows += part.answers.num_rows
        self._bytes += part.traces.nbytes

    def due(self) -> bool:
        """Whether what waits should be written now."""
        now = self._clock()
        late = now - self._since >= max(self._seconds, LOST_SHARE * (now - self._began))
        return bool(self._parts) and (late or self._rows >= self._questions or self._bytes >= BATCH_BYTES)

    def take(self) -> AnswerRows:
        """All that waits, which then waits no more."""
        taken, self._parts, self._since = AnswerRows.concat(self._parts), [], self._clock()
        self._rows = self._bytes = 0
        return taken


def write(output: str, run: Run, batch: AnswerRows, before_step: BeforeCommit, keep: Keep = keep_nothing) -> None:
    """Write a batch of answers, none of which is there yet; `keep` keeps what is noted in its traces.

    Notes stand before the answers, whose questions are then not asked again. Raises StorageError, LibraryError.
    """
    if batch.answers.num_rows:
        name = file_name(run, batch.question_ids())
        before_step("traces: write")
        storage.write_bytes(_place(output, "traces", name), parquet.written(batch.traces))
        keep(batch.traces)
        before_step("answers: write")
        storage.write_bytes(_place(output, "answers", name), parquet.written(batch.answers))


def file_name(run: Run, question_ids: Sequence[str]) -> str:
    """The name of the files of some questions of a run."""
    return f"{run.run}-{digest(run.config_hash, sorted(question_ids))}"


def read_finished(output: str, run: Run) -> pa.Table:
    """Rows of `ANSWERS` that are there, without their verdicts and evidence.

    Raises RunError where one is of another run; ResultsError, StorageError.
    """
    columns = [name for name in ANSWERS.names if name not in ("verdicts", "evidence", "prompts", "models")]
    found = results.files(output, "answers").values()
    tables = [results.open_file(file, columns).read(columns) for file in found]
    rows = pa.concat_tables([ANSWERS.empty_table().select(columns), *tables])
    if strange := set(rows["run"].to_pylist()) - {run.run}:
        raise RunError(f"{output} holds answers of another run ({min(strange)}): give another --output")
    return rows


def delete_orphans(output: str, before_step: BeforeCommit) -> int:
    """Delete the traces of a batch whose answers were never written; tells how many files. Needs the lease."""
    answered, traced = results.files(output, "answers"), results.files(output, "traces")
    orphans = [file for name, file in traced.items() if name not in answered]
    for file in orphans:
        before_step("orphans: delete")
        storage.delete(file)
    return len(orphans)


def drop_failed(output: str, before_step: BeforeCommit) -> None:
    """Take the questions that failed out of their files, so that they are left to answer. Needs the lease."""
    for name, file in results.files(output, "answers").items():
        answers = results.open_file(file, ANSWERS.names).read()
        failed = answers.filter(pc.equal(answers["status"], "failed"))["question_id"]
        if len(failed):
            before_step("failed: traces")
            _drop(_place(output, "traces", name), failed)
            before_step("failed: answers")
            _drop(file, failed)


def _drop(place: str, question_ids: pa.ChunkedArray) -> None:
    """Rewrite a file without some questions; without all of them it is deleted."""
    if not storage.exists(place):
        return  # deleted by a job that died
    rows = results.open_file(place, ("question_id",)).read()
    kept = rows.filter(pc.invert(pc.is_in(rows["question_id"], question_ids)))
    if kept.num_rows:
        storage.write_bytes(place, parquet.written(kept))
    else:
        storage.delete(place)


def _place(output: str, table: str, name: str) -> str:
    return storage.join(output, table, f"{name}.parquet")
