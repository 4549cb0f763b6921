"""The baseline that does not choose: frames evenly apart, shown to the VLM at once, one answer.

Of several films only the first, which the search found best, is shown: time stamps of two would be mixed up.
"""

from loupe.agent.opening import question_text
from loupe.agent.policy import ANSWER, ONE_SHOT, Policy
from loupe.agent.scene import Scene
from loupe.agent.tool import ToolError
from loupe.asking import ask_request
from schemas.messages import Message


async def _opening(scene: Scene) -> tuple[Message, ...]:
    film = scene.films[0]
    times = film.between(0, film.duration_ms, scene.settings.passive_frames)
    frames = [(frame.media.ts_ms / 1000, frame.image) for frame in await scene.frames(film, times)]
    if not frames:
        raise ToolError(f"{film.video_id} has no frames")
    return ask_request(question_text(scene), frames, scene.load("ask")).messages


POLICY = Policy(
    name="passive",
    role="vlm",
    roles=("vlm",),
    opening=_opening,
    form=ONE_SHOT,
    tools=(ANSWER,),
    acts=False,
)
