"""Lessons of the baseline that does not choose: its own requests, with answers from the film's truth."""

import re

import pytest
from transformers import AutoTokenizer

from loupe.agent.normalizing import normalize
from loupe.asking import ask_request, parse_answer
from loupe.benchmarks.toytown.captions import caption
from loupe.benchmarks.toytown.writing import HELD_OUT, write_film
from loupe.engines.protocol import Reply
from loupe.prompts import load
from loupe.training.toytown_decoder import TaskEncoder
from loupe.training.toytown_lessons.oracle_passive import NOT_SHOWN, reason
from loupe.training.toytown_lessons.passive import ROLE, OneShot, of_film, rollouts
from loupe.training.toytown_lessons.report import VLM
from loupe.training.toytown_lessons.rolled import options_of
from loupe.training.toytown_lessons.searching import oracle_config
from loupe.training.toytown_lessons.tables import FrameRef, lengths
from loupe.training.toytown_tasks import FRAME
from schemas.messages import Usage
from schemas.outputs import FrameAnswer
from schemas.questions import Question

FRAMES = 16
PROMPT_TOKENS = 1100


@pytest.fixture(scope="module")
def asked() -> list[OneShot]:
    """Questions about a film of five minutes, half of them with frames of the true evidence."""
    return of_film((11, 0, 5), 40, handed=0.5)


def answer_of(one: OneShot) -> FrameAnswer:
    return parse_answer(Reply(one.lesson.target, Usage(), "stop"))


def seconds(frame: FrameRef) -> float:
    return frame.ts_ms / 1000


def test_the_same_seed_gives_the_same_lessons() -> None:
    once, again, other = ([one.lesson for of_one in rollouts(seed, 1, 2, 8) for one in of_one] for seed in (3, 3, 4))
    assert once == again != other
    assert once


def test_held_out_seeds_are_never_trained_on() -> None:
    with pytest.raises(ValueError, match="never trained on"):
        next(rollouts(HELD_OUT, 1, 2, 8))


def test_a_prompt_is_the_question_with_its_frames_as_the_policy_asks(asked: list[OneShot]) -> None:
    for one in asked:
        told = load("tiny", f"question_{one.question.answer_type}").fill(
            question=one.question.question, options=options_of(one.question)
        )
        frames = [(seconds(frame), FRAME) for frame in one.lesson.frames]
        assert one.lesson.messages == ask_request(told, frames, load("tiny", "ask")).messages
        assert one.lesson.role == ROLE


def test_frames_are_evenly_apart_or_of_the_true_times(asked: list[OneShot]) -> None:
    last = write_film(11, 0, 5).duration_ms // 1000 - 1
    evenly = [round(last * number / (FRAMES - 1)) for number in range(FRAMES)]
    handed = [one for one in asked if one.times == "relevant" and one.question.relevant_times]
    assert 5 < len(handed) < len(asked) - 5
    for one in asked:
        shown = [seconds(frame) for frame in one.lesson.frames]
        if one not in handed:
            assert shown == evenly
            continue
        assert 1 <= len(shown) <= FRAMES
        for time in shown:
            assert any(s.start_ms - 1000 < 1000 * time < s.end_ms + 1000 for s in one.question.relevant_times)


def test_what_is_to_be_said_is_the_true_answer_as_the_policy_reads_it(asked: list[OneShot]) -> None:
    assert {one.question.answer_type for one in asked} == {"choice", "spans", "number", "text"}
    assert {one.trace.status for one in asked} == {"answered", "abstained"}
    for one in asked:
        assert normalize(one.question, answer_of(one).answer) == one.question.answer == one.trace.answer


def test_what_is_told_of_a_frame_is_in_it_and_it_is_shown(asked: list[OneShot]) -> None:
    told = 0
    for one in asked:
        shown = {seconds(frame): caption(frame.still()) for frame in one.lesson.frames}
        for start, end, names in re.findall(r"\[([\d.]+)(?:-([\d.]+))?\] ([^;]+)", answer_of(one).reasoning):
            for time in (float(start), float(end or start)):
                true = shown[time]
                assert set(names.split(", ")) <= {
                    true.place, *true.on_screen_text, *true.subjects, *true.actions, *true.objects
                }  # fmt: skip
                told += 1
    assert told > len(asked)


def test_evidence_is_mostly_told_where_it_is_handed_over(asked: list[OneShot]) -> None:
    heard = ("audio_visual", "key_information_retrieval")
    marks = [
        answer_of(one).reasoning != NOT_SHOWN
        for one in asked
        if one.times == "relevant" and one.question.answerable and one.question.capability not in heard
    ]
    assert marks
    assert all(marks)
    assert {answer_of(one).reasoning for one in asked if not one.question.answerable} == {NOT_SHOWN}


def test_frames_of_other_times_tell_nothing(asked: list[OneShot]) -> None:
    film = write_film(11, 0, 5)
    times = list(range(0, film.duration_ms, 1000))
    seen: Question = next(one.question for one in asked if one.question.question.startswith("When is the sign"))
    (span,) = seen.relevant_times
    others = [(ms, film.still(ms / 1000)) for ms in times if not span.start_ms <= ms < span.end_ms]
    assert reason(seen, others) == NOT_SHOWN
    sign = seen.question.split()[4]
    assert sign in reason(seen, [(ms, film.still(ms / 1000)) for ms in times])


def test_lessons_fit_the_tiny_model(asked: list[OneShot]) -> None:
    (each,) = lengths([one.lesson for one in asked], TaskEncoder(AutoTokenizer.from_pretrained(VLM))).values()
    assert each.prompt_max <= PROMPT_TOKENS
    assert each.target_max <= oracle_config().answer.ask_tokens
