"""Questions from files, as people write them."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from loupe.questions import QuestionsError, read_questions
from schemas.questions import UNANSWERABLE, Question, Span, as_table

LETTER = {"question_id": "1", "video": "a.mp4", "question": "Who?", "options": ["he", "she"], "answer": "B"}


def written(path: Path, *rows: object) -> str:
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return str(path)


def test_a_line_of_json_needs_little(tmp_path: Path) -> None:
    told = {"question_id": "2", "question": "How many?", "answer_type": "number", "answer": 4}
    spans = {"question_id": "3", "question": "When?", "answer_type": "spans", "answer": [[1, 2.5]], "before_ms": 9000}
    bare = {"question_id": "4", "video": ["a.mp4", "b.mp4"], "question": "Why?"}
    nobody = {"question_id": "5", "question": "Who?", "answer": UNANSWERABLE}
    letter, number, times, why, who = read_questions(written(tmp_path / "q.jsonl", LETTER, told, spans, bare, nobody))
    assert (who.answerable, why.answerable) == (False, True)
    assert (letter.answer_type, letter.value(), letter.videos) == ("choice", "she", ("a.mp4",))
    assert (number.value(), number.videos, number.capability) == (4, (), "")
    assert (times.value(), times.before_ms) == ([(1.0, 2.5)], 9000)
    assert (why.answer_type, why.answer, why.videos) == ("text", None, ("a.mp4", "b.mp4"))


def test_parquet_holds_what_was_asked(tmp_path: Path) -> None:
    questions = [
        Question.model_validate(LETTER | {"relevant_times": (Span(start_ms=1, end_ms=2),)}),
        Question(question_id="2", question="Which film?", video=("a.mp4", "b.mp4"), before_ms=5),
        Question(question_id="3", question="Who?", answer=UNANSWERABLE),
    ]
    path = tmp_path / "q.parquet"
    pq.write_table(as_table(questions), path)
    assert read_questions(str(path)) == questions


def test_csv_holds_lists_as_json_and_nothing_as_nothing(tmp_path: Path) -> None:
    path = tmp_path / "q.csv"
    path.write_text(
        'question_id,video,question,options,answer\n1,a.mp4,Who?,"[""he"", ""she""]",B\n2,,"What, then?",,\n'
    )
    letter, what = read_questions(str(path))
    assert letter == Question.model_validate(LETTER)
    assert (what.question, what.videos, what.answer) == ("What, then?", (), None)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (LETTER | {"befor_ms": 3}, "row 2: befor_ms: Extra inputs"),
        (LETTER | {"answer": "C"}, "row 2: 'C' is the letter of none of 2 options"),
        (LETTER | {"answer_type": "text"}, "row 2: a choice has options"),
        (LETTER | {"question": ""}, "row 2: question: "),
        ([1], "every line is an object"),
    ],
)
def test_a_wrong_row_is_named(row: object, reason: str, tmp_path: Path) -> None:
    with pytest.raises(QuestionsError, match=reason):
        read_questions(written(tmp_path / "q.jsonl", LETTER | {"question_id": "0"}, row))


def test_a_wrong_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(QuestionsError, match="more than once: 1"):
        read_questions(written(tmp_path / "q.jsonl", LETTER, LETTER))
    with pytest.raises(QuestionsError, match=r"read from \.parquet, \.jsonl or \.csv"):
        read_questions(str(tmp_path / "q.xlsx"))
    (tmp_path / "q.parquet").write_text("no")
    with pytest.raises(QuestionsError, match="is not a parquet file"):
        read_questions(str(tmp_path / "q.parquet"))
