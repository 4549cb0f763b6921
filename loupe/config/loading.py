"""From a YAML file and dotted overrides to a config, and from its paths to places."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from loupe.config.section import ConfigError
from loupe.config.whole import Config
from loupe.wrong_values import wrong_values

ROOT = Path(__file__).resolve().parent.parent.parent
"""The folder that holds `loupe/`, `jobs/` and `infra/`: relative paths of a config start here."""


def load(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read a config and change it by `a.b.c=value` strings, values in YAML. Raises ConfigError with a sentence."""
    file = Path(path) if Path(path).is_file() else ROOT / path
    if not file.is_file():
        raise ConfigError(f"no config file at {path}")
    try:
        tree = yaml.safe_load(file.read_text()) or {}
        for override in overrides:
            _override(tree, override)
        return Config.model_validate(tree)
    except yaml.YAMLError as error:
        raise ConfigError(f"{file.name}: {error}") from error
    except ValidationError as error:
        raise ConfigError(f"{file.name}: {'; '.join(wrong_values(error))}") from error


def _override(tree: dict[str, Any], override: str) -> None:
    dotted, equals, value = override.partition("=")
    if not equals:
        raise ConfigError(f"an override reads a.b.c=value, not {override!r}")
    *parents, last = dotted.split(".")
    for parent in parents:
        section = tree.get(parent, {})
        if not isinstance(section, dict):
            raise ConfigError(f"override {override!r}: {parent!r} is a value, not a section")
        tree[parent] = dict(section)  # an alias of YAML stands for one section in several places
        tree = tree[parent]
    tree[last] = yaml.safe_load(value)


def absolute(location: str) -> str:
    """A path of a command line as an absolute one; addresses (scheme://) stay as they are."""
    return location if "://" in location else str(Path(location).absolute())


def resolve(location: str) -> str:
    """A path of a config as an absolute one; addresses (scheme://) stay as they are."""
    return location if "://" in location else str(ROOT / Path(location).expanduser())


def resolve_source(source: str) -> str:
    """Where a model's weights are: a folder, the folder inside an installed package, or a hub id as it is."""
    if source.startswith("package:"):
        name = source.removeprefix("package:").replace("-", "_")
        spec = find_spec(name)
        if spec is None or not spec.submodule_search_locations:
            raise ConfigError(f"the package {name!r} is not installed")
        return str(Path(spec.submodule_search_locations[0]) / "model")
    folder = ROOT / source
    return str(folder) if folder.is_dir() else source
