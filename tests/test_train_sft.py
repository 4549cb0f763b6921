"""Fine-tuning on several workers, through the job that a user runs."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file

from jobs.train_sft import MESSAGES
from loupe.benchmarks.toytown.captions import caption
from loupe.benchmarks.toytown.render import draw
from loupe.benchmarks.toytown.stills import random_still
from loupe.captioning import caption_request
from loupe.config import ROOT
from loupe.media.pictures import encode_jpeg
from loupe.prompts import load

MODEL = ROOT / "loupe" / "benchmarks" / "toytown" / "vlm"
NEW_NAME = "sousaphone"
"""A thing that the model has never heard of: what it is taught."""


def in_bfloat16(folder: Path) -> None:
    """The model that ships, as large ones are published."""
    shutil.copytree(MODEL, folder)
    weights = load_file(MODEL / "model.safetensors")
    halves = {name: tensor.to(torch.bfloat16) for name, tensor in weights.items()}
    save_file(halves, folder / "model.safetensors", {"format": "pt"})
    config = (folder / "config.json").read_text()
    (folder / "config.json").write_text(config.replace('"dtype": "float32"', '"dtype": "bfloat16"'))


@pytest.mark.ray
def test_two_workers_teach_the_model_a_word_and_leave_the_tower_as_it_is(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    rows = []
    for _ in range(4):
        still = random_still(random)
        request = caption_request(encode_jpeg(draw(still)), load("tiny", "caption"))
        target = caption(still).model_copy(update={"objects": [NEW_NAME]}).model_dump_json()
        rows.append({"messages": MESSAGES.dump_json(request.messages).decode(), "target": target})
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "examples.parquet")
    in_bfloat16(tmp_path / "start")
    command = [sys.executable, str(ROOT / "jobs" / "train_sft.py"), "--examples", "examples.parquet"]
    command += ["--model", "start", "--output", "out", "--workers", "2", "--steps", "20"]
    command += ["--batch-size", "2", "--lr", "1e-3", "--freeze", "model.visual"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=280, check=False)
    assert run.returncode == 0, run.stderr[-2000:]

    before, after = (load_file(tmp_path / name / "model.safetensors") for name in ("start", "out/model"))
    assert {tensor.dtype for tensor in after.values()} == {torch.float32}  # AdamW's updates are not rounded away
    both = before.keys() & after.keys()  # tied weights are written once
    moved = {name for name in both if not torch.allclose(before[name].float(), after[name].float(), atol=1e-3)}
    assert any("language_model" in name for name in moved)
    assert not {name for name in moved if "visual" in name}
    losses = [float(line.rpartition("loss ")[2].split()[0]) for line in run.stdout.splitlines() if " loss " in line]
    assert losses, run.stdout
    assert losses[-1] < 0.5, json.dumps(losses)  # untaught, the word alone costs several nats a token
