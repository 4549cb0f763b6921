"""Look at any window of the film, at any density."""

from loupe.agent.scene import Scene
from loupe.agent.tool import Observation, tool
from loupe.agent.tools.windows import Count, window


@tool()
async def look(scene: Scene, start: float, end: float, frames: Count, film: int = 1) -> Observation:
    """Look at so many frames, evenly apart from start to end, both included."""
    asked = window(scene, film, start, end)
    media = await asked.look(asked.spread(frames))
    return Observation(
        scene.prompt("looked", frames=len(media), rest=asked.goes_on(), **asked.told),
        brief=asked.gone("frames", media),
        media=media,
        percept=True,
    )
