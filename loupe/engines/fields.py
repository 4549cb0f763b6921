"""Summaries without a model, put together from the fields that captions name: free, instant, and always true to them.

What a summarizer writes is asked for by the same requests as of any model (loupe/summarizing.py); this engine reads
the lines inside them, `[12.0] caption subjects: ... place: ...`, and answers in one grammar:

    Street with text BAKER: red round person with cap — red person enters, red person waves. Kitchen: nobody.

It knows no language: names that differ in a word are different names to it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from loupe.engines.protocol import ChatRequest, EngineError
from schemas.messages import Text
from schemas.outputs import ChunkSummary, LogEntry, VideoSummary

MOMENT = re.compile(r"^\[(\d+\.\d)\] (?!spoken: )(.*)$", re.MULTILINE)
PART = re.compile(r"^\[(\d+\.\d)-(\d+\.\d)\] (.*)$", re.MULTILINE)
FIELD = re.compile(r" (subjects|actions|place|objects|text): (.*?)\.(?= (?:subjects|actions|place|objects|text): |$)")
"""As FrameCaption.searchable_text writes them behind the sentence."""
SCENE = re.compile(r"([^:.—]+?)(?: with text ([^:—]+))?: ([^:—]+?)(?: — ([^:—]+?))?\.(?: |$)")
FILM = re.compile(r"^Places: (.*?)\. People: (.*?)\. Text: (.*?)\.$")
NOBODY, NOTHING = "nobody", "none"
ACTIONS_AT_MOST = 8
"""Of one scene in a chunk's summary."""
NAMES_AT_MOST = 24
"""In one list of a film's summary."""
LOG_AT_MOST = 64
"""Lines of one log: VideoSummary's own bound."""


@dataclass
class Scene:
    """A run of moments in one place; dicts keep names once, in order."""

    place: str
    texts: dict[str, None] = field(default_factory=dict)
    people: dict[str, None] = field(default_factory=dict)
    actions: dict[str, None] = field(default_factory=dict)

    def __str__(self) -> str:
        texts = f" with text {', '.join(self.texts)}" if self.texts else ""
        actions = f" — {', '.join(list(self.actions)[:ACTIONS_AT_MOST])}" if self.actions else ""
        return f"{self.place.capitalize()}{texts}: {', '.join(self.people) or NOBODY}{actions}."


def condense(request: ChatRequest) -> str:
    """The summary that a request asks for, as JSON. Raises EngineError for a request that is not for a summary."""
    text = "\n".join(part.text for message in request.messages for part in message.parts() if isinstance(part, Text))
    properties = (request.schema or {}).get("properties", {})
    if set(properties) == set(ChunkSummary.model_fields):
        return chunk_summary(text).model_dump_json()
    if set(properties) == set(VideoSummary.model_fields):
        return video_summary(text).model_dump_json()
    raise EngineError("the engine `fields` writes summaries and nothing else: give the role to a model")


def chunk_summary(text: str) -> ChunkSummary:
    """One sentence a scene, from the captions in a request's text."""
    scenes: list[Scene] = []
    for _, caption in MOMENT.findall(text):
        found = {name: _names(value) for name, value in FIELD.findall(caption)}
        place = ", ".join(found.get("place", []))
        if place and (not scenes or scenes[-1].place != place):  # named where it changes, and after black
            scenes.append(Scene(place))
        if not scenes:
            continue
        scenes[-1].texts |= dict.fromkeys(found.get("text", []))
        scenes[-1].people |= dict.fromkeys(found.get("subjects", []))
        scenes[-1].actions |= dict.fromkeys(found.get("actions", []))
    return ChunkSummary(summary=_cut(" ".join(map(str, scenes)) or "Nothing is named.", 2000))


def video_summary(text: str) -> VideoSummary:
    """Places, people and texts of the parts in a request's text, and a log of each."""
    places: dict[str, None] = {}
    people: dict[str, None] = {}
    texts: dict[str, None] = {}
    characters, events, scenes = [], [], []
    for start, end, part in ((float(a), float(b), part) for a, b, part in PART.findall(text)):
        if film := FILM.match(part):
            for names, found in zip((places, people, texts), film.groups(), strict=True):
                names |= dict.fromkeys(_names(found))
            continue
        for place, shown, who, acts in SCENE.findall(part):
            places |= {place.lower(): None}
            texts |= dict.fromkeys(_names(shown))
            people |= dict.fromkeys(_names(who))
            scenes.append(LogEntry(start=start, end=end, text=_cut(place.lower(), 500)))
            characters += [LogEntry(start=start, end=end, text=_cut(name, 500)) for name in _names(who)]
            events += [LogEntry(start=start, end=end, text=_cut(act, 500)) for act in _names(acts)]
    named = (f"{_list(names)}." for names in (places, people, texts))
    summary = " ".join(f"{title}: {names}" for title, names in zip(("Places", "People", "Text"), named, strict=True))
    return VideoSummary(
        summary=_cut(summary, 4000),
        characters=characters[:LOG_AT_MOST],
        events=events[:LOG_AT_MOST],
        scenes=scenes[:LOG_AT_MOST],
    )


def _names(value: str) -> list[str]:
    return [name for name in value.split(", ") if name and name not in (NOBODY, NOTHING)]


def _list(names: Iterable[str]) -> str:
    return ", ".join(list(names)[:NAMES_AT_MOST]) or NOTHING


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
