"""Sampling a film: for every time asked, the frame that is on screen then.

Decoding everything between two samples is most of an index's cost, so packets are read a little ahead of the
decoder, and those that no asked frame needs are left out: all before the last keyframe at or before the time, and
H.264 pictures that no other picture refers to. The packets' time stamps say beforehand which frame must come out.
Where another one does, the film is read again without leaving anything out, and stays so to the end of the call.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from loupe.media.film import Film, open_film, time_of
from loupe.media.opening import Source
from loupe.media.pictures import FrameConverter, Picture

SEEK_AFTER_MS = 10_000
"""A time further ahead than this is sought and not read up to: longer than the keyframe distance of most films."""
LOOK_BEHIND_MS = (0, 10_000, 60_000, 1 << 40)
"""Where to begin, before the time asked, when a frame did not come out; the last is the film's start."""
QUEUE_BYTES = 32 << 20
"""Packets that may wait for the decoder; what is beyond is decoded whether it is needed or not."""
SKIPS_EXACTLY = ("h264",)
"""Codecs whose pictures without references can be left out safely (HEVC's may be referred to by other layers)."""
KEPT_BEFORE = 3
"""Packets up to a time that are always decoded: a frame may come as two fields, or be one that is not shown."""
JUMP_AFTER = 8
"""Packets that must be saved to make starting anew at a keyframe worth its while."""


@dataclass(frozen=True)
class Sampled:
    """A frame of a film. The picture may be shared between samples: do not write to it."""

    ts_ms: int
    """The time that was asked for."""
    pts_ms: int
    """The frame's own time, rounded to milliseconds: never after `ts_ms`."""
    rgb: Picture


@dataclass
class SampleReport:
    """What one call of `sample_frames` met on its way; filled while it runs."""

    damaged_packets: int = 0
    """Packets that were needed and could not be decoded."""
    missing: int = 0
    """Times that got no frame: after the film's end, or where the frame is lost."""


def sample_frames(
    source: Source,
    times_ms: Sequence[int],
    *,
    long_side: int = 512,
    decoder: str = "pyav",
    threads: int = 1,
    report: SampleReport | None = None,
) -> Iterator[Sampled]:
    """The frames on screen at ascending times, in milliseconds from the film's first frame.

    A frame is on screen from its own time until the next frame's, the last one for its own duration. Where that
    frame is lost, or the film is over, the time yields nothing; an older frame never stands in for it. Pictures are
    upright, have square pixels and no side longer than `long_side`. Raises MediaError.
    """
    if any(later < earlier for earlier, later in pairwise(times_ms)) or (times_ms and times_ms[0] < 0):
        raise ValueError("times must be ascending and not negative")
    report = report or SampleReport()
    if decoder == "pyav":
        return _with_pyav(source, times_ms, long_side, threads, report)
    if decoder == "decord":
        from loupe.media.with_decord import sample_with_decord

        return sample_with_decord(source, times_ms, long_side, threads, report)
    raise ValueError(f"no decoder is called {decoder!r}: pyav, decord")


def _with_pyav(
    source: Source, times_ms: Sequence[int], long_side: int, threads: int, report: SampleReport
) -> Iterator[Sampled]:
    with open_film(source, threads) as film:
        reader = _Reader(film)
        convert = FrameConverter(film.stream.sample_aspect_ratio, long_side)
        shown, picture = None, None
        for ts_ms in times_ms:
            frame = reader.frame_at(ts_ms)
            report.damaged_packets = len(film.decoder.damaged)
            if frame is None:
                report.missing += 1
                continue
            if frame is not shown or picture is None:
                shown, picture = frame, convert(frame)
            yield Sampled(ts_ms, film.ms(frame.pts), picture)


class _Reader:
    """Goes through a film once, from one asked time to the next."""

    def __init__(self, film: Film) -> None:
        self.film = film
        self.decoder = film.decoder
        self.packets = film.packets
        self.queue: deque[Any] = deque()
        """Packets that were read and not decoded yet, in file order."""
        self.queued_bytes = 0
        self.begun_pts = film.first.pts
        """Time stamp of the packet where decoding began, or began anew."""
        self.held: Any = None
        """The latest frame that came out and is not after the last time asked."""
        self.wanted: int | None = None
        """Time stamp of the packet that holds the frame on screen at the last time asked."""
        self.reached_ms = 0
        """Packets that are still to be read are not shown before this."""
        self.read_all = False
        self.seek_after_ms = SEEK_AFTER_MS
        self.careful = False
        """Nothing is left out any more: it changed what came out."""
        self.skips = film.stream.codec_context.name in SKIPS_EXACTLY
        self.hopeless = False
        """Beginning earlier has not brought back a frame that did not come out: it is not tried again."""

    def frame_at(self, ts_ms: int) -> Any:
        """The frame on screen at a time that is not before the last one asked; None where there is none."""
        if not self.read_all and ts_ms - self.reached_ms > self.seek_after_ms:
            self._seek(ts_ms)
        self._advance(ts_ms)
        if self._lost(ts_ms) and not self.hopeless:
            self.careful = True
            for margin in LOOK_BEHIND_MS:
                self._begin_before(max(0, ts_ms - margin))
                self._advance(ts_ms)
                if not self._lost(ts_ms):
                    break
            else:
                self.hopeless = True
        return None if self._damaged(ts_ms) or self._over(ts_ms) else self.held

    def _seek(self, ts_ms: int) -> None:
        """Skip to a time far ahead; where keyframes are rarer than that, seek less from now on."""
        before = self.reached_ms
        self._begin_before(ts_ms)
        if self.reached_ms < before:
            self.seek_after_ms = 2 * (ts_ms - self.reached_ms)

    def _begin_before(self, ts_ms: int) -> None:
        """Go on from the keyframe before a time."""
        self.packets = self.film.packets_from(ts_ms)
        self.queue.clear()
        self.queued_bytes = 0
        self.held, self.wanted, self.read_all, self.reached_ms = None, None, False, 0
        self._read_packet()
        self.begun_pts = min(map(time_of, self.queue), default=self.begun_pts)

    def _read_packet(self) -> None:
        packet = next(self.packets, None)
        if packet is None:
            self.read_all = True
            return
        self.queue.append(packet)
        self.queued_bytes += packet.size
        if packet.dts is not None:
            self.reached_ms = max(self.reached_ms, self.film.ms(packet.dts))
        elif packet.is_keyframe:
            self.reached_ms = max(self.reached_ms, self.film.ms(time_of(packet)))

    def _take_packet(self) -> Any:
        packet = self.queue.popleft()
        self.queued_bytes -= packet.size
        return packet

    def _advance(self, ts_ms: int) -> None:
        """Read and decode until the frame on screen at a time is held, or cannot come any more."""
        while not self.read_all and self.reached_ms <= ts_ms:
            self._read_packet()
            if self.queued_bytes > QUEUE_BYTES and not self.careful:
                self._jump(ts_ms)
            while self.queued_bytes > QUEUE_BYTES:
                self._decode_next(needed_from=None)
                self._settled(ts_ms)
        times = sorted(time_of(p) for p in self.queue if not p.is_discard and self.film.ms(time_of(p)) <= ts_ms)
        self.wanted = max([*times[-1:], *self._decoded_times(ts_ms)], default=None)
        needed_from = None
        if not self.careful:
            self._jump(ts_ms)
            needed_from = times[-KEPT_BEFORE] if len(times) > KEPT_BEFORE else None
        while not self._settled(ts_ms):
            if not self.queue:
                self._read_packet()
            if not self.queue:
                self.decoder.feed(None)
                self._settled(ts_ms)
                return
            self._decode_next(needed_from)

    def _decode_next(self, needed_from: int | None) -> None:
        """Decode the next packet, unless it is shown before `needed_from` and no other refers to it."""
        packet = self._take_packet()
        leave_out = needed_from is not None and time_of(packet) < needed_from and self.skips
        self.decoder.context.skip_frame = "NONREF" if leave_out else "DEFAULT"
        self.decoder.feed(packet)

    def _decoded_times(self, ts_ms: int) -> list[int]:
        """Times up to `ts_ms` of the frames that are held, that came out, and that are inside the decoder."""
        times = [*self.decoder.in_flight, *(frame.pts for frame in self.decoder.frames)]
        if self.held is not None:
            times.append(self.held.pts)
        return [pts for pts in times if self.film.ms(pts) <= ts_ms]

    def _jump(self, ts_ms: int) -> None:
        """Drop what stands before the last keyframe that is not after a time."""
        keyframes = [
            index
            for index, packet in enumerate(self.queue)
            if packet.is_keyframe and not packet.is_discard and self.film.ms(time_of(packet)) <= ts_ms
        ]
        if keyframes and keyframes[-1] >= JUMP_AFTER:
            for _ in range(keyframes[-1]):
                self._take_packet()
            self.decoder.flush()
            self.held = None
            self.begun_pts = time_of(self.queue[0])

    def _settled(self, ts_ms: int) -> bool:
        """Take the frames that are not after a time; true once the one on screen then is known."""
        frames = self.decoder.frames
        while frames and self.film.ms(frames[0].pts) <= ts_ms:
            self.held = frames.popleft()
        return bool(frames) or (self.held is not None and self.held.pts == self.wanted)

    def _damaged(self, ts_ms: int) -> bool:
        """Whether the frame on screen at a time is one that could not be decoded."""
        since = self.held.pts if self.held is not None else self.begun_pts - 1
        return any(pts > since and self.film.ms(pts) <= ts_ms for pts in self.decoder.damaged)

    def _lost(self, ts_ms: int) -> bool:
        """Whether a frame that is not damaged did not come out."""
        if self.wanted is None or self._damaged(ts_ms):
            return False
        return self.held is None or not (self.careful or self.held.pts == self.wanted)

    def _over(self, ts_ms: int) -> bool:
        """Whether the film's last frame has been on screen for its whole duration."""
        if self.held is None or not self.read_all or self.queue or self.decoder.frames or self.decoder.in_flight:
            return False
        return ts_ms >= self.film.ms(self.held.pts + self.film.duration_of(self.held))
