"""Opening a container: what is let in, and which of its streams is the film."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import av
import av.error
from av.stream import Discard, Disposition

Source = str | Path | BinaryIO
"""A local path, or a seekable binary file object."""

FILM_FORMATS = ("mov", "matroska", "avi", "mpegts", "mpeg", "flv", "asf", "ogg", "mxf", "ivf", "gif")
"""Plain containers. None of their demuxers opens another file (mov's external references are off by default)."""
SOUND_FORMATS = ("mp3", "wav", "flac", "aac")
"""Let in only so that a file with sound alone is called that."""
PLAYLIST_STARTS = (b"#extm3u", b"ffconcat", b"[playlist]", b"<asx", b"<smil", b"<mpd")
OPTIONS = {"format_whitelist": ",".join(FILM_FORMATS + SOUND_FORMATS), "protocol_whitelist": "none"}
"""FFmpeg is given open files only, and may open no other."""
SMALLEST_FILM = 128
"""Bytes. Some demuxers seek to this distance from the end while they guess what a file is."""
MAX_PIXELS = 8192 * 8192
"""Of one picture: twice 8K."""


class MediaError(Exception):
    """A file that cannot be used as a film; the message is one sentence for its owner.

    `kind` is one of empty, not_a_video, no_video_stream, no_audio_stream, unsupported, playlist, truncated, too_large,
    damaged.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind

    def __reduce__(self) -> tuple[type["MediaError"], tuple[str, str]]:
        return MediaError, (self.kind, str(self))  # crosses processes


@contextmanager
def open_container(source: Source) -> Iterator[Any]:
    """The container of a film (an `av` input container).

    Raises MediaError where the file is no plain container, and what reading it raises (OSError for a path).
    """
    with ExitStack() as opened:
        file = opened.enter_context(open(source, "rb")) if isinstance(source, str | Path) else source
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        head = file.read(1024)
        file.seek(0)
        if size == 0:
            raise MediaError("empty", "The file is empty.")
        if size < SMALLEST_FILM:
            raise _refusal(head)
        try:
            container = opened.enter_context(av.open(file, container_options=OPTIONS, metadata_errors="replace"))
        except av.error.FFmpegError as error:
            raise _refusal(head) from error
        yield container


def film_stream(container: Any) -> Any:
    """The best video stream that is no cover art; packets of the others are not read any more."""
    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        raise MediaError("no_video_stream", "The file has no video stream.")
    best = container.streams.best("video")
    stream = next((s for s in streams if best is not None and s.index == best.index), streams[0])
    if stream.codec_context is None:
        raise MediaError("unsupported", "The film is in a codec that cannot be decoded here.")
    if stream.width * stream.height > MAX_PIXELS:
        raise MediaError("too_large", f"The pictures of the film are too large ({stream.width} x {stream.height}).")
    for other in container.streams:
        if other.index != stream.index:
            other.discard = Discard.all
    return stream


def _refusal(head: bytes) -> MediaError:
    """Why a file could not be opened, judged by its first bytes."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith(PLAYLIST_STARTS) or (text.startswith(b"<?xml") and b"<mpd" in text):
        return MediaError("playlist", "The file is a playlist that names other files, not a video.")
    if head[4:8] == b"ftyp":
        return MediaError("truncated", "The file is cut off: the index of its frames is missing.")
    return MediaError("not_a_video", "The file is not a video in a container that is known here.")
