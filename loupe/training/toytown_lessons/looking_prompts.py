"""What stands in a prompt of the policy `active_perception`, in the prompt set `tiny`, and what a percept shows."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from loupe.agent.footage import FilmFile
from loupe.benchmarks.toytown.captions import caption
from loupe.benchmarks.toytown.places import HEIGHT, WIDTH
from loupe.benchmarks.toytown.screenplay import FPS, Film
from loupe.engines.protocol import RequestError
from loupe.timeline import linspace_ms
from loupe.training.toytown_lessons.oracle_prompts import NOTE, OPTION, Done, done_of, text_of
from schemas.messages import Message

OPENING = re.compile(r"Film 1\. ([\d.]+) s, .*?\.\n\nQuestion: (.*?)\n(.*?)\nStep 1 of (\d+)\.(.*)", re.DOTALL)


@dataclass(frozen=True)
class Explored:
    """A prompt: the question, and what was done so far."""

    seconds: float
    steps: int
    """Of the whole question."""
    question: str
    options: tuple[str, ...]
    done: tuple[Done, ...]

    @classmethod
    def of(cls, messages: Sequence[Message]) -> "Explored":
        """Read a prompt. Raises RequestError for one that cannot be followed."""
        _, opening, *chat = messages
        found = OPENING.fullmatch(text_of(opening))
        if not found:
            raise RequestError("the prompt does not begin with a film and a question")
        options = tuple(text for _, text in OPTION.findall(found[3]))
        return cls(float(found[1]), int(found[4]), found[2], options, done_of(chat, NOTE.findall(found[5]), 1))


def percept_of(film: Film, action: dict[str, Any], result: str) -> str:
    """What frames show, a line each as a search would tell them, and what was heard."""
    shown = [line_of(film, ts_ms) for ts_ms in times_of(film, action)] if action["tool"] in ("look", "watch") else []
    return "\n".join([*shown, result])


def times_of(film: Film, action: dict[str, Any]) -> list[int]:
    """When the frames of a look are."""
    start, end = (min(round(1000 * action[name]), film.duration_ms) for name in ("start", "end"))
    return [min(ts_ms, film.duration_ms - 1) for ts_ms in linspace_ms(start, end, action["frames"])]


def line_of(film: Film, ts_ms: int) -> str:
    """A frame in words: place, sign, people, what they do."""
    true = caption(film.still(ts_ms / 1000))
    parts = (true.place, ", ".join(true.on_screen_text), ", ".join(true.subjects), ", ".join(true.actions))
    return f"[{ts_ms / 1000:.1f}] {'; '.join(parts)}"


def file_of(film: Film) -> FilmFile:
    """What the file of a film would say of itself."""
    return FilmFile(f"toytown:{film.name}", "", 0, WIDTH, HEIGHT, float(FPS), has_audio=True)
