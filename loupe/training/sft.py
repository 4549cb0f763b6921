"""Supervised fine-tuning in plain torch: chat examples, a loss on what the model says, checkpoints to go on from.

Needs torch, transformers, NumPy, Pillow and (for the messages) pydantic. Runs on CPU or GPU, alone or in a group.
The pieces from small to large: `encode` one example, `collate` a batch, `step` once, `train` to the end.
"""

import contextlib
import io
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import torch
from PIL import Image as Picture
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoImageProcessor, AutoProcessor, AutoTokenizer

from loupe.training import ranks
from loupe.training.checkpoints import linear_decay, load_checkpoint, save_checkpoint
from schemas.messages import Image, Message

IGNORED = -100
"""Label of the tokens that carry no loss."""

Batch = Mapping[str, Any]


class Optimizer(Protocol):
    """What a step needs of an optimizer."""

    @property
    def param_groups(self) -> list[dict[str, Any]]: ...

    def zero_grad(self, set_to_none: bool = True) -> None: ...

    def step(self) -> object: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> object: ...


LossOf = Callable[[nn.Module, Batch], tuple[Tensor, int]]
"""Sum of the losses of a batch's target tokens, and how many there are."""


@dataclass(frozen=True)
class Example:
    """A request's messages and what the model should say to them."""

    messages: tuple[Message, ...]
    target: str


@dataclass(frozen=True)
class Processor:
    """A model's tokenizer and image processor (None for a text model), as its folder or hub name has them."""

    tokenizer: Any
    images: Any
    whole: Any = None
    """The model's own processor, where it loads: Qwen-VL's needs torchvision even for still pictures."""

    @classmethod
    def load(cls, source: str | Path) -> "Processor":
        """The processor of a model; its parts where the whole cannot be loaded because torchvision is missing."""
        if find_spec("torchvision"):
            whole: Any = _pretrained(AutoProcessor, source)
            return cls(getattr(whole, "tokenizer", whole), getattr(whole, "image_processor", None), whole)
        tokenizer = _pretrained(AutoTokenizer, source)
        has_images = (Path(source) / "preprocessor_config.json").is_file() or not Path(source).is_dir()
        return cls(tokenizer, _pretrained(AutoImageProcessor, source, backend="pil") if has_images else None)

    def prompt(self, messages: Sequence[Message]) -> str:
        """The chat template's text up to where the model speaks."""
        chat = [{"role": m.role, "content": [_template_part(part) for part in m.parts()]} for m in messages]
        template = (self.whole or self.tokenizer).apply_chat_template
        return str(template(chat, add_generation_prompt=True, tokenize=False))

    def inputs(self, prompt: str, pictures: Sequence[Picture.Image]) -> dict[str, Tensor]:
        """Token ids of one prompt (1, n) and what the model needs of its pictures."""
        if self.whole is not None and pictures:
            return dict(self.whole(text=[prompt], images=list(pictures), return_tensors="pt"))
        pixels = dict(self.images(list(pictures), return_tensors="pt")) if pictures else {}
        counts = [int(grid.prod()) // self.images.merge_size**2 for grid in pixels.get("image_grid_thw", ())]
        ids = self.tokenizer(expand(prompt, counts), return_tensors="pt", add_special_tokens=False).input_ids
        return {"input_ids": ids, **pixels}


def _pretrained(auto: Any, source: str | Path, **settings: str) -> Any:
    return auto.from_pretrained(source, **settings)


def _template_part(part: object) -> dict[str, str]:
    return {"type": "image"} if isinstance(part, Image) else {"type": "text", "text": getattr(part, "text", "")}


def expand(prompt: str, counts: Sequence[int], token: str = "<|image_pad|>") -> str:
    """The prompt with each picture's token repeated as often as the picture has tokens."""
    pieces = prompt.split(token)
    if len(pieces) != len(counts) + 1:
        raise ValueError(f"{len(pieces) - 1} image tokens in the prompt for {len(counts)} pictures")
    return "".join(piece + token * count for piece, count in zip(pieces, [*counts, 0], strict=True))


def pictures_of(messages: Iterable[Message]) -> list[Picture.Image]:
    parts = [part for message in messages for part in message.parts()]
    return [Picture.open(io.BytesIO(part.jpeg)).convert("RGB") for part in parts if isinstance(part, Image)]


def encode(example: Example, processor: Processor) -> dict[str, Tensor]:
    """One example as tensors: the prompt's tokens without loss, then the target's and the end of the turn with it."""
    inputs = processor.inputs(processor.prompt(example.messages), pictures_of(example.messages))
    tokenizer = processor.tokenizer
    target = [*tokenizer(example.target, add_special_tokens=False).input_ids, tokenizer.eos_token_id]
    prompt = inputs["input_ids"][0]
    inputs.pop("attention_mask", None)
    inputs["input_ids"] = torch.cat([prompt, torch.tensor(target)])
    inputs["labels"] = torch.cat([torch.full_like(prompt, IGNORED), torch.tensor(target)])
    if "mm_token_type_ids" in inputs:
        inputs["mm_token_type_ids"] = functional.pad(inputs["mm_token_type_ids"][0], (0, len(target)))
    elif "image_grid_thw" in inputs:
        image = tokenizer.convert_tokens_to_ids("<|image_pad|>")
        inputs["mm_token_type_ids"] = (inputs["input_ids"] == image).long()
    return inputs


def collate(encoded: Sequence[dict[str, Tensor]], pad_id: int) -> dict[str, Tensor]:
    """Examples of one batch, padded on the right; what is counted in pictures is joined along the first axis."""
    padding = {"input_ids": pad_id, "labels": IGNORED, "mm_token_type_ids": 0}
    width = max(len(one["input_ids"]) for one in encoded)
    batch: dict[str, Tensor] = {}
    for name in dict.fromkeys(name for one in encoded for name in one):
        if name not in padding:
            batch[name] = torch.cat([one[name] for one in encoded if name in one])
            continue
        rows = [one.get(name, torch.zeros_like(one["input_ids"])) for one in encoded]
        batch[name] = torch.stack([functional.pad(row, (0, width - len(row)), value=padding[name]) for row in rows])
    lengths = torch.tensor([len(one["input_ids"]) for one in encoded])
    batch["attention_mask"] = (torch.arange(width) < lengths[:, None]).long()
    return batch


def token_loss(logits: Tensor, labels: Tensor) -> tuple[Tensor, int]:
    """Summed cross-entropy of labels (B, n) under logits (B, n, vocabulary) one place before, and their number."""
    logits, labels = logits[:, :-1], labels[:, 1:]
    wanted = labels != IGNORED
    return functional.cross_entropy(logits[wanted].float(), labels[wanted], reduction="sum"), int(wanted.sum())


def model_loss(model: nn.Module, batch: Batch) -> tuple[Tensor, int]:
    """The loss of any Hugging Face model on a collated batch."""
    inputs = {name: value for name, value in batch.items() if name != "labels"}
    return token_loss(model(**inputs).logits, batch["labels"])


@dataclass(frozen=True)
class Settings:
    """How to train. It ends after `steps` or after `minutes` of training, whichever comes first."""

    lr: float = 1e-4
    steps: int = 1_000
    minutes: float = float("inf")
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.98)
    clip: float = 1.0
    autocast: torch.dtype | None = None
    """Compute in this type (bfloat16 on a GPU) with weights as they are."""
    schedule: Callable[[float], float] = linear_decay
    """Share of `lr` at a progress in [0, 1]."""
    save_seconds: float = 180.0
    log_steps: int = 20

    def progress(self, step: int, seconds: float) -> float:
        return min(1.0, max(step / self.steps, seconds / (60 * self.minutes)))


def make_optimizer(model: nn.Module, settings: Settings) -> torch.optim.AdamW:
    """AdamW on what is not frozen; matrices alone decay."""
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.lr, betas=settings.betas)


def freeze(model: nn.Module, prefixes: Sequence[str]) -> None:
    """Take the parameters whose names start so out of training."""
    for name, parameter in model.named_parameters():
        if any(name.startswith(prefix) for prefix in prefixes):
            parameter.requires_grad_(False)


def step(
    model: nn.Module,
    optimizer: Optimizer,
    batches: Sequence[Batch],
    settings: Settings,
    loss_of: LossOf = model_loss,
) -> float:
    """One update from some batches (gradient accumulation); returns the mean loss of a target token in nats.

    In a process group every process brings batches of its own and the gradients are summed, each target token with
    the same weight wherever it was: the same as one process with all of them. The model is not to be wrapped in DDP.
    """
    device = next(model.parameters()).device
    mine = sum(int((batch["labels"][:, 1:] != IGNORED).sum()) for batch in batches)
    tokens = max(ranks.total(mine, device), 1.0)
    summed = 0.0
    optimizer.zero_grad(set_to_none=True)
    for batch in batches:
        cast = torch.autocast(device.type, settings.autocast) if settings.autocast else contextlib.nullcontext()
        with cast:
            loss, _ = loss_of(model, {k: v.to(device) if isinstance(v, Tensor) else v for k, v in batch.items()})
        torch.autograd.backward(loss / tokens)
        summed += loss.item()
    ranks.sum_gradients(model.parameters())
    torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.grad is not None], settings.clip)
    optimizer.step()
    return ranks.total(summed, device) / tokens


def train(
    model: nn.Module,
    batches_from: Callable[[int], Iterator[Sequence[Batch]]],
    settings: Settings,
    *,
    loss_of: LossOf = model_loss,
    checkpoint: Path | None = None,
    optimizer: Optimizer | None = None,
    report: Callable[[int, float, float], None] | None = None,
) -> float:
    """Train to the end of `settings`; returns the last mean loss.

    `batches_from(step)` gives the batches of every update from that step on, so that a run that was killed and is
    started again with the same `checkpoint` file goes on with the data it had not seen. `report(step, seconds,
    loss)` is called every `log_steps`.
    """
    optimizer = optimizer or make_optimizer(model, settings)
    parts = {"model": model, "optimizer": optimizer}
    resumed = load_checkpoint(checkpoint, parts) if checkpoint and checkpoint.exists() else {}
    done, spent, loss = int(resumed.get("step", 0)), resumed.get("seconds", 0.0), resumed.get("loss", float("nan"))
    began = saved = time.monotonic()
    model.train()
    batches = batches_from(done)
    while done < settings.steps and spent < settings.minutes * 60:
        for group in optimizer.param_groups:
            group["lr"] = settings.lr * settings.schedule(settings.progress(done, spent))
        loss = step(model, optimizer, next(batches), settings, loss_of)
        done += 1
        now = time.monotonic()
        # one clock for all processes, so that all of them end with the same step
        spent, began = ranks.total(spent + now - began) / ranks.world(), now
        if report and done % settings.log_steps == 0:
            report(done, spent, loss)
        if checkpoint and ranks.rank() == 0 and now - saved > settings.save_seconds:
            save_checkpoint(checkpoint, parts, step=done, seconds=spent, loss=loss)
            saved = now
    if checkpoint and ranks.rank() == 0:
        save_checkpoint(checkpoint, parts, step=done, seconds=spent, loss=loss)
    return loss
