"""The command that searches a database: what it prints, and what it says where it cannot search."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from loupe import search
from tests import in_process
from tests.commands import call
from tests.index_run import SCRIPTED, config
from tests.index_scene import film

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> str:
    place = tmp_path_factory.mktemp("library")
    film(place / "films" / "a.mp4", 2)
    assert in_process.index(config(str(place / "films"), str(place / "database"))) == 0
    return str(place / "database")


@pytest.fixture
def command(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Runs the command with an embedder; gives its exit code, and what it printed to both streams."""

    def run(*arguments: str, place: str = database, **embedder: object) -> tuple[int, str, str]:
        tree = SCRIPTED | {"models": {**SCRIPTED["models"], "hash": SCRIPTED["models"]["hash"] | embedder}}
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(tree))
        at = ["--database", place, "--config", str(tmp_path / "config.yaml")]
        code = call(search.main, ["loupe.search", *at, *arguments], monkeypatch)
        return code, *capsys.readouterr()

    return run


def test_hits_are_printed_with_their_films_and_times(command: Command) -> None:
    code, out, error = command("a person", "--show", "1")
    assert (code, error) == (0, "")
    assert "  a.mp4  0:00:0" in out
    assert "2 hits, gathered at:" in out


def test_what_cannot_be_searched_is_a_sentence(command: Command, tmp_path: Path) -> None:
    for place, embedder, sentence in (
        (None, {"dimensions": 32}, "embeddings of 16 numbers, and the config's embedder makes 32: use the embedder"),
        (None, {"source": "other words"}, "another embedder than the config's made the embeddings in"),
        (str(tmp_path / "nothing"), {}, "there is no table"),
        ("ftp://somewhere/database", {}, "ftp://somewhere/database"),
    ):
        given = {} if place is None else {"place": place}
        code, out, error = command("a person", **given, **embedder)
        assert (code, out) == (2, "")
        assert error.startswith("loupe.search: ")
        assert sentence in error
        assert len(error.splitlines()) == 1
    code, _, error = command("a person", "--top-k", "0")
    assert code == 2
    assert error.startswith("loupe.search: ")
