"""Captions by vLLM inside the index job: the rows around it on Ray alone, and vLLM itself on a CPU."""

import asyncio
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray

from infra.local_cluster import LOGICAL_CPUS
from jobs import index_library, vllm_captions
from jobs.vllm_captions import (
    Prompts,
    caption_with,
    caption_with_vllm,
    engine_config,
    sampling_params,
)
from loupe.benchmarks.toytown.captions import caption
from loupe.benchmarks.toytown.film import write_mp4, write_srt
from loupe.benchmarks.toytown.render import draw
from loupe.benchmarks.toytown.stills import random_still
from loupe.benchmarks.toytown.writing import HELD_OUT, write_film
from loupe.captioning import caption_request, parse_caption
from loupe.config import ROOT, Config, VllmModel
from loupe.config import load as load_config
from loupe.engines.local import LocalEngine
from loupe.engines.protocol import ChatRequest
from loupe.engines.scripted import digest
from loupe.engines.templating import open_template
from loupe.indexing import stages
from loupe.indexing.frame_rows import ERROR, request_row
from loupe.indexing.stages import Chunk, Film, Frame
from loupe.library import Library
from loupe.media.pictures import encode_jpeg
from loupe.prompts import load
from schemas.messages import Message
from schemas.outputs import FrameCaption
from tests import tiny_models
from tests.pictures import picture
from tests.vllm_scene import CAPTIONER, CPU, CPU_ENV

CONFIG = Config.model_validate(
    {
        "models": {"eyes": {"engine": "vllm", "source": "nowhere"}, "hash": {"engine": "hashing"}},
        "roles": {"captioner": "eyes", "summarizer": "eyes", "embedder": "hash"},
        "prompts": "tiny",
        "index": {"share_captions": False, "caption_tokens": 60},
    }
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    ray.init(num_cpus=LOGICAL_CPUS, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def chunk(index: int, frames: int, **settings: Any) -> Chunk:
    pictures = tuple(Frame(n * 1000, n * 1000, 48, 32, picture(100 * index + n).jpeg) for n in range(frames))
    return Chunk(Film("film.mp4", "film.mp4", "etag", 1), index, frames=pictures, **settings)


class Scripted:
    """Answers as vLLM's step would, by a rule; a picture of chunk 2 breaks it."""

    def __call__(self, rows: Any) -> Any:
        return rows.map(self._answer)

    @staticmethod
    def _answer(row: dict[str, Any]) -> dict[str, Any]:
        if not row["request"]:
            return {**row, ERROR: vllm_captions.NO_REQUEST}
        if row["chunk_id"].endswith(":2") and row["position"] % 2:
            return {**row, ERROR: "ValueError: out of order"}
        if row["chunk_id"].endswith(":3"):
            return {**row, **_reply("no caption"), ERROR: ""}
        return {**row, **_reply(digest(pickle.loads(row["request"]))), ERROR: ""}


def _reply(text: str) -> dict[str, Any]:
    numbers = {"num_generated_tokens": 20, "num_input_tokens": 7, "max_tokens": 60, "images": 1, "pixels": 9}
    return {"generated_text": text, **numbers}


@pytest.mark.ray
@pytest.mark.usefixtures("cluster")
def test_chunks_come_back_whole_each_with_its_own_captions() -> None:
    given = [
        chunk(0, 3),
        chunk(1, 70),
        chunk(2, 4),
        chunk(3, 2),
        chunk(4, 2, unchanged=True),
        chunk(5, 0).fail("sample", ValueError("no frame")),
    ]
    rows = ray.data.from_items([{"chunk": each} for each in given], override_num_blocks=6)
    captioned = caption_with(rows, stages.settings(CONFIG), Scripted())
    back = {row["chunk"].index: row["chunk"] for row in captioned.take_all()}
    assert sorted(back) == [0, 1, 2, 3, 4, 5]
    assert [len(back[index].captions) for index in range(6)] == [3, 70, 2, 0, 0, 0]
    for index in (0, 1):
        for frame, captioned in zip(back[index].frames, back[index].captions, strict=True):
            assert frame.ts_ms == captioned.ts_ms
            assert captioned.caption == FrameCaption.model_validate_json(
                digest(caption_request(frame.jpeg, load("tiny", "caption")))
            )
    assert back[1].usage["captioner"].completion_tokens == 70 * 20
    assert "2 of 4 frames; first: ValueError: out of order" in back[2].failures[0].message
    assert back[3].failed
    assert back[4] == given[4]
    assert back[5] == given[5]


def test_a_request_becomes_vllms_parameters(tmp_path: Path) -> None:
    prompts = Prompts(open_template(str(tiny_models.qwen3_vl(tmp_path)), sees=True))
    request = caption_request(picture(1).jpeg, load("tiny", "caption"), max_tokens=33)
    row = prompts(request_row(request, chunk_id="a:0", position=4))
    assert row["prompt"].endswith("<|vision_start|><|image_pad|><|vision_end|><|im_end|>\n<|im_start|>assistant\n")
    assert row["multimodal_data"]["image"][0].size == (48, 32)
    assert (row["position"], row["sampling_params"]["max_tokens"]) == (4, 33)
    grammar = row["sampling_params"]["structured_outputs"]["grammar"]
    assert all(name in grammar for name in FrameCaption.model_fields)
    assert "request" not in row
    text = ChatRequest((Message(role="user", content="hello"),), temperature=0.5)
    assert sampling_params(text) == {"max_tokens": 512, "temperature": 0.5}
    broken = prompts(request_row(caption_request(b"none", load("tiny", "caption"))))
    assert "cannot be decoded" in broken[ERROR]


def test_a_model_of_the_config_becomes_vllms_engine() -> None:
    plain = engine_config(VllmModel(engine="vllm", source="Qwen/Qwen3-VL-8B-Instruct", replicas=2))
    assert plain.engine_kwargs["limit_mm_per_prompt"] == {"image": 1, "video": 0}
    assert plain.engine_kwargs["mm_processor_cache_gb"] == 0
    assert plain.engine_kwargs["enable_prefix_caching"] is True
    assert plain.engine_kwargs["tensor_parallel_size"] == 1
    assert plain.concurrency == 2
    assert plain.should_continue_on_error
    big = VllmModel(
        engine="vllm",
        source="x",
        gpus=4,
        accelerator_type="H200",
        engine_kwargs={"max_model_len": 4096, "mm_processor_cache_gb": 4},
        env={"VLLM_X": "1"},
    )
    config = engine_config(big)
    assert config.engine_kwargs["tensor_parallel_size"] == 4
    assert config.engine_kwargs["mm_processor_cache_gb"] == 4
    assert (config.accelerator_type, config.runtime_env) == ("H200", {"env_vars": {"VLLM_X": "1"}})


def on_cpu(config: Config, **index: Any) -> Config:
    """The config with the demo's model on vLLM as its captioner, and other values in its index section."""
    eyes = VllmModel(engine="vllm", source=CAPTIONER, gpus=0, batch_size=8, engine_kwargs=CPU, env=CPU_ENV)
    changes = {"models": {**config.models, "eyes": eyes}, "roles": {**config.roles, "captioner": "eyes"}}
    return config.model_copy(update={**changes, "index": config.index.model_copy(update=index)})


@pytest.mark.vllm
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("cluster")
async def test_vllm_captions_the_frames_of_chunks() -> None:
    """The demo's model on vLLM and in the process: the same captions but for a rare near tie; errors stay rows."""
    rng = np.random.default_rng(3)
    jpegs = [encode_jpeg(draw(random_still(rng), (256, 192))) for _ in range(12)]
    config = on_cpu(CONFIG, caption_tokens=120)
    frames = tuple(Frame(n * 1000, n * 1000, 256, 192, jpeg) for n, jpeg in enumerate(jpegs))
    film = Film("film.mp4", "film.mp4", "etag", 1)
    broken = (*frames[8:], Frame(99_000, 99_000, 256, 192, b"no picture"))
    given = [Chunk(film, 0, frames=frames[:8]), Chunk(film, 1, frames=broken), Chunk(film, 2, unchanged=True)]
    rows = ray.data.from_items([{"chunk": each} for each in given], override_num_blocks=1)
    back = {row["chunk"].index: row["chunk"] for row in caption_with_vllm(rows, stages.settings(config)).take_all()}

    assert sorted(back) == [0, 1, 2]
    assert back[2] == given[2]
    assert back[0].failures == ()
    assert "1 of 5 frames" in back[1].failures[0].message
    captions = [row.caption for index in (0, 1) for row in back[index].captions]
    assert len(captions) == 12
    assert back[0].usage["captioner"].images == 8
    assert back[0].usage["captioner"].completion_tokens > 8 * 20

    engine = LocalEngine(str(ROOT / CAPTIONER), threads=1)
    requests = [caption_request(jpeg, load("tiny", "caption"), max_tokens=120) for jpeg in jpegs]
    local = [parse_caption(reply) for reply in await asyncio.gather(*map(engine.chat, requests))]
    await engine.close()
    assert sum(a == b for a, b in zip(captions, local, strict=True)) >= 10


@pytest.mark.vllm
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("cluster")
def test_the_index_job_captions_with_vllm(tmp_path: Path) -> None:
    """The demo's job from a film to tables, its captioner on vLLM: what it says of the film is what the film shows."""
    film, library = write_film(HELD_OUT + 3, 0, 0.5), tmp_path / "films"
    library.mkdir()
    write_mp4(film, library / "film.mp4")
    write_srt(film, library / "film.srt")
    demo = load_config(str(ROOT / "infra" / "configs" / "demo.yaml"))
    database = str(tmp_path / "database")
    assert index_library.run(on_cpu(demo, library=str(library), database=database, toytown=None)) == 0

    tables = Library.open(database)
    rows = tables.captions("film.mp4")
    assert [row["ts_ms"] for row in rows] == list(range(0, 30_000, 1000))
    assert any(row["same_as_ts_ms"] is not None for row in rows)
    assert sum(row["place"] == caption(film.still(row["ts_ms"] / 1000)).place for row in rows) >= 28
    assert [line["text"] for line in tables.transcripts("film.mp4")] == [line.text for line in film.lines]
    (video,) = tables.videos().values()
    assert (video["status"], video["chunk_count"]) == ("complete", 1)
    assert video["summary"]
