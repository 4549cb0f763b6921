"""From the sound of a film to the lines that are said in it.

A transcriber is given speech alone: what it makes of silence and music is invented, and costs as much as speech.
Where somebody speaks is told by a model (loupe/voices.py); by loudness alone it could not be: music and engines are as
loud as voices.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from loupe import voices
from loupe.engines.speech import RATE, Spoken, Transcriber
from loupe.sound import Sound

SURE, UNSURE = 0.5, 0.35
"""Speech begins where the model is so sure of it, and ends where it is no longer half sure (Silero's own numbers)."""
PAUSE_MS = 400
"""Within a stretch of speech, at most; word gaps and breath are shorter."""
SHORTEST_MS = 150
"""Of what counts as speech."""
MARGIN_MS = 120
"""Of sound that is kept on both sides of speech: first and last consonants are faint."""
TOGETHER_MS = 1_000
"""Stretches that are closer go to the transcriber together, if they fit into its window."""
EDGE_MS = 8_000
"""Behind a chunk's border, in which the quiet moment is looked for; seldom does anybody speak longer in one breath."""
CHOSEN_BY = (
    SURE, UNSURE, PAUSE_MS, SHORTEST_MS, MARGIN_MS, TOGETHER_MS, EDGE_MS, voices.SILENT, voices.PEAK, voices.GAIN,
)  # fmt: skip
"""All that decides which stretches a transcriber is given: a part of the lineage of what it hears."""


@dataclass(frozen=True)
class Stretch:
    """A part of some sound, in samples."""

    start: int
    end: int


@dataclass(frozen=True)
class Heard:
    """What a transcriber made of some sound, and what it was asked for."""

    lines: tuple[Spoken, ...] = ()
    requests: int = 0
    """Stretches that it was given."""
    seconds: float = 0.0
    """Of sound in them."""


async def transcribe(sound: Sound, offset_ms: int, transcriber: Transcriber) -> list[Spoken]:
    """The lines said in a sound that begins at `offset_ms`, in order of time. Raises EngineError."""
    return list((await listen(sound, offset_ms, transcriber)).lines)


async def listen(sound: Sound, offset_ms: int, transcriber: Transcriber) -> Heard:
    """The same with what it took."""
    parts = await asyncio.to_thread(lambda: windows(sound, speech(sound), transcriber.window_ms))
    if not parts:
        return Heard()
    heard = await transcriber.transcribe([sound[part.start : part.end] for part in parts])
    pairs = zip(parts, heard, strict=True)
    lines = [_moved(line, part, offset_ms) for part, lines in pairs for line in lines if line.text]
    return Heard(tuple(lines), len(parts), sum(part.end - part.start for part in parts) / RATE)


def _moved(line: Spoken, part: Stretch, offset_ms: int) -> Spoken:
    """A line in the time of the film, within its stretch: models name times beyond the end now and then."""
    start_ms, end_ms = part.start * 1000 // RATE, part.end * 1000 // RATE
    begins = min(max(start_ms + line.start_ms, start_ms), end_ms)
    return Spoken(offset_ms + begins, offset_ms + min(max(start_ms + line.end_ms, begins), end_ms), line.text)


def speech(sound: Sound) -> list[Stretch]:
    """Where somebody speaks, with a margin; in order, apart from each other."""
    found: list[Stretch] = []
    start: int | None = None
    for number, sure in enumerate([*voices.likelihoods(sound), 0.0]):
        if start is None and sure >= SURE:
            start = number
        elif start is not None and sure < UNSURE:
            found.append(Stretch(start * voices.STEP, number * voices.STEP))
            start = None
    joined = _joined(found, lambda before, after: after.start - before.end <= PAUSE_MS * RATE // 1000)
    long_enough = [each for each in joined if each.end - each.start >= SHORTEST_MS * RATE // 1000]
    margin = MARGIN_MS * RATE // 1000
    return [Stretch(max(0, each.start - margin), min(len(sound), each.end + margin)) for each in long_enough]


def windows(sound: Sound, stretches: Sequence[Stretch], window_ms: int) -> list[Stretch]:
    """Stretches that fit into a window: neighbours together, and long ones cut where they are quietest."""
    longest = window_ms * RATE // 1000
    short: list[Stretch] = []
    for each in stretches:
        while each.end - each.start > longest:
            cut = quietest(sound, each.start + longest // 2, each.start + longest)
            short.append(Stretch(each.start, cut))
            each = Stretch(cut, each.end)
        short.append(each)
    near = TOGETHER_MS * RATE // 1000
    return _joined(
        short, lambda before, after: after.start - before.end <= near and after.end - before.start <= longest
    )


def quietest(sound: Sound, start: int, end: int) -> int:
    """The sample in the middle of the quietest fifth of a second in [start, end)."""
    width = RATE // 5
    loud = np.concatenate([[0.0], np.cumsum(sound[start:end].astype(np.float64) ** 2)])
    if len(loud) <= width:
        return (start + end) // 2
    return start + int((loud[width:] - loud[:-width]).argmin()) + width // 2


def _joined(stretches: Sequence[Stretch], belong: Callable[[Stretch, Stretch], bool]) -> list[Stretch]:
    """Stretches with those joined that belong together."""
    joined: list[Stretch] = []
    for each in stretches:
        if joined and belong(joined[-1], each):
            joined[-1] = Stretch(joined[-1].start, each.end)
        else:
            joined.append(each)
    return joined
