"""Look at any window of the film, at any density."""

from typing import Annotated

from pydantic import Field

from loupe.agent.scene import Scene
from loupe.agent.tool import Observation, ToolError
from loupe.agent.tools.windows import gone, seconds, spread, window


async def look(
    scene: Scene,
    start: float,
    end: float,
    frames: Annotated[int, Field(ge=1, le=1000)],
    film: int = 1,
) -> Observation:
    """Look at so many frames, evenly apart from start to end, both included."""
    where = scene.film(film)
    start_ms, end_ms = window(where, start, end)
    seen = await scene.look(where, spread(scene, where, start_ms, end_ms, frames))
    if not seen:
        raise ToolError(f"The film has no picture there that can be decoded. Look before or after {seconds(start_ms)}.")
    media = tuple(one.media for one in seen)
    return Observation(
        scene.prompt("looked", film=film, start=seconds(start_ms), end=seconds(end_ms), frames=len(media)),
        brief=gone(scene, "frames", film, start_ms, end_ms, media),
        media=media,
        percept=True,
    )
