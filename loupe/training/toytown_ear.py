"""Trains the tiny transcriber that ships, from nothing, on toytown: `python -m loupe.training.toytown_ear OUT`.

A Whisper that only sees transcripts takes long to find out where in the sound a word is. Toytown knows when each word
is said, so the encoder also learns, by a head that is thrown away, which word is said at each of its positions, and
the decoder's last layer where to look for the word that it is about to write. Killed, it goes on where it was. On
several processes: `torchrun --nproc-per-node N -m loupe.training.toytown_ear OUT`.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from loupe.benchmarks.toytown.film import recorded
from loupe.benchmarks.toytown.speech import STRANGER, TEACHERS, VOCABULARY, VOICES
from loupe.training import ranks, sft, toytown_sounds
from loupe.training.checkpoints import one_cycle
from loupe.training.muon import MuonAndAdam, hidden_and_others
from loupe.training.tiny_whisper import END, POSITIONS, WINDOW_S, features, save, train_tokenizer, transcript, untrained
from loupe.training.toytown_sounds import Heard, random_text, random_window

POOL = 4_000
"""Windows that are kept to be learned from again."""
FRAMES_WEIGHT, LOOK_WEIGHT = 1.0, 0.3
"""Of the head's loss and of the look's, beside the transcript's."""


class Ear(nn.Module):
    """The transcriber and the head that names the word at each position."""

    def __init__(self, whisper: Any) -> None:
        super().__init__()
        self.whisper = whisper
        self.head = nn.Linear(whisper.config.d_model, 1 + len(VOCABULARY))


class Encoder:
    """Windows of sound as tensors."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.features = features()
        self.end = int(tokenizer.convert_tokens_to_ids(END))

    def __call__(self, heard: Sequence[Heard]) -> list[dict[str, Tensor]]:
        spectra = self.features([each.sound for each in heard], sampling_rate=16_000, return_tensors="pt")
        return [
            {"input_features": spectrum.half(), **self._target(each)}
            for spectrum, each in zip(spectra.input_features, heard, strict=True)
        ]

    def _target(self, heard: Heard) -> dict[str, Tensor]:
        """Tokens; which of them to learn; between which positions to look for the token that comes next."""
        lines = [(line[0].start_ms, line[-1].end_ms, " ".join(said.word for said in line)) for line in heard.lines]
        ids = torch.tensor(transcript(self.tokenizer, lines))
        labels = ids.clone()
        labels[0] = sft.IGNORED
        look = torch.zeros(len(ids), 2, dtype=torch.long)
        at = 1
        for line in heard.lines:
            for said in line:
                pieces = len(self.tokenizer(" " + said.word, add_special_tokens=False).input_ids)
                span = [round(ms * POSITIONS / WINDOW_S / 1000) for ms in (said.start_ms, said.end_ms)]
                look[at : at + pieces] = torch.tensor([span[0], max(span[0] + 1, span[1])])
                at += pieces
            at += 2
        frames = torch.from_numpy(toytown_sounds.frames(heard, POSITIONS))
        return {"input_ids": ids, "labels": labels, "look": look, "frames": frames}

    def collate(self, encoded: Sequence[dict[str, Tensor]]) -> sft.Batch:
        """A batch, padded on the right."""
        width = max(len(one["input_ids"]) for one in encoded)

        def padded(name: str, value: int) -> Tensor:
            rows = [one[name] for one in encoded]
            return torch.stack([
                functional.pad(row, (*[0, 0] * (row.ndim - 1), 0, width - len(row)), value=value) for row in rows
            ])  # fmt: skip

        return {
            "input_features": torch.stack([one["input_features"] for one in encoded]).float(),
            "frames": torch.stack([one["frames"] for one in encoded]),
            "input_ids": padded("input_ids", self.end),
            "labels": padded("labels", sft.IGNORED),
            "look": padded("look", 0),
        }


def ear_loss(ear: nn.Module, batch: sft.Batch) -> tuple[Tensor, int]:
    """Transcript, words by position, and where the decoder looks; summed over the transcript's tokens."""
    out = ear.whisper(
        input_features=batch["input_features"], decoder_input_ids=batch["input_ids"], output_attentions=True
    )
    loss, tokens = sft.token_loss(out.logits, batch["labels"])
    named = ear.head(out.encoder_last_hidden_state).float()
    frames = functional.cross_entropy(named.flatten(0, 1), batch["frames"].flatten())
    look = look_loss(out.cross_attentions[-1].float(), batch["look"])
    return loss + tokens * (FRAMES_WEIGHT * frames + LOOK_WEIGHT * look), tokens


def look_loss(attention: Tensor, look: Tensor) -> Tensor:
    """How little of the attention (B, heads, n, positions) lies on the word that comes next; in nats a token."""
    positions = torch.arange(attention.shape[-1], device=attention.device)
    wanted = (positions >= look[..., :1]) & (positions < look[..., 1:])
    mass = (attention.mean(dim=1) * wanted).sum(dim=-1)
    return -(mass[wanted.any(dim=-1)] + 1e-4).log().mean()


class Batches:
    """Batches without end: some windows new, the others drawn from the last ones made."""

    def __init__(self, encoder: Encoder, seeds: Sequence[int], size: int, fresh: int) -> None:
        self.encoder, self.size, self.fresh = encoder, size, fresh
        self.rng = np.random.default_rng(list(seeds))
        self.voices = (*VOICES, *TEACHERS)
        self.recorded = {voice: recorded(voice) for voice in self.voices}
        self.pool: list[dict[str, Tensor]] = []
        self.made = 0

    def __iter__(self) -> Iterator[Sequence[sft.Batch]]:
        while True:
            fresh = self.fresh if len(self.pool) > 4 * self.size else self.size
            windows = [random_window(self.rng, self.recorded, self.voices) for _ in range(fresh)]
            new = self.encoder(windows)
            old = [self.pool[i] for i in self.rng.integers(max(1, len(self.pool)), size=self.size - fresh)]
            for one in new:
                self.pool[self.made % POOL : self.made % POOL + 1] = [one]
                self.made += 1
            yield [self.encoder.collate([*new, *old])]


class Reporter:
    """Prints a line, and saves the model every other minute."""

    def __init__(self, ear: Ear, encoder: Encoder, folder: Path) -> None:
        self.ear, self.encoder, self.folder = ear, encoder, folder
        self.saved = time.monotonic()
        rng = np.random.default_rng(toytown_sounds.NUMBER["key"])
        voices = {voice: recorded(voice) for voice in (*VOICES, STRANGER)}
        windows = [random_window(rng, voices, [STRANGER]) for _ in range(32)]
        self.test = encoder.collate(encoder(windows))

    def __call__(self, step: int, seconds: float, loss: float) -> None:
        sys.stdout.write(f"{seconds:.0f} s step {step} loss {loss:.3f} stranger {self.right():.3f}\n")
        sys.stdout.flush()
        if time.monotonic() - self.saved > 120:
            save(self.ear.whisper, self.encoder.tokenizer, self.folder)
            self.saved = time.monotonic()

    @torch.no_grad()
    def right(self) -> float:
        """Share of the next tokens of a voice never learned from that are right, time stamps left out."""
        logits = self.ear.whisper(
            input_features=self.test["input_features"], decoder_input_ids=self.test["input_ids"]
        ).logits[:, :-1]
        wanted = self.test["labels"][:, 1:]
        words = (wanted >= 0) & (wanted < self.encoder.end)
        return float((logits.argmax(-1) == wanted)[words].float().mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=40)
    parser.add_argument("--steps", type=int, default=6_000)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--batch", type=int, default=32, help="windows a process and step")
    parser.add_argument("--fresh", type=int, default=12, help="of them, those never heard before")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    rank, world = ranks.join()
    if world > 1:
        torch.set_num_threads(1)
    rng = np.random.default_rng(arguments.seed)
    texts = [" " + random_text(rng) for _ in range(4_000)] + [f" {word}" for word in VOCABULARY] * 20
    tokenizer = train_tokenizer(texts)
    ear = Ear(untrained(tokenizer, arguments.seed))
    encoder = Encoder(tokenizer)
    size = sum(p.numel() for p in ear.whisper.parameters()) / 1e6
    sys.stdout.write(f"{size:.2f} M parameters, process {rank + 1} of {world}\n")
    sft.train(
        ear,
        lambda step: iter(Batches(encoder, [arguments.seed, step, rank], arguments.batch, arguments.fresh)),
        sft.Settings(
            lr=arguments.lr,
            steps=arguments.steps,
            minutes=arguments.minutes,
            schedule=one_cycle,
            save_seconds=120,
            log_steps=25,
            autocast=half_type(),
        ),
        loss_of=ear_loss,
        checkpoint=arguments.out / "ear.pt",
        optimizer=MuonAndAdam(*hidden_and_others(ear, "layers."), lr=arguments.lr),
        report=Reporter(ear, encoder, arguments.out / "model") if rank == 0 else None,
    )
    if rank == 0:
        save(ear.whisper, tokenizer, arguments.out / "model")


def half_type() -> torch.dtype | None:
    """bfloat16 where the CPU multiplies it, several times faster than float32; else None."""
    has_it = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if has_it else None


if __name__ == "__main__":
    main()
