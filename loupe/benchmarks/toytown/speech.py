"""What is said in toytown: the spoken grammar, its vocabulary, and how long a line takes.

Sign words are spoken as brands and nothing else: no other line uses one, so that "never spoken" has one meaning.
BOOK and MARKET are also the names of a thing and of a place; they are shown on signs but never used as brands.
"""

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from loupe.benchmarks.toytown.world import COLOURS, HATS, PLACES, SHAPES, SIGN_WORDS, THINGS

VOICES = ("narrator", "low", "high")
"""The narrator's voice, and the two that people have."""
TEACHERS = ("bass", "alto")
"""Voices that no film has: a transcriber learns from them too."""
STRANGER = "stranger"
"""A voice that no transcriber ever learned from."""
FOLDER = Path(__file__).parent / "voices"
RATE = 16_000
"""Samples a second."""
GAP_MS = 60
"""Silence between two words of a line."""

NUMBERS = (
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
    "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
)  # fmt: skip
BRANDS = tuple(word for word in SIGN_WORDS if word.lower() not in (*THINGS, *PLACES))

BRAND_LINES = ("buy it at the {brand}", "everybody loves the {brand}", "never miss the {brand}", "ask for the {brand}")
PRICE_LINE = "the {thing} costs {number} coins"
NUMBER_LINE = "i am the {colour} person and my number is {number}"
WISH_LINE = "i am the {colour} person and i want the {thing}"
TRIP_LINE = "i am the {colour} person and i come from the {place}"
"""Each fact of these four is said once a film at most."""
DESCRIPTION_LINES = ("look at the {shape} person with {hat}", "here is a {shape} person with {hat}")
NARRATOR_FILLERS = (
    "what a lovely day this is", "nobody knows what comes next", "now let us see", "time goes by so fast",
    "and so the story begins", "things will change soon", "this was not easy", "listen to the wind",
)  # fmt: skip
PEOPLE_FILLERS = (
    "hello my friend", "good morning to you", "please wait for me", "see you later", "thank you very much",
    "where are they going", "i think so too", "that is a good idea", "can you help me", "yes of course",
)  # fmt: skip


def _vocabulary() -> tuple[str, ...]:
    """Every word that can be said, once, in a fixed order."""
    lines = [*BRAND_LINES, PRICE_LINE, NUMBER_LINE, WISH_LINE, TRIP_LINE, *DESCRIPTION_LINES]
    lines += [*NARRATOR_FILLERS, *PEOPLE_FILLERS]
    names = (*COLOURS, *SHAPES, *HATS, *PLACES, *THINGS, *NUMBERS, *(word.lower() for word in SIGN_WORDS))
    return tuple(sorted({word for text in (*lines, *names) for word in words(re.sub(r"{\w+}", "", text))}))


def words(text: str) -> list[str]:
    """The words of a line, as the voices know them."""
    return re.findall(r"[a-z]+", text.lower())


@dataclass(frozen=True)
class Line:
    """Something said. `speaker` is "narrator" or a person's colour; times in milliseconds from the film's start."""

    start_ms: int
    end_ms: int
    speaker: str
    voice: str
    text: str


@cache
def clips(voice: str) -> dict[str, tuple[int, int]]:
    """Where each word lies in a voice's file, as (first sample, samples) at 16 kHz."""
    index = json.loads((FOLDER / f"{voice}.json").read_text())
    return {word: (first, count) for word, (first, count) in index.items()}


def duration_ms(text: str, voice: str) -> int:
    """How long a voice takes to say a line."""
    spoken = [clips(voice)[word][1] * 1000 // RATE for word in words(text)]
    return sum(spoken) + GAP_MS * (len(spoken) - 1)


VOCABULARY = _vocabulary()
