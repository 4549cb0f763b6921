"""Scores a transcriber on toytown's lines that it was never trained on: `python -m loupe.training.score_transcripts`.

The first row is whole held-out films the way of the index job: encoded, decoded, cut at pauses, transcribed. The
others are lines of held-out films said in a voice, at speeds and in noise that the tiny model never learned from.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from loupe.benchmarks.toytown import speech
from loupe.benchmarks.toytown.film import recorded, write_mp4
from loupe.benchmarks.toytown.speech import STRANGER, VOICES, Line
from loupe.benchmarks.toytown.writing import HELD_OUT, write_film
from loupe.config import SpeechModel, WhisperModel
from loupe.config import load as load_config
from loupe.engines.open import open_transcriber
from loupe.engines.speech import Transcriber
from loupe.media import cut_audio
from loupe.sound import Sound
from loupe.training.toytown_sounds import UNHEARD_NOISE, Manner, hear
from loupe.transcribing import transcribe

CHANGES: dict[str, dict[str, object]] = {
    "as in films": {},
    "slow (0.82)": {"speed": 0.82},
    "fast (1.22)": {"speed": 1.22},
    "pink noise, 10 dB": {"noise": UNHEARD_NOISE, "decibels": 10.0},
    "quiet (0.1)": {"loudness": 0.1},
    "a voice never heard": {"voice": STRANGER},
    "that voice, fast, in noise": {"voice": STRANGER, "speed": 1.22, "noise": UNHEARD_NOISE, "decibels": 10.0},
}
"""How lines are said and heard. Speeds are learned from 0.87 to 1.15, noises are others."""


@dataclass(frozen=True)
class Errors:
    """Words substituted, left out and put in, of so many that were said."""

    wrong: int = 0
    words: int = 0

    def __add__(self, other: "Errors") -> "Errors":
        return Errors(self.wrong + other.wrong, self.words + other.words)

    @property
    def rate(self) -> float:
        """The word error rate."""
        return self.wrong / max(1, self.words)


def word_errors(said: str, heard: str) -> Errors:
    """The fewest words to change, leave out or put in (Levenshtein) that make one text the other."""
    wanted, found = speech.words(said), speech.words(heard)
    row = list(range(len(found) + 1))
    for number, word in enumerate(wanted, 1):
        above, row[0] = row[0], number
        for place, other in enumerate(found, 1):
            above, row[place] = row[place], min(above + (word != other), row[place] + 1, row[place - 1] + 1)
    return Errors(row[-1], len(wanted))


async def written(sound: Sound, transcriber: Transcriber) -> str:
    """All that is heard in a sound."""
    return " ".join(line.text for line in await transcribe(sound, 0, transcriber))


async def score_film(number: int, minutes: float, transcriber: Transcriber) -> Errors:
    """A whole held-out film, as a file."""
    film = write_film(HELD_OUT, number, minutes)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        write_mp4(film, path)
        sound = cut_audio(path, 0, film.duration_ms)
    return word_errors(" ".join(line.text for line in film.lines), await written(sound, transcriber))


async def score_lines(lines: Sequence[Line], change: dict[str, object], transcriber: Transcriber) -> Errors:
    """Lines, each in a window of its own, in a changed manner."""
    voices = {voice: recorded(voice) for voice in (*VOICES, STRANGER)}
    rng = np.random.default_rng(HELD_OUT)
    errors = Errors()
    for line in lines:
        manner = replace(Manner(line.voice), **change)  # type: ignore[arg-type]
        heard = hear([line.text], manner, voices, rng)
        if heard.lines:  # the longest do not fit into a window if they are said slowly
            errors += word_errors(line.text, await written(heard.sound, transcriber))
    return errors


def held_out_lines(count: int) -> list[Line]:
    """Different lines of held-out films, in the order in which they come."""
    lines: dict[tuple[str, str], Line] = {}
    number = 1_000
    while len(lines) < count:
        lines |= {(line.voice, line.text): line for line in write_film(HELD_OUT, number, 5).lines}
        number += 1
    return list(lines.values())[:count]


async def run(transcriber: Transcriber, films: int, minutes: float, count: int) -> str:
    """The report: a table and a line of JSON."""
    scores = {"whole films": Errors()}
    for number in range(films):
        scores["whole films"] += await score_film(number, minutes, transcriber)
    lines = held_out_lines(count)
    for name, change in CHANGES.items():
        scores[name] = await score_lines(lines, change, transcriber)
    await transcriber.close()
    rows = [f"| {name} | {errors.words} | {errors.rate:.3f} |" for name, errors in scores.items()]
    numbers = {name: round(errors.rate, 4) for name, errors in scores.items()}
    return "\n".join(["| lines of held-out films | words | WER |", "|---|---|---|", *rows, "", json.dumps(numbers)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path("infra/configs/demo.yaml"))
    parser.add_argument("--model", help="a folder or hub id of a Whisper, in place of the config's transcriber")
    parser.add_argument("--films", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=2)
    parser.add_argument("--lines", type=int, default=120)
    arguments = parser.parse_args()
    model = asked_model(arguments.config, arguments.model)
    report = asyncio.run(run(open_transcriber(model), arguments.films, arguments.minutes, arguments.lines))
    sys.stdout.write(report + "\n")


def asked_model(config: Path, model: str | None) -> SpeechModel:
    """The model to score."""
    if model:
        return WhisperModel(engine="whisper", source=model)
    configured = load_config(config).speech_model()
    if configured is None:
        sys.exit(f"{config} gives nobody the role transcriber")
    return configured


if __name__ == "__main__":
    main()
