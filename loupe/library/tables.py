"""The tables of a database: open, create, read, and the kinds of commit that everything else is made of.

A database is a folder or an s3:// prefix. Every commit is announced to `before_commit` by the name of its step, and
again when storage failed it and it is tried again (patience.py).
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import unquote, urlsplit

import lance
import pyarrow as pa

from loupe.library.filters import Where, among
from loupe.library.patience import again, patiently
from loupe.storage import lance_options
from schemas.tables import all_tables, key_columns

Row: TypeAlias = dict[str, Any]
Rows: TypeAlias = pa.Table | Sequence[Mapping[str, Any]]
"""Rows of one table: Arrow, or mappings in which a missing column is null."""
BeforeCommit = Callable[[str], None]

HELD = 256
"""Answers of `Tables.keys_held` that are kept, a few hundred keys each."""
STEPS = {
    "tables: create": "no database, or a part of its tables; opening it with create=True makes the rest",
    "videos: upsert": "the films' rows as they were",
    "failures: delete": "the chunks as they were before; reasons of an earlier run, some of which no longer hold",
    "failures: upsert": "the chunks as they were before; the newest reasons are missing until the next run writes them",
    "markers: delete": "the chunks as they were before",
    "frames: delete": "the batch's chunks are hidden; their old rows lie in the tables without a marker",
    "frames: append": "the batch's chunks are hidden; their old pixels are gone",
    "captions: upsert": "the batch's chunks are hidden; their new pixels lie in the table without a marker",
    "captions: delete": "the batch's chunks are hidden; captions of an older sampler lie beside the new ones",
    "transcripts: upsert": "the batch's chunks are hidden; their spoken lines are the old ones",
    "transcripts: delete": "the batch's chunks are hidden; spoken lines of an older file lie beside the new ones",
    "markers: upsert": "the batch's chunks are hidden; all that belongs to them is in the tables",
    "videos: delete": "the film's row without chunks: it is known, and nothing of it is found",
    "compact": "all that was committed, in many small files",
    "index": "all that was committed, found by scanning what the index does not cover yet",
}
"""Every boundary of a commit: what a reader sees if the process dies just before that step."""


class LibraryError(Exception):
    """A database that cannot be used as asked; the message is for the person who asked."""


class MissingDatabaseError(LibraryError):
    """There is no database at this place."""


def nothing(step: str) -> None:
    """The default of `before_commit`."""


def as_table(rows: Rows, schema: pa.Schema) -> pa.Table:
    """Rows in a table's schema, one a key: of rows with the same key the last stays. Raises ValueError."""
    names = set(rows.column_names) if isinstance(rows, pa.Table) else {name for row in rows for name in row}
    if unknown := names - set(schema.names):
        raise ValueError(f"the table has no columns {', '.join(sorted(unknown))}")
    table = _from_arrow(rows, schema) if isinstance(rows, pa.Table) else _from_mappings(rows, schema)
    keys = key_columns(schema)
    for name in keys:
        if table[name].null_count:
            raise ValueError(f"the key column {name} is null in {table[name].null_count} rows")
    last = {key: position for position, key in enumerate(keys_of(table, keys))}
    return table if len(last) == len(table) else table.take(sorted(last.values()))


def _from_arrow(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = [
        rows[column.name].cast(column.type) if column.name in rows.column_names else pa.nulls(len(rows), column.type)
        for column in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _from_mappings(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """A vector of no numbers, which is that of no text, is null."""
    if "vector" in schema.names:
        rows = [{**row, "vector": None} if _is_empty(row.get("vector")) else row for row in rows]
    return pa.Table.from_pylist(list(rows), schema=schema)


def _is_empty(vector: Any) -> bool:
    return vector is not None and not len(vector)


def keys_of(table: pa.Table, columns: Sequence[str]) -> list[tuple[Any, ...]]:
    """Each row's values of some columns."""
    return list(zip(*(table[column].to_pylist() for column in columns), strict=True))


def open_dataset(database: str, name: str) -> Any:
    """One table as a Lance dataset, at its newest version. Raises LibraryError with a sentence."""
    place = f"{_place(database)}/{name}.lance"
    try:
        return again(lance.dataset)(place, storage_options=_options(database))
    except (ValueError, OSError) as error:
        if "was not found" in str(error) or "Not found" in str(error):
            raise MissingDatabaseError(f"there is no table {name!r} in {database}: is this a database?") from error
        raise LibraryError(f"{database} cannot be read: {str(error).splitlines()[0]}") from error


def _place(database: str) -> str:
    if database.startswith("file://"):
        return unquote(urlsplit(database).path).rstrip("/")
    return database.rstrip("/") if "://" in database else str(Path(database).expanduser().absolute())


def _options(database: str) -> dict[str, str] | None:
    return lance_options() if database.startswith("s3://") else None


class Tables:
    """A database's tables, open. Reads see the newest version; only one process may commit at a time."""

    def __init__(self, database: str, before_commit: BeforeCommit = nothing) -> None:
        self.database = database
        self._before_commit = before_commit
        self._open = {name: open_dataset(database, name) for name in all_tables(1)}
        self.dimensions: int = self._open["captions"].schema.field("vector").type.list_size
        self.schemas = all_tables(self.dimensions)
        for name, schema in self.schemas.items():
            check_schema(database, name, self._open[name].schema, schema, "index into a new database")
        self._held = lru_cache(HELD)(self._keys_at)

    def dataset(self, name: str) -> Any:
        """A table at its newest version, to be asked for and used within one `patiently`.

        Threads may read at once, so a handle is replaced and never moved.
        """
        dataset = self._open[name]
        newest = dataset.latest_version
        if dataset.version != newest:
            dataset = self._open[name] = dataset.checkout_version(newest)
        return dataset

    def keys(self, name: str) -> list[str]:
        """The columns that make a row of a table unique."""
        return key_columns(self.schemas[name])

    @patiently
    def read(self, name: str, columns: Sequence[str] | None = None, where: Where | None = None) -> pa.Table:
        """Rows of a table, whether they have a marker or not."""
        return self.dataset(name).to_table(columns=list(columns or self.schemas[name].names), filter=where)

    @patiently
    def keys_held(self, name: str, columns: tuple[str, ...], where: Where) -> frozenset[tuple[Any, ...]]:
        """The values that rows have in some columns; read anew only where the table has a new version."""
        return self._held(name, columns, where, self.dataset(name).version)

    def _keys_at(self, name: str, columns: tuple[str, ...], where: Where, version: int) -> frozenset[tuple[Any, ...]]:
        """Of this version or, where somebody commits at the same time, a newer one."""
        return frozenset(keys_of(self._open[name].to_table(columns=list(columns), filter=where), columns))

    def announce(self, step: str) -> None:
        """Say that a commit is about to happen; raises where it may not."""
        assert step in STEPS, step
        self._before_commit(step)

    @patiently
    def upsert(self, step: str, name: str, rows: pa.Table) -> None:
        """Put rows by key in one version; none for no rows. The keys of `rows` are unique (as_table)."""
        if rows.num_rows:
            self.announce(step)
            put_rows(self.dataset(name), self.keys(name), rows)

    def upsert_changed(self, step: str, name: str, rows: Rows, but: Collection[str] = ()) -> None:
        """Upsert the rows that differ from what is there in a column other than `but`."""
        table = as_table(rows, self.schemas[name])
        if table.num_rows:
            there = self.read(name, where=among("video_id", table["video_id"].to_pylist()))
            known = dict(zip(keys_of(there, self.keys(name)), there.to_pylist(), strict=True))
            rows_by_key = enumerate(zip(keys_of(table, self.keys(name)), table.to_pylist(), strict=True))
            new = [i for i, (key, row) in rows_by_key if _without(row, but) != _without(known.get(key, {}), but)]
            self.upsert(step, name, table.take(pa.array(new, pa.int64())))

    @patiently
    def delete(self, step: str, name: str, where: Where) -> None:
        """Delete rows in one version; none where there are none: Lance would make one all the same."""
        dataset = self.dataset(name)
        if dataset.count_rows(where):
            self.announce(step)
            dataset.delete(where)

    @patiently
    def append(self, step: str, name: str, fragments: Sequence[lance.FragmentMetadata]) -> None:
        """Make fragments visible that somebody wrote before, all in one version.

        Those that are there already are left out: of a commit only the answer may have been lost.
        """
        dataset = self.dataset(name)
        there = {file.path for fragment in dataset.get_fragments() for file in fragment.data_files()}
        new = [fragment for fragment in fragments if not any(file.path in there for file in fragment.files)]
        if new:
            self.announce(step)
            lance.LanceDataset.commit(dataset, lance.LanceOperation.Append(new), read_version=dataset.version)

    @patiently
    def tidy(self, step: str, name: str, change: Callable[[Any], object]) -> None:
        """Change how a table is stored, and none of its rows: `change` is called with its newest version."""
        self.announce(step)
        change(self.dataset(name))


def _without(row: Row, columns: Collection[str]) -> Row:
    return {name: value for name, value in row.items() if name not in columns}


def create_tables(database: str, dimensions: int | None, before_commit: BeforeCommit) -> None:
    """Make the tables that are missing. Raises LibraryError."""
    missing = []
    for name in all_tables(1):
        try:
            open_dataset(database, name)
        except MissingDatabaseError:
            missing.append(name)
    if missing:
        if not dimensions:
            raise LibraryError(f"a new database at {database} needs the size of its embeddings")
        before_commit("tables: create")
        import lancedb  # here alone: it takes two seconds, which every worker of a job would spend

        connection = lancedb.connect(_place(database), storage_options=_options(database))
        for name in missing:
            patiently(connection.create_table)(name, schema=all_tables(dimensions)[name], exist_ok=True)


def create_table(database: str, name: str, schema: pa.Schema) -> None:
    """Make one table that needs no other, where it is missing."""
    import lancedb  # as above

    connection = lancedb.connect(_place(database), storage_options=_options(database))
    patiently(connection.create_table)(name, schema=schema, exist_ok=True)


def put_rows(dataset: Any, keys: Sequence[str], rows: pa.Table) -> None:
    """Put rows into a table by their keys, in one version: in the place of those that have the same, beside others."""
    merge = dataset.merge_insert(list(keys))
    merge.when_matched_update_all().when_not_matched_insert_all().execute(rows)


def check_schema(database: str, name: str, found: pa.Schema, wanted: pa.Schema, remedy: str) -> None:
    """Raises LibraryError where a table does not have the columns that it should have."""
    if found.names != wanted.names or found.types != wanted.types:
        differing = {f.name for f in found} ^ {f.name for f in wanted} or {
            f.name for f, w in zip(found, wanted, strict=True) if f.type != w.type
        }
        raise LibraryError(
            f"{database} was written by another version of Loupe: table {name!r} differs in "
            f"{', '.join(sorted(differing)) or 'the order of its columns'}; {remedy}"
        )
