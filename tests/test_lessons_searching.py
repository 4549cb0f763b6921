"""Lessons of the agent's roles: oracles in real rollouts over a real library of a film that nobody encoded."""

import json
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoTokenizer

from loupe.agent import view
from loupe.agent.policies.retrieval_critic import TOOLS
from loupe.agent.tool import parse_turn
from loupe.agent.tools.answer import answer
from loupe.agent.tools.note_cues import note_cues
from loupe.asking import parse_answer
from loupe.benchmarks.toytown.questions import TEMPLATES
from loupe.benchmarks.toytown.writing import HELD_OUT
from loupe.engines.protocol import Reply
from loupe.training.toytown_decoder import TaskEncoder
from loupe.training.toytown_lessons.oracle import right_turn
from loupe.training.toytown_lessons.oracle_plans import PLANS, investigation_of
from loupe.training.toytown_lessons.oracle_prompts import text_of
from loupe.training.toytown_lessons.oracle_steps import firsts_in, is_none, when_in, where
from loupe.training.toytown_lessons.pool import DOUBTS, LETTERS, LETTERS_A_PICTURE, LessonPool, is_doubt
from loupe.training.toytown_lessons.report import VLM
from loupe.training.toytown_lessons.rolled import Rolled, real
from loupe.training.toytown_lessons.searching import rollouts
from loupe.training.toytown_lessons.tables import FrameRef, Lesson, lengths, read_lessons, write_lessons
from loupe.training.toytown_pictures import Drawn
from schemas.messages import Usage
from schemas.outputs import Doubt, Verdict

SHORT = {"seed": 3, "films": 1, "minutes": 2, "questions": 10}
PROMPT_TOKENS = 900


@pytest.fixture(scope="module")
def rolled() -> list[Rolled]:
    """A film with subtitles, five minutes long; a turn in five is a mistake."""
    return list(of_films(11, 1, 5, 40, errs=0.2, flawed=0.0))


@pytest.fixture(scope="module")
def told(rolled: list[Rolled]) -> list[Lesson]:
    return [lesson for each in rolled for lesson in each.lessons]


def of_films(*what: float, **settings: Any) -> Iterator[Rolled]:
    for of_one in rollouts(*what, **settings):
        yield from of_one


def lessons(*film: float, **settings: float) -> Iterator[Lesson]:
    """What is to be learned of rollouts: mistakes are left out."""
    for each in of_films(*film, **settings):
        yield from (lesson for lesson in each.lessons if lesson.is_lesson)


def reply(text: str) -> Reply:
    return Reply(text, Usage(), "stop")


def test_the_same_seed_gives_the_same_lessons() -> None:
    assert list(lessons(**SHORT)) == list(lessons(**SHORT))
    assert list(lessons(**SHORT)) != list(lessons(**SHORT | {"seed": 4}))


def test_held_out_seeds_are_never_trained_on() -> None:
    with pytest.raises(ValueError, match="never trained on"):
        next(lessons(**SHORT | {"seed": HELD_OUT}))


def test_every_kind_of_question_has_a_plan() -> None:
    for template in TEMPLATES:
        assert sum(template.wording.startswith(begin) for begin in PLANS) == 1, template.wording


def test_no_hat_is_an_answer_and_not_the_lack_of_one() -> None:
    assert not is_none("no hat")
    assert is_none(when_in("CAFE")("CAFE: nothing."))
    assert is_none(where("red person jumps", "jumps")("jumps: nothing."))


def test_what_is_to_be_said_parses_as_the_agent_reads_it(told: list[Lesson]) -> None:
    assert {lesson.role for lesson in told} == {"reasoner", "vlm", "critic"}
    for lesson in told:
        said = reply(lesson.target)
        if lesson.role == "vlm":
            parse_answer(said)
        elif lesson.role == "critic":
            (Doubt if len(lesson.messages) == 2 else Verdict).model_validate_json(lesson.target)
        else:
            last = "Answer now." in str(lesson.messages[-1].content)
            parse_turn(said, (answer,) if last else (note_cues,) if lesson.turn == 0 else TOOLS)


def test_a_prompt_is_what_the_agent_was_shown(rolled: list[Rolled]) -> None:
    for each in (each for each in rolled if each.right):
        turns = [lesson for lesson in each.lessons if lesson.role == "reasoner"]
        assert len(turns) == len(each.trace.turns)
        for turn, lesson in zip(each.trace.turns, turns, strict=True):
            assert lesson.messages == real(view.prompt_of(each.trace, turn.index))


def test_only_rollouts_with_the_right_answer_are_lessons(rolled: list[Rolled]) -> None:
    assert any(not each.right for each in rolled)
    assert not any(each.lessons for each in rolled if not each.right)


def test_mistakes_stay_in_the_rollout_and_are_no_lessons(rolled: list[Rolled], told: list[Lesson]) -> None:
    mistakes = [lesson for lesson in told if not lesson.is_lesson]
    assert mistakes
    for lesson in told:
        if lesson.role == "reasoner":
            assert lesson.is_lesson == (lesson.target == right_turn(lesson.messages))
    learned = list(lessons(11, 1, 5, 40, errs=0.2, flawed=0.0))
    assert learned == [lesson for lesson in told if lesson.is_lesson]


def test_after_a_mistake_comes_a_turn_that_mends_it(told: list[Lesson]) -> None:
    for before, after in turns_in_a_row(told):
        if not before.is_lesson and after.is_lesson:
            seen = " ".join(str(message.content) for message in after.messages)
            assert json.loads(before.target)["action"]["tool"] in seen
            assert after.target != before.target


def turns_in_a_row(told: Sequence[Lesson]) -> list[tuple[Lesson, Lesson]]:
    turns = [lesson for lesson in told if lesson.role == "reasoner"]
    return [(one, two) for one, two in pairwise(turns) if one.question_id == two.question_id]


def test_the_critic_sends_a_hasty_answer_back_and_it_is_mended(rolled: list[Rolled]) -> None:
    sent_back = [each for each in rolled if each.right and any(v.sent_back for v in each.trace.verdicts)]
    assert sent_back
    for verdict in (verdict for each in sent_back for verdict in each.trace.verdicts if verdict.sent_back):
        assert verdict.possible_errors
        assert verdict.suggestion
        assert verdict.answer_after != verdict.answer_before


def test_oracles_answer_most_questions_of_a_film_whose_lines_can_be_read() -> None:
    marks = [each.right for each in of_films(12, 1, 5, 40, errs=0.0, flawed=0.0)]
    assert sum(marks) / len(marks) >= 0.85


def test_captions_with_a_captioners_errors_leave_most_questions_answered() -> None:
    marks = [each.right for each in of_films(12, 1, 5, 40, errs=0.0, flawed=1.0)]
    assert sum(marks) / len(marks) >= 0.75


def test_lessons_fit_the_tiny_model(told: list[Lesson]) -> None:
    for role, each in lengths(told, TaskEncoder(AutoTokenizer.from_pretrained(VLM))).items():
        assert each.prompt_max <= PROMPT_TOKENS, role


def test_a_batch_of_lessons_is_of_one_role_without_mistakes_and_no_larger_than_it_may_be(told: list[Lesson]) -> None:
    pool, shown, rng = LessonPool(told), Shown(), np.random.default_rng(1)
    mistakes = {lesson.target for lesson in told if not lesson.is_lesson}
    for role, asks in (("reasoner", "Find the answer"), ("critic", "Doubt the answer"), ("vlm", "Question: ")):
        for _ in range(20):
            tasks = pool.tasks(role, rng, shown)
            texts = ["".join(text_of(message) for message in task.messages) for task in tasks]
            assert all(asks in text for text in texts)
            assert not {task.target for task in tasks} & mistakes
            pictures = max(len(task.stills) for task in tasks)
            assert len(tasks) * (max(map(len, texts)) + LETTERS_A_PICTURE * pictures) <= 1.5 * LETTERS
    assert len({bytes(one.picture) for one in shown.drawn}) > 1


def test_verdicts_that_doubt_are_shown_more_often(told: list[Lesson]) -> None:
    doubt = next(lesson for lesson in told if is_doubt(lesson))
    sure = next(lesson for lesson in told if lesson.role == "critic" and '"confidence":0.9' in lesson.target)
    shown = LessonPool([doubt, sure]).by_role["critic"]
    assert shown.count(doubt) == DOUBTS * shown.count(sure) > 1


def test_a_folder_without_lessons_says_how_to_write_some(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="toytown_lessons"):
        LessonPool.of_folder(tmp_path)


class Shown:
    """Keeps the pictures of lessons."""

    def __init__(self) -> None:
        self.drawn: list[Drawn] = []

    def put(self, drawn: list[Drawn]) -> list[int]:
        self.drawn += drawn
        return list(range(len(self.drawn) - len(drawn), len(self.drawn)))


def test_lessons_come_back_from_their_file(told: list[Lesson], tmp_path: Path) -> None:
    write_lessons(tmp_path / "lessons.parquet", told)
    assert read_lessons(tmp_path / "lessons.parquet") == told


def test_a_frame_is_drawn_from_the_film_that_its_seed_gives(told: list[Lesson]) -> None:
    asked = next(
        lesson
        for lesson in told
        if lesson.role == "vlm" and "Where is this" in str(lesson.messages) and "nothing" not in lesson.target
    )
    place = json.loads(asked.target)["answer"]
    assert place in {frame.still().place for frame in asked.frames}
    pictures = [part.jpeg for part in asked.example().messages[0].parts() if part.type == "image"]
    assert len(pictures) == len(asked.frames)
    assert all(picture.startswith(b"\xff\xd8") for picture in pictures)


def test_a_lesson_is_a_task_with_its_pictures_where_the_trainer_has_them(told: list[Lesson]) -> None:
    lesson = next(lesson for lesson in told if len(lesson.frames) > 1)
    places: dict[FrameRef, int] = {frame: 100 + number for number, frame in enumerate(lesson.frames)}
    task = lesson.task(places.__getitem__)
    assert task.stills == tuple(range(100, 100 + len(lesson.frames)))
    assert (task.messages, task.target) == (lesson.messages, lesson.target)


def test_who_investigates_has_looked_before_the_answer() -> None:
    rolled = [each for each in of_films(11, 1, 5, 20, errs=0.1, flawed=0.0, policy="investigator") if each.right]
    assert rolled
    for each in rolled:
        *before, last = each.trace.turns
        assert last.tool == "answer"
        assert any(turn.media for turn in before)
        assert {lesson.role for lesson in each.lessons} <= {"investigator", "vlm", "critic"}
        for lesson in (lesson for lesson in each.lessons if lesson.role == "investigator" and lesson.is_lesson):
            assert lesson.target == right_turn(lesson.messages, investigation_of)


def test_a_count_is_thought_out_and_an_order_is_answered_by_its_words(rolled: list[Rolled]) -> None:
    asked = {"How often": r"(\d+: \d+\.\d, )*\d+: \d+\.\d", "In which order": r"\w+, \w+, \w+, \w+"}
    for begins, thought in asked.items():
        answers = [
            json.loads(each.trace.turns[-1].call.said)
            for each in rolled
            if each.right and each.question.question.startswith(begins) and each.question.answerable
        ]
        assert answers
        for said in answers:
            assert re.fullmatch(thought, said["thought"])
            last = said["thought"].split()[-2][:-1] if begins == "How often" else said["thought"]
            assert said["action"]["content"] == last


def test_places_are_put_in_order_one_after_the_other(rolled: list[Rolled]) -> None:
    asked = [each for each in rolled if each.right and each.question.question.startswith("In which order")]
    assert asked
    for each in asked:
        notes = [turn.observation for turn in each.trace.turns if "; order " in turn.observation]
        assert [note.removeprefix("none: ")[0] for note in notes] == list("ABCD")
        *_, last = (firsts_in(note.partition("; order ")[2]) for note in notes)
        assert [*last.values()] == sorted(last.values())
        assert ", ".join(last) == json.loads(each.trace.turns[-1].call.said)["thought"]


def test_who_goes_through_the_options_notes_how_far_and_which_is_best_so_far(rolled: list[Rolled]) -> None:
    asked = [each for each in rolled if each.right and "longest time" in each.question.question]
    assert asked
    for each in asked:
        notes = [turn.observation for turn in each.trace.turns if "; most " in turn.observation]
        assert [note[0] for note in notes] == list("ABCD")
        counts = [int(note.split(";")[0].split()[-1]) for note in notes]
        assert [int(note.split()[-1]) for note in notes] == [max(counts[: at + 1]) for at in range(4)]
        assert f'"{notes[-1].split()[-2]}"' in str(each.trace.turns[-1].arguments)
