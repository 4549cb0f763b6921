#!/usr/bin/env python
"""Answer questions about films in batch, each exactly once.

    questions (Parquet, JSON lines, CSV) -> those without an answer -> answers, traces -> Parquet    a row is a question

Run `python jobs/answer_batch.py --config C --database D --questions Q --output R`, alone or through `ray job submit`.
"""

import asyncio
import json
import sys
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import ray
import ray.data
import tyro
from loupe import config as configs
from loupe import storage
from loupe.agent.loop import rollout
from loupe.agent.policies import find_policy
from loupe.answering import attempts, preparing, store
from loupe.answering.attempts import Attempt, Attempts, Begun
from loupe.answering.estimating import estimate
from loupe.answering.notes import check_notes, keeping
from loupe.answering.preparing import Group
from loupe.answering.progress import Progress
from loupe.answering.purse import Account, Purse, bounded
from loupe.answering.run import Run, RunError, begin_run, find_run
from loupe.answering.slots import Slots
from loupe.answering.store import AnswerRows, Batch, Keep
from loupe.answering.telemetry import Collector, open_collector
from loupe.config import Config, ConfigError
from loupe.engines.protocol import UnavailableError
from loupe.lease import Lease, LeaseError
from loupe.library import LibraryError
from loupe.library.tables import BeforeCommit, nothing
from loupe.questions import QuestionsError, read_questions
from loupe.results import ResultsError
from loupe.ticker import Ticker
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
from schemas.questions import Question
from schemas.traces import Trace

from jobs.on_ray import async_pool, connect_ray, lasting, say

Row = dict[str, Any]
Spent = tuple[int, float]
"""Tokens and US dollars."""
AnswersOf = Callable[[Sequence[Group], Config, Run, Spent], Iterable[AnswerRows]]

REFUSALS = (
    ConfigError,
    FileNotFoundError,
    LeaseError,
    LibraryError,
    QuestionsError,
    ResultsError,
    RunError,
    storage.StorageError,
)
"""What main tells as a sentence."""
REPORT_SECONDS = 1.0
"""Between two reports of an actor to the purse, where the job has a budget."""
WAVES = 2
"""Of all questions at work at a time, one after the other, that no model answers before the job ends."""
UNANSWERED = f"{UnavailableError.__name__}:"
"""How the error of such a question begins."""
REASONS = 10
"""Why questions failed, that the last lines name."""
BLOCK_BYTES = 1 << 20
"""What Ray Data takes a group's rows for until it has seen some: by its own 128 MB it would begin with a few groups."""


@dataclass(frozen=True)
class Arguments:
    """Answer questions about films in batch, each exactly once."""

    config: str = "infra/configs/demo.yaml"
    """YAML file; infra/configs/ has one a kind of machine."""
    questions: str | None = None
    """File of questions, .parquet, .jsonl or .csv, here or on S3; the config's (answer.job) if not given."""
    output: str | None = None
    """Folder or s3://bucket/prefix for answers/ and traces/; the config's if not given."""
    database: str | None = None
    """Folder or s3://bucket/prefix of the index; the config's if not given."""
    library: str | None = None
    """Folder or s3://bucket/prefix of films, for those that were never indexed; the config's if not given."""
    policy: str | None = None
    """retrieval_critic, active_perception, investigator, passive or socratic; the config's if not given."""
    front: str | None = None
    """Address of the served models; the engines of the config are opened in the job's actors if not given."""
    set: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Change one value of the config: --set answer.max_actions=4"""
    retry_failed: bool = False
    """Ask the questions again that ended as `failed`; their rows go."""
    plan: bool = False
    """Print what would be done, with estimated tokens and cost, and stop."""


def main() -> None:
    """The command. Exit code 0: all questions ended; 1: some failed, or are left, and why; 2: nothing was begun."""
    arguments = tyro.cli(Arguments)
    try:
        config = with_arguments(configs.load(arguments.config, arguments.set), arguments)
        sys.exit(print_plan(config) if arguments.plan else run(config, retry_failed=arguments.retry_failed))
    except REFUSALS as error:
        complain(error)
        sys.exit(2)


def complain(error: Exception) -> None:
    """Say why the job ends."""
    print(f"answer_batch: {error}", file=sys.stderr)


def with_arguments(config: Config, arguments: Arguments) -> Config:
    """The config with what the command line says in the place of its own, and absolute locations.

    Raises ConfigError as `lasting` does.
    """
    given = {name: getattr(arguments, name) for name in ("questions", "output", "database", "library")}
    own = {"questions": config.answer.job.questions, "output": config.answer.job.output}
    own |= {"database": config.index.database, "library": config.index.library}
    at = {name: configs.absolute(given[name]) if given[name] else configs.resolve(own[name]) for name in own}
    job = config.answer.job.model_copy(
        update={
            "questions": at["questions"],
            "output": lasting(at["output"]),
            "front": arguments.front or config.answer.job.front,
        }
    )
    answer = config.answer.model_copy(update={"job": job, "policy": arguments.policy or config.answer.policy})
    index = config.index.model_copy(update={"database": at["database"], "library": at["library"]})
    return config.model_copy(update={"answer": answer, "index": index})


def print_plan(config: Config) -> int:
    """Print what a run would do. Calls no model, writes nothing."""
    questions = checked(config)
    output = config.answer.job.output
    finished = store.read_finished(output, find_run(output, config))
    say(json.dumps(estimate(config, len(preparing.left_of(questions, finished)), finished), indent=2))
    return 0


def checked(config: Config) -> list[Question]:
    """The questions, once it is known that the config can answer them. Raises what main turns into a sentence."""
    preparing.reached(config)
    preparing.open_library(config)
    check_notes(config)
    return read_questions(config.answer.job.questions)


def run(
    config: Config,
    *,
    retry_failed: bool = False,
    before_step: BeforeCommit = nothing,
    answers_of: AnswersOf | None = None,
) -> int:
    """Answer the questions that are left, with `retry_failed` those that failed too; see main for what is returned.

    `before_step` is called with the name of each step that changes the output (store.STEPS). `answers_of` takes
    groups of questions to their rows: on Ray, unless another is given.
    """
    job = config.answer.job
    questions = checked(config)
    find_run(job.output, config)  # refused before a lease leaves its mark there
    with Lease.acquire(job.output, ttl_s=job.lease_seconds) as lease:
        check = lease.guarding(before_step)
        this = find_run(job.output, config)
        begin_run(job.output, this)
        store.delete_orphans(job.output, check)
        if retry_failed:
            store.drop_failed(job.output, check)
            attempts.forget(job.output)
        finished = store.read_finished(job.output, this)
        left = preparing.left_of(questions, finished)
        say(f"{len(left)} questions to answer, {len(questions) - len(left)} finished before; run {this.run}")
        progress = Progress(len(left), finished)
        suspect, others = attempts.take_up(job.output, left)
        groups = [*map(Group, suspect), *preparing.groups_of(others, job.actors_max)]
        try:
            with open_collector() as collector, Ticker(progress.line, job.progress_seconds):
                parts = (answers_of or pipeline)(groups, config, this, progress.before.spent()) if groups else ()
                with keeping(config, check) as keep:
                    write(parts, config, this, check, progress, collector, keep)
            attempts.forget(job.output)
            return report(progress, config)
        except (storage.StorageError, LibraryError, LeaseError, UnavailableError) as error:
            complain(error)
            return 1


def write(
    parts: Iterable[AnswerRows],
    config: Config,
    this: Run,
    before_step: BeforeCommit,
    progress: Progress,
    collector: Collector,
    keep: Keep,
) -> None:
    """Write rows as they come, many a file; those that wait are written too where no more can come.

    Raises UnavailableError where no model has answered for many questions in a row.
    """
    job = config.answer.job
    batch = Batch(job.commit_questions, job.commit_seconds)
    unanswered = 0
    try:
        for part in parts:
            batch.add(part)
            progress.add(part.answers)
            collector.send(part.traces)
            for error in part.answers["error"].to_pylist():
                unanswered = unanswered + 1 if (error or "").startswith(UNANSWERED) else 0
            if unanswered >= WAVES * job.actors_max * job.questions_in_flight:
                raise UnavailableError(
                    f"{unanswered} questions in a row had no answer from a model ({error}). What is done is kept: run "
                    "it again with --retry-failed when the model is back"
                )
            if batch.due():
                store.write(job.output, this, batch.take(), before_step, keep)
    finally:
        store.write(job.output, this, batch.take(), before_step, keep)


def pipeline(groups: Sequence[Group], config: Config, this: Run, spent: Spent) -> Iterator[AnswerRows]:
    """The data-flow picture above, down to the rows; comes out in any order."""
    connect_ray()
    ray.data.DataContext.get_current().target_max_block_size = BLOCK_BYTES
    job = config.answer.job
    purse = open_purse(spent)
    at_once = -(-job.questions_in_flight // max(len(group.questions) for group in groups))
    data = ray.data.from_items([{"group": group} for group in groups], override_num_blocks=len(groups))
    actors = async_pool(job, at_once, config, this, uuid.uuid4().hex, purse)
    answered = data.map(AnswerQuestions, **actors)  # 1 group -> its rows
    for batch in answered.iter_batches(batch_size=None):
        yield from batch["answered"]


def open_purse(spent: Spent) -> Any:
    """The job's purse, an actor beside the driver: it is not lost with another node. One begun anew is told again."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    actor = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1, scheduling_strategy=here)(Purse)
    return actor.remote(*spent)


class AnswerQuestions:
    """1 group of questions -> their answers and traces. Questions of all groups share films and engines."""

    def __init__(self, config: Config, this: Run, session: str, purse: Any = None) -> None:
        self.desk = preparing.open_desk(config, this)
        self.policy = find_policy(config.answer.policy)
        self.slots = Slots(config.answer.job.questions_in_flight)
        self.attempts = Attempts(config.answer.job.output, session)
        self.purse = purse
        self.reporting: asyncio.Task[None] | None = None

    async def __call__(self, row: Row) -> Row:
        if self.purse is not None and self.reporting is None and bounded(self.desk.answer.job_budget):
            self.reporting = asyncio.create_task(self._report())
        group: Group = row["group"]
        attempt = await asyncio.to_thread(self.attempts.find, group.ids())
        if attempt.lost < attempts.BESIDE_OTHERS:
            traces = await self._beside_others(group, attempt)
        elif attempt.lost == attempts.BESIDE_OTHERS:
            async with self.slots.all():
                await asyncio.to_thread(self.attempts.write, attempt)
                traces = await asyncio.gather(*map(self._answer, group.questions))
        else:
            traces = [await self._alone(question, attempt) for question in group.questions]
        await asyncio.to_thread(self.attempts.end, attempt)
        return {"answered": self._rows(group.questions, traces)}

    async def _beside_others(self, group: Group, attempt: Attempt) -> list[Trace]:
        begun = Begun(self.attempts, attempt)

        async def answer(question: Question) -> Trace:
            async with self.slots.one():
                await begun.wait()
                return await self._answer(question)

        return await asyncio.gather(*map(answer, group.questions))

    async def _alone(self, question: Question, attempt: Attempt) -> Trace:
        """Answer a question with nothing beside it, or give it up where a process died of that before."""
        if question.question_id in attempt.given_up:
            return preparing.failure(self.desk, self.policy, question, attempts.told(attempt))
        async with self.slots.all():
            alone = attempt.model_copy(update={"alone": question.question_id})
            await asyncio.to_thread(self.attempts.write, alone)
            trace = await self._answer(question)
            await asyncio.to_thread(self.attempts.write, attempt)
            return trace

    async def _answer(self, question: Question) -> Trace:
        try:
            return await rollout(self.desk, self.policy, question)
        except Exception as error:  # noqa: BLE001 - the row boundary
            return preparing.failure(self.desk, self.policy, question, error)

    def _rows(self, questions: Sequence[Question], traces: Sequence[Trace]) -> AnswerRows:
        """The rows of a group; where one of them cannot be written, it alone is the row of a failure."""
        try:
            return AnswerRows.of(*traces)
        except Exception as error:  # noqa: BLE001 - the row boundary, drawn around one row after the other
            if len(traces) == 1:
                return AnswerRows.of(preparing.failure(self.desk, self.policy, questions[0], error))
            pairs = zip(questions, traces, strict=True)
            return AnswerRows.concat([self._rows([question], [trace]) for question, trace in pairs])

    async def _report(self) -> None:
        """Tell the purse what was spent here, and learn what was spent elsewhere, as long as the actor lives."""
        account = Account(self.desk.spent)
        while True:
            own = account.own()
            account.learn(own, await self.purse.report.remote(account.who, *own))
            await asyncio.sleep(REPORT_SECONDS)


def report(progress: Progress, config: Config) -> int:
    """Print the last lines and write report.json beside the answers; 1 where questions failed, else 0."""
    place = storage.join(config.answer.job.output, "report.json")
    storage.write_bytes(place, json.dumps(progress.report(), indent=2).encode())
    say(progress.line())
    for reason, count in progress.errors().most_common(REASONS):
        say(f"failed: {count} x {reason}")
    for status, count in progress.statuses().items():
        say(f"{status}: {count}")
    say(f"report: {place}")
    return 1 if progress.errors() else 0


if __name__ == "__main__":
    main()
