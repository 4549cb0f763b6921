"""Questions that take the process that answers them down, each time: given up after a few, and nobody else is."""

import asyncio
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from jobs import answer_batch
from jobs.answer_batch import AnswerQuestions
from loupe.answering.preparing import Group
from loupe.answering.run import Run
from loupe.answering.store import AnswerRows
from loupe.config import Config
from loupe.engines.protocol import ChatRequest
from loupe.engines.scripted import ScriptedEngine, digest
from tests.agent_scene import small_library, text_of
from tests.answer_scene import answer_all, config, ids, rows, write_questions


class Died(BaseException):
    """Stands for kill -9 of the driver: nothing that expects errors catches it."""


class Workers:
    """Processes of a driver, one after the other, each of which ends when it is asked a deadly question."""

    def __init__(self, *deadly: int) -> None:
        self.deadly = [f"What is there? {number}\n" for number in deadly]
        self.deaths = 0

    def answer(
        self, groups: Sequence[Group], config: Config, run: Run, spent: tuple[int, float]
    ) -> Iterator[AnswerRows]:
        """As Ray does it: where a process ends, another takes what it had not ended."""
        session, done = uuid.uuid4().hex, dict[Group, AnswerRows]()
        while len(done) < len(groups):
            self.process([group for group in groups if group not in done], config, run, session, done)
        yield from done.values()

    def process(
        self, groups: Sequence[Group], config: Config, run: Run, session: str, done: dict[Group, AnswerRows]
    ) -> None:
        """One process: it stops where it is, or ends with its work."""
        with asyncio.Runner() as runner:
            loop = runner.get_loop()
            work = loop.create_task(self._work(groups, config, run, session, done))

            def stop(_: object) -> None:
                loop.stop()

            work.add_done_callback(stop)
            loop.run_forever()
            work.remove_done_callback(stop)
            if work.done():
                work.result()
            else:
                self.deaths += 1

    async def _work(
        self, groups: Sequence[Group], config: Config, run: Run, session: str, done: dict[Group, AnswerRows]
    ) -> None:
        stage = AnswerQuestions(config, run, session)
        stage.desk.engines = {"model": ScriptedEngine(self._said)}

        async def answer(group: Group) -> None:
            done[group] = (await stage({"group": group}))["answered"]

        await asyncio.gather(*map(answer, groups))

    async def _said(self, request: ChatRequest) -> str:
        text = text_of(request) + "\n"
        if any(question in text for question in self.deadly):
            asyncio.get_running_loop().stop()
            await asyncio.Future()
        return digest(request)


@pytest.fixture
def settings(tmp_path: Path) -> Config:
    """Twelve questions, one call each."""
    small_library(tmp_path)
    questions = write_questions(tmp_path / "questions.parquet", 12)
    return config(str(tmp_path / "database"), questions, str(tmp_path / "results"), policy="socratic")


def statuses(settings: Config) -> dict[str, str]:
    assert ids(settings.answer.job.output) == [f"q{number:03}" for number in range(12)]
    return {row["question_id"]: row["status"] for row in rows(settings.answer.job.output)}


def notes(settings: Config) -> list[Path]:
    return list((Path(settings.answer.job.output) / "attempts").iterdir())


@pytest.mark.parametrize("deadly", [(3,), (0, 7, 8)])
def test_what_kills_its_process_each_time_fails_alone(settings: Config, deadly: tuple[int, ...]) -> None:
    workers = Workers(*deadly)
    assert answer_batch.run(settings, answers_of=workers.answer) == 1
    failed = {f"q{number:03}" for number in deadly}
    assert {id for id, status in statuses(settings).items() if status == "failed"} == failed
    assert all(row["error"].startswith("ProcessDied: ") for row in rows(settings.answer.job.output) if row["error"])
    assert workers.deaths <= 4 * len(deadly)
    assert notes(settings) == []


def test_what_was_given_up_stays_so_where_the_driver_dies_before_it_writes(settings: Config) -> None:
    workers = Workers(3)

    def dies(step: str) -> None:
        if step == "traces: write":
            raise Died

    with pytest.raises(Died):
        answer_batch.run(settings, before_step=dies, answers_of=workers.answer)
    assert (ids(settings.answer.job.output), workers.deaths) == ([], 4)
    assert answer_batch.run(settings, answers_of=workers.answer) == 1
    assert (statuses(settings)["q003"], workers.deaths) == ("failed", 4)


def test_a_driver_that_is_killed_time_and_again_makes_no_question_fail(settings: Config) -> None:
    def dies_with_its_driver(
        groups: Sequence[Group], config: Config, run: Run, spent: tuple[int, float]
    ) -> Iterator[AnswerRows]:
        Workers(3).process(groups, config, run, uuid.uuid4().hex, {})
        yield from ()
        raise Died

    for _ in range(6):
        with pytest.raises(Died):
            answer_batch.run(settings, answers_of=dies_with_its_driver)
        assert notes(settings)
    assert answer_all(settings) == 0
    assert set(statuses(settings).values()) == {"answered"}
    assert notes(settings) == []


def test_what_was_given_up_is_tried_again_on_demand(settings: Config) -> None:
    assert answer_batch.run(settings, answers_of=Workers(3).answer) == 1
    assert answer_all(settings, retry_failed=True) == 0
    assert set(statuses(settings).values()) == {"answered"}
