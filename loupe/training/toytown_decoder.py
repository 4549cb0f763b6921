"""The decoder's side of the tiny VLM: batches of tasks over pictures whose tokens the trained tower made once."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from loupe.benchmarks.toytown.writing import HELD_OUT
from loupe.training.sft import IGNORED, Batch, expand
from loupe.training.tower import BatchedTower
from loupe.training.toytown_pictures import Drawn, Pool, jittered
from loupe.training.toytown_tasks import (
    Task,
    Watched,
    ask_task,
    caption_task,
    chunk_task,
    compare_task,
    copy_task,
    find_task,
    video_task,
)
from schemas.messages import Message, Text

STRESS = 3.0
"""What a frame shows that the one before did not, what all come to, and what is done next, count so many times."""
ROWS, COLUMNS = 6, 8
"""Tokens of a picture, as the decoder sees them."""
QUESTIONS = 6
"""Asked one after the other about the same pictures: they cost the most, and are read once."""


def positions(ids: Tensor, image_id: int) -> Tensor:
    """Qwen3-VL's positions (3, n) of a sequence: text counts on, a picture spans rows and columns from one start."""
    out = torch.empty(3, len(ids), dtype=torch.long)
    grid = torch.stack(
        [torch.zeros(ROWS * COLUMNS), torch.arange(ROWS).repeat_interleave(COLUMNS), torch.arange(COLUMNS).repeat(ROWS)]
    ).long()
    is_image = (ids == image_id).tolist()
    at, now = 0, 0
    while at < len(ids):
        if is_image[at]:
            out[:, at : at + ROWS * COLUMNS] = grid + now
            at, now = at + ROWS * COLUMNS, now + max(ROWS, COLUMNS)
            continue
        end = is_image.index(True, at) if True in is_image[at:] else len(ids)
        out[:, at:end] = torch.arange(end - at) + now
        now, at = now + end - at, end
    return out


class TaskEncoder:
    """Tasks as token ids and labels; prompts are cached by their text."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.image_id = int(tokenizer.convert_tokens_to_ids("<|image_pad|>"))
        self.end = int(tokenizer.eos_token_id)

    def ids(self, task: Task) -> tuple[list[int], list[float]]:
        """The ids of a whole chat, and how much each counts: what is said, at times what is told; all others 0."""
        prompt = expand(self._asked(task.messages), [ROWS * COLUMNS] * len(task.stills))
        parts = [(prompt, task.foretell), (task.target, True)]
        for question, target in task.later:
            asked = "\n" + self._asked((Message(role="user", content=question),))
            parts += [(asked, False), (target, True)]
        ids: list[int] = []
        weights: list[float] = []
        read = self.tokenizer([text for text, _ in parts], add_special_tokens=False, return_offsets_mapping=True)
        for number, (some, places, (_, lesson)) in enumerate(
            zip(read.input_ids, read.offset_mapping, parts, strict=True)
        ):
            ids += some
            stressed = task.stressed if number == 1 else ()
            weights += [
                lesson * (STRESS if any(start < end <= stop for start, stop in stressed) else 1.0) for _, end in places
            ]
            if number % 2:
                ids.append(self.end)
                weights.append(float(lesson))
        return ids, weights

    def _asked(self, messages: Sequence[Message]) -> str:
        """The messages as the model reads them, up to where it begins to write."""
        chat = [
            {
                "role": message.role,
                "content": [
                    {"type": "text", "text": part.text} if isinstance(part, Text) else {"type": "image"}
                    for part in message.parts()
                ],
            }
            for message in messages
        ]
        return str(self.tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False))

    def batch(self, tasks: Sequence[Task]) -> dict[str, Tensor]:
        """Ids, labels and weights (B, n), positions (3, B, n), padded on the right; whether a token is a picture's."""
        pairs = [self.ids(task) for task in tasks]
        width = max(len(whole) for whole, _ in pairs)
        ids = torch.zeros(len(tasks), width, dtype=torch.long)
        weights = torch.zeros(len(tasks), width)
        places = torch.zeros(3, len(tasks), width, dtype=torch.long)
        for row, (said, counts) in enumerate(pairs):
            whole = torch.tensor(said)
            ids[row, : len(whole)] = whole
            weights[row, : len(whole)] = torch.tensor(counts)
            places[:, row, : len(whole)] = positions(whole, self.image_id)
        labels = torch.where(weights > 0, ids, IGNORED)
        seen = ids == self.image_id
        return {"input_ids": ids, "labels": labels, "weights": weights, "position_ids": places, "is_image": seen}


class FeaturePool(Pool):
    """A pool that keeps, of each picture, what the tower makes of it: float16 (levels, tokens, hidden)."""

    def __init__(self, seed: int, tower: BatchedTower, keep: int = 12_000, first: int = 768) -> None:
        self.tower = tower
        self.features: list[Tensor] = []
        self.jitter = np.random.default_rng([seed, 1])
        super().__init__(seed, keep, first)

    def put(self, drawn: Sequence[Drawn]) -> list[int]:
        slots = super().put(drawn)
        device = next(self.tower.tower.parameters()).device
        for at in range(0, len(drawn), 32):
            pictures = np.stack([one.picture for one in drawn[at : at + 32]])
            with torch.no_grad():
                merged, deep = self.tower(torch.from_numpy(jittered(pictures, self.jitter)).to(device))
            for slot, feature in zip(slots[at:], torch.stack([merged, *deep], 1).half().cpu(), strict=False):
                if slot < len(self.features):
                    self.features[slot] = feature
                else:
                    self.features.append(feature)
        return slots


@dataclass(frozen=True)
class Mix:
    """How many captions make a batch, and how often which other kind of task comes beside them: the shares add to 1."""

    captions: int
    shares: Mapping[str, float]
    lessons: Mapping[str, float] = field(default_factory=dict)
    """The same of lessons, by role: what `MoreTasks` gives."""
    fresh: int = 4
    """New pictures an update."""
    easy: int = 0
    """Updates at the beginning that caption the half of the stills with fewer people: short, and easy to read."""


MoreTasks = Callable[[str, np.random.Generator, FeaturePool], list[Task]]
"""A batch of a kind of task that is not known here; its pictures go into the pool."""


class TaskBatches:
    """Endless updates for one process: a batch of captions and one of another kind each."""

    def __init__(
        self,
        pool: FeaturePool,
        encoder: TaskEncoder,
        mix: Mix,
        seed: Sequence[int],
        step: int = 0,
        more: MoreTasks | None = None,
    ) -> None:
        self.pool, self.encoder, self.mix, self.step, self.more = pool, encoder, mix, step, more
        self.rng = np.random.default_rng(list(seed))
        # the same kind in every process, whose number is the last of the seeds: all wait for the slowest
        self.kinds = np.random.default_rng(list(seed[:-1]))
        self.films: list[Watched] = []

    def __iter__(self) -> Iterator[Sequence[Batch]]:
        while True:
            self.pool.add(self.mix.fresh)
            self.step += 1
            yield [self._with_features(tasks) for tasks in (self.captions(), self.other()) if tasks]

    def _pictures(self, count: int) -> list[int]:
        return [int(i) for i in self.rng.integers(len(self.pool.items), size=count)]

    def _with_features(self, tasks: Sequence[Task]) -> dict[str, Any]:
        batch: dict[str, Any] = self.encoder.batch(tasks)
        shown = [self.pool.features[i] for task in tasks for i in task.stills]
        if shown:
            batch["features"] = torch.stack(shown)
        return batch

    def captions(self) -> list[Task]:
        """Captions of about equal length: those of stills with about as many people."""
        at = self._pictures(4 * self.mix.captions)
        at.sort(key=lambda i: len(self.pool.items[i].still.actors))
        part = int(self.rng.integers(2 if self.step <= self.mix.easy else 4)) * self.mix.captions
        chosen = at[part : part + self.mix.captions]
        return [caption_task(self.pool.items[i].still, i) for i in chosen]

    def film(self) -> Watched:
        """A film to summarize: a new one now and then."""
        if not self.films or self.rng.random() < 0.1:
            self.films = [*self.films, Watched.drawn(int(self.rng.integers(HELD_OUT)), 6)][-8:]
        return self.films[int(self.rng.integers(len(self.films)))]

    def _ask(self, frames: int) -> Task:
        at = self._pictures(frames)
        return ask_task(self.rng, [self.pool.items[i].still for i in at], at, QUESTIONS)

    def other(self) -> list[Task]:
        """A batch of another kind than captions, of about the same cost."""
        rng, shares = self.rng, {**self.mix.shares, **self.mix.lessons}
        match [*shares][int(self.kinds.choice(len(shares), p=[*shares.values()]))]:
            case "nothing":
                return []
            case "ask 1":
                return [self._ask(1) for _ in range(16)]
            case "ask 2-4":
                frames = int(rng.integers(2, 5))
                return [self._ask(frames) for _ in range(16 // frames)]
            case "ask 5-16":
                frames = int(rng.integers(5, 17))
                return [self._ask(frames) for _ in range(max(1, 16 // frames))]
            case "copy":
                words = int(rng.integers(4, 120))
                return [copy_task(rng, words) for _ in range(max(2, 600 // words))]
            case "find":
                lines = int(rng.integers(2, 32))
                return [find_task(rng, lines) for _ in range(max(4, 64 // lines))]
            case "compare":
                return [compare_task(rng) for _ in range(64)]
            case "chunk":
                seconds = round(float(np.exp(rng.uniform(np.log(2), np.log(60)))))
                return [chunk_task(rng, self.film(), seconds) for _ in range(max(2, 48 // seconds))]
            case "film":
                parts, seconds = int(rng.integers(1, 7)), int(rng.integers(5, 61))
                return [video_task(rng, self.film(), parts, seconds) for _ in range(max(1, 240 // (parts * seconds)))]
            case role:
                assert self.more, f"lessons of {role} come from nowhere"
                return self.more(role, rng, self.pool)


def decoder_loss(model: Any, batch: Batch) -> tuple[Tensor, int]:
    """The loss of a batch of tasks: model_loss with the tower's work done before, each token by its weight."""
    decoder, seen = model.model.language_model, batch["is_image"]
    embedded = decoder.embed_tokens(batch["input_ids"])
    deep = None
    if "features" in batch:
        features = batch["features"].to(embedded.dtype)
        embedded = embedded.masked_scatter(seen[..., None], features[:, 0])
        deep = [features[:, level].flatten(0, 1) for level in range(1, features.shape[1])]
    out = decoder(
        inputs_embeds=embedded,
        position_ids=batch["position_ids"],
        visual_pos_masks=seen if deep else None,
        deepstack_visual_embeds=deep,
        use_cache=False,
    ).last_hidden_state
    labels = batch["labels"]
    wanted = labels[:, 1:] != IGNORED
    logits = model.lm_head(out[:, :-1][wanted])
    targets = labels[:, 1:][wanted]
    losses = nn.functional.cross_entropy(logits.float(), targets, reduction="none")
    weights = batch["weights"][:, 1:][wanted]
    return (losses * weights).sum() / weights.mean(), len(targets)
