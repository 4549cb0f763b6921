"""Prompts are files: one folder a set (tiny, full), one text file a prompt, `$name` for what is filled in."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from string import Template

FOLDER = Path(__file__).parent
WHOLE = "full"
"""The set that every other has as many prompts as."""
OF_THE_INDEX = ("caption", "chunk_summary", "video_summary")
"""What the index job asks by; all others are the agents'."""


@dataclass(frozen=True)
class Prompt:
    """A prompt as it stands in its file."""

    name: str
    text: str

    @property
    def hash(self) -> str:
        """Goes into every row that the prompt made."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]

    def fill(self, **values: object) -> str:
        """The text with its values. Raises KeyError for a missing one."""
        return Template(self.text).substitute(values)


def load(prompt_set: str, name: str) -> Prompt:
    """The prompt `name` of a set. Raises FileNotFoundError, with the sets there are, for an unknown one."""
    path = FOLDER / prompt_set / f"{name}.txt"
    if not path.is_file():
        raise FileNotFoundError(f"no prompt {name!r} in the set {prompt_set!r}; sets: {', '.join(sets())}")
    return Prompt(f"{prompt_set}/{name}", path.read_text().rstrip("\n"))


def lacking(prompt_set: str) -> list[str]:
    """The prompts that a set has not, of those in WHOLE; a set that there is not has none."""
    names = (path.stem for path in (FOLDER / WHOLE).glob("*.txt"))
    return sorted(name for name in names if not (FOLDER / prompt_set / f"{name}.txt").is_file())


def sets() -> list[str]:
    """The sets that come with Loupe."""
    return sorted(path.name for path in FOLDER.iterdir() if path.is_dir() and not path.name.startswith("_"))


def hashes(prompt_set: str, *, of_the_index: bool) -> dict[str, str]:
    """The hash of every prompt of a set by its name: of those that the index job asks by, or of the agents'."""
    names = sorted(path.stem for path in (FOLDER / prompt_set).glob("*.txt"))
    return {name: load(prompt_set, name).hash for name in names if (name in OF_THE_INDEX) == of_the_index}
