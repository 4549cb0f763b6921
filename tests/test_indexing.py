"""A chunk on its way through the stages."""

from loupe.engines.protocol import Reply, RequestError
from loupe.engines.scripted import ScriptedEngine
from loupe.indexing import stages
from loupe.indexing.stages import CUT, Captioned, Chunk, Film, Frame
from schemas.messages import Usage
from schemas.outputs import ChunkSummary, FrameCaption
from tests.index_run import config
from tests.pictures import picture

CAPTION = FrameCaption(caption="A dog runs.", subjects=[], actions=[], place="park", objects=[], on_screen_text=[])


def test_what_a_chunk_says_of_itself_is_short() -> None:
    """Ray Data writes it down for every row: pictures and vectors as text would cost a tenth of a stage."""
    frames = tuple(Frame(1000 * number, 1000 * number, 512, 288, bytes(13_000)) for number in range(60))
    captions = tuple(Captioned(frame.ts_ms, None, CAPTION, (0.123456,) * 384) for frame in frames)
    chunk = Chunk(Film("a.mp4", "file:a.mp4", "e", 1), 3, frames=frames, captions=captions)
    assert "a.mp4" in repr(chunk)
    assert len(repr(chunk)) < 1_000


async def test_a_caption_for_which_the_model_has_no_more_room_stays_cut() -> None:
    said = Reply('{"caption": "A page of', Usage(completion_tokens=256), "length")
    captioner = ScriptedEngine([said, RequestError("the prompt and the reply are longer than the model takes")])
    chunk = Chunk(Film("a.mp4", "file:a.mp4", "e", 1), 0, frames=(Frame(0, 0, 48, 32, picture(0).jpeg),))
    chunk = await stages.caption_frames(chunk, stages.settings(config("films", "database")), captioner)
    assert not chunk.failed
    (failure,) = chunk.failures
    assert failure.kind == CUT
    assert chunk.usage["captioner"].completion_tokens == 256


async def test_a_summary_that_is_cut_is_asked_for_again_with_more_room() -> None:
    cut = Reply('{"summary": "A dog', Usage(completion_tokens=256), "length")
    summarizer = ScriptedEngine([cut, ChunkSummary(summary="A dog runs.").model_dump_json()])
    chunk = Chunk(Film("a.mp4", "file:a.mp4", "e", 1), 0, captions=(Captioned(0, None, CAPTION),))
    chunk = await stages.summarize_chunk(chunk, stages.settings(config("films", "database")), summarizer)
    assert chunk.summary == "A dog runs."
    assert [request.max_tokens for request in summarizer.requests] == [256, 512]
