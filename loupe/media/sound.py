"""Sound of a film: any stretch of it as mono samples that lie exactly where its pictures are."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from hashlib import blake2b
from itertools import chain
from math import gcd
from typing import Any

import av
import av.error
import numpy as np
import numpy.typing as npt

from loupe.media.film import SEEK_MARGINS_MS, Film, open_film, time_of
from loupe.media.opening import MediaError, Source
from loupe.sound import Sound

RUN_UP_MS = 500
"""Decoding begins this much earlier: after a jump the first packets come out wrong (MP3: 10 frames, Opus: 80 ms)."""
RUN_OUT_MS = 200
"""Decoding goes on this much longer: a resampler needs what follows, and packets may stand a little out of order."""
JUMP_MS = 40
"""Packets whose time is further from the end of the last ones begin anew; what is nearer is the clock's rounding."""


@dataclass
class SoundReport:
    """What one call of `cut_audio` met on its way; filled while it runs."""

    damaged_ms: list[int] = field(default_factory=list)
    """Times of packets of the window that could not be decoded, in milliseconds from the film's first frame."""


def cut_audio(
    source: Source, start_ms: int, end_ms: int, rate: int = 16_000, *, report: SoundReport | None = None
) -> Sound:
    """The sound of [start, end), float32 mono of shape ((end_ms - start_ms) * rate // 1000,).

    Times count from the film's first frame. It is silent where the film has no sound or none that can be decoded.
    Of several sound streams it is the best one of the film's program. Positions are as exact as the container's time
    stamps: to the sample in MP4 and MPEG-TS, to half a millisecond in Matroska; there, sound that begins before the
    first picture lacks its first packet.

    Raises ValueError where the window ends before it begins, and MediaError, `no_audio_stream` where there is no sound
    at all.
    """
    if start_ms > end_ms:
        raise ValueError(f"A window cannot end ({end_ms} ms) before it begins ({start_ms} ms).")
    cut = np.zeros((end_ms - start_ms) * rate // 1000, np.float32)
    with _open_sound(source) as sound:
        for run in _runs(sound.frames(start_ms, end_ms)):
            first, samples = _resampled(run, rate)
            _lay(cut, samples, first - start_ms * rate // 1000)
        if report is not None:
            report.damaged_ms += [ms for ms in sound.damaged_ms if start_ms <= ms < end_ms]
    return cut


def sound_digest(source: Source, start_ms: int, end_ms: int) -> str:
    """Hash of the encoded sound of [start, end): codec, and each packet with its time from the first frame.

    Raises MediaError as `cut_audio` does.
    """
    with _open_sound(source) as sound:
        context = sound.stream.codec_context
        digest = blake2b(digest_size=16)
        digest.update(f"{context.codec.canonical_name} {context.sample_rate} {context.layout.name}\n".encode())
        for ms, packet in sound.packets(start_ms, end_ms):
            if start_ms <= ms < end_ms:
                digest.update(f"{ms} {packet.size}\n".encode())
                digest.update(memoryview(packet))
        return digest.hexdigest()


class _OpenSound:
    """The sound stream of an open film."""

    def __init__(self, film: Film, stream: Any) -> None:
        self.film = film
        self.stream = stream
        self.zero: Fraction = film.first.pts * film.stream.time_base
        """When the film's first frame is shown, in seconds."""
        self.damaged_ms: list[int] = []
        """Times of packets that could not be decoded."""

    def seconds(self, ticks: int) -> Fraction:
        """Time from the film's first frame of a time stamp of the sound."""
        seconds: Fraction = ticks * self.stream.time_base - self.zero
        return seconds

    def packets(self, start_ms: int, end_ms: int) -> Iterator[tuple[int, Any]]:
        """Packets of [start, end) with their times in milliseconds, and some of before and after."""
        for ms, packet in self._packets_from(start_ms):
            if ms >= end_ms + RUN_OUT_MS:
                return
            yield ms, packet

    def frames(self, start_ms: int, end_ms: int) -> Iterator[tuple[Fraction | None, Any]]:
        """Decoded sound of a window and of what it needs around it, each with its time; None where it follows."""
        for ms, packet in self.packets(start_ms - RUN_UP_MS, end_ms):
            if ms >= start_ms - RUN_UP_MS:
                yield from self._decoded(packet, ms)
        yield from self._decoded(None, end_ms)

    def _packets_from(self, ms: int) -> Iterator[tuple[int, Any]]:
        for margin in SEEK_MARGINS_MS:
            packets = self._timed(self.film.packets_of([self.stream], ms - margin))
            first = next(packets, None)
            if first is not None and first[0] <= ms:
                return chain([first], packets)
        return self._timed(self.film.packets_of([self.stream]))

    def _timed(self, packets: Iterable[Any]) -> Iterator[tuple[int, Any]]:
        return ((round(1000 * self.seconds(time_of(packet))), packet) for packet in packets)

    def _decoded(self, packet: Any, ms: int) -> Iterator[tuple[Fraction | None, Any]]:
        try:
            frames = self.stream.codec_context.decode(packet)
        except EOFError:
            return
        except av.error.FFmpegError:
            self.damaged_ms.append(ms)
            return
        for frame in frames:
            yield None if frame.pts is None else frame.pts * frame.time_base - self.zero, frame


@contextmanager
def _open_sound(source: Source) -> Iterator[_OpenSound]:
    with open_film(source) as film:
        stream = film.container.streams.best("audio", related=film.stream)
        if stream is None:
            raise MediaError("no_audio_stream", "The film has no sound.")
        if stream.codec_context is None:
            raise MediaError("unsupported", "The sound of the film is in a codec that cannot be decoded here.")
        yield _OpenSound(film, stream)


class _Run:
    """Decoded sound without a gap, mono at its own rate."""

    def __init__(self, like: Any, begins: Fraction) -> None:
        self.like = like
        self.begins = begins
        self.mono = av.AudioResampler(format="s16", layout="mono")
        self.parts: list[npt.NDArray[np.int16]] = []
        self.length = 0
        self.errors: list[Fraction] = []
        """How much later each part should begin by its time stamp than by what was decoded before it, in seconds."""

    @property
    def ends(self) -> Fraction:
        """When the next part should begin."""
        return self.begins + Fraction(self.length, self.like.sample_rate)

    def goes_on(self, at: Fraction | None, frame: Any) -> bool:
        """Whether a frame continues the run."""
        alike = (frame.sample_rate, frame.format.name, frame.layout.name) == (
            self.like.sample_rate, self.like.format.name, self.like.layout.name,
        )  # fmt: skip
        return alike and (at is None or abs(at - self.ends) * 1000 <= JUMP_MS)

    def add(self, at: Fraction | None, frame: Any) -> None:
        """Put a frame at the end."""
        if at is not None:
            self.errors.append(at - self.ends)
        for part in self.mono.resample(frame):
            self.parts.append(part.to_ndarray()[0])
            self.length += part.samples

    def first(self) -> int:
        """Where it begins, in its own samples from the film's first frame: the mean of what the time stamps say."""
        begins = self.begins + sum(self.errors, Fraction(0)) / max(1, len(self.errors))
        return round(begins * int(self.like.sample_rate))


def _runs(frames: Iterable[tuple[Fraction | None, Any]]) -> Iterator[_Run]:
    run: _Run | None = None
    for at, frame in frames:
        if run is None or not run.goes_on(at, frame):
            if run is not None:
                yield run
            begins = at if at is not None else run.ends if run is not None else None
            if begins is None:
                continue  # nothing says where this sound lies
            run = _Run(frame, begins)
        run.add(at, frame)
    if run is not None:
        yield run


def _resampled(run: _Run, rate: int) -> tuple[int, Sound]:
    """A run at another rate, and the number of its first sample there, counted from the film's first frame.

    Silence is put before it, so that it begins where both rates have a sample: it comes out at the same samples from
    whatever window it is cut.
    """
    own = run.like.sample_rate
    first, step = run.first(), own // gcd(own, rate)
    samples = np.concatenate([np.zeros(first % step, np.int16), *run.parts])
    frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="s16", layout="mono")
    frame.sample_rate = own
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=rate)
    parts = [part.to_ndarray()[0] for given in (frame, None) for part in resampler.resample(given)]
    return (first - first % step) * rate // own, np.concatenate(parts)


def _lay(cut: Sound, samples: Sound, at: int) -> None:
    """Write samples into `cut` from index `at` on, which may lie outside of it."""
    start, end = max(0, at), min(len(cut), at + len(samples))
    if start < end:
        cut[start:end] = samples[start - at : end - at]
