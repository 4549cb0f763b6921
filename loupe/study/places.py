"""Where a study keeps what it made: films, indexes, answers.

What decides about a thing is part of its folder's name, the weights of models and the text of prompts too: another
model, or the same one trained further, never takes what an earlier one has answered for its own.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from loupe import prompts
from loupe.config import OF_A_MODEL, OF_A_ROW, Config, Role, digest
from loupe.study.plan import Setting
from loupe.weights import of_a_model

INDEXING = ("captioner", "summarizer", "embedder", "transcriber")


@dataclass(frozen=True)
class Places:
    """Folders of a study."""

    root: Path
    seed: int
    """Of the films."""
    index: str
    """Digest of this, and of all that decides about an index."""
    answers: str
    """Digest of these, and of all that decides about an answer but for what settings change."""

    @classmethod
    def of(cls, root: Path, config: Config, seed: int) -> "Places":
        """Raises ConfigError for a package that is not installed."""
        rows = config.index.model_dump(mode="json", include=set(OF_A_ROW))
        asked = prompts.hashes(config.prompts, of_the_index=True)
        index = digest(seed, rows, models_of(config, INDEXING), asked)
        return cls(root, seed, index, digest(index, config.of_an_answer(), models_of(config, get_args(Role))))

    def films(self, minutes: float) -> Path:
        """Of one length: films/, truth.jsonl, questions.parquet."""
        return self.root / "films" / f"{self.seed}-{minutes:g}m"

    def database(self, minutes: float, *, there: bool = True) -> Path:
        """The index of these films; with `there` false a folder that is none."""
        return self.root / "indexes" / self.index / f"{minutes:g}m" if there else self.root / "no-index"

    def results(self, setting: Setting) -> Path:
        """What an answer job leaves."""
        return self.root / "answers" / self.answers / setting.name


def overrides(places: Places, setting: Setting) -> tuple[str, ...]:
    """What a setting changes in the config, where its job reads and writes included."""
    own = {
        "answer.policy": setting.policy,
        "index.database": str(places.database(setting.minutes, there=setting.indexed)),
        "index.library": str(places.films(setting.minutes) / "films"),
        "answer.job.questions": str(places.results(setting) / "questions.parquet"),
        "answer.job.output": str(places.results(setting)),
        "answer.notes.keep": False,  # settings that run beside each other share an index, and no answer helps another
        "answer.notes.offer": 0,
    }
    return (*setting.set, *(f"{name}={json.dumps(value)}" for name, value in own.items()))


def models_of(config: Config, roles: Collection[str]) -> Mapping[str, Any]:
    """The models of some roles, with their weights where they lie here. Raises ConfigError."""
    names = {role: name for role, name in sorted(config.roles.items()) if role in roles}
    told = {name: of_a_model(config.models[name], OF_A_MODEL) for name in sorted(set(names.values()))}
    return {role: told[name] for role, name in names.items()}
