"""The whole index job against its captioner alone, what the framework costs, and what shared captions save and lose.

One film of toytown, the demo's config and models, in one run: all figures are ratios or shares of that run.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
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

MINUTES = 4
RECALL_AT = 10
TOLERANCE_MS = 1000
"""A sample may lie this far from an event's edge: half a second of film is sampled either side of it."""


def config_for(films: Path, database: Path, share: bool) -> Config:
    """The demo's config over these places."""
    config = configs.load(
        "infra/configs/demo.yaml", [f"index.share_captions={str(share).lower()}", "index.toytown=null"]
    )
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


def ray_cpu_seconds() -> float:
    """CPU seconds so far of the processes that Ray keeps (its stages' workers are gone when a run ends)."""
    spent = 0.0
    for process in psutil.Process().children(recursive=True):
        try:
            spent += sum(process.cpu_times()[:2])
        except psutil.NoSuchProcess:
            continue
    return spent


def index(films: Path, database: Path, share: bool) -> dict[str, Any]:
    """Run the job; its report, with the seconds from its first line to its last."""
    started = time.monotonic()
    index_library.run(config_for(films, database, share))
    report: dict[str, Any] = json.loads((database / "report.json").read_text())
    return report | {"wall_seconds": time.monotonic() - started}


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

        alone, frames = captioner_alone(film, config_for(films, root / "none", share=False))
        every = index(films, root / "every", share=False)
        spent = ray_cpu_seconds()
        shared = index(films, root / "shared", share=True)

        print(f"captioner alone: {frames} frames, {frames / alone:.1f}/s")
        captioning = every["stage_seconds"]["caption"]
        print(f"caption stage of the job / captioner alone: {captioning / alone:.2f}")
        print(f"whole job / captioner alone: {every['wall_seconds'] / alone:.2f}, with starting Ray and loading models")
        print(f"CPU seconds of Ray's own processes: {spent:.0f}")
        print(f"captions saved by sharing: {shared['shared_captions'] / shared['frames']:.0%}")
        for name, database in (("with a caption a frame", root / "every"), ("with shared captions", root / "shared")):
            found = recall(database, events, config_for(films, database, share=True))
            print(f"events found in the first {RECALL_AT} hits, {name}: {found:.2f} of {len(events)}")


if __name__ == "__main__":
    main()
