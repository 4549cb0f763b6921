"""The command on a small made-up run: what it prints, writes, and refuses."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from jobs.evaluate import Arguments, evaluate
from loupe.config import ROOT
from loupe.library import Library
from loupe.results import ResultsError
from schemas.questions import UNANSWERABLE, Question
from schemas.traces import Trace
from tests.results_scene import FILM, doubt, letter, trace, turn, write_questions, write_run

QUESTIONS = [
    letter("right"),
    letter("wrong", "B"),
    letter("mended", "C"),
    letter("failed"),
    letter("missing", capability="names"),
    letter("nobody", UNANSWERABLE, answerable=False, capability="names"),
    letter("when", "[[10, 20]]", options=(), answer_type="spans", capability="times"),
]


def traces() -> list[Trace]:
    right, wrong, mended, failed, _, nobody, when = QUESTIONS
    return [
        trace(right, "A", 0.95),
        trace(wrong, "D", 0.9, turns=(turn(0, looked=(12, 80)),)),
        trace(mended, "C", 0.7, verdicts=(doubt("A", "C"),)),
        trace(failed, None, error="EngineError: no reply"),
        trace(nobody, UNANSWERABLE, 0.6, status="abstained"),
        trace(when, "[[10, 16]]", 0.5),
    ]


def made(folder: Path, runs: list[Trace] | None = None, questions: list[Question] | None = None) -> Arguments:
    """The arguments for a run that lies in a folder."""
    output = write_run(folder / "run", traces() if runs is None else runs)
    asked = write_questions(folder / "questions.parquet", QUESTIONS if questions is None else questions)
    return Arguments(output=output, questions=asked, resamples=50)


def told(arguments: Arguments, capsys: pytest.CaptureFixture[str]) -> str:
    """What is printed, with single spaces."""
    evaluate(arguments)
    return "\n".join(" ".join(line.split()) for line in capsys.readouterr().out.splitlines())


def test_the_command_prints_and_writes_a_run(tmp_path: Path) -> None:
    arguments = made(tmp_path)
    command = [sys.executable, str(ROOT / "jobs" / "evaluate.py")]
    command += ["--output", arguments.output, "--questions", arguments.questions]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    printed = [line.split() for line in done.stdout.splitlines()]
    assert ["all", "57.1", "%"] in [words[:3] for words in printed]  # 4 of 7
    assert {"scores.parquet", "report.html"} < {path.name for path in Path(arguments.output).iterdir()}
    assert "<h1>retrieval_critic</h1>" in (tmp_path / "run" / "report.html").read_text()


def test_scores_are_a_table_of_every_question_for_sql(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told(made(tmp_path), capsys)
    scores = pl.read_parquet(tmp_path / "run" / "scores.parquet")
    columns = ["question_id", "status", "right", "right_first", "score", "looked_inside"]
    assert scores.select(columns).rows() == [
        ("right", "answered", True, True, 1.0, 1.0),
        ("wrong", "answered", False, False, 0.0, 0.5),
        ("mended", "answered", True, False, 1.0, 1.0),
        ("failed", "failed", False, False, 0.0, 1.0),
        ("missing", "missing", False, False, 0.0, None),
        ("nobody", "abstained", True, True, 1.0, 1.0),
        ("when", "answered", True, True, 0.6, 1.0),
    ]


def test_the_table_tells_accuracy_by_capability_and_what_the_critic_did(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = told(made(tmp_path), capsys)
    assert "\nevents 50.0 %" in printed
    assert "\nnames 50.0 %" in printed
    assert "\ntimes 100.0 % [100.0, 100.0] 1" in printed
    assert "\nwithout it 42.9 %" in printed
    assert "\n… for the better 1" in printed
    assert "\nR1@0.5 100.0 %" in printed
    assert "\nR1@0.7 0.0 %" in printed
    assert "\nmissing 1 14.3 %" in printed


def test_the_first_questions_are_told_one_by_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    printed = told(replace(made(tmp_path), show=2), capsys)
    assert "What happens in right? A · a cat jumps A · a cat jumps 0.95 0:00:12 2 330 right" in printed
    assert "What happens in wrong? D · it rains B · a dog barks 0.90 0:00:12 1 220 wrong" in printed
    assert "… and 5 more" in printed
    assert "What happens in mended?" not in printed


def test_answers_to_a_question_that_was_changed_are_not_scored(tmp_path: Path) -> None:
    asked, changed = letter("q"), letter("q", options=("it rains", "a dog barks", "a cat jumps", "a bird sings"))
    with pytest.raises(ResultsError, match="another question q: its words, options, films or limits have changed"):
        evaluate(made(tmp_path, [trace(asked, "A")], [changed]))


def test_what_a_model_says_cannot_steer_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    question = letter("q", options=(), answer_type="text", answer="a cat", capability="\x1b[2Jcats")
    printed = told(made(tmp_path, [trace(question, "\x1b]0;gone\x07dog")], [question]), capsys)
    assert "\x1b" not in printed
    assert "\x07" not in printed


def against(folder: Path) -> Arguments:
    """A run of the agent, one without its critic, and a passive one that is quick, cheap and answers two questions."""
    right, wrong = (each.model_copy(update={"capability": "audio_visual"}) for each in QUESTIONS[:2])
    questions, when = [right, wrong, *QUESTIONS[2:]], QUESTIONS[-1]
    quick = {"policy": "passive", "seconds": 0.5, "turns": (turn(0, "answer"),)}
    passive = write_run(folder / "passive", [trace(right, "B", **quick), trace(wrong, "B", **quick)])
    bare = write_run(folder / "bare", [trace(right, "A"), trace(when, "[[12, 30]]")])
    return replace(made(folder, questions=questions), against=(passive, bare))


def test_runs_are_told_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = told(against(tmp_path), capsys)
    assert "\nquestions right 95% interval turns frames tokens seconds dollars" in printed
    assert re.search(r"\nretrieval_critic in run 7 57.1 % \[.*\] 1.83 1.17 320.8 2 0", printed)
    assert re.search(r"\npassive 7 14.3 % \[.*\] 1 0 110 0.5 0", printed)
    assert re.search(r"\nretrieval_critic in bare 7 14.3 % ", printed)


def test_runs_are_compared_question_by_question_with_the_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = told(against(tmp_path), capsys)
    assert "\nRETRIEVAL_CRITIC IN RUN AGAINST" in printed
    assert re.search(r"\npassive \+42.9 \[.*\] 4 1 0.38", printed)  # 2 * (1 + 5) / 32
    assert re.search(r"\nretrieval_critic in bare \+42.9 \[.*\] 3 0 0.25", printed)


def test_runs_are_compared_in_times_and_in_what_needs_sound(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = told(against(tmp_path), capsys)
    assert re.search(r"\nretrieval_critic in run 0.60 \[.*\] 100.0 % 100.0 % 0.0 % 50.0 % \[", printed)
    assert re.search(r"\npassive 0.00 \[.*\] 0.0 % 0.0 % 0.0 % 50.0 % \[", printed)
    assert re.search(r"\nretrieval_critic in bare 0.40 \[.*\] 100.0 % 0.0 % 0.0 % 50.0 % \[", printed)
    assert "Questions for times: 1; that need sound: 2." in printed


def test_what_is_told_of_several_runs_fits_into_120_columns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluate(against(tmp_path))
    lines = capsys.readouterr().out.splitlines()
    beside = lines[lines.index("SIDE BY SIDE") : lines.index("THE CRITIC")]
    assert max(map(len, beside)) <= 120


def test_an_index_is_set_against_passing_whole_films(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    database = str(tmp_path / "database")
    film = {"video_id": FILM, "uri": f"s3://films/{FILM}", "status": "complete", "duration_ms": 99_500}
    Library.open(database, 4, create=True).put_videos([film | {"vector": [0.0] * 4}])
    report = tmp_path / "report.json"
    report.write_text(json.dumps({"prompt_tokens": 900, "completion_tokens": 100, "films": {"finished_before": 2}}))
    questions = [letter("named"), letter("by address", video=f"s3://films/{FILM}"), letter("of all", video=None)]
    arguments = made(tmp_path, [trace(each, "A") for each in questions], questions)
    arguments = replace(arguments, database=database, index_report=str(report), tokens_per_frame=10)
    printed = told(arguments, capsys)
    assert "\n10 4,300 10,000" in printed  # 1,000 + 10 * 330 against 10 * 100 frames of 10 tokens
    assert "The index pays from question 2 on." in printed
    assert "2 films indexed before it cost nothing here" in printed


def test_what_is_not_known_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unknown, stranger = letter("unknown", answer=None), letter("stranger")
    runs = [*traces(), trace(unknown, "A"), trace(stranger, "A")]
    printed = told(made(tmp_path, runs, [*QUESTIONS, unknown]), capsys)
    assert "\nall 57.1 %" in printed
    assert "not in the file of questions, counted nowhere: 1." in printed
    assert "without a known answer, counted in no accuracy: 1." in printed
    assert "Without --database" in printed


def test_a_trace_that_a_job_left_without_its_answer_is_no_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = made(tmp_path)
    left = write_run(tmp_path / "left", [trace(QUESTIONS[4], "A")])
    (Path(left) / "traces" / "part-0.parquet").rename(tmp_path / "run" / "traces" / "part-1.parquet")
    assert "\nmissing 1 14.3 %" in told(arguments, capsys)
    assert (tmp_path / "run" / "report.html").read_text().count('class="opener"') == 6
    (missing,) = pl.read_parquet(tmp_path / "run" / "scores.parquet").filter(status="missing").to_dicts()
    assert (missing["looked_inside"], missing["review_tokens"]) == (None, None)


def test_a_run_in_which_nothing_was_answered_is_all_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "\nall 0.0 % [0.0, 0.0] 7" in told(made(tmp_path, []), capsys)


def test_only_so_many_questions_are_opened_wrong_ones_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told(replace(made(tmp_path), details=2), capsys)
    page = (tmp_path / "run" / "report.html").read_text()
    assert page.count('class="opener"') == 2
    assert "The turns of 4 more questions stand in traces/" in page


def test_a_question_that_is_answered_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="answered twice, by right@run and right@run"):
        evaluate(made(tmp_path, [*traces(), traces()[0]]))


def test_a_folder_without_answers_is_a_sentence_and_exit_code_2(tmp_path: Path) -> None:
    asked = write_questions(tmp_path / "questions.parquet", QUESTIONS)
    command = [sys.executable, "jobs/evaluate.py", "--output", str(tmp_path / "none"), "--questions", asked]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("evaluate: ")
    assert "holds no answers/" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_answers_of_another_shape_are_refused(tmp_path: Path) -> None:
    arguments = made(tmp_path)
    pl.DataFrame({"question_id": ["right"], "reply": ["A"]}).write_parquet(
        tmp_path / "run" / "answers" / "part-0.parquet"
    )
    with pytest.raises(ResultsError, match=r"part-0.parquet is not a file of answers: it lacks .*answer_first"):
        evaluate(arguments)
