"""What stands in a prompt of the agent, read from the prompt set `tiny`: all that an oracle reasoner knows."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from loupe.engines.protocol import ChatRequest, RequestError
from schemas.messages import Image, Message, Text

OPENING = re.compile(r"<film>\n\d+\. ([\d.]+) s\. (.*?)\n</film>\s+Question: (.*?)\n(.*)", re.DOTALL)
OPTION = re.compile(r"^([A-J])\. (.+)$", re.MULTILINE)
LINE = re.compile(r"^\[(\d+\.\d)(?:-(\d+\.\d))?\](?: -?\d\.\d\d)?(?: x(\d+))? (.*)$", re.MULTILINE)
PLACE = re.compile(r"^(\d+\.\d)(?:-(\d+\.\d))?: (\d+) hits?", re.MULTILINE)
VLM = re.compile(r"<vlm>\n(.*)\. (.*?)\n</vlm>", re.DOTALL)


@dataclass(frozen=True)
class Line:
    """A hit of a search: from when to when in seconds, how many frames, what is said there."""

    start: float
    end: float
    count: int
    text: str


@dataclass(frozen=True)
class Said:
    """A turn that stands in a prompt, and what came back."""

    observation: str
    action: dict[str, Any]
    result: str


@dataclass(frozen=True)
class Seen:
    """A prompt of the reasoner."""

    question: str
    options: tuple[str, ...]
    summary: str
    turns: tuple[Said, ...]

    @classmethod
    def of(cls, messages: Sequence[Message]) -> "Seen":
        """Read a prompt. Raises RequestError for one that cannot be followed."""
        _, opening, *chat = messages
        found = OPENING.fullmatch(text_of(opening))
        if not found:
            raise RequestError("the prompt does not begin with a film and a question")
        said = [_said(text_of(turn), text_of(result)) for turn, result in zip(chat[::2], chat[1::2], strict=True)]
        if said and said[0].action["tool"] != "note_cues":
            raise RequestError("the prompt has lost its first turns")
        return cls(found[3], tuple(text for _, text in OPTION.findall(found[4])), found[2], tuple(said))

    @cached_property
    def places(self) -> list[str]:
        """Places, in the order in which the film first shows them."""
        return self._named("Places")

    @cached_property
    def signs(self) -> list[str]:
        """Words of signs, in the order in which the film first shows them; none where the summary was cut."""
        return self._named("Text")

    def _named(self, title: str) -> list[str]:
        found = re.search(rf"{title}: (.*?)\.(?: |$)", self.summary)
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


def seen_by_vlm(result: str) -> str:
    """The answer of the VLM in a result; empty where there is none."""
    found = VLM.search(result)
    return found[2] if found else ""


def _said(turn: str, result: str) -> Said:
    told = json.loads(turn)
    return Said(told.get("observation", ""), told["action"], result)
