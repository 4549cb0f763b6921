"""A question, scored: the question and what a run made of it. Nothing that was asked is dropped."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loupe.scoring.answers import is_right, score
from loupe.scoring.relevance import Stretch, share_inside
from schemas.questions import Question

Row = Mapping[str, Any]

MISSING = "missing"
"""The status of a question that the answers do not hold."""
WITH_ANSWER = ("answered", "abstained")


LOOKED_COLUMNS = (
    "question_id",
    *(
        f"turns.list.element.{name}"
        for name in ("round", "media.list.element.ts_ms", "call.usage", "calls.list.element.usage")
    ),
)
"""What `Looked` reads of `traces/`."""


@dataclass(frozen=True)
class Looked:
    """What the scores need of a trace."""

    times_ms: tuple[int, ...]
    """Of the frames that tools looked at; the critic's are not among them."""
    review_tokens: int
    """Of the turns after an answer was sent back."""

    @classmethod
    def of(cls, trace: Row) -> "Looked":
        """From a row of `TRACES`."""
        turns = trace["turns"]
        again = [call for turn in turns if turn["round"] > 0 for call in (turn["call"], *turn["calls"])]
        return cls(
            times_ms=tuple(media["ts_ms"] for turn in turns for media in turn["media"]),
            review_tokens=sum(call["usage"]["prompt_tokens"] + call["usage"]["completion_tokens"] for call in again),
        )


@dataclass(frozen=True)
class Scored:
    """A row of `SCORES`, where each field is explained."""

    question_id: str
    transcript_id: str | None
    capability: str
    answer_type: str
    status: str
    true_answer: str | None
    answer: str | None
    answer_first: str | None
    confidence: float | None
    score: float | None
    right: bool | None
    right_first: bool | None
    reviewed: bool
    evidence_inside: float | None
    looked_inside: float | None
    found: bool | None
    turns: int
    prompt_tokens: int
    completion_tokens: int
    critic_tokens: int
    review_tokens: int | None
    frames: int
    pixels: int
    seconds: float
    cost: float

    @property
    def tokens(self) -> int:
        """Prompt and completion."""
        return self.prompt_tokens + self.completion_tokens


NOTHING: Row = {
    "transcript_id": None,
    "status": MISSING,
    "answer": None,
    "answer_first": None,
    "confidence": None,
    "verdicts": (),
    "evidence": (),
    "turns": 0,
    "prompt_tokens": 0,
    "completion_tokens": 0,
    "critic_tokens": 0,
    "frames": 0,
    "pixels": 0,
    "seconds": 0.0,
    "cost": 0.0,
}
"""The answer to a question that was not asked."""
SPENT = ("turns", "prompt_tokens", "completion_tokens", "critic_tokens", "frames", "pixels", "seconds", "cost")


def score_run(questions: Iterable[Question], answers: Mapping[str, Row], looked: Mapping[str, Looked]) -> list[Scored]:
    """Every question with what a run made of it: rows of `ANSWERS` and what was looked at, by question_id."""
    return [
        score_question(question, answers.get(question.question_id, NOTHING), looked.get(question.question_id))
        for question in questions
    ]


def score_question(question: Question, row: Row, looked: Looked | None) -> Scored:
    """One question with its row of `ANSWERS`. An answer counts only where the status says that there is one."""
    answer = row["answer"] if row["status"] in WITH_ANSWER else None
    first = row["answer_first"] if row["verdicts"] else answer
    true_times = times_of(question)
    evidence = [(each["start_ms"], each["end_ms"]) for each in row["evidence"]]
    inside = share_inside([(ms, ms) for ms in looked.times_ms], true_times) if looked and true_times else None
    kind, true = question.answer_type, question.answer
    return Scored(
        question_id=question.question_id,
        transcript_id=row["transcript_id"],
        capability=question.capability,
        answer_type=kind,
        status=row["status"],
        true_answer=true,
        answer=answer,
        answer_first=first,
        confidence=row["confidence"] if answer is not None else None,
        score=None if true is None else score(kind, answer, true),
        right=None if true is None else is_right(kind, answer, true),
        right_first=None if true is None else is_right(kind, first, true),
        reviewed=bool(row["verdicts"]),
        evidence_inside=share_inside(evidence, true_times) if true_times else None,
        looked_inside=inside,
        found=None if inside is None else inside > 0,
        review_tokens=looked.review_tokens if looked else None,
        **{name: row[name] for name in SPENT},
    )


def times_of(question: Question) -> Sequence[Stretch]:
    """The true times, where it is plain of which film they are: the question names one, and only one."""
    if len(question.videos) != 1:
        return ()
    return [(span.start_ms, span.end_ms) for span in question.relevant_times]
