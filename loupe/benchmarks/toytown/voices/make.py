"""Makes the voice files beside it: every word of the vocabulary, spoken by espeak-ng. Needs espeak-ng and ffmpeg.

`PYTHONPATH=. python loupe/benchmarks/toytown/voices/make.py` from the repository's root. Films need only its output,
which is shipped.
"""

import json
import subprocess
import tempfile
import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt

from loupe.benchmarks.toytown.speech import FOLDER, RATE, VOCABULARY

ESPEAK = {
    "narrator": ("-v", "en-us", "-s", "150", "-p", "45"),
    "low": ("-v", "en-gb-scotland+m3", "-s", "160", "-p", "25"),
    "high": ("-v", "en-gb-x-rp+f3", "-s", "155", "-p", "65"),
    "bass": ("-v", "en-us+m7", "-s", "170", "-p", "30"),
    "alto": ("-v", "en-gb-x-gbclan+f4", "-s", "145", "-p", "50"),
    "stranger": ("-v", "en-us+f2", "-s", "165", "-p", "60"),
}
BETWEEN = RATE // 10
"""Silence between two words in a file: the codec smears a little over the edges."""


def main() -> None:
    for voice, options in ESPEAK.items():
        index, parts, at = {}, [np.zeros(BETWEEN, np.int16)], BETWEEN
        for word in VOCABULARY:
            samples = spoken(word, options)
            index[word] = (at, len(samples))
            parts += [samples, np.zeros(BETWEEN, np.int16)]
            at += len(samples) + BETWEEN
        command = ["ffmpeg", "-v", "error", "-y", "-f", "s16le", "-ar", str(RATE), "-ac", "1", "-i", "-"]
        command += ["-c:a", "libopus", "-b:a", "24k", "-application", "voip", "-bitexact"]
        subprocess.run([*command, str(FOLDER / f"{voice}.ogg")], input=np.concatenate(parts).tobytes(), check=True)
        (FOLDER / f"{voice}.json").write_text(json.dumps(index))


def spoken(word: str, options: tuple[str, ...]) -> npt.NDArray[np.int16]:
    """A word at 16 kHz without the silence around it, equally loud as every other, int16."""
    with tempfile.TemporaryDirectory() as folder:
        raw, resampled = str(Path(folder, "raw.wav")), str(Path(folder, "16k.wav"))
        subprocess.run(["espeak-ng", *options, "-w", raw, word], check=True)
        command = ["ffmpeg", "-v", "error", "-i", raw, "-ar", str(RATE), "-ac", "1", resampled]
        subprocess.run(command, check=True)
        with wave.open(resampled) as file:
            samples = np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float64)
    loud = np.flatnonzero(np.abs(samples) > 0.01 * np.abs(samples).max())
    samples = samples[loud[0] : loud[-1] + 1]
    edge = RATE // 200
    samples[:edge] *= np.linspace(0, 1, edge)
    samples[-edge:] *= np.linspace(1, 0, edge)
    level = samples * (3000 / np.sqrt(np.mean(samples**2)))
    return np.asarray(np.clip(np.round(level), -32768, 32767), np.int16)


if __name__ == "__main__":
    main()
