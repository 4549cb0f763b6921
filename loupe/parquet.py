"""Parquet files in memory, read and written without a file object of Python.

Arrow reads ahead in threads of its own. One that waits for Python's lock while the process ends takes it down (SIGABRT,
apache/arrow issue 34314), and the command's exit code with it; a buffer of Arrow's needs no lock.
"""

import pyarrow as pa
import pyarrow.parquet as pq


def opened(data: bytes) -> pq.ParquetFile:
    """The file that the bytes are. Raises ArrowException."""
    return pq.ParquetFile(pa.BufferReader(data))


def written(table: pa.Table) -> bytes:
    """The bytes of a file of the table."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    data: bytes = sink.getvalue().to_pybytes()
    return data
