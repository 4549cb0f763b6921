"""A random window of a film as the agents look into it and listen to it, against plain PyAV doing the same.

    python -m bench.windows --windows 12

Windows of 30 s at 1 fps from a film of 720p with a keyframe every 250 frames and AAC, made here: from a folder, and
from an S3 server on loopback. Each window is taken by footage that holds nothing yet, by plain PyAV, and by the same
footage again; every time the film is opened anew, but for the last. Plain PyAV seeks to the keyframe before, decodes
on one thread, and makes the same frames RGB of the same size, or the sound mono at 16 kHz; on S3 it reads by FFmpeg's
own HTTP. The footage also makes the frames JPEG. Both must come to the same frames and as many samples. Ratios are of
the medians, in wall seconds of one run.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, TypeVar

import av
import boto3
import numpy as np
import tyro

from bench.decode import FPS, LOOP_SECONDS, drifting, encode, repeat
from loupe import storage
from loupe.agent.footage import DecodedFootage, FilmFile, Held, film_file
from loupe.config import Index
from loupe.engines.speech import RATE
from tests.s3 import S3, make_bucket, serve

FILM_SECONDS = 120
SOUND_RATE = 48_000
WINDOW_SECONDS = 30
HELD_BYTES = 256 << 20
"""As `answer.job.footage_mb` has it."""
SIZE = (512, 288)
"""Pixels of a frame: 720p with a long side of 512, as `index.long_side` has it."""

Taken = TypeVar("Taken")


@dataclass(frozen=True)
class Arguments:
    """A random window of a film, against plain PyAV."""

    windows: int = 12
    """How many; medians over them are told."""


@dataclass(frozen=True)
class Window:
    start_ms: int

    @property
    def end_ms(self) -> int:
        return self.start_ms + WINDOW_SECONDS * 1000

    @property
    def times_ms(self) -> range:
        return range(self.start_ms, self.end_ms, 1000)


@dataclass(frozen=True)
class Seconds:
    """Of one window."""

    first: float
    again: float
    plain: float


def make_film(folder: Path) -> Path:
    """Ten seconds of drifting patches, over and over, under noise."""
    loop = encode(folder / "loop.mp4", islice(drifting(), LOOP_SECONDS * FPS), "veryfast")
    silent = repeat(loop, folder / "silent.mp4", FILM_SECONDS)
    return add_sound(silent, folder / "film.mp4")


def add_sound(silent: Path, target: Path) -> Path:
    """The film's packets as they are, and a second of noise in AAC after each second of pictures."""
    noise = np.random.default_rng(0)
    with av.open(str(silent)) as film, av.open(str(target), "w") as container:
        pictures = container.add_stream_from_template(film.streams.video[0])
        sound = container.add_stream("aac", rate=SOUND_RATE, layout="stereo")
        for number, packet in enumerate(packet for packet in film.demux(video=0) if packet.size):
            packet.stream = pictures
            container.mux(packet)
            if number % FPS == FPS - 1:
                samples = noise.uniform(-0.3, 0.3, (2, SOUND_RATE)).astype(np.float32)
                frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="stereo")
                frame.sample_rate, frame.pts = SOUND_RATE, (number // FPS) * SOUND_RATE
                container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    return target


def our_frames(footage: DecodedFootage, file: FilmFile, window: Window) -> list[int]:
    """The frames' own times, in milliseconds."""
    return [frame.pts_ms for frame in footage.frames(file, window.times_ms)]


def our_sound(footage: DecodedFootage, file: FilmFile, window: Window) -> int:
    """How many samples there are."""
    return len(footage.sound(file, window.start_ms, window.end_ms))


def plain_frames(address: str, window: Window) -> list[int]:
    """As our_frames: the last frame not after each time."""
    with av.open(address) as container:
        stream = container.streams.video[0]
        stream.thread_count, stream.thread_type = 1, "NONE"
        wanted, taken, held = list(window.times_ms), [], None
        for frame in _decoded_from(container, stream, window.start_ms):
            while wanted and held is not None and _ms(frame) > wanted[0]:
                held.reformat(*SIZE, format="rgb24", interpolation="AREA").to_ndarray()
                taken.append(_ms(held))
                wanted.pop(0)
            if not wanted:
                return taken
            held = frame
    raise RuntimeError(f"the film ended before {window.end_ms} ms")


def plain_sound(address: str, window: Window) -> int:
    """As our_sound."""
    with av.open(address) as container:
        stream = container.streams.audio[0]
        resampler, samples = av.AudioResampler(format="fltp", layout="mono", rate=RATE), 0
        for frame in _decoded_from(container, stream, window.start_ms):
            if _ms(frame) >= window.end_ms:
                break
            skipped = max(0, window.start_ms - _ms(frame)) * RATE // 1000
            samples += sum(part.to_ndarray().shape[1] for part in resampler.resample(frame)) - skipped
    return samples


def _decoded_from(container: Any, stream: Any, start_ms: int) -> Iterator[Any]:
    container.seek(int(start_ms / 1000 / stream.time_base), stream=stream)
    return container.decode(stream)


def _ms(frame: Any) -> int:
    return round(frame.time * 1000)


def measure(
    ours: Callable[[DecodedFootage, FilmFile, Window], Taken],
    plain: Callable[[str, Window], Taken],
    file: FilmFile,
    address: str,
    same: Callable[[Taken, Taken], bool],
    window: Window,
) -> Seconds:
    """A window three times. Raises RuntimeError where the two do not come to the same."""
    footage = DecodedFootage(Index(), Held(HELD_BYTES))
    got, first = timed(ours, footage, file, window)
    theirs, alone = timed(plain, address, window)
    _, again = timed(ours, footage, file, window)
    if not same(got, theirs):
        raise RuntimeError(f"{file.uri} from {window.start_ms} ms: {got} here, {theirs} by plain PyAV")
    return Seconds(first, again, alone)


def timed(work: Callable[..., Taken], *given: Any) -> tuple[Taken, float]:
    """What comes of it, and its wall seconds."""
    begun = time.perf_counter()
    made = work(*given)
    return made, time.perf_counter() - begun


def drawn(windows: int) -> list[Window]:
    """Windows anywhere in the film."""
    random = Random(0)
    last = (FILM_SECONDS - WINDOW_SECONDS - 1) * 1000
    return [Window(random.randrange(last)) for _ in range(windows)]


def report(what: str, told: list[Seconds]) -> None:
    first, again, plain = (median(getattr(each, name) for each in told) for name in ("first", "again", "plain"))
    print(f"{what}: first {1000 * first:.0f} ms, again {1000 * again:.2f} ms, plain PyAV {1000 * plain:.0f} ms")
    print(f"  first / plain: {first / plain:.2f} of its time; plain / again: {plain / again:,.0f}")


@contextmanager
def bucket() -> Iterator[S3]:
    """An S3 server with a bucket; the environment leads to it."""
    with serve() as endpoint:
        make_bucket(endpoint, "films")
        s3 = S3(endpoint, "films")
        os.environ.update(s3.env | {"LOUPE_S3_TIMEOUT_S": "300"})  # the film is put there in one request
        yield s3


def signed(bucket: str, key: str) -> str:
    """An address at which FFmpeg may read an object."""
    asked = {"Bucket": bucket, "Key": key}
    address: str = boto3.client("s3").generate_presigned_url("get_object", Params=asked)
    return address


def main() -> None:
    windows = drawn(tyro.cli(Arguments).windows)
    with tempfile.TemporaryDirectory() as folder, bucket() as s3:
        film = make_film(Path(folder))
        print(
            f"{len(windows)} windows of {WINDOW_SECONDS} s of {FILM_SECONDS} s of 720p, {film.stat().st_size >> 20} MB"
        )
        on_s3 = storage.join(s3.root, film.name)
        storage.write_bytes(on_s3, film.read_bytes())
        for where, uri, address in (
            ("folder", str(film), str(film)),
            ("S3", on_s3, signed(s3.bucket, film.name)),
        ):
            file, _ = film_file(uri)
            frames = [measure(our_frames, plain_frames, file, address, list.__eq__, each) for each in windows]
            report(f"{WINDOW_SECONDS} frames at 1 fps, {where}", frames)
            sound = [measure(our_sound, plain_sound, file, address, nearly, each) for each in windows]
            report(f"their sound, {where}", sound)


def nearly(one: int, other: int) -> bool:
    """Numbers of samples: plain PyAV ends with a packet, and the resampler keeps some back."""
    return abs(one - other) < RATE / 10


if __name__ == "__main__":
    main()
