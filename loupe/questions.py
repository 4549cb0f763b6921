"""Questions from a file: Parquet, JSON lines or CSV, here or on S3."""

import csv
import io
import json
from collections import Counter
from typing import Any

from pydantic import ValidationError

from loupe import parquet
from loupe.storage import read_bytes
from loupe.wrong_values import wrong_values
from schemas.questions import Question

LISTS = ("options", "relevant_times")
"""Columns whose cells hold a JSON list in a CSV file."""


class QuestionsError(Exception):
    """A file that cannot be asked; the message is for the person who wrote it."""


def read_questions(location: str) -> list[Question]:
    """The questions of a file, in its order. Raises QuestionsError, which names the row, and StorageError."""
    kind = location.rpartition(".")[2].lower()
    if kind not in READERS:
        raise QuestionsError(f"{location}: questions are read from .parquet, .jsonl or .csv")
    try:
        rows = READERS[kind](read_bytes(location))
    except (ValueError, csv.Error) as error:  # of pyarrow and json too
        raise QuestionsError(f"{location} is not a {kind} file: {error}") from error
    questions = [_question(location, number, row) for number, row in enumerate(rows, start=1)]
    twice = [name for name, count in Counter(q.question_id for q in questions).items() if count > 1]
    if twice:
        raise QuestionsError(f"{location}: a question_id stands there more than once: {', '.join(twice[:3])}")
    return questions


def _question(location: str, number: int, row: dict[str, Any]) -> Question:
    try:
        return Question.model_validate({name: value for name, value in row.items() if value is not None})
    except ValidationError as error:
        raise QuestionsError(f"{location}, row {number}: {wrong_values(error)[0]}") from error


def _parquet(data: bytes) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = parquet.opened(data).read().to_pylist()
    return rows


def _json_lines(data: bytes) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in data.decode().splitlines() if line.strip()]
    if not all(isinstance(row, dict) for row in rows):
        raise ValueError("every line is an object")
    return rows


def _csv(data: bytes) -> list[dict[str, Any]]:
    cells = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
    return [
        {name: json.loads(cell) if name in LISTS else cell for name, cell in row.items() if cell != ""} for row in cells
    ]


READERS = {"parquet": _parquet, "jsonl": _json_lines, "csv": _csv}
