"""What a film is, told before anything of it is sampled."""

from dataclasses import dataclass

from loupe.media.film import Film, open_film, time_of
from loupe.media.opening import Source
from loupe.media.pictures import square_size

LAST_STRETCH_MS = 10_000
"""Of a film whose stream does not say how long it is, this much is read to find its end."""


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
    stream = film.stream
    if stream.duration:
        return film.ms((stream.start_time or 0) + stream.duration)
    container_end_ms = ((film.container.start_time or 0) + (film.container.duration or 0)) // 1000
    start_ms = -film.ms(0)
    ends = [
        time_of(packet) + (packet.duration or film.duration_of(film.first))
        for packet in film.packets_from(max(0, container_end_ms - start_ms - LAST_STRETCH_MS))
    ]
    return film.ms(max(ends, default=film.first.pts + film.duration_of(film.first)))
