"""Sound as a file, for engines behind an address."""

import io
import wave

import numpy as np

from loupe.engines.speech import RATE
from loupe.sound import Sound


def wav(sound: Sound) -> bytes:
    """Sound as a WAV file, 16 bits."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes((np.clip(sound, -1, 1) * 32_767).astype("<i2").tobytes())
    return file.getvalue()
