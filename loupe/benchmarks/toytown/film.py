"""A film as a file: pictures and sound encoded as H.264 and AAC, and its lines as a sidecar."""

from collections.abc import Iterator
from functools import cache
from itertools import islice
from pathlib import Path

import av
import numpy as np

from loupe.benchmarks.toytown.places import HEIGHT, WIDTH
from loupe.benchmarks.toytown.render import draw
from loupe.benchmarks.toytown.screenplay import FPS, Film
from loupe.benchmarks.toytown.sound import Samples, soundtrack
from loupe.benchmarks.toytown.speech import FOLDER, RATE, VOICES
from loupe.benchmarks.toytown.whole import written_whole

VIDEO = {"preset": "veryfast", "crf": "27", "g": "48", "bf": "2", "threads": "1", "x264-params": "threads=1"}
"""One thread: the same bytes on every machine of a kind. The CRF leaves noise that shows."""


def write_mp4(film: Film, path: Path) -> None:
    """Encode a film. The file appears whole, or not at all."""
    voices = {voice: recorded(voice) for voice in VOICES}
    options = {"fflags": "+bitexact", "movflags": "+faststart"}
    with written_whole(path) as part, av.open(str(part), "w", format="mp4", options=options) as container:
        video = container.add_stream("libx264", rate=FPS, options=VIDEO)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        audio = container.add_stream("aac", rate=RATE, layout="mono", options={"b": "40000", "flags": "+bitexact"})
        pictures = _pictures(film)
        for second, samples in enumerate(soundtrack(film.lines, voices, film.duration_ms)):
            for picture in islice(pictures, FPS):
                container.mux(video.encode(picture))
            container.mux(audio.encode(_sound(samples, second * RATE)))
        for picture in pictures:
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))


def write_srt(film: Film, path: Path) -> None:
    """Write a film's lines as subtitles."""
    blocks = [
        f"{number}\n{_clock(line.start_ms)} --> {_clock(line.end_ms)}\n{line.text}\n"
        for number, line in enumerate(film.lines, 1)
    ]
    with written_whole(path) as part:
        part.write_text("\n".join(blocks))


def _pictures(film: Film) -> Iterator[av.VideoFrame]:
    """Every frame in order. A picture that stays is drawn and converted once."""
    shown, frame = None, None
    for number in range(film.duration_ms * FPS // 1000):
        still = film.still(number / FPS)
        if frame is None or still != shown:
            shown = still
            frame = av.VideoFrame.from_ndarray(draw(still), format="rgb24").reformat(format="yuv420p")
        frame.pts = number
        yield frame


def _sound(samples: Samples, at: int) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="s16", layout="mono")
    frame.sample_rate, frame.pts = RATE, at
    return frame


@cache
def recorded(voice: str) -> Samples:
    """A voice's file, decoded once; nobody can write into it."""
    path = FOLDER / f"{voice}.ogg"
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    with av.open(str(path)) as container:
        parts = [part.to_ndarray()[0] for frame in container.decode(audio=0) for part in resampler.resample(frame)]
    parts += [part.to_ndarray()[0] for part in resampler.resample(None)]
    samples = np.concatenate(parts)
    samples.flags.writeable = False
    return samples


def _clock(ms: int) -> str:
    return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02},{ms % 1000:03}"
