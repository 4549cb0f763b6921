"""Listen to any window of the film."""

from loupe.agent.scene import Heard, Scene
from loupe.agent.stamps import moment
from loupe.agent.tool import Observation, tool
from loupe.agent.tools.windows import window
from loupe.untrusted import as_data


@tool("transcriber")
async def listen(scene: Scene, start: float, end: float, film: int = 1) -> Observation:
    """Listen to what is said and heard from start to end."""
    asked = window(scene, film, start, end)
    asked.at_most(scene.limits.listen_s, "listened to")
    heard = await scene.listen(asked.film, asked.start_ms, asked.end_ms)
    return Observation(
        scene.prompt("listened", heard=words(scene, heard), rest=asked.goes_on(), **asked.told),
        brief=asked.gone("sound"),
        sound=heard.sound,
        percept=True,
    )


def words(scene: Scene, heard: Heard) -> str:
    """The lines with their times in seconds; nothing for a model that hears for itself."""
    if heard.sound.given == "sound":
        return ""
    lines = (f"[{moment(line.start_ms)}-{moment(line.end_ms)}] {as_data(line.text)}" for line in heard.lines)
    return scene.prompt("words", lines="\n".join(lines) or "nothing is said")
