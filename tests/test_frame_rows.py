"""Replies of vLLM become chunks again: which errors leave out a frame, and which send back the whole chunk."""

import pickle
from typing import Any

import numpy as np
import pytest

from loupe.engines.scripted import ScriptedEngine
from loupe.indexing import stages
from loupe.indexing.frame_rows import ERROR, GatherChunks, SplitFrames
from loupe.indexing.stages import CUT, Chunk, Film, Frame
from tests.index_run import config
from tests.pictures import picture

CAPTION = (
    '{"caption": "A dog runs.", "subjects": [], "actions": [], "place": "park", "objects": [], "on_screen_text": []}'
)
REPLY = {"generated_text": CAPTION, "num_generated_tokens": 20, "num_input_tokens": 7, "max_tokens": 60, "images": 1}


SETTINGS = stages.settings(config("films", "database", share_captions=False, caption_tokens=256))


def captioned(errors: dict[int, str], reply: dict[str, Any] = REPLY) -> Chunk:
    """A chunk of four frames, gathered from replies; `errors` are vLLM's, by frame."""
    frames = tuple(Frame(n * 1000, n * 1000, 48, 32, picture(n).jpeg) for n in range(4))
    chunk = Chunk(Film("film.mp4", "film.mp4", "etag", 1), 0, frames=frames)
    asked = SplitFrames(SETTINGS)({"chunk": chunk})
    rows: list[dict[str, Any]] = [
        {**row, **reply, "pixels": 9, ERROR: errors.get(row["position"], "")} for row in asked
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


def test_a_frame_is_asked_for_once_with_all_the_room_that_its_caption_may_have() -> None:
    chunk = Chunk(Film("film.mp4", "film.mp4", "etag", 1), 0, frames=(Frame(0, 0, 48, 32, picture(0).jpeg),))
    _, row = SplitFrames(SETTINGS)({"chunk": chunk})
    assert pickle.loads(row["request"]).max_tokens == 512


async def test_a_chunk_whose_captions_are_all_cut_goes_on_without_them() -> None:
    chunk = captioned({}, {**REPLY, "generated_text": CAPTION[:30], "num_generated_tokens": 60})
    assert not chunk.failed
    assert (len(chunk.frames), chunk.captions) == (4, ())
    (failure,) = chunk.failures
    assert (failure.stage, failure.kind) == ("caption", CUT)
    nobody = ScriptedEngine([])
    assert await stages.describe(chunk, SETTINGS, nobody, nobody) == chunk
