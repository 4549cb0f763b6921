"""Lessons in looking and listening: an oracle that explores drawn films through the real loop."""

import json
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest

from loupe.agent import view
from loupe.agent.policies.active_perception import TOOLS
from loupe.agent.tool import parse_turn
from loupe.agent.tools.answer import answer
from loupe.benchmarks.toytown.questions import TEMPLATES
from loupe.benchmarks.toytown.writing import HELD_OUT, write_film
from loupe.engines.protocol import Reply
from loupe.training.toytown_lessons.looking import ROLE, looker_config, of_film, right_turn, rollouts
from loupe.training.toytown_lessons.looking_findings import (
    beside,
    carried,
    counted,
    counts,
    firsts,
    run_of,
    sign_and_place,
    spans_so_far,
)
from loupe.training.toytown_lessons.looking_kinds import PLANS
from loupe.training.toytown_lessons.looking_marks import Lasting, Staying
from loupe.training.toytown_lessons.looking_notes import (
    brands,
    doing,
    found_in,
    lines_with,
    runs,
    said_of,
    scenes,
    told_anew,
)
from loupe.training.toytown_lessons.looking_plans import FRAMES, around, closer, scans
from loupe.training.toytown_lessons.looking_prompts import Explored, percept_of
from loupe.training.toytown_lessons.oracle_prompts import OFF
from loupe.training.toytown_lessons.oracle_steps import firsts_in, spans_in, where
from loupe.training.toytown_lessons.rolled import Rolled, real
from loupe.training.toytown_lessons.tables import Lesson
from schemas.messages import Image, Usage

MINUTES = 5


@pytest.fixture(scope="module")
def rolled() -> list[Rolled]:
    """A film of five minutes; a turn in five is a mistake, and now and then a word is misheard."""
    return [each for of_one in rollouts(11, 1, MINUTES, 29, errs=0.2) for each in of_one]


@pytest.fixture(scope="module")
def told(rolled: list[Rolled]) -> list[Lesson]:
    return [lesson for each in rolled for lesson in each.lessons]


def test_the_same_seed_gives_the_same_lessons() -> None:
    def some(seed: int) -> list[Lesson]:
        return [lesson for of_one in rollouts(seed, 1, 1, 6) for each in of_one for lesson in each.lessons]

    assert some(3) == some(3) != some(4)


def test_held_out_seeds_are_never_trained_on() -> None:
    with pytest.raises(ValueError, match="never trained on"):
        next(rollouts(HELD_OUT, 1, 1, 1))


def test_every_kind_of_question_has_a_plan() -> None:
    for template in TEMPLATES:
        assert sum(template.wording.startswith(begin) for begin in PLANS) == 1, template.wording


def test_an_oracle_that_does_not_err_answers_most_questions() -> None:
    marks = [each.right for of_one in rollouts(12, 1, MINUTES, 29, errs=0.0, mishears=0.0) for each in of_one]
    assert sum(marks) / len(marks) >= 0.85


def test_with_fewer_turns_it_looks_further_apart() -> None:
    def first_looks(turns: int) -> set[float]:
        traces = [
            each.trace for of_one in rollouts(12, 1, 20, 6, errs=0.0, mishears=0.0, turns=turns) for each in of_one
        ]
        assert max(len(trace.turns) for trace in traces) <= turns
        firsts = [trace.turns[0] for trace in traces if trace.turns[0].tool == "look"]
        return {json.loads(turn.arguments)["end"] for turn in firsts}

    assert first_looks(20) == {100.0}
    assert first_looks(12) == {200.0}


def test_what_is_said_is_a_turn_that_the_agent_can_take(told: list[Lesson]) -> None:
    for lesson in told:
        last = "Answer now." in str(lesson.messages[-1].content)
        parse_turn(Reply(lesson.target, Usage(), "stop"), (answer,) if last else TOOLS)


def test_a_prompt_is_what_the_agent_was_shown_with_one_percept_at_most(rolled: list[Rolled]) -> None:
    for each in (each for each in rolled if each.right):
        assert len(each.lessons) == len(each.trace.turns)
        for turn, lesson in zip(each.trace.turns, each.lessons, strict=True):
            assert lesson.role == ROLE
            assert lesson.messages == real(view.prompt_of(each.trace, turn.index))
            pictures = [part for message in lesson.messages for part in message.parts() if isinstance(part, Image)]
            assert len(pictures) == len(lesson.frames) <= FRAMES


def test_only_rollouts_with_the_right_answer_are_lessons_and_their_mistakes_are_not(rolled: list[Rolled]) -> None:
    film = write_film(11, 0, MINUTES)
    assert not any(each.lessons for each in rolled if not each.right)
    lessons = [lesson for each in rolled for lesson in each.lessons]
    assert 0.05 < sum(not lesson.is_lesson for lesson in lessons) / len(lessons) < 0.36
    for lesson in lessons:
        assert lesson.is_lesson == (lesson.target == right_turn(lesson.messages, film))


def test_after_a_mistake_the_oracle_finds_back(told: list[Lesson]) -> None:
    mended = [
        after
        for before, after in pairwise(told)
        if before.question_id == after.question_id and not before.is_lesson and after.is_lesson
    ]
    assert mended
    assert {json.loads(lesson.target)["observation"] for lesson in mended} == {OFF}


def test_notes_say_what_the_frames_show() -> None:
    film = write_film(11, 0, MINUTES)
    scene = next(scene for scene in film.scenes if scene.sign and scene.end_ms - scene.start_ms > 20_000)
    assert scene.sign is not None
    middle = (scene.sign.start_ms + scene.end_ms) / 2000
    seen = percept_of(film, {"tool": "look", "start": middle - 2, "end": middle, "frames": 3}, "Seen.")
    assert sign_and_place(scene.sign.word)(seen) == (
        f"{scene.sign.word} {middle - 2:.1f} {scene.place} {middle - 2:.1f}-{middle:.1f}"
    )
    assert run_of("nowhere", 0)(seen) == "none: nowhere"


def test_notes_of_turns_that_have_gone_are_followed() -> None:
    """A prompt so short that the first looks have gone from it."""
    config = looker_config()
    looking = config.answer.looking.model_copy(update={"prompt_tokens": 1664})
    short = config.model_copy(update={"answer": config.answer.model_copy(update={"looking": looking})})
    long = [each for each in of_film((12, 0, 20), 12, short, errs=0.1, mishears=0.0) if each.right]
    gone = [lesson for each in long for lesson in each.lessons if "Notes of earlier turns:" in str(lesson.messages)]
    assert gone
    for lesson in gone:
        assert len(Explored.of(lesson.messages).done) == lesson.turn


def test_each_frame_is_told_before_what_they_come_to() -> None:
    told = "\n".join(["[0.0] park; ; ; ", "[10.0] park; CAFE; ; ", "[20.0] park; CAFE; ; ", "[30.0] beach; ; ; "])
    note = scenes(["CAFE"], run_of("CAFE", 1)).note(told)
    assert note == "for CAFE yes: 0 park, 10 park CAFE yes, 20 park CAFE yes, 30 beach | CAFE 10.0-20.0"
    note = scenes(["BANK", "beach"], run_of("BANK", 1)).note(told)
    assert note == "for BANK yes beach yes: 0 park, 10 park CAFE, 20 park CAFE, 30 beach yes | none: BANK"
    assert found_in("0 park | CAFE 10.0") == "CAFE 10.0"
    assert found_in("none: CAFE") == "none: CAFE"


def test_a_closer_look_tells_in_which_frames_something_happens() -> None:
    people = "red round person with cap, blue square person with no hat"
    holds = "blue person walks, blue person holds kite"
    waves, stands = f"; ; {people}; red person waves, {holds}", f"; ; {people}; red person stands, {holds}"
    told = f"[30.0] park{waves}\n[30.5] park{stands}\n[31.0] beach{waves}\n[31.5] ; ; ; "
    sought = doing("waves", run_of("CAFE", 1))
    each = "30 red waves yes blue holds kite, 30.5 red blue holds kite, 31 red waves yes blue holds kite, 31.5 nobody"
    assert sought.note(told) == f"for waves yes: {each} | none: CAFE"
    of_red = doing("waves", run_of("CAFE", 1), "red")
    assert of_red.note(told) == "for waves yes: 30 red waves yes, 30.5 red, 31 red waves yes, 31.5 - | none: CAFE"
    assert sought.at("park").read(told) == sought.read("\n".join(told.split("\n")[:2]))


def test_of_each_line_that_was_heard_it_is_told_whether_it_was_looked_for() -> None:
    told = "[91.7-93.0] i want the kite\n[95.0-97.0] the kite costs six coins"
    sought = lines_with(["kite"], said_of("costs"), lambda told: told.rpartition("] ")[2])
    assert sought.note(told) == "for kite yes: 91 -, 95 kite yes six | kite costs six"
    assert sought.note("") == "for kite yes: - | "
    of_six = lines_with(["six"], said_of("costs", last_first=True), sought.read)
    assert of_six.note(told) == "for six yes: 91 -, 95 six yes kite | kite costs six"


def test_what_a_frame_shows_that_the_one_before_did_not_counts_more() -> None:
    said = '{"observation":"for red yes: 0 -, 1 -, 2 red yes jumps, 3 red yes jumps | red 2.0","thought":"Answer."}'
    assert sorted(said[start:end] for start, end in told_anew(said)) == [
        "-",
        'red 2.0","thought":"Answer."}',
        "red yes jumps",
    ]
    assert told_anew('{"observation":"Not that.","thought":"Look."}') == ()


def test_what_is_counted_is_counted_on() -> None:
    told = "[10.0] park; ; ; \n[20.0] beach; ; ; \n[30.0] park; ; ; "
    met = Counter(park=2)
    sought = counted(scenes(["park", "beach"], counts(met, ["park", "beach"], "^{}")), met)
    each = "10 park times 3, 20 beach times 1, 30 park times 4"
    assert sought.note(told) == f"for park times 2 beach times 0: {each} | park 4 beach 1"


def test_what_was_met_is_carried_on() -> None:
    names = ["park", "beach", "street", "forest"]
    met = {"street": 0.0}
    sought = carried(scenes(names, firsts(names, 0)), met)
    told = "[10.0] street; ; ; \n[20.0] beach; CAFE; ; \n[30.0] park; ; ; \n[40.0] beach; ; ; "
    head, note = "for park yes beach yes street yes forest yes:", sought.note(told)
    each = "10 street yes, 20 beach yes CAFE, 30 park yes, 40 beach yes"
    all_of_them = "all street 0.0 beach 20.0 park 30.0"
    assert note == f"{head} {each} | street 10.0 beach 20.0 park 30.0; {all_of_them}"
    met.update(firsts_in(found_in(note)))
    assert list(met) == ["street", "beach", "park"]
    assert sought.note("[50.0] park; ; ; ") == f"{head} 50 park yes | park 50.0; {all_of_them}"
    assert sought.note("[60.0] beyond; ; ; ") == f"{head} 60 beyond | nothing; {all_of_them}"


def test_runs_are_marked_by_their_beginning_and_carried_on() -> None:
    spans: list[tuple[float, float]] = []
    sought = runs(["CAFE"], spans_so_far("CAFE", run_of("CAFE", 1), spans))
    note = sought.note("[0.0] park; CAFE; ; \n[10.0] park; ; ; \n[20.0] park; CAFE; ; \n[30.0] park; CAFE; ; ")
    each = "0 park CAFE from 0.0, 10 park, 20 park CAFE from 20.0, 30 park CAFE from 20.0-30.0"
    assert note == f"for CAFE from: {each} | CAFE 0.0, 20.0-30.0; all CAFE 0.0, 20.0-30.0"
    spans[:] = spans_in(found_in(note))
    note = sought.note("[30.0] park; CAFE; ; \n[40.0] park; ; ; ")
    assert note.endswith("| CAFE 30.0; all CAFE 0.0, 20.0-30.0, 30.0")
    assert sought.note("[50.0] park; ; ; ") == "for CAFE from: 50 park | nothing; all CAFE 0.0, 20.0-30.0"


def test_an_event_that_lies_in_two_looks_is_one() -> None:
    jumps = spans_so_far("jumps", where("person jumps", "jumps", 1.5), [(10.0, 20.0), (40.0, 44.5)], 1.5)
    assert (
        jumps("[45.5] red person jumps\n[47.0] red person jumps") == "jumps 45.5-47.0; all jumps 10.0-20.0, 40.0-47.0"
    )


def test_a_closer_look_tells_where_to_go_on_until_it_is_found() -> None:
    seen = Explored(300.0, 12, "", (), ())
    sought = doing("waves", where("red person waves", "red waves", 1.5), "red")
    looks = closer(seen, (41.0, 61.0), sought)
    assert [look.arguments["start"] for look in looks] == [41.0, 51.0]
    nothing, waves = "[41.0] park; ; ; red person stands", "[41.0] park; ; ; red person waves"
    assert looks[0].read(nothing) == "for waves yes: 41 red | none: red waves; look 51.0 to 61.0"
    assert looks[0].read(waves) == "for waves yes: 41 red waves yes | red waves 41.0"
    assert looks[1].read(nothing) == "for waves yes: 41 red | none: red waves"
    backwards = closer(seen, (41.0, 61.0), sought, last_first=True)
    assert [look.arguments["start"] for look in backwards] == [51.0, 41.0]
    assert backwards[0].read(nothing).endswith("; look 41.0 back to 41.0")


def test_a_scan_tells_since_when_each_place_is_shown() -> None:
    told = "\n".join(["[0.0] park; ; ; ", "[10.0] park; CAFE; ; ", "[20.0] beach; ; ; ", "[30.0] park; ; ; "])
    note = replace(scenes(["CAFE"], sign_and_place("CAFE")), marks=Staying()).note(told)
    assert note == ("for CAFE yes: 0 park, 10 park from 0.0-10.0 CAFE yes, 20 beach, 30 park | CAFE 10.0 park 0.0-10.0")


def test_a_window_around_a_scene_begins_and_ends_at_times_of_the_scan() -> None:
    seen = Explored(300.0, 12, "", (), ())
    assert around(seen, 120.0, 150.0, 10.0) == (110.0, 160.0)
    assert around(seen, 0.0, 295.0, 10.0) == (0.0, 300.0)


def test_brands_that_are_heard_are_noted_as_signs_write_them() -> None:
    sought = replace(lines_with(["CAFE"], brands, where("(?i)cafe", "CAFE")), marks=Lasting())
    told = "[3.0-5.0] come to the cafe\n[9.0-9.5] good morning"
    assert sought.note(told) == "for CAFE heard: 3 CAFE heard 3.0-5.0, 9 - | CAFE 3.0-5.0"


def test_who_is_with_somebody_is_told_of_frames_with_both() -> None:
    sought = beside("red", ["blue", "green"])
    people = "blue round person with cap, red square person with cap"
    told = f"[10.0] park; ; {people}; \n[20.0] park; ; blue round person with cap; "
    assert sought.note(told) == "for blue yes green yes: 10 red blue yes, 20 - | blue 10.0"


def test_a_scan_goes_on_where_it_ended_and_ends_with_the_film() -> None:
    seen = Explored(437.5, 12, "", (), ())
    looks = [step.arguments for step in scans(seen, scenes(["CAFE"], run_of("CAFE", 1)))]
    assert [look["start"] for look in looks[1:]] == [look["end"] for look in looks[:-1]]
    assert (looks[0]["start"], looks[-1]["end"]) == (0.0, 437.5)
    assert all((look["end"] - look["start"]) / (look["frames"] - 1) <= 10 for look in looks)
