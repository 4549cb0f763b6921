#!/usr/bin/env python
"""Score what a batch of answers says, and tell it: a table, scores.parquet, report.html.

    questions, R/answers/, R/traces/ -> a score a question -> R/scores.parquet     one row a question
                                     -> the run in numbers -> the terminal, R/report.html

Run `python jobs/evaluate.py --output R --questions Q`. It needs no Ray and calls no model.
"""

import dataclasses
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import tyro
from loupe import parquet, storage
from loupe.library import Library, LibraryError
from loupe.questions import QuestionsError, read_questions
from loupe.reporting.page import page
from loupe.reporting.question_table import asked, in_order
from loupe.reporting.report import About, Against, Report
from loupe.reporting.tables import tables
from loupe.reporting.turns import TRACE_COLUMNS
from loupe.results import ResultsError, Row, check_asked, read_answers, read_traces
from loupe.scoring.amortizing import FPS, TOKENS_A_FRAME, Costs, film_tokens
from loupe.scoring.scored import LOOKED_COLUMNS, Looked, Scored, score_run
from loupe.scoring.statistics import RESAMPLES, SEED
from loupe.scoring.summary import Sampling, Summary, compare, summarize
from schemas.questions import Question
from schemas.scores import SCORES


@dataclass(frozen=True)
class Arguments:
    """Score what a batch of answers says."""

    output: str
    """Folder or s3://bucket/prefix of the answers; scores.parquet and report.html go there too."""
    questions: str
    """What was asked, with the true answers: .parquet, .jsonl or .csv."""
    against: tuple[str, ...] = ()
    """Outputs of other runs over the same questions, to compare with."""
    database: str | None = None
    """Folder or s3://bucket/prefix of the index: how long the films are, for the cost of passing them whole."""
    index_report: str | None = None
    """report.json of the index job: what the index cost. Without it the index is taken to cost nothing."""
    tokens_per_frame: int = TOKENS_A_FRAME
    """Of a frame, where a whole film is passed: 144 is a picture of 512 x 288 px at Qwen3-VL's 32 x 32 px a token."""
    fps: float = FPS
    """Frames a second, where a whole film is passed."""
    resamples: int = RESAMPLES
    """Of the bootstrap."""
    seed: int = SEED
    """Of the bootstrap."""
    show: int = 12
    """Questions that are printed, one by one."""
    details: int = 500
    """Questions, wrong ones first, whose turns stand in the report."""


def main() -> None:
    """The command. Exit code 2, with a sentence, where there is nothing to score."""
    arguments = tyro.cli(Arguments)
    try:
        evaluate(arguments)
    except (QuestionsError, ResultsError, LibraryError, storage.StorageError) as error:
        print(f"evaluate: {error}", file=sys.stderr)
        sys.exit(2)


def evaluate(arguments: Arguments) -> None:
    """Score, print and write. Raises what main catches."""
    questions = read_questions(arguments.questions)
    report = make_report(arguments, questions)
    width = shutil.get_terminal_size((160, 24)).columns
    shown = [asked(report, arguments.show, width)] if arguments.show else []
    print("\n\n".join(map(str, [*shown, *tables(report)])))
    for note in report.notes:
        print(f"\n{note}")
    opened = [name for question, _ in in_order(report) if (name := question.question_id) in report.answers]
    traces = {
        row["question_id"]: row
        for row in read_traces(arguments.output, TRACE_COLUMNS, set(opened[: arguments.details]))
    }
    written = {"scores.parquet": as_parquet(report.scores), "report.html": page(report, traces).encode()}
    for name, data in written.items():
        storage.write_bytes(storage.join(arguments.output, name), data)
        print(f"\n{storage.join(arguments.output, name)}", end="")
    print()


def make_report(arguments: Arguments, questions: Sequence[Question]) -> Report:
    """All that is to be told."""
    sampling = Sampling(arguments.resamples, arguments.seed)
    answers, scores, summary = scored_run(arguments.output, questions, sampling)
    costs, assumed = costs_of(arguments, questions, summary)
    return Report(
        output=arguments.output,
        about=About.of(answers.values()),
        questions=questions,
        scores=scores,
        answers=answers,
        summary=summary,
        sampling=sampling,
        costs=costs,
        against=[other_run(output, questions, scores, sampling) for output in arguments.against],
        notes=(*oddities(questions, answers, summary), *assumed),
    )


def scored_run(
    output: str, questions: Sequence[Question], sampling: Sampling
) -> tuple[Mapping[str, Row], list[Scored], Summary]:
    """A run's answers by question_id, its scores in the questions' order, and its numbers."""
    answers = read_answers(output)
    check_asked(output, answers, questions)
    looked = {row["question_id"]: Looked.of(row) for row in read_traces(output, LOOKED_COLUMNS, answers)}
    try:
        scores = score_run(questions, answers, looked)
        return answers, scores, summarize(scores, sampling)
    except ValueError as error:
        raise ResultsError(f"{output} cannot be scored: {error}") from error


def other_run(output: str, questions: Sequence[Question], scores: Sequence[Scored], sampling: Sampling) -> Against:
    """The run to compare with."""
    answers, others, summary = scored_run(output, questions, sampling)
    return Against(output, About.of(answers.values()), summary, others, compare(scores, others, sampling))


def oddities(questions: Sequence[Question], answers: Mapping[str, Row], summary: Summary) -> list[str]:
    """What is not as one would expect."""
    known = {question.question_id for question in questions}
    strangers = sum(question_id not in known for question_id in answers)
    told = []
    if strangers:
        told.append(f"Answers to questions that are not in the file of questions, counted nowhere: {strangers}.")
    if summary.unknown:
        told.append(f"Questions without a known answer, counted in no accuracy: {summary.unknown}.")
    return told


def costs_of(arguments: Arguments, questions: Sequence[Question], summary: Summary) -> tuple[Costs | None, list[str]]:
    """Tokens with the index and without, and what was taken for granted; None where they cannot be known."""
    if not summary.effort:
        return None, []
    if arguments.database is None:
        return None, ["Without --database the films' lengths are not known: no cost of passing them whole is given."]
    videos = list(Library.open(arguments.database).videos().values())
    by_name = {row[name]: row["duration_ms"] for row in videos for name in ("video_id", "uri")}
    films = [question.videos or [row["video_id"] for row in videos] for question in questions]
    told = [film_ms(names, by_name, question.before_ms) for names, question in zip(films, questions, strict=True)]
    lengths = [length for length in told if length is not None]
    if not lengths:
        return None, [f"{arguments.database} holds none of the films: no cost of passing them whole is given."]
    index_tokens, notes = tokens_of_index(arguments.index_report)
    frames = f"{arguments.fps:g} fps and {arguments.tokens_per_frame} tokens a frame"
    notes.append(
        f"A whole film is passed at {frames}; to a question that names none, the whole library ({len(videos)})."
    )
    whole = film_tokens(lengths, arguments.fps, arguments.tokens_per_frame)
    return Costs(index_tokens, summary.effort["tokens"].mean, whole), notes


def film_ms(names: Sequence[str], by_name: Mapping[str, int | None], before_ms: int | None) -> int | None:
    """How long films are together, each up to what may be seen of it; None where one is not in the index."""
    lengths = [by_name.get(name) for name in names]
    known = [min(length, before_ms or length) for length in lengths if length is not None]
    return sum(known) if known and len(known) == len(lengths) else None


def tokens_of_index(location: str | None) -> tuple[int, list[str]]:
    """What the index job says that it took, and what is to be said about it."""
    if location is None:
        return 0, ["Without --index-report the index is taken to have cost nothing."]
    try:
        report = json.loads(storage.read_bytes(location))
        tokens = report["prompt_tokens"] + report["completion_tokens"]
        earlier = report["films"]["finished_before"]
    except (ValueError, KeyError, TypeError) as error:
        raise ResultsError(f"{location} is not a report of the index job: {error!r}") from error
    told = f"The report of the index job is of its last run alone: {earlier} films indexed before it cost nothing here."
    return tokens, [told] if earlier else []


def as_parquet(scores: Sequence[Scored]) -> bytes:
    """The file of SCORES."""
    return parquet.written(pa.Table.from_pylist([dataclasses.asdict(one) for one in scores], schema=SCORES))


if __name__ == "__main__":
    main()
