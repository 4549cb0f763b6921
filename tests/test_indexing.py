"""A chunk on its way through the stages."""

from loupe.indexing.stages import Captioned, Chunk, Film, Frame
from schemas.outputs import FrameCaption


def test_what_a_chunk_says_of_itself_is_short() -> None:
    """Ray Data writes it down for every row: pictures and vectors as text would cost a tenth of a stage."""
    caption = FrameCaption(caption="A dog runs.", subjects=[], actions=[], place="park", objects=[], on_screen_text=[])
    frames = tuple(Frame(1000 * number, 1000 * number, 512, 288, bytes(13_000)) for number in range(60))
    captions = tuple(Captioned(frame.ts_ms, None, caption, (0.123456,) * 384) for frame in frames)
    chunk = Chunk(Film("a.mp4", "file:a.mp4", "e", 1), 3, frames=frames, captions=captions)
    assert "a.mp4" in repr(chunk)
    assert len(repr(chunk)) < 1_000
