"""A question about a film, and what its answer looks like on disk."""

import json
from typing import Any, Literal, Self

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, model_validator

UNANSWERABLE = "unanswerable"
"""The answer where the film does not answer the question."""
LETTERS = "ABCDEFGHIJ"

AnswerType = Literal["choice", "spans", "number", "text"]


class Span(BaseModel):
    """A stretch of a film."""

    model_config = ConfigDict(frozen=True)

    start_ms: int = Field(ge=0)
    end_ms: int

    @model_validator(mode="after")
    def _ends_after_it_starts(self) -> Self:
        if self.end_ms <= self.start_ms:
            raise ValueError(f"a span ends after it starts, not {self.start_ms}-{self.end_ms} ms")
        return self


class Question(BaseModel):
    """One question. `answer` goes by `answer_type`, and is `UNANSWERABLE` where `answerable` is false.

    - choice: the letter of the right option, A for the first;
    - spans: a JSON list of [start, end] in seconds, in order of time;
    - number: a whole number in digits;
    - text: the words themselves.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    question_id: str = Field(min_length=1)
    video: str = Field(min_length=1)
    """The video_id: the path below the library's root."""
    question: str = Field(min_length=1)
    capability: str
    answer_type: AnswerType
    options: tuple[str, ...] = ()
    answer: str
    relevant_times: tuple[Span, ...] = ()
    """Where the film shows or says what the answer rests on."""
    answerable: bool = True

    @model_validator(mode="after")
    def _answer_is_of_its_type(self) -> Self:
        if (self.answer_type == "choice") != (len(self.options) > 1):
            raise ValueError("a choice has options, and nothing else has")
        if (self.answer == UNANSWERABLE) == self.answerable:
            raise ValueError(f"an unanswerable question has the answer {UNANSWERABLE!r}, and no other has")
        if self.answerable:
            self.value()
        return self

    def value(self) -> str | int | list[tuple[float, float]]:
        """The answer read: an option's text, a number, spans in seconds, or text. Raises ValueError if it is none."""
        if self.answer_type == "choice":
            if len(self.answer) != 1 or self.answer not in LETTERS[: len(self.options)]:
                raise ValueError(f"{self.answer!r} is the letter of none of {len(self.options)} options")
            return self.options[LETTERS.index(self.answer)]
        if self.answer_type == "number":
            return int(self.answer)
        if self.answer_type == "spans":
            return [(float(start), float(end)) for start, end in json.loads(self.answer)]
        return self.answer

    def as_row(self) -> dict[str, Any]:
        """The question as a row of `QUESTIONS`."""
        return self.model_dump()


QUESTIONS = pa.schema(
    [
        pa.field("question_id", pa.string(), nullable=False),
        pa.field("video", pa.string()),
        pa.field("question", pa.string()),
        pa.field("capability", pa.string()),
        pa.field("answer_type", pa.string()),
        pa.field("options", pa.list_(pa.string())),
        pa.field("answer", pa.string()),
        pa.field("relevant_times", pa.list_(pa.struct([("start_ms", pa.int64()), ("end_ms", pa.int64())]))),
        pa.field("answerable", pa.bool_()),
    ]
)
