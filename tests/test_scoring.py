"""Scores by hand: answers, intervals, comparisons, calibration, relevance, costs, and what becomes of a question."""

from typing import Any

import pytest

from loupe.scoring.amortizing import Costs, film_tokens
from loupe.scoring.answers import bare, choice, is_right, number, score, spans, text
from loupe.scoring.calibration import expected_error, reliability
from loupe.scoring.relevance import share_inside
from loupe.scoring.scored import Looked, Scored, score_question, score_run
from loupe.scoring.statistics import Estimate, estimate, mcnemar, paired
from loupe.scoring.summary import NO_CAPABILITY, Sampling, compare, summarize
from schemas.questions import UNANSWERABLE, AnswerType, Question
from schemas.results import answer_row
from schemas.scores import SCORES
from schemas.traces import Trace
from tests.results_scene import call, doubt, frame, letter, trace, turn

FEW = Sampling(resamples=50)


def scored(question: Question, run: Trace | None) -> Scored:
    if run is None:
        (one,) = score_run([question], {}, {})
        return one
    return score_question(question, answer_row(run), Looked.of(run.as_row()))


def marks(*right: bool, **more: Any) -> list[Scored]:
    """A question a mark, each answered with a confidence of 0.8."""
    questions = [letter(str(index), **more) for index in range(len(right))]
    return [scored(each, trace(each, "A" if mark else "B")) for each, mark in zip(questions, right, strict=True)]


# --- answers


def test_each_type_of_answer_has_its_score() -> None:
    assert (choice("B", "B"), choice("B", "C")) == (1, 0)
    assert (number(3, 3), number(3, 4)) == (1, 0)
    assert (text("The red  Car!", "red car"), text("a red automobile", "red car")) == (1, 0)
    assert spans([(0, 10)], [(5, 15)]) == pytest.approx(5 / 15)
    assert spans([(0, 4), (8, 12)], [(2, 10)]) == pytest.approx(4 / 12)


@pytest.mark.parametrize(
    ("answer_type", "given", "true", "expected"),
    [
        ("choice", "A", "A", 1),
        ("number", "007", "7", 1),
        ("number", "seven", "7", 0),
        ("spans", "[[0, 10], [5, 12]]", "[[0, 12]]", 1),
        ("spans", "[[0, 6]]", "[[0, 12]]", 0.5),
        ("spans", "somewhere", "[[0, 12]]", 0),
        ("spans", "[1, 2]", "[[0, 12]]", 0),
        ("text", "Café", "cafe\u0301", 1),
        ("text", None, "red car", 0),
        ("text", UNANSWERABLE, UNANSWERABLE, 1),
        ("number", "3", UNANSWERABLE, 0),
        ("spans", UNANSWERABLE, "[[0, 12]]", 0),
    ],
)
def test_answers_as_they_stand_in_files_are_read(
    answer_type: AnswerType, given: str | None, true: str, expected: float
) -> None:
    assert score(answer_type, given, true) == expected


def test_spans_are_right_from_half_an_overlap_on() -> None:
    assert is_right("spans", "[[0, 6]]", "[[0, 12]]")
    assert not is_right("spans", "[[0, 5.9]]", "[[0, 12]]")


def test_articles_go_but_not_the_words_that_begin_like_them() -> None:
    assert bare("The theatre, an anthill & a Cat.") == "theatre anthill cat"


# --- how sure a mean is


def test_an_interval_of_many_questions_is_as_wide_as_theory_says() -> None:
    found = estimate([1.0] * 120 + [0.0] * 80)
    assert found is not None
    assert (found.mean, found.count) == (0.6, 200)
    half = 1.96 * (0.6 * 0.4 / 200) ** 0.5  # of a binomial share, 0.068
    assert found.low == pytest.approx(0.6 - half, abs=0.01)
    assert found.high == pytest.approx(0.6 + half, abs=0.01)


def test_the_same_seed_gives_the_same_interval() -> None:
    values = [index**2 / 1600 for index in range(40)]
    assert estimate(values, seed=4) == estimate(values, seed=4)
    assert estimate(values, seed=4) != estimate(values, seed=5)


def test_what_is_always_right_is_surely_right() -> None:
    assert estimate([1.0] * 9) == Estimate(1, 1, 1, 9)
    assert estimate([]) is None


@pytest.mark.parametrize(
    ("only_one", "only_other", "p"),
    [(0, 5, 2 / 32), (7, 1, 2 * (1 + 8) / 256), (3, 3, 1.0), (0, 0, 1.0), (2, 0, 0.5)],
)
def test_mcnemar(only_one: int, only_other: int, p: float) -> None:
    assert mcnemar(only_one, only_other) == pytest.approx(p)


def test_mcnemar_of_thousands() -> None:
    assert 0 < mcnemar(1400, 1600) < 0.001


def test_a_paired_comparison_sees_what_two_intervals_do_not() -> None:
    one = [True] * 60 + [False] * 40
    other = [True] * 52 + [False] * 48  # right on the same questions but eight
    found = paired(one, other)
    assert found is not None
    assert (found.only_one, found.only_other) == (8, 0)
    assert found.difference.mean == pytest.approx(0.08)
    assert found.difference.low > 0
    assert found.p == pytest.approx(2 / 2**8)


# --- confidence


def test_expected_calibration_error_by_hand() -> None:
    bins = reliability([(0.95, True), (0.95, True), (0.85, False), (0.15, False)])
    assert [each.count for each in bins] == [0, 1, 0, 0, 0, 0, 0, 0, 1, 2]
    assert expected_error(bins) == pytest.approx((2 * 0.05 + 0.85 + 0.15) / 4)


def test_confidences_at_the_ends_and_edges_have_a_bin() -> None:
    bins = reliability([(0.0, False), (0.1, True), (1.0, True)])
    assert [each.count for each in bins] == [1, 1, 0, 0, 0, 0, 0, 0, 0, 1]
    assert (bins[1].confidence, bins[1].accuracy) == (0.1, 1.0)
    assert expected_error(reliability([])) is None
    with pytest.raises(ValueError, match="confidence of 85"):
        reliability([(85, True)])


# --- where one looked


def test_frames_are_inside_or_not_and_stretches_in_part() -> None:
    true = [(10_000, 20_000), (15_000, 30_000)]
    assert share_inside([(10_000, 10_000), (30_000, 30_000), (30_001, 30_001), (5_000, 5_000)], true) == 0.5
    assert share_inside([(5_000, 15_000)], true) == 0.5
    assert share_inside([(12_000, 28_000)], true) == 1  # what two true times share counts once
    assert share_inside([], true) is None


def test_a_question_tells_where_it_looked_and_what_its_answer_rests_on() -> None:
    question = letter("q")
    run = trace(question, "A", turns=(turn(0, looked=(5, 12, 25)), turn(1, looked=(14,)), turn(2, "answer")))
    one = scored(question, run)
    assert (one.looked_inside, one.found, one.evidence_inside) == (0.5, True, 1.0)


def test_times_of_several_films_are_nobodys() -> None:
    question = letter("q", video=("a.mp4", "b.mp4"))
    one = scored(question, trace(question, "A"))
    assert (one.looked_inside, one.found, one.evidence_inside) == (None, None, None)


# --- what becomes of a question


@pytest.mark.parametrize("status", ["failed", "unparsed", "turn_limit"])
def test_a_question_without_an_answer_is_wrong(status: str) -> None:
    question = letter("q")
    one = scored(question, trace(question, None, status=status))
    assert (one.right, one.score, one.status, one.confidence) == (False, 0, status, None)


def test_a_question_that_is_missing_is_wrong_and_cost_nothing() -> None:
    one = scored(letter("q"), None)
    assert (one.right, one.status, one.turns, one.tokens) == (False, "missing", 0, 0)


def test_only_the_answer_that_the_film_does_not_say_is_right_where_it_does_not() -> None:
    question = letter("q", UNANSWERABLE, answerable=False)
    assert scored(question, trace(question, UNANSWERABLE, status="abstained")).right
    assert not scored(question, trace(question, "A")).right
    assert not scored(question, trace(question, None)).right
    assert not scored(letter("q"), trace(letter("q"), UNANSWERABLE, status="abstained")).right


def test_what_nobody_knows_is_neither_right_nor_wrong() -> None:
    question = letter("q", answer=None)
    one = scored(question, trace(question, "A"))
    assert (one.right, one.right_first, one.score) == (None, None, None)


def test_a_row_of_scores_has_the_columns_of_its_schema() -> None:
    assert list(Scored.__annotations__) == SCORES.names


# --- a run


def test_a_run_is_scored_by_capability_and_by_type() -> None:
    events, names = marks(True, True, False, True), marks(False, True, capability="")
    found = summarize([*events, *names], FEW)
    assert found.accuracy.mean == pytest.approx(4 / 6)
    assert {name: (each.mean, each.count) for name, each in found.by_capability.items()} == {
        NO_CAPABILITY: (0.5, 2),
        "events": (0.75, 4),
    }
    assert list(found.by_answer_type) == ["choice"]


def test_missing_failed_and_unknown_ones_are_counted() -> None:
    failed, unknown = letter("f"), letter("u", answer=None)
    scores = [*marks(True), scored(failed, trace(failed, None)), scored(letter("m"), None)]
    scores.append(scored(unknown, trace(unknown, "A")))
    found = summarize(scores, FEW)
    assert found.accuracy.mean == pytest.approx(1 / 3)
    assert found.unknown == 1
    assert found.statuses == {"answered": 2, "failed": 1, "missing": 1}
    assert found.calibration.without == 2
    assert found.effort["tokens"].total == 3 * 330  # two turns and a look each, nothing for the missing one


def test_a_run_without_any_known_answer_is_not_scored() -> None:
    with pytest.raises(ValueError, match="none of the questions has an answer"):
        summarize([scored(letter("q", answer=None), None)], FEW)


def test_times_have_an_overlap_and_a_recall() -> None:
    times = letter("t", "[[0, 10]]", options=(), answer_type="spans")
    nowhere = letter("n", UNANSWERABLE, answerable=False, options=(), answer_type="spans")
    told = {"[[0, 10]]": 1.0, "[[0, 4]]": 0.4, "[[0, 6]]": 0.6, "[[20, 30]]": 0.0}
    scores = [scored(times, trace(times, answer)) for answer in told]
    found = summarize([*scores, scored(nowhere, trace(nowhere, "[[0, 1]]"))], FEW).overlap
    assert found is not None
    assert (found.iou.mean, found.iou.count) == (pytest.approx(0.5), 4)
    assert found.recall == {0.3: 0.75, 0.5: 0.5, 0.7: 0.25}


def test_the_critic_mends_two_answers_spoils_one_and_costs_tokens() -> None:
    def reviewed(name: str, before: str, after: str) -> Scored:
        question = letter(name)
        again = turn(2, round_=1, call=call(tokens=(200, 20)), calls=(call("vlm", tokens=(70, 10)),))
        turns = (turn(0, looked=(12,)), turn(1, "answer"), again)
        return scored(question, trace(question, after, verdicts=(doubt(before, after),), turns=turns))

    mended, also = reviewed("1", "B", "A"), reviewed("2", "C", "A")
    spoiled, other = reviewed("3", "A", "D"), reviewed("4", "B", "C")
    found = summarize([mended, also, spoiled, other, *marks(True)], FEW).critic
    assert found is not None
    assert (found.without.mean, found.reviewed, found.changed) == (pytest.approx(2 / 5), 4, 4)
    assert (found.gain.only_one, found.gain.only_other) == (2, 1)
    assert found.gain.difference.mean == pytest.approx(1 / 5)
    assert (found.critic_tokens, found.review_tokens) == (55 * 4 / 5, 300 * 4 / 5)
    assert found.share == pytest.approx((4 * 55 + 4 * 300) / (5 * 330 + 4 * 355))


def test_a_run_without_reviews_says_nothing_of_a_critic() -> None:
    assert summarize(marks(True, False), FEW).critic is None


def test_the_critics_own_frames_are_not_what_the_agent_looked_at() -> None:
    question = letter("q")
    verdict = doubt("A", "A", media=(frame(90), frame(91)))
    one = scored(question, trace(question, "A", verdicts=(verdict,)))
    assert one.looked_inside == 1


def test_two_runs_are_compared_question_by_question() -> None:
    found = compare(marks(True, True, True, False), marks(True, False, False, True), FEW)
    assert (found.only_one, found.only_other, found.difference.mean) == (2, 1, 0.25)


# --- costs


def test_an_index_pays_from_the_question_on_that_saves_the_last_of_its_tokens() -> None:
    costs = Costs(index_tokens=1000, question_tokens=100, film_tokens=350)
    assert costs.break_even == 5  # after four, 1,400 tokens either way
    assert costs.indexed(4) == costs.whole_film(4) == 1400
    assert costs.indexed(5) < costs.whole_film(5)


def test_an_index_of_films_shorter_than_an_answer_never_pays() -> None:
    assert Costs(index_tokens=1, question_tokens=100, film_tokens=100).break_even is None


def test_a_whole_film_is_a_frame_a_second() -> None:
    assert film_tokens([60_000, 1_500], fps=1, tokens_a_frame=10) == (600 + 20) / 2
