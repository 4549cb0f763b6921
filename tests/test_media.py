"""Every frame asked for is the frame returned, whatever the container does to its time stamps."""

from pathlib import Path

import av
import pytest

from loupe.media.digest import packets_digest
from loupe.media.opening import MediaError
from loupe.media.probing import probe
from loupe.media.sampling import SampleReport, sample_frames
from loupe.media.text_tracks import embedded_subtitles
from tests.films.barcoded import barcode, read_barcode, write_film

FPS, FRAMES = 25, 150
H264 = {"g": "100", "bf": "3", "preset": "veryfast"}
TIMES = list(range(0, FRAMES * 1000 // FPS, 200))
CLIPS = Path(__file__).parent.parent.parent / "shared" / "media"


def film(path: Path, kind: str) -> Path:
    """Six seconds of numbered frames in one of the forms that time stamps come in."""
    pictures = [barcode(number) for number in range(FRAMES)]
    match kind:
        case "h264":
            return write_film(path / "long_gop.mp4", pictures, options=H264)
        case "hevc":
            return write_film(path / "hevc.mp4", pictures, codec="libx265", options={"x265-params": "log-level=none"})
        case "vp9":
            return write_film(path / "vp9.webm", pictures, codec="libvpx-vp9", options={"deadline": "realtime"})
        case "ts":
            return write_film(path / "offset.ts", pictures, options=H264)
        case "rotated":
            return write_film(path / "rotated.mp4", pictures, options=H264, rotation=90)
        case _:
            raise ValueError(kind)


def numbers(path: Path, times: list[int], decoder: str = "pyav") -> list[int]:
    return [read_barcode(frame.rgb) for frame in sample_frames(path, times, decoder=decoder)]


@pytest.mark.parametrize("kind", ["h264", "hevc", "vp9", "ts", "rotated"])
def test_the_frame_on_screen_at_each_time(tmp_path: Path, kind: str) -> None:
    path = film(tmp_path, kind)
    wanted = [time * FPS // 1000 for time in TIMES]
    assert numbers(path, TIMES) == wanted
    assert numbers(path, TIMES[-3:]) == wanted[-3:]  # from the middle of a long group of pictures
    assert abs(probe(path).duration_ms - FRAMES * 1000 // FPS) <= 80


def test_a_variable_rate_keeps_a_frame_on_screen_until_the_next(tmp_path: Path) -> None:
    times = [0, 40, 500, 540, 2000, 2040, 3500]
    path = write_film(tmp_path / "vfr.mkv", [barcode(n) for n in range(len(times))], times_ms=times, options=H264)
    assert numbers(path, [0, 499, 500, 1999, 2000, 3499, 3500]) == [0, 1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("kind", ["h264", "vp9"])
def test_decord_where_it_is_right(tmp_path: Path, kind: str) -> None:
    path = film(tmp_path, kind)
    assert numbers(path, TIMES, "decord") == numbers(path, TIMES)


@pytest.mark.parametrize("kind", ["hevc", "ts"])
def test_decord_is_refused_where_it_is_wrong(tmp_path: Path, kind: str) -> None:
    with pytest.raises(MediaError) as refused:
        numbers(film(tmp_path, kind), TIMES, "decord")
    assert refused.value.kind == "unsupported"


def test_the_same_beginning_has_the_same_digests(tmp_path: Path) -> None:
    whole = film(tmp_path, "h264")
    cut = tmp_path / "cut.mkv"
    with av.open(str(whole)) as source, av.open(str(cut), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None and packet.dts * packet.time_base < 4.5:
                packet.stream = stream
                target.mux(packet)
    assert packets_digest(cut, 0, 2000) == packets_digest(whole, 0, 2000)
    assert packets_digest(cut, 2000, 4000) == packets_digest(whole, 2000, 4000)
    assert packets_digest(cut, 4000, 6000) != packets_digest(whole, 4000, 6000)
    assert packets_digest(whole, 0, 2000) != packets_digest(whole, 2000, 4000)


def poisoned(path: Path, kind: str) -> Path:
    other = path / "other.mp4"
    write_film(other, [barcode(0)] * 5)
    contents = {
        "empty": b"",
        "random": bytes(range(256)) * 64,
        "text": b"This is no film.\n" * 50,
        "m3u8": f"#EXTM3U\n#EXTINF:1,\n{other}\n#EXT-X-ENDLIST\n".encode(),
        "concat": f"ffconcat version 1.0\nfile '{other}'\n".encode(),
        "truncated": other.read_bytes()[: other.stat().st_size // 3],
    }
    victim = path / f"{kind}.mp4"
    victim.write_bytes(contents[kind])
    return victim


@pytest.mark.parametrize("kind", ["empty", "random", "text", "m3u8", "concat", "truncated"])
def test_what_is_no_film_is_refused_with_a_sentence(tmp_path: Path, kind: str) -> None:
    with pytest.raises(MediaError) as refused:
        probe(poisoned(tmp_path, kind))
    assert refused.value.kind
    assert str(refused.value).endswith(".")


def test_after_damage_no_old_frame_stands_in(tmp_path: Path) -> None:
    path = write_film(tmp_path / "whole.ts", [barcode(n) for n in range(FRAMES)], options=H264 | {"g": "25"})
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 4000] = b"\x00" * 4000
    path.write_bytes(data)
    report = SampleReport()
    seen = [(frame.ts_ms, read_barcode(frame.rgb)) for frame in sample_frames(path, TIMES, report=report)]
    assert all(number == ts_ms * FPS // 1000 for ts_ms, number in seen[:8])
    assert len(seen) + report.missing == len(TIMES)


@pytest.mark.parametrize("name", ["nasa_13013.mp4", "flipping_a_pancake.mkv", "rotated_90.mov", "car-detection.mp4"])
def test_real_clips(name: str) -> None:
    clip = CLIPS / name
    if not clip.is_file():
        pytest.skip(f"{clip.name} is not here")
    info = probe(clip)
    times = list(range(0, info.duration_ms, 1000))
    frames = list(sample_frames(clip, times, long_side=256))
    assert [frame.ts_ms for frame in frames] == times
    assert all(0 <= frame.ts_ms - frame.pts_ms <= 1000 for frame in frames)
    assert {max(frame.rgb.shape[:2]) for frame in frames} == {min(256, max(info.width, info.height))}
    assert all((frame.rgb.shape[0] > frame.rgb.shape[1]) == (info.height > info.width) for frame in frames)
    lines = embedded_subtitles(clip)
    assert all(0 <= line.start_ms < line.end_ms and line.text.strip() for line in lines)
    assert bool(lines) == (name == "nasa_13013.mp4")
