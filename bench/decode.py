"""The decode stage against plain decoding of the same file by PyAV, against decord, and its memory on a long film.

Two films of 720p with a keyframe every 250 frames, made here: one that is costly to decode, and one of two hours, a
few still seconds over and over. Speed is compared in CPU seconds of one run; child processes count.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np

from loupe.media.opening import MediaError
from loupe.media.pictures import encode_jpeg
from loupe.media.sampling import sample_frames

SECONDS, FPS = 30, 25
WIDTH, HEIGHT = 1280, 720
LOOP_SECONDS, LONG_SECONDS = 10, 7200
MEMORY = """
import resource, sys
from loupe.media.pictures import encode_jpeg
from loupe.media.sampling import sample_frames
count = sum(len(encode_jpeg(s.rgb)) > 0 for s in sample_frames(sys.argv[1], range(0, int(sys.argv[2]) * 1000, 1000)))
print(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def drifting() -> Iterator[np.ndarray]:
    """Coloured patches that drift, under grain: every frame differs, and none is free to decode."""
    random = np.random.default_rng(0)
    grain = random.integers(0, 30, (7, HEIGHT, WIDTH, 1), np.uint8)
    canvas = np.kron(random.integers(0, 225, (HEIGHT // 8, WIDTH // 4, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    for number in range(SECONDS * FPS):
        yield np.roll(canvas, number * 2 % WIDTH, 1)[:, :WIDTH] + grain[number % len(grain)]


def encode(path: Path, pictures: Iterator[np.ndarray], preset: str) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": preset, "crf": "24", "g": "250"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode(None))
    return path


def repeat(source: Path, target: Path, seconds: int) -> Path:
    """The same packets again and again, without decoding them."""
    with av.open(str(source)) as film:
        packets = [(bytes(p), p.pts, p.dts, p.duration, p.is_keyframe) for p in film.demux(video=0) if p.size]
        time_base = film.streams.video[0].time_base
        length = round(LOOP_SECONDS / time_base)
        with av.open(str(target), "w") as long:
            stream = long.add_stream_from_template(film.streams.video[0])
            for turn in range(seconds // LOOP_SECONDS):
                for data, pts, dts, duration, is_keyframe in packets:
                    packet = av.Packet(data)
                    packet.stream, packet.time_base, packet.duration = stream, time_base, duration
                    packet.pts, packet.dts, packet.is_keyframe = pts + turn * length, dts + turn * length, is_keyframe
                    long.mux(packet)
    return target


def cpu_seconds(work: Callable[[], None]) -> float:
    """CPU seconds of this process and its children that something takes."""
    before = os.times()
    work()
    after = os.times()
    return sum(after[:4]) - sum(before[:4])


def decode_all(path: Path) -> None:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_count, stream.thread_type = 1, "NONE"
        for _ in container.decode(stream):
            pass


def sample_all(path: Path, decoder: str) -> None:
    for frame in sample_frames(path, range(0, SECONDS * 1000, 1000), long_side=512, decoder=decoder):
        encode_jpeg(frame.rgb)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        film = encode(Path(folder) / "film.mp4", drifting(), "veryfast")
        plain = cpu_seconds(lambda: decode_all(film))
        ours = cpu_seconds(lambda: sample_all(film, "pyav"))
        print(f"{SECONDS} s of 720p, 1 fps, 512 px, JPEG: {ours:.2f} CPU s; plain decode {plain:.2f} CPU s")
        print(f"decode stage / plain decode: {plain / ours:.2f} of its speed (at least 0.85)")
        try:
            theirs = cpu_seconds(lambda: sample_all(film, "decord"))
            print(f"decord / PyAV, CPU seconds for the same frames: {theirs / ours:.2f}")
        except MediaError as refused:
            print(f"decord: {refused}")
        still = next(drifting())
        loop = encode(Path(folder) / "loop.mp4", (still for _ in range(LOOP_SECONDS * FPS)), "veryfast")
        long = repeat(loop, Path(folder) / "long.mp4", LONG_SECONDS)
        command = [sys.executable, "-c", MEMORY, str(long), str(LONG_SECONDS)]
        count, peak = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        print(f"peak RSS while {count} frames of two hours of 720p are sampled: {float(peak):.0f} MB (at most 400)")


if __name__ == "__main__":
    main()
