"""The client of an OpenAI-compatible server, against a real server on loopback that fails in every way it knows."""

import asyncio
import base64
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import BaseModel
from ray.exceptions import ActorDiedError

from loupe.captioning import caption_request, parse_caption
from loupe.config import Config
from loupe.engines.openai import OpenAIEngine
from loupe.engines.protocol import ChatRequest, EngineError, Reply, RequestError, UnavailableError
from loupe.engines.scripted import ScriptedEngine, digest
from loupe.prompts import load
from schemas.messages import Image, Message
from schemas.outputs import FrameCaption, Verdict, VideoSummary
from serving.replicas import ray_errors
from tests.openai_server import FAULTS, OpenAIServer
from tests.pictures import one_colour
from tests.serving_front import front, voices

KEY = "sk-the-secret-of-the-test"


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOUPE_TEST_KEY", KEY)


@asynccontextmanager
async def client(server: OpenAIServer, **settings: Any) -> AsyncIterator[OpenAIEngine]:
    engine = OpenAIEngine(
        server.url, "tiny", api_key_env="LOUPE_TEST_KEY", **{"timeout_s": 10, "first_wait_s": 0.02, **settings}
    )
    try:
        yield engine
    finally:
        await engine.close()


def ask(text: str = "Is it?", **settings: Any) -> ChatRequest:
    return ChatRequest((Message(role="user", content=text),), **settings)


async def test_a_caption_request_arrives_whole_and_its_reply_is_read() -> None:
    request = caption_request(one_colour("red"), load("full", "caption"), max_tokens=77)
    with OpenAIServer(lambda body: digest(request)) as server:
        async with client(server, extra_body={"top_k": 3, "temperature": 0.2}) as engine:
            reply = await engine.chat(request)
    assert parse_caption(reply).subjects
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (11, 3)
    assert (reply.usage.images, reply.usage.pixels, reply.retries) == (1, 48, 0)
    body = server.bodies[0]
    assert server.keys == [f"Bearer {KEY}"]
    assert (body["model"], body["max_tokens"], body["temperature"], body["top_k"]) == ("tiny", 77, 0.2, 3)
    sent, whole = body["response_format"]["json_schema"], FrameCaption.model_json_schema()
    assert sent["strict"] is True
    assert sent["schema"]["required"] == whole["required"]
    assert sent["schema"]["properties"]["subjects"] == whole["properties"]["subjects"]
    text, picture = body["messages"][0]["content"]
    assert text == {"type": "text", "text": load("full", "caption").text}
    head, _, data = picture["image_url"]["url"].partition(",")
    assert head == "data:image/jpeg;base64"
    assert base64.b64decode(data) == one_colour("red")


@pytest.mark.parametrize("model", [FrameCaption, VideoSummary, Verdict])
async def test_no_schema_names_the_lengths_of_strings(model: type[BaseModel]) -> None:
    """api.openai.com refuses a strict schema that does."""
    assert "maxLength" in str(model.model_json_schema())
    with OpenAIServer() as server:
        async with client(server) as engine:
            await engine.chat(ask(schema=model.model_json_schema()))
    sent = str(server.bodies[0]["response_format"])
    assert "maxItems" in sent
    assert "maxLength" not in sent
    assert "minLength" not in sent


async def test_logprobs_and_token_ids_come_back_where_the_server_has_them() -> None:
    written = [{"token": word, "logprob": value, "bytes": None, "top_logprobs": []} for word, value in (("a", -0.5),)]
    choice = {
        "message": {"role": "assistant", "content": "a"},
        "logprobs": {"content": written, "refusal": None},
        "token_ids": [42],
        "finish_reason": "length",
    }
    with OpenAIServer(lambda body: choice) as server:
        async with client(server) as engine:
            reply = await engine.chat(ask(logprobs=True))
            plain = await engine.chat(ask())
    assert (reply.logprobs, reply.token_ids, reply.finish_reason) == ((-0.5,), (42,), "length")
    assert (plain.logprobs, plain.token_ids) == (None, None)
    assert reply.entropies is None
    assert [(body.get("logprobs"), body.get("top_logprobs")) for body in server.bodies] == [(True, 20), (None, None)]


async def test_entropy_is_that_of_the_likeliest_tokens_and_the_rest_as_one() -> None:
    def told(token: str, *odds: float) -> dict[str, Any]:
        others = [{"token": f"t{number}", "logprob": math.log(p), "bytes": None} for number, p in enumerate(odds)]
        return {"token": token, "logprob": math.log(odds[0]), "bytes": None, "top_logprobs": others}

    choice = {
        "message": {"role": "assistant", "content": "ab"},
        "logprobs": {"content": [told("a", 0.5, 0.25), told("b", 1.0)], "refusal": None},
        "finish_reason": "stop",
    }
    with OpenAIServer(lambda body: choice) as server:
        async with client(server) as engine:
            reply = await engine.chat(ask(logprobs=True))
    assert reply.entropies == pytest.approx((1.5 * math.log(2), 0.0))  # 1/2, 1/4 and 1/4 that nobody names
    assert reply.likeliest is not None
    assert reply.likeliest[0] == (("t0", math.log(0.5)), ("t1", math.log(0.25)))
    assert "the 2 likeliest tokens" in (reply.entropy_definition or "")


@pytest.mark.parametrize("fault", FAULTS)
async def test_each_fault_is_tried_again(fault: str) -> None:
    with OpenAIServer(script=[fault, fault]) as server:
        async with client(server, timeout_s=0.5) as engine:
            reply = await engine.chat(ask())
    assert (reply.text, reply.retries, len(server.bodies)) == ("yes", 2, 3)


async def test_a_server_that_never_recovers_ends_in_a_sentence() -> None:
    with OpenAIServer(script=["error"] * 3) as server:
        async with client(server, max_retries=2) as engine:
            with pytest.raises(EngineError, match=r"no answer after 3 tries in \d+ s: HTTP 500: out of order"):
                await engine.chat(ask())
    assert len(server.bodies) == 3


async def test_nobody_at_the_address() -> None:
    engine = OpenAIEngine("http://127.0.0.1:9/v1", "tiny", max_retries=1, first_wait_s=0.02)
    with pytest.raises(EngineError, match="the connection failed"):
        await engine.chat(ask())
    await engine.close()


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
async def test_other_client_errors_end_at_once_and_hide_the_key(status: int) -> None:
    fault = (status, {"error": {"message": f"the key {KEY} is no good"}}, {})
    with OpenAIServer(script=[fault]) as server:
        async with client(server) as engine:
            with pytest.raises(EngineError, match=rf"HTTP {status}: the key \*\*\* is no good") as caught:
                await engine.chat(ask())
    assert len(server.bodies) == 1
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


async def test_retry_after_is_waited_for() -> None:
    with OpenAIServer(script=["limit"]) as server:
        server.retry_after = "1"
        async with client(server) as engine:
            reply = await engine.chat(ask())
    assert reply.retries == 1
    assert server.times[1] - server.times[0] >= 1


STARTING = (503, {"error": {"message": "starting"}}, {"Retry-After": "0"})
GONE = (503, {"error": {"message": "gone"}}, {})


async def test_a_busy_server_is_asked_again_beyond_max_retries() -> None:
    with OpenAIServer(script=["limit", STARTING, "error"] + ["limit", STARTING] * 3) as server:
        async with client(server, max_retries=1, first_wait_s=0.002) as engine:
            reply = await engine.chat(ask())
    assert (reply.text, reply.retries) == ("yes", 9)


async def test_failures_are_counted_between_busy_answers() -> None:
    with OpenAIServer(script=["limit", GONE, STARTING, GONE]) as server:
        async with client(server, max_retries=1, first_wait_s=0.002) as engine:
            with pytest.raises(UnavailableError, match=r"no answer after 4 tries in \d+ s: HTTP 503: gone"):
                await engine.chat(ask())


async def test_patience_with_a_busy_server_ends_in_a_sentence_and_after_few_tries() -> None:
    """Retry-After: 0 is no reason to ask all the time."""
    with OpenAIServer(rate=1.0, kinds=("limit",)) as server:
        async with client(server, max_retries=0, patience_s=0.5) as engine:
            with pytest.raises(UnavailableError, match=r"no answer after \d+ tries in \d+ s: HTTP 429: slow down"):
                await engine.chat(ask())
    assert 1 < len(server.bodies) < 20


async def test_who_is_to_wait_longer_than_patience_lasts_does_not_wait() -> None:
    with OpenAIServer(script=["limit"]) as server:
        server.retry_after = "3600"
        async with client(server) as engine:
            with pytest.raises(UnavailableError, match="no answer after one try: HTTP 429: slow down"):
                await engine.chat(ask())


async def test_an_account_without_credit_ends_at_once() -> None:
    spent = {"error": {"message": f"{KEY} has no credit", "type": "insufficient_quota", "code": "insufficient_quota"}}
    with OpenAIServer(script=[(429, spent, {"Retry-After": "0"})]) as server:
        async with client(server) as engine:
            with pytest.raises(EngineError, match=r"^HTTP 429: \*\*\* has no credit"):
                await engine.chat(ask())
    assert len(server.bodies) == 1


async def test_a_request_that_loses_its_replica_is_not_asked_for_long() -> None:
    async def dying(request: ChatRequest) -> str:
        async with ray_errors("tiny"):
            raise ActorDiedError

    with front(voices(ScriptedEngine(dying))) as url:
        engine = OpenAIEngine(url, "tiny", api_key_env="", max_retries=2, first_wait_s=0.02)
        with pytest.raises(UnavailableError, match=r"no answer after 3 tries in .* its replica was lost"):
            await engine.chat(ask())
        await engine.close()


def test_how_long_a_server_is_asked_decides_about_no_answer() -> None:
    def decides(**settings: Any) -> dict[str, Any]:
        model = {"engine": "openai", "base_url": "http://127.0.0.1:9/v1", "model": "m", **settings}
        return Config.model_validate({"models": {"m": model}, "roles": {"vlm": "m"}}).of_an_answer()

    assert decides(patience_s=5) == decides()
    assert decides(model="n") != decides()


async def test_no_more_requests_at_once_than_allowed() -> None:
    with OpenAIServer() as server:
        server.delay_s = 0.05
        async with client(server, concurrency=3) as engine:
            await asyncio.gather(*(engine.chat(ask()) for _ in range(12)))
    assert server.at_once == 3


async def test_with_every_fifth_reply_broken_every_request_ends() -> None:
    """300 requests, 20 % faults of all kinds, few tries: each ends in its own reply or in an EngineError."""
    with OpenAIServer(lambda body: body["messages"][0]["content"], rate=0.2, seed=7) as server:
        async with client(server, timeout_s=1, max_retries=2) as engine:
            started = time.monotonic()
            ends = await asyncio.gather(*(engine.chat(ask(f"q{n}")) for n in range(300)), return_exceptions=True)
            assert time.monotonic() - started < 60
    assert set(server.faults) == set(FAULTS)
    replies = {n: end for n, end in enumerate(ends) if isinstance(end, Reply)}
    errors = [end for end in ends if not isinstance(end, Reply)]
    assert all(reply.text == f"q{n}" for n, reply in replies.items())
    assert all(isinstance(error, EngineError) for error in errors)
    assert len(replies) > 250
    assert sum(reply.retries for reply in replies.values()) > 30


async def test_a_picture_that_is_none_never_leaves() -> None:
    message = Message(role="user", content=(Image(jpeg=b"GIF89a"),))
    with OpenAIServer() as server:
        async with client(server) as engine:
            with pytest.raises(EngineError, match="not a usable JPEG"):
                await engine.chat(ChatRequest((message,)))
    assert server.bodies == []


@pytest.mark.parametrize(
    ("choice", "sentence"),
    [
        ({"message": {"role": "assistant", "content": None, "refusal": "no"}}, "the model refused: no"),
        ({"message": {"role": "assistant", "content": "x"}, "finish_reason": "content_filter"}, "content_filter"),
    ],
)
async def test_what_is_no_reply_is_an_error(choice: dict[str, Any], sentence: str) -> None:
    with OpenAIServer(lambda body: choice) as server:
        async with client(server) as engine:
            with pytest.raises(RequestError, match=sentence):
                await engine.chat(ask())
