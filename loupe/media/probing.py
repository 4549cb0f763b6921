"""What a film is, told before anything of it is sampled."""

from dataclasses import dataclass

from loupe.media.film import Film, open_film, time_of
from loupe.media.opening import Source
from loupe.media.pictures import square_size

LAST_STRETCH_MS = 10_000
"""Of a film whose stream does not say how long it is, this much is read to find its end."""
DOUBTFUL_MS = 24 * 3_600_000
"""A film that says it is longer than this is measured: broken headers say anything."""


@dataclass(frozen=True)
class SubtitleTrack:
    """A subtitle stream of a container."""

    index: int
    language: str | None
    codec: str


@dataclass(frozen=True)
class VideoInfo:
    """A film's facts, those of its best video stream."""

    duration_ms: int
    """From the first frame that can be decoded to the end of the last one, as the container tells."""
    width: int
    height: int
    """Of the upright picture, in square pixels."""
    fps: float
    """Average; 0 where the container does not say."""
    codec: str
    rotation: int
    """Degrees, counter-clockwise, by which stored pictures are turned to stand upright: 0, 90, 180, 270."""
    has_audio: bool
    subtitle_tracks: tuple[SubtitleTrack, ...]


def probe(source: Source) -> VideoInfo:
    """Look at a film's headers, its first frame and, if need be, its last packets. Raises MediaError."""
    with open_film(source) as film:
        stream, container = film.stream, film.container
        width, height = square_size(film.first.width, film.first.height, stream.sample_aspect_ratio)
        if round(film.first.rotation / 90) % 2:
            width, height = height, width
        return VideoInfo(
            duration_ms=_duration_ms(film),
            width=width,
            height=height,
            fps=float(stream.average_rate or 0),
            codec=stream.codec_context.codec.canonical_name,
            rotation=round(film.first.rotation / 90) % 4 * 90,
            has_audio=bool(container.streams.audio),
            subtitle_tracks=tuple(
                SubtitleTrack(s.index, s.language, s.codec_context.name if s.codec_context else "unknown")
                for s in container.streams.subtitles
            ),
        )


def _duration_ms(film: Film) -> int:
    stream, container = film.stream, film.container
    if stream.duration:
        told_ms = film.ms((stream.start_time or 0) + stream.duration)
        if 0 < told_ms <= DOUBTFUL_MS:
            return told_ms
    container_end_ms = ((container.start_time or 0) + (container.duration or 0)) // 1000 + film.ms(0)
    frame = film.duration_of(film.first)
    ends = [
        time_of(packet) + (packet.duration or frame)
        for packet in film.packets_from(max(0, container_end_ms - LAST_STRETCH_MS))
    ]
    return film.ms(max(ends, default=film.first.pts + frame))
