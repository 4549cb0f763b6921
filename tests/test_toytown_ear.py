"""The tiny transcriber: what it learns from, that it can be trained, and that the one that ships hears."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from loupe.benchmarks.toytown.film import recorded
from loupe.benchmarks.toytown.speech import RATE, STRANGER, VOCABULARY, VOICES
from loupe.engines.whisper import WhisperTranscriber
from loupe.training import toytown_ear
from loupe.training.score_transcripts import Errors, held_out_lines, score_film, score_lines, word_errors
from loupe.training.tiny_whisper import train_tokenizer, transcript
from loupe.training.toytown_sounds import NOISES, SILENCE, WINDOW_MS, Manner, frames, hear

SHIPPED = Path(__file__).parent.parent / "loupe" / "benchmarks" / "toytown" / "ear"


@pytest.fixture(scope="module")
def voices() -> dict[str, np.ndarray]:
    return {voice: recorded(voice) for voice in (*VOICES, STRANGER)}


@pytest.fixture(scope="module")
def ear() -> WhisperTranscriber:
    return WhisperTranscriber(str(SHIPPED), threads=1)


def test_labels_say_which_word_is_heard_when(voices):
    heard = hear(
        ["ask for the cake", "yes of course"], Manner("low", speed=1.1, gap_ms=90), voices, np.random.default_rng(1)
    )
    assert [[said.word for said in line] for line in heard.lines] == [
        ["ask", "for", "the", "cake"],
        ["yes", "of", "course"],
    ]
    labels = frames(heard, 400)
    loud = np.abs(heard.sound.reshape(400, -1)).max(axis=1) > 0.02
    assert (loud == (labels != SILENCE)).mean() > 0.93
    first = heard.lines[0][0]
    middle = (first.start_ms + first.end_ms) // 2 * 400 // WINDOW_MS
    assert VOCABULARY[labels[middle] - 1] == "ask"


@pytest.mark.parametrize("noise", NOISES)
def test_noise_is_as_loud_as_it_should_be(voices, noise):
    quiet = hear([], Manner("low", noise=noise, decibels=20), voices, np.random.default_rng(1))
    assert 20 * np.log10(3_000 / 32_768 / quiet.sound.std()) == pytest.approx(20, abs=1)


def test_a_transcript_is_times_and_words():
    tokenizer = train_tokenizer([" good morning", " see you"] * 9)
    ids = transcript(tokenizer, [(0, 1_000, "good morning"), (1_500, 2_040, "see you")])
    written = re.findall(r"<\|.*?\|>|[a-z ]+", tokenizer.decode(ids, decode_with_timestamps=True))
    names = tokenizer.convert_ids_to_tokens(ids)
    assert [name for name in names if name.startswith("<|")] == [
        "<|startoftranscript|>", "<|0.00|>", "<|1.00|>", "<|1.52|>", "<|2.04|>", "<|endoftext|>",
    ]  # fmt: skip
    assert " good morning" in written


def test_word_errors_are_changes_omissions_and_additions():
    assert word_errors("the bucket costs six coins", "the bucket costs six coins") == Errors(0, 5)
    assert word_errors("the bucket costs six coins", "bucket costs sixteen coins now") == Errors(3, 5)
    assert word_errors("", "hello there") == Errors(2, 0)
    assert (Errors(1, 4) + Errors(1, 4)).rate == 0.25


def test_it_is_trained_and_goes_on_where_it_was(tmp_path, monkeypatch):
    def train(steps: int) -> None:
        """What the command does, without another start of Python."""
        command = ["toytown_ear", str(tmp_path), "--steps", str(steps), "--batch", "2", "--fresh", "1"]
        monkeypatch.setattr(sys, "argv", command)
        toytown_ear.main()

    train(2)
    assert (tmp_path / "model" / "model.safetensors").stat().st_size < 15_000_000
    before = (tmp_path / "model" / "model.safetensors").read_bytes()
    train(3)
    assert (tmp_path / "model" / "model.safetensors").read_bytes() != before
    assert torch.load(tmp_path / "ear.pt", weights_only=False)["numbers"]["step"] == 3
    assert WhisperTranscriber(str(tmp_path / "model")).window_ms == WINDOW_MS


def test_the_shipped_one_is_small():
    assert sum(file.stat().st_size for file in SHIPPED.iterdir()) < 4_000_000


async def test_the_shipped_one_hears_a_film(ear):
    errors = await score_film(7, 0.5, ear)
    assert errors.words > 8
    assert errors.rate <= 0.1


@pytest.mark.parametrize(
    "change", [{}, {"voice": STRANGER}, {"speed": 0.82}, {"loudness": 0.1}], ids=["films", "stranger", "slow", "quiet"]
)
async def test_the_shipped_one_hears_lines(ear, change):
    errors = await score_lines(held_out_lines(8), change, ear)
    assert errors.words > 30
    assert errors.rate <= 0.1


async def test_the_shipped_one_tells_when_a_line_is_said(ear, voices):
    heard = hear(["good morning to you"], Manner("narrator"), voices, np.random.default_rng(3))
    (line,) = (await ear.transcribe([heard.sound]))[0]
    assert line.text == "good morning to you"
    assert abs(line.start_ms - heard.lines[0][0].start_ms) < 200
    assert abs(line.end_ms - heard.lines[0][-1].end_ms) < 200
    assert (await ear.transcribe([np.zeros(RATE, np.float32)])) == [[]]
