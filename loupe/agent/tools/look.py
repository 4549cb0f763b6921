"""Look at any window of the film, at any density."""

from loupe.agent.scene import Scene
from loupe.agent.stamps import moment
from loupe.agent.tool import Observation, ToolError
from loupe.agent.tools.windows import Count, window


async def look(scene: Scene, start: float, end: float, frames: Count, film: int = 1) -> Observation:
    """Look at so many frames, evenly apart from start to end, both included."""
    asked = window(scene, film, start, end)
    seen = await scene.look(asked.film, asked.spread(frames))
    if not seen:
        at = moment(asked.start_ms)
        raise ToolError(f"The film has no picture there that can be decoded. Look before or after {at}.")
    media = tuple(one.media for one in seen)
    return Observation(
        scene.prompt("looked", frames=len(media), rest=asked.goes_on(), **asked.told),
        brief=asked.gone("frames", media),
        media=media,
        percept=True,
    )
