"""Subtitles that a film brings with it, where they are text."""

from collections.abc import Iterator
from typing import Any

import av.error

from loupe.media.film import Film, open_film
from loupe.media.opening import Source
from loupe.subtitles import Line, plain_text

TEXT_CODECS = ("mov_text", "subrip", "srt", "ass", "ssa", "webvtt", "text")
"""As the decoders are called; bitmap subtitles are none of them."""
UNKNOWN_LENGTH_MS = 2_000
"""A line is taken to last so long where the container does not say."""


def embedded_subtitles(source: Source) -> list[Line]:
    """Lines of every text track, by track and time; times count from the film's first frame. Raises MediaError."""
    with open_film(source) as film:
        streams = film.container.streams.subtitles
        tracks = [s for s in streams if s.codec_context is not None and s.codec_context.name in TEXT_CODECS]
        lines = list(_lines(film, tracks)) if tracks else []
    return sorted(lines, key=lambda line: (line.track or 0, line.start_ms, line.end_ms))


def _lines(film: Film, tracks: list[Any]) -> Iterator[Line]:
    for packet in film.packets_of(tracks):
        start_ms = round(1000 * (packet.pts * packet.time_base - film.first.pts * film.stream.time_base))
        length_ms = round(1000 * packet.duration * packet.time_base) if packet.duration else UNKNOWN_LENGTH_MS
        try:
            rects = packet.decode()
        except av.error.FFmpegError:
            continue
        text = plain_text("\n".join(_words(rect) for rect in rects))
        if text:
            yield Line(max(0, start_ms), max(0, start_ms) + length_ms, text, packet.stream.index)


def _words(rect: Any) -> str:
    """What a decoded subtitle says; the decoders give all text formats as ASS."""
    ass: str = rect.dialogue.decode("utf-8", errors="replace")
    return ass.replace("\\N", "\n").replace("\\n", "\n").replace("\\h", " ")
