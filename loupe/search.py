"""Search a database by meaning and by words: python -m loupe.search --database D "a red person jumps"."""

import sys
from dataclasses import dataclass
from textwrap import shorten
from typing import Annotated

import tyro

from loupe import config as configs
from loupe.config import ConfigError
from loupe.embedding import dimensions_of, identity_of, open_embedder
from loupe.library import Library, LibraryError, SearchResult
from loupe.library.search import LevelName, Mode
from loupe.storage import StorageError
from loupe.timeline import clock

TEXT_AT_MOST = 90
"""Characters of a hit that are printed."""


@dataclass(frozen=True)
class Arguments:
    """Search a database by meaning and by words."""

    query: tyro.conf.Positional[str]
    """What to look for."""
    database: str
    """Folder or s3://bucket/prefix of the tables."""
    config: str = "infra/configs/demo.yaml"
    """The config that the database was made with: its embedder reads the query."""
    level: LevelName = "frames"
    """What to find."""
    mode: Mode = "hybrid"
    """By meaning (vector), by words (text), or both fused (hybrid)."""
    video: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Only these films: --video a.mp4 --video b.mp4"""
    start: float | None = None
    """Only from this second on."""
    end: float | None = None
    """Only before this second."""
    top_k: int = 40
    """How many hits, at most."""
    show: int = 8
    """How many of them, and of their clusters, are printed."""


def main() -> None:
    """The command. Exit code 2, with a sentence, where nothing can be searched."""
    arguments = tyro.cli(Arguments)
    try:
        model = configs.load(arguments.config).embedding_model()
        library = Library.open(arguments.database, dimensions_of(model), embedder=identity_of(model))
        found = library.search(
            arguments.query,
            open_embedder(model).embed_query(arguments.query).tolist(),
            level=arguments.level,
            video_id=list(arguments.video) or None,
            start_ms=milliseconds(arguments.start),
            end_ms=milliseconds(arguments.end),
            mode=arguments.mode,
            top_k=arguments.top_k,
        )
    except (ConfigError, LibraryError, StorageError, ValueError, OSError) as error:
        print(f"loupe.search: {error}", file=sys.stderr)
        sys.exit(2)
    print_result(found, arguments.show)


def milliseconds(seconds: float | None) -> int | None:
    """Seconds of a person as the tables' milliseconds."""
    return None if seconds is None else round(seconds * 1000)


def print_result(found: SearchResult, show: int) -> None:
    """Hits with their scores, then where in the films they gather."""
    for hit in found.hits[:show]:
        times = clock(hit.start_ms) if hit.end_ms <= hit.start_ms else f"{clock(hit.start_ms)}-{clock(hit.end_ms)}"
        print(f"{hit.score:6.3f}  {hit.video_id}  {times}  {shorten(hit.text, TEXT_AT_MOST, placeholder=' …')}")
    print(f"{len(found.hits)} hits, gathered at:")
    for place in found.clusters[:show]:
        print(
            f"        {place.video_id}  {clock(place.start_ms)}-{clock(place.end_ms)}  {place.count} hits, "
            f"best {place.best_score:.3f}, {place.density_per_minute:.1f} a minute"
        )


if __name__ == "__main__":
    main()
