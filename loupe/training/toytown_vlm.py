"""Trains the tiny VLM that ships, from nothing, on toytown: `python -m loupe.training.toytown_vlm OUT`.

1. `train_heads`: the vision tower, by dense attribute heads (captions alone do not teach it).
2. `train_decoder`, captions: the decoder on what the tower makes of pictures.
3. `train_decoder`, texts: copying, finding what stands at a time, and comparing numbers: summaries, questions about
   several frames and the agents' notes are made of them, and learn none by themselves.
4. `train_decoder`, all: captions still, and questions about frames, summaries of chunks and of films.
5. `train_decoder`, agent: all of these, and the agents' roles, by what toytown_lessons writes for every policy, all
   in one folder.
Every phase can be killed and goes on where it was; OUT/model is a usable model from the second phase on. Run it on
several processes with `torchrun --nproc-per-node N -m loupe.training.toytown_vlm OUT` (one thread each on a CPU).
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForImageTextToText, AutoTokenizer

from loupe.benchmarks.toytown.writing import HELD_OUT
from loupe.training import ranks, sft
from loupe.training import toytown_heads as heads
from loupe.training.checkpoints import load_checkpoint, one_cycle, save_checkpoint
from loupe.training.muon import Muon, MuonAndAdam, hidden_and_others
from loupe.training.tiny_vlm import save, train_tokenizer, untrained, with_words
from loupe.training.tower import BatchedTower
from loupe.training.toytown_decoder import FeaturePool, Mix, TaskBatches, TaskEncoder, decoder_loss
from loupe.training.toytown_lessons.pool import LessonPool
from loupe.training.toytown_pictures import SIZE, Drawn, Pool, drawn_stills, jittered, to_floats
from loupe.training.toytown_tasks import corpus

WIDTH, HEIGHT = SIZE
MIXES = {
    "captions": Mix(captions=16, shares={"nothing": 0.85, "ask 1": 0.15}, easy=150),
    "texts": Mix(captions=0, fresh=0, shares={"copy": 0.2, "find": 0.2, "compare": 0.3, "chunk": 0.2, "film": 0.1}),
    "all": Mix(
        captions=4,
        shares={
            "ask 1": 0.05,
            "ask 2-4": 0.15,
            "ask 5-16": 0.15,
            "copy": 0.05,
            "find": 0.05,
            "chunk": 0.4,
            "film": 0.15,
        },
    ),
    "agent": Mix(
        captions=4,
        fresh=2,
        shares={"compare": 0.05, "ask 1": 0.01, "ask 2-4": 0.01, "ask 5-16": 0.02, "chunk": 0.05, "film": 0.02},
        lessons={
            "reasoner": 0.13,
            "investigator": 0.09,
            "looker": 0.49,
            "passive": 0.06,
            "critic": 0.03,
            "vlm": 0.04,
        },
    ),
}
"""What the decoder learns, phase by phase."""


def say(line: str) -> None:
    if ranks.rank() == 0:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def heads_batch(drawn: list[Drawn]) -> tuple[torch.Tensor, torch.Tensor]:
    wanted, xs = heads.batch_labels([d.still for d in drawn])
    return torch.from_numpy(wanted).long(), torch.from_numpy(xs)


def train_heads(model: Any, out: Path, minutes: float, seed: int, batch: int = 16, lr: float = 2e-3) -> None:
    """Phase 1: the vision tower by attribute heads; `batch` pictures a process. The schedule follows the minutes."""
    device = next(model.parameters()).device
    tower = BatchedTower(model.model.visual, HEIGHT, WIDTH).to(device)
    head = heads.Heads(model.config.vision_config.out_hidden_size).to(device)
    named = [*model.model.visual.named_parameters(), *head.named_parameters()]
    hidden = [p for n, p in named if n.startswith("blocks.") and p.ndim == 2]
    others = [p for n, p in named if not (n.startswith("blocks.") and p.ndim == 2)]
    muon = Muon(hidden, lr=lr)
    adam = torch.optim.AdamW(others, lr=lr, betas=(0.9, 0.98), weight_decay=0.0)
    parts = {"tower": model.model.visual, "heads": head, "muon": muon, "adam": adam}
    path = out / "heads.pt"
    numbers = load_checkpoint(path, parts) if path.exists() else {"spent": 0.0, "step": 0.0}
    spent, step = numbers["spent"], int(numbers["step"])
    if spent >= minutes * 60:
        return
    rank, world = ranks.rank(), ranks.world()
    rng = np.random.default_rng([seed, step, rank])
    pool = Pool(seed * 1_000_000 + step * 10 + rank)
    test = [d for d, _ in zip(drawn_stills(HELD_OUT), range(200), strict=False)]
    test_x = torch.from_numpy(to_floats(np.stack([d.picture for d in test]))).to(device)
    test_y = [t.to(device) for t in heads_batch(test)]
    running = None
    saved = now = time.monotonic()
    while spent < minutes * 60:
        drawn = pool.sample(batch, fresh=batch // 4)
        wanted, xs = (t.to(device) for t in heads_batch(drawn))
        x = torch.from_numpy(jittered(np.stack([d.picture for d in drawn]), rng)).to(device)
        for group in (*muon.param_groups, *adam.param_groups):
            group["lr"] = lr * one_cycle(spent / (minutes * 60), floor=0.05)
        tokens, deep = tower(x)
        loss = heads.heads_loss(head(tokens + sum(deep), xs), heads.targets(wanted, xs))
        muon.zero_grad(set_to_none=True)
        adam.zero_grad(set_to_none=True)
        torch.autograd.backward(loss / world)
        ranks.sum_gradients(p for _, p in named)
        torch.nn.utils.clip_grad_norm_([p for _, p in named], 1.0)
        muon.step()
        adam.step()
        step += 1
        # one clock for all, so that all end with the same step
        spent, now = ranks.total(spent + time.monotonic() - now) / world, time.monotonic()
        running = loss.item() if running is None else 0.98 * running + 0.02 * loss.item()
        if step % 50 == 0:
            say(f"heads {spent:.0f} s step {step} made {pool.made * world} loss {running:.3f}")
        if rank == 0 and step % 200 == 0:
            with torch.no_grad():
                tokens, deep = tower(test_x)
                right = heads.accuracies(head(tokens + sum(deep), test_y[1]), heads.targets(*test_y))
            say(heads.table(right))
        if rank == 0 and time.monotonic() - saved > 120:
            save_checkpoint(path, parts, spent=spent, step=step)
            saved = time.monotonic()
    if rank == 0:
        save_checkpoint(path, parts, spent=spent, step=step)


def train_decoder(
    model: Any,
    tokenizer: Any,
    out: Path,
    phase: str,
    minutes: float,
    seed: int,
    lr: float,
    lessons: LessonPool | None = None,
) -> None:
    """Phases 2 to 5: the decoder, with the tower as it is. Saves the model to out/model as it goes."""
    device = next(model.parameters()).device
    tower = BatchedTower(model.model.visual, HEIGHT, WIDTH).to(device)
    sft.freeze(model, ["model.visual"])
    encoder = TaskEncoder(tokenizer)

    def batches_from(step: int) -> Iterator[Sequence[sft.Batch]]:
        seeds = [seed, list(MIXES).index(phase), step, ranks.rank()]
        pool = FeaturePool(int(np.random.default_rng(seeds).integers(HELD_OUT)), tower)
        return iter(TaskBatches(pool, encoder, MIXES[phase], seeds, step, lessons.tasks if lessons else None))

    sft.train(
        model,
        batches_from,
        sft.Settings(
            lr=lr,
            steps=1_000_000,
            minutes=minutes,
            schedule=one_cycle,
            save_seconds=120,
            log_steps=10,
            autocast=half_type(device),
        ),
        loss_of=decoder_loss,
        checkpoint=out / f"{phase}.pt",
        optimizer=MuonAndAdam(*hidden_and_others(model, "layers."), lr=lr),
        report=Reporter(phase, model, tokenizer, out / "model"),
    )
    if ranks.rank() == 0:
        save(model, tokenizer, out / "model")


def half_type(device: torch.device) -> torch.dtype | None:
    """bfloat16 where the device multiplies it, on a CPU several times faster than float32; else None."""
    has_it = device.type == "cuda" or torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if has_it else None


class Reporter:
    """Prints a line, and saves the model every other minute."""

    def __init__(self, phase: str, model: Any, tokenizer: Any, folder: Path) -> None:
        self.phase, self.model, self.tokenizer, self.folder = phase, model, tokenizer, folder
        self.saved, self.running = 0.0, float("nan")

    def __call__(self, step: int, seconds: float, loss: float) -> None:
        self.running = loss if self.running != self.running else 0.9 * self.running + 0.1 * loss
        say(f"{self.phase} {seconds:.0f} s step {step} loss {loss:.4f} running {self.running:.4f}")
        if ranks.rank() == 0 and seconds - self.saved > 120:
            save(self.model, self.tokenizer, self.folder)
            self.saved = seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--heads-minutes", type=float, default=30)
    parser.add_argument("--captions-minutes", type=float, default=25)
    parser.add_argument("--texts-minutes", type=float, default=15)
    parser.add_argument("--all-minutes", type=float, default=15)
    parser.add_argument("--agent-minutes", type=float, default=0)
    parser.add_argument("--lessons", type=Path, help="a folder of lessons, for the phase `agent`")
    parser.add_argument("--heads-lr", type=float, default=2e-3)
    parser.add_argument("--all-lr", type=float, default=2e-3)
    parser.add_argument(
        "--start-from", type=Path, help="a model of this kind to go on from, such as the one that ships"
    )
    parser.add_argument("--new-tokenizer", action="store_true", help="carry the model to a tokenizer made anew")
    parser.add_argument("--heads-batch", type=int, default=16, help="pictures a process and step")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    out, seed = arguments.out, arguments.seed
    rank, world = ranks.join()
    device = arguments.device
    if device == "auto":
        device = f"cuda:{rank % torch.cuda.device_count()}" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and world > 1:
        torch.set_num_threads(1)
    lessons = LessonPool.of_folder(arguments.lessons) if arguments.lessons else None
    untaught = MIXES["agent"].lessons.keys() - (lessons.by_role.keys() if lessons else set())
    if arguments.agent_minutes and untaught:
        parser.error(
            f"the phase `agent` takes lessons of every role, and --lessons has none of: {', '.join(sorted(untaught))}. "
            "python -m loupe.training.toytown_lessons writes them, for every --policy"
        )
    if start := arguments.start_from:
        tokenizer = AutoTokenizer.from_pretrained(start)
        model: Any = AutoModelForImageTextToText.from_pretrained(start, dtype=torch.float32).to(device)
        if arguments.new_tokenizer:
            made = the_tokenizer(out / "tokenizer", lessons)
            model, tokenizer = with_words(model, tokenizer, made), made
    else:
        tokenizer = the_tokenizer(out / "tokenizer", lessons)
        model = untrained(tokenizer, seed).to(device)
    size = sum(p.numel() for p in model.parameters()) / 1e6
    say(f"{size:.2f} M parameters, {len(tokenizer)} tokens, {world} processes on {device}")
    train_heads(model, out, arguments.heads_minutes, seed, arguments.heads_batch, arguments.heads_lr)
    for phase, minutes, lr in (
        ("captions", arguments.captions_minutes, 2e-3),
        ("texts", arguments.texts_minutes, 2e-3),
        ("all", arguments.all_minutes, arguments.all_lr),
        ("agent", arguments.agent_minutes, arguments.all_lr),
    ):
        if minutes:
            train_decoder(model, tokenizer, out, phase, minutes, seed, lr, lessons)


def the_tokenizer(folder: Path, lessons: LessonPool | None) -> Any:
    """The tokenizer of this training: made by the first process, read by all."""
    if ranks.rank() == 0 and not (folder / "tokenizer.json").exists():
        texts = corpus(np.random.default_rng(0), 300) + (lessons.texts() if lessons else [])
        train_tokenizer(texts).save_pretrained(folder)
    ranks.total(0.0)  # all wait for the first
    return AutoTokenizer.from_pretrained(folder)


if __name__ == "__main__":
    main()
