"""Listen to any window of the film."""

from loupe.agent.scene import Heard, Scene
from loupe.agent.tool import Observation
from loupe.agent.tools.windows import at_most, gone, seconds, window
from loupe.untrusted import as_data


async def listen(scene: Scene, start: float, end: float, film: int = 1) -> Observation:
    """Listen to what is said and heard from start to end."""
    where = scene.film(film)
    start_ms, end_ms = window(where, start, end)
    at_most(start_ms, end_ms, scene.limits.listen_s, "listened to")
    heard = await scene.listen(where, start_ms, end_ms)
    told = {"film": film, "start": seconds(start_ms), "end": seconds(end_ms), "heard": words(scene, heard)}
    return Observation(
        scene.prompt("listened", **told),
        brief=gone(scene, "sound", film, start_ms, end_ms),
        sound=heard.sound,
        percept=True,
    )


def words(scene: Scene, heard: Heard) -> str:
    """The lines with their times in seconds; nothing for a model that hears for itself."""
    if heard.sound.given == "sound":
        return ""
    lines = (f"[{seconds(line.start_ms)}-{seconds(line.end_ms)}] {as_data(line.text)}" for line in heard.lines)
    return scene.prompt("words", lines="\n".join(lines) or "nothing is said")
