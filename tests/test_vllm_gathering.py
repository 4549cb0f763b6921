"""Replies of vLLM become chunks again: which errors leave out a frame, and which send back the whole chunk."""

from typing import Any

import numpy as np
import pytest

from jobs.vllm_captions import ERROR, GatherChunks, SplitFrames
from loupe.indexing import stages
from loupe.indexing.stages import Chunk, Film, Frame
from tests.index_run import config
from tests.test_engines_local import picture

CAPTION = (
    '{"caption": "A dog runs.", "subjects": [], "actions": [], "place": "park", "objects": [], "on_screen_text": []}'
)
REPLY = {"generated_text": CAPTION, "num_generated_tokens": 20, "num_input_tokens": 7, "max_tokens": 60, "images": 1}


def captioned(errors: dict[int, str]) -> Chunk:
    """A chunk of four frames, gathered from replies; `errors` are vLLM's, by frame."""
    frames = tuple(Frame(n * 1000, n * 1000, 48, 32, picture(n).jpeg) for n in range(4))
    chunk = Chunk(Film("film.mp4", "film.mp4", "etag", 1), 0, frames=frames)
    asked = SplitFrames(stages.settings(config("films", "database", share_captions=False)))({"chunk": chunk})
    rows: list[dict[str, Any]] = [
        {**row, **REPLY, "pixels": 9, ERROR: errors.get(row["position"], "")} for row in asked
    ]
    (back,) = GatherChunks()({name: np.array([row[name] for row in rows], object) for name in rows[0]})["chunk"]
    return back


@pytest.mark.parametrize(
    "error", ["RequestError: a picture cannot be decoded", "ValueError: the prompt is longer than the model takes"]
)
def test_a_request_at_fault_costs_its_frame_alone(error: str) -> None:
    chunk = captioned({2: error})
    assert [row.ts_ms for row in chunk.captions] == [0, 1000, 3000]
    assert not chunk.failed
    (failure,) = chunk.failures
    assert (failure.stage, failure.kind) == ("caption", "RequestError")
    assert failure.message == f"1 of 4 frames; first: {error}"


def test_an_engine_that_failed_leaves_the_chunk_to_the_next_run() -> None:
    chunk = captioned({1: "ValueError: too long", 2: "OutOfMemoryError: CUDA out of memory"})
    assert chunk.failed
    assert chunk.captions == chunk.frames == ()
    (failure,) = chunk.failures
    assert (failure.kind, failure.message) == ("EngineError", "OutOfMemoryError: CUDA out of memory")
