"""Looking at films that nobody indexed: what the model sees of them, what it is refused, and what a prompt weighs."""

import io
import re
import wave
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from loupe import storage
from loupe.agent.footage import Held
from loupe.agent.loop import rollout
from loupe.agent.policies import POLICIES, find_policy
from loupe.agent.view import prompt_of
from loupe.benchmarks.toytown.film import write_mp4
from loupe.benchmarks.toytown.screenplay import Film as ToytownFilm
from loupe.benchmarks.toytown.writing import write_film as write_toytown
from loupe.config import Answer
from loupe.engines.protocol import ChatRequest, UnavailableError
from loupe.engines.scripted import ScriptedEngine
from loupe.engines.scripted_speech import ScriptedTranscriber
from loupe.engines.speech import RATE, Spoken
from loupe.media import cut_audio, decode_jpeg, sample_frames
from loupe.training.toytown_lessons.looking import Ears, ToytownDesk, looker_config
from schemas.messages import Audio, Image
from schemas.traces import MediaRef, ShownMessage, ShownPart, Trace, prompt_hash
from tests.agent_scene import Cast, Script, answer, listen, look, pictures_of, question, text_of, watch
from tests.films.barcoded import barcode, write_film
from tests.index_scene import bars, film, still_film
from tests.s3 import S3

SURE = {"confidence": 0.95}


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A film of six seconds, ten frames a second, each another number."""
    folder = tmp_path_factory.mktemp("films")
    film(folder / "a.mp4", 6)
    return str(folder)


async def play(films: str, vlm: Script, **settings: object) -> tuple[Cast, Trace]:
    cast = Cast(None, vlm=vlm, root=films, **settings)
    return cast, await cast.play(question(), "active_perception")


def sounds_of(request: ChatRequest) -> list[np.ndarray]:
    """The sounds of a request, as samples of 16 kHz."""
    found = []
    for part in (part for message in request.messages for part in message.parts() if isinstance(part, Audio)):
        with wave.open(io.BytesIO(part.wav)) as file:
            assert (file.getframerate(), file.getnchannels()) == (RATE, 1)
            found.append(np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32_767)
    return found


def seen(request: ChatRequest) -> list[int]:
    """The numbers of the frames in a request."""
    return [bars(jpeg) for jpeg in pictures_of(request)]


async def test_any_window_at_any_density_from_the_film_itself(films: str) -> None:
    said = [look(1, 3, 5), look(2.1, 2.4, 4), look(0, 6, 3), look(3.3, 3.3, 1), answer("A", [2.2], **SURE)]
    cast, trace = await play(films, said)
    assert (trace.status, trace.answer) == ("answered", "A")
    assert [seen(request) for request in cast.engines["vlm"].requests] == [
        [],
        [10, 15, 20, 25, 30],
        [21, 22, 23, 24],
        [0, 30, 59],
        [33],
    ]
    assert "[1.0]\n<picture>\n[1.5]\n<picture>" in cast.prompts("vlm")[1]
    assert {media.source for turn in trace.turns for media in turn.media} == {"decode"}


async def test_the_first_message_says_what_the_file_is(films: str) -> None:
    cast, _ = await play(films, [look(0, 1, 2), answer("A", **SURE)])
    first = cast.prompts("vlm")[0]
    assert "Film 1: 6.0 seconds long, 10 frames a second, 336 x 192 pixels, no sound." in first
    assert first.index("Film 1: ") < first.index("Which animal is by the boat?")
    assert first.endswith("Step 1 of 5. Steps left, this one included: 5.")


async def test_only_the_newest_look_keeps_its_pictures(films: str) -> None:
    said = [look(0, 2, 3), look(3, 4, 2, observation="bars at 0.0"), answer("A", **SURE)]
    cast, trace = await play(films, said)
    last = cast.prompts("vlm")[-1]
    assert seen(cast.engines["vlm"].requests[-1]) == [30, 40]
    assert "[frames of film 1 from 0.0 to 2.0 seconds (0.0, 1.0, 2.0): not shown any more. Your notes hold" in last
    assert "bars at 0.0" in last
    assert [[media.ts_ms for media in turn.media] for turn in trace.turns] == [[0, 1000, 2000], [3000, 4000], []]


async def test_what_a_purge_and_notes_are_worth_can_be_measured_without_them(films: str) -> None:
    said = [look(0, 2, 2), look(3, 5, 2, observation="two bars"), answer("A", **SURE)]
    whole, _ = await play(films, list(said))
    unpurged, trace = await play(films, list(said), looking={"purge": False})
    forgetful, _ = await play(films, list(said), looking={"notes": False})
    shown = [len(pictures_of(cast.engines["vlm"].requests[2])) for cast in (whole, unpurged, forgetful)]
    assert shown == [2, 4, 2]
    assert ["two bars" in cast.prompts("vlm")[2] for cast in (whole, unpurged, forgetful)] == [True, True, False]
    assert len(prompt_of(trace, 2)) == len(unpurged.engines["vlm"].requests[2].messages)


async def test_a_look_that_is_refused_leaves_the_last_one_in_place(films: str) -> None:
    said = [look(0, 2, 3), look(5, 9, 3), answer("A", **SURE)]
    cast, _ = await play(films, said)
    assert seen(cast.engines["vlm"].requests[-1]) == [0, 10, 20]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (look(3, 7, 2), 'The film ends at 6.0: ask for "start":3.0,"end":6.0'),
        (look(-1, 2, 2), "0 <= start <= end <= 6.0, not -1 and 2"),
        (look(4, 3, 2), "0 <= start <= end <= 6.0, not 4 and 3"),
        (look(0, 1e306, 3), 'The film ends at 6.0: ask for "start":0.0,"end":6.0'),
        (look(1e306, 1e306, 3), "The film ends at 6.0: there is no more of it."),
        (look(0, 6, 61), "At most 60 frames can be looked at together, not 61."),
        (look(0, 2, 3), "it is shown above"),
        (answer("A", confidence=0.6), "a confidence of at least 0.9, and yours is 0.6"),
        (answer("C", **SURE), "The answer is one letter of A-B"),
    ],
)
async def test_what_cannot_be_is_told_with_what_would_be_right(said: str, told: str, films: str) -> None:
    cast, trace = await play(films, [look(0, 2, 3), said, answer("A", **SURE)])
    assert (trace.status, trace.turns[1].is_error) == ("answered", True)
    assert told in cast.prompts("vlm")[2]
    assert [turn.steps_left for turn in trace.turns] == [5, 4, 3]


async def test_an_answer_before_any_look_is_refused(films: str) -> None:
    cast, trace = await play(films, [answer("A", **SURE), look(0, 1, 2), answer("A", **SURE)])
    assert "You have seen and heard nothing of the film yet." in cast.prompts("vlm")[1]
    assert [turn.is_error for turn in trace.turns] == [True, False, False]


async def test_a_window_may_be_looked_at_again_once_it_is_gone(films: str) -> None:
    _, trace = await play(films, [look(0, 1, 2), look(3, 4, 2), look(0, 1, 2), answer("A", **SURE)])
    assert [turn.is_error for turn in trace.turns] == [False] * 4


async def test_what_was_refused_is_refused_again_and_an_answer_may_be_repeated_surer(films: str) -> None:
    said = [look(0, 9, 2), look(0, 9, 2), look(0, 1, 2), answer("A", confidence=0.5), answer("A", **SURE)]
    _, trace = await play(films, said)
    assert "would be again" in trace.turns[1].result
    assert trace.status == "answered"


async def test_who_is_refused_again_and_again_is_asked_a_little_warmer(films: str) -> None:
    past = look(9, 12, 2)
    cast, trace = await play(films, [past, past, past, look(0, 2, 2), answer("A", **SURE)])
    assert [turn.is_error for turn in trace.turns] == [True] * 3 + [False] * 2
    assert [request.temperature for request in cast.engines["vlm"].requests] == [0, 0, 0.3, 0.7, 0]


async def test_the_last_step_answers_however_unsure(films: str) -> None:
    looks = [look(0, at, 2) for at in (1, 2, 3, 4)]
    cast, trace = await play(films, [*looks, answer("B", confidence=0.1)])
    assert (trace.answer, trace.limit, trace.turns[-1].steps_left) == ("B", "actions", 1)
    assert cast.prompts("vlm")[-1].endswith("Step 5 of 5, the last: answer now, with what you have.")
    schema = cast.engines["vlm"].requests[-1].schema
    assert schema is not None
    assert list(schema["$defs"]) == ["answer"]


@pytest.mark.parametrize(("looking", "steps"), [({}, 5), ({"turns": "fixed", "max_turns": 9}, 9)])
async def test_turns_follow_the_length_or_are_fixed(looking: dict, steps: int, films: str) -> None:
    cast, _ = await play(films, [look(0, 1, 2), answer("A", **SURE)], looking=looking)
    assert f"Step 1 of {steps}." in cast.prompts("vlm")[0]


@pytest.mark.parametrize(("minutes", "turns"), [(0.5, 5), (5, 10), (20.9, 25), (46, 51), (130, 52)])
def test_turns_are_five_and_one_a_minute_up_to_the_most(minutes: float, turns: int) -> None:
    settings = Answer.model_validate({"looking": {"max_turns": 52}})
    assert find_policy("active_perception").allowance(settings, 0, round(60_000 * minutes)) == turns


async def test_a_config_narrows_the_limits_of_the_policy(films: str) -> None:
    cast, trace = await play(films, [look(0, 6, 9), look(0, 6, 8), answer("A", **SURE)], looking={"frames": 8})
    assert "At most 8 frames can be looked at together, not 9." in trace.turns[0].result
    assert "At most 8 frames" in cast.prompts("vlm")[0]


async def test_nothing_after_the_limit_of_a_question_is_seen(films: str) -> None:
    cast = Cast(None, vlm=[look(0, 4, 2), look(0, 3, 2), answer("A", **SURE)], root=films)
    trace = await cast.play(question(before_ms=3000), "active_perception")
    assert trace.turns[0].is_error
    assert seen(cast.engines["vlm"].requests[-1]) == [0, 29]


async def test_a_question_that_names_no_film_fails_with_a_sentence(films: str) -> None:
    cast = Cast(None, root=films)
    trace = await cast.play(question(video=None), "active_perception")
    assert (trace.status, trace.error) == ("failed", "without an index a question names its films, a few at most")


async def test_a_trace_gives_every_prompt_again(films: str) -> None:
    cast, trace = await play(films, [look(0, 2, 3), look(9, 9, 1), "no json", look(3, 4, 2), answer("A", **SURE)])
    again = Trace.from_row(trace.as_row())
    assert again == trace
    for index, request in enumerate(cast.engines["vlm"].requests):
        rebuilt = [part for message in prompt_of(again, index) for part in message.parts]
        asked = [part for message in request.messages for part in message.parts()]
        assert [part.text for part in rebuilt] == [None if isinstance(part, Image) else part.text for part in asked]


def test_hashes_of_older_prompts_stand() -> None:
    frame = MediaRef(video_id="a", ts_ms=1, pts_ms=1, width=2, height=2, source="table", lineage="x")
    shown = ShownMessage(role="user", parts=(ShownPart(text="Look:"), ShownPart(media=frame)))
    assert prompt_hash([shown]) == "df6e5398b3fd3249"


async def test_a_film_on_s3_is_looked_at_where_it_lies(s3: S3, tmp_path: Path) -> None:
    storage.write_bytes(f"{s3.root}/films/a.mp4", film(tmp_path / "a.mp4", 6).read_bytes())
    cast, trace = await play(f"{s3.root}/films", [look(2, 3, 2), look(4, 5, 2), answer("A", **SURE)])
    assert trace.status == "answered"
    assert [seen(request) for request in cast.engines["vlm"].requests] == [[], [20, 30], [40, 50]]


async def test_a_film_on_s3_stays_open_with_what_was_read_of_it(s3: S3, tmp_path: Path) -> None:
    storage.write_bytes(f"{s3.root}/films/a.mp4", film(tmp_path / "a.mp4", 6).read_bytes())
    said = iter([look(2, 3, 2), look(4, 5, 2), answer("A", **SURE)])

    def vlm(request: ChatRequest) -> str:
        if len(cast.engines["vlm"].requests) == 2:
            storage.delete(f"{s3.root}/films/a.mp4")
        return next(said)

    cast = Cast(None, vlm=vlm, root=f"{s3.root}/films")
    trace = await cast.play(question(), "active_perception")
    assert trace.status == "answered", trace.error
    assert [seen(request) for request in cast.engines["vlm"].requests] == [[], [20, 30], [40, 50]]


async def test_what_was_seen_once_is_kept_and_not_mixed_with_another_file_in_its_place(tmp_path: Path) -> None:
    film(tmp_path / "a.mp4", 6)
    said = iter([look(2, 3, 2), look(4, 5, 2), look(2, 3, 2), look(0, 1, 2), look(0, 1, 2), answer("A", **SURE)])

    def vlm(request: ChatRequest) -> str:
        if len(cast.engines["vlm"].requests) == 3:
            film(tmp_path / "a.mp4", 5, first=100)
        return next(said)

    cast = Cast(None, vlm=vlm, root=str(tmp_path))
    trace = await cast.play(question(), "active_perception")
    assert [seen(request) for request in cast.engines["vlm"].requests] == [[], [20, 30], [40, 50], [20, 30]]
    assert "was replaced since it was first read" in trace.turns[3].result
    assert (trace.status, trace.answer) == ("failed", None)
    assert str(trace.error).startswith("ObjectChanged: ")
    assert (await cast.play(question(), "active_perception")).status == "answered"  # a later one has the new film
    assert seen(cast.engines["vlm"].requests[-1]) == [100, 110]


async def test_a_film_that_cannot_be_read_any_more_is_a_failure_and_no_guess(tmp_path: Path) -> None:
    film(tmp_path / "a.mp4", 6)

    def vlm(request: ChatRequest) -> str:
        (tmp_path / "a.mp4").unlink(missing_ok=True)
        return look(2, 3, 2)

    trace = await Cast(None, vlm=vlm, root=str(tmp_path)).play(question(), "active_perception")
    assert (trace.status, trace.answer, len(trace.turns)) == ("failed", None, 1)
    assert str(trace.error).startswith("NotFound: ")


async def test_what_was_seen_at_the_end_of_a_film_can_be_cited_as_it_was_told(tmp_path: Path) -> None:
    write_film(tmp_path / "a.mp4", [barcode(number) for number in range(89)], fps=30)  # 2.97 seconds
    cast, trace = await play(str(tmp_path), [look(0, 3.0, 2), answer("A", times=[3.0], **SURE)])
    assert "[3.0]" in cast.prompts("vlm")[1]
    assert trace.status == "answered"
    (evidence,) = trace.evidence
    (_, last) = trace.turns[0].media
    assert (evidence.start_ms, evidence.source, evidence.lineage) == (last.ts_ms, "decode", last.lineage)


@pytest.mark.parametrize("again", [(0, 6.05, 2), (-0.0, 6, 2)])
async def test_the_same_request_in_other_words_is_the_same(films: str, again: tuple[float, float, int]) -> None:
    _, trace = await play(films, [look(0, 6, 2), look(*again), answer("A", **SURE)])
    assert "You have what you ask for" in trace.turns[1].result


async def test_too_many_frames_are_refused_with_how_many_there_may_be(films: str) -> None:
    _, trace = await play(films, [look(0, 2, 5000), look(0, 2, 2), answer("A", **SURE)])
    assert trace.turns[0].parsed
    assert "At most 60 frames can be looked at together, not 5000." in trace.turns[0].result


async def test_as_long_as_a_look_may_be_and_no_longer(tmp_path: Path) -> None:
    """Sixty seconds are watched and three hundred listened to at once, where the config says nothing."""
    still_film(tmp_path / "a.mp4", 302)
    said = [listen(0, 301), watch(0, 61, 2), listen(0, 300), watch(0, 60, 2), answer("A", **SURE)]
    _, trace = await play(str(tmp_path), said)
    told = [turn.result.splitlines()[0] for turn in trace.turns[:4]]
    assert told[0].startswith("What is listened to at once lasts more than 0 and at most 300 seconds, not 301")
    assert told[1].startswith("What is watched at once lasts more than 0 and at most 60 seconds, not 61")
    assert told[2:] == ["The film has no sound. Look at it instead."] * 2


@pytest.mark.parametrize(("confidence", "refused"), [(0.89, True), (0.9, False)])
async def test_an_answer_needs_to_be_sure_by_nine_tenths(films: str, confidence: float, refused: bool) -> None:
    said = [look(0, 1, 2), answer("A", confidence=confidence), answer("B", **SURE)]
    _, trace = await play(films, said)
    assert (trace.turns[1].is_error, trace.answer) == (refused, "B" if refused else "A")


@pytest.mark.parametrize("turns", [5, 53])
def test_budgets_go_from_six_turns_to_fifty_two(turns: int) -> None:
    assert Answer.model_validate({"looking": {"max_turns": 6}}).looking.max_turns == 6
    assert Answer.model_validate({"looking": {"max_turns": 52}}).looking.max_turns == 52
    with pytest.raises(ValidationError, match="max_turns"):
        Answer.model_validate({"looking": {"max_turns": turns}})


@pytest.mark.parametrize("time", ["NaN", "Infinity", "-Infinity", "1e400"])
async def test_times_are_numbers(films: str, time: str) -> None:
    wrong = look(0, 1, 2).replace('"end": 1', f'"end": {time}').replace('"end":1', f'"end":{time}')
    assert time in wrong
    _, trace = await play(films, [wrong, look(0, 1, 2), answer("A", **SURE)])
    assert [turn.parsed and not turn.is_error for turn in trace.turns] == [False, True, True]


async def test_retries_of_the_last_step_count_no_further(films: str) -> None:
    looking = {"turns": "fixed", "max_turns": 6}
    said = [*(look(at, at + 1, 2) for at in range(5)), answer("none of them", **SURE), answer("A", **SURE)]
    cast, trace = await play(films, said, looking=looking)
    assert [turn.steps_left for turn in trace.turns] == [6, 5, 4, 3, 2, 1, 1]
    assert "7 of 7" not in cast.prompts("vlm")[-1]
    assert "6 of 6" in cast.prompts("vlm")[-1]


def test_what_is_held_stays_within_its_bytes_and_is_closed_as_it_goes() -> None:
    held, closed = Held(100), []
    held.put("small", b"s", 10)
    held.put("huge", b"h", 200, lambda: closed.append("huge"))
    assert (held.get("small"), held.get("huge"), closed) == (b"s", None, ["huge"])
    assert held.take("small") == b"s"
    closed.clear()
    held.put("film", "an open film", 50, lambda: closed.append("film"))
    held.put("a", b"a", 40)
    assert held.get("film") == "an open film"
    held.put("b", b"b", 30)
    assert (held.get("a"), held.get("b"), held.bytes, closed) == (None, b"b", 80, [])
    assert held.take("b") == b"b"
    held.put("c", b"c", 90)
    assert (held.get("film"), held.bytes, closed) == (None, 90, ["film"])


# Sound


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ToytownFilm]:
    """A film of half a minute in which people talk."""
    folder, drawn = tmp_path_factory.mktemp("spoken"), write_toytown(3, 0, 0.5)
    write_mp4(drawn, folder / "a.mp4")
    return str(folder), drawn


def ears() -> ScriptedTranscriber:
    return ScriptedTranscriber(lambda sound: [Spoken(0, len(sound) * 1000 // RATE, "somebody <speaks>")])


async def test_what_is_said_comes_as_lines_with_their_times_in_the_film(spoken: tuple[str, ToytownFilm]) -> None:
    root, drawn = spoken
    cast = Cast(None, vlm=[listen(0, 30), answer("A", **SURE)], transcriber=ears(), root=root)
    trace = await cast.play(question(), "active_perception")
    told = re.findall(r"^\[([\d.]+)-([\d.]+)\] somebody ‹speaks›$", cast.prompts("vlm")[1], re.MULTILINE)
    assert "with sound." in cast.prompts("vlm")[0]
    assert len(told) == len(drawn.lines) > 1
    for (start, end), line in zip(told, drawn.lines, strict=True):
        assert abs(float(start) - line.start_ms / 1000) < 0.4
        assert abs(float(end) - line.end_ms / 1000) < 0.4
    sound = trace.turns[0].sound
    assert sound is not None
    assert (sound.start_ms, sound.end_ms, sound.given) == (0, 30_000, "words")
    (call,) = trace.turns[0].calls
    assert call.role == "transcriber"
    assert 0 < call.cost < 2.0  # of the stretches with speech in these 30 seconds
    assert Trace.from_row(trace.as_row()) == trace


async def test_watching_gives_pictures_and_words_of_one_window(spoken: tuple[str, ToytownFilm]) -> None:
    root, drawn = spoken
    line = drawn.lines[0]
    window = (line.start_ms // 1000 - 1, line.end_ms // 1000 + 2)
    cast = Cast(None, vlm=[watch(*window, 3), answer("A", **SURE)], transcriber=ears(), root=root)
    trace = await cast.play(question(), "active_perception")
    seen = cast.prompts("vlm")[1]
    assert seen.count("<picture>") == 3
    assert "somebody ‹speaks›" in seen
    assert [media.ts_ms for media in trace.turns[0].media][::2] == [1000 * second for second in window]


async def test_words_are_purged_with_the_sound_that_they_stand_for(spoken: tuple[str, ToytownFilm]) -> None:
    root, _ = spoken
    said = [listen(0, 30), look(0, 5, 2, observation="somebody spoke"), answer("A", **SURE)]
    cast = Cast(None, vlm=said, transcriber=ears(), root=root)
    await cast.play(question(), "active_perception")
    last = cast.prompts("vlm")[2]
    assert "[sound of film 1 from 0.0 to 30.0 seconds (all of it): not shown any more." in last
    assert "‹speaks›" not in last


async def test_a_window_that_was_listened_to_is_transcribed_once_for_all_questions(
    spoken: tuple[str, ToytownFilm],
) -> None:
    asked: list[int] = []

    def hears(sound: np.ndarray) -> list[Spoken]:
        asked.append(len(sound))
        if len(asked) == 1:
            raise UnavailableError("the ears are not up yet")
        return [Spoken(0, 500, "somebody speaks")]

    root, drawn = spoken
    listener = [listen(0, 30), answer("A", **SURE)]
    cast = Cast(None, vlm=[listen(0, 30), *listener, *listener], transcriber=ScriptedTranscriber(hears), root=root)
    traces = [await cast.play(question(question_id=name), "active_perception") for name in ("q1", "q2", "q3")]
    assert [trace.status for trace in traces] == ["failed", "answered", "answered"]  # what failed is not kept
    assert len(asked) == 1 + len(drawn.lines)
    assert [[call.role for call in trace.turns[0].calls] for trace in traces] == [["transcriber"], ["transcriber"], []]
    words = [re.findall(r"<heard>\n(.*?)\n</heard>", told, re.DOTALL) for told in cast.prompts("vlm")]
    assert words[2] == words[4] != []


@pytest.mark.parametrize(
    ("said", "settings", "told"),
    [
        (listen(0, 30), {"listen_seconds": 20}, "lasts more than 0 and at most 20 seconds, not 30"),
        (watch(0, 30, 2), {"watch_seconds": 20}, "lasts more than 0 and at most 20 seconds, not 30"),
        (watch(0, 9, 61), {}, "At most 60 frames can be looked at together, not 61."),
        (listen(5, 5), {}, "more than 0"),
        (listen(0, 31), {}, 'The film ends at 30.0: ask for "start":0.0,"end":30.0'),
        (listen(0, 9), {"hearing": "off"}, "Nothing can be heard here. Look at the film instead."),
    ],
)
async def test_what_cannot_be_heard_is_told(
    said: str, settings: dict, told: str, spoken: tuple[str, ToytownFilm]
) -> None:
    vlm = [said, look(0, 1, 2), answer("A", **SURE)]
    cast = Cast(None, vlm=vlm, transcriber=ears(), root=spoken[0], looking=settings)
    trace = await cast.play(question(), "active_perception")
    assert told in trace.turns[0].result
    assert (trace.turns[0].is_error, trace.status) == (True, "answered")


async def test_a_model_that_hears_is_given_the_sound_itself_as_long_as_it_is_the_newest_percept(
    spoken: tuple[str, ToytownFilm],
) -> None:
    said = [listen(5, 12), watch(10, 14, 2), look(0, 1, 2), answer("A", **SURE)]
    cast = Cast(None, vlm=said, root=spoken[0], looking={"hearing": "audio"})
    trace = await cast.play(question(), "active_perception")
    heard = [sounds_of(request) for request in cast.engines["vlm"].requests]
    with open(f"{spoken[0]}/a.mp4", "rb") as file:
        wanted = [cut_audio(file, 5_000, 12_000), cut_audio(file, 10_000, 14_000)]
    assert [len(sounds) for sounds in heard] == [0, 1, 1, 0]
    for (sound,), samples in zip(heard[1:3], wanted, strict=True):
        assert np.abs(sound - samples).max() < 1e-4
    assert [bool(turn.calls) for turn in trace.turns] == [False] * 4
    assert "[10.0-14.0]" in cast.prompts("vlm")[2]
    again = Trace.from_row(trace.as_row())
    assert [part.sound for message in prompt_of(again, 1) for part in message.parts if part.sound] == [
        again.turns[0].sound
    ]


async def test_a_silent_film_cannot_be_listened_to(films: str) -> None:
    cast = Cast(None, vlm=[listen(0, 3), look(0, 1, 2), answer("A", **SURE)], transcriber=ears(), root=films)
    trace = await cast.play(question(), "active_perception")
    assert "The film has no sound. Look at it instead." in trace.turns[0].result
    assert trace.status == "answered"


# What a prompt weighs

LOOK_FRAMES, TURNS = 4, 12


async def test_sound_counts_towards_the_budget(spoken: tuple[str, ToytownFilm]) -> None:
    said = [listen(0, 30), answer("A", confidence=0.1)]
    cast = Cast(None, vlm=said, transcriber=ears(), root=spoken[0], budget={"cost": 0.01})
    trace = await cast.play(question(), "active_perception")
    assert (trace.status, trace.limit) == ("answered", "cost")


async def test_of_older_turns_their_notes_stay_and_not_their_thoughts(films: str) -> None:
    said = [look(at, at + 1, 2, observation=f"note {at}", thought=f"thought {at}") for at in range(4)]
    cast, _ = await play(films, [*said, answer("A", **SURE)], shown={"whole_turns": 100})
    for at, prompt in enumerate(cast.prompts("vlm")[1:]):
        assert re.findall(r"note \d", prompt) == [f"note {number}" for number in range(at + 1)]
        assert re.findall(r"thought \d", prompt) == [f"thought {at}"]


async def test_where_notes_have_no_room_the_oldest_go(films: str) -> None:
    """A prompt of the opening, the newest turn and about 1,500 letters of notes, whatever has been noted."""
    noted = [look(at / 4, 4 + at / 4, 2, observation=f"note {at} " + "so " * 60) for at in range(12)]
    looking = {"turns": "fixed", "max_turns": 20}
    cast, _ = await play(films, [look(0, 1, 2), answer("A", **SURE)])
    opening = len(cast.prompts("vlm")[0])
    shown = {"prompt_tokens": (opening + 2000) // 3, "letters_per_token": 3.0}
    cast, trace = await play(films, [*noted, answer("A", **SURE)], looking=looking, shown=shown)
    assert trace.status == "answered"
    for at, prompt in enumerate(cast.prompts("vlm")[1:]):
        told = [int(number) for number in re.findall(r"note (\d+)", prompt)]
        assert told[-1] == at
        assert len(set(told)) >= min(at + 1, 5)
        assert sorted(set(told)) == list(range(min(told), at + 1))
    assert min(told) > 0


GONE_LETTERS = 240
"""Of the line that takes a percept's place."""


async def weights(minutes: int, folder: Path) -> list[tuple[int, int, int]]:
    """Of every prompt: its pictures, its letters, and the letters that the model had said before."""
    write_film(
        folder / "a.mp4",
        (barcode(number) for number in range(minutes * 6)),
        times_ms=[10_000 * number for number in range(minutes * 6)],
    )
    step = minutes * 60 // TURNS
    noted = [look(at * step, (at + 1) * step - 1, LOOK_FRAMES, observation="nothing yet " * 5) for at in range(TURNS)]
    looking = {"turns": "fixed", "max_turns": TURNS, "frames": LOOK_FRAMES}
    cast, trace = await play(str(folder), [*noted[:-1], answer("A", **SURE)], looking=looking)
    assert trace.status == "answered"
    said = [sum(map(len, noted[:turn])) for turn in range(TURNS)]
    requests = cast.engines["vlm"].requests
    return [(len(pictures_of(one)), len(text_of(one)), told) for one, told in zip(requests, said, strict=True)]


async def test_a_prompt_holds_one_percept_and_grows_by_notes_alone_however_long_the_film(tmp_path: Path) -> None:
    weighed = {}
    for minutes in (5, 130):
        (tmp_path / str(minutes)).mkdir()
        weighed[minutes] = await weights(minutes, tmp_path / str(minutes))
    for of_one in weighed.values():
        assert [pictures for pictures, _, _ in of_one] == [0] + [LOOK_FRAMES] * (TURNS - 1)
        for (_, before, said_before), (_, after, said) in pairwise(of_one[1:]):
            assert after - before <= said - said_before + GONE_LETTERS
    lengths = [[letters for _, letters, _ in weighed[minutes]] for minutes in (5, 130)]
    assert lengths[1][-1] - lengths[0][-1] <= 16 * TURNS  # longer numbers, and nothing else


async def words_weighed(minutes: int) -> list[tuple[int, int, int, int]]:
    """The same of a drawn film that is listened to, watched and looked at in turn; and the letters heard."""
    drawn = write_toytown(1, 0, minutes)
    step = minutes * 60 // TURNS
    kinds = (
        lambda at: listen(at, at + 20, observation="somebody spoke " * 4),
        lambda at: watch(at, at + 15, LOOK_FRAMES, observation="somebody spoke " * 4),
        lambda at: look(at, at + 15, LOOK_FRAMES, observation="somebody stood " * 4),
    )
    noted = [kinds[turn % 3](turn * step) for turn in range(TURNS - 1)]
    engine, config = ScriptedEngine([*noted, answer("A", **SURE)]), looker_config()
    looking = config.answer.looking.model_copy(update={"turns": "fixed", "max_turns": TURNS})
    shown = config.answer.shown.model_copy(update={"prompt_tokens": 10_000})
    told = config.answer.model_copy(update={"looking": looking, "shown": shown})
    ears = Ears(drawn, np.random.default_rng(1), 0.0)
    desk = ToytownDesk(drawn, engine, ears, config.model_copy(update={"answer": told}))
    trace = await rollout(desk, POLICIES["active_perception"], question())
    assert trace.status == "answered"
    weighed = []
    for turn, request in enumerate(engine.requests):
        text = text_of(request)
        heard = re.findall(r"<heard>\n(.*?)\n</heard>", text, re.DOTALL)
        assert len(heard) <= 1
        letters = sum(map(len, heard))
        weighed.append((len(pictures_of(request)), len(text) - letters, sum(map(len, noted[:turn])), letters))
    return weighed


async def test_words_of_a_prompt_are_those_of_one_percept_however_long_the_film() -> None:
    for minutes in (5, 130):
        weighed = await words_weighed(minutes)
        assert max(letters for *_, letters in weighed) > 0
        for turn, (pictures, _, _, letters) in enumerate(weighed[1:]):
            assert pictures == (0 if turn % 3 == 0 else LOOK_FRAMES)
            assert letters == 0 if turn % 3 == 2 else letters < 20 * 40
        for (_, before, said_before, _), (_, after, said, _) in pairwise(weighed[1:]):
            assert after - before <= said - said_before + GONE_LETTERS


# Real clips

CLIPS = Path(__file__).parents[2] / "shared" / "media"
LAST = {"rotated_90.mov": 0.0}
"""Of a film of a tenth of a second."""


@pytest.mark.skipif(not CLIPS.is_dir(), reason="the clips are not here")
@pytest.mark.parametrize("clip", ["nasa_13013.mp4", "flipping_a_pancake.mkv", "car-detection.mp4", "rotated_90.mov"])
async def test_of_real_clips_every_tool_gives_what_the_decoder_gives(clip: str) -> None:
    said = [look(0, LAST.get(clip, 0.5), 3), listen(0.1, 0.9), watch(0.2, 0.6, 2), answer("A", **SURE)]
    cast = Cast(None, vlm=said, root=str(CLIPS), looking={"hearing": "audio"})
    trace = await cast.play(question(video=clip), "active_perception")
    assert trace.status == "answered", trace.error
    silent = "no sound" in cast.prompts("vlm")[0]
    assert [turn.is_error for turn in trace.turns] == [False, silent, silent, False]
    for turn, request in zip(trace.turns[:3], cast.engines["vlm"].requests[1:], strict=True):
        if turn.is_error:
            continue
        with (CLIPS / clip).open("rb") as file:
            frames = [one.rgb for one in sample_frames(file, [media.ts_ms for media in turn.media])]
            samples = [cut_audio(file, turn.sound.start_ms, turn.sound.end_ms)] if turn.sound else []
        for picture, rgb in zip(map(decode_jpeg, pictures_of(request)), frames, strict=True):
            assert picture.shape == rgb.shape
            assert np.abs(picture.astype(int) - rgb).mean() < 8
        for sound, wanted in zip(sounds_of(request), samples, strict=True):
            assert np.abs(sound - wanted).max() < 1e-4
