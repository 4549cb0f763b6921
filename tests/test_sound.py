"""Sound of films: clicks come out at the samples where they were put, from every container and every window."""

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
import pytest

from loupe.media import MediaError, SoundReport, cut_audio, probe, sound_digest
from tests.films.barcoded import barcode, write_film
from tests.films.clicking import clicks, write_clicking_film

CLIPS = Path(__file__).parents[2] / "shared" / "media"
TIMES = (1.0, 2.345, 7.5, 11.11, 12.0, 17.77, 18.501)
"""When the clicks are, in seconds."""


@dataclass(frozen=True)
class Case:
    name: str
    codec: str
    within: int = 0
    """Samples at 16 kHz that a click may be away from where it was: half a tick of a clock that counts milliseconds."""
    how: dict = field(default_factory=dict)


MP4, TS = Case("aac.mp4", "aac"), Case("aac.ts", "aac")
PCM = Case("pcm.mov", "pcm_s16le", how={"layout": "stereo"})
CASES = [
    MP4,
    Case("aac_44.mp4", "aac", how={"rate": 44_100}),
    Case("aac_16.mov", "aac", how={"rate": 16_000, "layout": "stereo"}),
    Case("fragmented.mp4", "aac", how={"mux_options": {"movflags": "frag_keyframe+empty_moov"}}),
    Case("later.mp4", "aac", within=16, how={"later_ms": 1_400}),
    Case("flac.mkv", "flac", within=8),
    PCM,
    Case("pcm.avi", "pcm_s16le"),
    Case("ac3.ts", "ac3", how={"layout": "5.1"}),
    TS,
    Case("late_start.ts", "aac", how={"mux_options": {"output_ts_offset": "7.3"}}),
    Case("clock_runs_over.ts", "aac", how={"mux_options": {"output_ts_offset": "95435"}}),
    Case("opus.mkv", "libopus", within=8),
    Case("mp2.mpg", "mp2"),
]


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Case], Path]:
    """Makes each film once."""
    folder = tmp_path_factory.mktemp("sound")

    def made(case: Case) -> Path:
        path = folder / case.name
        if not path.exists():
            rate = case.how.get("rate", 48_000)
            write_clicking_film(path, clicks(TIMES, 19, rate), codec=case.codec, **case.how)
        return path

    return made


def heard(sound: np.ndarray) -> list[int]:
    """At which samples clicks are: the middle of what is like a click, to a sixteenth of a sample rounded."""
    click = clicks([0.002], 0.004, 16_000 * 16)
    found: list[int] = []
    loud = np.flatnonzero(np.abs(sound) > 0.1)  # where it is quieter nothing is like a click
    for stretch in np.split(loud, np.flatnonzero(np.diff(loud) > 400) + 1) if len(loud) else ():
        first = max(0, int(stretch[0]) - 200)
        part = sound[first : stretch[-1] + 200]
        fine = np.interp(np.arange(len(part) * 16) / 16, np.arange(len(part)), part)
        alike = np.correlate(fine, click, "same")
        while (best := int(alike.argmax())) and alike[best] > 0.4 * float(click @ click):
            found.append(first + round(best / 16))
            alike[max(0, best - 800) : best + 800] = 0
    return sorted(found)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_click_comes_out_at_its_sample(films, case):
    path, later_ms = films(case), case.how.get("later_ms", 0)
    for start_ms, end_ms in ((0, 20_000), (6_999, 12_500), (17_001, 19_999)):
        sound = cut_audio(path, start_ms, end_ms)
        assert (sound.dtype, sound.shape) == (np.float32, ((end_ms - start_ms) * 16,))
        wanted = [round(16_000 * t) + (later_ms - start_ms) * 16 for t in TIMES]
        wanted = [at for at in wanted if 100 <= at < len(sound) - 100]
        found = heard(sound)
        assert len(found) == len(wanted) > 0
        assert max(abs(a - b) for a, b in zip(found, wanted, strict=True)) <= case.within


@pytest.mark.parametrize("case", [MP4, TS, PCM], ids=lambda case: case.name)
def test_windows_join_to_the_whole(films, case):
    whole = cut_audio(films(case), 0, 12_000)
    parts = [cut_audio(films(case), start, start + 1_500) for start in range(0, 12_000, 1_500)]
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-4)


def test_where_the_film_has_no_sound_it_is_silent(films):
    assert not cut_audio(films(MP4), 19_100, 25_000).any()
    assert not cut_audio(films(MP4), 90_000, 91_000).any()
    assert not cut_audio(films(MP4), -2_000, 0).any()
    assert cut_audio(films(MP4), 5, 5).shape == (0,)
    assert cut_audio(films(MP4), 900, 1_100, rate=8_000).shape == (1_600,)
    with pytest.raises(ValueError, match="before it begins"):
        cut_audio(films(MP4), 10, 5)


def test_times_count_from_the_first_picture_that_an_edit_list_leaves(films, tmp_path):
    """Two seconds of pictures are left out, and so is their sound."""
    with av.open(str(films(PCM))) as film, av.open(str(tmp_path / "cut.mov"), "w") as copy:
        streams = {stream.index: copy.add_stream_from_template(stream) for stream in film.streams}
        for packet in film.demux():
            if packet.size:
                skipped = round(2 / packet.time_base)
                packet.pts, packet.dts, packet.stream = (
                    packet.pts - skipped,
                    packet.dts - skipped,
                    streams[packet.stream.index],
                )
                copy.mux(packet)
    assert heard(cut_audio(tmp_path / "cut.mov", 0, 4_000)) == [round((2.345 - 2) * 16_000)]


def test_damaged_sound_is_silent_and_the_rest_stays_in_place(films, tmp_path):
    data = bytearray(films(MP4).read_bytes())
    with av.open(str(films(MP4))) as film:
        for packet in film.demux(audio=0):
            if packet.pts is not None and 7 <= packet.pts * packet.time_base <= 8:
                data[packet.pos : packet.pos + packet.size] = b"\xff" * packet.size
    (tmp_path / "damaged.mp4").write_bytes(data)
    report = SoundReport()
    sound = cut_audio(tmp_path / "damaged.mp4", 6_500, 13_000, report=report)
    assert len(report.damaged_ms) > 40
    assert 6_950 < min(report.damaged_ms) < 7_050 < 7_950 < max(report.damaged_ms) < 8_050
    assert not sound[16_000:23_000].any()
    assert [at for at in heard(sound) if at > 30_000] == [round((t - 6.5) * 16_000) for t in (11.11, 12.0)]


def test_a_film_without_sound_is_told_so(tmp_path):
    path = write_film(tmp_path / "silent.mp4", [barcode(n) for n in range(10)])
    assert not probe(path).has_audio
    with pytest.raises(MediaError, match="no sound") as caught:
        cut_audio(path, 0, 1_000)
    assert caught.value.kind == "no_audio_stream"


def test_a_window_is_read_without_the_rest_of_the_film(films):
    class Counting(io.FileIO):
        size = 0

        def read(self, size: int = -1) -> bytes:
            data = super().read(size)
            self.size += len(data)
            return data

    with Counting(films(PCM)) as file:
        cut_audio(file, 15_000, 16_000)
        assert file.size < films(PCM).stat().st_size / 4


def test_the_digest_of_a_stretch_changes_with_its_sound_alone(films, tmp_path):
    other = tmp_path / "other.mov"
    times = [t if t < 10 else t + 0.3 for t in TIMES]
    write_clicking_film(other, clicks(times, 19), codec=PCM.codec, **PCM.how)
    assert sound_digest(other, 0, 10_000) == sound_digest(films(PCM), 0, 10_000)
    assert sound_digest(other, 10_000, 20_000) != sound_digest(films(PCM), 10_000, 20_000)
    assert sound_digest(other, 0, 5_000) != sound_digest(other, 5_000, 10_000)


@pytest.mark.parametrize(("name", "within"), [("nasa_13013.mp4", 0), ("flipping_a_pancake.mkv", 8)])
def test_real_clips_sound_as_the_decoder_has_them(name, within):
    """The whole stream decoded and resampled in one go, and cut out of that."""
    path = CLIPS / name
    if not path.exists():
        pytest.skip("the real clips are not here")
    with av.open(str(path)) as film:
        video = film.streams.best("video")
        stream = film.streams.best("audio", related=video)
        zero = min(frame.pts for frame, _ in zip(film.decode(video), range(9), strict=False)) * video.time_base
        film.seek(0)
        frames = list(film.decode(stream))
        late = round((frames[0].pts * stream.time_base - zero) * 16_000)
        resampler = av.AudioResampler(format="s16", layout="mono", rate=16_000)
        parts = [part.to_ndarray()[0] for frame in [*frames, None] for part in resampler.resample(frame)]
    whole = np.concatenate([np.zeros(max(0, late), np.int16), *parts])[max(0, -late) :] / 32_768
    for start_ms, end_ms in ((0, 3_000), (2_345, 7_000), (8_001, 9_999)):
        sound, wanted = cut_audio(path, start_ms, end_ms), whole[start_ms * 16 : end_ms * 16]
        assert sound.std() > 0.005
        alike = [np.corrcoef(np.roll(sound, lag), wanted)[0, 1] for lag in range(-within, within + 1)]
        assert max(alike) > 0.99
