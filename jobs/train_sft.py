#!/usr/bin/env python
"""Fine-tune a chat model on examples, on as many GPUs as there are.

    examples.parquet (messages, target) -> batches, another share a worker -> loupe.training.sft -> OUTPUT/model

A run that was killed goes on from OUTPUT/checkpoint.pt when it is started again.
"""

import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import pyarrow.parquet as pq
import torch
import tyro
from loupe.config import ConfigError, absolute, resolve_source
from loupe.training import ranks, sft
from pydantic import TypeAdapter
from ray.train import RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer, get_device
from schemas.messages import Message
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText

from jobs.on_ray import lasting

MESSAGES = TypeAdapter(tuple[Message, ...])


@dataclass(frozen=True)
class Arguments:
    """Fine-tune a chat model on examples."""

    examples: str
    """Parquet file with the columns `messages` (a JSON list, see schemas/messages.py) and `target` (text)."""
    model: str
    """Folder or hub id of the model to start from."""
    output: str
    """Folder for checkpoint.pt and model/; on several machines a folder that all of them see."""
    workers: int = 1
    gpu: bool = False
    """One GPU a worker, computing in bfloat16."""
    steps: int = 1000
    batch_size: int = 8
    accumulate: int = 1
    """Batches a worker an update."""
    lr: float = 1e-5
    """Peak; 1e-5 with linear decay is OmniAgent's for a full fine-tune (arXiv 2606.19341)."""
    freeze: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Parameters whose names start so are not trained: --freeze model.visual"""
    seed: int = 0


def main() -> None:
    """The command. Exit code 2: nothing was begun, and told why."""
    try:
        arguments = with_places(tyro.cli(Arguments))
    except ConfigError as error:
        print(f"train_sft: {error}", file=sys.stderr)
        sys.exit(2)
    TorchTrainer(
        train_on_worker,
        train_loop_config={"arguments": arguments},
        scaling_config=ScalingConfig(num_workers=arguments.workers, use_gpu=arguments.gpu),
        run_config=RunConfig(name="sft", storage_path=str(Path(arguments.output) / "ray")),
    ).fit()
    print(f"model: {Path(arguments.output) / 'model'}")


def with_places(arguments: Arguments) -> Arguments:
    """The arguments with absolute paths: Ray Train gives every worker a folder of its own.

    Raises ConfigError as `lasting` does.
    """
    model = absolute(arguments.model) if Path(arguments.model).is_dir() else arguments.model
    output = lasting(absolute(arguments.output))
    return replace(arguments, examples=absolute(arguments.examples), model=model, output=output)


def train_on_worker(settings: dict[str, Arguments]) -> None:
    """What each worker does: its own share of the examples, the same model."""
    arguments = settings["arguments"]
    output = Path(arguments.output)
    source = resolve_source(arguments.model)
    processor = sft.Processor.load(source)
    auto = AutoModelForImageTextToText if processor.images is not None else AutoModelForCausalLM
    # In float32 whatever the checkpoint holds: bfloat16 would lose updates as small as AdamW's.
    model = auto.from_pretrained(source, config=AutoConfig.from_pretrained(source), dtype=torch.float32)
    model.to(get_device())
    sft.freeze(model, arguments.freeze)
    examples = load_examples(arguments.examples)
    training = sft.Settings(lr=arguments.lr, steps=arguments.steps, autocast=torch.bfloat16 if arguments.gpu else None)
    sft.train(
        model,
        lambda step: updates(examples, processor, arguments, step),
        training,
        checkpoint=output / "checkpoint.pt",
        report=say if ranks.rank() == 0 else None,
    )
    if ranks.rank() == 0:
        model.save_pretrained(output / "model")
        for part in (processor.whole,) if processor.whole is not None else (processor.tokenizer, processor.images):
            if part is not None:
                part.save_pretrained(output / "model")


def say(step: int, seconds: float, loss: float) -> None:
    """A line of the run's log."""
    print(f"step {step}  {seconds:.0f} s  loss {loss:.4f}", flush=True)


def load_examples(path: str) -> list[sft.Example]:
    """The examples of a Parquet file. Raises pydantic.ValidationError for messages that are none."""
    rows = pq.read_table(path, columns=["messages", "target"]).to_pylist()
    return [sft.Example(MESSAGES.validate_json(row["messages"]), row["target"]) for row in rows]


def updates(
    examples: Sequence[sft.Example], processor: sft.Processor, arguments: Arguments, step: int
) -> Iterator[list[sft.Batch]]:
    """Batches of every update from `step` on: drawn by the seed, the step and the worker alone, so a run can go on."""
    while True:
        draw = random.Random(f"{arguments.seed}:{step}:{ranks.rank()}")
        pad = processor.tokenizer.pad_token_id or 0
        yield [
            sft.collate([sft.encode(draw.choice(examples), processor) for _ in range(arguments.batch_size)], pad)
            for _ in range(arguments.accumulate)
        ]
        step += 1


if __name__ == "__main__":
    main()
