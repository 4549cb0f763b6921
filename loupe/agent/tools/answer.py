"""The answer, with the times that it rests on."""

from typing import Annotated

from pydantic import Field

from loupe.agent.normalizing import normalize
from loupe.agent.scene import Scene
from loupe.agent.tool import Answered, Observation, ToolError, tool


@tool()
async def answer(
    scene: Scene,
    content: Annotated[str, Field(max_length=4000)],
    evidence_times: Annotated[list[float], Field(max_length=64)],
    film: int = 1,
) -> Observation:
    """Answer the question and end. content has the form that the question asks for, or is "unanswerable" where the
    film does not say. evidence_times are the times in seconds that the answer rests on."""
    where = scene.film(film)
    try:
        normalized = normalize(scene.question, content)
    except ValueError as error:
        raise ToolError(str(error)) from error
    return Observation("", answered=Answered(content, normalized, scene.evidence(where, evidence_times)))
