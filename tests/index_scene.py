"""A library of films of a few seconds, and all that an index of it holds, for tests of the index job."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import av
import numpy as np

from loupe.library.tables import open_dataset
from loupe.media.pictures import decode_jpeg
from schemas.tables import all_tables, key_columns
from tests.films.barcoded import barcode, read_barcode, write_film

TABLES = tuple(all_tables(1))
TIMES_OF_WRITING = ("indexed_at", "failed_at")
FPS = 10
STEADY = {"g": "10", "bf": "0", "tune": "zerolatency", "sc_threshold": "0"}
"""Encoder options under which a packet does not depend on what follows it."""
SUBTITLES = """1
00:00:00,500 --> 00:00:01,200
Where is the red kite?

2
00:00:02,500 --> 00:00:03,000
Over the harbour.
"""


def film(path: Path, seconds: int, *, first: int = 0) -> Path:
    """A film whose every frame is another: numbers from `first` on, as bars."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_film(path, [barcode(first + number) for number in range(seconds * FPS)], fps=FPS, options=STEADY)


def still_film(path: Path, seconds: int) -> Path:
    """A film that shows one picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_film(path, [barcode(7)] * (seconds * FPS), fps=FPS, options=STEADY)


def damage(path: Path, start_ms: int, end_ms: int) -> Path:
    """Overwrite what a film holds of some time, so that none of it can be decoded."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.pts is not None]
        places = [(p.pos, p.size) for p in packets if start_ms <= 1000 * p.pts * p.time_base < end_ms]
    content = bytearray(path.read_bytes())
    for position, size in places:
        content[position : position + size] = bytes(size)
    path.write_bytes(content)
    return path


def small_library(folder: Path) -> Path:
    """Five seconds with subtitles, three seconds of one picture in a folder below, and a film that is cut off."""
    whole = film(folder / "street.mp4", 5)
    (folder / "street.srt").write_text(SUBTITLES)
    still_film(folder / "b" / "still.mp4", 3)
    (folder / "broken.mp4").write_bytes(whole.read_bytes()[:3000])
    return folder


def rows(database: str, but: Iterable[str] = ()) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table, with a marker or without, in the order of its key; no times of writing."""
    left_out = {*TIMES_OF_WRITING, *but}
    content = {}
    for name, schema in all_tables(1).items():
        found = open_dataset(database, name).to_table().to_pylist()
        found.sort(key=lambda row: [row[key] for key in key_columns(schema)])
        content[name] = [{column: row[column] for column in row if column not in left_out} for row in found]
    return content


def versions(database: str) -> dict[str, int]:
    """The newest version of every table."""
    return {name: open_dataset(database, name).latest_version for name in TABLES}


def report(database: str) -> dict[str, Any]:
    """The report of the last run."""
    return json.loads((Path(database) / "report.json").read_text())


def bars(jpeg: bytes) -> int:
    """The number that a stored picture shows."""
    return read_barcode(decode_jpeg(jpeg))


def sound(path: Path) -> Path:
    """A second of silence in a film's container."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
