"""Parquet files in memory."""

import sys

import pyarrow as pa

from loupe import parquet

TABLE = pa.table({"question_id": ["q1", "q2"], "options": [["A", "B"], []]})


def test_what_is_written_is_read_again() -> None:
    assert parquet.opened(parquet.written(TABLE)).read() == TABLE


def test_no_thread_of_arrow_has_a_share_in_memory_of_python() -> None:
    """The last of them to let go of it would need Python's lock, and ends a process that is ending with SIGABRT."""
    data = parquet.written(TABLE)
    shares = sys.getrefcount(data)
    file = parquet.opened(data)
    table = file.read()
    assert sys.getrefcount(data) == shares
    assert table.num_rows == 2
