#!/usr/bin/env python
"""Index a video library into LanceDB, exactly once.

    films (S3, folder) -> chunks -> words, frames -> captions, summary -> vectors, pixels -> LanceDB   a row is a chunk
    complete films -> logs, global summary -> vector -> LanceDB                                        a row is a film

Run `python jobs/index_library.py --config C --library L --database D`, alone or through `ray job submit`.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import ray
import ray.data
import tyro
from loupe import config as configs
from loupe import storage
from loupe.config import Config, ConfigError, VllmModel
from loupe.embedding import Embedder, dimensions_of, identity_of, open_embedder
from loupe.engines.open import open_engine, open_transcriber, require_packages
from loupe.engines.protocol import Engine, UnavailableError
from loupe.engines.speech import Transcriber
from loupe.indexing import planning, rows, stages
from loupe.indexing.committing import Stored, commit_chunks, commit_films
from loupe.indexing.estimating import estimate
from loupe.indexing.finishing import Finished, films_to_finish, finish_film
from loupe.indexing.hearing import hear
from loupe.indexing.progress import Progress
from loupe.indexing.stages import FILM, Chunk, Failure, Film, Settings
from loupe.lease import Lease, LeaseError
from loupe.library import Library, LibraryError, write_frame_fragments
from loupe.library.tables import BeforeCommit, nothing

from jobs.late_pool import LatePool
from jobs.on_ray import async_pool, connect_ray, lasting, pool, say, tasks

Row = dict[str, Any]
Stream = Generator[Stored, None, None]
ChunksOf = Callable[[Sequence[Film], Settings], Stream]
Finish = Callable[[Sequence[Row], Settings], Iterable[Sequence[Finished]]]


@dataclass(frozen=True)
class Arguments:
    """Index a video library into LanceDB, exactly once."""

    config: str = "infra/configs/demo.yaml"
    """YAML file; infra/configs/ has one a kind of machine."""
    library: str | None = None
    """Folder or s3://bucket/prefix of the films; the config's if not given."""
    database: str | None = None
    """Folder or s3://bucket/prefix of the tables; the config's if not given."""
    set: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Change one value of the config: --set index.fps=2"""
    plan: bool = False
    """Print what would be done, with estimated tokens and cost, and stop."""
    prune: bool = False
    """Delete the rows of films that are no longer in the library."""


def main() -> None:
    """The command. Exit code 0: all done; 1: something failed and was told; 2: nothing was begun, and told why."""
    arguments = tyro.cli(Arguments)
    try:
        config = with_places(configs.load(arguments.config, arguments.set), arguments.library, arguments.database)
        sys.exit(print_plan(config) if arguments.plan else run(config, prune=arguments.prune))
    except (ConfigError, FileNotFoundError, storage.StorageError, LibraryError, LeaseError) as error:
        complain(error)
        sys.exit(2)


def complain(error: Exception) -> None:
    """Say why the job ends."""
    print(f"index_library: {error}", file=sys.stderr)


def with_places(config: Config, library: str | None, database: str | None) -> Config:
    """The config with absolute locations, given ones before its own. Raises ConfigError as `lasting` does."""
    places = {
        "library": configs.absolute(library) if library else configs.resolve(config.index.library),
        "database": lasting(configs.absolute(database) if database else configs.resolve(config.index.database)),
    }
    toytown = None if library else config.index.toytown  # nobody draws films into a folder that was named
    return config.model_copy(update={"index": config.index.model_copy(update={**places, "toytown": toytown})})


def print_plan(config: Config) -> int:
    """Print what a run would do. Reads the films' headers, calls no model, writes nothing."""
    settings = stages.settings(config)
    library = Library.open_if_there(config.index.database)
    plan = make_plan(config, settings, library)
    say(json.dumps(estimate(plan, settings), indent=2))
    return 0


def run(
    config: Config,
    *,
    prune: bool = False,
    before_commit: BeforeCommit = nothing,
    chunks_of: ChunksOf | None = None,
    finish: Finish | None = None,
) -> int:
    """Index what is left of the library; see main for what is returned. Raises what main catches, if nothing was begun.

    `prune` deletes the rows of films that are no longer in the library. `before_commit` is called with the name of each
    commit step. `chunks_of` and `finish` take a film and a row of `videos` through the stages: on Ray, unless others
    are given.
    """
    hears = config.speech_model()
    require_packages([config.chat_model("captioner"), *([hears] if hears else [])])
    settings = stages.settings(config)
    make_demo_films(config)
    storage.require_folder(config.index.library)
    with Lease.acquire(config.index.database, ttl_s=config.index.lease_seconds) as lease:
        embedder = config.embedding_model()
        library = Library.open(
            config.index.database,
            dimensions_of(embedder),
            create=True,
            before_commit=lease.guarding(before_commit),
            embedder=identity_of(embedder),
        )
        plan = make_plan(config, settings, library)
        say(
            f"{len(plan.pending)} films to index, {len(plan.finished)} finished before, "
            f"{len(plan.given_up)} given up before"
        )
        try:
            progress = index_films(plan, settings, library, chunks_of, finish, prune=prune)
            return report(progress, plan, config)
        except (storage.StorageError, LibraryError, LeaseError, UnavailableError) as error:
            complain(error)
            return 1


def index_films(
    plan: planning.Plan,
    settings: Settings,
    library: Library,
    chunks_of: ChunksOf | None,
    finish: Finish | None,
    *,
    prune: bool,
) -> Progress:
    """Do what is planned, and count it.

    Raises StorageError, LibraryError, LeaseError, UnavailableError after what was committed.
    """
    index = settings.config.index
    total = sum(film.size * (1 - film.current) for film in plan.pending)
    films = len(plan.pending), total, len(plan.finished), len(plan.removed)
    with Progress(*films, index.progress_seconds) as progress:
        if plan.pending:
            library.catch_up()  # with what a run that was killed has left in small files
            last = index.stages.finish
            finishers = LatePool(FinishFilms, last, last.chunks_in_flight, settings)
            chunks = chunks_of(plan.pending, settings) if chunks_of else pipeline(plan.pending, settings, finishers)
            with closing(chunks):  # a job that ends in the middle ends its stages
                done = commit_chunks(chunks, plan.pending, settings, library, progress)
            ready = films_to_finish(done, library, settings)
            finished = finish(ready, settings) if finish else finish_on_ray(ready, finishers)
            commit_films(finished, settings, library, progress)
        if prune:
            progress.counts.update(pruned=delete_removed(plan, library))
        if plan.pending or progress.counts["pruned"]:
            tidy_up(library)
    return progress


def delete_removed(plan: planning.Plan, library: Library) -> int:
    """Delete the films that are no longer in the library, and tell how many; none where the library is empty."""
    if plan.removed and not plan.listed:
        say("nothing is pruned: a library without a single film is more likely a mistake")
        return 0
    library.delete_videos(plan.removed)
    return len(plan.removed)


def tidy_up(library: Library) -> None:
    """Merge small files and bring indexes up to date. Where storage fails, the tables are whole all the same."""
    try:
        library.optimize()
    except storage.StorageError as error:
        say(f"the tables were not tidied up, which only makes them slower: {error}")


def pipeline(films: Sequence[Film], settings: Settings, finishers: LatePool) -> Stream:
    """The data-flow picture above, down to the vectors; comes out in any order. Opens who is needed after it."""
    connect_ray()
    config, stages = settings.config, settings.config.index.stages
    data = ray.data.from_items([{"film": film} for film in films], override_num_blocks=min(len(films), 256))
    chunks = data.flat_map(split_film, fn_args=(settings,), **tasks(stages.split))  # 1 film -> 60 chunks an hour
    chunks = chunks.repartition(target_num_rows_per_block=1)  # so that one long film fills a cluster
    if settings.transcriber and not all(film.sidecars for film in films):
        chunks = chunks.map(  # 1 -> 1, adds what is said where a film has no subtitles
            TranscribeChunks, **async_pool(stages.transcribe, stages.transcribe.chunks_in_flight, settings)
        )
    chunks = chunks.map(SampleFrames, **pool(stages.sample, settings))  # 1 -> 1, adds 60 frames
    if isinstance(config.chat_model("captioner"), VllmModel):
        from jobs.vllm_captions import caption_with_vllm  # only where vLLM is installed

        chunks = caption_with_vllm(chunks, settings)  # 1 -> 1, adds a caption a frame, on GPU workers
    chunks = chunks.map(  # 1 -> 1, adds captions and a summary
        DescribeChunks, **async_pool(stages.describe, stages.describe.chunks_in_flight, settings)
    )
    stored = chunks.map_batches(  # n -> 1, adds vectors; the pixels go to storage, uncommitted
        StoreChunks, batch_size=stages.store.chunks_in_flight, **pool(stages.store, settings)
    )
    for batch in stored.iter_batches(batch_size=None):
        finishers.open()
        yield from batch["stored"]


def finish_on_ray(videos: Sequence[Row], finishers: LatePool) -> Iterator[Sequence[Finished]]:
    """Films whose chunks are all in the tables -> their logs and global summary."""
    for batch in finishers.map([{"video": row} for row in videos]):
        yield [row["finished"] for row in batch]


# The stages: a class holds what is costly to open; all call functions that are tested elsewhere. What goes wrong
# with one row is caught here, once, and travels on as the row's failure. An ear and an embedder take much of a core
# to open, and are opened when a chunk comes that needs them: until then the captioner has it. All else is at once.


def split_film(row: Row, settings: Settings) -> list[Row]:
    """1 film -> its chunks that need work."""
    film: Film = row["film"]
    try:
        chunks = stages.split(film, settings)
    except Exception as error:  # noqa: BLE001 - the row boundary
        chunks = [Chunk(film, FILM).fail("probe", error)]
    return [{"chunk": chunk} for chunk in chunks]


class TranscribeChunks:
    """1 -> 1, adds what is said, or what the tables hold already."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.library = Library.open(settings.config.index.database)
        self.transcriber: Transcriber | None = None

    async def __call__(self, row: Row) -> Row:
        chunk: Chunk = row["chunk"]
        if chunk.failed or not chunk.listens:
            return row
        try:
            if self.transcriber is None:
                model = self.settings.config.speech_model()
                assert model is not None  # otherwise there is no such stage
                self.transcriber = open_transcriber(model)
            chunk = await hear(chunk, self.settings, self.library, self.transcriber)
        except Exception as error:  # noqa: BLE001 - the row boundary
            chunk = chunk.fail("transcribe", error)
        return {"chunk": chunk}


class SampleFrames:
    """1 -> 1, adds frames, or what the tables hold already."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.library = Library.open(settings.config.index.database)

    def __call__(self, row: Row) -> Row:
        chunk: Chunk = row["chunk"]
        if not chunk.failed:
            try:
                chunk = stages.sample(chunk, self.settings, self.library)
            except Exception as error:  # noqa: BLE001 - the row boundary
                chunk = chunk.fail("sample", error)
        return {"chunk": chunk}


class DescribeChunks:
    """1 -> 1, adds a caption a frame and the chunk's summary. Roles that share a model share its engine."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.captioner, self.summarizer = open_engines(settings.config)

    async def __call__(self, row: Row) -> Row:
        chunk: Chunk = row["chunk"]
        if not chunk.failed:
            try:
                chunk = await stages.describe(chunk, self.settings, self.captioner, self.summarizer)
            except Exception as error:  # noqa: BLE001 - the row boundary
                chunk = chunk.fail("describe", error)
        return {"chunk": chunk}


class StoreChunks:
    """n -> 1, adds vectors and writes the pixels as fragments."""

    def __init__(self, settings: Settings) -> None:
        self.config = settings.config
        self.embedder: Embedder | None = None

    def __call__(self, batch: Row) -> Row:
        chunks: list[Chunk] = list(batch["chunk"])
        fragments = ""
        try:
            if self.embedder is None:
                self.embedder = open_embedder(self.config.embedding_model())
            chunks = stages.embed(chunks, self.embedder)
            pixels = rows.frame_table([chunk for chunk in chunks if not chunk.failed])
            if pixels.num_rows:
                fragments = write_frame_fragments(self.config.index.database, pixels)
        except Exception as error:  # noqa: BLE001 - the row boundary: all of these chunks are left for the next run
            chunks = [chunk.fail("store", error) for chunk in chunks]
        return {"stored": [Stored(tuple(replace(chunk, frames=()) for chunk in chunks), fragments)]}


class FinishFilms:
    """1 -> 1, adds a film's summary and logs."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.library = Library.open(settings.config.index.database)
        self.summarizer = open_engine(settings.config.chat_model("summarizer"))
        self.embedder = open_embedder(settings.config.embedding_model())

    async def __call__(self, row: Row) -> Row:
        video: Row = row["video"]
        try:
            finished = await finish_film(video, self.settings, self.library, self.summarizer, self.embedder)
        except Exception as error:  # noqa: BLE001 - the row boundary
            finished = Finished(video, failure=rows.failure_row(video, FILM, Failure.of("finish", error)))
        return {"finished": finished}


def open_engines(config: Config) -> tuple[Engine, Engine]:
    """The captioner's and the summarizer's engines; the same one where the roles share a model."""
    summarizer = open_engine(config.chat_model("summarizer"))
    if config.roles["captioner"] == config.roles["summarizer"]:
        return summarizer, summarizer
    captioner = config.chat_model("captioner")
    return (summarizer if isinstance(captioner, VllmModel) else open_engine(captioner)), summarizer


def make_plan(config: Config, settings: Settings, library: Library | None) -> planning.Plan:
    """What is left to do, by the tables as they are."""
    films = planning.list_films(config.index.library)
    if library is None:
        return planning.Plan(tuple(films), (), ())
    known = library.videos(columns=planning.OF_A_FILM)
    return planning.plan(films, known, library.chunk_markers().values(), library.failures(), settings)


def make_demo_films(config: Config) -> None:
    """Draw toytown's films where the config asks for them and its library is not there yet."""
    toytown = config.index.toytown
    if toytown is not None and not Path(config.index.library).exists():
        say(f"drawing {toytown.films} films of {toytown.minutes:g} minutes into {config.index.library}")
        command = [sys.executable, "-m", "loupe.benchmarks.toytown", str(Path(config.index.library).parent)]
        command += [f"--films={toytown.films}", f"--minutes={toytown.minutes:g}", f"--seed={toytown.seed}"]
        subprocess.run(command, check=True)


def report(progress: Progress, plan: planning.Plan, config: Config) -> int:
    """Print the last lines and write report.json beside the tables; 1 where something failed, else 0."""
    report = progress.report(config)
    storage.write_bytes(storage.join(config.index.database, "report.json"), json.dumps(report, indent=2).encode())
    say(progress.line())
    for what, count in sorted(progress.failures.items()):
        say(f"failed: {count} x {what}")
    if pruned := progress.counts["pruned"]:
        say(f"pruned: {pruned} films that are no longer in the library")
    elif plan.removed:
        say(f"{len(plan.removed)} films in the database are no longer in the library (--prune deletes them)")
    say(f"report: {storage.join(config.index.database, 'report.json')}")
    unfinished = len(plan.pending) - progress.counts["films"]
    if unfinished and not progress.failures:
        say(f"{unfinished} films are not complete, for chunks were lost with the process that held them: run it again")
    return 1 if unfinished or progress.failures or plan.given_up else 0


if __name__ == "__main__":
    main()
