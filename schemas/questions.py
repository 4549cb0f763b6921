"""A question about films, and what its answer looks like on disk."""

import hashlib
import json
from collections.abc import Iterable
from typing import Any, Literal, Self

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

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
    """One question. `answer`, where it is known, goes by `answer_type`, and is `UNANSWERABLE` where it has none.

    - choice: the letter of the right option, A for the first;
    - spans: a JSON list of [start, end] in seconds, in order of time;
    - number: a whole number in digits;
    - text: the words themselves.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    question_id: str = Field(min_length=1)
    video: str | tuple[str, ...] | None = None
    """The video_id (the path below the library's root) or URI of a film; several; None asks the whole library."""
    question: str = Field(min_length=1)
    capability: str = ""
    answer_type: AnswerType = "text"
    options: tuple[str, ...] = Field(default=(), max_length=len(LETTERS))
    answer: str | None = None
    """None where nobody knows it."""
    relevant_times: tuple[Span, ...] = ()
    """Where the film shows or says what the answer rests on."""
    answerable: bool = True
    """Where it is not said, it follows from the answer."""
    before_ms: int | None = Field(default=None, gt=0)
    """Only what lies before this time of the film may be used."""

    @model_validator(mode="before")
    @classmethod
    def _what_follows_is_not_asked_for(cls, row: Any) -> Any:
        if not isinstance(row, dict):
            return row
        known = {name: value for name, value in row.items() if value is not None}
        follows = {"answerable": row.get("answer") != UNANSWERABLE}
        return follows | ({"answer_type": "choice"} if row.get("options") else {}) | known

    @field_validator("video", mode="before")
    @classmethod
    def _several_videos(cls, value: Any) -> Any:
        """As `as_row` and a CSV file write them."""
        return json.loads(value) if isinstance(value, str) and value.startswith('["') else value

    @field_validator("answer", mode="before")
    @classmethod
    def _answer_as_text(cls, value: Any) -> Any:
        """Numbers and spans may stand in JSON as what they are."""
        return value if value is None or isinstance(value, str) else json.dumps(value)

    @model_validator(mode="after")
    def _answer_is_of_its_type(self) -> Self:
        if (self.answer_type == "choice") != (len(self.options) > 1):
            raise ValueError("a choice has options, and nothing else has")
        if self.answer is None:
            return self
        if (self.answer == UNANSWERABLE) == self.answerable:
            raise ValueError(f"an unanswerable question has the answer {UNANSWERABLE!r}, and no other has")
        if self.answerable:
            self.value()
        return self

    @property
    def videos(self) -> tuple[str, ...]:
        """The films that it names; none for the whole library."""
        return (self.video,) if isinstance(self.video, str) else self.video or ()

    def value(self) -> str | int | list[tuple[float, float]]:
        """The answer read: an option's text, a number, spans in seconds, or text. Raises ValueError if it is none."""
        if self.answer is None:
            raise ValueError("the answer is not known")
        if self.answer_type == "choice":
            if len(self.answer) != 1 or self.answer not in LETTERS[: len(self.options)]:
                raise ValueError(f"{self.answer!r} is the letter of none of {len(self.options)} options")
            return self.options[LETTERS.index(self.answer)]
        if self.answer_type == "number":
            return int(self.answer)
        if self.answer_type == "spans":
            return [(float(start), float(end)) for start, end in json.loads(self.answer)]
        return self.answer

    def asked_hash(self) -> str:
        """A short hash of all that decides what is asked: an answer is one to this, whatever the question_id."""
        asked = [self.question, self.answer_type, self.options, self.videos, self.before_ms]
        return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]

    def as_row(self) -> dict[str, Any]:
        """The question as a row of `QUESTIONS`; of a question about several films `video` is a JSON list."""
        row = self.model_dump()
        return row | {"video": json.dumps(self.video) if isinstance(self.video, tuple) else self.video}


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
        pa.field("before_ms", pa.int64()),
    ]
)


def as_table(questions: Iterable[Question]) -> pa.Table:
    """Rows of `QUESTIONS`."""
    return pa.Table.from_pylist([question.as_row() for question in questions], schema=QUESTIONS)
