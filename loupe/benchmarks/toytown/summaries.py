"""The true summaries of true captions: what a perfect summarizer would write, in one fixed grammar.

    Street with text BAKER: red round person with cap, blue square person with no hat — red person enters. Park: nobody.

A chunk's has one sentence a scene. A film's names every place, person and text once; its logs have one line a chunk.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from schemas.outputs import ChunkSummary, FrameCaption, LogEntry, VideoSummary

EVENTS = ("enters", "leaves", "picks up", "drops", "hands over", "jumps")
"""Actions that a summary tells; what people do all the time it leaves out."""
NOTHING = "Nothing is seen."
SCENE = re.compile(r"([A-Z][a-z]+)(?: with text ([A-Z, ]+))?: ([^:—.]+?)(?: — ([^:—.]+))?\.(?: |$)")
FILM = re.compile(r"^Places: (.*?)\. People: (.*?)\. Text: (.*?)\.$")
Part = tuple[float, float, str]
"""Start and end of a part in seconds, and its summary."""


@dataclass
class Scene:
    """A run of captions of one place; dicts keep names once, in order."""

    place: str
    texts: dict[str, None] = field(default_factory=dict)
    people: dict[str, None] = field(default_factory=dict)
    events: dict[str, None] = field(default_factory=dict)

    def __str__(self) -> str:
        texts = f" with text {', '.join(self.texts)}" if self.texts else ""
        events = f" — {', '.join(self.events)}" if self.events else ""
        return f"{self.place.capitalize()}{texts}: {', '.join(self.people) or 'nobody'}{events}."


def chunk_summary(captions: Iterable[FrameCaption]) -> ChunkSummary:
    """The summary of a chunk's captions in order of time."""
    scenes: list[Scene] = []
    for caption in captions:
        if not caption.place:
            continue  # the picture is black
        if not scenes or scenes[-1].place != caption.place:
            scenes.append(Scene(caption.place))
        scenes[-1].texts |= dict.fromkeys(caption.on_screen_text)
        scenes[-1].people |= dict.fromkeys(caption.subjects)
        scenes[-1].events |= dict.fromkeys(filter(_is_event, caption.actions))
    return ChunkSummary(summary=" ".join(map(str, scenes)) or NOTHING)


def _is_event(action: str) -> bool:
    return any(action.split(" person ")[1].startswith(event) for event in EVENTS)


def scenes_of(summary: str) -> list[Scene]:
    """The scenes that a chunk's summary tells; what is not in the grammar is passed over."""
    return [
        Scene(place.lower(), *(dict.fromkeys(_names(names)) for names in (texts, people, events)))
        for place, texts, people, events in SCENE.findall(summary)
    ]


def video_summary(parts: Sequence[Part]) -> VideoSummary:
    """The summary and logs of consecutive chunks, or of parts that are such summaries (without logs)."""
    places: dict[str, None] = {}
    people: dict[str, None] = {}
    texts: dict[str, None] = {}
    logs: dict[str, list[LogEntry]] = {"characters": [], "events": [], "scenes": []}
    for start, end, part in parts:
        if film := FILM.match(part):
            for names, found in zip((places, people, texts), film.groups(), strict=True):
                names |= dict.fromkeys(_names(found))
            continue
        scenes = scenes_of(part)
        for scene in scenes:
            places |= {scene.place: None}
            people |= scene.people
            texts |= scene.texts
        named = {
            "characters": [name for scene in scenes for name in scene.people],
            "events": [name for scene in scenes for name in scene.events],
            "scenes": [scene.place for scene in scenes],
        }
        for log, names_said in named.items():
            if names_said:
                logs[log].append(LogEntry(start=start, end=end, text=", ".join(dict.fromkeys(names_said))))
    summary = f"Places: {_list(places)}. People: {_list(people)}. Text: {_list(texts)}."
    return VideoSummary(summary=summary, **logs)


def _names(value: str) -> list[str]:
    return [name for name in value.split(", ") if name and name not in ("nobody", "none")]


def _list(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
