"""SQL over a database and over answers, by DuckDB: every table is a view, and only what a query names is fetched.

`python -m loupe.sql --database D "select video_id, count(*) from captions group by all"` prints a table, or writes CSV
or Parquet. Views hold what a reader sees: of frames, captions and transcripts rows of chunks with a marker, of traces
those with an answer.
"""

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import duckdb
import tyro

from loupe.library.notes import open_notes
from loupe.library.tables import LibraryError, open_dataset
from loupe.library.visible import LINEAGES
from loupe.results import ResultsError, open_tables
from loupe.storage import StorageError
from schemas.tables import all_tables

ROWS_SHOWN = 100


@dataclass(frozen=True)
class Arguments:
    """Ask a database, answers, or both in SQL."""

    query: Annotated[str, tyro.conf.Positional]
    """The statement, for DuckDB."""
    database: str | None = None
    """Folder or s3://bucket/prefix of the tables videos, chunks, frames, captions, transcripts, failures, notes."""
    results: str | None = None
    """Folder or s3://bucket/prefix of a batch of answers: the tables answers, traces and, once evaluated, scores."""
    output: Path | None = None
    """Write the rows to this file, .csv or .parquet, and print none."""


def main() -> None:
    """The command. Exit code 1, with a sentence, where there is no answer."""
    arguments = tyro.cli(Arguments)
    try:
        answer = connect(arguments.database, arguments.results).sql(arguments.query)
        if arguments.output is not None:
            write(answer, arguments.output)
        else:
            width = shutil.get_terminal_size((160, 24)).columns
            shortened(answer).show(max_rows=ROWS_SHOWN, max_width=width)
    except (LibraryError, ResultsError, StorageError, ValueError, OSError, duckdb.Error) as error:
        print(f"loupe.sql: {error}", file=sys.stderr)
        sys.exit(1)


def connect(database: str | None = None, results: str | None = None) -> duckdb.DuckDBPyConnection:
    """A connection in which every table is a view, as it is now. Columns and filters are left to Lance and Arrow.

    Raises LibraryError where there is no database, ResultsError where there are no answers, and ValueError where
    neither is named.
    """
    if database is None and results is None:
        raise ValueError("give --database, --results or both")
    connection = duckdb.connect()
    connection.execute("SET autoinstall_known_extensions = false; SET python_enable_replacements = false")
    if database is not None:
        _add_database(connection, database)
    if results is not None:
        _add_results(connection, results)
    return connection


def _add_database(connection: duckdb.DuckDBPyConnection, database: str) -> None:
    names = sorted(all_tables(1), key=lambda name: name != "chunks")  # markers first: whatever has one is then there
    if (notes := open_notes(database)) is not None:
        connection.register("notes", notes)
    for name in names:
        connection.register(f"_{name}", open_dataset(database, name))
    for name in names:
        connection.execute(f"CREATE TEMP VIEW {name} AS SELECT * FROM _{name} {_with_marker(name)}")


def _add_results(connection: duckdb.DuckDBPyConnection, results: str) -> None:
    for name, table in open_tables(results).items():
        connection.register(f"_{name}", table)
        answered = "SEMI JOIN _answers USING (transcript_id)" if name == "traces" else ""
        connection.execute(f"CREATE TEMP VIEW {name} AS SELECT * FROM _{name} {answered}")


def _with_marker(name: str) -> str:
    if name not in LINEAGES:
        return ""
    own, of_marker = LINEAGES[name]
    same = f"m.video_id = _{name}.video_id AND m.chunk_index = _{name}.chunk_index AND m.{of_marker} = _{name}.{own}"
    return f"SEMI JOIN _chunks m ON {same}"


def shortened(answer: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    """The same rows for people: of a picture its size, of a vector its first numbers and how many there are."""
    columns = []
    for position, (name, kind) in enumerate(zip(answer.columns, answer.types, strict=True), start=1):
        value = f"#{position}"  # by position: a join may give two columns one name
        if kind.id == "blob":
            value = f"octet_length({value}) || ' bytes'"
        elif kind.id == "array":
            first = f"list_transform({value}[1:3], lambda number: round(number, 3))"
            value = f"'[' || array_to_string({first}, ', ') || ', … ' || len({value}) || ']'"
        columns.append(f'{value} AS "{name.replace(chr(34), chr(34) * 2)}"')
    return answer.project(", ".join(columns))


def write(answer: duckdb.DuckDBPyRelation, output: Path) -> None:
    """Write the rows as CSV or Parquet, by the file's name. Raises ValueError for another kind of file."""
    if output.suffix == ".csv":
        answer.write_csv(str(output))
    elif output.suffix == ".parquet":
        answer.write_parquet(str(output))
    else:
        raise ValueError(f"the output ends in .csv or .parquet, not in {output.suffix or 'nothing'!r}")


if __name__ == "__main__":
    main()
