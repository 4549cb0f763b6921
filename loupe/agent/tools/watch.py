"""Watch a window of the film: its pictures and its sound in step."""

from loupe.agent.scene import Scene
from loupe.agent.tool import Observation, tool
from loupe.agent.tools.listen import words
from loupe.agent.tools.windows import Count, window


@tool("transcriber")
async def watch(scene: Scene, start: float, end: float, frames: Count, film: int = 1) -> Observation:
    """Look at so many frames, evenly apart from start to end, and listen to all of it."""
    asked = window(scene, film, start, end)
    asked.at_most(scene.limits.watch_s, "watched")
    times_ms = asked.spread(frames)
    heard = await scene.listen(asked.film, asked.start_ms, asked.end_ms)
    media = await asked.look(times_ms)
    return Observation(
        scene.prompt("watched", frames=len(media), heard=words(scene, heard), rest=asked.goes_on(), **asked.told),
        brief=asked.gone("frames and sound", media),
        media=media,
        sound=heard.sound,
        percept=True,
    )
