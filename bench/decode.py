"""The decode stage against plain decoding of the same file by PyAV, against decord, and its memory on a long film.

One film of 720p with a keyframe every 250 frames, drawn here; figures are ratios of CPU seconds of one run.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np

from loupe.media.opening import MediaError
from loupe.media.pictures import encode_jpeg
from loupe.media.sampling import sample_frames

SECONDS, FPS = 40, 25
LONG_SECONDS = 7200
MEMORY = """
import resource, sys
from loupe.media.pictures import encode_jpeg
from loupe.media.sampling import sample_frames
for frame in sample_frames(sys.argv[1], range(0, int(sys.argv[2]) * 1000, 1000)):
    encode_jpeg(frame.rgb)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def draw_film(path: Path, seconds: int, width: int, height: int, fps: int) -> Path:
    """Coloured noise that drifts: every frame differs, and none is free to decode."""
    random = np.random.default_rng(0)
    canvas = np.kron(random.integers(0, 255, (height // 8, width // 4, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"preset": "veryfast", "crf": "24", "g": "250"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(seconds * fps):
            shift = number * 2 % width
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.roll(canvas, shift, 1)[:, :width].copy())))
        container.mux(stream.encode(None))
    return path


def cpu_seconds(work: Callable[[], None]) -> float:
    """CPU seconds of this process that something takes."""
    started = time.process_time()
    work()
    return time.process_time() - started


def decode_all(path: Path) -> None:
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_type = "NONE"
        for _ in container.decode(video=0):
            pass


def sample_all(path: Path, decoder: str) -> None:
    for frame in sample_frames(path, range(0, SECONDS * 1000, 1000), long_side=512, decoder=decoder):
        encode_jpeg(frame.rgb)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        film = draw_film(Path(folder) / "film.mp4", SECONDS, 1280, 720, FPS)
        plain = cpu_seconds(lambda: decode_all(film))
        ours = cpu_seconds(lambda: sample_all(film, "pyav"))
        print(f"plain decode / decode stage (1 fps, 512 px, JPEG): {plain / ours:.2f} of its speed")
        started = time.monotonic()
        sample_all(film, "pyav")
        elapsed, started = time.monotonic() - started, time.monotonic()
        try:
            sample_all(film, "decord")
            print(f"decord / PyAV, seconds for the same frames: {(time.monotonic() - started) / elapsed:.2f}")
        except MediaError as refused:
            print(f"decord: {refused}")
        long = draw_film(Path(folder) / "long.mp4", LONG_SECONDS, 320, 180, 2)
        command = [sys.executable, "-c", MEMORY, str(long), str(LONG_SECONDS)]
        peak = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        print(f"peak RSS while two hours are sampled: {peak:.0f} MB")


if __name__ == "__main__":
    main()
