"""What lies in the folder of a model, as a hash: the same model elsewhere has the same, one trained further another.

It is part of what makes a caption or an answer, so it is taken once a job, and must be quick for weights of any size:
names and sizes of all files are hashed, and files up to WHOLE bytes whole. Of a larger one are hashed: the header, if
it is a safetensors file, which says where each tensor lies, and BLOCKS blocks of each tensor; or SAMPLES blocks of the
file. Training changes every tensor nearly everywhere, so this sees it; a few numbers changed by hand in gigabytes may
escape it. Nothing is taken of times, which a copy does not keep, nor of what no engine reads.
"""

import hashlib
import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import BaseModel

from loupe.config import SPEED_OF_VLLM, digest, resolve_source

WHOLE = 16 << 20
BLOCK = 4096
BLOCKS = 4
"""Of a tensor, evenly from its beginning to its end."""
SAMPLES = 1024
"""Of a large file whose format says nothing of what lies where."""
UNREAD = (".md", ".png", ".jpg", ".pdf")
"""Files for people."""


def of_a_model(model: BaseModel, fields: Collection[str]) -> dict[str, Any]:
    """Some fields of a config's model; a `source` that is a folder here is told by what lies in it.

    Of vLLM's arguments those are left out that only say how fast it runs. Raises ConfigError for a package that is not
    installed.
    """
    told = model.model_dump(mode="json", include=set(fields))
    if "engine_kwargs" in told:
        told["engine_kwargs"] = {name: v for name, v in told["engine_kwargs"].items() if name not in SPEED_OF_VLLM}
    folder = Path(resolve_source(told["source"])) if told.get("source") else None
    return told | {"source": contents(folder)} if folder and folder.is_dir() else told


def contents(folder: Path) -> str:
    """Hash of a model's folder."""
    files = [path for path in folder.rglob("*") if path.is_file() and _is_read(path.relative_to(folder))]
    return digest(sorted((path.relative_to(folder).as_posix(), path.stat().st_size, _hash(path)) for path in files))


def _is_read(path: Path) -> bool:
    return not any(part.startswith(".") for part in path.parts) and path.suffix.lower() not in UNREAD


def _hash(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        for start, length in _parts(file, path):
            file.seek(start)
            found.update(file.read(length))
    return found.hexdigest()


def _parts(file: BinaryIO, path: Path) -> Iterator[tuple[int, int]]:
    """Start and length of what is hashed of a file."""
    size = path.stat().st_size
    if size <= WHOLE:
        yield 0, size
    elif path.suffix == ".safetensors":
        begins = 8 + int.from_bytes(file.read(8), "little")  # https://github.com/huggingface/safetensors#format
        header = json.loads(file.read(begins - 8))
        yield 0, begins
        for name, tensor in header.items():
            if name != "__metadata__":
                first, end = tensor["data_offsets"]
                yield from _blocks(begins + first, begins + end, BLOCKS)
    else:
        yield from _blocks(0, size, SAMPLES)


def _blocks(start: int, end: int, count: int) -> Iterator[tuple[int, int]]:
    """Blocks evenly from start to end, the last one at the end; all of it where that is no more."""
    room = end - start - BLOCK
    if room <= BLOCK * (count - 1):
        yield start, end - start
    else:
        yield from ((start + room * number // (count - 1), BLOCK) for number in range(count))
