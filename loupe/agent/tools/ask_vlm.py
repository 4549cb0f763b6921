"""Ask a vision model about frames that the agent chose, all in one request."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from loupe.agent.films import Film
from loupe.agent.scene import Frame, Scene
from loupe.agent.stamps import moment, stretch
from loupe.agent.tool import Observation, ToolError, tool
from loupe.asking import ask_request, parse_answer
from loupe.config import Role
from loupe.untrusted import as_data, cut
from schemas.outputs import FrameAnswer


@tool("vlm")
async def ask_vlm(
    scene: Scene,
    question: Annotated[str, Field(min_length=1, max_length=1000)],
    times: Annotated[list[float] | None, Field(min_length=1, max_length=64)] = None,
    start: float | None = None,
    end: float | None = None,
    frames: Annotated[int | None, Field(ge=1, le=64)] = None,
    film: int = 1,
) -> Observation:
    """Show frames to a vision model, all at once and in order, and ask it a question about them. Choose the frames by
    their times in seconds (times), or take so many (frames) evenly apart from start to end. It knows nothing but these
    frames and a summary of the film, so say in the question all that it needs."""
    where = scene.film(film)
    chosen = choose(scene, where, times, start, end, frames)
    shown = await scene.frames(where, chosen)
    if not shown:
        raise ToolError("The film has no frames at these times.")
    said = await ask_about(scene, "vlm", where, question, shown)
    seen = ", ".join(moment(one.media.ts_ms) for one in shown)
    return Observation(
        scene.prompt("vlm_result", times=seen, reasoning=as_data(said.reasoning), answer=as_data(said.answer)),
        media=tuple(one.media for one in shown),
    )


def choose(
    scene: Scene,
    film: Film,
    times: Sequence[float] | None,
    start: float | None,
    end: float | None,
    frames: int | None,
) -> list[int]:
    """The times of the frames to show, in order. Raises ToolError."""
    most = scene.settings.frames
    if (times is None) == (start is None and end is None):
        raise ToolError("Give either times, or start and end with the number of frames.")
    if len(times or ()) > most or (frames or 0) > most:
        raise ToolError(f"At most {most} frames can be shown at once; choose fewer.")
    if times is not None:
        return scene.frame_times(film, times)
    return film.between(*scene.window(film, start, end), frames or most)


async def ask_about(scene: Scene, role: Role, film: Film, question: str, frames: Sequence[Frame]) -> FrameAnswer:
    """What a vision model says to a question about frames, with what is known of the film around them.

    Raises ToolError where what it says cannot be read, and EngineError.
    """
    near = film.log_near([one.media.ts_ms for one in frames], scene.settings.shown.near_log_lines)
    context = scene.prompt(
        "ask_context",
        summary=cut(as_data(film.summary), scene.settings.shown.summary_letters),
        log="\n".join(f"[{stretch(line.start_ms, line.end_ms)}] {as_data(line.text)}" for line in near),
    )
    request = ask_request(
        question,
        [(one.media.ts_ms / 1000, one.image) for one in frames],
        scene.load("ask"),
        context=context,
        max_tokens=scene.settings.ask_tokens,
    )
    asked = await scene.models.ask(role, request, parse_answer)
    if asked.value is None:
        raise ToolError("The vision model said nothing that could be read. Ask a simpler question, or fewer frames.")
    return asked.value
