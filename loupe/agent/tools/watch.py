"""Watch a window of the film: its pictures and its sound in step."""

from typing import Annotated

from pydantic import Field

from loupe.agent.scene import Scene
from loupe.agent.tool import Observation
from loupe.agent.tools.listen import words
from loupe.agent.tools.windows import at_most, gone, seconds, spread, window


async def watch(
    scene: Scene,
    start: float,
    end: float,
    frames: Annotated[int, Field(ge=1, le=1000)],
    film: int = 1,
) -> Observation:
    """Look at so many frames, evenly apart from start to end, and listen to all of it."""
    where = scene.film(film)
    start_ms, end_ms = window(where, start, end)
    at_most(start_ms, end_ms, scene.limits.watch_s, "watched")
    times_ms = spread(scene, where, start_ms, end_ms, frames)
    heard = await scene.listen(where, start_ms, end_ms)
    media = tuple(one.media for one in await scene.look(where, times_ms))
    told = {"film": film, "start": seconds(start_ms), "end": seconds(end_ms), "heard": words(scene, heard)}
    return Observation(
        scene.prompt("watched", frames=len(media), **told),
        brief=gone(scene, "frames and sound", film, start_ms, end_ms, media),
        media=media,
        sound=heard.sound,
        percept=True,
    )
