"""Questions about several films or all of them, and the policies that do not choose."""

from pathlib import Path

import pytest

from loupe.agent.films import Films, UnknownFilm
from loupe.agent.policies import find_policy
from loupe.config import ConfigError
from loupe.engines.scripted import ScriptedEngine
from loupe.library import Library
from tests.agent_scene import (
    Cast,
    Filmed,
    answer,
    ask,
    cues,
    make_library,
    picture,
    pictures_of,
    question,
    search,
    small_library,
    vlm,
)
from tests.index_scene import bars, film


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """Four films; the boat is in b.mp4 and late in d.mp4."""
    return make_library(
        tmp_path_factory.mktemp("films"),
        Filmed("a.mp4", 0, ("cat", "cat", "dog")),
        Filmed("b.mp4", 0, ("boat", "boat", "tree")),
        Filmed("c.mp4", 0, ("egg", "hat", "egg")),
        Filmed("d.mp4", 0, ("lamp", "lamp", "lamp")),
        Filmed("d.mp4", 1, ("boat", "boat", "boat")),
    )


BOAT = {"video": None, "options": ("red", "blue")}


async def test_a_question_about_the_library_is_led_to_its_films(library: Library) -> None:
    said = [cues(), search("a boat", film=1), ask(times=[0], film=2), answer("A", [1], film=1)]
    cast = Cast(library, reasoner=said, vlm=[vlm("a lamp")], films=2)
    trace = await cast.play(question("What colour is the boat ?", **BOAT))
    assert (trace.routed, set(trace.videos)) == (True, {"b.mp4", "d.mp4"})
    assert trace.evidence[0].video_id == trace.videos[0]
    assert trace.turns[2].media[0].video_id == trace.videos[1]
    first = cast.prompts()[0]
    assert "Film 1, " in first
    assert "Film 2, " in first
    assert "film: int = 1" in first


async def test_a_film_that_shows_it_only_after_the_limit_is_not_found(library: Library) -> None:
    cast = Cast(library, reasoner=[cues(), answer("A")], films=1, search_mode="text")
    trace = await cast.play(question("boat", **BOAT, before_ms=2500))
    assert trace.videos == ("b.mp4",)


async def test_a_film_that_is_not_among_them_is_refused(library: Library) -> None:
    cast = Cast(library, reasoner=[cues(), search("a boat", film=3), answer("A", film=1)])
    trace = await cast.play(question(video=("a.mp4", "b.mp4")))
    assert (trace.routed, trace.videos) == (False, ("a.mp4", "b.mp4"))
    assert "There is no film 3" in trace.turns[1].result


async def test_of_too_many_films_the_best_are_taken(library: Library) -> None:
    cast = Cast(library, reasoner=[cues(), answer("A")], films=1)
    trace = await cast.play(question("the boat", video=("a.mp4", "b.mp4", "c.mp4"), options=("red", "blue")))
    assert (trace.routed, trace.videos) == (True, ("b.mp4",))


def small_and_half(folder: Path, count: int = 4, **columns: object) -> Library:
    """The small film, of whose chunks the index job committed the first three."""
    library = small_library(folder)
    library.put_videos([{**library.videos()["a.mp4"], "status": "indexing", "chunk_count": count, **columns}])
    return library


@pytest.mark.parametrize("policy", ["retrieval_critic", "investigator", "passive"])
async def test_nobody_answers_from_the_first_half_of_an_index(policy: str, tmp_path: Path) -> None:
    library = small_and_half(tmp_path)
    cast = Cast(library)
    trace = await cast.play(question(), policy)
    assert (trace.status, trace.turns) == ("failed", ())
    assert "the index holds 3 of the 4 chunks of 'a.mp4' so far" in (trace.error or "")
    assert not any(engine.requests for engine in cast.engines.values())
    library.put_videos([{**library.videos()["a.mp4"], "status": "complete"}])
    again = Cast(library, reasoner=[cues(), answer("A")])
    assert (await again.play(question())).status == "answered"


async def test_a_film_whose_other_chunks_failed_is_answered_from_those_that_there_are(tmp_path: Path) -> None:
    library = small_and_half(tmp_path)
    library.put_failures([{"video_id": "a.mp4", "chunk_index": 3, "stage": "describe", "class": "EngineError"}])
    trace = await Cast(library, reasoner=[cues(), answer("A")]).play(question())
    assert trace.status == "answered"


async def test_a_film_that_is_being_replaced_is_two_films_and_refused(tmp_path: Path) -> None:
    trace = await Cast(small_and_half(tmp_path, count=3, status="replacing")).play(question())
    assert (trace.status, "so far" in (trace.error or "")) == ("failed", True)


async def test_a_question_about_the_library_passes_over_a_film_that_is_half_indexed(tmp_path: Path) -> None:
    library = make_library(tmp_path, Filmed("a.mp4", 0, ("boat", "boat")), Filmed("b.mp4", 0, ("boat", "tree")))
    library.put_videos([{**library.videos()["a.mp4"], "status": "indexing", "chunk_count": 2}])
    trace = await Cast(library, reasoner=[cues(), answer("A")], films=1).play(question("the boat", **BOAT))
    assert (trace.status, trace.videos) == ("answered", ("b.mp4",))


async def test_films_are_read_once_and_shared(library: Library) -> None:
    films = Films(library, keep=2)
    first = await films.get("a.mp4")
    assert await films.get("a.mp4") is first
    await films.get("b.mp4")
    await films.get("c.mp4")
    assert await films.get("a.mp4") is not first
    for _ in range(2):
        with pytest.raises(UnknownFilm, match=r"'x\.mp4'"):
            await films.get("x.mp4")


async def test_a_film_that_could_not_be_read_is_read_anew(library: Library) -> None:
    class Flaky:
        """The library, away at the first call."""

        def __init__(self) -> None:
            self.away = True

        def videos(self, video_ids: list[str]) -> dict:
            if self.away:
                self.away = False
                raise OSError("away")
            return library.videos(video_ids)

        def __getattr__(self, name: str) -> object:
            return getattr(library, name)

    films = Films(Flaky())
    with pytest.raises(OSError, match="away"):
        await films.get("a.mp4")
    assert (await films.get("a.mp4")).video_id == "a.mp4"


# Films that were never indexed


async def test_a_film_that_is_not_indexed_is_decoded_where_it_lies(library: Library, tmp_path: Path) -> None:
    film(tmp_path / "new" / "e.mp4", 4)
    asked = question(video="new/e.mp4")
    cast = Cast(library, reasoner=[cues(), search("a cat"), ask(times=[1, 3]), answer("A", [3])], root=str(tmp_path))
    cast.engines["vlm"] = ScriptedEngine([vlm("bars")])
    trace = await cast.play(asked)
    assert trace.status == "answered"
    assert trace.turns[1].result.startswith("Nothing was found")
    assert [(one.ts_ms, one.source) for one in trace.turns[2].media] == [(1000, "decode"), (3000, "decode")]
    assert [bars(jpeg) for jpeg in pictures_of(cast.engines["vlm"].requests[0])] == [10, 30]
    assert trace.evidence[0].lineage == trace.turns[2].media[0].lineage
    passive = Cast(library, vlm=[vlm("A")], passive_frames=2, root=str(tmp_path))
    assert (await passive.play(asked, "passive")).answer == "A"
    assert [bars(jpeg) for jpeg in pictures_of(passive.engines["vlm"].requests[0])] == [0, 30]


async def test_a_film_that_is_nowhere_or_broken_fails_its_question(library: Library, tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no film")
    for video in ("nowhere.mp4", "broken.mp4"):
        trace = await Cast(library, root=str(tmp_path)).play(question(video=video))
        assert trace.status == "failed"
        assert f"the film '{video}' is neither in the database nor to be read" in (trace.error or "")


# Policies that do not choose


@pytest.fixture(scope="module")
def one_film(tmp_path_factory: pytest.TempPathFactory) -> Library:
    return small_library(tmp_path_factory.mktemp("agent"))


async def test_passive_shows_frames_evenly_apart_once(one_film: Library) -> None:
    cast = Cast(one_film, vlm=[vlm("B", reasoning="a dog")], passive_frames=3, prompts="tiny")
    trace = await cast.play(question(), "passive")
    assert (trace.status, trace.answer, trace.confidence, trace.limit) == ("answered", "B", None, None)
    assert trace.turns[0].observation == "a dog"
    (request,) = cast.engines["vlm"].requests
    assert pictures_of(request) == [picture(0), picture(4000), picture(8000)]
    assert cast.prompts("vlm")[0].endswith(
        "[8.0]\n<picture>\nQuestion: Which animal is by the boat?\nA. a cat\nB. a dog"
    )
    assert [part.media.ts_ms for part in trace.opening[0].parts if part.media] == [0, 4000, 8000]


async def test_passive_that_says_no_answer_is_asked_again(one_film: Library) -> None:
    cast = Cast(one_film, vlm=["?", vlm("neither"), vlm("A")])
    trace = await cast.play(question(), "passive")
    assert (trace.status, trace.answer, len(trace.turns)) == ("answered", "A", 3)
    cast = Cast(one_film, vlm=["?", "?", "?"])
    assert (await cast.play(question(), "passive")).status == "unparsed"


async def test_passive_shows_nothing_after_the_limit(one_film: Library) -> None:
    cast = Cast(one_film, vlm=[vlm("B")], passive_frames=3)
    await cast.play(question(before_ms=3000), "passive")
    assert pictures_of(cast.engines["vlm"].requests[0]) == [picture(0), picture(1000), picture(2000)]


async def test_passive_can_be_handed_the_true_evidence(one_film: Library) -> None:
    spans = [(6000, 7000), (7100, 7900), (1000, 5000)]
    asked = question(relevant_times=[{"start_ms": start, "end_ms": end} for start, end in spans])
    for count, seconds in ((6, [1, 4, 6, 7]), (3, [2, 6, 7]), (2, [2, 6])):
        cast = Cast(one_film, vlm=[vlm("A")], passive_frames=count, passive_times="relevant")
        trace = await cast.play(asked, "passive")
        assert trace.answer == "A"
        assert pictures_of(cast.engines["vlm"].requests[0]) == [picture(1000 * second) for second in seconds]


async def test_where_there_is_no_evidence_passive_is_shown_the_film_evenly(one_film: Library) -> None:
    late = question(before_ms=3000, relevant_times=[{"start_ms": 4000, "end_ms": 5000}])
    for asked, seconds in ((question(), [0, 4, 8]), (late, [0, 1, 2])):
        cast = Cast(one_film, vlm=[vlm("A")], passive_frames=3, passive_times="relevant")
        await cast.play(asked, "passive")
        assert pictures_of(cast.engines["vlm"].requests[0]) == [picture(1000 * second) for second in seconds]


async def test_socratic_reads_captions_once(one_film: Library) -> None:
    cast = Cast(one_film, reasoner=[answer("A", [3], confidence=0.4)])
    trace = await cast.play(question(), "socratic")
    assert (trace.status, trace.answer, trace.confidence) == ("answered", "A", 0.4)
    (prompt,) = cast.prompts()
    assert "[0.0] a cat stands here; cat.\n[1.0] a dog stands here; dog." in prompt
    assert trace.evidence[0].start_ms == 3000


async def test_socratic_thins_what_does_not_fit(one_film: Library) -> None:
    shown = {"prompt_tokens": 256, "letters_per_token": 3}
    cast = Cast(one_film, reasoner=[answer("A")], prompts="tiny", shown=shown)
    await cast.play(question(), "socratic")
    (prompt,) = cast.prompts()
    assert len(prompt) <= 768
    assert "[0.0] a cat" in prompt
    assert "[8.0] a tree" in prompt
    assert prompt.count("stands here") < 9


def test_an_unknown_policy_is_named() -> None:
    with pytest.raises(ConfigError, match="'guess'; there are: retrieval_critic, active_perception, "):
        find_policy("guess")
