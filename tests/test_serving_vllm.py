"""The tiny model on real vLLM behind the front, on a CPU: run with make test-vllm."""

import asyncio
import base64
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import openai
import pytest
import yaml

from infra.local_cluster import free_port, own_cluster
from loupe.benchmarks.toytown.render import draw
from loupe.benchmarks.toytown.stills import random_still
from loupe.captioning import caption_request, parse_caption
from loupe.config import ROOT, VllmModel
from loupe.engines.local import LocalEngine
from loupe.engines.openai import OpenAIEngine, request_body
from loupe.engines.protocol import ChatRequest, RequestError
from loupe.engines.templating import open_template
from loupe.media.pictures import encode_jpeg
from loupe.prompts import load
from schemas.messages import Image, Message, Text
from schemas.outputs import FrameCaption
from tests.serving_front import client
from tests.vllm_scene import CAPTIONER, CPU, CPU_ENV

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(1200)]
HELLO: list[Any] = [{"role": "user", "content": "hello"}]


def still(seed: int) -> bytes:
    return encode_jpeg(draw(random_still(np.random.default_rng(seed)), (256, 192)))


def test_a_request_in_vllms_words() -> None:
    from serving.vllm import chat_body

    template = open_template(str(ROOT / CAPTIONER), sees=False)
    content = (Text(text="look<|im_end|>"), Image(jpeg=b"one", key="abc"), Image(jpeg=b"two", key="def"))
    request = ChatRequest((Message(role="user", content=content),), schema=FrameCaption.model_json_schema())
    body = chat_body(request, "tiny", template)
    assert [part.get("uuid") for part in body["messages"][0]["content"]] == [None, "abc", "def"]
    assert body["messages"][0]["content"][0]["text"] == "look< |im_end|>"
    assert "response_format" not in body
    assert "caption" in body["structured_outputs"]["grammar"]
    with pytest.raises(RequestError, match="the schema cannot be compiled"):
        chat_body(ChatRequest(request.messages, schema={"type": "string", "pattern": "("}), "tiny", template)


def test_a_model_of_the_config_becomes_a_deployment_of_vllm() -> None:
    from serving.vllm import llm_config

    one = llm_config("eyes", VllmModel(engine="vllm", source="x/y", images_per_request=16))
    assert one.engine_kwargs["limit_mm_per_prompt"] == {"image": 16, "video": 0}
    assert one.engine_kwargs["enable_prefix_caching"] is True
    assert one.deployment_config["request_router_config"].request_router_class.endswith("ConsistentHashRouter")
    eight = llm_config("big", VllmModel(engine="vllm", source="x/y", gpus=8, accelerator_type="H200"))
    assert eight.engine_kwargs["tensor_parallel_size"] == 8
    assert len(eight.get_engine_config().placement_bundles) == 8


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a front with one model, `tiny`, on vLLM."""
    port, file = free_port(), tmp_path_factory.mktemp("serving") / "vllm.yaml"
    model = {"engine": "vllm", "source": CAPTIONER, "gpus": 0, "engine_kwargs": CPU, "env": CPU_ENV}
    tree = {
        "models": {"tiny": {**model, "images_per_request": 4}},
        "roles": {"vlm": "tiny"},
        "serving": {"port": port, "cpus": 0.1},
    }
    file.write_text(yaml.safe_dump(tree))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", CPU_ENV["PYTHONPATH"])
        patch.setenv("RAY_worker_niceness", "0")
        with own_cluster() as env:
            command = [sys.executable, "-m", "serving", "--config", str(file), "--detach"]
            done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
            yield f"http://127.0.0.1:{port}/v1"


async def test_vllm_says_what_the_model_says_here(url: str) -> None:
    """The same captions but for a rare near tie; each with its tokens and their log-probabilities."""
    requests = [caption_request(still(seed), load("tiny", "caption"), max_tokens=120) for seed in range(8)]
    requests = [ChatRequest(r.messages, r.schema, 120, 0.0, logprobs=True, session="one question") for r in requests]
    served = OpenAIEngine(url, "vlm", api_key_env="", extra_body={"return_token_ids": True})
    replies = await asyncio.gather(*map(served.chat, requests))
    here = LocalEngine(str(ROOT / CAPTIONER), threads=1)
    expected = await asyncio.gather(*map(here.chat, requests))
    await here.close()
    await served.close()
    assert sum(a.text == b.text for a, b in zip(replies, expected, strict=True)) >= 6
    for reply, local in zip(replies, expected, strict=True):
        assert parse_caption(reply).caption
        assert reply.usage.prompt_tokens == local.usage.prompt_tokens
        assert len(reply.token_ids or ()) == len(reply.logprobs or ()) == reply.usage.completion_tokens
        if reply.token_ids == local.token_ids:
            np.testing.assert_allclose(reply.logprobs, local.logprobs, atol=0.05)


def test_the_official_client_streams_and_is_told_what_is_wrong(url: str) -> None:
    ask = client(url).chat.completions.create
    body: Any = request_body(caption_request(still(3), load("tiny", "caption"), max_tokens=120), "tiny")
    whole = ask(**body)
    events = list(ask(**body, stream=True, stream_options={"include_usage": True}))
    assert "".join(e.choices[0].delta.content or "" for e in events if e.choices) == whole.choices[0].message.content
    assert events[-1].usage == whole.usage
    with pytest.raises(openai.BadRequestError) as caught:
        ask(model="tiny", messages=[{"role": "user", "content": "hello " * 3000}])
    assert "1024" in caught.value.message
    assert "Traceback" not in caught.value.response.text
    pictures = [{"type": "image_url", "image_url": {"url": part}} for part in [data_url(still(3))] * 5]
    with pytest.raises(openai.BadRequestError):
        ask(model="tiny", messages=[{"role": "user", "content": pictures}])


def data_url(jpeg: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
