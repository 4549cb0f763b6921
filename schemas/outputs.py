"""What models must emit. Field order is the order in which a model writes them."""

from functools import cache
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

NAMES_AT_MOST = 16
"""Entries of one list field: a bound keeps a looping model from filling its token limit."""


class Output(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    @cache
    def json_schema(cls) -> dict[str, Any]:
        """What a reply must satisfy; the same object each time, to be read only."""
        return cls.model_json_schema()


class FrameCaption(Output):
    """One frame in words."""

    caption: str = Field(min_length=1, max_length=1000)
    subjects: list[str] = Field(max_length=NAMES_AT_MOST)
    actions: list[str] = Field(max_length=NAMES_AT_MOST)
    place: str = Field(max_length=200)
    objects: list[str] = Field(max_length=NAMES_AT_MOST)
    on_screen_text: list[str] = Field(max_length=NAMES_AT_MOST)

    def searchable_text(self) -> str:
        """What is embedded and indexed for full text: every field, in a fixed order."""
        named = (
            ("subjects", self.subjects),
            ("actions", self.actions),
            ("place", [self.place] if self.place else []),
            ("objects", self.objects),
            ("text", self.on_screen_text),
        )
        return " ".join([self.caption, *(f"{name}: {', '.join(values)}." for name, values in named if values)])


class ChunkSummary(Output):
    """One chunk (a minute) of a film, from its captions and spoken lines."""

    summary: str = Field(min_length=1, max_length=2000)


class LogEntry(Output):
    """One line of a log, in seconds from the film's first frame."""

    start: float = Field(ge=0)
    end: float = Field(ge=0)
    text: str = Field(min_length=1, max_length=500)


class VideoSummary(Output):
    """A whole film: its global summary and its three logs."""

    summary: str = Field(min_length=1, max_length=4000)
    characters: list[LogEntry] = Field(max_length=64)
    events: list[LogEntry] = Field(max_length=64)
    scenes: list[LogEntry] = Field(max_length=64)


class FrameAnswer(Output):
    """What a VLM says to a question about some frames."""

    reasoning: str = Field(max_length=4000)
    answer: str = Field(min_length=1, max_length=1000)


class Doubt(Output):
    """What a critic wants to see before it judges an answer."""

    search: str = Field(min_length=1, max_length=300)
    """A phrase to search captions for: what the film would show elsewhere if the answer were wrong."""
    question: str = Field(min_length=1, max_length=1000)
    """For the VLM, about the frames of the evidence and those that the search finds."""


class Verdict(Output):
    """What a critic makes of an answer; the reasons come before the number that they lead to."""

    possible_errors: list[str] = Field(max_length=8)
    suggestion: str = Field(max_length=1000)
    confidence: float = Field(ge=0, le=1)
