"""What stands in a prompt of the agent, read from the prompt set `tiny`: all that an oracle reasoner knows."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from loupe.engines.protocol import ChatRequest, RequestError
from schemas.messages import Image, Message, Text

OPENING = re.compile(
    r"(?:Film 1\. [^\n]*\n\n)?<film>\n\d+\. ([\d.]+) s\. (.*?)\n</film>\s+Question: (.*?)\n(.*)", re.DOTALL
)
OPTION = re.compile(r"^([A-J])\. (.+)$", re.MULTILINE)
LINE = re.compile(r"^\[(\d+\.\d)(?:-(\d+\.\d))?\](?: -?\d\.\d\d)?(?: x(\d+))? (.*)$", re.MULTILINE)
PLACE = re.compile(r"^(\d+\.\d)(?:-(\d+\.\d))?: (\d+) hits?", re.MULTILINE)
HITS = re.compile(r"^(\d+) hits\.$", re.MULTILINE)
NOTE = re.compile(r"^- (.+)$", re.MULTILINE)
OFF = "Not that."
"""What is noted of a turn that led nowhere."""
VLM = re.compile(r"<vlm>\n(.*)\. (.*?)\n</vlm>", re.DOTALL)


@dataclass(frozen=True)
class Line:
    """A hit of a search: from when to when in seconds, how many frames, what is said there."""

    start: float
    end: float
    count: int
    text: str


@dataclass(frozen=True)
class Done:
    """A turn that a prompt tells of: what was done, what came back, and what was noted of it in the turn after."""

    action: dict[str, Any] | None
    """None for one that has become a note."""
    result: str
    noted: str | None
    """None where the next turn is still to be taken."""


def done_of(chat: Sequence[Message], notes: Sequence[str], silent: int) -> tuple[Done, ...]:
    """The turns of a chat, those that have become notes before them. The first `silent` turns note nothing."""
    said = [json.loads(text_of(turn)) for turn in chat[::2]]
    results = [text_of(result) for result in chat[1::2]]
    told = [turn.get("observation", "") for turn in said]
    empty = next((number for number, note in enumerate(told) if note), silent)
    gone = len(notes) + silent - min(silent, empty)
    if not said:
        return ()
    noted = [*[""] * (min(gone, silent) - 1), *notes, *(told if gone else told[1:]), None]
    done = [Done(None, "", note) for note in noted[:gone]]
    return (*done, *(Done(turn["action"], *rest) for turn, *rest in zip(said, results, noted[gone:], strict=True)))


@dataclass(frozen=True)
class Seen:
    """A prompt of the reasoner."""

    seconds: float
    """Of the film."""
    question: str
    options: tuple[str, ...]
    summary: str
    done: tuple[Done, ...]

    @classmethod
    def of(cls, messages: Sequence[Message]) -> "Seen":
        """Read a prompt. Raises RequestError for one that cannot be followed."""
        _, opening, *chat = messages
        found = OPENING.fullmatch(text_of(opening))
        if not found:
            raise RequestError("the prompt does not begin with a film and a question")
        silent = 1 if text_of(opening).startswith("Film 1.") else 2  # the investigator does not begin with cues
        options = tuple(text for _, text in OPTION.findall(found[4]))
        return cls(float(found[1]), found[3], options, found[2], done_of(chat, NOTE.findall(found[4]), silent))

    @cached_property
    def signs(self) -> list[str]:
        """Words of signs, in the order in which the film first shows them; none where the summary was cut."""
        found = re.search(r"Text: (.*?)\.(?: |$)", self.summary)
        return found[1].split(", ") if found else []


def text_of(message: Message) -> str:
    """The words of a message."""
    return "".join(part.text for part in message.parts() if isinstance(part, Text))


def frames_of(request: ChatRequest) -> list[tuple[int, str]]:
    """Time in ms and film of every frame of a request, as the keys of its pictures say."""
    parts = [part for message in request.messages for part in message.parts()]
    keys = [str(part.key).rpartition("/")[0].rpartition("@") for part in parts if isinstance(part, Image)]
    return [(int(time), film) for film, _, time in keys]


def lines_of(result: str) -> list[Line]:
    """The hits of a search, in order of time."""
    lines = [Line(float(a), float(b or a), int(n or 1), text) for a, b, n, text in LINE.findall(result)]
    return sorted(lines, key=lambda line: (line.start, line.end))


def gathered(result: str) -> list[tuple[float, float, int]]:
    """Where hits of a search gather: start and end in seconds, and how many."""
    return [(float(a), float(b or a), int(n)) for a, b, n in PLACE.findall(result)]


def hits_of(result: str) -> int:
    """How many hits a search has."""
    found = HITS.search(result)
    return int(found[1]) if found else 0


def seen_by_vlm(result: str) -> str:
    """The answer of the VLM in a result; empty where there is none."""
    found = VLM.search(result)
    return found[2] if found else ""
