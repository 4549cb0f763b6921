"""A film that is open for reading: its packets, its decoder, and time counted from its first frame."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import av.error
from av.stream import Discard

from loupe.media.opening import MAX_PIXELS, MediaError, Source, film_stream, open_container

MAX_LOST_PACKETS = 1000
"""So many packets without a first frame, and the film counts as damaged (about 40 seconds)."""
SEEK_MARGINS_MS = (0, 2_000, 10_000, 60_000)
"""How much earlier to aim, one after the other, while seeks land too late (MPEG-TS, sparse indexes)."""
LAST_PTS = 1 << 62
"""No stream is that long; broken headers say so."""


class Decoder:
    """The decoder of one stream, and what is inside it."""

    def __init__(self, stream: Any, threads: int) -> None:
        self.context = stream.codec_context
        self.context.thread_count = threads
        self.context.thread_type = "NONE" if threads == 1 else "AUTO"
        self.context.options = {"max_pixels": str(MAX_PIXELS)}
        self.frames: deque[Any] = deque()
        """Frames that came out and were not taken yet, in order of time."""
        self.in_flight: set[int] = set()
        """Times of packets that went in and whose frames did not come out yet."""
        self.damaged: set[int] = set()
        """Times of packets that could not be decoded."""

    def feed(self, packet: Any) -> None:
        """Decode a packet; None at the end of the stream, for the frames that are still inside."""
        try:
            frames = self.context.decode(packet)
        except EOFError:
            return
        except av.error.FFmpegError:
            if packet is not None:
                self.damaged.add(time_of(packet))
            return
        if packet is not None and not packet.is_discard:
            self.in_flight.add(time_of(packet))
        for frame in frames:
            if frame.pts is not None:
                self.in_flight = {pts for pts in self.in_flight if pts > frame.pts}
                self.frames.append(frame)

    def flush(self) -> None:
        """Forget what is inside, so that decoding can start at another keyframe."""
        self.context.flush_buffers()
        self.frames.clear()
        self.in_flight.clear()


class Film:
    """One open film. Its times (`pts`) are ticks of the stream; `ms` counts them from the first frame."""

    def __init__(self, container: Any, stream: Any, threads: int) -> None:
        self.container = container
        self.stream = stream
        self.decoder = Decoder(stream, threads)
        self.packets = self._read(self.stream)
        """The packets that follow those which went into the decoder to find the first frame."""
        self._ticks: int = stream.time_base.denominator
        self._ms_in_ticks: int = 1000 * stream.time_base.numerator
        self._first_dts: int | None = None
        self.begins_later = False
        """An edit list leaves out frames at the beginning."""
        self.first = self._first_frame()

    def ms(self, pts: int) -> int:
        """Milliseconds from the first frame, rounded half up: the same number in every container's time base."""
        since: int = pts - self.first.pts
        return (2 * since * self._ms_in_ticks + self._ticks) // (2 * self._ticks)

    def duration_of(self, frame: Any) -> int:
        """Ticks that a frame is on screen; by the average rate where the container does not say."""
        return int(frame.duration or 1 / ((self.stream.average_rate or 1) * self.stream.time_base))

    def packets_from(self, ms: int) -> Iterator[Any]:
        """The packets in file order from a keyframe at or before `ms` on, or from the start where there is none.

        The decoder is flushed.
        """
        self.decoder.flush()
        for margin in SEEK_MARGINS_MS:
            pts = min(self.first.pts + (ms - margin) * self._ticks // self._ms_in_ticks, LAST_PTS)
            if pts <= self.first.pts or not self._seek(pts):
                break
            packets = self._read(self.stream)
            keyframe = next((packet for packet in packets if packet.is_keyframe), None)
            if keyframe is not None and self.ms(time_of(keyframe)) <= ms:
                yield keyframe
                yield from packets
                return
        self._rewind()
        yield from self._read(self.stream)

    def packets_of(self, streams: list[Any], from_ms: int = 0) -> Iterator[Any]:
        """The packets of other streams from about a time on, or from the start; nothing else can be read after that."""
        self.stream.discard = Discard.default  # MPEG-TS finds no time in a stream that is left out
        pts = min(self.first.pts + from_ms * self._ticks // self._ms_in_ticks, LAST_PTS)
        if pts <= self.first.pts or not self._seek(pts):
            self._rewind()
        for stream in self.container.streams:
            stream.discard = Discard.default if stream in streams else Discard.all
        return self._read(*streams)

    def _rewind(self) -> None:
        self._seek(self.first.pts if self._first_dts is None else min(self.first.pts, self._first_dts))

    def _seek(self, pts: int) -> bool:
        try:
            self.container.seek(pts, stream=self.stream)
        except av.error.FFmpegError:
            return False
        return True

    def _read(self, *streams: Any) -> Iterator[Any]:
        """Packets from where the container stands; what cannot be parsed is passed over."""
        for _ in range(MAX_LOST_PACKETS):
            try:
                for packet in self.container.demux(*streams):
                    if packet.size and time_of(packet) is not None:
                        yield packet
                return
            except (av.error.FFmpegError, IndexError):  # IndexError: PyAV, where damage makes up new streams
                continue

    def _first_frame(self) -> Any:
        """The first frame that can be decoded; it stays in the decoder's `frames`."""
        decoder, begun = self.decoder, False
        for count, packet in enumerate(self.packets):
            if self._first_dts is None:
                self._first_dts = packet.dts
                self.begins_later = packet.is_discard
            begun = begun or packet.is_keyframe
            decoder.feed(packet)
            if not begun:
                decoder.damaged.clear()  # a recording that begins between keyframes is not damaged
            if decoder.frames:
                return decoder.frames[0]
            if count == MAX_LOST_PACKETS:
                break
        decoder.feed(None)
        if not decoder.frames:
            raise MediaError("damaged", "No picture of the film can be decoded.")
        return decoder.frames[0]


@contextmanager
def open_film(source: Source, threads: int = 1) -> Iterator[Film]:
    """Open a film and decode its first frame. Raises MediaError where there is none."""
    with open_container(source) as container:
        yield Film(container, film_stream(container), threads)


def time_of(packet: Any) -> Any:
    """A packet's presentation time, in ticks; its decoding time where the container has no other; else None."""
    return packet.dts if packet.pts is None else packet.pts
