"""The engine that answers by code, and what a config opens."""

import pytest

from loupe.asking import ask_request, parse_answer
from loupe.captioning import caption_request, parse_caption
from loupe.config import ConfigError, LocalModel, OpenAIModel, ScriptedModel, VllmModel
from loupe.engines.open import open_engine
from loupe.engines.openai import OpenAIEngine
from loupe.engines.protocol import ChatRequest, EngineError, Reply
from loupe.engines.scripted import ScriptedEngine
from loupe.prompts import load
from loupe.summarizing import (
    chunk_summary_request,
    parse_chunk_summary,
    parse_video_summary,
    video_summary_request,
)
from schemas.messages import Image, Message, Usage
from tests.pictures import one_colour


def ask(text: str) -> ChatRequest:
    return ChatRequest((Message(role="user", content=text),))


async def test_a_list_answers_in_order_and_ends() -> None:
    engine = ScriptedEngine(["one", EngineError("two"), Reply("three", Usage(), "length")])
    assert (await engine.chat(ask("a"))).text == "one"
    with pytest.raises(EngineError, match="two"):
        await engine.chat(ask("b"))
    assert (await engine.chat(ask("c"))).finish_reason == "length"
    with pytest.raises(EngineError, match="3 answers"):
        await engine.chat(ask("d"))
    assert [request.messages[0].content for request in engine.requests] == ["a", "b", "c", "d"]


async def test_a_function_answers_at_once_or_later() -> None:
    async def later(request: ChatRequest) -> str:
        return "later"

    assert (await ScriptedEngine(lambda request: "now").chat(ask("?"))).text == "now"
    assert (await ScriptedEngine(later).chat(ask("?"))).text == "later"


async def test_the_rule_digest_answers_every_schema_of_ours() -> None:
    engine = open_engine(ScriptedModel(engine="scripted"))
    red, wide = Image(jpeg=one_colour("red")), Image(jpeg=one_colour("red", 16, 6))
    caption = parse_caption(await engine.chat(caption_request(red.jpeg, load("tiny", "caption"))))
    again = parse_caption(await engine.chat(caption_request(red.jpeg, load("tiny", "caption"), key="another")))
    other = parse_caption(await engine.chat(caption_request(wide.jpeg, load("tiny", "caption"))))
    assert caption == again
    assert caption.caption != other.caption
    parse_chunk_summary(await engine.chat(chunk_summary_request([], [(0.0, "a")], load("tiny", "chunk_summary"))))
    summary = await engine.chat(video_summary_request([(0.0, 60.0, "a")], load("tiny", "video_summary")))
    assert all(entry.start < entry.end for entry in parse_video_summary(summary).scenes)
    answer = await engine.chat(ask_request("Who?", [(1.0, red), (2.0, wide)], load("tiny", "ask")))
    assert parse_answer(answer).answer
    assert (answer.usage.images, answer.usage.pixels) == (2, 48 + 96)


async def test_a_config_opens_its_engine_or_says_why_not(tmp_path) -> None:
    engine = open_engine(OpenAIModel(engine="openai", base_url="http://127.0.0.1:9/v1", model="x"))
    assert isinstance(engine, OpenAIEngine)
    await engine.close()
    with pytest.raises(ConfigError, match="no scripted rule is called 'dice'"):
        open_engine(ScriptedModel(engine="scripted", source="dice"))
    with pytest.raises(ConfigError, match="can only caption there"):
        open_engine(VllmModel(engine="vllm", source="x"))
    with pytest.raises(OSError, match="nowhere"):
        open_engine(LocalModel(engine="local", source=str(tmp_path / "nowhere")))
