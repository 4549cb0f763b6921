"""A run: the answers of one config over one database, in a folder of its own. `run.json` in it says which."""

import json
import uuid
from datetime import UTC, datetime
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from loupe import storage
from loupe.config import Config, digest

SHOWN = 4
"""Differences between two configs that a message names."""


class RunError(Exception):
    """A folder whose answers this job may not add to; the message is for the person who named it."""


class Run(BaseModel):
    """What `run.json` holds."""

    model_config = ConfigDict(frozen=True)

    run: str
    """Part of every trace's id; the same for every job that goes on with this folder."""
    began: datetime
    database: str
    config_hash: str
    decides: dict[str, Any]
    """All of the config that decides about an answer: what `config_hash` is the hash of."""

    @classmethod
    def new(cls, config: Config) -> Self:
        """A run that begins now."""
        began, decides = datetime.now(UTC), config.of_an_answer()
        return cls(
            run=f"{began:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:6]}",
            began=began,
            database=config.index.database,
            config_hash=digest(decides),
            decides=decides,
        )


def read_run(output: str) -> Run | None:
    """The run that a folder belongs to; None where nobody began one. Raises RunError, StorageError."""
    stored = storage.read_stored(_place(output))
    if stored is None:
        return None
    try:
        return Run.model_validate_json(stored.data)
    except ValidationError as error:
        raise RunError(f"{_place(output)} does not say which run {output} belongs to") from error


def find_run(output: str, config: Config) -> Run:
    """The run that a config goes on with, or a new one where the folder has none; nothing is written.

    Raises RunError where the folder holds answers of another config or database.
    """
    new, there = Run.new(config), read_run(output)
    if there is None:
        return new
    if there.database != new.database:
        raise RunError(
            f"{output} holds answers over the database {there.database}, not {new.database}: give another --output"
        )
    if there.config_hash != new.config_hash:
        changes = "; ".join(differences(there.decides, new.decides)[:SHOWN])
        raise RunError(f"{output} holds answers of another config ({changes}): give another --output")
    return there


def begin_run(output: str, run: Run) -> None:
    """Write `run.json` where there is none yet. Only for who holds the folder's lease."""
    if storage.read_stored(_place(output)) is None:
        storage.write_bytes(_place(output), run.model_dump_json(indent=2).encode())


def differences(there: Any, new: Any, name: str = "") -> list[str]:
    """What differs between two trees of JSON, as `a.b: old, now new`."""
    if isinstance(there, dict) and isinstance(new, dict):
        keys = sorted(there.keys() | new.keys())
        return [
            line for key in keys for line in differences(there.get(key), new.get(key), f"{name}.{key}" if name else key)
        ]
    return [] if there == new else [f"{name}: {json.dumps(there)}, now {json.dumps(new)}"]


def _place(output: str) -> str:
    return storage.join(output, "run.json")
