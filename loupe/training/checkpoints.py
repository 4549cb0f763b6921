"""Checkpoints from which a killed training goes on where it was, and the schedule of its learning rate."""

import math
import os
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch


class Stateful(Protocol):
    """A module, an optimizer, an iterator: what can be saved and set again."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> object: ...


def save_checkpoint(path: Path, parts: Mapping[str, Stateful], **numbers: float) -> None:
    """Write the parts, some numbers and the random states; a kill while writing leaves the last file as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    states = {
        "parts": {name: part.state_dict() for name, part in parts.items()},
        "numbers": numbers,
        "random": {
            "python": random.getstate(),
            "numpy": np.random.get_state(),
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        },
    }
    part = path.with_suffix(".part")
    torch.save(states, part)
    os.replace(part, path)


def load_checkpoint(path: Path, parts: Mapping[str, Stateful]) -> dict[str, float]:
    """Set the parts and the random states as they were saved; returns the numbers. The file must be one's own."""
    states = torch.load(path, map_location="cpu", weights_only=False)
    for name, part in parts.items():
        part.load_state_dict(states["parts"][name])
    random.setstate(states["random"]["python"])
    np.random.set_state(states["random"]["numpy"])
    torch.set_rng_state(states["random"]["torch"])
    if states["random"]["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(states["random"]["cuda"])
    return dict(states["numbers"])


def one_cycle(progress: float, *, warm: float = 0.05, floor: float = 0.02) -> float:
    """Share of the highest learning rate at a progress in [0, 1]: up in a line, down along a half cosine."""
    if progress < warm:
        return max(progress / warm, 1e-3)
    down = min((progress - warm) / (1 - warm), 1.0)
    return floor + (1 - floor) * (1 + math.cos(math.pi * down)) / 2


def linear_decay(progress: float, *, warm: float = 0.03, floor: float = 0.0) -> float:
    """Share of the highest learning rate at a progress in [0, 1]: up in a line, down in a line."""
    if progress < warm:
        return max(progress / warm, 1e-3)
    return floor + (1 - floor) * max(0.0, (1 - progress) / (1 - warm))
