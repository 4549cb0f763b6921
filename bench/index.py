"""The whole index job against its captioner alone, what the framework costs, and what shared captions save and lose.

One film of toytown, the demo's config and models, in one run: all figures are ratios or shares of that run.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil

from jobs import index_library
from loupe import config as configs
from loupe import indexing, timeline
from loupe.captioning import caption_request
from loupe.config import Config
from loupe.embedding import open_embedder
from loupe.engines.open import open_engine
from loupe.library import Library
from loupe.media.pictures import encode_jpeg
from loupe.media.sampling import sample_frames

MINUTES = 30
RECALL_AT = 10
TOLERANCE_MS = 1000
"""A sample may lie this far from an event's edge: half a second of film is sampled either side of it."""


def config_for(films: Path, database: Path) -> Config:
    """The demo's config over these places."""
    config = configs.load("infra/configs/demo.yaml", ["index.toytown=null"])
    return index_library.with_places(config, str(films), str(database))


def captioner_alone(film: Path, config: Config) -> tuple[float, int]:
    """Seconds that the captioner takes for every frame, sampled beforehand, with its weights loaded; and how many."""
    settings = indexing.settings(config)
    times = timeline.grid(0, MINUTES * 60_000, config.index.fps)
    frames = [encode_jpeg(frame.rgb) for frame in sample_frames(film, times, long_side=config.index.long_side)]
    requests = [
        caption_request(jpeg, settings.caption_prompt, max_tokens=config.index.caption_tokens) for jpeg in frames
    ]

    async def ask() -> float:
        engine = open_engine(config.chat_model("captioner"))
        await engine.chat(requests[0])  # the grammar is compiled, the model is warm
        started = time.monotonic()
        await asyncio.gather(*(engine.chat(request) for request in requests))
        seconds = time.monotonic() - started
        await engine.close()
        return seconds

    return asyncio.run(ask()), len(frames)


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


def index(films: Path, database: Path, share: bool) -> dict[str, Any]:
    """Run the job's own command; its report, with its seconds and CPU seconds from start to end."""
    command = [sys.executable, "jobs/index_library.py", "--library", str(films), "--database", str(database)]
    started = time.monotonic()
    with (database.parent / f"{database.name}.log").open("w") as log:
        job = subprocess.Popen(
            [*command, "--set", f"index.share_captions={str(share).lower()}"], stdout=log, stderr=log
        )
        clock = CpuClock(job.pid)
        while job.poll() is None:
            clock.read()
            time.sleep(0.2)
    if job.returncode:
        sys.exit(
            f"the job ended with {job.returncode}: {(database.parent / f'{database.name}.log').read_text()[-2000:]}"
        )
    report: dict[str, Any] = json.loads((database / "report.json").read_text())
    return report | {"wall_seconds": time.monotonic() - started, "cpu_seconds": clock.total()}


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


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        command = [sys.executable, "-m", "loupe.benchmarks.toytown", str(root), "--films=1", f"--minutes={MINUTES}"]
        subprocess.run([*command, "--seed=77"], check=True, stdout=subprocess.DEVNULL)
        films = root / "films"
        (film,) = films.glob("*.mp4")
        truth = [json.loads(line) for line in (root / "truth.jsonl").read_text().splitlines()]
        events = [row for row in truth if row["kind"] == "event"]

        alone, frames = captioner_alone(film, config_for(films, root / "none"))
        every = index(films, root / "every", share=False)
        shared = index(films, root / "shared", share=True)

        print(f"captioner alone: {frames} frames, {frames / alone:.1f}/s")
        print(f"whole job / captioner alone: {every['wall_seconds'] / alone:.2f}, with starting Ray and loading models")
        spent = ", ".join(f"{kind} {seconds:.0f}" for kind, seconds in sorted(every["cpu_seconds"].items()))
        print(f"CPU seconds of the whole job, which took {every['wall_seconds']:.0f} s: {spent}")
        print(f"captions saved by sharing: {shared['shared_captions'] / shared['frames']:.0%}")
        for name, database in (("with a caption a frame", root / "every"), ("with shared captions", root / "shared")):
            found = recall(database, events, config_for(films, database))
            print(f"events found in the first {RECALL_AT} hits, {name}: {found:.2f} of {len(events)}")


if __name__ == "__main__":
    main()
