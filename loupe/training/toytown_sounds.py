"""Toytown's lines as a microphone might hear them: any voice, speed, loudness and noise, with what is said when.

NumPy alone. What the tiny transcriber learns from is drawn here, and so is what it is examined on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from loupe.benchmarks.toytown import speech
from loupe.benchmarks.toytown.sound import Samples
from loupe.benchmarks.toytown.speech import RATE, VOCABULARY, clips
from loupe.benchmarks.toytown.world import COLOURS, HATS, PLACES, SHAPES, THINGS
from loupe.sound import Sound

WINDOW_MS = 8_000
"""As much sound as the transcriber takes at once."""
SPEEDS = (0.87, 1.15)
"""That it learns from; a voice that is played faster is also higher."""
GAPS_MS = (20, 160)
"""Silence between two words of a line; films have 60."""
LOUDNESS = (0.15, 2.5)
MARGIN_MS = 300
"""Of silence before the first word and behind the last, at most, if the window has room."""
SILENCE = 0
"""The number of no word; a word's is its place in VOCABULARY, from one on."""
COLOURED = {"white": 0.0, "light": 0.25, "pink": 0.5, "dark": 0.75, "brown": 1.0}
"""Noises by how fast their amplitude falls with the frequency: as its power of so much."""
UNHEARD_NOISE = "pink"
NOISES = (*(noise for noise in COLOURED if noise != UNHEARD_NOISE), "hum", "others")
"""That it learns from: those, one tone, and other people."""


@dataclass(frozen=True)
class Manner:
    """How a line is said and heard."""

    voice: str
    speed: float = 1.0
    gap_ms: int = speech.GAP_MS
    loudness: float = 1.0
    noise: str | None = None
    decibels: float = 30.0
    """Of the speech over the noise."""


@dataclass(frozen=True)
class Said:
    """A word and when it is said, in milliseconds."""

    word: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True)
class Heard:
    """A window of sound (float32 at 16 kHz) and the lines in it, each as its words."""

    sound: Sound
    lines: tuple[tuple[Said, ...], ...]


def random_text(rng: np.random.Generator) -> str:
    """A line as films have them, or, in a third of the cases, any words in any order: words are to be heard."""
    if rng.random() < 0.33:
        return " ".join(VOCABULARY[i] for i in rng.integers(len(VOCABULARY), size=int(rng.integers(1, 9))))
    lines: Sequence[str] = (
        *speech.BRAND_LINES, speech.PRICE_LINE, speech.NUMBER_LINE, speech.WISH_LINE, speech.TRIP_LINE,
        *speech.DESCRIPTION_LINES, *speech.NARRATOR_FILLERS[::2], *speech.PEOPLE_FILLERS[::2],
    )  # fmt: skip
    if rng.random() < 0.25:
        lines = (*speech.NARRATOR_FILLERS, *speech.PEOPLE_FILLERS)
    names = {"brand": [b.lower() for b in speech.BRANDS], "thing": THINGS, "number": speech.NUMBERS}
    names |= {"colour": COLOURS, "place": PLACES, "shape": SHAPES, "hat": HATS}
    drawn = {name: values[int(rng.integers(len(values)))] for name, values in names.items()}
    return lines[int(rng.integers(len(lines)))].format(**drawn)


def random_manner(rng: np.random.Generator, voices: Sequence[str]) -> Manner:
    """One of the manners that the transcriber learns from; many of them without noise, as films are."""
    low, high = np.log(LOUDNESS)
    return Manner(
        voice=voices[int(rng.integers(len(voices)))],
        speed=float(rng.uniform(*SPEEDS)) if rng.random() < 0.8 else 1.0,
        gap_ms=int(rng.integers(*GAPS_MS)) if rng.random() < 0.5 else speech.GAP_MS,
        loudness=float(np.exp(rng.uniform(low, high))),
        noise=NOISES[int(rng.integers(len(NOISES)))] if rng.random() < 0.6 else None,
        decibels=float(rng.uniform(6, 30)),
    )


def random_window(rng: np.random.Generator, recorded: Mapping[str, Samples], voices: Sequence[str]) -> Heard:
    """A window with one line or two, seldom none, in one manner."""
    count = int(rng.choice([0, 1, 2], p=[0.04, 0.56, 0.4]))
    manner = random_manner(rng, voices)
    if not count and manner.noise == "others":
        manner = replace(manner, noise="white")  # of other people alone it could not be told that they do not count
    return hear([random_text(rng) for _ in range(count)], manner, recorded, rng)


def hear(texts: Sequence[str], manner: Manner, recorded: Mapping[str, Samples], rng: np.random.Generator) -> Heard:
    """Lines, one after the other as far as they fit, in a window of WINDOW_MS; where in it is left to chance."""
    total = WINDOW_MS * RATE // 1000
    sound = np.zeros(total, np.float32)
    at = int(rng.integers(MARGIN_MS * RATE // 1000))
    lines: list[tuple[Said, ...]] = []
    for text in texts:
        samples, said = say(text, manner, recorded)
        if at + len(samples) > total and (lines or len(samples) > total):
            break
        at = min(at, total - len(samples))
        sound[at : at + len(samples)] += samples
        offset_ms = at * 1000 // RATE
        lines.append(tuple(replace(w, start_ms=w.start_ms + offset_ms, end_ms=w.end_ms + offset_ms) for w in said))
        at += len(samples) + int(rng.integers(RATE // 2, 3 * RATE // 2))
    if manner.noise:
        sound += noise(manner, total, recorded, rng)
    return Heard(np.clip(sound * manner.loudness, -1, 1).astype(np.float32), tuple(lines))


def say(text: str, manner: Manner, recorded: Mapping[str, Samples]) -> tuple[Sound, tuple[Said, ...]]:
    """A line in a manner, without noise, and when its words are said from its start."""
    gap = np.zeros(manner.gap_ms * RATE // 1000, np.float32)
    parts: list[Sound] = []
    said: list[Said] = []
    at = 0
    for word in speech.words(text):
        first, count = clips(manner.voice)[word]
        samples = at_speed(as_sound(recorded[manner.voice][first : first + count]), manner.speed)
        said.append(Said(word, at * 1000 // RATE, (at + len(samples)) * 1000 // RATE))
        parts += [samples, gap]
        at += len(samples) + len(gap)
    return np.concatenate(parts[:-1]), tuple(said)


def as_sound(samples: Samples) -> Sound:
    """16-bit samples as numbers from -1 to 1."""
    return samples.astype(np.float32) / np.float32(32_768)


def at_speed(samples: Sound, speed: float) -> Sound:
    """Sound played so many times as fast."""
    if speed == 1.0:
        return samples
    times = np.arange(0, len(samples) - 1, speed)
    return np.asarray(np.interp(times, np.arange(len(samples)), samples), np.float32)


def noise(manner: Manner, count: int, recorded: Mapping[str, Samples], rng: np.random.Generator) -> Sound:
    """Noise of a kind, as loud as the manner says under speech of the usual loudness."""
    if manner.noise == "others":
        other = recorded[[voice for voice in recorded if voice != manner.voice][int(rng.integers(len(recorded) - 1))]]
        first = int(rng.integers(len(other) - count))
        kind = other[first : first + count].astype(np.float32)
    elif manner.noise == "hum":
        tone = rng.uniform(50, 400) * 2 * np.pi / RATE * np.arange(count)
        kind = (np.sin(tone) + 0.5 * np.sin(2 * tone) + 0.25 * np.sin(3 * tone)).astype(np.float32)
    else:
        exponent = COLOURED[str(manner.noise)]
        spectrum = np.fft.rfft(rng.standard_normal(count).astype(np.float32))
        kind = np.fft.irfft(spectrum / np.maximum(1, np.arange(len(spectrum))) ** exponent, count).astype(np.float32)
    wanted = USUAL / 10 ** (manner.decibels / 20)
    scale = wanted / max(1e-9, float(np.sqrt(np.mean(kind**2))))
    return np.asarray(kind * scale, np.float32)


USUAL = 3_000 / 32_768
"""Root mean square of every recorded word (voices/make.py)."""


def frames(heard: Heard, count: int) -> npt.NDArray[np.int64]:
    """Which word is said at each of `count` moments evenly spread over the window, by its number."""
    labels = np.full(count, SILENCE, np.int64)
    for said in (word for line in heard.lines for word in line):
        first, end = (round(ms * count / WINDOW_MS - 0.5) for ms in (said.start_ms, said.end_ms))
        labels[max(0, first) : max(first + 1, end)] = 1 + NUMBER[said.word]
    return labels


NUMBER = {word: number for number, word in enumerate(VOCABULARY)}
