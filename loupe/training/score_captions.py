"""Scores a model's captions on toytown films that it was never trained on: `python -m loupe.training.score_captions`.

Any model of a config can be scored; a film goes the way of the index job: encoded, decoded, JPEG, caption request.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from loupe.benchmarks.toytown.caption_scores import Score, score
from loupe.benchmarks.toytown.captions import caption
from loupe.benchmarks.toytown.film import write_mp4
from loupe.benchmarks.toytown.writing import HELD_OUT, write_film
from loupe.captioning import caption_request, parse_caption
from loupe.engines.protocol import ChatRequest, Engine, ParseError
from loupe.media import sample_frames
from loupe.media.pictures import encode_jpeg
from loupe.prompts import load
from schemas.outputs import FrameCaption

Frame = tuple[bytes, FrameCaption]
"""A JPEG and its true caption."""


def held_out_frames(films: int, minutes: float, every_ms: int, seed: int = HELD_OUT) -> list[Frame]:
    """Frames of held-out films, with what is true of them."""
    frames: list[Frame] = []
    with tempfile.TemporaryDirectory() as folder:
        for index in range(films):
            film = write_film(seed, index, minutes)
            path = Path(folder) / film.video_id
            write_mp4(film, path)
            times = range(0, film.duration_ms, every_ms)
            for frame in sample_frames(str(path), times):
                frames.append((encode_jpeg(frame.rgb), caption(film.still(frame.pts_ms / 1000))))
    return frames


async def captions(engine: Engine, requests: Sequence[ChatRequest]) -> list[FrameCaption | None]:
    """What an engine says to each request; None where it does not parse."""

    async def one(request: ChatRequest) -> FrameCaption | None:
        try:
            return parse_caption(await engine.chat(request))
        except ParseError:
            return None

    return list(await asyncio.gather(*(one(request) for request in requests)))


def table(scores: dict[str, Score]) -> str:
    """Scores as Markdown."""
    rows = [f"| {field} | {s.precision:.3f} | {s.recall:.3f} | {s.f1:.3f} | {s.true} |" for field, s in scores.items()]
    return "\n".join(["| field | precision | recall | F1 | true names |", "|---|---|---|---|---|", *rows])


async def run(engine: Engine, frames: Sequence[Frame]) -> str:
    """The report: scores with the reply held by its schema, and without."""
    prompt = load("tiny", "caption")
    held = [caption_request(jpeg, prompt) for jpeg, _ in frames]
    truths = [truth for _, truth in frames]
    said = await captions(engine, held)
    free = await captions(engine, [replace(request, schema=None) for request in held])
    await engine.close()
    exact = sum(a == b for a, b in zip(truths, said, strict=True)) / len(truths)
    parsed = sum(one is not None for one in free) / len(free)
    scores = score(zip(truths, said, strict=True))
    numbers = {field: round(s.f1, 4) for field, s in scores.items()}
    return "\n".join(
        [
            table(scores),
            "",
            f"{len(truths)} frames; whole captions right: {exact:.3f}; parse without a schema: {parsed:.3f}",
            json.dumps({"f1": numbers, "exact": round(exact, 4), "parsed": round(parsed, 4), "frames": len(truths)}),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=Path("infra/configs/demo.yaml"))
    parser.add_argument("--model", help="a folder or hub id for the local engine, in place of the config's captioner")
    parser.add_argument("--films", type=int, default=8)
    parser.add_argument("--minutes", type=float, default=1.5)
    parser.add_argument("--every-ms", type=int, default=2000)
    arguments = parser.parse_args()
    engine = open_scored(arguments.config, arguments.model)
    frames = held_out_frames(arguments.films, arguments.minutes, arguments.every_ms)
    sys.stdout.write(asyncio.run(run(engine, frames)) + "\n")


def open_scored(config: Path, model: str | None) -> Engine:
    """The engine to score."""
    from loupe.config import LocalModel
    from loupe.config import load as load_config
    from loupe.engines.open import open_engine

    if model:
        return open_engine(LocalModel(engine="local", source=model, max_batch=64))
    return open_engine(load_config(config).chat_model("captioner"))


if __name__ == "__main__":
    main()
