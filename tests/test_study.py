"""The study: what is asked, what is measured of it, what is claimed, and the page that tells it."""

import json
import re
from collections import Counter
from dataclasses import replace
from itertools import chain, pairwise
from math import hypot
from pathlib import Path
from typing import Any

import pytest
import yaml

from loupe import config as configs
from loupe.benchmarks.toytown.questions import questions_about
from loupe.benchmarks.toytown.writing import write_film
from loupe.scoring.amortizing import Costs
from loupe.scoring.statistics import Estimate
from loupe.scoring.summary import Sampling
from loupe.study.findings import Finding, difference, falls, findings
from loupe.study.measures import (
    ABOVE_MEAN,
    ANY_TURN,
    BREAK_EVEN,
    PIVOTAL,
    Measured,
    at_length,
    measure,
    tokens_a_frame,
)
from loupe.study.outcomes import pivotal_turn
from loupe.study.page import page
from loupe.study.places import Places, overrides
from loupe.study.plan import FULL, QUICK, Setting, Size, asked_of, points_of
from loupe.study.plots import apart
from loupe.study.questions import for_times, kind_of, same_kinds
from loupe.study.sections import Story
from schemas.questions import Question
from tests.html_page import CANARY, Seen
from tests.study_scene import SMALL, study

DEMO = "infra/configs/demo.yaml"


def always(setting: Setting, number: int) -> dict[str, Any]:
    """Everything is right, in as many turns as there are minutes."""
    return {"answer": "A", "turns": int(setting.minutes), "prompt_tokens": 1000}


def rows_of(rows: list[Measured], **wanted: Any) -> list[Measured]:
    return [row for row in rows if all(getattr(row, name) == value for name, value in wanted.items())]


def one(rows: list[Measured], **wanted: Any) -> Measured:
    (found,) = rows_of(rows, **wanted)
    return found


def told(found: list[Finding], part: str) -> Finding:
    (finding,) = [each for each in found if part in each.claim]
    return finding


def story(rows: list[Measured], size: Size = SMALL, **more: Any) -> Story:
    given: dict[str, Any] = {"models": ["vlm: a"], "reasons": {}, "notes": []}
    return Story(rows, findings(rows, size), size, **given | more)


# --- what is asked ----------------------------------------------------------------------------------------------------


def drawn(seed: int, minutes: float, films: int) -> list[Question]:
    """Questions about films that nobody encodes."""
    each = (questions_about(write_film(seed, index, minutes), index, 60) for index in range(films))
    return list(chain.from_iterable(each))


@pytest.fixture(scope="module")
def pools() -> dict[float, list[Question]]:
    return {5: drawn(10_000_021, 5, 2), 10: drawn(10_000_021, 10, 2)}


@pytest.mark.parametrize("count", [7, 40])
def test_every_length_is_asked_as_many_of_each_kind_from_all_its_films(
    pools: dict[float, list[Question]], count: int
) -> None:
    asked = same_kinds(pools, count)
    kinds = {minutes: Counter(kind_of(each.question) for each in some) for minutes, some in asked.items()}
    assert kinds[5] == kinds[10]
    assert len(asked[5]) == len({each.question_id for each in asked[5]}) == count
    assert all(len({each.video for each in some}) == 2 for some in asked.values())
    assert len({each.capability for each in asked[5]}) == 7  # a few questions have something of everything


def test_questions_for_times_are_spans_of_every_kind(pools: dict[float, list[Question]]) -> None:
    asked = for_times(pools[5], 6)
    assert {each.answer_type for each in asked} == {"spans"}
    assert len(asked) == 6
    assert len({kind_of(each.question) for each in asked}) == 4
    assert len({each.video for each in asked}) == 2


def test_what_is_no_question_of_toytown_has_no_kind() -> None:
    with pytest.raises(ValueError, match="not a question of toytown"):
        kind_of("Who are you?")


@pytest.mark.parametrize("size", [QUICK, FULL, SMALL])
def test_curves_share_settings_and_every_setting_has_a_folder_of_its_own(size: Size) -> None:
    points = points_of(size)
    settings = asked_of(points)
    assert len(settings) < len(points)
    assert len({setting.name for setting in settings}) == len(settings)
    shared = next(point.setting for point in points if point.curve == "entropy")
    assert {point.curve for point in points if point.setting == shared} >= {"length", "grounding", "ablation"}
    assert settings[shared] == ("mixed", "times")


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Places:
    """Of the demo's models."""
    return Places.of(tmp_path_factory.mktemp("study"), configs.load(DEMO), 1)


@pytest.mark.parametrize("setting", list(asked_of(points_of(FULL))), ids=lambda setting: setting.name)
def test_every_setting_is_a_config(setting: Setting, places: Places) -> None:
    config = configs.load(DEMO, overrides(places, setting))
    assert config.answer.policy == setting.policy
    assert config.answer.job.output == str(places.results(setting))
    if setting.policy in ("active_perception", "investigator"):
        assert config.answer.looking.turns == "fixed"
    assert (config.index.database == str(places.database(setting.minutes))) is setting.indexed


# --- where it lies ----------------------------------------------------------------------------------------------------


def config_with(folder: Path, weights: str, **changes: Any) -> configs.Config:
    """A config whose models lie in a folder."""
    (folder / "model").mkdir(exist_ok=True)
    (folder / "model" / "model.safetensors").write_text(weights)
    model = {"engine": "local", "source": str(folder / "model")}
    tree = {"models": {"m": model}, "roles": dict.fromkeys(("captioner", "vlm"), "m"), "prompts": "tiny", **changes}
    (folder / "config.yaml").write_text(yaml.safe_dump(tree))
    return configs.load(folder / "config.yaml")


def test_answers_of_other_weights_prompts_or_settings_lie_elsewhere(tmp_path: Path) -> None:
    def places(weights: str, seed: int = 1, **changes: Any) -> Places:
        return Places.of(tmp_path, config_with(tmp_path, weights, **changes), seed)

    before = places("one")
    assert places("one") == before
    for other in (
        places("two"),
        places("one", prompts="full"),
        places("one", index={"fps": 2}),
        places("one", index={"caption_tokens": 99}),
        places("one", seed=2),
    ):
        assert other.index != before.index
        assert other.answers != before.answers
    assert places("one", seed=2).films(5) != before.films(5)
    asked_otherwise = places("one", answer={"frames": 3})
    assert asked_otherwise.index == before.index
    assert asked_otherwise.answers != before.answers
    assert places("one", index={"commit_chunks": 3}) == before


# --- what is measured -------------------------------------------------------------------------------------------------


def test_every_point_has_a_mean_inside_its_interval_and_a_count() -> None:
    def rule(setting: Setting, number: int) -> dict[str, Any]:
        return {"answer": "AB"[number % 2], "turns": number, "prompt_tokens": 100 * number, "entropies": (0.1, 0.2)}

    rows = measure(study(rule))
    known = [row for row in rows if row.mean is not None]
    assert {row.curve for row in known} == {"length", "budget", "grounding", "ablation", "entropy", "amortization"}
    for row in known:
        assert row.measure == BREAK_EVEN or row.estimate is not None
        assert row.count > 0
        assert row.estimate is None or row.low <= row.mean <= row.high, row  # type: ignore[operator]
    right = one(rows, curve="length", series="active_perception", x=30, measure="accuracy")
    assert (right.mean, right.count) == (0.5, SMALL.questions)
    assert right.low < 0.5 < right.high  # type: ignore[operator]


def test_turns_an_hour_are_turns_by_the_length_of_the_film() -> None:
    rows = measure(study(always))
    for minutes in SMALL.lengths:
        found = one(rows, curve="length", series="investigator", x=minutes, measure="turns an hour of film")
        assert found.mean == pytest.approx(60)


def test_what_the_model_cannot_do_is_told_and_no_accuracy_of_nothing() -> None:
    def rule(setting: Setting, number: int) -> dict[str, Any]:
        if "answer.passive_frames=64" in setting.set:
            return {"status": "failed", "error": "RequestError: 64 pictures are too many"}
        return always(setting, number)

    rows = measure(study(rule))
    found = rows_of(rows, curve="length", series="passive, 64 frames")
    assert [(row.mean, row.count) for row in found] == [(None, 0)] * 3
    seen = Seen(page(story(rows)))
    assert (
        "passive, 64 frames, at 5, 30, 130: not possible with this model: RequestError: 64 pictures are too many"
        in (" ".join(seen.text.split()))
    )


def test_a_failure_among_answers_is_a_wrong_answer() -> None:
    def rule(setting: Setting, number: int) -> dict[str, Any]:
        return always(setting, number) if number else {"status": "failed", "error": "EngineError: gone"}

    rows = measure(study(rule))
    found = {name: one(rows, curve="budget", x=6, measure=name).mean for name in ("accuracy", "no answer")}
    assert found == {"accuracy": pytest.approx(0.9), "no answer": pytest.approx(0.1)}


def test_a_setting_whose_job_did_not_run_leaves_a_gap_with_its_reason() -> None:
    whole = study(always)
    name = next(point.setting.name for point in whole.points if point.curve == "budget" and point.x == 6)
    left = {other: each for other, each in whole.answers.items() if other != name}
    rows = measure(replace(whole, answers=left, refused={name: "its job did not run to its end: the disk is full"}))
    gap = one(rows, curve="budget", x=6)
    assert gap.mean is None
    assert gap.note == "its job did not run to its end: the disk is full"
    assert one(rows, curve="budget", x=52, measure="accuracy").mean == 1


def test_grounding_counts_overlaps() -> None:
    def rule(setting: Setting, number: int) -> dict[str, Any]:
        return {"answer": "A" if setting.policy == "active_perception" or number % 5 == 0 else "B"}

    rows = measure(study(rule))
    for name in ("mean IoU", "R1@0.3", "R1@0.5", "R1@0.7"):
        assert one(rows, curve="grounding", series="active_perception", measure=name).mean == 1
        blind = one(rows, curve="grounding", series="passive, 16 frames", measure=name)
        assert (blind.mean, blind.count) == (pytest.approx(0.2), SMALL.times)


def test_an_ablation_is_a_difference_question_by_question() -> None:
    def rule(setting: Setting, number: int) -> dict[str, Any]:
        deaf = "answer.looking.hearing=off" in setting.set
        return {"answer": "B" if deaf and number < 4 else "A"}

    rows = measure(study(rule))
    lost = one(rows, curve="ablation", series="active_perception, no sound", measure="difference")
    assert (lost.mean, lost.count) == (pytest.approx(-0.4), SMALL.questions)
    assert lost.high < 0  # type: ignore[operator]
    same = one(rows, curve="ablation", series="investigator, no critic", measure="difference")
    assert (same.mean, same.low, same.high) == (0, 0, 0)
    assert not rows_of(rows, series="active_perception, as it is", measure="difference")


def test_entropy_is_told_by_turn_for_right_and_for_wrong_answers() -> None:
    def rule(setting: Setting, number: int) -> dict[str, Any]:
        right = number % 2 == 0
        return {"answer": "A" if right else "B", "entropies": (0.2, 0.8, 0.2) if right else (0.5,), "pivotal": 1}

    rows = measure(study(rule))
    by_turn = {row.x: row.mean for row in rows_of(rows, curve="entropy", series="right", measure="entropy")}
    assert by_turn == {1: pytest.approx(0.2), 2: pytest.approx(0.8), 3: pytest.approx(0.2)}
    assert [row.x for row in rows_of(rows, curve="entropy", series="wrong", measure="entropy")] == [1]
    pivotal = one(rows, series=PIVOTAL, measure=ABOVE_MEAN)
    assert (pivotal.mean, pivotal.count) == (1, 5)
    assert one(rows, series=ANY_TURN, measure=ABOVE_MEAN).mean == pytest.approx(1 / 3)
    assert one(rows, series=PIVOTAL, measure="entropy over the mean of its rollout").mean == pytest.approx(2)


def test_an_engine_that_tells_no_entropy_leaves_a_gap_with_its_reason() -> None:
    rows = measure(study(lambda setting, number: {"answer": "A", "entropies": (None, None)}))
    (gap,) = rows_of(rows, curve="entropy")
    assert (gap.mean, gap.note) == (None, "the model's engine tells no entropy")


def turn(*, looked: tuple[int, ...] = (), heard: tuple[int, int] | None = None, percept: bool = True) -> dict[str, Any]:
    """A turn as `traces/` has it: seconds that were looked at or listened to."""
    sound = {"start_ms": 1000 * heard[0], "end_ms": 1000 * heard[1]} if heard else None
    return {"media": [{"ts_ms": 1000 * second} for second in looked], "sound": sound, "percept": percept}


TRUE = [(10_000, 20_000)]


@pytest.mark.parametrize(
    ("turns", "pivotal"),
    [
        ([turn(looked=(0, 5)), turn(looked=(5, 12)), turn(looked=(15,))], 1),
        ([turn(heard=(0, 9)), turn(heard=(18, 40)), turn(percept=False)], 1),
        ([turn(looked=(0, 30)), turn(heard=(21, 40))], None),
        ([turn(looked=(12,), percept=False), turn(looked=(20,))], 1),
        ([], None),
    ],
)
def test_the_pivotal_turn_is_the_first_that_perceived_the_true_times(
    turns: list[dict[str, Any]], pivotal: int | None
) -> None:
    assert pivotal_turn(turns, TRUE) == pivotal


def test_amortization_is_the_index_once_and_the_questions() -> None:
    rows = measure(study(always))
    for minutes in SMALL.lengths:
        index, whole = round(minutes * 6_000), minutes * 60 * 144
        costs = Costs(index, 1000, whole)
        for n in (1, 8, 64):
            searched = one(rows, series=at_length("retrieval_critic", minutes), measure="tokens", x=n)
            assert searched.mean == costs.indexed(n)
            assert one(rows, series=at_length("active_perception", minutes), measure="tokens", x=n).mean == 1000 * n
            assert one(rows, series=at_length("whole film", minutes), measure="tokens", x=n).mean == whole * n
        even = one(rows, series=at_length("retrieval_critic", minutes), measure=BREAK_EVEN)
        assert even.mean == costs.break_even


def test_an_index_that_never_pays_says_so() -> None:
    rows = measure(study(lambda setting, number: {"answer": "A", "prompt_tokens": 10_000_000}))
    even = one(rows, series=at_length("retrieval_critic", 30), measure=BREAK_EVEN)
    assert even.mean is None
    assert even.note.startswith("never")  # type: ignore[union-attr]
    assert told(findings(rows, SMALL), "film of 30 minutes").holds is False


def test_a_question_from_which_an_index_pays_has_an_interval_that_may_have_no_end() -> None:
    """Some questions cost more than their whole film."""
    whole = SMALL.at * 60 * 144

    def rule(setting: Setting, number: int) -> dict[str, Any]:
        return {"answer": "A", "prompt_tokens": int(2.4 * whole) if number < 3 else 100}

    rows = measure(study(rule))
    even = one(rows, series=at_length("retrieval_critic", 30), measure=BREAK_EVEN)
    assert even.mean is not None
    assert even.high is None
    finding = told(findings(rows, SMALL), "film of 30 minutes")
    assert finding.verdict == "too few to say"
    assert finding.told == f"from question {even.mean:g} on [{even.low:g}, never]"
    assert f"[{even.low:g}, never]" in Seen(page(story(rows))).text


def test_a_frame_of_a_full_pass_costs_what_frames_cost_this_model() -> None:
    def rule(setting: Setting, number: int) -> dict[str, Any]:
        frames = 64 if "answer.passive_frames=64" in setting.set else 16
        return {"answer": "A", "frames": frames, "prompt_tokens": 70 + number + 57 * frames}

    assert tokens_a_frame(study(rule).answers, SMALL) == pytest.approx(57)
    few = replace(SMALL, passive_frames=(16,))
    assert tokens_a_frame(study(rule, few).answers, few) is None


# --- what is claimed --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("at_130", "holds"), [(12, True), (13, False)])
def test_turns_are_flat_up_to_half_as_many_again(at_130: int, holds: bool) -> None:
    turns = {5: 3, 30: 8, 130: at_130}
    rows = measure(study(lambda setting, number: {"answer": "A", "turns": turns[int(setting.minutes)]}))
    finding = told(findings(rows, SMALL), "times the turns")
    assert finding.holds is holds
    assert "8.0 [8.0, 8.0] at 30 minutes" in finding.told  # the paper's films begin there


def test_a_difference_that_its_interval_does_not_settle_is_left_open() -> None:
    def rule(wrong: int, size: Size) -> list[Measured]:
        def one_of(setting: Setting, number: int) -> dict[str, Any]:
            return {"answer": "B" if "answer.critic.mode=off" in setting.set and number < wrong else "A"}

        return measure(study(one_of, size))

    def verdict(wrong: int, size: Size) -> str:
        return told(findings(rule(wrong, size), size), "investigator is worse with no critic").verdict

    assert [verdict(wrong, SMALL) for wrong in (0, 1, 6)] == ["too few to say", "too few to say", "holds"]
    assert verdict(5, SMALL) == "too few to say"  # an interval below 0, and p = 0.06
    many = replace(SMALL, questions=100)
    assert [verdict(wrong, many) for wrong in (0, 2, 20)] == ["does not hold here", "too few to say", "holds"]


def test_what_failed_stands_by_the_difference_that_it_made() -> None:
    def rule(setting: Setting, number: int) -> dict[str, Any]:
        if "answer.looking.purge=false" in setting.set and number < 6:
            return {"status": "failed", "error": "RequestError: too many pictures"}
        return always(setting, number)

    finding = told(findings(measure(study(rule)), SMALL), "worse with no purge")
    assert finding.told.endswith("points, p 0.031; 60 % of the questions ended without an answer")


@pytest.mark.parametrize("right", ["A", "B"])
def test_a_few_equal_answers_decide_nothing(right: str) -> None:
    """A bootstrap of equal values has no width."""

    def rule(setting: Setting, number: int) -> dict[str, Any]:
        return {"answer": right, "entropies": (0.1, 0.9, 0.1), "pivotal": 1}

    size = replace(SMALL, questions=4)
    found = findings(measure(study(rule, size)), size)
    assert {finding.holds for finding in found} == {None}


def test_a_budget_that_is_used_up_is_not_what_the_paper_has() -> None:
    def rule(setting: Setting, number: int) -> dict[str, Any]:
        return {"answer": "A", "turns": 52 if "answer.looking.max_turns=52" in setting.set else 6}

    assert told(findings(measure(study(rule)), SMALL), "stops when it knows").holds is False
    assert told(findings(measure(study(always)), SMALL), "stops when it knows").holds is False  # 30 of 52
    early = measure(study(lambda setting, number: {"answer": "A", "turns": 6}))
    assert told(findings(early, SMALL), "stops when it knows").holds is True


def test_the_longest_films_are_not_stood_in_for_by_shorter_ones() -> None:
    size = replace(SMALL, lengths=(5, 30, 60, 130))
    whole = study(always, size)
    left = {name: each for name, each in whole.answers.items() if not name.startswith("130m")}
    found = findings(measure(replace(whole, answers=left)), size)
    for part in ("times the turns", "stays level", "Turns an hour"):
        assert told(found, part).verdict == "not measured"


def test_one_length_alone_decides_nothing() -> None:
    size = replace(SMALL, lengths=(30,), budgets=(6,))
    rows = measure(study(always, size))
    for part in ("times the turns", "stays level", "miss more", "more right answers"):
        assert told(findings(rows, size), part).verdict == "not measured"
    assert Seen(page(story(rows, size))).all("svg")


def test_from_half_an_hour_on_takes_two_lengths() -> None:
    size = replace(SMALL, lengths=(5, 15, 30))
    found = findings(measure(study(always, size)), size)
    assert told(found, "times the turns").verdict == "not measured"
    assert told(found, "Turns an hour").verdict != "not measured"


@pytest.mark.parametrize(("questions", "wrong", "holds"), [(10, 6, None), (200, 30, True), (200, 100, False)])
def test_accuracy_stays_level_where_the_interval_is_narrow_enough_to_tell(
    questions: int, wrong: int, holds: bool | None
) -> None:
    """A fifth is wrong about the films of half an hour, and so many about the longest."""
    size = replace(SMALL, questions=questions)

    def rule(setting: Setting, number: int) -> dict[str, Any]:
        return {"answer": "B" if number < (wrong if setting.minutes == 130 else questions // 5) else "A"}

    drawn = replace(study(rule, size), sampling=Sampling())  # as often as a real study: the ends of an interval decide
    assert told(findings(measure(drawn), size), "stays level").holds is holds


def test_intervals_that_overlap_may_still_be_surely_apart() -> None:
    """What one is off by is not what the other is off by: their sides add up as squares."""
    fewer, more = Estimate(0.35, 0.2, 0.5, 40), Estimate(0.6, 0.45, 0.75, 40)
    low, high = difference(fewer, more)
    assert (low, high) == (pytest.approx(-0.25 - 0.15 * 2**0.5), pytest.approx(-0.25 + 0.15 * 2**0.5))
    assert falls(more, fewer) is True
    uneven = difference(Estimate(10, 9, 13, 40), Estimate(8, 6, 9, 40), 1.5)
    assert uneven == (pytest.approx(-2 - hypot(1, 1.5)), pytest.approx(-2 + hypot(3, 3)))
    assert falls(Estimate(0.2, 0.0, 0.4, 12), Estimate(0, 0, 0, 12)) is None  # of a dozen, none: it may be a quarter


# --- the page ---------------------------------------------------------------------------------------------------------


def test_the_page_holds_every_curve_and_every_number_and_fetches_nothing() -> None:
    def rule(setting: Setting, number: int) -> dict[str, Any]:
        return always(setting, number) | {"entropies": (0.1, 0.4, 0.1), "pivotal": 1}

    rows = measure(study(rule))
    seen = Seen(page(story(rows)))
    names = ["length", "budget", "grounding", "ablation", "entropy", "amortization"]
    assert [each["id"] for each in seen.all("section") if "id" in each] == names
    pictures = [str(each["aria-label"]) for each in seen.all("svg")]
    assert len(pictures) == 6 + 2 + 1 + 1 + 2 + 3
    assert not seen.all("script") + seen.all("img") + seen.all("link")
    (rule_of,) = [each["content"] for each in seen.all("meta") if each.get("http-equiv")]
    assert re.fullmatch(r"default-src 'none'; style-src 'sha256-[\w+/=]+'", str(rule_of))
    for name in names:
        assert f"All {len(rows_of(rows, curve=name))} numbers" in seen.text
    assert json.dumps(pictures).count("active_perception 1 to 1") == 2  # accuracy, by length and by budget


def test_a_reason_stands_by_the_curve_that_came_out_otherwise() -> None:
    rows = measure(study(lambda setting, number: {"answer": "A", "turns": 52}))
    without = Seen(page(story(rows))).text
    assert "The reason:  it has not been found yet." in without
    assert (
        "The tiny model looks everywhere."
        in Seen(page(story(rows, reasons={"budget": "The tiny model looks everywhere."}))).text
    )


def test_what_an_engine_says_is_text_and_never_markup() -> None:
    rows = measure(study(lambda setting, number: {"status": "failed", "error": CANARY}))
    seen = Seen(page(story(rows, models=[CANARY], notes=[CANARY], reasons={"length": CANARY})))
    assert seen.text.count(CANARY) > 5
    assert not seen.all("img") + seen.all("script")


def test_labels_keep_their_order_and_stand_apart() -> None:
    found = apart([50, 51, 10, 52], 17)
    assert sorted(found) == sorted(found, key=lambda level: [50, 51, 10, 52][found.index(level)])
    ordered = sorted(found)
    assert all(b - a > 16 for a, b in pairwise(ordered))
    assert found[2] == 10
