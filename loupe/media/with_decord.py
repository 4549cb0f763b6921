"""The other decoder: decord, for local files and only where it is known to give the right frames.

It was tried on films whose frames carry their number (tests/test_media.py holds the cases). It is right for H.264 and
VP9 in MP4 and Matroska; it gives other frames than those asked for, without a word, from HEVC, MPEG-TS, AVI and
MPEG-PS, after an edit list that skips frames, and from H.264 whose keyframes are no clean starts (open GOPs, intra
refresh); with AV1 it hangs. What it shows and when is therefore settled with the packets' own time stamps first.
"""

import json
import os
import selectors
import subprocess
import sys
from bisect import bisect_right
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from io import BufferedReader
from pathlib import Path
from typing import IO

import numpy as np

from loupe.media import decord_child
from loupe.media.film import Film, open_film, time_of
from loupe.media.opening import MediaError, Source
from loupe.media.pictures import Picture, fit, square_size
from loupe.media.sampling import Sampled, SampleReport

RIGHT_FORMATS = ("mov", "matroska")
RIGHT_CODECS = ("h264", "vp8", "vp9")
STALL_SECONDS = 60.0
"""Without a frame for so long, decord counts as hanging."""
H264_IDR = 5


@dataclass(frozen=True)
class _Plan:
    """What decord is asked for: the size of upright pictures, and the film's own time of each frame."""

    width: int
    height: int
    pts_ms: dict[int, int]
    """By the time that was asked for; those without a frame are left out."""


def sample_with_decord(
    source: Source, times_ms: Sequence[int], long_side: int, threads: int, report: SampleReport
) -> Iterator[Sampled]:
    """As `sample_frames`. Raises MediaError("unsupported") where decord is not there or not to be trusted."""
    path = _local_path(source)
    if find_spec("decord") is None:
        raise MediaError("unsupported", "decord is not installed here.")
    with open_film(source) as film:
        plan = _plan(film, times_ms, long_side)
    report.missing += len(times_ms) - sum(ts_ms in plan.pts_ms for ts_ms in times_ms)
    shown: tuple[int, Picture] | None = None
    with closing(_pictures(path, plan, threads)) as pictures:
        for ts_ms in times_ms:
            pts_ms = plan.pts_ms.get(ts_ms)
            if pts_ms is None:
                continue
            if shown is None or shown[0] != pts_ms:
                shown = pts_ms, next(pictures)
            yield Sampled(ts_ms, pts_ms, shown[1])


def _local_path(source: Source) -> str:
    if isinstance(source, BufferedReader) and isinstance(source.name, str):
        source = source.name
    if isinstance(source, str | Path):
        return os.path.abspath(source)
    raise MediaError("unsupported", "decord reads local files only; the other decoder reads this film.")


def _plan(film: Film, times_ms: Sequence[int], long_side: int) -> _Plan:
    """Check that decord can be trusted with the film, and settle which frame is on screen at each time."""
    codec = film.stream.codec_context.codec.canonical_name
    if not film.container.format.name.startswith(RIGHT_FORMATS) or codec not in RIGHT_CODECS:
        found = f"{codec} in {film.container.format.name.split(',')[0]}"
        raise MediaError("unsupported", f"decord is trusted with H.264, VP8 and VP9 in MP4 and Matroska, not {found}.")
    if film.begins_later:
        raise MediaError("unsupported", "decord gives wrong frames after an edit list that skips frames.")
    frames: list[tuple[int, int]] = []  # from and until when a frame is on screen at the longest
    last = max(times_ms, default=0)
    for packet in film.packets_from(min(times_ms, default=0)):
        if packet.is_keyframe and codec == "h264" and not _is_clean_start(film, bytes(packet)):
            raise MediaError("unsupported", "decord gives wrong frames from H.264 with open GOPs or intra refresh.")
        pts = time_of(packet)
        frames.append((film.ms(pts), film.ms(pts + (packet.duration or film.duration_of(film.first)))))
        if packet.dts is not None and film.ms(packet.dts) > last:
            break
    frames.sort()
    starts = [start for start, _ in frames]
    on_screen = {ts_ms: bisect_right(starts, ts_ms) - 1 for ts_ms in times_ms}
    width, height = fit(*square_size(film.first.width, film.first.height, film.stream.sample_aspect_ratio), long_side)
    if round(film.first.rotation / 90) % 2:
        width, height = height, width
    return _Plan(
        width,
        height,
        {
            ts_ms: starts[index]
            for ts_ms, index in on_screen.items()
            if index >= 0 and (index + 1 < len(frames) or ts_ms < frames[index][1])
        },
    )


def _is_clean_start(film: Film, packet: bytes) -> bool:
    """Whether an H.264 packet holds an IDR picture. Units are preceded by their length, as in MP4 and Matroska."""
    extradata = film.stream.codec_context.extradata
    length_size = (extradata[4] & 3) + 1 if extradata and len(extradata) > 4 else 4
    at = 0
    while at + length_size < len(packet):
        if packet[at + length_size] & 31 == H264_IDR:
            return True
        at += length_size + int.from_bytes(packet[at : at + length_size], "big")
    return False


def _pictures(path: str, plan: _Plan, threads: int) -> Generator[Picture]:
    """The pictures of the plan's frames, each once, from a process of its own."""
    wanted = sorted(set(plan.pts_ms.values()))
    request = {"path": path, "threads": threads, "width": plan.width, "height": plan.height, "pts_ms": wanted}
    command = [sys.executable, decord_child.__file__]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        try:
            assert child.stdin is not None
            assert child.stdout is not None
            with suppress(BrokenPipeError), child.stdin:
                child.stdin.write(json.dumps(request).encode())
            for _ in wanted:
                data = _read(child.stdout, plan.width * plan.height * 3)
                yield np.frombuffer(data, np.uint8).reshape(plan.height, plan.width, 3)
        finally:
            child.kill()


def _read(pipe: IO[bytes], size: int) -> bytes:
    data = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while len(data) < size:
            if not selector.select(STALL_SECONDS):
                raise MediaError("unsupported", "decord hangs on this film.")
            part = os.read(pipe.fileno(), size - len(data))
            if not part:
                raise MediaError("unsupported", "decord cannot read a frame of this film.")
            data += part
    return bytes(data)
