"""A critic doubts an answer: what it looks at, and what becomes of the answer."""

from pathlib import Path

import pytest

from loupe.engines.protocol import EngineError
from loupe.library import Library
from schemas.results import answer_row
from tests.agent_scene import (
    Cast,
    Filmed,
    answer,
    ask,
    cues,
    doubt,
    picture,
    pictures_of,
    question,
    search,
    small_library,
    verdict,
    vlm,
)
from tests.library_scene import batch

ALWAYS = {"mode": "always", "frames": 2}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    return small_library(tmp_path_factory.mktemp("agent"))


async def test_an_answer_that_is_trusted_stays(library: Library) -> None:
    cast = Cast(
        library,
        reasoner=[cues(), answer("A", [0], thought="there is a cat")],
        critic=[doubt("a dog"), verdict(0.9)],
        critic_vlm=[vlm("a cat, then a dog")],
        critic_settings=ALWAYS,
    )
    trace = await cast.play(question())
    (judged,) = trace.verdicts
    assert (trace.status, trace.answer, judged.confidence, judged.sent_back) == ("answered", "A", 0.9, False)
    assert (judged.answer_before, judged.answer_after) == ("A", "A")
    assert [call.role for call in judged.calls] == ["critic", "critic_vlm", "critic"]


async def test_the_critic_sees_the_evidence_beside_frames_of_its_own(library: Library) -> None:
    cast = Cast(
        library,
        reasoner=[cues(), answer("A", [0], thought="there is a cat", confidence=0.6)],
        critic=[doubt("an egg", "What lies there?"), verdict(0.9)],
        critic_vlm=[vlm("an egg at 6 s")],
        critic_settings=ALWAYS,
    )
    trace = await cast.play(question())
    (request,) = cast.engines["critic_vlm"].requests
    assert pictures_of(request)[0] == picture(0)
    assert picture(6000) in pictures_of(request)
    assert [one.ts_ms for one in trace.verdicts[0].media] == sorted(one.ts_ms for one in trace.verdicts[0].media)
    assert "What lies there?" in cast.prompts("critic_vlm")[0]
    first, second = cast.prompts("critic")
    for told in ("A cat and a dog meet", "Which animal is by the boat?", "- there is a cat", "confidence: 0.60"):
        assert told in first
    assert "an egg at 6 s" in second
    assert second.startswith(first)


async def test_evidence_that_is_more_than_may_be_shown_is_thinned_over_all_of_it(library: Library) -> None:
    cast = Cast(
        library,
        reasoner=[cues(), answer("A", list(range(9)), confidence=0.6)],
        critic=[doubt("an egg"), verdict(0.9)],
        critic_vlm=[vlm("a cat, a dog, an egg")],
        critic_settings=ALWAYS | {"frames": 1},
        frames=4,
    )
    trace = await cast.play(question())
    shown = [one.ts_ms for one in trace.verdicts[0].media]
    assert len(shown) <= 4
    assert (shown[0], shown[-1]) == (0, 8000)


async def test_an_answer_sent_back_is_thought_over_with_the_critique(library: Library) -> None:
    cast = Cast(
        library,
        reasoner=[cues(), answer("A", [0], confidence=0.7), search("a dog"), ask(times=[1]), answer("B", [1])],
        vlm=[vlm("a dog")],
        critic=[doubt(), verdict(0.2, "the dog was never looked at", suggestion="look at 1 s")],
        critic_vlm=[vlm("a dog at 1 s")],
        critic_settings=ALWAYS,
        max_actions=4,
    )
    trace = await cast.play(question())
    (judged,) = trace.verdicts
    assert (trace.answer, judged.sent_back, judged.answer_before, judged.answer_after) == ("B", True, "A", "B")
    assert (judged.confidence_before, judged.possible_errors) == (0.7, ("the dog was never looked at",))
    assert [(one.round, one.steps_left) for one in trace.turns] == [(0, 6), (0, 5), (1, 5), (1, 4), (1, 3)]
    notes = cast.prompts()[-1]
    assert "the dog was never looked at" in notes
    assert "Suggestion: look at 1 s" in notes
    row = answer_row(trace)
    assert (row["answer_first"], row["confidence_first"], row["answer"]) == ("A", 0.7, "B")
    assert row["critic_tokens"] == sum(one["prompt_tokens"] + one["completion_tokens"] for one in row["spent"][2:])


async def test_an_answer_sent_back_stands_where_no_other_comes(library: Library) -> None:
    cast = Cast(
        library,
        reasoner=[cues(), answer("A", [0]), "x", "y", "z"],
        critic=[doubt(), verdict(0.2)],
        critic_vlm=[vlm("?")],
        critic_settings=ALWAYS,
    )
    trace = await cast.play(question())
    assert (trace.status, trace.answer, trace.verdicts[0].answer_after) == ("answered", "A", "A")


async def test_reviews_are_as_many_as_the_config_says(library: Library) -> None:
    said = [cues(), answer("A"), answer("B"), answer("A")]
    doubts = [doubt(), verdict(0.1), doubt(), verdict(0.1)]
    settings = ALWAYS | {"max_reviews": 2}
    cast = Cast(library, reasoner=said, critic=doubts, critic_vlm=[vlm("?")] * 2, critic_settings=settings)
    trace = await cast.play(question())
    assert [(one.round, one.answer_before, one.answer_after) for one in trace.verdicts] == [
        (0, "A", "B"),
        (1, "B", "A"),
    ]
    assert trace.answer == "A"
    cast = Cast(library, reasoner=said, critic=doubts, critic_vlm=[vlm("?")] * 2, critic_settings=ALWAYS)
    assert len((await cast.play(question())).verdicts) == 1


async def test_frames_that_were_indexed_since_the_film_was_opened_are_no_evidence(tmp_path: Path) -> None:
    library = small_library(tmp_path)
    cast = Cast(
        library,
        reasoner=[cues(), answer("A", [0])] * 2,
        critic=[doubt("a cup"), verdict(0.9)] * 2,
        critic_vlm=[vlm("a cat")] * 2,
        critic_settings=ALWAYS,
    )
    await cast.play(question())
    library.commit(batch(str(tmp_path / "database"), Filmed("a.mp4", 3, ("cup", "cup", "cup"))))
    trace = await cast.play(question())
    assert trace.status == "answered"
    assert all(media.ts_ms < 9000 for media in trace.verdicts[0].media)


@pytest.mark.parametrize(("mode", "confidence", "reviews"), [("off", 0.1, 0), ("below", 0.9, 0), ("below", 0.4, 1)])
async def test_when_the_critic_is_asked(mode: str, confidence: float, reviews: int, library: Library) -> None:
    cast = Cast(
        library,
        reasoner=[cues(), answer("A", confidence=confidence)],
        critic=[doubt(), verdict(0.9)],
        critic_vlm=[vlm("?")],
        critic_settings={"mode": mode, "below": 0.5},
    )
    assert len((await cast.play(question())).verdicts) == reviews


@pytest.mark.parametrize("script", [["?", "?", "?"], [EngineError("away")], [doubt(), "?", "?", "?"]])
async def test_a_critic_that_gives_no_verdict_changes_nothing(script: list, library: Library) -> None:
    cast = Cast(library, reasoner=[cues(), answer("A")], critic=script, critic_vlm=[vlm("?")], critic_settings=ALWAYS)
    trace = await cast.play(question())
    (judged,) = trace.verdicts
    assert (trace.status, trace.answer, judged.confidence, judged.sent_back) == ("answered", "A", None, False)
    assert judged.error
    assert judged.calls


async def test_no_money_for_a_critic_no_review(library: Library) -> None:
    cast = Cast(library, reasoner=[cues(), answer("A")], critic_settings=ALWAYS, budget={"tokens": 500})
    trace = await cast.play(question())
    assert (trace.answer, trace.limit, trace.verdicts) == ("A", "tokens", ())


def test_a_config_may_say_off_in_yaml(tmp_path: Path) -> None:
    from loupe.config import ROOT, load

    demo = load(ROOT / "infra/configs/demo.yaml", ["answer.critic.mode=off"])
    assert demo.answer.critic.mode == "off"
