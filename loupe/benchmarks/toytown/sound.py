"""What a film sounds like: the words of each line, one after the other, over silence."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from loupe.benchmarks.toytown.speech import GAP_MS, RATE, Line, clips, words

Samples = npt.NDArray[np.int16]
"""Mono sound at 16 kHz."""


def say(text: str, voice: str, recorded: Samples) -> Samples:
    """A line in a voice; `recorded` is all of that voice's file."""
    gap = np.zeros(GAP_MS * RATE // 1000, np.int16)
    parts: list[Samples] = []
    for word in words(text):
        first, count = clips(voice)[word]
        parts += [recorded[first : first + count], gap]
    return np.concatenate(parts[:-1])


def soundtrack(
    lines: Sequence[Line], voices: Mapping[str, Samples], duration_ms: int, block: int = RATE
) -> Iterator[Samples]:
    """A film's sound in blocks of that many samples; the last may be shorter. Lines are in order and apart."""
    total = duration_ms * RATE // 1000
    coming = iter(lines)
    line = next(coming, None)
    at, spoken = 0, np.zeros(0, np.int16)
    for start in range(0, total, block):
        samples = np.zeros(min(block, total - start), np.int16)
        while True:
            if at + len(spoken) > start:
                _add(samples, start, spoken, at)
            if line is None or line.start_ms * RATE // 1000 >= start + len(samples):
                break
            at, spoken = line.start_ms * RATE // 1000, say(line.text, line.voice, voices[line.voice])
            line = next(coming, None)
        yield samples


def _add(samples: Samples, start: int, spoken: Samples, at: int) -> None:
    """Write what of a line falls into a block."""
    first, end = max(start, at), min(start + len(samples), at + len(spoken))
    if first < end:
        samples[first - start : end - start] = spoken[first - at : end - at]
