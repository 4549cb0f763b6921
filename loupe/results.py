"""What a batch of answers has in its folder, here or on S3: `answers/` and `traces/`, files of Parquet.

The one place where they are read; loupe/answering/store.py writes them.
"""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq

from loupe import parquet, storage
from schemas.questions import Question
from schemas.results import ANSWERS
from schemas.scores import SCORES
from schemas.traces import TRACES

Row = dict[str, Any]

BATCH = 256
"""Rows that are read at a time."""


class ResultsError(Exception):
    """A folder that holds no results to read; the message is for the person who named it."""


def read_answers(output: str) -> dict[str, Row]:
    """Rows of `answers/` by question_id. Raises ResultsError where there are none, or two of one question."""
    rows: dict[str, Row] = {}
    for row in _read(output, "answers", ANSWERS.names):
        earlier = rows.setdefault(row["question_id"], row)
        if earlier is not row:
            runs = f"{earlier['transcript_id']} and {row['transcript_id']}"
            raise ResultsError(f"{output}: a question is answered twice, by {runs}")
    return rows


def check_asked(output: str, answers: Mapping[str, Row], questions: Iterable[Question]) -> None:
    """Raises ResultsError where an answer is one to another question than the one with its question_id."""
    for question in questions:
        row = answers.get(question.question_id)
        if row is not None and row["asked"] != question.asked_hash():
            raise ResultsError(
                f"{output} answers another question {question.question_id}: its words, options, films or limits have "
                "changed since"
            )


def read_traces(output: str, columns: Sequence[str], question_ids: Container[str]) -> Iterator[Row]:
    """Rows of `traces/` of these questions, some columns of them; of a nested one `a.list.element.b`.

    A trace whose answer is not there is what a job left that died before it wrote the answer. Raises ResultsError.
    """
    return (row for row in _read(output, "traces", columns) if row["question_id"] in question_ids)


def files(output: str, folder: str, suffix: str = ".parquet") -> dict[str, str]:
    """Where the files of `answers`, `traces` or another folder of a run are, by their names; in order of the names.

    Without the suffix; none where there is no such folder. Raises StorageError.
    """
    try:
        found = storage.list_files(storage.join(output, folder), (suffix,))
        return {file.path.removesuffix(suffix): file.uri for file in found}
    except storage.NotFound:
        return {}


def open_file(uri: str, columns: Sequence[str]) -> pq.ParquetFile:
    """A file that has these columns (of a nested one `a.list.element.b`). Raises ResultsError, StorageError."""
    try:
        file = parquet.opened(storage.read_bytes(uri))
    except pa.ArrowException as error:
        raise ResultsError(f"{uri} is not a Parquet file: {error}") from error
    missing = {column.partition(".")[0] for column in columns} - set(file.schema_arrow.names)
    if missing:
        raise ResultsError(f"{uri} is not a file of {uri.split('/')[-2]}: it lacks {', '.join(sorted(missing))}")
    return file


def open_tables(output: str) -> dict[str, pyarrow.dataset.Dataset]:
    """`answers`, `traces` and, once they are evaluated, `scores`, read column by column as a query asks for them.

    Raises ResultsError where there are none.
    """
    places = {"answers": (storage.join(output, "answers"), ANSWERS), "traces": (storage.join(output, "traces"), TRACES)}
    scores = storage.join(output, "scores.parquet")
    if storage.exists(scores):
        places["scores"] = scores, SCORES
    try:
        return {name: pyarrow.dataset.dataset(place, schema) for name, (place, schema) in places.items()}
    except (OSError, pa.ArrowException) as error:
        raise ResultsError(f"{output} holds no answers that can be read: {str(error).splitlines()[0]}") from error


def _read(output: str, table: str, columns: Sequence[str]) -> Iterator[Row]:
    found = files(output, table)
    if not found:
        raise ResultsError(f"{output} holds no {table}/")
    for uri in found.values():
        for batch in open_file(uri, columns).iter_batches(BATCH, columns=list(columns)):
            yield from batch.to_pylist()
