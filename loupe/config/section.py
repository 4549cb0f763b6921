"""What every section of a config is, and what several of them share."""

import hashlib
import json
from typing import Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _off(value: Any) -> Any:
    return "off" if value is False else value


Off = BeforeValidator(_off)
"""For a choice that has `off`, which YAML reads as false."""


class ConfigError(Exception):
    """A config that cannot be used; the message is for the person who wrote it."""


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Actors(Section):
    """What the actors of a job's stage may take of the cluster."""

    cpus: float = Field(default=1.0, ge=0)
    """Cores of one actor."""
    gpus: float = Field(default=0.0, ge=0)
    """GPUs of one actor; with 0 it sees none, and `device: auto` is the CPU."""
    actors_min: int = Field(default=1, ge=1)
    """Actors that are kept even when there is little to do."""
    actors_max: int = Field(default=1, ge=1)
    """Actors, at most."""


def share_of_gpus(gpus: float) -> dict[str, Any]:
    """A Ray actor's arguments for a share of the GPUs. One without a share sees none: Ray 2.60 would show it all."""
    return {"num_gpus": gpus} if gpus else {"runtime_env": {"env_vars": {"CUDA_VISIBLE_DEVICES": ""}}}


def digest(*values: Any) -> str:
    """A short stable hash of JSON values: lineages and config hashes are made of it."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()[:16]
