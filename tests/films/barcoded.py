"""Films whose every frame carries its own number as bars that survive a codec, a resize and JPEG.

The number is written twice: bright bars for its set bits in the upper half, and the same bars with light and dark
exchanged in the lower half. A bar is read by which of its halves is brighter, so that it can neither be misread by
a change of brightness nor on a picture that lies on its side or upside down: that raises `Unreadable`.
"""

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

BITS = 12
WIDTH, HEIGHT = 24 * (BITS + 2), 192
DARK, BRIGHT = 40, 215


class Unreadable(Exception):
    """The picture has no bar code, or is not upright."""


def barcode(number: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """The picture of a number, uint8 of shape (height, width, 3). The outer bars are dark above and bright below."""
    bits = [0, *(number >> bit & 1 for bit in range(BITS)), 0]
    columns = np.array(bits)[np.arange(width) * len(bits) // width]
    upper = np.where(columns == 1, BRIGHT, DARK).astype(np.uint8)
    picture = np.empty((height, width, 3), np.uint8)
    picture[: height // 2] = upper[None, :, None]
    picture[height // 2 :] = (DARK + BRIGHT - upper)[None, :, None]
    return picture


def read_barcode(picture: np.ndarray) -> int:
    """The number on a picture of any size."""
    height, width = picture.shape[:2]
    uppers = picture[int(0.1 * height) : int(0.4 * height)].mean(axis=0).mean(axis=1)
    lowers = picture[int(0.6 * height) : int(0.9 * height)].mean(axis=0).mean(axis=1)
    bits = []
    for bar in range(BITS + 2):
        middle = slice(int((bar + 0.3) * width / (BITS + 2)), int((bar + 0.7) * width / (BITS + 2)) + 1)
        upper, lower = uppers[middle].mean(), lowers[middle].mean()
        if abs(upper - lower) < 60:
            raise Unreadable(f"bar {bar}: {upper:.0f} over {lower:.0f}")
        bits.append(int(upper > lower))
    if (bits[0], bits[-1]) != (0, 0):
        raise Unreadable(f"not upright: {bits}")
    return sum(bit << index for index, bit in enumerate(bits[1:-1]))


def write_film(
    path: Path,
    pictures: Iterator[np.ndarray] | Sequence[np.ndarray],
    *,
    fps: int = 25,
    times_ms: Sequence[int] | None = None,
    codec: str = "libx264",
    options: Mapping[str, str] | None = None,
    rotation: int = 0,
    aspect: Fraction | None = None,
    mux_options: Mapping[str, str] | None = None,
    pix_fmt: str = "yuv420p",
) -> Path:
    """Encode pictures at a constant rate, or at the given times.

    With a `rotation` the pictures are stored turned, and metadata says to turn them back, counter-clockwise."""
    with av.open(str(path), "w", container_options=dict(mux_options or {})) as container:
        stream = None
        for index, picture in enumerate(pictures):
            if stream is None:
                stream = container.add_stream(codec, rate=fps, options=dict(options or {}))
                sideways = rotation % 180 != 0
                stream.height, stream.width = picture.shape[1::-1] if sideways else picture.shape[:2]
                stream.pix_fmt = pix_fmt
                stream.codec_context.time_base = Fraction(1, fps) if times_ms is None else Fraction(1, 1000)
                stream.codec_context.thread_count = 1
                if rotation:
                    stream.set_display_rotation(rotation)
                if aspect:
                    stream.codec_context.sample_aspect_ratio = aspect
            if rotation:
                picture = np.ascontiguousarray(np.rot90(picture, k=-rotation // 90))
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.time_base = stream.codec_context.time_base
            frame.pts = index if times_ms is None else times_ms[index]
            container.mux(stream.encode(frame))
        assert stream is not None
        container.mux(stream.encode(None))
    return path
