"""Films with sound: clicks at known samples, in any container and codec."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

RATE = 48_000
VIDEO_CODECS = {".avi": "mpeg4", ".mpg": "mpeg2video"}
"""Where H.264 does not fit."""


def clicks(at_seconds: Sequence[float], seconds: float, rate: int = RATE) -> np.ndarray:
    """Mono sound, float32: a click whose middle is at each of those times."""
    sound = np.zeros(round(seconds * rate), np.float32)
    times = (np.arange(len(sound)) / rate)[:, None] - np.array(at_seconds)
    near, which = np.nonzero(np.abs(times) < 0.001)
    passed = times[near, which]
    sound[near] += 0.8 * np.cos(np.pi * passed / 0.002) ** 2 * np.cos(2 * np.pi * 2_000 * passed)
    return sound


def write_clicking_film(
    path: Path,
    sound: np.ndarray,
    *,
    codec: str,
    rate: int = RATE,
    layout: str = "mono",
    later_ms: int = 0,
    seconds: int = 20,
    mux_options: Mapping[str, str] | None = None,
) -> Path:
    """A grey film of so many seconds at 25 fps whose sound begins `later_ms` after its pictures."""
    with av.open(str(path), "w", container_options=dict(mux_options or {})) as container:
        video = container.add_stream(VIDEO_CODECS.get(path.suffix, "libx264"), rate=25, options={"g": "50"})
        video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
        video.codec_context.thread_count = 1
        audio = container.add_stream(codec, rate=rate, layout=layout)
        picture = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 128, np.uint8), format="rgb24")
        for number in range(seconds * 25):
            picture.pts = number
            container.mux(video.encode(picture))
            at = number // 25 * rate
            if number % 25 == 0 and at < len(sound):
                frame = _frame(sound[at : at + rate], layout, rate)
                frame.pts = at + later_ms * rate // 1000
                container.mux(audio.encode(frame))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    return path


def _frame(block: np.ndarray, layout: str, rate: int) -> av.AudioFrame:
    channels = np.tile(block, (av.AudioLayout(layout).nb_channels, 1))
    frame = av.AudioFrame.from_ndarray(channels, format="fltp", layout=layout)
    frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
    return frame
