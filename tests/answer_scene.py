"""The batch job over a tiny database: its config, its questions, the job without Ray, and what it left."""

import asyncio
import json
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from jobs import answer_batch
from jobs.answer_batch import AnswerQuestions
from loupe.answering.preparing import Group
from loupe.answering.run import Run
from loupe.answering.store import AnswerRows
from loupe.config import Config
from loupe.library.tables import BeforeCommit, nothing
from schemas.questions import Question, as_table
from tests.agent_scene import ROLES
from tests.library_scene import DIMENSIONS


def write_questions(path: Path, count: int, **fields: Any) -> str:
    """So many questions for text about a.mp4."""
    questions = [
        Question.model_validate(
            {"question_id": f"q{number:03}", "question": f"What is there? {number}", "video": "a.mp4"} | fields
        )
        for number in range(count)
    ]
    pq.write_table(as_table(questions), path)
    return str(path)


def config_tree(database: str, questions: str, output: str, url: str = "", **answer: Any) -> dict[str, Any]:
    """A config as YAML has it: one model behind an address for every role, or one that answers by rule."""
    behind = {"engine": "openai", "base_url": url, "model": "m", "timeout_s": 10, "first_wait_s": 0.01}
    model = behind if url else {"engine": "scripted", "source": "digest"}
    job = {"questions": questions, "output": output, "questions_in_flight": 16, "lease_seconds": 5}
    job |= {"cpus": 0.1, "actors_max": 1}
    return {
        "models": {
            "model": model | {"price": {"prompt": 1.0, "completion": 2.0}},
            "words": {"engine": "hashing", "dimensions": DIMENSIONS},
        },
        "roles": dict.fromkeys(ROLES, "model") | {"embedder": "words"},
        "prompts": "tiny",
        "index": {"database": database},
        "answer": {"max_actions": 3, **answer, "job": job | answer.get("job", {})},
    }


def config(*places: str, url: str = "", **answer: Any) -> Config:
    """The same as a Config; `places` are database, questions and output."""
    return Config.model_validate(config_tree(*places, url=url, **answer))


def in_process(groups: Sequence[Group], config: Config, run: Run, spent: tuple[int, float]) -> Iterator[AnswerRows]:
    """The job's stage without Ray: all groups at once."""

    async def answered() -> list[AnswerRows]:
        stage = AnswerQuestions(config, run, uuid.uuid4().hex)
        try:
            return [row["answered"] for row in await asyncio.gather(*(stage({"group": group}) for group in groups))]
        finally:
            await stage.desk.close()

    yield from asyncio.run(answered())


def answer_all(config: Config, before_step: BeforeCommit = nothing, *, retry_failed: bool = False) -> int:
    """Run the job in this process; its exit code."""
    return answer_batch.run(config, retry_failed=retry_failed, before_step=before_step, answers_of=in_process)


def rows(output: str, table: str = "answers") -> list[dict[str, Any]]:
    """All rows of a table of the output, by question."""
    files = sorted((Path(output) / table).glob("*.parquet"))
    found = [row for file in files for row in pq.read_table(file).to_pylist()]
    return sorted(found, key=lambda row: row["question_id"])


def ids(output: str, table: str = "answers") -> list[str]:
    """The questions of a table, as often as they stand there."""
    return [row["question_id"] for row in rows(output, table)]


def report(output: str) -> dict[str, Any]:
    """The report of the last job."""
    return json.loads((Path(output) / "report.json").read_text())
