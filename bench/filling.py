"""Tables filled in bulk for the other benches. Alone it does nothing."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from loupe.library import Library

DIMENSIONS = 384
FRAMES_A_CHUNK = 60
CHUNKS_A_FILM = 60
WORDS = (
    *("red", "blue", "green", "small", "tall", "old", "cat", "dog", "boat", "lamp", "tree"),
    *("hat", "train", "bakery", "market", "harbour", "street", "runs", "holds", "drops"),
)


def unit_vectors(rows: int, seed: int) -> np.ndarray:
    """(rows, 384) float32 around 64 centres, as the captions of films gather around their themes."""
    centres = np.random.default_rng(0).standard_normal((64, DIMENSIONS), dtype=np.float32)
    random = np.random.default_rng(seed)
    vectors = centres[random.integers(0, 64, rows)] + random.standard_normal((rows, DIMENSIONS), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def fill(library: Library, rows: int) -> None:
    """Frames and captions of whole films of an hour, `rows` of each, with their markers."""
    tables = library._tables
    for first in range(0, rows, 100_000):
        for name, table in part_of(first, min(100_000, rows - first), tables.schemas):
            tables.dataset(name).insert(table)


def part_of(first: int, rows: int, schemas: dict[str, pa.Schema]) -> Iterator[tuple[str, pa.Table]]:
    """Rows of frames, captions and chunks, from the frame with this number on."""
    number = np.arange(first, first + rows)
    second, film = number % (FRAMES_A_CHUNK * CHUNKS_A_FILM), number // (FRAMES_A_CHUNK * CHUNKS_A_FILM)
    words = np.array(WORDS)[np.random.default_rng(first).integers(0, len(WORDS), (rows, 8))]
    lineage = np.char.add("lineage", (number // FRAMES_A_CHUNK).astype(str))
    columns = {
        "video_id": pa.array(np.char.add("films/", film.astype(str))),
        "ts_ms": pa.array(second * 1000),
        "pts_ms": pa.array(second * 1000),
        "chunk_index": pa.array(second // FRAMES_A_CHUNK),
        "start_ms": pa.array(second * 1000),
        "end_ms": pa.array(second * 1000 + FRAMES_A_CHUNK * 1000),
        "jpeg": pa.array([b"jpeg"] * rows, pa.binary()),
        "text": pa.array([" ".join(row) for row in words]),
    }
    columns |= {name: pa.array(lineage) for name in ("lineage", "caption_lineage", "summary_lineage")}
    flat = pa.array(unit_vectors(rows, first).ravel())
    columns["vector"] = pa.FixedSizeListArray.from_arrays(flat, DIMENSIONS)
    whole = {name: _table(columns, schemas[name], rows) for name in ("frames", "captions", "chunks")}
    starts = pa.array(np.flatnonzero(second % FRAMES_A_CHUNK == 0))
    yield from (("frames", whole["frames"]), ("captions", whole["captions"]), ("chunks", whole["chunks"].take(starts)))


def _table(columns: dict[str, pa.Array], schema: pa.Schema, rows: int) -> pa.Table:
    arrays = [columns[f.name].cast(f.type) if f.name in columns else pa.nulls(rows, f.type) for f in schema]
    return pa.Table.from_arrays(arrays, schema=schema)
