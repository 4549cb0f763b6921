"""The decoder code, on films whose frames carry their number, on broken files and on real clips."""

import ctypes
import io
import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from loupe.media import (
    MediaError,
    SampleReport,
    decode_jpeg,
    embedded_subtitles,
    encode_jpeg,
    packets_digest,
    pictures,
    probe,
    sample_frames,
)
from loupe.subtitles import Line
from tests.films.barcoded import HEIGHT, WIDTH, Unreadable, barcode, read_barcode, write_film
from tests.films.containers import add_subtitles, damage, remux, write_sound

CLIPS = Path(__file__).parents[2] / "shared" / "media"
COUNT, FPS = 300, 25
LONG_GOP = {"g": "250", "bf": "3", "preset": "veryfast"}
X265 = "keyint=60:bframes=4:log-level=none"
SKIPPED = 83


def uneven_times() -> list[int]:
    """Times of frames that come now quickly, now after half a second."""
    draw = random.Random(1)
    times = [0]
    while len(times) < COUNT:
        times.append(times[-1] + draw.choice([20, 33, 40, 120, 500]))
    return times


def numbers(count: int = COUNT) -> Iterator[np.ndarray]:
    return map(barcode, range(count))


@dataclass(frozen=True)
class Case:
    """How a film is made, and when its frames are shown if not at an even rate."""

    name: str
    make: Callable[[Path], Path]
    times_ms: tuple[int, ...] = tuple(1000 * n // FPS for n in range(COUNT))
    first_number: int = 0
    decord: bool = False
    """decord gives the right frames."""

    @property
    def duration_ms(self) -> int:
        return self.times_ms[-1] + (1 if len(set(np.diff(self.times_ms))) > 1 else 1000 // FPS)

    def shown(self, ts_ms: int) -> tuple[int, int] | None:
        """Number and time of the frame on screen."""
        seen = [(self.first_number + n, t) for n, t in enumerate(self.times_ms) if t <= ts_ms]
        return seen[-1] if ts_ms < self.duration_ms else None


def film(name: str, *, decord: bool = False, **how) -> Case:
    how = {"options": LONG_GOP} | how
    times = {"times_ms": tuple(how["times_ms"])} if "times_ms" in how else {}
    return Case(name, lambda path: write_film(path, numbers(), **how), decord=decord, **times)


def h264(path: Path) -> Path:
    return write_film(path, numbers(), options=LONG_GOP)


def skip_frames(path: Path) -> Path:
    """An edit list leaves out frames between two keyframes."""
    return remux(h264(path.with_suffix(".whole.mp4")), path, skip_ms=1000 * SKIPPED // FPS)


def begin_in_the_middle(path: Path) -> Path:
    """A broadcast that was switched on between two keyframes: its frames begin with the next one, 60."""
    whole = write_film(
        path.with_suffix(".whole.ts"), [barcode(n) for n in range(COUNT)], options=LONG_GOP | {"g": "60"}
    )
    data = whole.read_bytes()
    with av.open(str(whole)) as container:
        position = next(p.pos for p in container.demux(video=0) if p.pts == p.stream.start_time + 20 * 3600)
    path.write_bytes(data[position:])
    return path


CASES = [
    film("h264.mp4", decord=True),
    film("h264.mkv", decord=True),
    film("faststart.mov", decord=True, mux_options={"movflags": "+faststart"}),
    film("fragmented.mp4", decord=True, mux_options={"movflags": "frag_keyframe+empty_moov"}),
    film("short_gop.mp4", decord=True, options={"g": "12", "bf": "2"}),
    film("uneven.mp4", decord=True, times_ms=uneven_times()),
    film("uneven.mkv", decord=True, times_ms=uneven_times()),
    film("turned_90.mp4", decord=True, rotation=90),
    film("turned_minus_90.mp4", decord=True, rotation=-90),
    film("upside_down.mp4", decord=True, rotation=180),
    film("ten_bits.mp4", decord=True, pix_fmt="yuv420p10le"),
    film("vp9.webm", decord=True, codec="libvpx-vp9", options={"deadline": "realtime", "cpu-used": "8", "g": "60"}),
    film("open_gop.mp4", options={"g": "50", "bf": "3", "x264-params": "open-gop=1"}),
    film("intra_refresh.mp4", options={"g": "50", "bf": "0", "x264-params": "intra-refresh=1"}),
    film("intra_refresh.ts", options={"g": "50", "bf": "0", "x264-params": "intra-refresh=1"}),
    film("hevc.mp4", codec="libx265", options={"preset": "ultrafast", "x265-params": X265}),
    film("hevc.ts", codec="libx265", options={"preset": "ultrafast", "x265-params": X265}),
    film("late_start.ts", options=LONG_GOP | {"g": "60"}, mux_options={"output_ts_offset": "7.3"}),
    film("clock_runs_over.ts", options=LONG_GOP | {"g": "60"}, mux_options={"output_ts_offset": "95440"}),
    film("mpeg4.avi", codec="mpeg4", options={"g": "60", "bf": "2"}),
    film("mpeg2.mpg", codec="mpeg2video", options={"g": "15", "bf": "2"}),
    Case("edit_list.mp4", skip_frames, tuple(40 * n for n in range(COUNT - SKIPPED)), first_number=SKIPPED),
    Case("cut.ts", begin_in_the_middle, tuple(40 * n for n in range(COUNT - 60)), first_number=60),
]
PATTERNS = {
    "every second": list(range(0, 14_000, 1_000)),
    "every frame and more": [*range(0, 2_000, 20), *range(2_000, 12_100, 40)],
    "odd times": list(range(137, 13_000, 333)),
    "far apart": [100, 11_000, 11_500],
    "one late": [9_000],
    "twice the same": [40, 40, 41, 500, 500],
}


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Case], Path]:
    """Makes each film once."""
    folder = tmp_path_factory.mktemp("films")
    made: dict[str, Path] = {}

    def get(case: Case) -> Path:
        if case.name not in made:
            made[case.name] = case.make(folder / case.name)
        return made[case.name]

    return get


def case(name: str) -> Case:
    return next(each for each in CASES if each.name == name)


@pytest.fixture
def plain(films) -> Path:
    return films(case("h264.mp4"))


@pytest.mark.parametrize("each", CASES, ids=lambda each: each.name)
def test_every_time_gets_the_frame_on_screen(each: Case, films):
    path = films(each)
    for name, times in PATTERNS.items():
        report = SampleReport()
        seen = {s.ts_ms: (read_barcode(s.rgb), s.pts_ms) for s in sample_frames(path, times, report=report)}
        assert seen == {ts_ms: each.shown(ts_ms) for ts_ms in times if each.shown(ts_ms)}, name
        assert report == SampleReport(missing=sum(each.shown(ts_ms) is None for ts_ms in times)), name


@pytest.mark.parametrize("each", CASES, ids=lambda each: each.name)
def test_probe_tells_the_length_and_the_upright_size(each: Case, films):
    info = probe(films(each))
    assert info.duration_ms == pytest.approx(each.duration_ms, abs=1000 // FPS)
    assert (info.width, info.height) == (WIDTH, HEIGHT)
    assert (info.has_audio, info.subtitle_tracks) == (False, ())


@pytest.mark.parametrize("each", [each for each in CASES if each.decord], ids=lambda each: each.name)
def test_decord_gives_the_same_frames(each: Case, films):
    pytest.importorskip("decord")
    for times in (PATTERNS["odd times"], PATTERNS["far apart"]):
        report = SampleReport()
        frames = list(sample_frames(films(each), times, decoder="decord", report=report, long_side=200))
        assert {s.ts_ms: (read_barcode(s.rgb), s.pts_ms) for s in frames} == {
            ts_ms: each.shown(ts_ms) for ts_ms in times if each.shown(ts_ms)
        }
        assert report.missing == sum(each.shown(ts_ms) is None for ts_ms in times)
        assert {s.rgb.shape for s in frames} == {(round(200 * HEIGHT / WIDTH), 200, 3)}


@pytest.mark.parametrize("each", [each for each in CASES if not each.decord], ids=lambda each: each.name)
def test_decord_is_refused_where_it_gives_other_frames(each: Case, films):
    pytest.importorskip("decord")
    with pytest.raises(MediaError, match="decord") as caught:
        list(sample_frames(films(each), [0, 5_000], decoder="decord"))
    assert caught.value.kind == "unsupported"


def test_decord_reads_local_files_only(plain):
    pytest.importorskip("decord")
    with plain.open("rb") as file:
        assert [read_barcode(s.rgb) for s in sample_frames(file, [1_000], decoder="decord")] == [25]
    with pytest.raises(MediaError, match="local files only"):
        list(sample_frames(io.BytesIO(plain.read_bytes()), [0], decoder="decord"))


def test_a_file_object_gives_what_a_path_gives(plain):
    file = io.BytesIO(plain.read_bytes())
    assert probe(file) == probe(plain) == probe(str(plain))
    times = PATTERNS["odd times"]
    from_file, from_path = (
        [(s.ts_ms, s.pts_ms, s.rgb.tobytes()) for s in sample_frames(f, times)] for f in (file, plain)
    )
    assert from_file == from_path
    assert packets_digest(file, 0, 5_000) == packets_digest(plain, 0, 5_000)


def test_several_threads_give_the_same_frames(plain):
    times = PATTERNS["odd times"]
    one, four = ([(s.ts_ms, s.rgb.tobytes()) for s in sample_frames(plain, times, threads=n)] for n in (1, 4))
    assert one == four


def test_frames_are_found_again_by_their_own_time(films):
    path = films(case("uneven.mp4"))
    first = list(sample_frames(path, PATTERNS["odd times"]))
    again = list(sample_frames(path, [s.pts_ms for s in first]))
    assert [s.pts_ms for s in again] == [s.pts_ms for s in first]


@pytest.mark.parametrize("times", [[1_000, 0], [-1]])
def test_times_must_ascend_from_zero(plain, times):
    with pytest.raises(ValueError, match="ascending"):
        sample_frames(plain, times)


def test_an_unknown_decoder_is_named(plain):
    with pytest.raises(ValueError, match="quicktime"):
        sample_frames(plain, [0], decoder="quicktime")


def test_pictures_shrink_and_never_grow(plain):
    assert next(sample_frames(plain, [0], long_side=112)).rgb.shape == (64, 112, 3)
    assert next(sample_frames(plain, [0], long_side=2_000)).rgb.shape == (HEIGHT, WIDTH, 3)


def test_stored_pixels_that_are_not_square_are_made_so(tmp_path):
    wide = write_film(tmp_path / "wide.mp4", numbers(10), aspect=Fraction(4, 3))
    tall = write_film(tmp_path / "tall.mp4", numbers(10), aspect=Fraction(3, 4), rotation=90)
    assert next(sample_frames(wide, [80])).rgb.shape == (HEIGHT * 3 // 4, WIDTH, 3)
    assert next(sample_frames(tall, [80])).rgb.shape == (HEIGHT * 3 // 4, WIDTH, 3)
    assert read_barcode(next(sample_frames(tall, [80])).rgb) == 2
    for path in (wide, tall):
        assert (probe(path).width, probe(path).height) == (WIDTH, HEIGHT * 3 // 4)


@pytest.mark.parametrize("decoder", ["pyav", "decord"])
@pytest.mark.parametrize(("space", "value_range"), [(1, 1), (1, 2), (6, 1)], ids=["709", "709 full", "601"])
def test_colours_are_those_of_the_film(tmp_path, decoder, space, value_range):
    if decoder == "decord":
        pytest.importorskip("decord")
    colours = [(250, 20, 30), (20, 200, 40), (30, 40, 220), (200, 120, 40)]
    path = tmp_path / "colours.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "8"})
        stream.width, stream.height, stream.pix_fmt = 128, 64, "yuv420p"
        stream.codec_context.colorspace, stream.codec_context.color_range = space, value_range
        for colour in colours:
            frame = av.VideoFrame.from_ndarray(np.full((64, 128, 3), colour, np.uint8), format="rgb24").reformat(
                format="yuv420p",
                dst_colorspace="ITU709" if space == 1 else "ITU601",
                dst_color_range="MPEG" if value_range == 1 else "JPEG",
            )
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    for colour, sampled in zip(colours, sample_frames(path, [0, 100, 200, 300], decoder=decoder), strict=True):
        assert np.abs(sampled.rgb[10:-10, 10:-10].astype(int) - colour).max() <= 6


def test_8k_is_sampled_small(tmp_path):
    frames = [np.full((4320, 7680, 3), 100 * n, np.uint8) for n in range(2)]
    path = write_film(tmp_path / "8k.mp4", frames, fps=2, options={"preset": "ultrafast", "g": "2", "crf": "40"})
    assert [s.rgb.shape for s in sample_frames(path, [0, 500])] == [(288, 512, 3)] * 2


# Damage


def test_a_film_that_is_cut_off_ends_where_its_data_end(tmp_path, films):
    whole = films(case("faststart.mov")).read_bytes()
    path = tmp_path / "cut.mov"
    path.write_bytes(whole[: len(whole) * 6 // 10])
    report = SampleReport()
    seen = [(s.ts_ms, read_barcode(s.rgb)) for s in sample_frames(path, range(0, 12_000, 250), report=report)]
    assert seen == [(ts_ms, ts_ms * FPS // 1000) for ts_ms, _ in seen]
    assert 12 < len(seen) < 36
    assert report.missing == 48 - len(seen)


@pytest.mark.parametrize("times", [range(0, 12_000, 250), range(8_000, 12_000, 1_000), [0, 11_900]])
def test_no_stale_frame_stands_in_for_a_damaged_end(tmp_path, plain, times):
    path = damage(plain, tmp_path / "damaged.mp4", 9_000, 12_000)
    report = SampleReport()
    seen = [(s.ts_ms, read_barcode(s.rgb)) for s in sample_frames(path, times, report=report)]
    assert seen == [(ts_ms, ts_ms * FPS // 1000) for ts_ms in times if ts_ms < 9_000]
    assert report.damaged_packets > 0
    assert report.missing == len(times) - len(seen)


def test_frames_after_damage_are_found_again(tmp_path, films):
    path = damage(films(case("short_gop.mp4")), tmp_path / "damaged.mp4", 4_000, 5_000)
    seen = {}
    report = SampleReport()
    for sampled in sample_frames(path, range(0, 12_000, 200), report=report):
        try:
            seen[sampled.ts_ms] = read_barcode(sampled.rgb)
        except Unreadable:
            assert 5_000 < sampled.ts_ms < 5_500  # up to the next keyframe a decoder makes the best of it
    assert not [ts_ms for ts_ms in seen if 4_000 <= ts_ms <= 5_000]
    outside = [ts_ms for ts_ms in range(0, 12_000, 200) if ts_ms < 4_000 or ts_ms >= 5_500]
    assert [seen[ts_ms] for ts_ms in outside] == [ts_ms * FPS // 1000 for ts_ms in outside]
    assert report.damaged_packets > 0


def test_holes_in_a_broadcast_do_not_shift_what_follows(tmp_path, films):
    data = bytearray(films(case("late_start.ts")).read_bytes())
    hole = len(data) // 2
    data[hole : hole + 4_000] = bytes(4_000)
    path = tmp_path / "hole.ts"
    path.write_bytes(data)
    report, seen = SampleReport(), {}
    for sampled in sample_frames(path, range(0, 12_000, 200), report=report):
        try:
            seen[sampled.ts_ms] = read_barcode(sampled.rgb)
        except Unreadable:
            assert 4_800 <= sampled.ts_ms < 7_200  # within the hole's own group of pictures
    whole = [ts_ms for ts_ms in range(0, 12_000, 200) if ts_ms < 4_800 or ts_ms >= 7_200]
    assert {ts_ms: seen.get(ts_ms) for ts_ms in whole} == {ts_ms: ts_ms // 40 for ts_ms in whole}


def test_a_film_without_one_good_packet_is_damaged(tmp_path, plain):
    path = damage(plain, tmp_path / "damaged.mp4", -1_000, 20_000)
    with pytest.raises(MediaError) as caught:
        probe(path)
    assert caught.value.kind == "damaged"


def test_what_reading_raises_is_not_taken_for_damage(plain, films):
    class Failing(io.BytesIO):
        def read(self, size: int = -1) -> bytes:
            if self.tell() > 12_000:
                raise ConnectionError("the network is gone")
            return super().read(min(size, 1_000))

    with pytest.raises(ConnectionError, match="network"):
        list(sample_frames(Failing(films(case("faststart.mov")).read_bytes()), range(0, 12_000, 1_000)))
    with pytest.raises(FileNotFoundError):
        probe(plain.with_name("nowhere.mp4"))


# Files that are no films


def poison(folder: Path, films) -> Iterator[tuple[str, Path]]:
    """A kind of MediaError, and a file that has to raise it."""
    faststart = films(case("faststart.mov")).read_bytes()
    whole = films(case("h264.mp4")).read_bytes()
    film_path = films(case("h264.mp4"))
    contents = {
        ("empty", "empty.mp4"): b"",
        ("not_a_video", "tiny.mp4"): b"\x00\x01",
        ("not_a_video", "text.mp4"): b"This is a letter, and no film.\n" * 50,
        ("not_a_video", "random.mp4"): random.Random(3).randbytes(50_000),
        ("not_a_video", "subtitles.mp4"): b"1\n00:00:01,000 --> 00:00:02,000\nhello\n\n" * 20,
        ("truncated", "no_index.mp4"): whole[: len(whole) // 2],
        ("truncated", "half_an_index.mov"): faststart[:500],
        ("playlist", "list.m3u8"): f"#EXTM3U\n#EXTINF:12.0,\n{film_path}\n#EXT-X-ENDLIST\n".encode(),
        ("playlist", "list.mp4"): f"#EXTM3U\n#EXTINF:12.0,\nfile://{film_path}\n#EXT-X-ENDLIST\n".encode(),
        ("playlist", "concat.mp4"): f"ffconcat version 1.0\nfile '{film_path}'\n".encode(),
        ("playlist", "dash.mp4"): f'<?xml version="1.0"?><MPD><BaseURL>{film_path}</BaseURL></MPD>'.encode(),
    }
    for (kind, name), content in contents.items():
        (folder / name).write_bytes(content)
        yield kind, folder / name
    yield "no_video_stream", write_sound(folder / "sound.m4a")
    yield "no_video_stream", write_sound(folder / "cover.m4a", cover=True)


def test_files_that_are_no_films_are_refused_by_kind(tmp_path, films):
    for kind, path in poison(tmp_path, films):
        for read in (
            probe,
            lambda source: list(sample_frames(source, [0])),
            lambda source: packets_digest(source, 0, 1_000),
            embedded_subtitles,
        ):
            for source in (path, io.BytesIO(path.read_bytes())):
                with pytest.raises(MediaError) as caught:
                    read(source)
                assert caught.value.kind == kind, path.name
                assert str(caught.value).endswith(".")


def test_a_playlist_never_opens_what_it_names(tmp_path, plain):
    named = tmp_path / "named.mp4"
    shutil.copy(plain, named)
    libc = ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init1(os.O_NONBLOCK)
    assert libc.inotify_add_watch(watch, os.fsencode(named), 0x20) > 0  # IN_OPEN
    try:
        for text in (
            f"#EXTM3U\n#EXTINF:12.0,\n{named}\n#EXT-X-ENDLIST\n",
            f"ffconcat version 1.0\nfile '{named.name}'\n",
        ):
            for name in ("list.mp4", "list.m3u8"):
                path = tmp_path / name
                path.write_text(text)
                for source in (path, path.open("rb")):
                    for decoder in ("pyav", "decord"):
                        with pytest.raises(MediaError, match="playlist"):
                            list(sample_frames(source, [0], decoder=decoder))
        with pytest.raises(BlockingIOError):
            os.read(watch, 4096)
        probe(named)
        assert os.read(watch, 4096)  # the watch does see an open
    finally:
        os.close(watch)


def test_names_that_ffmpeg_takes_for_addresses_are_files(tmp_path, plain):
    odd = tmp_path / "concat:a|b.mp4"
    shutil.copy(plain, odd)
    assert probe(odd).duration_ms == 12_000
    for address in (
        f"concat:{plain}",
        f"file:{plain}",
        "http://127.0.0.1:9/film.mp4",
        f"subfile,,start,0,end,9,,:{plain}",
    ):
        with pytest.raises(FileNotFoundError):
            probe(address)


# Digests


def test_a_film_that_grew_keeps_the_digests_of_its_whole_chunks(tmp_path, films):
    for name in ("h264.mp4", "open_gop.mp4", "hevc.mp4", "late_start.ts", "vp9.webm", "uneven.mp4"):
        whole = films(case(name))
        begun = remux(whole, tmp_path / name, until_ms=7_000 + (7_300 if name == "late_start.ts" else 0))
        spans = [(0, 2_000), (2_000, 4_000), (4_000, 6_000)]
        assert [packets_digest(begun, *span) for span in spans] == [packets_digest(whole, *span) for span in spans], (
            name
        )
        assert packets_digest(begun, 6_000, 8_000) != packets_digest(whole, 6_000, 8_000), name


def test_where_the_index_stands_makes_no_difference(tmp_path, plain):
    early = remux(plain, tmp_path / "early.mp4", mux_options={"movflags": "+faststart"})
    other = remux(plain, tmp_path / "other.mkv")
    assert early.read_bytes().index(b"moov") < early.read_bytes().index(b"mdat")
    assert plain.read_bytes().index(b"moov") > plain.read_bytes().index(b"mdat")
    for span in ((0, 5_000), (5_000, 10_000), (10_000, 15_000)):
        assert packets_digest(plain, *span) == packets_digest(early, *span) == packets_digest(other, *span)


def test_digests_tell_stretches_and_films_apart(plain, films):
    spans = [(0, 4_000), (4_000, 8_000), (8_000, 12_000), (0, 4_040)]
    digests = {packets_digest(path, *span) for path in (plain, films(case("short_gop.mp4"))) for span in spans}
    assert len(digests) == 8


def test_a_change_of_rotation_alone_changes_the_digest(tmp_path):
    square = [barcode(n)[:, :HEIGHT] for n in range(20)]
    upright = write_film(tmp_path / "a.mp4", square)
    turned = write_film(tmp_path / "b.mp4", [np.rot90(p) for p in square], rotation=90)  # the same pixels are stored
    assert packets_digest(upright, 0, 1_000) != packets_digest(turned, 0, 1_000)


# Subtitles in films


@pytest.mark.parametrize(("suffix", "target"), [("srt", "film.mkv"), ("ass", "film.mkv"), ("vtt", "film.webm")])
def test_text_tracks_are_read(tmp_path, films, suffix, target):
    text = {
        "srt": "1\n00:00:01,000 --> 00:00:02,500\n<i>Hello</i>\nAnn\n\n2\n00:00:20,000 --> 00:00:21,000\nlate\n",
        "vtt": "WEBVTT\n\n00:01.000 --> 00:02.500\n<i>Hello</i>\nAnn\n\n00:20.000 --> 00:21.000\nlate\n",
        "ass": "[Script Info]\nScriptType: v4.00+\n\n[Events]\n"
        "Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
        "Dialogue: 0,0:00:01.00,0:00:02.50,Default,,0,0,0,,{\\i1}Hello{\\i0}\\NAnn\n"
        "Dialogue: 0,0:00:20.00,0:00:21.00,Default,,0,0,0,,late\n",
    }[suffix]
    (tmp_path / f"text.{suffix}").write_text(text)
    source = films(case("vp9.webm" if target.endswith("webm") else "h264.mp4"))
    path = add_subtitles(source, tmp_path / f"text.{suffix}", tmp_path / target)
    assert embedded_subtitles(path) == [Line(1_000, 2_500, "Hello\nAnn", 1), Line(20_000, 21_000, "late", 1)]
    assert [track.index for track in probe(path).subtitle_tracks] == [1]


def test_a_film_without_text_has_no_lines(plain):
    assert embedded_subtitles(plain) == []


# JPEG


def test_jpeg_keeps_the_picture():
    picture = barcode(1234)
    jpeg = encode_jpeg(picture, quality=85)
    assert jpeg[:2] == b"\xff\xd8"
    assert decode_jpeg(jpeg).shape == picture.shape
    assert read_barcode(decode_jpeg(jpeg)) == 1234
    assert len(encode_jpeg(picture, quality=30)) < len(jpeg)


def test_jpeg_works_without_a_wheel_of_simplejpeg(monkeypatch):
    fast = encode_jpeg(barcode(77))
    monkeypatch.setattr(pictures, "simplejpeg", None)
    assert read_barcode(decode_jpeg(fast)) == 77
    assert read_barcode(decode_jpeg(encode_jpeg(barcode(78)))) == 78


# Real clips


def clip(name: str) -> Path:
    if not (CLIPS / name).exists():
        pytest.skip(f"{name} is not here")
    return CLIPS / name


@pytest.mark.parametrize("name", ["nasa_13013.mp4", "flipping_a_pancake.mkv", "rotated_90.mov", "car-detection.mp4"])
def test_a_clip_has_a_frame_for_every_second(name: str):
    info = probe(clip(name))
    times = range(0, info.duration_ms, 1_000)
    frames = list(sample_frames(clip(name), times, long_side=256))
    assert [s.ts_ms for s in frames] == list(times)
    assert all(0 <= s.ts_ms - s.pts_ms <= 1_000 / info.fps + 1 for s in frames)
    assert all(max(s.rgb.shape) == 256 for s in frames)
    assert all((s.rgb.shape[0] > s.rgb.shape[1]) == (info.height > info.width) for s in frames)


def test_the_best_of_several_video_streams_is_the_film():
    info = probe(clip("nasa_13013.mp4"))
    assert (info.width, info.height, info.duration_ms, info.codec) == (480, 270, 13_013, "h264")
    assert info.fps == pytest.approx(29.97, abs=0.01)
    assert info.has_audio
    assert [(track.index, track.language) for track in info.subtitle_tracks] == [(2, "eng"), (5, "eng")]
    assert next(sample_frames(clip("nasa_13013.mp4"), [0])).rgb.shape == (270, 480, 3)


def test_a_clip_brings_its_subtitles():
    lines = embedded_subtitles(clip("nasa_13013.mp4"))
    assert lines[0] == Line(210, 4_260, "NAR: This is the optical and science segment of the Webb", 2)
    assert len(lines) == 8


def test_a_phone_film_stands_upright():
    info = probe(clip("rotated_90.mov"))
    assert (info.width, info.height, info.rotation) == (320, 568, 270)
    assert next(sample_frames(clip("rotated_90.mov"), [0])).rgb.shape == (512, 288, 3)


def test_a_clip_with_one_damaged_packet_loses_one_frame():
    report = SampleReport()
    times = range(0, 5_000, 100)
    seen = [s.ts_ms for s in sample_frames(clip("corrupted.mp4"), times, report=report)]
    assert seen == [ts_ms for ts_ms in times if ts_ms != 3_000]
    assert report == SampleReport(damaged_packets=1, missing=1)


def test_a_film_that_does_not_tell_its_length_is_measured():
    assert probe(clip("flipping_a_pancake.mkv")).duration_ms == 10_333
    assert len(list(sample_frames(clip("flipping_a_pancake.mkv"), range(0, 20_000, 1_000)))) == 11
