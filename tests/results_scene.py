"""A made-up run: questions, traces of what was answered, and the folder that a batch of answers leaves."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.messages import Usage
from schemas.questions import QUESTIONS, Question, Span
from schemas.results import ANSWERS, answer_row
from schemas.traces import TRACES, Call, Evidence, MediaRef, RoleModel, SoundRef, Trace, TurnRecord, VerdictRecord

FILM = "films/a.mp4"


def letter(name: str, answer: str = "A", **more: Any) -> Question:
    """A question with four options, about the seconds 10 to 20 of a film."""
    told: dict[str, Any] = {
        "question_id": name,
        "video": FILM,
        "question": f"What happens in {name}?",
        "options": ("a cat jumps", "a dog barks", "an egg falls", "it rains"),
        "answer_type": "choice",
        "answer": answer,
        "capability": "events",
        "relevant_times": (Span(start_ms=10_000, end_ms=20_000),),
    }
    return Question.model_validate(told | more)


def call(role: str = "reasoner", *, tokens: tuple[int, int] = (100, 10), images: int = 0, said: str = "") -> Call:
    prompt, completion = tokens
    usage = Usage(prompt_tokens=prompt, completion_tokens=completion, images=images, pixels=images * 1000)
    return Call(role=role, model=f"{role}-model", prompt_hash="0" * 16, said=said, usage=usage, seconds=0.5)


def frame(second: int, film: str = FILM) -> MediaRef:
    at = second * 1000
    return MediaRef(video_id=film, ts_ms=at, pts_ms=at, width=40, height=25, source="table", lineage="l")


def heard(start: int, end: int, given: Literal["sound", "words"] = "sound") -> SoundRef:
    return SoundRef(video_id=FILM, start_ms=start * 1000, end_ms=end * 1000, lineage="l", given=given)


def turn(index: int, tool: str = "ask_vlm", looked: Sequence[int] = (), round_: int = 0, **more: Any) -> TurnRecord:
    """A turn that looks at the frames of some seconds."""
    told: dict[str, Any] = {
        "index": index,
        "round": round_,
        "steps_left": 10 - index,
        "call": call(),
        "parsed": True,
        "thought": "I should look.",
        "confidence": 0.5,
        "tool": tool,
        "arguments": "{}",
        "result": "It is a cat.",
        "media": tuple(frame(second) for second in looked),
        "calls": (call("vlm", images=len(looked)),) if looked else (),
    }
    return TurnRecord.model_validate(told | more)


def doubt(before: str | None, after: str | None, *, confidence: float = 0.4, **more: Any) -> VerdictRecord:
    """A critic that sends an answer back, at a cost of 55 tokens."""
    told: dict[str, Any] = {
        "round": 0,
        "confidence": confidence,
        "possible_errors": ("The cat may be a dog.",),
        "suggestion": "Look again.",
        "sent_back": True,
        "answer_before": before,
        "confidence_before": 0.9,
        "answer_after": after,
        "calls": (call("critic", tokens=(50, 5)),),
    }
    return VerdictRecord.model_validate(told | more)


def trace(question: Question, answer: str | None, confidence: float | None = 0.8, **more: Any) -> Trace:
    """An answer after one look at second 12, which is its evidence."""
    evidence = Evidence(video_id=FILM, start_ms=12_000, end_ms=12_000, source="frames", lineage="l")
    told: dict[str, Any] = {
        "transcript_id": f"{question.question_id}@run",
        "question_id": question.question_id,
        "run": "run",
        "asked": question.asked_hash(),
        "question": question.question,
        "answer_type": question.answer_type,
        "options": question.options,
        "videos": question.videos,
        "policy": "retrieval_critic",
        "view_version": "2",
        "view_settings": "{}",
        "config_hash": "c0ffee",
        "prompts": (),
        "models": (RoleModel(role="reasoner", model="reasoner-model"),),
        "date": "2026-01-01T00:00:00+00:00",
        "seconds": 2.0,
        "opening": (),
        "turns": (turn(0, looked=(12,)), turn(1, "answer")),
        "status": "failed" if answer is None else "answered",
        "answer_said": answer,
        "answer": answer,
        "confidence": None if answer is None else confidence,
        "evidence": () if answer is None else (evidence,),
    }
    return Trace.model_validate(told | more)


def write_run(folder: Path, traces: Iterable[Trace]) -> str:
    """The folder of a batch of answers."""
    made = list(traces)
    for name, schema, rows in (
        ("answers", ANSWERS, [answer_row(each) for each in made]),
        ("traces", TRACES, [each.as_row() for each in made]),
    ):
        (folder / name).mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), folder / name / "part-0.parquet")
    return str(folder)


def write_questions(path: Path, questions: Iterable[Question]) -> str:
    rows = [question.as_row() for question in questions]
    pq.write_table(pa.Table.from_pylist(rows, schema=QUESTIONS), path)
    return str(path)
