"""A model is told by what lies in its folder: a copy is the same, one other tensor is another."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from loupe import weights
from loupe.config import Config, LocalModel
from loupe.indexing import stages
from tests.index_run import SCRIPTED


def folder(path: Path, megabytes: int, **changed: Any) -> Path:
    """A model's folder with four tensors of so many megabytes together."""
    path.mkdir(parents=True)
    rng = np.random.default_rng(0)
    tensors = {f"layer.{n}": rng.integers(0, 255, (megabytes << 18,), np.uint8) for n in range(4)}
    save_file(tensors | changed, path / "model.safetensors")
    (path / "config.json").write_text("{}")
    (path / "README.md").write_text("what it is")
    return path


def lineages(source: Path) -> tuple[str, str]:
    """Of the captions and the summaries that an index job writes with the model in a folder."""
    local = {"engine": "local", "source": str(source)}
    models = {**SCRIPTED["models"], "local": local}
    roles = {**SCRIPTED["roles"], "captioner": "local", "summarizer": "local"}
    settings = stages.settings(Config.model_validate({**SCRIPTED, "models": models, "roles": roles}))
    return settings.captioner, settings.film_summarizer


@pytest.mark.parametrize("megabytes", [1, 20])
def test_a_copy_has_the_same_lineages_and_another_tensor_others(tmp_path: Path, megabytes: int) -> None:
    model = folder(tmp_path / "a", megabytes)
    before = lineages(model)
    copy = Path(shutil.copytree(model, tmp_path / "elsewhere" / "b"))
    for file in copy.iterdir():
        os.utime(file, (1, 1))
    (copy / "README.md").write_text("what else it is")
    assert lineages(copy) == before
    trained = np.random.default_rng(1).integers(0, 255, (megabytes << 18,), np.uint8)
    shutil.rmtree(model)
    after = lineages(folder(model, megabytes, **{"layer.2": trained}))
    assert after[0] != before[0]
    assert after[1] != before[1]


def test_answers_are_told_apart_by_weights_too(tmp_path: Path) -> None:
    def decides(source: Path) -> dict[str, Any]:
        models = {**SCRIPTED["models"], "local": {"engine": "local", "source": str(source)}}
        return Config.model_validate(
            {**SCRIPTED, "models": models, "roles": {**SCRIPTED["roles"], "reasoner": "local"}}
        ).of_an_answer()

    model = folder(tmp_path / "a", 1)
    copy = Path(shutil.copytree(model, tmp_path / "b"))
    assert decides(copy) == decides(model)
    other = folder(tmp_path / "c", 1, **{"layer.0": np.zeros(1 << 18, np.uint8)})
    assert decides(other) != decides(model)


def test_another_tokenizer_is_another_model(tmp_path: Path) -> None:
    model = folder(tmp_path / "a", 1)
    before = lineages(model)
    (model / "tokenizer.json").write_text("{}")
    assert lineages(model) != before


def test_large_files_of_any_format_are_sampled(tmp_path: Path) -> None:
    model = folder(tmp_path / "a", 1)
    data = np.random.default_rng(0).integers(0, 255, 20 << 20, np.uint8)
    (model / "model.bin").write_bytes(data.tobytes())
    before = weights.contents(model)
    assert weights.contents(model) == before
    (model / "model.bin").write_bytes((data + 1).tobytes())
    assert weights.contents(model) != before


def test_a_hub_id_stands_for_itself() -> None:
    model = LocalModel(engine="local", source="some/model", max_batch=3)
    assert weights.of_a_model(model, {"engine", "source"}) == {"engine": "local", "source": "some/model"}


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"gpus": 4}, True),
        ({"engine_kwargs": {"max_model_len": 4096, "gpu_memory_utilization": 0.85, "max_num_seqs": 64}}, True),
        ({"engine_kwargs": {"max_model_len": 4096, "quantization": "fp8"}}, False),
    ],
)
def test_how_fast_vllm_runs_decides_about_no_caption_and_no_answer(change: dict[str, Any], same: bool) -> None:
    def made_by(model: dict[str, Any]) -> tuple[str, Any]:
        models = {**SCRIPTED["models"], "qwen": model}
        roles = {**SCRIPTED["roles"], "captioner": "qwen", "reasoner": "qwen"}
        config = Config.model_validate({**SCRIPTED, "models": models, "roles": roles})
        return stages.settings(config).captioner, config.of_an_answer()

    model = {
        "engine": "vllm",
        "source": "Qwen/Qwen3-VL-8B-Instruct",
        "engine_kwargs": {"max_model_len": 4096, "gpu_memory_utilization": 0.9},
    }
    caption, answer = made_by(model)
    other_caption, other_answer = made_by(model | change)
    assert (caption == other_caption, answer == other_answer) == (same, same)
