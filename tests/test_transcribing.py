"""From sound to lines: only speech is transcribed, each line stands where it was said."""

import os
import subprocess
import sys

import numpy as np
import pytest

from loupe.benchmarks.toytown.film import recorded
from loupe.benchmarks.toytown.sound import soundtrack
from loupe.benchmarks.toytown.speech import VOICES, Line, duration_ms
from loupe.engines.scripted_speech import ScriptedTranscriber
from loupe.engines.speech import RATE, Spoken
from loupe.transcribing import Stretch, quietest, speech, transcribe, windows

TEXTS = (("good morning to you", "low"), ("the bucket costs twenty coins", "narrator"), ("see you later", "high"))


def lines_at(*starts_ms: int) -> tuple[Line, ...]:
    return tuple(
        Line(start, start + duration_ms(text, voice), voice, voice, text)
        for start, (text, voice) in zip(starts_ms, TEXTS, strict=True)
    )


@pytest.fixture(scope="module")
def voices() -> dict[str, np.ndarray]:
    return {voice: recorded(voice) for voice in VOICES}


def sound_of(lines, voices, milliseconds=20_000) -> np.ndarray:
    blocks = soundtrack(lines, voices, milliseconds)
    return np.concatenate(list(blocks)).astype(np.float32) / 32_768


def whole(sound: np.ndarray) -> list[Spoken]:
    return [Spoken(0, len(sound) * 1000 // RATE, "words")]


async def test_lines_are_heard_where_they_are_said(voices):
    lines = lines_at(2_000, 7_000, 14_000)
    engine = ScriptedTranscriber(whole)
    found = await transcribe(sound_of(lines, voices), 60_000, engine)
    assert [line.text for line in found] == ["words"] * 3
    for line, said in zip(found, lines, strict=True):
        assert abs(line.start_ms - 60_000 - said.start_ms) < 300
        assert abs(line.end_ms - 60_000 - said.end_ms) < 300


async def test_noise_tones_and_silence_cost_nothing():
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.1, 5 * RATE).astype(np.float32)
    tone = (0.3 * np.sin(np.arange(5 * RATE) * 0.2)).astype(np.float32)
    engine = ScriptedTranscriber(whole)
    for sound in (np.zeros(5 * RATE, np.float32), noise, tone, np.zeros(0, np.float32)):
        assert await transcribe(sound, 0, engine) == []
    assert engine.heard == []


@pytest.mark.parametrize(("loudness", "noise"), [(1.0, 0.01), (0.05, 0.0)])
async def test_speech_is_heard_through_noise_and_from_afar(voices, loudness, noise):
    lines = lines_at(2_000, 7_000, 14_000)
    sound = sound_of(lines, voices) * np.float32(loudness)
    noisy = sound + np.random.default_rng(0).normal(0, noise, len(sound)).astype(np.float32)
    covered = np.zeros(len(sound), bool)
    for stretch in speech(noisy):
        covered[stretch.start : stretch.end] = True
    said = np.zeros(len(sound), bool)
    for line in lines:
        said[line.start_ms * 16 : line.end_ms * 16] = True
    assert covered[said].mean() > 0.9
    assert covered[~said].mean() < 0.15


def test_long_speech_is_cut_where_it_is_quiet_and_near_stretches_go_together():
    sound = np.ones(60 * RATE, np.float32)
    quiet = 27 * RATE
    sound[quiet : quiet + RATE // 2] = 0.01
    assert abs(quietest(sound, 20 * RATE, 30 * RATE) - quiet) < RATE // 2
    parts = windows(
        sound, [Stretch(0, 40 * RATE), Stretch(40 * RATE + 100, 45 * RATE), Stretch(50 * RATE, 51 * RATE)], 30_000
    )
    assert quiet <= parts[0].end <= quiet + RATE // 2
    assert parts[0].start == 0
    assert parts[1:] == [Stretch(parts[0].end, 45 * RATE), Stretch(50 * RATE, 51 * RATE)]


async def test_times_beyond_the_end_are_brought_back(voices):
    engine = ScriptedTranscriber(lambda sound: [Spoken(-50, 90_000, "words"), Spoken(95_000, 99_000, "more")])
    found = await transcribe(sound_of(lines_at(2_000, 7_000, 14_000), voices), 0, engine)
    assert all(0 <= line.start_ms <= line.end_ms <= 20_000 for line in found)


def test_who_asks_where_somebody_speaks_gets_no_further_threads():
    """In a process of its own: which libraries were loaded before, and with what, is another's."""
    code = """
import numpy as np, psutil
from loupe import voices
before = psutil.Process().num_threads()
print(len(voices.likelihoods(np.full(16_000, 0.1, np.float32))), psutil.Process().num_threads() - before)
"""
    env = {name: value for name, value in os.environ.items() if name != "OMP_THREAD_LIMIT"}
    told = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["32", "0"]
