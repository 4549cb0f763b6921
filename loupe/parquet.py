"""Parquet files in memory, read and written without an object of Python's.

Arrow decodes in threads of its own. One that waits for Python's lock while the process ends, be it only to let go of
the last share in some `bytes`, takes it down (SIGABRT, apache/arrow issue 34314), and the command's exit code with it;
memory of Arrow's own needs no lock.
"""

import pyarrow as pa
import pyarrow.parquet as pq


def opened(data: bytes) -> pq.ParquetFile:
    """The file that the bytes are, copied into memory of Arrow's. Raises ArrowException."""
    copied = pa.BufferOutputStream()
    copied.write(data)
    return pq.ParquetFile(pa.BufferReader(copied.getvalue()))


def written(table: pa.Table) -> bytes:
    """The bytes of a file of the table."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    data: bytes = sink.getvalue().to_pybytes()
    return data
