"""One run of the index job in a process of its own, that can die at a chosen commit boundary.

    python -m tests.index_run LIBRARY DATABASE [--die-at N] [--set a.b=c ...]

Prints, last, the boundaries that it passed as JSON. Dies by SIGKILL just before the N-th (from 0).
"""

import json
import os
import signal
import sys
from dataclasses import dataclass
from typing import Annotated

import tyro

from jobs import index_library
from loupe.config import Config

SCRIPTED = {
    "models": {
        "script": {"engine": "scripted", "source": "digest"},
        "hash": {"engine": "hashing", "dimensions": 16},
    },
    "roles": {"captioner": "script", "summarizer": "script", "embedder": "hash"},
    "prompts": "tiny",
    "index": {
        "chunk_seconds": 2,
        "long_side": 96,
        "commit_chunks": 4,
        "summary_fan_in": 2,
        "lease_seconds": 5,
        "stages": {
            "split": {"cpus": 0.1, "actors_max": 1},
            "sample": {"cpus": 0.1, "actors_max": 1},
            "describe": {"cpus": 0.1, "chunks_in_flight": 4},
            "store": {"cpus": 0.1, "chunks_in_flight": 2},
        },
    },
}
"""A config that needs no weights: rules instead of models."""


@dataclass(frozen=True)
class Arguments:
    library: tyro.conf.Positional[str]
    database: tyro.conf.Positional[str]
    die_at: int | None = None
    set: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()


def config(library: str, database: str, **index: object) -> Config:
    """The scripted config over these places, with changed values of its index section."""
    return Config.model_validate(
        {**SCRIPTED, "index": SCRIPTED["index"] | {"library": library, "database": database} | index}
    )


def main() -> None:
    arguments = tyro.cli(Arguments)
    changes = {name: json.loads(value) for name, _, value in (item.partition("=") for item in arguments.set)}
    passed: list[str] = []

    def boundary(step: str) -> None:
        if len(passed) == arguments.die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        passed.append(step)

    code = index_library.run(config(arguments.library, arguments.database, **changes), before_commit=boundary)
    print(json.dumps({"exit_code": code, "boundaries": passed}), flush=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
