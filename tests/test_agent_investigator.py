"""The policy with all tools: it searches where there is an index, looks and listens anywhere, and is doubted."""

from pathlib import Path

import pytest

from loupe import storage
from loupe.library import Library
from tests import index_scene
from tests.agent_scene import (
    Cast,
    Filmed,
    answer,
    ask,
    doubt,
    look,
    make_library,
    pictures_of,
    question,
    search,
    small_library,
    text_of,
    verdict,
    vlm,
)
from tests.in_process import index
from tests.index_run import config
from tests.index_scene import bars, film

ALWAYS = {"critic_settings": {"mode": "always"}}


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("films")
    film(folder / "a.mp4", 9)
    return str(folder)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory, films: str) -> Library:
    """The index of a film, which also says where its file is."""
    library = small_library(tmp_path_factory.mktemp("index"))
    row = library.videos(["a.mp4"])["a.mp4"]
    entry = storage.stat(f"{films}/a.mp4")
    library.put_videos([row | {"uri": f"{films}/a.mp4", "etag": entry.etag, "size": entry.size, "fps": 10.0}])
    return library


async def test_it_jumps_by_the_index_and_looks_at_the_film_itself(library: Library) -> None:
    said = [search("a cat"), look(2.9, 3.1, 3, observation="a cat at 3"), answer("A", [3])]
    cast = Cast(library, vlm=said)
    trace = await cast.play(question(), "investigator")
    assert (trace.status, [one.tool for one in trace.turns]) == ("answered", ["search_captions", "look", "answer"])
    first = cast.prompts("vlm")[0]
    assert "search_captions(query" in first
    assert "9.0 seconds long, 10 frames a second" in first
    assert "A cat and a dog meet" in first
    assert [bars(jpeg) for jpeg in pictures_of(cast.engines["vlm"].requests[-1])] == [29, 30, 31]


@pytest.fixture
def indexed(tmp_path: Path) -> Library:
    """What the index job makes of a film with subtitles beside it, street.mp4, and of others."""
    database = str(tmp_path / "database")
    index(config(str(index_scene.small_library(tmp_path / "films")), database))
    library = Library.open_if_there(database)
    assert library
    return library


async def test_it_looks_at_a_film_that_was_indexed_with_the_subtitles_beside_it(indexed: Library) -> None:
    cast = Cast(indexed, vlm=[look(2.9, 3.1, 3, observation="bars"), answer("A", [3])])
    trace = await cast.play(question(video="street.mp4"), "investigator")
    assert [(one.tool, one.is_error) for one in trace.turns] == [("look", False), ("answer", False)]
    assert [bars(jpeg) for jpeg in pictures_of(cast.engines["vlm"].requests[-1])] == [29, 30, 31]


async def test_what_an_index_lacks_is_evidence_as_it_was_seen_and_shown_to_the_critic(
    films: str, tmp_path: Path
) -> None:
    """The index has the film's first three seconds alone: it is being made, or nothing else could be decoded."""
    library = make_library(tmp_path, Filmed("a.mp4", 0, ("cat", "dog", "boat")))
    row = library.videos(["a.mp4"])["a.mp4"]
    entry = storage.stat(f"{films}/a.mp4")
    where = {"uri": f"{films}/a.mp4", "etag": entry.etag, "size": entry.size, "fps": 10.0, "duration_ms": 9000}
    library.put_videos([row | where])
    said = [look(7, 8, 3), answer("A", [7.5])]
    cast = Cast(library, vlm=said, critic=[doubt(), verdict(0.9)], critic_vlm=[vlm("bars")], frames=4, **ALWAYS)
    trace = await cast.play(question(), "investigator")
    ((evidence, seen),) = zip(trace.evidence, trace.turns[0].media[1:2], strict=True)
    assert (evidence.start_ms, evidence.source, evidence.lineage) == (7500, "decode", seen.lineage)
    assert 75 in [bars(jpeg) for jpeg in pictures_of(cast.engines["critic_vlm"].requests[0])[-1:]]


async def test_the_critic_is_shown_what_was_looked_at_and_not_the_frames_of_the_index_near_it(library: Library) -> None:
    said = [look(2.3, 2.7, 3), answer("A", confidence=0.6)]
    cast = Cast(library, vlm=said, critic=[doubt(), verdict(0.9)], critic_vlm=[vlm("bars")], **ALWAYS)
    trace = await cast.play(question(), "investigator")
    (judged,) = trace.verdicts
    assert [one.ts_ms for one in judged.media if one.source == "decode"] == [2300, 2500, 2700]


async def test_without_an_index_it_looks_and_the_critic_looks_too(films: str) -> None:
    cast = Cast(
        None,
        vlm=[look(0, 8, 3), answer("B", [0]), look(4, 5, 2), answer("A", [4])],
        critic=[doubt(), verdict(0.2, "not a dog")],
        critic_vlm=[vlm("bars")],
        root=films,
        frames=4,
        **ALWAYS,
    )
    trace = await cast.play(question(), "investigator")
    assert (trace.status, trace.answer, [one.sent_back for one in trace.verdicts]) == ("answered", "A", [True])
    assert "search_captions" not in cast.prompts("vlm")[0]
    assert "not a dog" in cast.prompts("vlm")[2]
    looked = [bars(jpeg) for jpeg in pictures_of(cast.engines["critic_vlm"].requests[0])]
    assert looked[0] == 0
    assert len(looked) > 1


async def test_a_search_where_there_is_no_index_is_no_turn(films: str) -> None:
    cast = Cast(None, vlm=[search("a cat"), look(0, 1, 2), answer("A")], root=films)
    trace = await cast.play(question(), "investigator")
    assert [one.parsed for one in trace.turns] == [False, True, True]


async def test_asking_takes_nothing_away_from_what_is_seen(films: str) -> None:
    said = [look(0, 1, 2), ask("What is there?", times=[5]), vlm("bars"), answer("A", [5])]
    cast = Cast(None, vlm=said, root=films)
    trace = await cast.play(question(), "investigator")
    last = cast.engines["vlm"].requests[-1]
    assert (trace.status, [bars(jpeg) for jpeg in pictures_of(last)]) == ("answered", [0, 10])
    assert "bars" in text_of(last)


async def test_a_look_that_had_no_room_beside_a_long_result_may_come_back(library: Library) -> None:
    """The second search is short, and of the first only the places stay: within some bounds the look has room again."""
    said = [look(0, 8, 9, thought="so " * 100), search("a cat"), search("a dog", start=1, end=2), answer("A")]
    shown = []
    for prompt_tokens in range(2000, 2800, 16):
        bounds = {"prompt_tokens": prompt_tokens, "letters_per_token": 3.0, "whole_turns": 6}
        cast = Cast(library, vlm=said, shown=bounds)
        assert (await cast.play(question(), "investigator")).status == "answered"
        shown.append([len(pictures_of(request)) for request in cast.engines["vlm"].requests])
    assert [0, 9, 0, 9] in shown


async def test_what_is_no_more_in_the_prompt_may_be_looked_at_again(library: Library) -> None:
    said = [look(0, 8, 9, thought="so " * 100), search("a cat"), look(0, 8, 9), answer("A")]
    outcomes = set()
    for prompt_tokens in range(2000, 2800, 40):
        bounds = {"prompt_tokens": prompt_tokens, "letters_per_token": 3.0, "whole_turns": 6}
        cast = Cast(library, vlm=said, shown=bounds)
        trace = await cast.play(question(), "investigator")
        there = len(pictures_of(cast.engines["vlm"].requests[2]))
        outcomes.add((there, trace.turns[2].is_error))
    assert outcomes == {(0, False), (9, True)}


async def test_an_answer_that_came_too_soon_may_be_given_again_on_the_last_step(library: Library) -> None:
    looking = {"turns": "fixed", "max_turns": 6}
    searches = [search("a cat"), search("a dog"), search("an egg"), search("a lamp")]
    cast = Cast(library, vlm=[*searches, answer("A"), answer("A")], looking=looking)
    trace = await cast.play(question(), "investigator")
    assert (trace.status, [one.is_error for one in trace.turns]) == ("answered", [False] * 4 + [True, False])
