"""Other files made from films: cut, shifted, damaged, with subtitles, or no films at all."""

from collections.abc import Mapping
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition


def remux(
    source: Path,
    target: Path,
    *,
    skip_ms: int = 0,
    until_ms: int | None = None,
    mux_options: Mapping[str, str] | None = None,
) -> Path:
    """Copy a film's packets into another file.

    What is skipped stays in the file where the container has edit lists (MP4): they tell players to leave it out.
    """
    with av.open(str(source)) as film, av.open(str(target), "w", container_options=dict(mux_options or {})) as copy:
        stream = film.streams.video[0]
        template = copy.add_stream_from_template(stream)
        skipped = round(skip_ms / 1000 / stream.time_base)
        for packet in film.demux(stream):
            if not packet.size or (until_ms is not None and packet.dts * stream.time_base * 1000 >= until_ms):
                continue
            packet.pts -= skipped
            packet.dts -= skipped
            packet.stream = template
            copy.mux(packet)
    return target


def damage(source: Path, target: Path, first_ms: int, last_ms: int) -> Path:
    """Copy a film and overwrite the packets shown from `first_ms` to `last_ms` with ones."""
    data = bytearray(source.read_bytes())
    with av.open(str(source)) as film:
        stream = film.streams.video[0]
        for packet in film.demux(stream):
            if packet.pts is not None and first_ms <= packet.pts * stream.time_base * 1000 <= last_ms:
                data[packet.pos : packet.pos + packet.size] = b"\xff" * packet.size
    target.write_bytes(data)
    return target


def write_sound(path: Path, cover: bool = False) -> Path:
    """A second of silence, with a picture of its cover if asked."""
    with av.open(str(path), "w", format="mp4") as container:
        sound = container.add_stream("aac", rate=16_000)
        picture = container.add_stream("png", rate=1) if cover else None
        if picture is not None:
            picture.width, picture.height, picture.pix_fmt = 64, 64, "rgb24"
            picture.disposition = Disposition.attached_pic
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 16_000, 0
        container.mux([*sound.encode(frame), *sound.encode(None)])
        if picture is not None:
            art = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            art.pts = 0
            container.mux([*picture.encode(art), *picture.encode(None)])
    return path


def add_subtitles(source: Path, subtitles: Path, target: Path) -> Path:
    """Copy a film into a container together with the lines of a subtitle file."""
    with av.open(str(source)) as film, av.open(str(subtitles)) as text, av.open(str(target), "w") as copy:
        tracks = [(each, copy.add_stream_from_template(each.streams[0])) for each in (film, text)]
        for container, track in tracks:
            for packet in container.demux():
                if packet.size:
                    packet.stream = track
                    copy.mux(packet)
    return target
