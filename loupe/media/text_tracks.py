"""Subtitles inside a film: its text tracks. Those that are pictures are left out."""

from loupe.media.film import open_film, time_of
from loupe.media.opening import Source
from loupe.subtitles import Line, plain

TEXT_CODECS = ("mov_text", "subrip", "srt", "ass", "ssa", "webvtt", "text")
ASS_FIELDS_BEFORE_TEXT = 8
"""Of an event inside a container: ReadOrder, Layer, Style, Name, three margins, Effect."""


def embedded_subtitles(source: Source) -> list[Line]:
    """Lines of every text track, in order of time; times count from the first frame. Raises MediaError."""
    with open_film(source) as film:
        tracks = [s for s in film.container.streams.subtitles if s.codec_context and s.codec_context.name in TEXT_CODECS]
        if not tracks:
            return []
        origin = film.first.pts * film.stream.time_base
        film.container.seek(0)
        lines = []
        for packet in film.container.demux(tracks):
            if not packet.size or time_of(packet) is None:
                continue
            start = round((time_of(packet) * packet.time_base - origin) * 1000)
            end = start + round((packet.duration or 0) * packet.time_base * 1000)
            text = _text(bytes(packet), packet.stream.codec_context.name)
            if text and end > max(start, 0):
                lines.append(Line(max(start, 0), end, text, packet.stream.index))
        return sorted(lines, key=lambda line: (line.start_ms, line.end_ms))


def _text(payload: bytes, codec: str) -> str:
    if codec == "mov_text":
        payload = payload[2 : 2 + int.from_bytes(payload[:2], "big")]
    text = payload.decode("utf-8", errors="replace")
    if codec in ("ass", "ssa"):
        text = text.split(",", ASS_FIELDS_BEFORE_TEXT)[-1]
    return plain(text)
