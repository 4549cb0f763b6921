"""The whole index job against its captioner alone, what the framework costs, and what shared captions save and lose.

    python -m bench.index --films 4 --minutes 75

Films of toytown, the demo's config and models, in one run: all figures are ratios or shares of that run. The captioner
is the same engine with the same settings alone and in the job, threads included; the job has the machine's other
cores for all the rest.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
import tyro

from jobs import index_library
from loupe import config as configs
from loupe import timeline
from loupe.captioning import caption_request
from loupe.config import Config, LocalModel
from loupe.embedding import open_embedder
from loupe.engines.open import open_engine
from loupe.indexing import stages
from loupe.library import Library
from loupe.media.pictures import encode_jpeg
from loupe.media.sampling import sample_frames

SEED = 77
RECALL_AT = 10
TOLERANCE_MS = 1000
"""A sample may lie this far from an event's edge: half a second of film is sampled either side of it."""


@dataclass(frozen=True)
class Arguments:
    """The whole index job against its captioner alone."""

    films: int = 4
    """Films of the library; sharing and recall are measured on the first."""
    minutes: int = 75
    """Length of each. What a job costs whatever its length weighs more on a short library."""


@dataclass(frozen=True)
class Alone:
    """What the captioner takes for every frame, with its weights loaded and the frames sampled beforehand."""

    frames: int
    seconds: float
    cpu_seconds: float


@dataclass(frozen=True)
class Job:
    """A run of the job's own command, in seconds."""

    report: dict[str, Any]
    whole: float
    lead: float
    """From its start until the captioner begins."""
    tail: float
    """From the last caption until its end."""
    cpu: dict[str, float]


def draw(root: Path, films: int, minutes: int) -> list[dict[str, Any]]:
    """Draw films, a core each, into `root`/films; gives the events of the first."""
    (root / "films").mkdir()

    def draw_one(number: int) -> Path:
        place = root / f"drawn{number}"
        command = [sys.executable, "-m", "loupe.benchmarks.toytown", str(place), "--films=1", f"--minutes={minutes}"]
        subprocess.run([*command, f"--seed={SEED + number}"], check=True, stdout=subprocess.DEVNULL)
        for file in (place / "films").iterdir():
            shutil.move(file, root / "films")
        return place

    with ThreadPoolExecutor(os.cpu_count()) as drawers:
        first, *_ = drawers.map(draw_one, range(films))
    truth = [json.loads(line) for line in (first / "truth.jsonl").read_text().splitlines()]
    return [row for row in truth if row["kind"] == "event"]


def config_for(films: Path, database: Path) -> Config:
    """The demo's config over these places."""
    config = configs.load("infra/configs/demo.yaml", ["index.toytown=null"])
    return index_library.with_places(config, str(films), str(database))


def captioner_alone(films: Sequence[Path], minutes: int, config: Config) -> Alone:
    """Caption every frame of films, all asked for at once."""
    settings = stages.settings(config)
    times = timeline.grid(0, minutes * 60_000, config.index.fps)
    requests = [
        caption_request(encode_jpeg(frame.rgb), settings.caption_prompt, max_tokens=config.index.caption_tokens)
        for film in films
        for frame in sample_frames(film, times, long_side=config.index.long_side)
    ]

    async def ask() -> Alone:
        engine = open_engine(config.chat_model("captioner"))
        await engine.chat(requests[0])  # the grammar is compiled, the model is warm
        started, cpu = time.monotonic(), time.process_time()
        await asyncio.gather(*(engine.chat(request) for request in requests))
        alone = Alone(len(requests), time.monotonic() - started, time.process_time() - cpu)
        await engine.close()
        return alone

    return asyncio.run(ask())


class CpuClock:
    """CPU seconds of a process and all that it starts, by what they are; read a few times a second."""

    def __init__(self, root: int) -> None:
        self.root = psutil.Process(root)
        self.spent: dict[tuple[int, float], tuple[str, float]] = {}

    def read(self) -> None:
        """Note how much every process has used by now."""
        for process in [self.root, *self.root.children(recursive=True)]:
            try:
                if process.status() == psutil.STATUS_ZOMBIE:
                    continue  # its name is gone; what it had used when it was last read stands
                times = process.cpu_times()
                key = process.pid, process.create_time()
                self.spent[key] = kind_of(process, self.root.pid), times.user + times.system
            except psutil.NoSuchProcess:
                continue

    def total(self) -> dict[str, float]:
        """CPU seconds by kind."""
        total: Counter[str] = Counter()
        for kind, seconds in self.spent.values():
            total[kind] += seconds
        return dict(total)


def kind_of(process: psutil.Process, driver: int) -> str:
    """driver, workers (the stages run in them), or ray: its own servers."""
    if process.pid == driver:
        return "driver"
    return (
        "workers" if any("default_worker" in part or part.startswith("ray::") for part in process.cmdline()) else "ray"
    )


def index(films: Path, database: Path, share: bool) -> Job:
    """Run the job's own command."""
    command = [sys.executable, "jobs/index_library.py", "--library", str(films), "--database", str(database)]
    log = database.parent / f"{database.name}.log"
    started = time.time()
    with log.open("w") as output:
        job = subprocess.Popen(
            [*command, "--set", f"index.share_captions={str(share).lower()}"], stdout=output, stderr=output
        )
        clock = CpuClock(job.pid)
        while job.poll() is None:
            clock.read()
            time.sleep(0.2)
    ended = time.time()
    if job.returncode:
        sys.exit(f"the job ended with {job.returncode}: {log.read_text()[-2000:]}")
    report: dict[str, Any] = json.loads((database / "report.json").read_text())
    began, captions = datetime.fromisoformat(report["began"]).timestamp(), report["stages"]["caption"]
    lead, tail = began + captions["first"] - started, ended - began - captions["last"]
    return Job(report, ended - started, lead, tail, clock.total())


def recall(database: Path, truth: list[dict[str, Any]], config: Config) -> float:
    """Share of the film's events that one of the first hits of a search for them lies in."""
    library, embedder = Library.open(str(database)), open_embedder(config.embedding_model())
    found = 0
    for event in truth:
        query = " ".join([event["colour"], "person", event["action"], event.get("thing", "")]).strip()
        hits = library.search(
            query, embedder.embed_query(query).tolist(), video_id=event["video"], top_k=RECALL_AT
        ).hits
        first, last = event["start_ms"] - TOLERANCE_MS, event["end_ms"] + TOLERANCE_MS
        found += any(first <= hit.start_ms <= last for hit in hits)
    return found / len(truth)


def print_speed(alone: Alone, job: Job, config: Config) -> None:
    """The ratio, and what of it grows with the films."""
    model = config.chat_model("captioner")
    threads = model.threads if isinstance(model, LocalModel) else None
    print(f"{os.cpu_count()} cores; the captioner has {threads or 'all'} of them as its threads, alone and in the job")
    print(f"captioner alone: {alone.frames} frames in {alone.seconds:.0f} s, {alone.frames / alone.seconds:.1f}/s")
    captioning = job.whole - job.lead - job.tail
    print(f"whole job / captioner alone: {job.whole / alone.seconds:.2f} (at most 1.25)")
    print(
        f"  whatever the films: {job.lead:.0f} s before the first caption, {job.tail:.0f} s after the last; "
        f"between them / captioner alone: {captioning / alone.seconds:.2f}"
    )
    spent = ", ".join(f"{kind} {seconds:.0f}" for kind, seconds in sorted(job.cpu.items()))
    print(f"CPU seconds: captioner alone {alone.cpu_seconds:.0f}; whole job, which took {job.whole:.0f} s: {spent}")


def main(arguments: Arguments) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        events = draw(root, arguments.films, arguments.minutes)
        config = config_for(root / "films", root / "every")
        alone = captioner_alone(sorted((root / "films").glob("*.mp4")), arguments.minutes, config)
        every = index(root / "films", root / "every", share=False)
        print_speed(alone, every, config)

        first = root / "first"
        first.mkdir()
        shutil.copy(root / "films" / events[0]["video"], first)
        shared = index(first, root / "shared", share=True).report
        print(f"captions saved by sharing: {shared['shared_captions'] / shared['frames']:.0%}")
        for name, database in (("with a caption a frame", root / "every"), ("with shared captions", root / "shared")):
            found = recall(database, events, config)
            print(f"events found in the first {RECALL_AT} hits, {name}: {found:.2f} of {len(events)}")


if __name__ == "__main__":
    main(tyro.cli(Arguments))
