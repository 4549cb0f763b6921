"""Summaries without a model, through the requests that any summarizer gets."""

import asyncio

import pytest

from loupe.config import FieldsModel
from loupe.engines.open import open_engine
from loupe.engines.protocol import ChatRequest, EngineError
from loupe.prompts import load
from loupe.summarizing import (
    chunk_summary_request,
    parse_chunk_summary,
    parse_video_summary,
    summarize_video,
    video_summary_request,
)
from schemas.messages import Message
from schemas.outputs import FrameCaption

ENGINE = open_engine(FieldsModel(engine="fields"))


def seen(place: str, *people: str, actions: tuple[str, ...] = (), text: tuple[str, ...] = ()) -> FrameCaption:
    return FrameCaption(
        caption="Somebody: somewhere. Place: nowhere.",
        subjects=list(people),
        actions=list(actions),
        place=place,
        objects=["key"],
        on_screen_text=list(text),
    )


MINUTE = [
    (0.0, seen("street", "red person", actions=("red person enters",), text=("BAKER",))),
    (1.0, seen("street", "red person", "blue person", actions=("red person waves",), text=("BAKER",))),
    (2.0, seen("")),
    (3.0, seen("kitchen")),
]
SUMMARY = "Street with text BAKER: red person, blue person — red person enters, red person waves. Kitchen: nobody."


@pytest.mark.parametrize("prompts", ["tiny", "full"])
def test_a_minute_is_told_scene_by_scene(prompts: str) -> None:
    request = chunk_summary_request(MINUTE, [(1.5, "Good place: morning.")], load(prompts, "chunk_summary"))
    assert parse_chunk_summary(asyncio.run(ENGINE.chat(request))).summary == SUMMARY


def test_a_black_moment_does_not_make_two_scenes_of_one() -> None:
    shown = [(0.0, seen("street", "red person")), (1.0, seen("")), (2.0, seen("street", "blue person"))]
    request = chunk_summary_request(shown, [], load("tiny", "chunk_summary"))
    assert parse_chunk_summary(asyncio.run(ENGINE.chat(request))).summary == "Street: red person, blue person."


def test_a_films_logs_have_the_times_of_its_parts() -> None:
    parts = [(0.0, 60.0, SUMMARY), (60.0, 75.0, "Kitchen: red person.")]
    request = video_summary_request(parts, load("full", "video_summary"))
    film = parse_video_summary(asyncio.run(ENGINE.chat(request)))
    assert film.summary == "Places: street, kitchen. People: red person, blue person. Text: BAKER."
    assert [(line.start, line.end, line.text) for line in film.scenes] == [
        (0.0, 60.0, "street"),
        (0.0, 60.0, "kitchen"),
        (60.0, 75.0, "kitchen"),
    ]
    assert [line.text for line in film.events] == ["red person enters", "red person waves"]


def test_a_long_film_is_condensed_level_by_level() -> None:
    parts = [(60.0 * i, 60.0 * (i + 1), f"Place {i}: person {i % 2} — person {i % 2} walks.") for i in range(7)]
    film, *_ = asyncio.run(summarize_video(parts, ENGINE, load("tiny", "video_summary"), fan_in=2, max_tokens=100))
    assert film.summary == (
        "Places: place 0, place 1, place 2, place 3, place 4, place 5, place 6. People: person 0, person 1. Text: none."
    )
    assert [(line.start, line.text) for line in film.scenes] == [(60.0 * i, f"place {i}") for i in range(7)]


def test_what_is_no_summary_is_refused() -> None:
    request = ChatRequest((Message(role="user", content="Who is it?"),), schema=FrameCaption.model_json_schema())
    with pytest.raises(EngineError, match="summaries and nothing else"):
        asyncio.run(ENGINE.chat(request))
